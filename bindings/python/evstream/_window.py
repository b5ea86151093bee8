"""Windows over rows that are at hand: no broker, no pipeline, no thread.

The same operator as in a pipeline. Rows are dicts, or Arrow from any library that speaks the
PyCapsule protocol; so are results:

    for row in evs.window(events, key="page", size="1m", aggregates="count(*) AS views"): ...
    table = pa.table(evs.window(table, key="page", size="1m", aggregates="count(*) AS views"))
"""

from __future__ import annotations

import ctypes
import itertools
import warnings
from collections import Counter
from dataclasses import dataclass
from typing import Any, Callable, Iterable, Iterator, Mapping, Optional, Union

from . import _arrow
from ._context import (Context, Duration, Faults, Handle, default_context, keep, milliseconds,
                       slots, text)
from ._error import Error, Status, raising
from ._infer import columns_of, time_fields
from ._library import FOREVER, REJECT_FN, WindowOptions, init, lib
from ._schema import Schema, SchemaLike, schema_of
from ._values import Batch, Row, RowReader, RowWriter, to_milliseconds

_EMIT = {"changes": 1, "final": 2}
_TIME = {"event": 1, "processing": 2}
NULL_KEY = {"dead_letter": 1, "group": 2}
_UNIT = {"day": 1, "week": 2, "month": 3, "quarter": 4, "year": 5}
_CALENDAR_KIND = 6
_INFER_ROWS = 1000


def choice(what: str, table: Mapping[str, int], word: str) -> int:
    if word not in table:
        raise ValueError("%s must be one of %s, not %r" % (
            what, ", ".join("\"%s\"" % name for name in table), word))
    return table[word]


class Window:
    """Any kind of windows: to_c() gives the C struct."""

    offset: Duration
    grace: Duration
    emit: str
    time: str
    null_key: str
    state_bytes_max: int

    def _common(self, out_of_orderness: Duration) -> WindowOptions:
        options = init(WindowOptions, "evs_window_options_init_size")
        options.offset_ms = milliseconds(self.offset, "offset")
        options.grace_ms = milliseconds(self.grace, "grace")
        options.out_of_orderness_ms = milliseconds(out_of_orderness, "out_of_orderness")
        options.state_bytes_max = self.state_bytes_max
        options.emit = choice("emit", _EMIT, self.emit)
        options.time = choice("time", _TIME, self.time)
        options.null_key = choice("null_key", NULL_KEY, self.null_key)
        return options

    def to_c(self, out_of_orderness: Duration = FOREVER) -> WindowOptions:
        """The C struct."""
        raise NotImplementedError


@dataclass(frozen=True)
class Tumbling(Window):
    """[start, start + size) for every multiple of size, moved by offset.

    grace            how long after its end a window takes late rows
    emit             "changes": what changed since the last commit; "final": once, at the end
    time             "event" or "processing"
    null_key         "dead_letter" or "group"
    state_bytes_max  bound of what the operator keeps
    Durations are ms, "250ms", "10s", "5m", "1h", "7d", "forever", or a timedelta.
    """

    size: Duration
    offset: Duration = 0
    grace: Duration = 0
    emit: str = "changes"
    time: str = "event"
    null_key: str = "dead_letter"
    state_bytes_max: int = 1 << 30

    def to_c(self, out_of_orderness: Duration = FOREVER) -> WindowOptions:
        """The C struct."""
        options = self._common(out_of_orderness)
        options.size_ms = milliseconds(self.size, "size")
        return options


@dataclass(frozen=True)
class Calendar(Window):
    """Days, weeks (from Monday), months, quarters or years on the clocks of a time zone.

    unit    "day", "week", "month", "quarter" or "year"
    zone    a name of the system's, "Europe/Berlin"
    offset  a window begins so long after the first moment of the unit, on the clocks of the zone
    The others are as of Tumbling.
    """

    unit: str
    zone: str = "UTC"
    offset: Duration = 0
    grace: Duration = 0
    emit: str = "changes"
    time: str = "event"
    null_key: str = "dead_letter"
    state_bytes_max: int = 1 << 30

    def to_c(self, out_of_orderness: Duration = FOREVER) -> WindowOptions:
        options = self._common(out_of_orderness)
        options.kind = _CALENDAR_KIND
        options.calendar = choice("unit", _UNIT, self.unit)
        options.zone = self.zone.encode()
        return options


@dataclass(frozen=True)
class Counted(Window):
    """The last `size` rows of a key to arrive, each time that `advance` more have come (0: as
    size). A result is final; window_start and window_end are the times of its first and last row.
    Durations play no part; the other names are those of Tumbling."""

    size: int
    advance: int = 0
    time: str = "event"
    null_key: str = "dead_letter"
    state_bytes_max: int = 1 << 30

    def to_c(self, out_of_orderness: Duration = FOREVER) -> WindowOptions:
        options = Tumbling(0, emit="final", time=self.time, null_key=self.null_key,
                           state_bytes_max=self.state_bytes_max).to_c(out_of_orderness)
        options.kind = 7
        options.size_rows = self.size
        options.advance_rows = self.advance
        return options


