"""Windows over rows that are at hand."""

import datetime as dt
import gc
import unittest
import warnings
import zoneinfo
from collections import Counter

from support import START, START_MS, at, evs

try:
    import pyarrow as pa
except ImportError:
    pa = None

EVENTS = [{"page": page, "at": at(seconds), "load": load}
          for page, seconds, load in (("/a", 1, 10.0), ("/b", 2, 20.0), ("/a", 59, 30.0),
                                      ("/a", 61, 40.0))]
EXPECTED = {("/a", at(0)): (2, 20.0), ("/b", at(0)): (1, 20.0), ("/a", at(60)): (1, 40.0)}


def result(rows):
    return {(row["page"], row["window_start"]): (row["views"], row["load"]) for row in rows}


def window(rows, **options):
    return evs.window(rows, **{"key": "page", "size": "1m",
                               "aggregates": "count(*) AS views, avg(load) AS load", **options})


class Rows(unittest.TestCase):
    def test_counts_per_key_and_window(self):
        rows = list(window(EVENTS))
        self.assertEqual(result(rows), EXPECTED)
        self.assertEqual(list(rows[0]), ["page", "window_start", "window_end", "views", "load"])
        self.assertEqual({row["window_end"] - row["window_start"] for row in rows},
                         {dt.timedelta(minutes=1)})
        self.assertEqual({row.kind for row in rows}, {"insert"})

    def test_the_order_of_rows_does_not_matter_by_default(self):
        self.assertEqual(result(window(EVENTS[::-1])), EXPECTED)

    def test_any_iterable_will_do(self):
        self.assertEqual(result(window(row for row in EVENTS)), EXPECTED)

    def test_windows_close_on_the_way_when_rows_are_in_order(self):
        consumed = []

        def rows():
            for i in range(100):
                consumed.append(i)
                yield {"page": "/a", "at": at(i), "load": 1.0}

        results = iter(window(rows(), size="10s", out_of_orderness=0, time="at"))
        first = next(results)
        self.assertEqual(first["views"], 10)
        # with inference the first 1,000 rows are read ahead
        self.assertEqual(len(list(results)), 9)

    def test_a_live_source_gives_results_before_its_end(self):
        consumed = []

        def rows():
            for i in range(10**9):
                consumed.append(i)
                yield {"page": "/a", "at": at(i), "load": 1.0}

        results = iter(window(rows(), size="10s", out_of_orderness=0, time="at",
                              columns="page VARCHAR, load DOUBLE"))
        self.assertEqual(next(results)["views"], 10)
        self.assertEqual(len(consumed), 11)

    def test_time_may_be_numbers_and_text(self):
        for value in (START_MS, "2026-01-01T00:00:00Z", START):
            rows = list(window([{"page": "/a", "when": value, "load": 1.0}], time="when"))
            self.assertEqual(rows[0]["window_start"], START)

    def test_which_field_is_the_time_is_asked_for_when_it_is_not_clear(self):
        for row, text in (({"page": "/a"}, "no column holds"),
                          ({"page": "/a", "x": START, "y": START}, "several columns hold")):
            with self.assertRaisesRegex(evs.Error, text + '.*by time=.*"page"'):
                window([row])

    def test_changes_are_told_as_they_come(self):
        rows = list(window(EVENTS, emit="changes", out_of_orderness="1h"))
        self.assertEqual([(row["page"], row["views"], row.kind) for row in rows],
                         [("/a", 1, "insert"), ("/b", 1, "insert"), ("/a", 2, "update"),
                          ("/a", 1, "insert")])

    def test_late_rows_are_given_or_warned_of(self):
        events = EVENTS + [{"page": "/late", "at": at(0), "load": 0.0}]
        late = []
        rows = window(events, out_of_orderness=0, on_late=late.append)
        self.assertEqual(result(rows), EXPECTED)
        self.assertEqual([(row["page"], row["window_start"]) for row in late], [("/late", START)])
        with self.assertWarnsRegex(UserWarning, "1 x late"):
            list(window(events, out_of_orderness=0))

    def test_rejected_rows_are_given_or_warned_of(self):
        events = EVENTS + [{"page": None, "at": at(0), "load": 1.0}, {"page": "/x", "load": 1.0}]
        seen = []
        rows = list(window(events, on_reject=lambda *args: seen.append(args)))
        self.assertEqual(result(rows), EXPECTED)
        self.assertEqual(sorted((stage, row["page"] or "") for stage, error, row in seen),
                         [("event_time", "/x"), ("null_key", "")])
        self.assertTrue(all(isinstance(error, evs.Error) for _, error, _ in seen))
        with self.assertWarnsRegex(UserWarning, "1 x null_key"):
            list(window(events))

    def test_a_null_key_may_be_a_group(self):
        rows = list(window([{"page": None, "at": START, "load": 1.0}], null_key="group",
                           columns="page VARCHAR, load DOUBLE"))
        self.assertEqual([(row["page"], row["views"]) for row in rows], [(None, 1)])

    def test_an_exception_of_a_callback_is_raised(self):
        def fail(*_):
            raise KeyError("mine")

        with self.assertRaises(KeyError):
            list(window([{"page": None, "at": START, "load": 1.0}], on_reject=fail,
                        columns="page VARCHAR, load DOUBLE"))
        with self.assertRaises(KeyError):
            list(window(EVENTS + [{"page": "/l", "at": START, "load": 1.0}], out_of_orderness=0,
                        on_late=fail))

    def test_an_exception_of_the_input_is_raised(self):
        def rows():
            yield EVENTS[0]
            raise KeyError("mine")

        with self.assertRaises(KeyError):
            list(window(rows()))

    def test_a_wrong_expression_names_the_fields(self):
        with self.assertRaises(evs.Error) as caught:
            window(EVENTS, key="pagee")
        self.assertIs(caught.exception.status, evs.Status.ERR_EXPRESSION)
        self.assertRegex(str(caught.exception), "pagee.*page")

    def test_wrong_arguments_are_told(self):
        for wrong in ({"emit": "sometimes"}, {"null_key": "x"}, {"size": "a while"}):
            with self.subTest(wrong), self.assertRaises(ValueError):
                window(EVENTS, **wrong)
        with self.assertRaisesRegex(evs.Error, "size"):
            window(EVENTS, size=0)
        with self.assertRaisesRegex(evs.Error, "row 1, field \"page\""):
            list(window([EVENTS[0], {**EVENTS[1], "page": 5}], columns="page VARCHAR, load DOUBLE",
                        time="at"))
        with self.assertRaisesRegex(evs.Error, "give columns="):
            window([])

    def test_calendar_days_and_months_are_those_of_the_zone(self):
        try:
            zone = zoneinfo.ZoneInfo("Europe/Berlin")
        except zoneinfo.ZoneInfoNotFoundError:
            self.skipTest("no time zones (package tzdata)")
        first = dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc)
        rows = [{"at": first + dt.timedelta(hours=hour)} for hour in range(0, 366 * 24)]
        for unit, begin in (("day", lambda t: t), ("month", lambda t: t.replace(day=1)),
                            ("week", lambda t: t - dt.timedelta(days=t.weekday())),
                            ("year", lambda t: t.replace(month=1, day=1))):
            wanted = Counter(
                dt.datetime.combine(begin(row["at"].astimezone(zone).date()), dt.time(),
                                    tzinfo=zone).astimezone(dt.timezone.utc) for row in rows)
            got = {row["window_start"]: row["hours"] for row in evs.window(
                rows, size=evs.calendar(unit, "Europe/Berlin", emit="final"),
                aggregates="count(*) AS hours")}
            self.assertEqual(got, wanted)
            if unit == "day":
                self.assertEqual(sorted(set(got.values())), [1, 23, 24, 25])

    def test_a_time_zone_that_does_not_exist_is_named(self):
        with self.assertRaisesRegex(evs.Error, 'time zone "Mars/Olympus" is not known'):
            list(evs.window(EVENTS, size=evs.calendar("day", "Mars/Olympus"),
                            aggregates="count(*) AS n"))

    def test_results_can_be_gone_through_once(self):
        rows = window(EVENTS)
        list(rows)
        with self.assertRaisesRegex(evs.Error, "once"):
            list(rows)

    def test_batches_outlive_their_window(self):
        rows = window(EVENTS)
        batches = list(rows.batches())
        del rows
        gc.collect()
        self.assertEqual(result(row for batch in batches for row in batch), EXPECTED)

    def test_many_rows(self):
        rows = [{"page": "/%d" % (i % 7), "at": at(i / 100), "load": float(i)}
                for i in range(20000)]
        results = list(window(rows, size="10s"))
        self.assertEqual(sum(row["views"] for row in results), 20000)
        self.assertEqual(len(results), 7 * 20)


