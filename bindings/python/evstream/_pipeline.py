"""Pipelines: sources, steps and sinks as one thing that the host runs.

        with evs.Pipeline("page-views-per-minute", bootstrap="127.0.0.1:9092") as p:
            views = p.source("kafka", topic="page_views", format="json", event_time="at",
                             columns="page VARCHAR, device VARCHAR, at TIMESTAMP")
            views.filter("device <> 'bot'").window("page", evs.tumbling("1m"),
                                                   "count(*) AS views").each(print)
            p.run()

A builder call never fails on its own: check(), poll() or run() raises the first error, with the
step's name. Callbacks run inside poll(), run(), commit() and close(), on the caller's thread; the
exception of one stops the pipeline and is raised from that call.
"""

from __future__ import annotations

import ctypes
import time
from typing import Any, Callable, Iterable, Iterator, Mapping, Optional, Union

from ._context import (Context, Duration, Faults, Handle, Options, OptionValue, default_context,
                       keep, milliseconds, option_pairs, slots, text)
from ._error import Error, Status, attempt, raising
from ._library import (APPLY_FN, EACH_FN, FOREVER, TIME_NONE, DedupOptions, LimitOptions,
                       TableCursor, init, lib)
from ._producer import to_json
from ._schema import Schema, SchemaLike, schema_of
from ._values import (Batch, Row, RowReader, RowWriter, key_values, raising_status,
                      to_milliseconds)
from ._window import NULL_KEY, Window, choice

_SINCE = {"first": 1, "last": 2}


class Reject(Exception):
    """Raised by a function of Stream.apply(): the row goes to the dead letters with this reason."""


RowFunction = Callable[[Row], Any]
ApplyFunction = Callable[[Row], Optional[Iterable[Mapping[str, Any]]]]


class _Callback:
    """A host's function with what its trampoline needs."""

    def __init__(self, function: Callable, reader: RowReader, faults: Faults,
                 schema: Optional[Schema]) -> None:
        self.function = function
        self.reader = reader
        self.faults = faults
        self.writer = RowWriter(lib.evs_schema_type(schema.pointer)) if schema else None


@EACH_FN
def _on_each(view: Any, number: int) -> int:
    callback = slots[number]
    try:
        callback.function(callback.reader.read(view.contents))
        return Status.OK
    except BaseException as error:  # pylint: disable=broad-except
        callback.faults.add(error)
        return Status.ERR_CALLBACK


@APPLY_FN
def _on_apply(view: Any, out: int, number: int) -> int:
    callback = slots[number]
    try:
        row = callback.reader.read(view.contents)
        appender = lib.evs_apply_appender(out)
        for made in callback.function(row) or ():
            callback.writer.append(appender, made, made.time if isinstance(made, Row) else None)
        return Status.OK
    except Reject as reason:
        lib.evs_apply_reject(out, str(reason).encode("utf-8", "replace").replace(b"\0", b"?"))
        return Status.OK
    except BaseException as error:  # pylint: disable=broad-except
        callback.faults.add(error)
        return Status.ERR_CALLBACK


