#!/usr/bin/env python3
"""Time zones against Python's zoneinfo: 50 zones, at and around every change of their offset.

Usage: test_zone_python.py ZONE_TIMES

Both read the system's files; what is expected is made here at each run. A zone is one TAP test:
offsets at and beside each change from 1880 to 2120 and at random instants up to the year 9000, and
which instant a local time is: at, before and behind each change, each midnight around it, random
ones. A local time that is left out is the moment of the leap, one that comes twice the first.
"""

import datetime
import random
import subprocess
import sys
import zoneinfo

ZONES = """
UTC Europe/Berlin Europe/London Europe/Dublin Europe/Lisbon Europe/Moscow Europe/Istanbul
Europe/Kyiv Europe/Paris Europe/Volgograd Africa/Cairo Africa/Casablanca Africa/El_Aaiun
Africa/Johannesburg Africa/Lagos Africa/Monrovia America/New_York America/Chicago America/Denver
America/Los_Angeles America/Phoenix America/Anchorage America/St_Johns America/Halifax
America/Sao_Paulo America/Argentina/Buenos_Aires America/Santiago America/Asuncion America/Havana
America/Caracas America/Nuuk America/Scoresbysund America/Mexico_City Asia/Kolkata Asia/Kathmandu
Asia/Tehran Asia/Tokyo Asia/Shanghai Asia/Beirut Asia/Gaza Asia/Jerusalem Asia/Pyongyang
Australia/Sydney Australia/Lord_Howe Australia/Eucla Pacific/Auckland Pacific/Chatham Pacific/Apia
Pacific/Kiritimati Pacific/Kwajalein Antarctica/Troll
""".split()
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
DAY = 86400


def at(seconds):
    return EPOCH + datetime.timedelta(seconds=seconds)


def seconds_of(year):
    return int((datetime.datetime(year, 1, 1, tzinfo=datetime.timezone.utc) - EPOCH).total_seconds())


def offset(zone, seconds):
    return int(at(seconds).astimezone(zone).utcoffset().total_seconds())


def changes(zone):
    """Instants at which the offset becomes another one."""
    found, last = [], seconds_of(1880)
    before = offset(zone, last)
    for now in range(last, seconds_of(2120), 2 * DAY):
        if offset(zone, now) != before:
            low, high = last, now
            while high - low > 1:
                middle = (low + high) // 2
                if offset(zone, middle) == before:
                    low = middle
                else:
                    high = middle
            found.append(high)
            before = offset(zone, now)
        last = now
    return found


def utc(zone, local, leaps):
    wall = at(local).replace(tzinfo=zone, fold=0)
    instant = int((wall.astimezone(datetime.timezone.utc) - EPOCH).total_seconds())
    if instant + offset(zone, instant) == local:
        return instant
    return max(leap for leap in leaps if leap <= instant)


def questions(zone, rng):
    leaps = changes(zone)
    instants = [change + d for change in leaps for d in (-1, 0, 1)]
    instants += [rng.randrange(seconds_of(1850), seconds_of(2120)) for _ in range(300)]
    instants += [rng.randrange(seconds_of(2120), seconds_of(9000)) for _ in range(100)]
    locals_ = set()
    for change in leaps:
        for shown in (change + offset(zone, change - 1), change + offset(zone, change)):
            midnight = shown // DAY * DAY
            locals_.update(shown + d for d in (-1, 0, 1, -1800, 1800))
            locals_.update(midnight + d * DAY for d in (-1, 0, 1, 2))
    locals_.update(rng.randrange(seconds_of(1890), seconds_of(2110)) for _ in range(300))
    asked = [("offset %d" % (i * 1000), str(offset(zone, i) * 1000)) for i in instants]
    return asked + [("utc %d" % (i * 1000), str(utc(zone, i, leaps) * 1000))
                    for i in sorted(locals_)]


def main():
    known = [name for name in ZONES if name in zoneinfo.available_timezones()]
    if len(known) < 50:
        print("1..0 # SKIP no time zones in the system (package tzdata)")
        return 0
    print("1..%d" % len(known))
    failed = False
    for number, name in enumerate(known, 1):
        asked = [("zone " + name, "ok")]
        asked += questions(zoneinfo.ZoneInfo(name), random.Random(name))
        answers = subprocess.run(sys.argv[1:2], input="\n".join(q for q, _ in asked) + "\n",
                                 stdout=subprocess.PIPE, text=True, check=True,
                                 timeout=60).stdout.splitlines()
        wrong = ["%s: %s, Python says %s" % (question, answer, wanted)
                 for (question, wanted), answer in zip(asked, answers) if answer != wanted]
        if len(answers) != len(asked):
            wrong.append("%d answers to %d questions" % (len(answers), len(asked)))
        failed = failed or bool(wrong)
        print("%s %d - %s" % ("not ok" if wrong else "ok", number, name))
        for line in wrong[:10]:
            print("# " + line)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
