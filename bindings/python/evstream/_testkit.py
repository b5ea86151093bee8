"""A pipeline in your own tests: memory ends in place of its connectors, a clock that you move.

        with evs.TestKit(pipeline) as kit:
            kit.send("page_views", {"page": "/a"}, at=1000)
            kit.advance("66s")
            kit.expect("views_per_minute", page="/a", views=1)

The pipeline is the one of production; see evstream/testkit.h for what each call promises. A failed
expectation is an AssertionError that tells the nearest row; everything else is evs.Error.
"""

from __future__ import annotations

import ctypes
import json
from typing import Any, Mapping, Optional, Union

from ._context import Duration, Handle, milliseconds, text
from ._error import Error, Status, raising
from ._library import TIME_NONE, lib
from ._pipeline import Pipeline
from ._producer import to_json
from ._values import raising_status, to_milliseconds


class TestKit(Handle):
    """Drives a pipeline that was not started. Close it before the pipeline."""

    __test__ = False  # for pytest: this is no test

    def __init__(self, pipeline: Pipeline) -> None:
        made = ctypes.c_void_p()
        raising(lib.evs_testkit_new, pipeline.pointer, ctypes.byref(made))
        super().__init__(made.value, lib.evs_testkit_close)
        self._pipeline = pipeline

    # ---- events and time ----

    def send(self, source: str, event: Union[Mapping[str, Any], str], at: Any = None) -> None:
        """An event as a dict or JSON text; `at` is the record's timestamp."""
        data = event.encode() if isinstance(event, str) else to_json(event)
        self._call(lib.evs_testkit_send, text(source, "source"), _time(at), data)

    def send_bytes(self, source: str, value: Optional[bytes], at: Any = None, *,
                   key: Optional[bytes] = None) -> None:
        """Bytes as they are; None: a tombstone."""
        self._call(lib.evs_testkit_send_bytes, text(source, "source"), _time(at), value,
                   len(value or b""), key, len(key or b""))

    def advance(self, duration: Duration) -> None:
        """Let time pass: "66s", or milliseconds."""
        self._call(lib.evs_testkit_advance, milliseconds(duration, "duration"))

    def end(self) -> None:
        """No more events for any source."""
        self._call(lib.evs_testkit_end)

    @property
    def now(self) -> int:
        """The clock, ms since the epoch."""
        return lib.evs_testkit_now(self.pointer)

    # ---- expectations ----

    def expect(self, sink: str, **fields: Any) -> None:
        """A row with these fields, that no expectation has taken yet."""
        self._expect(lib.evs_testkit_expect, text(sink, "sink"), to_json(fields))

    def expect_none(self, sink: str) -> None:
        """No rows but those that expectations have taken."""
        self._expect(lib.evs_testkit_expect_none, text(sink, "sink"))

    def expect_dead_letter(self, **fields: Any) -> None:
        """kit.expect_dead_letter(stage="decode")"""
        self._expect(lib.evs_testkit_expect_dead_letter, to_json(fields))

    def expect_late(self, **fields: Any) -> None:
        """A late row with these fields."""
        self._expect(lib.evs_testkit_expect_late, to_json(fields))

    def next(self, sink: str) -> Optional[dict]:
        """The next row that no expectation has taken, as its JSON; None when there is none."""
        found = ctypes.c_char_p()
        status = self._call(lib.evs_testkit_next, text(sink, "sink"), ctypes.byref(found))
        return None if status == Status.END else json.loads(found.value or b"null")

    # ---- injections ----

    def reorder(self, seed: int, within: Duration) -> None:
        """From now on events arrive out of order, up to `within` of their time."""
        self._call(lib.evs_testkit_reorder, seed, milliseconds(within, "within"))

    def crash_and_restore(self) -> None:
        """The process dies here and goes on from the last commit."""
        self._call(lib.evs_testkit_crash_and_restore)

    def crash_in_commit(self, step: int) -> bool:
        """The same in the middle of a commit; False when it has no such step."""
        return self._call(lib.evs_testkit_crash_in_commit, step) != Status.END

    def close(self) -> None:
        """End the kit; its pipeline runs no more."""
        if not self.closed:
            self.dispose()

    def __enter__(self) -> TestKit:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    # ---- inside ----

    def _fault(self, status: int) -> None:
        self._pipeline.faults.raise_first()  # what a callback raised
        told = lib.evs_testkit_error(self.pointer)
        if told:
            raise Error(status, told.decode("utf-8", "replace"))

    def _call(self, function: Any, *args: Any) -> int:
        status = function(self.pointer, *args)
        if status < 0:
            self._fault(status)
        return raising_status(status)

    def _expect(self, function: Any, *args: Any) -> None:
        why = ctypes.c_char_p()
        if function(self.pointer, *args, ctypes.byref(why)):
            return
        self._fault(Status.ERR_STATE)
        raise AssertionError((why.value or b"").decode("utf-8", "replace"))


def _time(at: Any) -> int:
    return TIME_NONE if at is None else to_milliseconds(at)
