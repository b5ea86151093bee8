"""The shared library: where it is found, its structs, its functions.

One table, PROTOTYPES, says what each C function takes and gives; a function is bound when it is
first used. Layouts of the structs that grow (`struct_size` first) come from the library itself:
init() lets its evs_*_init() function fill a buffer with room to spare and compares the size it
wrote, so a newer library's longer struct works and an older one's is refused with a clear error.

The library is looked for in this order:
  1. the file named by the environment's EVSTREAM_LIBRARY
  2. libevstream.so (or .so.0) beside this package's files
  3. the system's loader
"""

from __future__ import annotations

import ctypes
import os
import pathlib
from ctypes import (CFUNCTYPE, POINTER, Structure, c_bool, c_char_p, c_double, c_int, c_int32,
                    c_int64, c_size_t, c_uint8, c_uint32, c_uint64, c_void_p)
from typing import Any, Optional, Type, TypeVar

SONAME = "libevstream.so.0"
TIME_NONE = -(2**63)
FOREVER = 2**63 - 1

# ---- structs ------------------------------------------------------------------------------------


class Allocator(Structure):
    _fields_ = [("malloc_fn", c_void_p), ("realloc_fn", c_void_p), ("free_fn", c_void_p),
                ("user_data", c_void_p)]


class ContextOptions(Structure):
    _fields_ = [("struct_size", c_size_t), ("allocator", Allocator), ("log", c_void_p),
                ("log_user_data", c_void_p), ("log_level", c_int32), ("reserved", c_int32),
                ("module_dir", c_char_p)]


class WindowOptions(Structure):
    _fields_ = [("struct_size", c_size_t), ("size_ms", c_int64), ("offset_ms", c_int64),
                ("grace_ms", c_int64), ("out_of_orderness_ms", c_int64),
                ("state_bytes_max", c_int64), ("kind", c_int32), ("emit", c_int32),
                ("time", c_int32), ("null_key", c_int32), ("advance_ms", c_int64),
                ("step_ms", c_int64), ("gap_ms", c_int64), ("emit_every_ms", c_int64),
                ("emit_count", c_int64), ("late", c_int32), ("calendar", c_int32),
                ("zone", c_char_p), ("size_rows", c_int64), ("advance_rows", c_int64)]


class DedupOptions(Structure):
    _fields_ = [("struct_size", c_size_t), ("within_ms", c_int64), ("grace_ms", c_int64),
                ("state_bytes_max", c_int64), ("since", c_int32), ("null_key", c_int32)]


class LimitOptions(Structure):
    _fields_ = [("struct_size", c_size_t), ("rows", c_int64), ("per_ms", c_int64),
                ("grace_ms", c_int64), ("state_bytes_max", c_int64), ("null_key", c_int32),
                ("reserved", c_int32)]


class Header(Structure):
    _fields_ = [("name", c_char_p), ("value", c_char_p), ("value_len", c_size_t)]


class Message(Structure):
    _fields_ = [("struct_size", c_size_t), ("key", c_char_p), ("key_len", c_size_t),
                ("headers", POINTER(Header)), ("header_count", c_size_t),
                ("timestamp_ms", c_int64), ("partition", c_int32), ("reserved", c_int32)]


class DeliveryView(Structure):
    _fields_ = [("topic", c_char_p), ("error", c_void_p), ("key", c_void_p),
                ("key_len", c_size_t), ("offset", c_int64), ("latency_us", c_int64),
                ("partition", c_int32), ("reserved", c_int32)]


class Input(Structure):
    _fields_ = [("value", c_void_p), ("key", c_void_p), ("handle", c_void_p), ("offset", c_int64),
                ("timestamp", c_int64), ("value_len", c_uint32), ("key_len", c_uint32),
                ("partition", c_int32), ("topic", c_uint32)]


class StringView(Structure):
    _fields_ = [("data", c_void_p), ("len", c_size_t)]


class ColumnView(Structure):
    _fields_ = [("type", c_void_p), ("length", c_int64), ("validity", c_void_p),
                ("values", c_void_p), ("offsets", c_void_p), ("handle", c_void_p),
                ("layout", c_int32), ("child_count", c_int32)]


