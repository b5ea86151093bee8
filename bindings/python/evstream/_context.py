"""Context, options, and what every object of this package has in common.

Ownership: a Python object owns one reference of its C object and gives it back when it is closed
or no longer reachable, in any order: C objects hold what they were made from. Python callbacks are
known to C by a number, not by an address, so nothing dangles: `slots` maps the number to the
callback, and an object forgets its numbers with its reference.

An exception in a callback cannot pass through C. It is kept in the object's Faults and raised from
the call that ran the callback; one that comes too late for that (an object dropped without close)
goes to sys.unraisablehook, so none is ever lost.
"""

from __future__ import annotations

import ctypes
import itertools
import logging
import sys
import threading
import types
import weakref
from datetime import timedelta
from typing import Any, Callable, Mapping, Optional, Union

from ._error import Error, Status, raising
from ._library import FOREVER, LOG_FN, ContextOptions, init, lib, module_dir

# ---- callbacks ----------------------------------------------------------------------------------

slots: dict[int, Any] = {}
_numbers = itertools.count(1)


def keep(value: Any) -> int:
    """A number for C under which callbacks find `value` again."""
    number = next(_numbers)
    slots[number] = value
    return number


def report_unraisable(error: BaseException, where: Any) -> None:
    """Tell an exception that no call can raise any more."""
    sys.unraisablehook(types.SimpleNamespace(
        exc_type=type(error), exc_value=error, exc_traceback=error.__traceback__,
        err_msg="evstream: exception in a callback", object=where))


class Faults:
    """Exceptions of callbacks that wait for a call to raise them, oldest first."""

    def __init__(self) -> None:
        self._waiting: list[BaseException] = []

    def add(self, error: BaseException) -> None:
        self._waiting.append(error)

    def raise_first(self) -> None:
        if self._waiting:
            raise self._waiting.pop(0)

    def report_all(self, where: Any) -> None:
        while self._waiting:
            report_unraisable(self._waiting.pop(0), where)


# ---- objects ------------------------------------------------------------------------------------


class Handle:
    """One reference of a C object. `release` gets the pointer once, at close() or after the last
    Python reference; the numbers in `kept` are forgotten after it."""

    def __init__(self, pointer: Any, release: Callable[[Any], Any]) -> None:
        self.kept: list[int] = []
        self.faults = Faults()
        self._pointer: Optional[int] = pointer
        self._finalizer = weakref.finalize(self, _finalize, pointer, release, self.kept,
                                           self.faults, type(self).__name__)

    @property
    def pointer(self) -> int:
        """The C handle; Error when the object was closed."""
        if self._pointer is None:
            raise Error(Status.ERR_MISUSE, "%s is closed" % type(self).__name__)
        return self._pointer

    @property
    def closed(self) -> bool:
        return self._pointer is None

    def dispose(self) -> None:
        """Give the reference back now; what callbacks raise meanwhile stays in `faults`."""
        self._pointer = None
        detached = self._finalizer.detach()
        if detached:
            pointer, release, kept, _, _ = detached[2]  # the arguments of _finalize()
            _release(pointer, release, kept)


def _release(pointer: Any, release: Callable[[Any], Any], kept: list) -> None:
    release(pointer)
    for number in kept:
        slots.pop(number, None)
    kept.clear()


def _finalize(pointer: Any, release: Callable[[Any], Any], kept: list, faults: Faults,
              name: str) -> None:
    _release(pointer, release, kept)
    faults.report_all(name)


# ---- text and options ---------------------------------------------------------------------------


def text(value: str, what: str = "text") -> bytes:
    """UTF-8 for C. C text ends at a NUL: one inside would silently cut it."""
    if not isinstance(value, str):
        raise TypeError("%s must be str, not %s" % (what, type(value).__name__))
    if "\0" in value:
        raise ValueError("%s must not contain NUL" % what)
    return value.encode()


Duration = Union[int, str, timedelta]
_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def milliseconds(value: Duration, what: str) -> int:
    """A duration as the library's options write it: ms, "250ms", "10s", "5m", "1h", "7d",
    "forever"; or a timedelta."""
    if isinstance(value, timedelta):
        return value // timedelta(milliseconds=1)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        word = value.strip()
        if word == "forever":
            return FOREVER
        digits = word.rstrip("smhd")
        unit = word[len(digits):] or "ms"
        try:
            return int(digits) * _UNITS[unit]
        except (ValueError, KeyError):
            pass
    raise ValueError("%s: %r is no duration: milliseconds, \"250ms\", \"10s\", \"5m\", \"1h\", "
                     "\"7d\", \"forever\" or a timedelta" % (what, value))


