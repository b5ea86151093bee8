#!/usr/bin/env python3
"""Runs one example as its user would and checks what it prints and leaves behind. Prints TAP.

Usage: check.py PROGRAM MODULE_DIR

The name of the program chooses the function below. The events are those of examples/sample.h, made
again here, so that what is expected is computed by other code than the library's.
"""

import collections
import fcntl
import json
import os
import pathlib
import pty
import random
import re
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import termios
import time

START_MS = 1767225600000
PROGRAM, MODULES = map(os.path.abspath, sys.argv[1:3])


# ---- the events of sample.h -------------------------------------------------------------------

def page_view(i):
    return {"user": "u%d" % (i % 7), "page": ("/home", "/cart", "/item")[i % 3],
            "device": "bot" if i % 10 == 9 else "phone", "load_ms": 20.5 + i % 50,
            "at": START_MS + i * 500}


def order(i):
    return {"customer": "c%d" % (i % 4), "total": 10.25 + i % 5, "at": START_MS + i * 2000,
            "items": [{"sku": "A-%d" % (i % 2), "quantity": 1 + i % 3, "price": 2.5},
                      {"sku": "B-1", "quantity": 1, "price": 10}]}


def iso(ms):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1000)) + ".%03dZ" % (ms % 1000)


def window(ms, size):
    return ms // size * size


# ---- running ------------------------------------------------------------------------------------