class Value(Structure):
    _fields_ = [("type", c_int32), ("is_null", c_int32), ("integer", c_int64),
                ("number", c_double), ("data", c_char_p), ("len", c_size_t)]


class TableCursor(Structure):
    _fields_ = [("place", c_int64 * 4)]


class RowView(Structure):
    _fields_ = [("batch", c_void_p), ("reserved", c_void_p), ("index", c_uint32),
                ("reserved2", c_uint32)]


class ArrowSchema(Structure):
    pass


class ArrowArray(Structure):
    pass


class ArrowArrayStream(Structure):
    pass


ArrowSchema._fields_ = [
    ("format", c_char_p), ("name", c_char_p), ("metadata", c_void_p), ("flags", c_int64),
    ("n_children", c_int64), ("children", POINTER(POINTER(ArrowSchema))),
    ("dictionary", POINTER(ArrowSchema)), ("release", CFUNCTYPE(None, POINTER(ArrowSchema))),
    ("private_data", c_void_p)]
ArrowArray._fields_ = [
    ("length", c_int64), ("null_count", c_int64), ("offset", c_int64), ("n_buffers", c_int64),
    ("n_children", c_int64), ("buffers", POINTER(c_void_p)),
    ("children", POINTER(POINTER(ArrowArray))), ("dictionary", POINTER(ArrowArray)),
    ("release", CFUNCTYPE(None, POINTER(ArrowArray))), ("private_data", c_void_p)]
ArrowArrayStream._fields_ = [
    ("get_schema", CFUNCTYPE(c_int, POINTER(ArrowArrayStream), POINTER(ArrowSchema))),
    ("get_next", CFUNCTYPE(c_int, POINTER(ArrowArrayStream), POINTER(ArrowArray))),
    ("get_last_error", CFUNCTYPE(c_char_p, POINTER(ArrowArrayStream))),
    ("release", CFUNCTYPE(None, POINTER(ArrowArrayStream))), ("private_data", c_void_p)]

# C name of each struct above that the headers define, for the layout test
STRUCTS = {
    "evs_allocator": Allocator, "evs_context_options": ContextOptions,
    "evs_window_options": WindowOptions, "evs_dedup_options": DedupOptions,
    "evs_limit_options": LimitOptions, "evs_header": Header, "evs_message": Message,
    "evs_delivery": DeliveryView, "evs_input": Input, "evs_string_view": StringView,
    "evs_column_view": ColumnView, "evs_row": RowView, "evs_value": Value,
    "evs_table_cursor": TableCursor, "ArrowSchema": ArrowSchema,
    "ArrowArray": ArrowArray, "ArrowArrayStream": ArrowArrayStream,
}

# ---- callbacks ----------------------------------------------------------------------------------

LOG_FN = CFUNCTYPE(None, c_int32, c_char_p, c_char_p, c_void_p)
EACH_FN = CFUNCTYPE(c_int, POINTER(RowView), c_void_p)
APPLY_FN = CFUNCTYPE(c_int, POINTER(RowView), c_void_p, c_void_p)
DELIVERY_FN = CFUNCTYPE(None, POINTER(DeliveryView), c_void_p)
FAILED_FN = CFUNCTYPE(None, POINTER(Input), c_int, c_char_p, c_void_p)
REJECT_FN = CFUNCTYPE(None, c_char_p, c_int, c_char_p, POINTER(RowView), c_void_p)

# ---- functions ----------------------------------------------------------------------------------

_P = c_void_p  # a handle
_S = c_char_p  # text in; text out where nothing is to be freed
_OUT = POINTER(c_void_p)  # ret_x of a handle, and evs_error **

