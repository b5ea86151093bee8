#!/usr/bin/env python3
"""Batches and pyarrow: what is exported is read, what is imported is kept. Prints TAP.

Usage: test_arrow.py LIBRARY        the libevstream.so to load

Only ctypes and pyarrow: the Arrow C Data Interface is the whole contract.
"""

import ctypes
import datetime
import decimal
import gc
import sys

try:
    import pyarrow as pa
except ImportError:
    print("1..0 # SKIP pyarrow is not installed (scripts/deps python)")
    sys.exit(0)

P, I32, I64, SIZE = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64, ctypes.c_size_t


class ColumnView(ctypes.Structure):
    _fields_ = [("type", P), ("length", I64), ("validity", P), ("values", P), ("offsets", P),
                ("handle", P), ("layout", I32), ("child_count", I32)]


class Row(ctypes.Structure):
    _fields_ = [("batch", P), ("reserved", P), ("index", ctypes.c_uint32),
                ("reserved2", ctypes.c_uint32)]


class Library:
    """The functions that are used here, with their argument types."""

    def __init__(self, path):
        lib = ctypes.CDLL(path)
        for name, result, *arguments in [
                ("context_new", I32, P, P, P), ("context_unref", P, P),
                ("type_parse", I32, P, ctypes.c_char_p, P, P), ("type_unref", P, P),
                ("type_print", ctypes.c_char_p, P),
                ("appender_new", I32, P, P, P, P), ("appender_unref", P, P),
                ("append_time", None, P, I64), ("append_kind", None, P, I32),
                ("append_null", None, P), ("append_bool", None, P, ctypes.c_bool),
                ("append_int", None, P, I64), ("append_double", None, P, ctypes.c_double),
                ("append_string", None, P, ctypes.c_char_p, SIZE),
                ("append_decimal", None, P, ctypes.c_char_p),
                ("append_begin", None, P), ("append_end", None, P),
                ("append_end_row", I32, P, P), ("appender_take", I32, P, P, P),
                ("batch_unref", P, P), ("batch_rows", SIZE, P), ("batch_type", P, P),
                ("batch_times", ctypes.POINTER(I64), P),
                ("batch_column", I32, P, SIZE, P),
                ("batch_export_arrow", I32, P, ctypes.c_bool, P, P, P),
                ("batch_import_arrow", I32, P, P, P, ctypes.c_char_p, P, P),
                ("batch_row", Row, P, SIZE),
                ("row_text", I32, P, I32, P, SIZE, P),
                ("error_message", ctypes.c_char_p, P), ("error_unref", P, P)]:
            function = getattr(lib, "evs_" + name)
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)


evs = None


def make(function, *arguments):
    """Call a constructor: its last arguments are the result and the error."""
    result, error = P(), P()
    status = function(*arguments, ctypes.byref(result), ctypes.byref(error))
    message = evs.error_message(error).decode()
    evs.error_unref(error)
    if status != 0:
        raise ValueError("%d: %s" % (status, message))
    return result


class CArray(ctypes.Structure):
    _fields_ = [("length", I64), ("null_count", I64), ("offset", I64), ("n_buffers", I64),
                ("n_children", I64), ("buffers", P), ("children", P), ("dictionary", P),
                ("release", P), ("private_data", P)]


class CSchema(ctypes.Structure):
    _fields_ = [("format", P), ("name", P), ("metadata", P), ("flags", I64), ("n_children", I64),
                ("children", P), ("dictionary", P), ("release", P), ("private_data", P)]


def export(batch, meta=False):
    array, schema, error = CArray(), CSchema(), P()
    status = evs.batch_export_arrow(batch, meta, ctypes.byref(schema), ctypes.byref(array),
                                    ctypes.byref(error))
    assert status == 0, evs.error_message(error)
    return pa.RecordBatch._import_from_c(ctypes.addressof(array), ctypes.addressof(schema))


