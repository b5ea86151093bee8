#!/usr/bin/env python3
"""Runs the tests of one file, or of all files beside this one, and prints TAP.

Usage: run.py [NAME...]        run.py test_window

EVSTREAM_LIBRARY names the library to test. A skipped test prints its reason; `python3 -m unittest
discover -s bindings/python/tests` runs the same tests without TAP.
"""

import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]


class TapResult(unittest.TestResult):
    """One line per test; what failed follows as comments."""

    count = 0

    def line(self, test, ok, note="", details=""):
        self.count += 1
        print("%s %d - %s%s" % ("ok" if ok else "not ok", self.count, test.id(), note))
        for detail in details.splitlines():
            print("# " + detail)
        sys.stdout.flush()

    def addSuccess(self, test):
        self.line(test, True)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.line(test, False, details=self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self.line(test, False, details=self.errors[-1][1])

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.line(subtest, False, details=(self.failures + self.errors)[-1][1])

    def addSkip(self, test, reason):
        self.line(test, True, " # SKIP " + reason)


def main():
    names = sys.argv[1:] or sorted(path.stem for path in HERE.glob("test_*.py"))
    result = TapResult()
    unittest.defaultTestLoader.loadTestsFromNames(names).run(result)
    print("1..%d" % result.count)
    sys.exit(not result.wasSuccessful())


main()
