"""What the tests share."""

import datetime
import os
import pathlib
import time
import uuid

import evstream as evs

ROOT = pathlib.Path(__file__).resolve().parents[3]
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
START_MS = 1767225600000
PURCHASE = {
    "type": "record", "name": "Purchase", "fields": [
        {"name": "user_id", "type": "string"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "coupon", "type": ["null", "string"], "default": None},
        {"name": "items", "type": {"type": "array", "items": {
            "type": "record", "name": "Item", "fields": [
                {"name": "sku", "type": "string"},
                {"name": "quantity", "type": "int"},
                {"name": "price", "type": {"type": "bytes", "logicalType": "decimal",
                                           "precision": 9, "scale": 2}}]}}}]}


def topic(name="t"):
    """A name that no other run has."""
    return "%s-%s" % (name, uuid.uuid4().hex[:12])


def at(seconds):
    """A point in time of the tests' events."""
    return START + datetime.timedelta(seconds=seconds)


def wait_for(condition, what, seconds=30):
    """Poll a condition up to a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("not within %d s: %s" % (seconds, what))
        time.sleep(0.01)


class Unraisable:
    """Collects what goes to sys.unraisablehook."""

    def __init__(self):
        self.seen = []

    def __enter__(self):
        import sys
        self._before = sys.unraisablehook
        sys.unraisablehook = lambda args: self.seen.append(args.exc_value)
        return self

    def __exit__(self, *_):
        import sys
        sys.unraisablehook = self._before


def library():
    return os.environ["EVSTREAM_LIBRARY"]


__all__ = ["PURCHASE", "ROOT", "START", "START_MS", "Unraisable", "at", "evs", "library", "topic",
           "wait_for"]
