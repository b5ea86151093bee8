"""Rows of C batches as Python values, and back.

    type       Python                        type        Python
    BOOLEAN    bool                          TIMESTAMP   datetime, UTC (int ms beyond year 9999)
    INT        int                           DATE        datetime.date (int days likewise)
    BIGINT     int                           TIME        datetime.time
    DOUBLE     float                         ARRAY       list
    DECIMAL    decimal.Decimal               MAP         dict with str keys
    VARCHAR    str                           STRUCT      dict
    BYTES      bytes                         NULL        None

A batch is read column by column: a column is one memory block that ctypes turns into a list, so
the cost of a row is that of its dict, not of a C call per value. Writing goes through the
appender, a call per value; wide or many rows come in faster as Arrow.
"""

from __future__ import annotations

import ctypes
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, Callable, Iterator, Optional, Sequence

from ._context import Context, Handle
from ._error import Error, Status, raising
from ._library import TIME_NONE, ArrowArray, ArrowSchema, ColumnView, StringView, Value, lib

(BOOLEAN, INT, BIGINT, DOUBLE, DECIMAL, VARCHAR, BYTES, TIMESTAMP, DATE, TIME, ARRAY, MAP,
 STRUCT) = range(1, 14)

KINDS = ("insert", "update", "delete")
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_MS = timedelta(milliseconds=1)
_DATETIME_MIN = (datetime.min.replace(tzinfo=timezone.utc) - _EPOCH) // _MS
_DATETIME_MAX = (datetime.max.replace(tzinfo=timezone.utc) - _EPOCH) // _MS


class Row(dict):
    """A row: a dict of its columns, with its event time (ms since the epoch or None) and kind
    ("insert", "update" or "delete") beside."""

    __slots__ = ("time", "kind")

    def __init__(self, values: Any = (), *, time: Optional[int] = None,  # pylint: disable=redefined-outer-name
                 kind: str = "insert") -> None:
        super().__init__(values)
        self.time = time
        self.kind = kind


# ---- reading ------------------------------------------------------------------------------------


def _timestamp(ms: int) -> Any:
    return _EPOCH + timedelta(milliseconds=ms) if _DATETIME_MIN <= ms <= _DATETIME_MAX else ms


def _date(days: int) -> Any:
    ordinal = _EPOCH_DAY + days
    return date.fromordinal(ordinal) if 1 <= ordinal <= date.max.toordinal() else days


