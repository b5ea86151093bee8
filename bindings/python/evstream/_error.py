"""Statuses and the exception.

Every failure of the library becomes Error, with the status, the one-line message and where it
happened. raising() is how the other modules call a C function that takes `evs_error **reterr`.
"""

from __future__ import annotations

import ctypes
import enum
from typing import Any

from ._library import lib


class Status(enum.IntEnum):
    """evs_status of the C library: 0 success, positive an expected outcome, negative a failure."""

    OK = 0
    AGAIN = 1
    END = 2
    ERR_INVALID = -1
    ERR_NOMEM = -2
    ERR_CONFIG = -3
    ERR_SCHEMA = -4
    ERR_DECODE = -5
    ERR_ENCODE = -6
    ERR_EXPRESSION = -7
    ERR_TYPE = -8
    ERR_STATE = -9
    ERR_CORRUPT = -10
    ERR_IO = -11
    ERR_TIMEOUT = -12
    ERR_UNAVAILABLE = -13
    ERR_LIMIT = -14
    ERR_NOT_FOUND = -15
    ERR_MISUSE = -16
    ERR_UNSUPPORTED = -17
    ERR_AUTH = -18
    ERR_OVERFLOW = -19
    ERR_CALLBACK = -20
    ERR_TIME = -21
    ERR_KAFKA = -22
    ERR_INTERNAL = -23


def status_of(value: int) -> int:
    """The Status of a number; a newer library's unknown status stays a number."""
    try:
        return Status(value)
    except ValueError:
        return value


class Error(Exception):
    """A failure of the library.

    status      Status, Status.ERR_SCHEMA for one
    message     one line
    origin      where: "items[0].quantity", "purchase.avsc:3:17", "column 12"; "" if nowhere
    retriable   whether the same call may succeed later without a change
    fatal       whether the object that reported it can only be closed
    kafka_code  librdkafka's code where it was the origin, otherwise 0
    """

    def __init__(self, status: int, message: str, *, origin: str = "", retriable: bool = False,
                 fatal: bool = False, kafka_code: int = 0) -> None:
        super().__init__(message)
        self.status = status_of(status)
        self.message = message
        self.origin = origin
        self.retriable = retriable
        self.fatal = fatal
        self.kafka_code = kafka_code

    def __str__(self) -> str:
        return "%s: %s" % (lib.evs_status_name(self.status).decode(), self.message)

    def __reduce__(self) -> Any:
        return (_rebuild, (int(self.status), self.message, self.origin, self.retriable, self.fatal,
                           self.kafka_code))


def _rebuild(status: int, message: str, origin: str, retriable: bool, fatal: bool,
             kafka_code: int) -> Error:
    return Error(status, message, origin=origin, retriable=retriable, fatal=fatal,
                 kafka_code=kafka_code)


def from_handle(status: int, handle: Any) -> Error:
    """An Error from an evs_error that stays its owner's; without one, the status' own text."""
    text = lib.evs_error_message(handle) or lib.evs_status_text(status)
    return Error(status, text.decode("utf-8", "replace"),
                 origin=lib.evs_error_origin(handle).decode("utf-8", "replace"),
                 retriable=lib.evs_error_is_retriable(handle),
                 fatal=lib.evs_error_is_fatal(handle),
                 kafka_code=lib.evs_error_kafka_code(handle))


def attempt(function: Any, *args: Any) -> tuple:
    """(status, Error or None) of a function that takes an `evs_error **` last."""
    handle = ctypes.c_void_p()
    status = function(*args, ctypes.byref(handle))
    if status >= 0:
        return status, None
    try:
        return status, from_handle(status, handle)
    finally:
        lib.evs_error_unref(handle)


def raising(function: Any, *args: Any) -> int:
    """The status of a call when it is not a failure; otherwise raises Error."""
    status, error = attempt(function, *args)
    if error:
        raise error
    return status
