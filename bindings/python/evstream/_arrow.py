"""The Arrow C Data and C Stream interfaces, and the PyCapsules that carry them in Python
(https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html).

Nothing here imports pyarrow: a capsule is a pointer to a struct, and everything that takes or
gives Arrow tables (pyarrow, polars, DuckDB, pandas) speaks this protocol.

    out: batches -> evs_batches_export_arrow() -> capsule -> consumer
    in:  capsule of a producer -> its get_next() -> evs_batch_import_arrow() without a copy

Consumers release structs while an exception is on its way, when no Python code must run. So the
callbacks of what goes out are the library's own, and capsules have no destructor: a consumer moves
what it takes (copies the struct and clears `release`), and what nobody took is found by sweep(),
which every new capsule calls: `_alive` holds each capsule with its struct until nobody else does.
"""

from __future__ import annotations

import ctypes
import errno
import sys
from typing import Any, Iterator, Optional

from ._context import Context
from ._error import Error, Status, raising
from ._library import ArrowArray, ArrowArrayStream, ArrowSchema, lib
from ._values import Batch

_api = ctypes.pythonapi
_new = _api.PyCapsule_New
_new.restype = ctypes.py_object
_new.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
_get = _api.PyCapsule_GetPointer
_get.restype = ctypes.c_void_p
_get.argtypes = (ctypes.py_object, ctypes.c_char_p)
_SCHEMA, _ARRAY, _STREAM = b"arrow_schema", b"arrow_array", b"arrow_array_stream"

_alive: list[tuple[Any, Any]] = []  # capsule, struct


def _release(struct: Any) -> None:
    if struct.release:
        struct.release(ctypes.byref(struct))


def sweep() -> None:
    """Release the structs of capsules that are only here."""
    used, unused = [], []
    while _alive:
        capsule, struct = _alive.pop()
        # this variable and getrefcount()'s own argument
        (unused if sys.getrefcount(capsule) <= 2 else used).append((capsule, struct))
    _alive.extend(used)
    for _, struct in unused:
        _release(struct)


def _capsule(struct: Any, name: bytes) -> Any:
    sweep()
    capsule = _new(ctypes.addressof(struct), name, None)
    _alive.append((capsule, struct))
    return capsule


# ---- out ----------------------------------------------------------------------------------------


def array_capsules(batch: Batch) -> tuple:
    """(schema, array) of one batch."""
    schema, array = ArrowSchema(), ArrowArray()
    batch.export(schema, array)
    return _capsule(schema, _SCHEMA), _capsule(array, _ARRAY)


def stream_capsule(row_type: int, batches: list[Batch]) -> Any:
    """A stream of batches of a type."""
    stream = ArrowArrayStream()
    pointers = (ctypes.c_void_p * len(batches))(*[batch.pointer for batch in batches])
    raising(lib.evs_batches_export_arrow, row_type, pointers, len(batches), False,
            ctypes.byref(stream))
    return _capsule(stream, _STREAM)


# ---- in -----------------------------------------------------------------------------------------


def is_arrow(value: Any) -> bool:
    """Whether rows come as Arrow: a table, record batch or reader of any library."""
    return hasattr(value, "__arrow_c_stream__") or hasattr(value, "__arrow_c_array__")


def _name(schema: ArrowSchema) -> str:
    return (schema.name or b"").decode()


def _time_column(schema: ArrowSchema, wanted: Optional[str]) -> str:
    fields = [schema.children[i].contents for i in range(schema.n_children)]
    if wanted is not None:
        return wanted
    stamps = [_name(field) for field in fields if field.format.startswith(b"ts")]
    return only_time(stamps, [_name(field) for field in fields])


def only_time(stamps: list[str], names: list[str]) -> str:
    """The one column of points in time; Error when there is none or the choice is not ours."""
    if len(stamps) == 1:
        return stamps[0]
    raise Error(Status.ERR_TIME, "%s: name the column with the event time by time= (columns: %s)" % (
        "several columns hold points in time" if stamps else "no column holds points in time",
        ", ".join("\"%s\"" % name for name in names)))


def _import(context: Context, schema: ArrowSchema, array: ArrowArray,
            time: Optional[str]) -> Batch:
    made = ctypes.c_void_p()
    column = _time_column(schema, time).encode()
    raising(lib.evs_batch_import_arrow, context.pointer, ctypes.byref(schema), ctypes.byref(array),
            column, ctypes.byref(made))
    return Batch(made.value)  # type: ignore[arg-type]


def _from_stream(context: Context, value: Any, time: Optional[str]) -> Iterator[Batch]:
    capsule = value.__arrow_c_stream__()
    stream = ArrowArrayStream.from_address(_get(capsule, _STREAM))

    def ask(function: Any, out: Any) -> None:
        code = function(ctypes.byref(stream), ctypes.byref(out))
        if code:
            why = stream.get_last_error(ctypes.byref(stream))
            raise Error(Status.ERR_IO, "Arrow input: %s" % (
                why.decode("utf-8", "replace") if why else errno.errorcode.get(code, str(code))))

    while True:
        array, schema = ArrowArray(), ArrowSchema()
        ask(stream.get_next, array)
        if not array.release:
            break
        try:
            ask(stream.get_schema, schema)
            batch = _import(context, schema, array, time)
        except BaseException:
            _release(array)
            _release(schema)
            raise
        yield batch
    del capsule


def _from_array(context: Context, value: Any, time: Optional[str]) -> Iterator[Batch]:
    schema_capsule, array_capsule = value.__arrow_c_array__()
    schema = ArrowSchema.from_address(_get(schema_capsule, _SCHEMA))
    array = ArrowArray.from_address(_get(array_capsule, _ARRAY))
    yield _import(context, schema, array, time)


def batches_of(context: Context, value: Any, time: Optional[str]) -> Iterator[Batch]:
    """Batches of an Arrow producer, with the column `time` (None: the only timestamp) as event
    time."""
    if hasattr(value, "__arrow_c_stream__"):
        return _from_stream(context, value, time)
    return _from_array(context, value, time)
