"""Rows of Python into batches and back."""

import datetime as dt
import decimal
import unittest

from support import evs
from evstream._infer import columns_of, time_fields
from evstream._library import lib
from evstream._values import new_batch, to_milliseconds

UTC = dt.timezone.utc


class RoundTrip(unittest.TestCase):
    def batch(self, columns, *rows):
        schema = evs.Schema.columns(columns)
        return new_batch(evs.default_context(), lib.evs_schema_type(schema.pointer),
                         [(row, None) for row in rows])

    def check(self, columns, *values):
        rows = [{"x": value} for value in values]
        self.assertEqual(list(self.batch("x " + columns, *rows)), rows)

    def test_scalars_come_back(self):
        self.check("BOOLEAN", True, None, False, *[True] * 20)
        self.check("INT", 0, -2**31, None, 2**31 - 1)
        self.check("BIGINT", 0, -2**63, None, 2**63 - 1)
        self.check("DOUBLE", 0.1, -1e308, None, float("inf"))
        self.check("DECIMAL(38,10)", decimal.Decimal("1234567890123456789012345678.0123456789"),
                   None, decimal.Decimal("-0.0000000001"))
        self.check("VARCHAR", "", "ä€😀", None, "x\0y", "long " * 1000)
        self.check("BYTES", b"", bytes(range(256)), None)
        self.check("TIMESTAMP", dt.datetime(2026, 1, 1, 12, 0, 0, 1000, UTC), None,
                   dt.datetime(1, 1, 1, tzinfo=UTC), dt.datetime(1969, 12, 31, tzinfo=UTC))
        self.check("DATE", dt.date(2026, 2, 28), None, dt.date(1, 1, 1), dt.date(9999, 12, 31))
        self.check("TIME", dt.time(0), dt.time(23, 59, 59, 999000), None)

    def test_nested_values_come_back(self):
        self.check("ARRAY<BIGINT>", [], [1, None, 3], None, [4])
        self.check("ARRAY<ARRAY<VARCHAR>>", [["a"], [], None, ["b", "c"]], None)
        self.check("MAP<DOUBLE>", {}, {"a": 1.5, "b": None}, None)
        self.check("STRUCT<a INT, b STRUCT<c VARCHAR>>", {"a": 1, "b": {"c": "x"}}, None,
                   {"a": None, "b": None})
        self.check("ARRAY<STRUCT<sku VARCHAR, n INT>>", [{"sku": "s", "n": 1}] * 3, [], None)

    def test_a_decimal_keeps_its_scale(self):
        row, = self.batch("x DECIMAL(9,2)", {"x": decimal.Decimal("1.5")})
        self.assertEqual(str(row["x"]), "1.50")

    def test_a_time_that_python_has_no_name_for_stays_a_number(self):
        row, = self.batch("x TIMESTAMP, y DATE", {"x": 2**62, "y": 10**9})
        self.assertEqual(row, {"x": 2**62, "y": 10**9})

    def test_a_missing_field_is_null_and_another_left_out(self):
        self.assertEqual(list(self.batch("a INT, b INT", {"b": 1, "c": 2})), [{"a": None, "b": 1}])

    def test_a_wrong_value_names_row_and_field_and_is_not_appended(self):
        schema = evs.Schema.columns("a INT, b STRUCT<c ARRAY<VARCHAR>>")
        for bad, status in (({"a": "one"}, "ERR_TYPE"), ({"b": {"c": ["x", 7]}}, "ERR_TYPE"),
                            ({"b": 5}, "ERR_TYPE"), ({"a": 2**100}, "ERR_TYPE"),
                            ({"a": 2**31}, "ERR_OVERFLOW")):
            with self.subTest(bad):
                rows = [({"a": 1}, None), (bad, None)]
                with self.assertRaises(evs.Error) as caught:
                    new_batch(evs.default_context(), lib.evs_schema_type(schema.pointer), rows)
                self.assertEqual(caught.exception.status, evs.Status[status])
                self.assertRegex(str(caught.exception), "row 1|of row 1")
                self.assertRegex(caught.exception.origin, "^[ab]")

    def test_event_time_is_kept_beside_the_row(self):
        schema = evs.Schema.columns("a INT")
        batch = new_batch(evs.default_context(), lib.evs_schema_type(schema.pointer),
                          [({"a": 1}, 5), ({"a": 2}, None), ({"a": 3}, -1)])
        self.assertEqual([(row.time, row.kind) for row in batch],
                         [(5, "insert"), (None, "insert"), (-1, "insert")])

    def test_points_in_time(self):
        for value in (1000, dt.datetime(1970, 1, 1, 0, 0, 1), "1970-01-01T00:00:01Z",
                      dt.datetime(1970, 1, 1, 1, 0, 1, tzinfo=dt.timezone(dt.timedelta(hours=1)))):
            self.assertEqual(to_milliseconds(value), 1000)
        for value in (True, 1.5, None):
            with self.assertRaises(TypeError):
                to_milliseconds(value)


class Inference(unittest.TestCase):
    def test_types_are_those_of_the_values(self):
        rows = [{"b": True, "i": 1, "f": 1, "s": "x", "y": b"", "d": dt.date(2026, 1, 1),
                 "t": dt.datetime(2026, 1, 1), "o": dt.time(1), "n": None,
                 "m": decimal.Decimal("1.25"), "a": [1], "r": {"p": "q", "u": {"v": 1.5}}},
                {"f": 2.5, "m": decimal.Decimal("100.5"), "a": [None, 2], "r": None, "z": []}]
        self.assertEqual(columns_of(rows), ", ".join((
            '"b" BOOLEAN', '"i" BIGINT', '"f" DOUBLE', '"s" VARCHAR', '"y" BYTES', '"d" DATE',
            '"t" TIMESTAMP', '"o" TIME', '"n" VARCHAR', '"m" DECIMAL(38,2)', '"a" ARRAY<BIGINT>',
            '"r" STRUCT<"p" VARCHAR, "u" STRUCT<"v" DOUBLE>>', '"z" ARRAY<VARCHAR>')))
        evs.Schema.columns(columns_of(rows))

    def test_values_that_do_not_agree_give_no_column(self):
        self.assertEqual(columns_of([{"a": 1, "b": object(), "c": 1}, {"a": "x", "c": None}]),
                         '"c" BIGINT')

    def test_odd_names_are_quoted(self):
        columns = columns_of([{'a "b" c': 1, "order": 2, "ä": 3}])
        self.assertEqual(evs.Schema.columns(columns).type.count("BIGINT"), 3)

    def test_time_fields_hold_datetimes_only(self):
        self.assertEqual(time_fields([{"a": dt.datetime(2026, 1, 1), "b": None, "c": 1},
                                      {"a": None, "b": dt.datetime(2026, 1, 1), "c": 2}]),
                         ["a", "b"])


if __name__ == "__main__":
    unittest.main()