class Stream:
    """Rows between two steps; methods add steps behind it. Valid as long as its pipeline."""

    def __init__(self, pipeline: Pipeline, pointer: int) -> None:
        self._pipeline = pipeline
        self._stream = pointer

    @property
    def _pointer(self) -> int:
        self._pipeline.pointer  # pylint: disable=pointless-statement  # raises when closed
        return self._stream

    def _behind(self, pointer: int) -> Stream:
        return Stream(self._pipeline, pointer)

    def filter(self, condition: str) -> Stream:
        """Rows for which the condition is TRUE (not NULL)."""
        return self._behind(lib.evs_filter(self._pointer, text(condition, "condition")))

    def project(self, expressions: str) -> Stream:
        """Other columns: "page, load_ms / 1000.0 AS load_s, *"."""
        return self._behind(lib.evs_project(self._pointer, text(expressions, "expressions")))

    def explode(self, array: str, alias: Optional[str] = None) -> Stream:
        """A row per element of an ARRAY column."""
        return self._behind(lib.evs_explode(self._pointer, text(array, "array"),
                                            None if alias is None else text(alias, "alias")))

    def apply(self, columns: str, function: ApplyFunction) -> Stream:
        """Python code as a step: for a row, an iterable of dicts with these columns, or None;
        `raise evs.Reject(reason)` sends the row to the dead letters."""
        schema = Schema.columns(columns, context=self._pipeline.context)
        number = self._pipeline._keep(function, schema)  # pylint: disable=protected-access
        return self._behind(lib.evs_apply(self._pointer, text(columns, "columns"), _on_apply,
                                          number))

    def window(self, key: str, window: Window, aggregates: str) -> Stream:
        """Group by key and window: .window("page", evs.tumbling("1m"), "count(*) AS views")."""
        options = window.to_c()
        return self._behind(lib.evs_window_by(self._pointer, text(key, "key"),
                                              ctypes.byref(options),
                                              text(aggregates, "aggregates")))

    def sample(self, key: str, one_in: int) -> Stream:
        """The rows of one key in `one_in`, the same keys in every run."""
        return self._behind(lib.evs_sample(self._pointer, text(key, "key"), one_in))

    def dedup(self, key: str, within: Duration, *, since: str = "first", grace: Duration = 0,
              null_key: str = "dead_letter", state_bytes_max: int = 1 << 30) -> Stream:
        """Each key once: further rows less than `within` away in event time are left out.

        since   "first": of rows that passed; "last": of any row, so a key passes after a silence
        grace   how much longer than it must a key is remembered
        """
        options = init(DedupOptions, "evs_dedup_options_init")
        options.within_ms = milliseconds(within, "within")
        options.since = choice("since", _SINCE, since)
        options.grace_ms = milliseconds(grace, "grace")
        options.null_key = choice("null_key", NULL_KEY, null_key)
        options.state_bytes_max = state_bytes_max
        return self._behind(lib.evs_dedup(self._pointer, text(key, "key"), ctypes.byref(options)))

    def limit(self, key: str, rows: int, per: Duration, *, grace: Duration = 0,
              null_key: str = "dead_letter", state_bytes_max: int = 1 << 30) -> Stream:
        """At most `rows` rows of a key in each `per` of event time; "": one limit for all."""
        options = init(LimitOptions, "evs_limit_options_init")
        options.rows = rows
        options.per_ms = milliseconds(per, "per")
        options.grace_ms = milliseconds(grace, "grace")
        options.null_key = choice("null_key", NULL_KEY, null_key)
        options.state_bytes_max = state_bytes_max
        return self._behind(lib.evs_limit(self._pointer, text(key, "key"), ctypes.byref(options)))

    def top(self, n: int, order: str, per: str = "") -> Stream:
        """The best n rows of each final window: .top(10, "views DESC, page")."""
        return self._behind(lib.evs_top(self._pointer, n, text(order, "order"), text(per, "per")))

    def late(self) -> Stream:
        """Late rows of a window stream."""
        return self._behind(lib.evs_late(self._pointer))

    def sink(self, connector: str, **options: OptionValue) -> Stream:
        """Keep the rows in a connector; gives this stream, for more steps behind it."""
        given = Options(self._pipeline.context, options)
        lib.evs_sink(self._pointer, text(connector, "connector"), given.pointer)
        return self

    def each(self, function: RowFunction) -> Stream:
        """Call a function with every row; gives this stream, for more steps behind it."""
        number = self._pipeline._keep(function)  # pylint: disable=protected-access
        lib.evs_each(self._pointer, _on_each, number)
        return self

    def named(self, name: str) -> Stream:
        """Name the step, for errors, metrics and explain()."""
        lib.evs_stream_name(self._pointer, text(name, "name"))
        return self

    @property
    def type(self) -> Optional[str]:
        """The rows' type as text; None while it is not known."""
        pointer = lib.evs_stream_type(self._pointer)
        return lib.evs_type_print(pointer).decode() if pointer else None

    def push(self, value: Union[Batch, Mapping[str, Any], str, bytes], *,
             key: Union[str, bytes, None] = None, timestamp: Any = None,
             partition: int = 0) -> None:
        """One event (a dict is JSON) or a Batch into a `memory` source; taken at the next poll."""
        if isinstance(value, Batch):
            raising(lib.evs_stream_push, self._pointer, value.pointer, partition)
            return
        data = value if isinstance(value, bytes) else (
            value.encode() if isinstance(value, str) else to_json(value))
        name = key.encode() if isinstance(key, str) else key
        at = TIME_NONE if timestamp is None else to_milliseconds(timestamp)
        raising(lib.evs_stream_push_bytes, self._pointer, data, len(data), name,
                len(name) if name is not None else 0, at, partition)

    def push_end(self) -> None:
        """No more will be pushed: the pipeline ends when all has been processed."""
        raising(lib.evs_stream_push_end, self._pointer)

    def get(self, key: Any, window_start: Any) -> Optional[Row]:
        """What an open window of a key holds now, without giving it out; None: nothing. `key` is
        a value, or a tuple of them; () when there are no grouping keys. Any thread may ask while
        the pipeline runs, but no callback of it."""
        values, count = key_values(key)
        made = ctypes.c_void_p()
        status = raising(lib.evs_table_get, self._pointer, values, count,
                         to_milliseconds(window_start), ctypes.byref(made))
        return None if status == Status.END else next(iter(Batch(made.value)))  # type: ignore

    def rows(self, key: Any = None, start: Any = TIME_NONE, end: Any = FOREVER) -> Iterator[Row]:
        """Open windows that begin in [start, end): of one key, or of all."""
        values, count = (None, 0) if key is None else key_values(key)
        cursor = TableCursor()
        first, last = to_milliseconds(start), to_milliseconds(end)
        made = ctypes.c_void_p()
        while raising(lib.evs_table_range, self._pointer, values, count, first, last,
                      ctypes.byref(cursor), ctypes.byref(made)) != Status.END:
            yield from Batch(made.value)  # type: ignore

    def explain_window(self, window_start: Any) -> str:
        """Why a window is still open: watermark, who holds it, grace left."""
        return self._pipeline._text(  # pylint: disable=protected-access
            lib.evs_pipeline_explain_window, self._pointer, to_milliseconds(window_start))


