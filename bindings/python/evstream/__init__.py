"""libevstream from Python: events from Kafka, windows by event time, exactly-once results, inside
your program.

    import evstream as evs

    with evs.Pipeline("page-views-per-minute", bootstrap="127.0.0.1:9092") as p:
        views = p.source("kafka", topic="page_views", format="json", event_time="at",
                         columns="page VARCHAR, device VARCHAR, at TIMESTAMP")
        views.filter("device <> 'bot'").window("page", evs.tumbling("1m"),
                                               "count(*) AS views").each(print)
        p.run()

Pure Python over the C interface (ctypes): nothing to compile. Objects are used by one thread at a
time, as in C; the interpreter runs on while a call waits.
"""

from ._consumer import Consumer, consume
from ._context import Context, default_context
from ._error import Error, Status
from ._library import version
from ._pipeline import Pipeline, Reject, Stream
from ._producer import Delivery, Producer
from ._schema import Schema
from ._testkit import TestKit
from ._values import Batch, Row
from ._window import (Calendar, Counted, Sliding, Tumbling, Window, WindowRows, calendar, counted,
                      sliding, tumbling, window)

__all__ = [
    "Batch", "Calendar", "Consumer", "Context", "Counted", "Delivery", "Error", "Pipeline",
    "Producer", "Reject", "Row", "Schema", "Sliding", "Status", "Stream", "TestKit", "Tumbling",
    "Window", "WindowRows", "calendar", "consume", "counted", "default_context", "sliding", "tumbling",
    "version", "window",
]