# result, then arguments: as in include/evstream (a test compares them)
PROTOTYPES: dict[str, tuple] = {
    "evs_version": (_S,),
    "evs_status_name": (_S, c_int32),
    "evs_status_text": (_S, c_int32),
    "evs_error_status": (c_int, _P),
    "evs_error_message": (_S, _P),
    "evs_error_is_retriable": (c_bool, _P),
    "evs_error_is_fatal": (c_bool, _P),
    "evs_error_kafka_code": (c_int32, _P),
    "evs_error_origin": (_S, _P),
    "evs_error_unref": (_P, _P),
    "evs_context_options_init": (None, POINTER(ContextOptions)),
    "evs_context_new": (c_int, POINTER(ContextOptions), _OUT, _OUT),
    "evs_context_unref": (_P, _P),
    "evs_options_new": (c_int, _P, _OUT, _OUT),
    "evs_options_set": (c_int, _P, _S, _S, _OUT),
    "evs_options_unref": (_P, _P),
    "evs_type_get_id": (c_int, _P),
    "evs_type_scale": (c_int32, _P),
    "evs_type_child_count": (c_size_t, _P),
    "evs_type_child": (_P, _P, c_size_t),
    "evs_type_field_name": (_S, _P, c_size_t),
    "evs_type_print": (_S, _P),
    "evs_batch_ref": (_P, _P),
    "evs_batch_unref": (_P, _P),
    "evs_batch_keep": (c_int, _P, _OUT, _OUT),
    "evs_batch_type": (_P, _P),
    "evs_batch_rows": (c_size_t, _P),
    "evs_batch_selection": (POINTER(c_uint32), _P),
    "evs_batch_times": (POINTER(c_int64), _P),
    "evs_batch_kinds": (POINTER(c_uint8), _P),
    "evs_batch_column": (c_int, _P, c_size_t, POINTER(ColumnView)),
    "evs_column_child": (c_int, POINTER(ColumnView), c_size_t, POINTER(ColumnView)),
    "evs_batch_export_arrow": (c_int, _P, c_bool, POINTER(ArrowSchema), POINTER(ArrowArray), _OUT),
    "evs_batches_export_arrow": (c_int, _P, _OUT, c_size_t, c_bool, POINTER(ArrowArrayStream),
                                 _OUT),
    "evs_batch_import_arrow": (c_int, _P, POINTER(ArrowSchema), POINTER(ArrowArray), _S, _OUT,
                               _OUT),
    "evs_appender_new": (c_int, _P, _P, _OUT, _OUT),
    "evs_appender_unref": (_P, _P),
    "evs_append_time": (None, _P, c_int64),
    "evs_append_null": (None, _P),
    "evs_append_bool": (None, _P, c_bool),
    "evs_append_int": (None, _P, c_int64),
    "evs_append_double": (None, _P, c_double),
    "evs_append_string": (None, _P, c_char_p, c_size_t),
    "evs_append_decimal": (None, _P, _S),
    "evs_append_begin": (None, _P),
    "evs_append_end": (None, _P),
    "evs_append_end_row": (c_int, _P, _OUT),
    "evs_appender_rows": (c_size_t, _P),
    "evs_appender_take": (c_int, _P, _OUT, _OUT),
    "evs_schema_columns": (c_int, _P, _S, _OUT, _OUT),
    "evs_schema_parse": (c_int, _P, c_int, c_char_p, c_size_t, _OUT, _OUT),
    "evs_schema_load": (c_int, _P, c_int, _S, _OUT, _OUT),
    "evs_schema_unref": (_P, _P),
    "evs_schema_type": (_P, _P),
    "evs_schema_text": (_S, _P),
    "evs_schema_warnings": (_S, _P),
    "evs_schema_of_type": (c_int, _P, c_int, _S, _P, _OUT, _OUT),
    "evs_producer_new": (c_int, _P, _P, _P, _OUT, _OUT),
    "evs_producer_close": (_P, _P),
    "evs_producer_send_json": (c_int, _P, c_char_p, c_size_t, POINTER(Message), DELIVERY_FN, _P,
                               _OUT),
    "evs_producer_send_bytes": (c_int, _P, c_char_p, c_size_t, POINTER(Message), DELIVERY_FN, _P,
                                _OUT),
    "evs_producer_poll": (c_int, _P, c_int64, _OUT),
    "evs_producer_flush": (c_int, _P, c_int64, _OUT),
    "evs_producer_pending": (c_size_t, _P),
    "evs_message_init": (None, POINTER(Message)),
    "evs_consumer_new": (c_int, _P, _P, _P, _OUT, _OUT),
    "evs_consumer_on_failed": (None, _P, FAILED_FN, _P),
    "evs_consumer_poll": (c_int, _P, c_int64, _OUT, _OUT),
    "evs_consumer_commit": (c_int, _P, _OUT),
    "evs_consumer_close": (_P, _P),
    "evs_window_options_init": (None, POINTER(WindowOptions)),
    "evs_window_options_init_size": (None, POINTER(WindowOptions), c_size_t),
    "evs_window_new": (c_int, _P, _P, _S, _S, POINTER(WindowOptions), _OUT, _OUT),
    "evs_window_unref": (_P, _P),
    "evs_window_result_type": (_P, _P),
    "evs_window_appender": (_P, _P),
    "evs_window_push": (c_int, _P, _P, _OUT),
    "evs_window_advance": (c_int, _P, c_int64, _OUT),
    "evs_window_take": (c_int, _P, _OUT, _OUT),
    "evs_window_take_late": (c_int, _P, _OUT, _OUT),
    "evs_window_on_reject": (None, _P, REJECT_FN, _P),
    "evs_pipeline_new": (c_int, _P, _S, _OUT, _OUT),
    "evs_pipeline_unref": (_P, _P),
    "evs_pipeline_set": (None, _P, _S, _S),
    "evs_source": (_P, _P, _S, _P),
    "evs_source_with_schema": (_P, _P, _S, _P, _P),
    "evs_filter": (_P, _P, _S),
    "evs_project": (_P, _P, _S),
    "evs_explode": (_P, _P, _S, _S),
    "evs_apply": (_P, _P, _S, APPLY_FN, _P),
    "evs_apply_appender": (_P, _P),
    "evs_apply_reject": (None, _P, _S),
    "evs_window_by": (_P, _P, _S, POINTER(WindowOptions), _S),
    "evs_sample": (_P, _P, _S, c_int64),
    "evs_dedup_options_init": (None, POINTER(DedupOptions), c_size_t),
    "evs_dedup": (_P, _P, _S, POINTER(DedupOptions)),
    "evs_limit_options_init": (None, POINTER(LimitOptions), c_size_t),
    "evs_limit": (_P, _P, _S, POINTER(LimitOptions)),
    "evs_top": (_P, _P, c_int64, _S, _S),
    "evs_late": (_P, _P),
    "evs_sink": (None, _P, _S, _P),
    "evs_each": (None, _P, EACH_FN, _P),
    "evs_dead_letters": (None, _P, _S, _P),
    "evs_stream_type": (_P, _P),
    "evs_stream_name": (None, _P, _S),
    "evs_stream_push": (c_int, _P, _P, c_int32, _OUT),
    "evs_stream_push_bytes": (c_int, _P, c_char_p, c_size_t, c_char_p, c_size_t, c_int64, c_int32,
                              _OUT),
    "evs_stream_push_end": (c_int, _P, _OUT),
    "evs_pipeline_check": (c_int, _P, _OUT),
    "evs_pipeline_explain": (c_int, _P, POINTER(c_char_p), _OUT),
    "evs_pipeline_fingerprint": (_S, _P),
    "evs_pipeline_poll": (c_int, _P, c_int64, _OUT),
    "evs_pipeline_commit": (c_int, _P, _OUT),
    "evs_pipeline_close": (c_int, _P, _OUT),
    "evs_pipeline_state": (_S, _P),
    "evs_pipeline_metric": (c_int, _P, _S, POINTER(c_double)),
    "evs_pipeline_metrics_text": (c_int, _P, POINTER(c_char_p), _OUT),
    "evs_pipeline_explain_window": (c_int, _P, c_int64, POINTER(c_char_p), _OUT),
    "evs_table_get": (c_int, _P, POINTER(Value), c_size_t, c_int64, _OUT, _OUT),
    "evs_table_range": (c_int, _P, POINTER(Value), c_size_t, c_int64, c_int64,
                        POINTER(TableCursor), _OUT, _OUT),
    "evs_testkit_new": (c_int, _P, _OUT, _OUT),
    "evs_testkit_close": (_P, _P),
    "evs_testkit_error": (_S, _P),
    "evs_testkit_send": (c_int, _P, _S, c_int64, _S),
    "evs_testkit_send_bytes": (c_int, _P, _S, c_int64, c_char_p, c_size_t, c_char_p, c_size_t),
    "evs_testkit_advance": (c_int, _P, c_int64),
    "evs_testkit_end": (c_int, _P),
    "evs_testkit_now": (c_int64, _P),
    "evs_testkit_expect": (c_bool, _P, _S, _S, POINTER(c_char_p)),
    "evs_testkit_expect_none": (c_bool, _P, _S, POINTER(c_char_p)),
    "evs_testkit_expect_dead_letter": (c_bool, _P, _S, POINTER(c_char_p)),
    "evs_testkit_expect_late": (c_bool, _P, _S, POINTER(c_char_p)),
    "evs_testkit_next": (c_int, _P, _S, POINTER(c_char_p)),
    "evs_testkit_reorder": (c_int, _P, c_uint64, c_int64),
    "evs_testkit_crash_and_restore": (c_int, _P),
    "evs_testkit_crash_in_commit": (c_int, _P, c_int32),
}

