"""The Arrow C Data and C Stream interfaces, and the PyCapsules that carry them in Python
(https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html).

Nothing here imports pyarrow: a capsule is a pointer to a struct, and everything that takes or
gives Arrow tables (pyarrow, polars, DuckDB, pandas) speaks this protocol.

    out: batches -> ArrowArrayStream of ours (callbacks below) -> capsule -> consumer
    in:  capsule of a producer -> its get_next() -> evs_batch_import_arrow() without a copy

A capsule's struct lives in `_alive` until the capsule dies. A consumer moves what it takes (copies
the struct and clears `release`); what nobody took is released with the capsule. Then only the
memory of the struct itself is left, and it goes with its entry.
"""

from __future__ import annotations

import ctypes
import errno
from typing import Any, Iterator, Optional

from ._context import Context, keep, slots
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
# The same for a destructor: the capsule is dying, a Python reference to it must not be made.
_get_dying = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", _api))
_DESTRUCTOR = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)

_alive: dict[int, Any] = {}


def _release(struct: Any) -> None:
    if struct.release:
        struct.release(ctypes.byref(struct))


def _capsule(struct: Any, name: bytes, destructor: Any) -> Any:
    address = ctypes.addressof(struct)
    _alive[address] = struct
    return _new(address, name, ctypes.cast(destructor, ctypes.c_void_p))


def _destructor(name: bytes) -> Any:
    def destroy(capsule: int) -> None:
        struct = _alive.pop(_get_dying(capsule, name), None)
        if struct is not None:
            _release(struct)
    return _DESTRUCTOR(destroy)


_SCHEMA, _ARRAY, _STREAM = b"arrow_schema", b"arrow_array", b"arrow_array_stream"
_destroy_schema, _destroy_array, _destroy_stream = map(_destructor, (_SCHEMA, _ARRAY, _STREAM))

# ---- out ----------------------------------------------------------------------------------------


def array_capsules(batch: Batch) -> tuple:
    """(schema, array) of one batch."""
    schema, array = ArrowSchema(), ArrowArray()
    batch.export(schema, array)
    return (_capsule(schema, _SCHEMA, _destroy_schema), _capsule(array, _ARRAY, _destroy_array))


class _Stream:
    """What the callbacks of one exported stream know."""

    def __init__(self, empty: Batch, batches: Iterator[Batch]) -> None:
        self.empty = empty  # the schema, also when there is no batch
        self.batches = batches
        self.error: Any = None


def _failed(stream: _Stream, error: BaseException) -> int:
    what = str(error) if isinstance(error, Error) else "%s: %s" % (type(error).__name__, error)
    stream.error = ctypes.create_string_buffer(what.encode("utf-8", "replace"))
    return errno.EIO


@ArrowArrayStream._fields_[0][1]
def _get_schema(self: Any, schema: Any) -> int:
    stream = slots[self.contents.private_data]
    try:
        array = ArrowArray()
        stream.empty.export(schema.contents, array)
        _release(array)
        return 0
    except BaseException as error:  # pylint: disable=broad-except
        return _failed(stream, error)


@ArrowArrayStream._fields_[1][1]
def _get_next(self: Any, array: Any) -> int:
    stream = slots[self.contents.private_data]
    try:
        ctypes.memset(array, 0, ctypes.sizeof(ArrowArray))  # released: the end
        for batch in stream.batches:
            batch.export(None, array.contents)
            batch.dispose()
            break
        return 0
    except BaseException as error:  # pylint: disable=broad-except
        return _failed(stream, error)


@ArrowArrayStream._fields_[2][1]
def _get_last_error(self: Any) -> Optional[int]:
    error = slots[self.contents.private_data].error
    return ctypes.addressof(error) if error is not None else None


@ArrowArrayStream._fields_[3][1]
def _release_stream(self: Any) -> None:
    slots.pop(self.contents.private_data, None)
    # clear `release`, the mark of a released struct
    ctypes.memset(self, 0, ctypes.sizeof(ArrowArrayStream))


def stream_capsule(empty: Batch, batches: Iterator[Batch]) -> Any:
    """An arrow_array_stream of batches; `empty` is a batch of the same type without rows."""
    stream = ArrowArrayStream(_get_schema, _get_next, _get_last_error, _release_stream,
                              keep(_Stream(empty, batches)))
    return _capsule(stream, _STREAM, _destroy_stream)


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
                ctypes.string_at(why).decode("utf-8", "replace") if why else
                errno.errorcode.get(code, str(code))))

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