def run(*args, cwd, status=0, timeout=90):
    """Lines of stdout, text of stderr."""
    done = subprocess.run([PROGRAM, *map(str, args)], cwd=cwd, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode != status:
        raise AssertionError("ended with %d\n%s\n%s" % (done.returncode, done.stdout[-2000:],
                                                        done.stderr[-2000:]))
    return done.stdout.splitlines(), done.stderr


def run_on_terminal(*args, cwd, rows, columns):
    """The last picture that a live table drew on a terminal of this size."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    child = subprocess.Popen([PROGRAM, *map(str, args)], cwd=cwd, stdin=subprocess.DEVNULL,
                             stdout=slave, stderr=subprocess.PIPE)
    os.close(slave)
    written = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        written += part
    os.close(master)
    err = child.communicate(timeout=30)[1]
    if child.returncode:
        raise AssertionError("ended with %d: %s" % (child.returncode, err))
    return written.decode().replace("\r", "").split("\033[J")[-1].splitlines()


def equal(got, wanted):
    if got != wanted:
        raise AssertionError("got      %r\nexpected %r" % (got, wanted))


def query(path, sql):
    database = sqlite3.connect(path)
    try:
        return database.execute(sql).fetchall()
    finally:
        database.close()


# ---- one function an example --------------------------------------------------------------------

def example_01(folder):
    out, _ = run(cwd=folder)
    equal(len(out), 4)
    for line in out[:3]:
        if not re.fullmatch(r"delivered key u\d to page_views, partition [0-3]", line):
            raise AssertionError(line)
    equal(out[3], "1000 delivered, 0 failed")


def example_02(folder):
    out, _ = run(cwd=folder)
    equal(out, ['refused: field "items[0].quantity": required, no default',
                "100 purchases delivered"])


def example_03(folder):
    out, _ = run(cwd=folder)
    equal(len(out), 4)
    equal({line in ("page /home", "page /cart", "page /item") for line in out[:3]}, {True})
    equal(out[3], "500 rows")


def example_04(folder):
    out, _ = run(cwd=folder)
    equal(out[0], "page  window_start  window_end  views  load_ms")
    equal(sorted(out[1:3]), [
        "/a  1970-01-01T00:00:00.000Z  1970-01-01T00:01:00.000Z  2  20.0",
        "/b  1970-01-01T00:00:00.000Z  1970-01-01T00:01:00.000Z  1  20.0"])
    equal(out[3:], ["late: 1 row"])


def example_05(folder):
    out, _ = run("embedded:", "views.db", MODULES, cwd=folder)
    equal(out, ["sqlite3 views.db 'SELECT * FROM views_per_minute'"])
    expected = {}
    for i in range(600):
        event = page_view(i)
        if event["device"] != "bot":
            group = expected.setdefault((event["page"], iso(window(event["at"], 60000))),
                                        [0, set(), 0])
            group[0] += 1
            group[1].add(event["user"])
            group[2] = max(group[2], event["load_ms"])
    rows = query(os.path.join(folder, "views.db"),
                 "SELECT page, window_start, views, users, slowest FROM views_per_minute")
    equal(sorted(rows), sorted((page, start, views, len(users), slowest)
                               for (page, start), (views, users, slowest) in expected.items()))


def example_06(folder):
    out, _ = run(1, cwd=folder)
    equal(out[0].split(), ["window_start", "page", "clicks"])
    clicks = {}
    for line in out[1:]:
        start, page, count = line.split()
        clicks[start, page] = int(count)  # the last one counts
    equal(sum(clicks.values()), 120)
    equal({page for _, page in clicks}, {"/home", "/cart", "/item"})

    picture = run_on_terminal(1, cwd=folder, rows=24, columns=80)
    equal(picture[0], "\033[1mwindow_start              page   clicks\033[m")
    lines = [line.split() for line in picture[1:]]
    equal([line[:2] for line in lines], sorted(line[:2] for line in lines))
    equal(sum(int(line[2]) for line in lines), 120)
    small = run_on_terminal(1, cwd=folder, rows=5, columns=30)
    equal(len(small), 4)  # the header and three lines, no one wider than the terminal
    equal([len(line) <= 30 for line in small[1:]], [True] * 3)


def example_07(folder):
    out, _ = run(cwd=folder)
    totals = collections.defaultdict(list)
    for i in range(300):
        event = order(i)
        totals[event["customer"], window(event["at"], 300000)].append(event["total"])
    got = {}
    for line in out:
        customer, start, end, count, average = line.split()
        got[customer, start, end] = (int(count), round(float(average), 9))
    equal(len(out), len(got))
    equal(got, {(customer, iso(start), iso(start + 300000)):
                (len(values), round(sum(values) / len(values), 9))
                for (customer, start), values in totals.items()})


def example_08(folder):
    out, err = run(cwd=folder)
    revenue = collections.Counter()
    for i in range(100):
        for item in order(i)["items"]:
            revenue[item["sku"]] += item["quantity"] * item["price"]
    equal(sorted(out), sorted("%s %.2f" % pair for pair in revenue.items()))
    for word in ("explode", "project", "window", "sum(amount)"):
        if word not in err:
            raise AssertionError("the plan does not say %s: %s" % (word, err))


def example_09(folder):
    out, _ = run(cwd=folder)
    equal([line for line in out if line.startswith("parsed")], ["parsed: GET /home 200"])
    dead = [re.split(r"\s{2,}", line) for line in out if not line.startswith("parsed")]
    equal(dead[0][:2], ["stage", "message"])
    equal(sorted(line[0] for line in dead[1:]), ["decode", "host"])
    equal([line[1] for line in dead if line[0] == "host"], ["expected METHOD PATH STATUS"])
    equal([line[-1] for line in dead if line[0] == "decode"], ["not even JSON"])


def table(path):
    return sorted(query(path, "SELECT page, window_start, views FROM counts"))


def kill_soon(folder, args, seconds):
    """Start it, kill -9 after a time; whether it was through before."""
    child = subprocess.Popen([PROGRAM, *args], cwd=folder, stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        _, err = child.communicate(timeout=seconds)
        if child.returncode:
            raise AssertionError("ended with %d: %s" % (child.returncode, err))
        return True
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGKILL)
        child.communicate()
        return False


def example_10(folder):
    count = 120000  # more batches than there are polls below, on any machine
    expected = collections.Counter()
    with open(os.path.join(folder, "events.jsonl"), "w", encoding="utf-8") as file:
        for i in range(count):
            page, at = "/%d" % (i % 3), START_MS + i * 10
            expected[page, window(at, 10000)] += 1
            file.write(json.dumps({"page": page, "at": at}) + "\n")
    expected = sorted((page, start, views) for (page, start), views in expected.items())

    run("events.jsonl", "whole.state", "whole.db", "-1", MODULES, cwd=folder)
    equal(table(os.path.join(folder, "whole.db")), expected)

    # it ends itself after some polls, as a kill would; then again from there
    for polls in (1, 2, 3, 5):
        run("events.jsonl", "state", "polls.db", polls, MODULES, cwd=folder, status=9)
    run("events.jsonl", "state", "polls.db", "-1", MODULES, cwd=folder)
    equal(table(os.path.join(folder, "polls.db")), expected)

    # kill -9 from outside, at any moment
    seed = random.randrange(2**32)
    print("# seed %d" % seed)
    dice = random.Random(seed)
    args = ["events.jsonl", "killed.state", "killed.db", "-1", MODULES]
    for _ in range(8):
        if kill_soon(folder, args, dice.uniform(0.005, 0.15)):
            break
    run(*args, cwd=folder)
    equal(table(os.path.join(folder, "killed.db")), expected)


def example_11(folder):
    out, _ = run(cwd=folder)
    equal(out, ["views: 90 rows"])


def example_12(folder):
    out, _ = run(cwd=folder)
    equal(out, ["400 views"])


def example_13(folder):
    out, _ = run(cwd=folder)
    equal(out[:2], ["ok     an open window gives nothing", "ok     the process dies and comes back"])
    equal(out[2], "what a failure looks like:")
    equal(json.loads(re.search(r"the nearest, (\{.*\}) \(insert\), has another \"views\" than 3$",
                               out[3]).group(1)),
          {"page": "/a", "window_start": iso(0), "window_end": iso(60000),
           "views": 2})
    equal(out[4:], ["ok     both views are counted, once", "ok     a view from the past is late",
                    "ok     a bad event is a dead letter"])


def example_14(folder):
    out, _ = run(cwd=folder)
    equal(out, ["A1: 30.0 km/h", "B7: 40.0 km/h", "1 row rejected"])


def example_15(folder):
    out, _ = run(cwd=folder)
    equal(out.pop(), "47 left out")
    orders = collections.Counter(line.split()[-1] for line in out if line.startswith("order"))
    equal(orders, {"c0": 2, **{"c%d" % i: 1 for i in range(1, 20, 2)}})
    equal([line for line in out if line.startswith("watched")], ["watched o13 of c13"])


def example_16(folder):
    out, _ = run(cwd=folder)
    first = collections.Counter(page_view(i)["page"] for i in range(300)
                                if page_view(i)["at"] < START_MS + 60000)
    equal(out, ["%s: %d views in the first minute" % (page, first[page])
                for page in ("/home", "/cart", "/item", "/nobody")] +
          ["300 views in all open windows"])


def example_17(folder):
    pages, groups = ("/home", "/cart", "/item", "/help", "/pay"), collections.defaultdict(
        collections.Counter)
    for i in range(200):
        groups[iso(window(i * 600, 60000))][
            pages[i * i % 7 % 5], "tablet" if i % 3 == 0 else "phone"] += 1
    expected = []
    for start, counts in groups.items():
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        expected += [("top", *key, start, str(n)) for key, n in ranked[:3]]
        expected += [("best", *next((key, n) for key, n in ranked if key[1] == device)[0], start,
                      str(next(n for key, n in ranked if key[1] == device)))
                     for device in ("phone", "tablet")]
    out, _ = run(cwd=folder)
    equal(sorted(tuple(line.split()) for line in out), sorted(expected))


def example_demo(folder):
    out, _ = run("--seconds", 3, "--database", "demo.db", "--modules", MODULES, cwd=folder)
    last = out[-1]
    match = re.fullmatch(r"sqlite3 (\S+) '(.*)'", last)
    if not match:
        raise AssertionError("the last line is no query: " + last)
    equal(match.group(1), "demo.db")
    rows = query(os.path.join(folder, match.group(1)), match.group(2))
    equal({row[0] for row in rows}, {"/home", "/search", "/product", "/cart", "/pay"})
    counted = sum(row[1] for row in rows)
    summary = re.search(r"(\d+) events sent, (\d+) refused by their schema, (\d+) dead letters",
                        "\n".join(out))
    sent, refused, dead = map(int, summary.groups())
    if not (0 < counted < sent and refused > 0 and dead > 0):
        raise AssertionError("%d counted of %s" % (counted, summary.group(0)))
    # rows and offsets are one transaction: every view up to them is counted once, or a dead letter
    offsets = {text for text, in query(os.path.join(folder, "demo.db"),
                                       "SELECT offsets FROM evs_epochs")}
    equal(len(offsets), 1)
    read = sum(int(line.split()[-1]) for line in offsets.pop().splitlines()
               if " evs_demo_views " in line)
    equal(counted + dead, read)
    sold = query(os.path.join(folder, "demo.db"), "SELECT sku, sum(revenue), sum(sold) FROM revenue "
                 "GROUP BY sku")
    equal(sorted(row[0] for row in sold), ["cake", "coffee", "tea"])
    equal([row[1] for row in sold], [2.5 * row[2] for row in sold])


def main():
    name = pathlib.Path(PROGRAM).name
    test = globals()["example_" + name.split("_")[0]]
    print("1..1")
    with tempfile.TemporaryDirectory() as folder:
        try:
            test(folder)
        except Exception as error:  # pylint: disable=broad-except
            print("not ok 1 - " + name)
            print("\n".join("# " + line for line in (type(error).__name__ + ": " +
                                                     str(error)).splitlines()))
            sys.exit(1)
    print("ok 1 - " + name)


main()
