"""Producer: events to one topic, checked against their schema before they leave the program.

A value goes to C as JSON and is checked and encoded there, so the rules are those of the library
and not of this package. Delivery reports run inside send(), poll(), flush() and close() of the
caller's thread, never on another one.
"""

from __future__ import annotations

import base64
import ctypes
import json
import time
from dataclasses import dataclass
from datetime import date, datetime, timezone
from datetime import time as time_of_day
from decimal import Decimal
from typing import Any, Callable, Iterable, Mapping, Optional, Union

from ._context import (Context, Faults, Handle, Options, OptionValue, default_context, keep, slots,
                       text)
from ._error import Error, Status, attempt, from_handle, raising
from ._library import DELIVERY_FN, TIME_NONE, Header, Message, init, lib
from ._schema import SchemaLike, schema_of
from ._values import to_milliseconds


@dataclass(frozen=True)
class Delivery:
    """What became of an event."""

    topic: str
    partition: int
    offset: int
    key: Optional[bytes]
    latency_us: int
    error: Optional[Error]  # None: delivered


DeliveryFunction = Callable[[Delivery], Any]


@DELIVERY_FN
def _on_delivery(view: Any, number: int) -> None:
    function, faults = slots.pop(number)
    try:
        d = view.contents
        function(Delivery((d.topic or b"").decode(), d.partition, d.offset,
                          ctypes.string_at(d.key, d.key_len) if d.key else None, d.latency_us,
                          from_handle(lib.evs_error_status(d.error), d.error) if d.error else None))
    except BaseException as error:  # pylint: disable=broad-except
        faults.add(error)


_no_report = ctypes.cast(None, DELIVERY_FN)


def _to_json(value: Any) -> Any:
    """JSON for what the json module does not know, in the forms that the library reads."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            value = value.replace(tzinfo=timezone.utc)
        return value.isoformat()
    if isinstance(value, (date, time_of_day)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    raise TypeError("%s has no JSON form" % type(value).__name__)


def to_json(value: Any) -> bytes:
    """Compact JSON: datetimes as RFC 3339 (naive ones are UTC), Decimal as text, bytes base64."""
    return json.dumps(value, default=_to_json, ensure_ascii=False, allow_nan=False,
                      separators=(",", ":")).encode()


Value = Union[Mapping[str, Any], str, bytes, None]


class Producer(Handle):
    """Events to a topic.

        with evs.Producer(bootstrap="127.0.0.1:9092", topic="page_views") as producer:
            producer.send({"user_id": "u1", "page": "/a"}, key="u1", on_delivery=print)

    bootstrap  Kafka's addresses; "embedded:" is a Kafka inside the process, one per context
    schema     a Schema, an Avro dict or text, a .avsc file, or column definitions; None: JSON and
               bytes are sent as they are
    format     "json" or "avro"; by default the schema's own
    key        name of the field whose value is the message key
    options    the library's, with underscores for dots: topic_create=True, kafka_linger_ms=5
    """

    def __init__(self, *, bootstrap: Optional[str] = None, topic: str,
                 schema: Optional[SchemaLike] = None, format: Optional[str] = None,  # pylint: disable=redefined-builtin
                 key: Optional[str] = None, context: Optional[Context] = None,
                 **options: OptionValue) -> None:
        context = context or default_context()
        schema = schema_of(schema, context)
        given = Options(context, {"kafka.bootstrap.servers": bootstrap, "topic": topic,
                                  "format": format, "key": key, **options})
        made = ctypes.c_void_p()
        raising(lib.evs_producer_new, context.pointer, given.pointer,
                schema.pointer if schema else None, ctypes.byref(made))
        super().__init__(made.value, lib.evs_producer_close)
        self._checked = schema is not None

    def send(self, value: Value, *, key: Union[str, bytes, None] = None,
             headers: Union[Mapping[str, Any], Iterable[tuple], None] = None,
             timestamp: Any = None, partition: int = -1,
             on_delivery: Optional[DeliveryFunction] = None, timeout: float = 30.0) -> None:
        """Check, encode and queue one event.

        A dict is a JSON object; str and bytes are taken as JSON text with a schema and sent as they
        are without one; None is a tombstone. With a full queue delivery reports are served until
        there is room, `timeout` seconds at most. `timestamp`: ms, datetime or RFC 3339.

        Raises Error: ERR_SCHEMA with the field as origin when the event breaks its schema, AGAIN
        when the queue stayed full; and what an on_delivery of an earlier event raised.
        """
        self.faults.raise_first()
        data = value if isinstance(value, (bytes, type(None))) else (
            value.encode() if isinstance(value, str) else to_json(value))
        message = _message(key, headers, timestamp, partition)
        send = lib.evs_producer_send_json if self._checked else lib.evs_producer_send_bytes
        size = len(data) if data is not None else 0
        number = keep((on_delivery, self.faults)) if on_delivery else None
        report = _on_delivery if on_delivery else _no_report
        deadline = time.monotonic() + timeout
        queued = False
        try:
            while raising(send, self.pointer, data, size, ctypes.byref(message), report,
                          number) == Status.AGAIN:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Error(Status.AGAIN, "the queue is full and nothing was delivered for "
                                "%g s" % timeout, retriable=True)
                raising(lib.evs_producer_poll, self.pointer, int(min(left, 0.1) * 1000))
            queued = True
        finally:
            if number is not None and not queued:
                slots.pop(number, None)

    def poll(self, timeout: float = 0.0) -> bool:
        """Serve delivery reports for up to `timeout` seconds; whether there were any. Raises what
        an on_delivery raised."""
        status, error = attempt(lib.evs_producer_poll, self.pointer, int(timeout * 1000))
        self.faults.raise_first()
        if error:
            raise error
        return status == Status.OK

    def flush(self, timeout: float = 30.0) -> None:
        """Wait until everything sent is delivered or has failed. Raises Error with ERR_TIMEOUT when
        some is still on the way, and what an on_delivery raised."""
        _, error = attempt(lib.evs_producer_flush, self.pointer, int(timeout * 1000))
        self.faults.raise_first()
        if error:
            raise error

    @property
    def pending(self) -> int:
        """Events queued or on the way."""
        return lib.evs_producer_pending(self.pointer)

    def close(self) -> None:
        """Flush for a bounded time (close.timeout.ms), report the rest as not delivered, release.
        Raises what an on_delivery raised."""
        self.dispose()
        try:
            self.faults.raise_first()
        finally:
            self.faults.report_all(self)

    def __enter__(self) -> Producer:
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        try:
            self.close()
        except BaseException as error:
            if kind is None:
                raise
            late = Faults()  # the exception on its way says more
            late.add(error)
            late.report_all(self)


def _message(key: Union[str, bytes, None], headers: Any, timestamp: Any, partition: int) -> Message:
    message = init(Message, "evs_message_init")
    if key is not None:
        data = key.encode() if isinstance(key, str) else key
        if not isinstance(data, bytes):
            raise TypeError("key must be str or bytes, not %s" % type(key).__name__)
        message.key, message.key_len = data, len(data)
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers or ())
    if pairs:
        array = (Header * len(pairs))()
        for header, (name, value) in zip(array, pairs):
            header.name = text(name, "header name")
            data = value.encode() if isinstance(value, str) else value
            header.value, header.value_len = data, len(data) if data is not None else 0
        message.headers, message.header_count = array, len(pairs)
    message.timestamp_ms = TIME_NONE if timestamp is None else to_milliseconds(timestamp)
    message.partition = partition
    return message