def import_(context, record_batch, time_column=None):
    array, schema, result, error = CArray(), CSchema(), P(), P()
    record_batch._export_to_c(ctypes.addressof(array), ctypes.addressof(schema))
    status = evs.batch_import_arrow(context, ctypes.byref(schema), ctypes.byref(array),
                                    time_column, ctypes.byref(result), ctypes.byref(error))
    if status != 0:
        message = evs.error_message(error).decode()
        evs.error_unref(error)
        assert schema.release and array.release, "a failed import has released its input"
        pa.RecordBatch._import_from_c(ctypes.addressof(array), ctypes.addressof(schema))
        raise ValueError("%d: %s" % (status, message))
    assert not schema.release and not array.release
    return result


def text(batch, row, field):
    handle = evs.batch_row(batch, row)
    buffer = ctypes.create_string_buffer(1000)
    status = evs.row_text(ctypes.byref(handle), field, buffer, 1000, None)
    return None if status == 2 else buffer.value.decode()


def append(appender, value):
    """One Python value: dict = MAP or STRUCT (its values in order), list = ARRAY."""
    if value is None:
        evs.append_null(appender)
    elif isinstance(value, bool):
        evs.append_bool(appender, value)
    elif isinstance(value, int):
        evs.append_int(appender, value)
    elif isinstance(value, float):
        evs.append_double(appender, value)
    elif isinstance(value, decimal.Decimal):
        evs.append_decimal(appender, str(value).encode())
    elif isinstance(value, (str, bytes)):
        value = value.encode() if isinstance(value, str) else value
        evs.append_string(appender, value, len(value))
    else:
        evs.append_begin(appender)
        for item in value:
            if isinstance(item, tuple):
                append(appender, item[0])
                append(appender, item[1])
            else:
                append(appender, item)
        evs.append_end(appender)


TYPE = ("STRUCT<b BOOLEAN, i INT, l BIGINT NOT NULL, d DOUBLE, m DECIMAL(9,2), s VARCHAR, "
        "y BYTES, t TIMESTAMP, da DATE, ti TIME, a ARRAY<VARCHAR>, mp MAP<INT>, "
        "st STRUCT<x INT NOT NULL, items ARRAY<STRUCT<z VARCHAR>>>> NOT NULL")
ROWS = [
    [True, -5, 1 << 40, 0.25, decimal.Decimal("-12.50"), "text é", b"\0\xff", 1000, 20000, 61000,
     ["x", None, ""], [("k", 1), ("n", None)], [7, [["zed"], None]]],
    [None, None, 0] + [None] * 10,
    [False, 1, -1, -0.0, decimal.Decimal("0.01"), "", b"", -1, -1, 0, [], [], [8, []]],
]
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
EXPECTED = [
    {"b": True, "i": -5, "l": 1 << 40, "d": 0.25, "m": decimal.Decimal("-12.50"), "s": "text é",
     "y": b"\0\xff", "t": EPOCH + datetime.timedelta(seconds=1), "da": datetime.date(2024, 10, 4),
     "ti": datetime.time(0, 1, 1), "a": ["x", None, ""], "mp": [("k", 1), ("n", None)],
     "st": {"x": 7, "items": [{"z": "zed"}, None]}},
    {"b": None, "i": None, "l": 0, "d": None, "m": None, "s": None, "y": None, "t": None,
     "da": None, "ti": None, "a": None, "mp": None, "st": None},
    {"b": False, "i": 1, "l": -1, "d": -0.0, "m": decimal.Decimal("0.01"), "s": "", "y": b"",
     "t": EPOCH - datetime.timedelta(milliseconds=1), "da": datetime.date(1969, 12, 31),
     "ti": datetime.time(0), "a": [], "mp": [], "st": {"x": 8, "items": []}},
]