def counted(size: int, **options: Any) -> Counted:
    """Windows of a number of rows: evs.counted(100), evs.counted(100, advance=10)."""
    return Counted(size, **options)


@dataclass(frozen=True)
class Sliding(Tumbling):
    """Every distinct set of rows of a key within size, both ends inclusive: [t - size, t] of a row
    at t, and [t + 1, t + 1 + size] when it has a row, as in Kafka Streams. There is no offset."""

    def to_c(self, out_of_orderness: Duration = FOREVER) -> WindowOptions:
        options = super().to_c(out_of_orderness)
        options.kind = 5
        return options


def sliding(size: Duration, **options: Any) -> Sliding:
    """Windows that end with a row or begin behind one: evs.sliding("10s", grace="5s")."""
    return Sliding(size, **options)


def tumbling(size: Duration, **options: Any) -> Tumbling:
    """Windows of a fixed size side by side: evs.tumbling("1m", grace="5s", emit="final")."""
    return Tumbling(size, **options)


def calendar(unit: str, zone: str = "UTC", **options: Any) -> Calendar:
    """Windows of the calendar: evs.calendar("day", "Europe/Berlin", emit="final")."""
    return Calendar(unit, zone, **options)


RejectFunction = Callable[[str, Error, Row], Any]
RowFunction = Callable[[Row], Any]


class _Rejects:
    """Where rows go that the window could not take: to the host's function, or counted."""

    def __init__(self, function: Optional[RejectFunction], faults: Faults) -> None:
        self.function = function
        self.faults = faults
        self.reader = RowReader()
        self.counts: Counter = Counter()

    def take(self, stage: str, error: Error, view: Any) -> None:
        if self.function is None:
            self.counts["%s: %s" % (stage, error.message)] += 1
        else:
            self.function(stage, error, self.reader.read(view))


@REJECT_FN
def _on_reject(stage: bytes, status: int, message: bytes, view: Any, number: int) -> None:
    rejects = slots[number]
    try:
        rejects.take(stage.decode(), Error(status, message.decode("utf-8", "replace")),
                     view.contents)
    except BaseException as error:  # pylint: disable=broad-except
        rejects.faults.add(error)


class _Operator(Handle):
    """evs_window for rows of a schema."""

    def __init__(self, context: Context, schema: Schema, key: str, aggregates: str,
                 options: WindowOptions, on_reject: Optional[RejectFunction]) -> None:
        made = ctypes.c_void_p()
        raising(lib.evs_window_new, context.pointer, schema.pointer, text(key, "key"),
                text(aggregates, "aggregates"), ctypes.byref(options), ctypes.byref(made))
        super().__init__(made.value, lib.evs_window_unref)
        self.rejects = _Rejects(on_reject, self.faults)
        number = keep(self.rejects)
        self.kept.append(number)
        lib.evs_window_on_reject(self.pointer, _on_reject, number)

    def call(self, function: Any, *args: Any) -> int:
        """A call that may reject rows; raises what on_reject raised."""
        status = raising(function, self.pointer, *args)
        self.rejects.reader.forget()
        self.faults.raise_first()
        return status

    def take(self, function: Any) -> Iterator[Batch]:
        """Everything that evs_window_take() or _take_late() has now."""
        while True:
            made = ctypes.c_void_p()
            if self.call(function, ctypes.byref(made)) == Status.END:
                return
            yield Batch(made.value)  # type: ignore[arg-type]


class WindowRows:
    """Results of window(): iterate for Row objects, batches() for columns, or give it to anything
    that takes Arrow, pyarrow.table(rows) for one. Can be gone through once."""

    def __init__(self, operator: _Operator, pushes: Iterator[None],
                 on_late: Optional[RowFunction]) -> None:
        self._operator = operator
        self._pushes = pushes
        self._on_late = on_late
        self._begun = False

    def batches(self) -> Iterator[Batch]:
        """Results as they come: after each part of the input, and at its end."""
        if self._begun:
            raise Error(Status.ERR_MISUSE, "results of a window can be gone through once")
        self._begun = True
        return self._batches()

    def _batches(self) -> Iterator[Batch]:
        for _ in self._pushes:
            yield from self._taken()
        self._operator.call(lib.evs_window_advance, FOREVER)
        yield from self._taken()
        rejects = self._operator.rejects.counts
        if rejects:
            warnings.warn("window: rows were not counted: " + ", ".join(
                "%d x %s" % (count, why) for why, count in rejects.items()), stacklevel=3)

    def _taken(self) -> Iterator[Batch]:
        yield from self._operator.take(lib.evs_window_take)
        for late in self._operator.take(lib.evs_window_take_late):
            for row in late:
                if self._on_late is not None:
                    self._on_late(row)
                else:
                    self._operator.rejects.counts["late"] += 1

    def __iter__(self) -> Iterator[Row]:
        for batch in self.batches():
            yield from batch

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """The Arrow PyCapsule interface: all results. `requested_schema` is a wish that we do not
        grant."""
        batches = list(self.batches())
        return _arrow.stream_capsule(lib.evs_window_result_type(self._operator.pointer), batches)


