#!/usr/bin/env python3
"""Runs the tests of one file, or of all files beside this one, and prints TAP.

Usage: run.py [NAME...]        run.py test_window, run.py FOLDER/test_kafka_groups.py

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
    paths = [pathlib.Path(name) for name in sys.argv[1:]] or sorted(HERE.glob("test_*.py"))
    sys.path[:0] = {str(path.parent.resolve()) for path in paths if path.parent.name}
    result = TapResult()
    unittest.defaultTestLoader.loadTestsFromNames([path.stem for path in paths]).run(result)
    print("1..%d" % result.count)
    sys.exit(not result.wasSuccessful())


main()