# ---- finding and loading ------------------------------------------------------------------------


def _candidates() -> list[str]:
    named = os.environ.get("EVSTREAM_LIBRARY")
    if named:
        return [named]
    beside = pathlib.Path(__file__).resolve().parent
    found = [str(beside / name) for name in ("libevstream.so", SONAME) if (beside / name).exists()]
    return found + [SONAME, "libevstream.so"]


def _open() -> ctypes.CDLL:
    reasons = []
    for name in _candidates():
        try:
            return ctypes.CDLL(name)
        except OSError as error:
            reasons.append(str(error))
    raise ImportError("libevstream is not found: set EVSTREAM_LIBRARY to the path of "
                      "libevstream.so, or install the library (" + "; ".join(reasons) + ")")


class _Functions:
    """The library's functions as attributes, bound on first use."""

    def __init__(self, handle: ctypes.CDLL) -> None:
        self._handle = handle

    def __getattr__(self, name: str) -> Any:
        prototype = PROTOTYPES.get(name)
        if prototype is None:
            raise AttributeError(name)
        try:
            function = getattr(self._handle, name)
        except AttributeError:
            raise ImportError("%s has no function %s: it is older than this package, or is not "
                              "libevstream" % (self._handle._name, name)) from None
        function.restype = prototype[0]
        function.argtypes = prototype[1:]
        setattr(self, name, function)
        return function