class Pipeline(Handle):
    """A pipeline. As a context manager it is closed (with a last commit) at the end of the block,
    and only released, to be replayed at its next start, when the block raises.

    name       also the default application_id
    bootstrap  Kafka's addresses, for all its kafka sources and sinks
    registry   URL of the schema registry
    options    the library's, with underscores for dots: state_dir="views.state",
               commit_interval_ms=500, kafka_client_id="views"
    """

    def __init__(self, name: str, *, bootstrap: Optional[str] = None,
                 registry: Optional[str] = None, context: Optional[Context] = None,
                 **options: OptionValue) -> None:
        self.context = context or default_context()
        made = ctypes.c_void_p()
        raising(lib.evs_pipeline_new, self.context.pointer, text(name, "name"), ctypes.byref(made))
        super().__init__(made.value, lib.evs_pipeline_unref)
        self._reader = RowReader()
        self._stopped = False
        self._inside = False
        self.set(**{"kafka.bootstrap.servers": bootstrap, "schema.registry.url": registry,
                    **options})

    # ---- building ----

    def set(self, **options: OptionValue) -> Pipeline:
        """Set options of the pipeline, or ones that its connectors inherit."""
        for name, value in option_pairs(options):
            lib.evs_pipeline_set(self.pointer, name, value)
        return self

    def source(self, connector: str, *, schema: Optional[SchemaLike] = None,
               **options: OptionValue) -> Stream:
        """Rows of a connector: p.source("kafka", topic="page_views", format="avro",
        event_time="viewed_at"). `schema` as in Producer; `columns` is an option."""
        given = Options(self.context, options)
        known = schema_of(schema, self.context)
        if known is None:
            return Stream(self, lib.evs_source(self.pointer, text(connector, "connector"),
                                               given.pointer))
        return Stream(self, lib.evs_source_with_schema(self.pointer, text(connector, "connector"),
                                                       known.pointer, given.pointer))

    def dead_letters(self, connector: str, **options: OptionValue) -> Pipeline:
        """Where bad events go, with stage, reason and where they came from."""
        given = Options(self.context, options)
        lib.evs_dead_letters(self.pointer, text(connector, "connector"), given.pointer)
        return self

    def check(self) -> Pipeline:
        """Validate and type everything; nothing is opened. Raises the first error."""
        raising(lib.evs_pipeline_check, self.pointer)
        return self

    def explain(self) -> str:
        """The plan: steps, types, what each sink guarantees."""
        return self._text(lib.evs_pipeline_explain, self.pointer)

    @property
    def fingerprint(self) -> str:
        """A hash of what the pipeline computes; "" before a check."""
        return lib.evs_pipeline_fingerprint(self.pointer).decode()

    # ---- running ----

    def poll(self, timeout: float = 0.1) -> bool:
        """Work for at most `timeout` seconds. False when all sources are through, windows are
        closed and everything is committed."""
        return self._call(lib.evs_pipeline_poll, int(timeout * 1000)) != Status.END

    def run(self, timeout: Optional[float] = None) -> bool:
        """Poll until all sources are through (True), stop() is called or `timeout` seconds have
        passed (False)."""
        deadline = None if timeout is None else time.monotonic() + timeout
        self._stopped = False
        while not self._stopped:
            left = 0.1 if deadline is None else min(0.1, deadline - time.monotonic())
            if left <= 0:
                return False
            if not self.poll(left):
                return True
        return False

    def stop(self) -> None:
        """End run(), from a callback or a signal handler."""
        self._stopped = True

    def commit(self) -> None:
        """Commit now what was processed."""
        self._call(lib.evs_pipeline_commit)

    def close(self) -> None:
        """Take no more input, commit, close connectors, release; in bounded time
        (close.timeout.ms). Raises when the last commit failed: it is replayed at the next start."""
        if self.closed:
            return
        if self._inside:
            raise Error(Status.ERR_MISUSE, "close() within a callback: call stop()")
        try:
            self._call(lib.evs_pipeline_close)
        finally:
            self._release()

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is None:
            self.close()
        elif not self.closed:
            self._release()

    # ---- watching ----

    @property
    def state(self) -> str:
        """"new", "connecting", "running", "retrying: ...", "stopped", "failed: ..."."""
        return lib.evs_pipeline_state(self.pointer).decode("utf-8", "replace")

    def metric(self, name: str) -> float:
        """One metric, summed over its labels: p.metric("events_in_total")."""
        value = ctypes.c_double()
        status = lib.evs_pipeline_metric(self.pointer, text(name, "name"), ctypes.byref(value))
        if status == Status.ERR_NOT_FOUND:
            raise Error(status, "no metric \"%s\"" % name)
        raising_status(status)
        return value.value

    def metrics_text(self) -> str:
        """All metrics as Prometheus text."""
        return self._text(lib.evs_pipeline_metrics_text, self.pointer)

    # ---- inside ----

    def _text(self, function: Any, *args: Any) -> str:
        found = ctypes.c_char_p()
        raising(function, *args, ctypes.byref(found))
        return (found.value or b"").decode("utf-8", "replace")

    def _keep(self, function: Callable, schema: Optional[Schema] = None) -> int:
        number = keep(_Callback(function, self._reader, self.faults, schema))
        self.kept.append(number)
        return number

    def _call(self, function: Any, *args: Any) -> int:
        """A call that runs callbacks: their exceptions go before the error that they caused."""
        if self._inside:
            raise Error(Status.ERR_MISUSE, "the pipeline is inside a callback")
        pointer = self.pointer
        self._inside = True
        try:
            status, error = attempt(function, pointer, *args)
        finally:
            self._inside = False
            self._reader.forget()
        self.faults.raise_first()
        if error:
            raise error
        return status

    def _release(self) -> None:
        self.dispose()
        self._reader.forget()
        self.faults.report_all(self)
