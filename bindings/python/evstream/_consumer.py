"""A plain consumer loop: decoded rows of a topic, without a pipeline.

Positions of a group are committed behind rows that the loop has finished with: a batch counts once
its last row was processed and the next one is asked for. A loop that ends in the middle of a batch
sees that batch again at its next start (at least once).
"""

from __future__ import annotations

import ctypes
import time
from typing import Any, Callable, Iterator, Optional

from ._context import Context, Handle, Options, OptionValue, default_context, keep, slots
from ._error import Error, Status, attempt, raising
from ._library import FAILED_FN, lib
from ._schema import SchemaLike, schema_of
from ._values import Batch, Row

FailedFunction = Callable[[Error, Optional[bytes], Optional[bytes]], Any]


@FAILED_FN
def _on_failed(view: Any, status: int, message: bytes, number: int) -> None:
    function, faults = slots[number]
    try:
        event = view.contents
        function(Error(status, message.decode("utf-8", "replace")),
                 ctypes.string_at(event.value, event.value_len) if event.value else None,
                 ctypes.string_at(event.key, event.key_len) if event.key else None)
    except BaseException as error:  # pylint: disable=broad-except
        faults.add(error)


class Consumer(Handle):
    """Rows of a topic; most programs use consume().

    on_failed  called with (error, value, key) for each event that cannot be decoded; without it
               they are counted and logged
    The other arguments are those of consume().
    """

    def __init__(self, topic: Optional[str] = None, *, bootstrap: Optional[str] = None,
                 group: Optional[str] = None, columns: Optional[str] = None,
                 schema: Optional[SchemaLike] = None, format: Optional[str] = None,  # pylint: disable=redefined-builtin
                 on_failed: Optional[FailedFunction] = None, context: Optional[Context] = None,
                 **options: OptionValue) -> None:
        context = context or default_context()
        schema = schema_of(schema, context)
        if topic is not None:
            options["topic"] = topic
            if group is None:
                options.setdefault("assign", "all")
            if format is None and schema is None:
                format = "json"
        given = Options(context, {"kafka.bootstrap.servers": bootstrap, "group.id": group,
                                  "columns": columns, "format": format, **options})
        made = ctypes.c_void_p()
        raising(lib.evs_consumer_new, context.pointer, given.pointer,
                schema.pointer if schema else None, ctypes.byref(made))
        super().__init__(made.value, lib.evs_consumer_close)
        if on_failed is not None:
            number = keep((on_failed, self.faults))
            self.kept.append(number)
            lib.evs_consumer_on_failed(self.pointer, _on_failed, number)
        self._ended = False
        self._waiting: Optional[Batch] = None  # read by a poll that had an exception to raise

    def poll(self, timeout: float = 0.1) -> Optional[Batch]:
        """Next rows, or None when there are none within `timeout` seconds or, see `ended`, ever.
        Raises what on_failed raised; the rows of that call come with the next one."""
        if self._waiting is not None:
            batch, self._waiting = self._waiting, None
            return batch
        borrowed = ctypes.c_void_p()
        status, error = attempt(lib.evs_consumer_poll, self.pointer, int(timeout * 1000),
                                ctypes.byref(borrowed))
        self._ended = status == Status.END
        if status == Status.OK:
            self._waiting = Batch.kept(borrowed.value)  # type: ignore[arg-type]
        self.faults.raise_first()
        if error:
            raise error
        batch, self._waiting = self._waiting, None
        return batch

    @property
    def ended(self) -> bool:
        """Whether a bounded source is through."""
        return self._ended

    def commit(self) -> None:
        """Commit the positions behind all rows that poll() returned."""
        raising(lib.evs_consumer_commit, self.pointer)

    def close(self) -> None:
        """Close in bounded time, without a commit."""
        self.dispose()
        self.faults.report_all(self)

    def __enter__(self) -> Consumer:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def consume(topic: str, *, bootstrap: Optional[str] = None, group: Optional[str] = None,
            columns: Optional[str] = None, schema: Optional[SchemaLike] = None,
            format: Optional[str] = None, timeout: Optional[float] = None,  # pylint: disable=redefined-builtin
            commit_interval: float = 1.0, on_failed: Optional[FailedFunction] = None,
            context: Optional[Context] = None, **options: OptionValue) -> Iterator[Row]:
    """Rows of a topic, one by one.

        for row in evs.consume("page_views", bootstrap="127.0.0.1:9092",
                               group="recommendation_engine",
                               columns="user_id VARCHAR, page VARCHAR"):
            print(row["page"])

    group            consumer group, whose positions are committed every `commit_interval` seconds
                     and at the end; None: all partitions, nothing is committed
    columns, schema  what the events hold, see Schema; without either the error prints the columns
                     that the first events have
    timeout          end after so many seconds without a row; None: never
    options          the library's, with underscores for dots: start="latest", bounded=True
    """
    consumer = Consumer(topic, bootstrap=bootstrap, group=group, columns=columns, schema=schema,
                        format=format, on_failed=on_failed, context=context, **options)
    return _rows(consumer, timeout, commit_interval if group is not None else None)


def _rows(consumer: Consumer, timeout: Optional[float],
          commit_interval: Optional[float]) -> Iterator[Row]:
    with consumer:
        last_row = committed = time.monotonic()
        finished = False  # rows that were processed and not committed
        while not consumer.ended:
            now = time.monotonic()
            if finished and commit_interval is not None and now - committed >= commit_interval:
                consumer.commit()
                committed, finished = now, False
            if timeout is not None and now - last_row >= timeout:
                break
            batch = consumer.poll(0.1)
            if batch is None:
                continue
            yield from batch
            last_row = time.monotonic()
            finished = True
        if finished and commit_interval is not None:
            consumer.commit()