def build(repeat=1):
    """A batch of ROWS, with the context, type and appender released again."""
    context = make(evs.context_new, None)
    type_ = make(evs.type_parse, context, TYPE.encode())
    appender = make(evs.appender_new, context, type_)
    for i in range(repeat):
        for row in ROWS:
            evs.append_time(appender, i)
            for value in row:
                append(appender, value)
            error = P()
            status = evs.append_end_row(appender, ctypes.byref(error))
            assert status == 0, evs.error_message(error)
    batch = make(evs.appender_take, appender)
    evs.appender_unref(appender)
    evs.type_unref(type_)
    evs.context_unref(context)
    return batch


def test_export_is_read_after_everything_was_closed():
    batch = build(100)
    records = export(batch)
    evs.batch_unref(batch)
    records.validate(full=True)
    assert records.num_rows == 300
    assert records.to_pylist() == EXPECTED * 100
    assert not records.schema.field("l").nullable and records.schema.field("i").nullable
    assert records.schema.field("t").type == pa.timestamp("ms", tz="UTC")


def test_export_one_column_outlives_the_rest():
    batch = build()
    records = export(batch)
    column = records.column(records.schema.get_field_index("a")).values
    evs.batch_unref(batch)
    del records
    gc.collect()
    assert column.to_pylist() == ["x", None, ""]


def test_export_points_into_the_batch():
    batch = build()
    records = export(batch)
    view = ColumnView()
    assert evs.batch_column(batch, 2, ctypes.byref(view)) == 0
    assert records.column(2).buffers()[1].address == view.values
    assert evs.batch_column(batch, 5, ctypes.byref(view)) == 0
    assert records.column(5).buffers()[2].address == view.values
    evs.batch_unref(batch)


def test_export_meta_columns():
    batch = build(2)
    records = export(batch, meta=True)
    evs.batch_unref(batch)
    records.validate(full=True)
    assert records.schema.names[-2:] == ["_time", "_kind"]
    assert records.column("_time").cast(pa.int64()).to_pylist() == [0, 0, 0, 1, 1, 1]
    assert records.column("_kind").to_pylist() == [0] * 6


def test_import_points_into_arrow_and_releases_it():
    context = make(evs.context_new, None)
    before = pa.total_allocated_bytes()
    records = pa.record_batch({"l": pa.array(range(1000), pa.int64()),
                               "s": pa.array(["row %d" % i for i in range(1000)])})
    addresses = records.column(0).buffers()[1].address, records.column(1).buffers()[2].address
    batch = import_(context, records)
    evs.context_unref(context)
    del records
    gc.collect()
    view = ColumnView()
    evs.batch_column(batch, 0, ctypes.byref(view))
    assert view.values == addresses[0]
    evs.batch_column(batch, 1, ctypes.byref(view))
    assert view.values == addresses[1]
    assert text(batch, 999, 1) == "row 999" and text(batch, 999, 0) == "999"
    assert pa.total_allocated_bytes() > before
    evs.batch_unref(batch)
    assert pa.total_allocated_bytes() == before


def test_import_export_gives_equal_arrays():
    context = make(evs.context_new, None)
    item = pa.struct([("sku", pa.string()), ("n", pa.int32())])
    schema = pa.schema([
        ("b", pa.bool_()), ("i", pa.int32()), ("d", pa.float64()), ("m", pa.decimal128(20, 3)),
        ("s", pa.string()), ("y", pa.binary()), ("t", pa.timestamp("ms", tz="UTC")),
        ("da", pa.date32()), ("ti", pa.time32("ms")), ("a", pa.list_(item)),
        ("mp", pa.map_(pa.string(), pa.float64())), ("st", pa.struct([("in", item)]))])
    rows = []
    for i in range(97):
        rows.append({
            "b": i % 3 == 0, "i": i, "d": i / 7, "m": decimal.Decimal(i) / 8, "s": "é" * (i % 5),
            "y": bytes([i]), "t": i * 1000003, "da": i, "ti": i * 1000,
            "a": [{"sku": "s%d" % k, "n": k} for k in range(i % 4)],
            "mp": [("k%d" % k, k / 2) for k in range(i % 3)],
            "st": {"in": {"sku": None, "n": i}}})
        if i % 5 == 0:
            rows[-1] = {name: None for name in rows[-1]}
    records = pa.RecordBatch.from_pylist(rows, schema=schema)
    for begin in (0, 1, 8, 13):
        for length in (84, 7, 1, 0):
            slice_ = records.slice(begin, length)
            batch = import_(context, slice_)
            back = export(batch)
            evs.batch_unref(batch)
            back.validate(full=True)
            assert back.to_pylist() == slice_.to_pylist(), (begin, length)
    evs.context_unref(context)