lib = _Functions(_open())


def version() -> str:
    """Version of the loaded library, "0.1.0"."""
    return lib.evs_version().decode()


def module_dir() -> Optional[str]:
    """Where the connector modules (sqlite, redis) of the loaded library are when they lie beside
    it, installed or in its build tree; None: where the library itself looks."""
    where = pathlib.Path(lib._handle._name)
    if not where.is_absolute() and "/" not in lib._handle._name:
        return None
    base = where.resolve().parent
    for folder in (base / "evstream", base / "io" / "modules"):
        if any(folder.glob("libevstream-*.so")):
            return str(folder)
    return None


_T = TypeVar("_T", bound=Structure)
_ROOM = 1024  # for structs of a library that is newer than this package
_filled: dict[Any, bytes] = {}


# init functions that take the size, whatever they are called
_SIZED = ("evs_dedup_options_init", "evs_limit_options_init")


def init(struct_type: Type[_T], function: str) -> _T:
    """A struct as its evs_*_init() function fills it, checked to be as long as we believe."""
    if struct_type not in _filled:
        memory = bytearray(max(_ROOM, ctypes.sizeof(struct_type)))
        struct = struct_type.from_buffer(memory)
        if function.endswith("_size") or function in _SIZED:
            getattr(lib, function)(ctypes.byref(struct), ctypes.sizeof(struct_type))
        else:
            getattr(lib, function)(ctypes.byref(struct))
        if not ctypes.sizeof(struct_type) <= struct.struct_size <= len(memory):
            raise ImportError("%s says %d bytes, this package knows %d: library %s does not fit" % (
                function, struct.struct_size, ctypes.sizeof(struct_type), version()))
        _filled[struct_type] = bytes(memory[:struct.struct_size])
    return struct_type.from_buffer(bytearray(_filled[struct_type]))
