#!/usr/bin/env python3
"""Read what `meson test` left in meson-logs/*.json: count subtests, show failures.

Usage: testlog.py LOG.json [--lines PREFIX]

A test of protocol TAP counts one for each of its subtests, any other test counts one. A TAP program
that died, timed out or broke its plan counts one more failure: the subtests that it never came to
are not known. Prints what was skipped and the failures with the end of the program's output; the
last line is

    PASSED FAILED SKIPPED

--lines PREFIX prints the output lines that start with PREFIX (after TAP's "# ") instead of nothing
for tests that passed: how the conformance runners' results reach the terminal.
"""

import argparse
import json
import re

TAP_LINE = re.compile(r"^(not ok|ok)\b\s*\d*\s*-?\s*(.*?)\s*(?:#\s*(SKIP|TODO)\b(.*))?$", re.I)
SKIP_ALL = re.compile(r"^1\.\.0\s*#\s*SKIP\S*\s*(.*)$", re.I | re.M)
TAIL_LINES = 40


def tap_results(text):
    """Yield (outcome, name) for every TAP line; outcome is passed, failed or skipped."""
    for line in text.splitlines():
        match = TAP_LINE.match(line)
        if not match:
            continue
        word, name, directive, reason = match.groups()
        directive, reason = (directive or "").upper(), (reason or "").strip()
        if directive == "SKIP":
            yield "skipped", (name + " " + reason).strip()
        elif directive == "TODO":
            yield "skipped" if word == "not ok" else "failed", name
        else:
            yield "passed" if word == "ok" else "failed", name


def classify(test):
    """Count one Meson test; returns ({outcome: n}, [what failed], [what was skipped])."""
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    failures, skips = [], []
    for outcome, name in tap_results(test.get("stdout") or ""):
        counts[outcome] += 1
        if outcome == "failed":
            failures.append(name)
        elif outcome == "skipped":
            skips.append(name)
    result = test["result"]
    if result in ("OK", "EXPECTEDFAIL", "UNEXPECTEDPASS"):
        if not sum(counts.values()):
            counts["failed" if result == "UNEXPECTEDPASS" else "passed"] += 1
    elif result == "SKIP":
        if not sum(counts.values()):
            counts["skipped"] += 1
            plan = SKIP_ALL.search(test.get("stdout") or "")
            skips.append(plan.group(1) if plan else "")
    elif result == "FAIL" and test.get("returncode") == 0 and counts["skipped"] and not failures:
        # cmocka 1.1.5 writes "not ok N # SKIP", which Meson takes for a failure.
        pass
    elif not failures:
        counts["failed"] += 1
        failures.append("%s, exit status %s" % (result.lower(), test.get("returncode")))
    return counts, failures, skips


def show_failure(test, failures):
    """The failing subtests' names, then the end of what the program said."""
    print("FAILED %s (%.1f s)" % (test["name"], test.get("duration") or 0))
    for name in failures:
        print("    %s" % name)
    for stream in ("stdout", "stderr"):
        lines = (test.get(stream) or "").splitlines()
        if stream == "stdout":
            lines = [line for line in lines if not line.startswith("ok ")]
        if lines:
            print("  --- %s%s" % (stream, ", last %d lines" % TAIL_LINES
                                 if len(lines) > TAIL_LINES else ""))
            for line in lines[-TAIL_LINES:]:
                print("  %s" % line)
    environment = " ".join("%s=%s" % (k, v) for k, v in sorted((test.get("env") or {}).items())
                           if k.startswith("EVS_"))
    print("  --- run it again: %s%s" % (environment + " " if environment else "",
                                        " ".join(test.get("command") or [])))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("log")
    parser.add_argument("--lines", metavar="PREFIX")
    arguments = parser.parse_args()

    total = {"passed": 0, "failed": 0, "skipped": 0}
    with open(arguments.log, encoding="utf-8", errors="replace") as log:
        tests = [json.loads(line) for line in log if line.strip()]
    for test in tests:
        counts, failures, skips = classify(test)
        for outcome, n in counts.items():
            total[outcome] += n
        if arguments.lines:
            for line in (test.get("stdout") or "").splitlines():
                line = line[2:] if line.startswith("# ") else line
                if line.startswith(arguments.lines):
                    print(line)
        for skip in skips:
            print("skipped: %s: %s" % (test["name"], skip))
        if failures:
            show_failure(test, failures)
    print(total["passed"], total["failed"], total["skipped"])


if __name__ == "__main__":
    main()