def window(rows: Any, *, key: str = "", size: Union[Duration, Window], aggregates: str,
           time: Optional[str] = None, columns: Optional[SchemaLike] = None,
           out_of_orderness: Duration = "forever", grace: Duration = 0, offset: Duration = 0,
           emit: str = "final", null_key: str = "dead_letter",
           on_late: Optional[RowFunction] = None, on_reject: Optional[RejectFunction] = None,
           context: Optional[Context] = None) -> WindowRows:
    """Group and aggregate rows by key and window of event time.

        evs.window(events, key="page", size="1m", aggregates="count(*) AS views")

    rows        an iterable of dicts, or Arrow: a table, a record batch, a reader
    size        of tumbling windows; or evs.calendar("day", "Europe/Berlin", emit="final"), which
                brings its own grace, offset, emit and null_key
    key         grouping expressions, comma-separated; "": one group
    aggregates  "count(*) AS views, avg(load_ms) AS load_ms"
    time        name of the field with the event time: datetime, ms, or RFC 3339 text; by default
                the only field of datetimes
    columns     column definitions of dict rows; by default from the first 1,000 of them
    out_of_orderness  a window closes when a row is this much younger than its end; "forever": all
                close at the end of the input, so the order of rows does not matter
    grace, offset, emit, null_key  see Tumbling
    on_late     called with each row that came after its window had closed
    on_reject   called with (stage, error, row) for each row without time, with a NULL key, or for
                which an expression failed
    Late and rejected rows without such a function are counted and warned of at the end.

    Result rows: the keys, window_start, window_end, the aggregates; all windows close at the end.
    """
    context = context or default_context()
    kind = size if isinstance(size, Window) else Tumbling(
        size, offset=offset, grace=grace, emit=emit, null_key=null_key)
    options = kind.to_c(out_of_orderness)

    def operator(schema: Schema) -> _Operator:
        return _Operator(context, schema, key, aggregates, options, on_reject)

    if _arrow.is_arrow(rows):
        made, pushes = _of_arrow(context, operator, rows, time)
    else:
        live = options.out_of_orderness_ms != FOREVER  # windows close on the way
        made, pushes = _of_dicts(context, operator, rows, time, columns, live)
    return WindowRows(made, pushes, on_late)


def _of_arrow(context: Context, operator: Callable[[Schema], _Operator], rows: Any,
              time: Optional[str]) -> tuple:
    batches = _arrow.batches_of(context, rows, time)
    first = next(batches, None)
    if first is None:
        raise Error(Status.ERR_INVALID, "Arrow input without a batch: its columns are not known")
    made = ctypes.c_void_p()
    raising(lib.evs_schema_of_type, context.pointer, 0, b"rows", lib.evs_batch_type(first.pointer),
            ctypes.byref(made))
    op = operator(Schema(made.value))  # type: ignore[arg-type]

    def pushes() -> Iterator[None]:
        for batch in itertools.chain([first], batches):
            op.call(lib.evs_window_push, batch.pointer)
            batch.dispose()
            yield

    return op, pushes()


def _of_dicts(context: Context, operator: Callable[[Schema], _Operator],
              rows: Iterable[Mapping[str, Any]], time: Optional[str],
              columns: Optional[SchemaLike], live: bool) -> tuple:
    source = iter(rows)
    first: list = []
    if columns is None or time is None:
        first = list(itertools.islice(source, _INFER_ROWS))
    if time is None and first:
        names = list(dict.fromkeys(name for row in first for name in row))
        time = _arrow.only_time(time_fields(first), names)
    if columns is None:
        columns = columns_of(first)
        if not columns:
            raise Error(Status.ERR_INVALID, "no rows: their columns are not known, give columns=")
    schema = schema_of(columns, context)
    assert schema is not None
    op = operator(schema)
    writer = RowWriter(lib.evs_schema_type(schema.pointer))
    appender = lib.evs_window_appender(op.pointer)

    def pushes() -> Iterator[None]:
        for number, row in enumerate(itertools.chain(first, source)):
            writer.append(appender, row, _time_of(row, time, number))
            op.rejects.reader.forget()
            op.faults.raise_first()
            if live:
                yield

    return op, pushes()


def _time_of(row: Mapping[str, Any], name: Optional[str], number: int) -> Optional[int]:
    value = row.get(name) if name is not None else None
    if value is None:
        return None
    try:
        return to_milliseconds(value)
    except (TypeError, ValueError) as error:
        raise Error(Status.ERR_TIME, "row %d, field \"%s\": %s" % (number, name, error),
                    origin=str(name)) from error