@unittest.skipUnless(pa, "pyarrow is not installed")
class Arrow(unittest.TestCase):
    def table(self, events=EVENTS):
        return pa.Table.from_pylist(events, schema=pa.schema([
            ("page", pa.string()), ("at", pa.timestamp("ms", "UTC")), ("load", pa.float64())]))

    def test_table_in_rows_out(self):
        self.assertEqual(result(window(self.table())), EXPECTED)

    def test_rows_in_table_out(self):
        table = pa.table(window(EVENTS))
        self.assertEqual(table.column_names, ["page", "window_start", "window_end", "views", "load"])
        self.assertEqual(result(table.to_pylist()), EXPECTED)
        table.validate(full=True)

    def test_table_in_table_out_and_everything_dropped(self):
        table = self.table()
        out = pa.table(window(table))
        del table
        gc.collect()
        out.validate(full=True)
        self.assertEqual(result(out.to_pylist()), EXPECTED)

    def test_record_batch_and_reader_in(self):
        table = self.table()
        self.assertEqual(result(window(table.to_batches()[0])), EXPECTED)
        self.assertEqual(result(window(table.to_reader(max_chunksize=1))), EXPECTED)

    def test_large_and_sliced_tables(self):
        count = 20000
        table = pa.table({"page": ["/%d" % (i % 7) for i in range(count)],
                          "at": pa.array([START_MS + 10 * i for i in range(count)],
                                         pa.timestamp("ms", "UTC")),
                          "load": [float(i) for i in range(count)]})
        out = pa.table(window(table.slice(5, count - 10), size="10s"))
        self.assertEqual(sum(out["views"].to_pylist()), count - 10)

    def test_narrow_and_large_types_are_converted(self):
        table = pa.table({"page": pa.array(["/a", "/a"], pa.large_string()),
                          "at": pa.array([START, START], pa.timestamp("us", "UTC")),
                          "load": pa.array([1, 3], pa.int16())})
        self.assertEqual(result(window(table)), {("/a", START): (2, 2.0)})

    def test_an_empty_result_has_its_columns(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = pa.table(window(self.table([{"page": None, "at": START, "load": 1.0}])))
        self.assertEqual(table.num_rows, 0)
        self.assertEqual(table.column_names[0], "page")

    def test_an_error_on_the_way_reaches_the_taker(self):
        def rows():
            yield EVENTS[0]
            raise KeyError("mine")

        with self.assertRaisesRegex(KeyError, "mine"):
            pa.table(window(rows(), columns="page VARCHAR, load DOUBLE", time="at"))

    def test_a_type_without_counterpart_is_named(self):
        table = pa.table({"at": pa.array([START], pa.timestamp("ms", "UTC")),
                          "d": pa.array([1], pa.duration("s"))})
        with self.assertRaisesRegex(evs.Error, "\"d\"") as caught:
            evs.window(table, size="1m", aggregates="count(*) AS n")
        self.assertIs(caught.exception.status, evs.Status.ERR_UNSUPPORTED)

    def test_the_time_column_is_found_or_asked_for(self):
        table = pa.table({"page": ["/a"], "at": [START_MS], "load": [1.0]})
        with self.assertRaisesRegex(evs.Error, "by time="):
            window(table)
        self.assertEqual(result(window(table, time="at")), {("/a", START): (1, 1.0)})

    def test_capsules_nobody_takes_are_released(self):
        from evstream import _arrow
        _arrow.sweep()
        before = len(_arrow._alive)
        batch = next(window(EVENTS).batches())
        capsules = batch.__arrow_c_array__()
        stream = window(EVENTS).__arrow_c_stream__()
        self.assertEqual(len(_arrow._alive), before + 3)
        _arrow.sweep()
        self.assertEqual(len(_arrow._alive), before + 3)
        del capsules, stream
        _arrow.sweep()
        self.assertEqual(len(_arrow._alive), before)

    def test_a_batch_is_arrow(self):
        batch = next(window(EVENTS).batches())
        table = pa.record_batch(batch)
        self.assertEqual(table.to_pylist(), [dict(row) for row in batch])


if __name__ == "__main__":
    unittest.main()