def test_import_converts_what_is_narrower_or_larger():
    context = make(evs.context_new, None)
    cases = [
        (pa.array([1, None, -3], pa.int8()), "INT", ["1", None, "-3"]),
        (pa.array([1, 2 ** 64 - 1], pa.uint64()), "DECIMAL(20,0)", ["1", "18446744073709551615"]),
        (pa.array([0.5, None], pa.float32()), "DOUBLE", ["0.5", None]),
        (pa.array(["a", None, "ccc"], pa.large_string()), "VARCHAR", ["a", None, "ccc"]),
        (pa.array([[1], None, [2, 3]], pa.large_list(pa.int16())), "ARRAY<INT>",
         ["[1]", None, "[2,3]"]),
        (pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int32(), 2)), "ARRAY<INT>",
         ["[1,2]", None, "[3,4]"]),
        (pa.array([b"ab", b"cd"], pa.binary(2)), "BYTES", ["YWI=", "Y2Q="]),
        (pa.array([1, None], pa.timestamp("us")), "TIMESTAMP", ["1970-01-01T00:00:00.000Z", None]),
        (pa.array([86400000, 0], pa.date64()), "DATE", ["1970-01-02", "1970-01-01"]),
        (pa.array([61, 0], pa.time32("s")), "TIME", ["00:01:01.000", "00:00:00.000"]),
    ]
    for array, type_, expected in cases:
        batch = import_(context, pa.record_batch({"v": array}))
        assert evs.type_print(evs.batch_type(batch)).decode() == "STRUCT<v %s> NOT NULL" % type_
        assert [text(batch, i, 0) for i in range(len(expected))] == expected, (type_, expected)
        evs.batch_unref(batch)
    evs.context_unref(context)


def test_import_takes_event_times_from_a_column():
    context = make(evs.context_new, None)
    records = pa.record_batch({"at": pa.array([5, None, 7], pa.timestamp("ms")),
                               "v": pa.array([1, 2, 3])})
    batch = import_(context, records, b"at")
    times = evs.batch_times(batch)
    assert [times[i] for i in range(3)] == [5, -2 ** 63, 7]
    evs.batch_unref(batch)
    evs.context_unref(context)


def test_import_refuses_what_has_no_counterpart():
    context = make(evs.context_new, None)
    for array, part in [
            (pa.array(["a", "b", "a"]).dictionary_encode(), "with a dictionary"),
            (pa.nulls(3), 'the Arrow type "n" has no counterpart'),
            (pa.array([1, 2, 3], pa.duration("ms")), 'the Arrow type "tDm"'),
            (pa.array([[(1, 2)]], pa.map_(pa.int32(), pa.int32())), "only maps with text keys")]:
        try:
            import_(context, pa.record_batch({"v": array}))
        except ValueError as error:
            assert part in str(error), error
        else:
            raise AssertionError("imported: %s" % array.type)
    evs.context_unref(context)


def main():
    global evs
    evs = Library(sys.argv[1])
    tests = [(name, function) for name, function in sorted(globals().items())
             if name.startswith("test_")]
    print("1..%d" % len(tests))
    failed = 0
    for number, (name, function) in enumerate(tests, 1):
        try:
            function()
            print("ok %d - %s" % (number, name))
        except Exception as error:  # each test is told about, whatever it ran into
            failed = 1
            print("not ok %d - %s\n# %s: %s" % (number, name, type(error).__name__, error))
        sys.stdout.flush()
    return failed


sys.exit(main())