def _time(ms: int) -> time:
    seconds, ms = divmod(ms, 1000)
    return time(seconds // 3600 % 24, seconds // 60 % 60, seconds % 60, ms * 1000)


def _fixed(view: ColumnView, ctype: Any, rows: Sequence[int]) -> list:
    if not view.values:
        return [0] * len(rows)
    values = (ctype * view.length).from_address(view.values)
    if isinstance(rows, range):
        return values[rows.start:rows.stop]
    return [values[i] for i in rows]


def _bits(address: int, rows: Sequence[int], length: int) -> list:
    data = ctypes.string_at(address, (length + 7) // 8)
    return [data[i >> 3] >> (i & 7) & 1 for i in rows]


def _decimals(view: ColumnView, rows: Sequence[int]) -> list:
    if not view.values:
        return [Decimal(0)] * len(rows)
    data = ctypes.string_at(view.values, 16 * view.length)
    scale = lib.evs_type_scale(view.type)
    return [Decimal("%dE%d" % (int.from_bytes(data[16 * i:16 * i + 16], "little", signed=True),
                               -scale)) for i in rows]


def _bytes(view: ColumnView, rows: Sequence[int]) -> list:
    if not view.values:
        return [b""] * len(rows)
    if view.layout == 1:  # views into payloads; those of NULLs may be anything
        views = (StringView * view.length).from_address(view.values)
        valid = _bits(view.validity, rows, view.length) if view.validity else None
        return [ctypes.string_at(views[i].data, views[i].len)
                if views[i].len and (valid is None or valid[n]) else b""
                for n, i in enumerate(rows)]
    offsets = (ctypes.c_int32 * (view.length + 1)).from_address(view.offsets)
    data = ctypes.string_at(view.values, offsets[view.length])
    return [data[offsets[i]:offsets[i + 1]] for i in rows]


def _child(view: ColumnView, index: int) -> ColumnView:
    child = ColumnView()
    raising_status(lib.evs_column_child(ctypes.byref(view), index, ctypes.byref(child)))
    return child


def raising_status(status: int) -> int:
    """For the few functions that give a status and no error."""
    if status < 0:
        raise Error(status, lib.evs_status_text(status).decode())
    return status


def _structs(view: ColumnView, rows: Sequence[int]) -> list:
    names = field_names(view.type)
    columns = [column(_child(view, i), rows) for i in range(view.child_count)]
    return [dict(zip(names, values)) for values in zip(*columns)] if columns else [{}] * len(rows)


def _lists(view: ColumnView, rows: Sequence[int]) -> list:
    elements = _child(view, 0)
    values = column(elements, range(elements.length))
    if not view.offsets:
        return [[] for _ in rows]
    offsets = (ctypes.c_int32 * (view.length + 1)).from_address(view.offsets)
    return [values[offsets[i]:offsets[i + 1]] for i in rows]


def _maps(view: ColumnView, rows: Sequence[int]) -> list:
    # its child is a STRUCT of key and value
    return [{entry["key"]: entry["value"] for entry in entries} for entries in _lists(view, rows)]


_READERS: dict[int, Callable[[ColumnView, Sequence[int]], list]] = {
    BOOLEAN: lambda v, rows: [bool(b) for b in _bits(v.values, rows, v.length)] if v.values
    else [False] * len(rows),
    INT: lambda v, rows: _fixed(v, ctypes.c_int32, rows),
    BIGINT: lambda v, rows: _fixed(v, ctypes.c_int64, rows),
    DOUBLE: lambda v, rows: _fixed(v, ctypes.c_double, rows),
    DECIMAL: _decimals,
    VARCHAR: lambda v, rows: [b.decode("utf-8", "replace") for b in _bytes(v, rows)],
    BYTES: _bytes,
    TIMESTAMP: lambda v, rows: [_timestamp(ms) for ms in _fixed(v, ctypes.c_int64, rows)],
    DATE: lambda v, rows: [_date(days) for days in _fixed(v, ctypes.c_int32, rows)],
    TIME: lambda v, rows: [_time(ms) for ms in _fixed(v, ctypes.c_int32, rows)],
    ARRAY: _lists,
    MAP: _maps,
    STRUCT: _structs,
}


def column(view: ColumnView, rows: Sequence[int]) -> list:
    """Values of a column at physical rows, None where NULL."""
    values = _READERS[lib.evs_type_get_id(view.type)](view, rows)
    if view.validity:
        valid = _bits(view.validity, rows, view.length)
        return [value if ok else None for value, ok in zip(values, valid)]
    return values


def field_names(type_: Any) -> list[str]:
    """Names of a STRUCT type's fields."""
    return [lib.evs_type_field_name(type_, i).decode() for i in range(lib.evs_type_child_count(type_))]


def rows_at(batch: int, rows: Sequence[int]) -> list[Row]:
    """Physical rows of a batch as Row objects."""
    names = field_names(lib.evs_batch_type(batch))
    columns = []
    for i in range(len(names)):
        view = ColumnView()
        raising_status(lib.evs_batch_column(batch, i, ctypes.byref(view)))
        columns.append(column(view, rows))
    times = lib.evs_batch_times(batch)
    kinds = lib.evs_batch_kinds(batch)
    return [Row(zip(names, [values[n] for values in columns]),
                time=times[i] if times and times[i] != TIME_NONE else None,
                kind=KINDS[kinds[i]] if kinds else "insert")
            for n, i in enumerate(rows)]


def selected(batch: int) -> Sequence[int]:
    """Physical rows of a batch that count, in order."""
    count = lib.evs_batch_rows(batch)
    selection = lib.evs_batch_selection(batch)
    return selection[:count] if selection else range(count)


class RowReader:
    """Rows for callbacks that get one row at a time. They arrive batch after batch: the columns of
    a batch are read at its first row and kept, with a reference that keeps its address taken."""

    def __init__(self) -> None:
        self._batch: Optional[Batch] = None
        self._rows: dict[int, Row] = {}

    def read(self, view: Any) -> Row:
        if view.reserved:
            raise Error(Status.ERR_UNSUPPORTED, "a nested row")
        if self._batch is None or self._batch.pointer != view.batch:
            self.forget()
            rows = selected(view.batch)
            self._rows = dict(zip(rows, rows_at(view.batch, rows)))
            self._batch = Batch(lib.evs_batch_ref(view.batch))
        row = self._rows.get(view.index)
        if row is None:  # not among the selected: rejected rows are
            row = rows_at(view.batch, [view.index])[0]
        return Row(row, time=row.time, kind=row.kind)

    def forget(self) -> None:
        """Before payloads go away: at the end of the call that ran callbacks."""
        if self._batch is not None:
            self._batch.dispose()
        self._batch = None
        self._rows = {}


class Batch(Handle):
    """Rows in columns, kept as long as this object: iterate over it for Row objects, or hand it to
    anything that takes Arrow (pyarrow.record_batch(batch), polars.DataFrame(batch), ...)."""

    def __init__(self, pointer: int) -> None:
        super().__init__(pointer, lib.evs_batch_unref)

    @classmethod
    def kept(cls, pointer: int) -> Batch:
        """Independent of where a borrowed batch came from."""
        made = ctypes.c_void_p()
        raising(lib.evs_batch_keep, pointer, ctypes.byref(made))
        return cls(made.value)  # type: ignore[arg-type]

    def __len__(self) -> int:
        return lib.evs_batch_rows(self.pointer)

    def __iter__(self) -> Iterator[Row]:
        return iter(rows_at(self.pointer, selected(self.pointer)))

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return field_names(lib.evs_batch_type(self.pointer))

    @property
    def type(self) -> str:
        """The rows' type as text, "STRUCT<page VARCHAR, views BIGINT>"."""
        return lib.evs_type_print(lib.evs_batch_type(self.pointer)).decode()

    def export(self, schema: Optional[ArrowSchema], array: ArrowArray) -> None:
        """Into structs of the Arrow C Data Interface; their release callbacks are the caller's."""
        raising(lib.evs_batch_export_arrow, self.pointer, False,
                ctypes.byref(schema) if schema is not None else None, ctypes.byref(array))

    def __arrow_c_array__(self, requested_schema: Any = None) -> tuple:
        """The Arrow PyCapsule interface; `requested_schema` is a wish that we do not grant."""
        from . import _arrow  # pylint: disable=import-outside-toplevel
        return _arrow.array_capsules(self)

    def __repr__(self) -> str:
        return "<evstream.Batch %s>" % ("closed" if self.closed else
                                        "of %d rows, %s" % (len(self), self.type))


# ---- writing ------------------------------------------------------------------------------------


def to_milliseconds(value: Any) -> int:
    """A point in time as ms since the epoch: int, datetime (naive ones are UTC) or RFC 3339."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value[:-1] + "+00:00" if value[-1:] in "Zz" else value)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            value = value.replace(tzinfo=timezone.utc)
        return (value - _EPOCH) // _MS
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise TypeError("no point in time: %r" % (value,))


def _to_days(value: Any) -> int:
    if isinstance(value, str):
        value = date.fromisoformat(value)
    return value if isinstance(value, int) else value.toordinal() - _EPOCH_DAY


def _to_time(value: Any) -> int:
    if isinstance(value, str):
        value = time.fromisoformat(value)
    if isinstance(value, int):
        return value
    return ((value.hour * 60 + value.minute) * 60 + value.second) * 1000 + value.microsecond // 1000


def key_values(key: Any) -> tuple:
    """Values of a grouping key for the library, and their number."""
    parts = key if isinstance(key, tuple) else (key,)
    values = (Value * max(len(parts), 1))()
    for value, part in zip(values, parts):
        _fill(value, part)
    return values, len(parts)


def _fill(value: Value, part: Any) -> None:
    if part is None:
        value.type, value.is_null = VARCHAR, 1
    elif isinstance(part, bool):
        value.type, value.integer = BOOLEAN, part
    elif isinstance(part, int):
        value.type, value.integer = BIGINT, _int64(part)[1]
    elif isinstance(part, float):
        value.type, value.number = DOUBLE, part
    elif isinstance(part, datetime):
        value.type, value.integer = TIMESTAMP, to_milliseconds(part)
    elif isinstance(part, date):
        value.type, value.integer = DATE, _to_days(part)
    elif isinstance(part, time):
        value.type, value.integer = TIME, _to_time(part)
    elif isinstance(part, (str, bytes, Decimal)):
        data = part if isinstance(part, bytes) else str(part).encode()
        value.type = {str: VARCHAR, bytes: BYTES}.get(type(part), DECIMAL)
        value.data, value.len = data, len(data)
    else:
        raise TypeError("no value of a key: %r" % (part,))


Call = tuple  # (function of the library, arguments behind the appender)


def _int64(value: int) -> Call:
    if not -2**63 <= value < 2**63:  # ctypes would cut it
        raise OverflowError("%d needs more than 64 bits" % value)
    return lib.evs_append_int, value


def _integer(value: Any) -> Call:
    if isinstance(value, (bytes, bytearray)) or int(value) != value:
        raise TypeError("no integer: %r" % (value,))
    return _int64(int(value))


def _text(value: Any) -> Call:
    if not isinstance(value, str):
        raise TypeError("no text: %r" % (value,))
    data = value.encode()
    return lib.evs_append_string, data, len(data)


def _binary(value: Any) -> Call:
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise TypeError("no bytes: %r" % (value,))
    data = bytes(value)
    return lib.evs_append_string, data, len(data)


_SCALARS: dict[int, Callable[[Any], Call]] = {
    BOOLEAN: lambda v: (lib.evs_append_bool, bool(v)),
    INT: _integer,
    BIGINT: _integer,
    DOUBLE: lambda v: (lib.evs_append_double, float(v)),
    DECIMAL: lambda v: (lib.evs_append_decimal, format(Decimal(str(v)), "f").encode()),
    VARCHAR: _text,
    BYTES: _binary,
    TIMESTAMP: lambda v: _int64(to_milliseconds(v)),
    DATE: lambda v: _int64(_to_days(v)),
    TIME: lambda v: _int64(_to_time(v)),
}


def _writer(type_: Any) -> Callable[[list[Call], Any], None]:
    """A function (calls, value) that adds the calls which append a value of a type."""
    kind = lib.evs_type_get_id(type_)
    scalar = _SCALARS.get(kind)
    children = [_writer(lib.evs_type_child(type_, i)) for i in range(lib.evs_type_child_count(type_))]
    names = field_names(type_) if kind == STRUCT else []

    def write(calls: list[Call], value: Any) -> None:
        if value is None:
            calls.append((lib.evs_append_null,))
            return
        if scalar is not None:
            calls.append(scalar(value))
            return
        if kind == STRUCT:
            values = [value.get(name) for name in names]
            writers = children
        elif kind == MAP:
            values = [part for entry in value.items() for part in entry]
            writers = children * len(value)
        else:
            values = list(value)
            writers = children * len(values)
        calls.append((lib.evs_append_begin,))
        for child, part in zip(writers, values):
            child(calls, part)
        calls.append((lib.evs_append_end,))

    return write


class RowWriter:
    """Mappings into an appender: columns by name, others are left out, missing ones are NULL. A
    row is converted as a whole before the appender sees any of it."""

    def __init__(self, row_type: Any) -> None:
        self._fields = [(name, _writer(lib.evs_type_child(row_type, i)))
                        for i, name in enumerate(field_names(row_type))]
        self._number = 0

    def append(self, appender: int, row: Any, time_ms: Optional[int]) -> None:
        """One row. Error names row and field; the row is not appended then."""
        calls: list[Call] = []
        number = self._number
        self._number += 1
        for name, write in self._fields:
            try:
                write(calls, row.get(name))
            except (TypeError, ValueError, ArithmeticError, AttributeError) as error:
                raise Error(Status.ERR_TYPE, "row %d, field \"%s\": %s" % (number, name, error),
                            origin=name) from error
        if time_ms is not None:
            lib.evs_append_time(appender, time_ms)
        for call in calls:
            call[0](appender, *call[1:])
        raising(lib.evs_append_end_row, appender)


def new_batch(context: Context, row_type: Any, rows: Any = ()) -> Batch:
    """A batch of mappings, each with an event time or None beside: [(row, time_ms), ...]."""
    made = ctypes.c_void_p()
    raising(lib.evs_appender_new, context.pointer, row_type, ctypes.byref(made))
    try:
        writer = RowWriter(row_type)
        for row, time_ms in rows:
            writer.append(made.value, row, time_ms)  # type: ignore[arg-type]
        batch = ctypes.c_void_p()
        raising(lib.evs_appender_take, made, ctypes.byref(batch))
        return Batch(batch.value)  # type: ignore[arg-type]
    finally:
        lib.evs_appender_unref(made)