# Option names that have an underscore; in all others an underscore of a keyword stands for a dot.
UNDERSCORED = frozenset({
    "close_after", "end.close_windows", "future_action", "future_max", "idle_timeout",
    "key.partitioned_by", "on_error", "out_of_orderness",
})
_BY_KEYWORD = {name.replace(".", "_"): name for name in UNDERSCORED}

OptionValue = Union[str, int, float, bool, timedelta, None]


def option_name(keyword: str) -> str:
    """event_time -> event.time, out_of_orderness stays; a name with a dot is taken as it is."""
    if "." in keyword:
        return keyword
    return _BY_KEYWORD.get(keyword) or keyword.rstrip("_").replace("_", ".")


def option_text(name: str, value: OptionValue) -> bytes:
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, timedelta):
        return b"%d" % milliseconds(value, name)
    if isinstance(value, (int, float)):
        return repr(value).encode()
    return text(value, "option \"%s\"" % name)  # type: ignore[arg-type]


def option_pairs(values: Mapping[str, OptionValue]) -> list[tuple[bytes, bytes]]:
    """Names and values for C of keyword arguments; None means not set."""
    pairs = []
    for keyword, value in values.items():
        if value is not None:
            name = option_name(keyword)
            pairs.append((text(name, "option name"), option_text(name, value)))
    return pairs


class Options(Handle):
    """evs_options made of keyword arguments."""

    def __init__(self, context: Context, values: Mapping[str, OptionValue]) -> None:
        made = ctypes.c_void_p()
        raising(lib.evs_options_new, context.pointer, ctypes.byref(made))
        super().__init__(made.value, lib.evs_options_unref)
        for name, value in option_pairs(values):
            raising(lib.evs_options_set, self.pointer, name, value)


# ---- context ------------------------------------------------------------------------------------

LEVELS = {"error": 3, "warning": 4, "info": 6, "debug": 7}
_LOGGING = {3: logging.ERROR, 4: logging.WARNING, 6: logging.INFO, 7: logging.DEBUG}

LogFunction = Callable[[str, str, str], None]


@LOG_FN
def _on_log(level: int, where: bytes, message: bytes, number: int) -> None:
    function = slots.get(number)
    if function is None:
        return
    try:
        name = {v: k for k, v in LEVELS.items()}.get(level, str(level))
        function(name, where.decode("utf-8", "replace"), message.decode("utf-8", "replace"))
    except BaseException as error:  # pylint: disable=broad-except
        report_unraisable(error, function)


def _to_logging(level: str, where: str, message: str) -> None:
    logging.getLogger("evstream." + where).log(
        _LOGGING.get(LEVELS.get(level, 6), logging.INFO), "%s", message)


class Context(Handle):
    """What everything else is made from: registered schemas, the embedded Kafka, the log.

    Objects share what their context has: producer and consumer of the same `embedded:` Kafka need
    the same context. Those made without one use default_context().

    log         called with (level, where, message); None: Python's logging, loggers `evstream.*`
    log_level   "error", "warning", "info" or "debug"
    module_dir  where connector modules (sqlite, redis) are; None: beside the library
    """

    def __init__(self, *, log: Optional[LogFunction] = None, log_level: str = "warning",
                 module_dir: Optional[str] = None) -> None:  # pylint: disable=redefined-outer-name
        if log_level not in LEVELS:
            raise ValueError("log_level must be one of %s, not %r" % (", ".join(LEVELS), log_level))
        number = keep(log or _to_logging)
        options = init(ContextOptions, "evs_context_options_init")
        options.log = ctypes.cast(_on_log, ctypes.c_void_p).value
        options.log_user_data = number
        options.log_level = LEVELS[log_level]
        where = module_dir if module_dir is not None else _module_dir()
        options.module_dir = text(where, "module_dir") if where is not None else None
        made = ctypes.c_void_p()
        try:
            raising(lib.evs_context_new, ctypes.byref(options), ctypes.byref(made))
        except BaseException:
            slots.pop(number, None)
            raise
        # The C context may outlive this object, and with it the number of its log function: it
        # stays in `slots`, a few bytes for the rare context, so that late lines are not lost.
        super().__init__(made.value, lib.evs_context_unref)


_module_dir = module_dir
_default: Optional[Context] = None
_default_lock = threading.Lock()


def default_context() -> Context:
    """The context of objects that were made without one."""
    global _default  # pylint: disable=global-statement
    with _default_lock:
        if _default is None:
            _default = Context()
        return _default
