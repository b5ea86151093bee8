"""Pipelines: with rows pushed by the test, and on the embedded Kafka."""

import gc
import os
import sqlite3
import tempfile
import threading
import time
import unittest
import weakref

from support import PURCHASE, START, START_MS, Unraisable, at, evs, topic, wait_for
from evstream._context import slots
from evstream._library import module_dir

COLUMNS = "page VARCHAR, device VARCHAR, at TIMESTAMP"


def view(seconds, page="/a", device="phone"):
    return {"page": page, "device": device, "at": at(seconds)}


class Driven(unittest.TestCase):
    def setUp(self):
        self.context = evs.Context()
        self.rows = []

    def pipeline(self, name="test", **options):
        return evs.Pipeline(name, context=self.context, **options)

    def source(self, p, columns=COLUMNS, **options):
        return p.source("memory", format="json", columns=columns, **options)

    def run_rows(self, p, source, rows):
        for row in rows:
            source.push(row, timestamp=START_MS)
        source.push_end()
        self.assertTrue(p.run(30))

    def test_followed_file_is_waited_for_without_work_and_read_at_once(self):
        with tempfile.TemporaryDirectory() as folder, self.pipeline() as p:
            path = os.path.join(folder, "grows.jsonl")
            times = {}

            def append(page):
                times["written " + page] = time.monotonic()
                with open(path, "a", encoding="utf-8") as file:
                    file.write('{"page":"%s"}\n' % page)

            append("/a")
            source = p.source("file", path=path, follow=True, format="json",
                              columns="page VARCHAR")
            source.each(lambda row: times.update({row["page"]: time.monotonic()}))
            wait_for(lambda: p.poll(0.05) and "/a" in times, "the first line")
            cpu = time.process_time()
            self.assertFalse(p.run(1.5))  # nothing comes, and it does not end
            self.assertLess(time.process_time() - cpu, 0.15)
            writer = threading.Timer(0.3, append, ["/b"])
            writer.start()
            wait_for(lambda: p.poll(2) and "/b" in times, "the line that was appended")
            writer.join()
            self.assertLess(times["/b"] - times["written /b"], 1)

    def test_rows_pass_filter_project_and_each(self):
        with self.pipeline() as p:
            source = self.source(p)
            steps = source.filter("device <> 'bot'").project("upper(page) AS page")
            steps.each(self.rows.append)
            self.run_rows(p, source, [view(0), view(1, device="bot"), view(2, "/b")])
        self.assertEqual(self.rows, [{"page": "/A"}, {"page": "/B"}])
        self.assertEqual(self.rows[0].kind, "insert")

    def test_windows_final(self):
        with self.pipeline() as p:
            source = self.source(p, event_time="at", out_of_orderness=0)
            window = evs.tumbling("10s", emit="final", grace=0)
            source.window("page", window, "count(*) AS views").each(self.rows.append)
            self.run_rows(p, source, [view(0), view(1), view(2, "/b"), view(12)])
        self.assertEqual(sorted((r["page"], r["window_start"], r["views"]) for r in self.rows),
                         [("/a", at(0), 2), ("/a", at(10), 1), ("/b", at(0), 1)])

    def test_late_rows_are_data(self):
        late = []
        with self.pipeline() as p:
            source = self.source(p, event_time="at", out_of_orderness=0)
            counts = source.window("page", evs.tumbling("10s"), "count(*) AS views")
            counts.each(self.rows.append)
            counts.late().each(late.append)
            self.run_rows(p, source, [view(0), view(30), view(1, "/late")])
        self.assertEqual([(r["page"], r["window_start"]) for r in late], [("/late", START)])

    def test_explode_and_project(self):
        with self.pipeline() as p:
            source = self.source(p, "items ARRAY<STRUCT<sku VARCHAR, n INT>>")
            source.explode("items", "item").project("item.sku AS sku, item.n * 2 AS n").each(
                self.rows.append)
            self.run_rows(p, source, [{"items": [{"sku": "a", "n": 1}, {"sku": "b", "n": 2}]},
                                      {"items": []}])
        self.assertEqual(self.rows, [{"sku": "a", "n": 2}, {"sku": "b", "n": 4}])

    def test_dedup_limit_and_sample(self):
        limited, sampled = [], []
        with self.pipeline() as p:
            source = self.source(p, "page VARCHAR, user VARCHAR, at TIMESTAMP", event_time="at")
            unique = source.dedup("page", "1m", since="first")
            unique.limit("", 2, per="1h").each(limited.append)
            unique.sample("page", 1).each(sampled.append)
            source.dedup("user", 1, since="last", null_key="group", grace="1s",
                         state_bytes_max=1 << 20).each(self.rows.append)
            with self.assertRaises(ValueError):
                source.dedup("page", "1m", since="middle")
            self.run_rows(p, source, [view(0, "/a"), view(1, "/a"), view(2, "/b"), view(3, "/c"),
                                      view(60, "/a")])
            self.assertEqual(p.metric("left_out_total"), 3)
        self.assertEqual(len(limited), 2)  # of what comes out of another step's shards, any two
        self.assertEqual(sorted(r["page"] for r in sampled), ["/a", "/a", "/b", "/c"])
        self.assertEqual(len(self.rows), 5)

    def test_top_of_a_window(self):
        with self.pipeline() as p:
            source = self.source(p, event_time="at")
            source.window("page", evs.tumbling("1m", emit="final"), "count(*) AS views").top(
                2, "views DESC, page").each(self.rows.append)
            self.run_rows(p, source, [view(i, "/" + page) for i, page in enumerate("abcbcbdcd")])
        self.assertEqual([(r["page"], r["views"]) for r in self.rows], [("/b", 3), ("/c", 3)])

    def test_python_code_as_a_step(self):
        dead = []

        def parse(row):
            words = row["line"].split()
            if not words:
                raise evs.Reject("no words")
            for word in words:
                yield {"word": word, "len": len(word)}

        with self.pipeline() as p:
            source = self.source(p, "line VARCHAR")
            source.apply("word VARCHAR, len INT", parse).each(self.rows.append)
            self.run_rows(p, source, [{"line": "a bc"}, {"line": ""}, {"line": "d"}])
            dead.append(p.metric("dead_letters_total"))
        self.assertEqual(self.rows, [{"word": "a", "len": 1}, {"word": "bc", "len": 2},
                                     {"word": "d", "len": 1}])
        self.assertEqual(dead, [1])

    def test_a_function_that_returns_nothing_drops_the_row(self):
        with self.pipeline() as p:
            source = self.source(p)
            source.apply("n INT", lambda row: None).each(self.rows.append)
            self.run_rows(p, source, [view(0)])
        self.assertEqual(self.rows, [])

    def test_dead_letters_go_to_a_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "dead.jsonl")
            with self.pipeline() as p:
                source = self.source(p)
                source.each(self.rows.append)
                p.dead_letters("file", path=path, format="json")
                self.run_rows(p, source, ["{broken", view(0)])
            with open(path, encoding="utf-8") as file:
                text = file.read()
        self.assertEqual(len(self.rows), 1)
        self.assertIn('"stage":"decode"', text)

    def test_an_exception_of_each_is_raised_and_stops_the_pipeline(self):
        p = self.pipeline()
        source = self.source(p)
        source.each(lambda row: {}[row["page"]])
        source.push(view(0), timestamp=START_MS)
        with self.assertRaises(KeyError) as caught:
            p.run(30)
        self.assertEqual(caught.exception.args, ("/a",))
        with self.assertRaises(evs.Error) as caught:
            p.run(30)
        self.assertIs(caught.exception.status, evs.Status.ERR_CALLBACK)

    def test_an_exception_of_apply_is_raised(self):
        p = self.pipeline()
        source = self.source(p)
        source.apply("n INT", lambda row: [{"n": "no number"}]).each(print)
        source.push(view(0), timestamp=START_MS)
        with self.assertRaisesRegex(evs.Error, 'row 0, field "n"'):
            p.run(30)

    def test_keyboard_interrupt_in_a_callback_is_not_lost(self):
        def interrupt(row):
            raise KeyboardInterrupt

        with self.assertRaises(KeyboardInterrupt):
            with self.pipeline() as p:
                source = self.source(p)
                source.each(interrupt)
                source.push(view(0), timestamp=START_MS)
                p.run(30)

    def test_stop_ends_run_from_a_callback(self):
        with self.pipeline() as p:
            source = self.source(p)
            source.each(lambda row: p.stop())
            source.push(view(0), timestamp=START_MS)
            self.assertFalse(p.run(30))

    def test_run_ends_after_its_time(self):
        with self.pipeline() as p:
            self.source(p).each(print)
            self.assertFalse(p.run(0.2))
            self.assertEqual(p.state, "running")

    def test_the_pipeline_cannot_be_called_from_its_callback(self):
        caught = []

        def each(row):
            for call in (p.close, p.poll, p.commit):
                try:
                    call()
                except evs.Error as error:
                    caught.append(error.status)

        with self.pipeline() as p:
            source = self.source(p)
            source.each(each)
            self.run_rows(p, source, [view(0)])
        self.assertEqual(caught, [evs.Status.ERR_MISUSE] * 3)

    def test_the_first_fault_is_told_by_check_with_its_step(self):
        p = self.pipeline()
        self.source(p).filter("devise <> 'bot'").named("no_bots").each(print)
        with self.assertRaises(evs.Error) as caught:
            p.check()
        self.assertIs(caught.exception.status, evs.Status.ERR_EXPRESSION)
        self.assertRegex(str(caught.exception), "devise")
        self.assertRegex(str(caught.exception), "device")

    def test_a_misspelt_option_is_told_with_the_one_meant(self):
        p = self.pipeline(comit_interval_ms=5)
        self.source(p).each(print)
        with self.assertRaisesRegex(evs.Error, 'did you mean "commit.interval.ms"'):
            p.check()

    def test_an_unknown_connector_is_told_with_those_that_exist(self):
        p = self.pipeline()
        p.source("kafak", topic="t").each(print)
        with self.assertRaisesRegex(evs.Error, "kafak.*kafka"):
            p.check()

    def test_plan_type_and_fingerprint(self):
        with self.pipeline() as p:
            counts = self.source(p, event_time="at").window("page", evs.tumbling("1m"),
                                                            "count(*) AS views")
            counts.each(print)
            self.assertEqual(p.fingerprint, "")
            p.check()
            self.assertIn("views BIGINT", counts.type)
            self.assertIn("count(*)", p.explain())
            self.assertTrue(p.fingerprint)

    def test_metrics(self):
        with self.pipeline() as p:
            source = self.source(p)
            source.each(self.rows.append)
            self.run_rows(p, source, [view(0), view(1)])
            self.assertEqual(p.metric("events_in_total"), 2)
            self.assertIn("events_in_total", p.metrics_text())
            with self.assertRaisesRegex(evs.Error, "no_such_metric"):
                p.metric("no_such_metric")

    def test_columns_can_be_pushed(self):
        batch = next(evs.window([{"page": "/a", "at": START}], key="page", size="1m",
                                aggregates="count(*) AS n", context=self.context).batches())
        with self.pipeline() as p:
            source = p.source("memory", columns="page VARCHAR, window_start TIMESTAMP NOT NULL, "
                              "window_end TIMESTAMP NOT NULL, n BIGINT NOT NULL")
            source.each(self.rows.append)
            source.push(batch)
            source.push_end()
            self.assertTrue(p.run(30))
        self.assertEqual([row["n"] for row in self.rows], [1])

    def test_parts_may_be_dropped_in_any_order(self):
        before = len(slots)
        for order in ((0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2)):
            with self.subTest(order):
                context = evs.Context()
                p = evs.Pipeline("drop", context=context)
                source = p.source("memory", format="json", columns=COLUMNS)
                counts = source.window("page", evs.tumbling("1m"), "count(*) AS views")
                counts.each(self.rows.append)
                source.push(view(0), timestamp=START_MS)
                p.poll(0)
                held = [context, p, source, counts]
                gone = weakref.ref(p)
                del context, p, source, counts
                for index in order:
                    held[index] = None
                    gc.collect()
                self.assertIsNone(gone())
        self.assertLessEqual(len(slots), before + 3)  # a context's log function stays

    def test_a_stream_of_a_closed_pipeline_says_so(self):
        with self.pipeline() as p:
            source = self.source(p)
            source.each(self.rows.append)
            self.run_rows(p, source, [])
        with self.assertRaises(evs.Error) as caught:
            source.filter("TRUE")
        self.assertIs(caught.exception.status, evs.Status.ERR_MISUSE)
        p.close()  # twice is fine

    def test_a_block_that_raises_does_not_commit(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "in.jsonl")
            with open(path, "w", encoding="utf-8") as file:
                for i in range(100):
                    file.write('{"page":"/a"}\n')

            def read(fail_at):
                seen = []

                def each(row):
                    if len(seen) == fail_at:
                        raise RuntimeError
                    seen.append(row)

                with self.pipeline(state_dir=folder + "/state") as p:
                    p.source("file", path=path, format="json", columns="page VARCHAR").each(each)
                    self.assertTrue(p.run(30))
                return len(seen)

            with self.assertRaises(RuntimeError):
                read(50)
            self.assertEqual(read(-1), 100)
            self.assertEqual(read(-1), 0)


class Kafka(unittest.TestCase):
    def setUp(self):
        self.context = evs.Context()
        self.topic = topic()

    def produce(self, events, **options):
        with evs.Producer(bootstrap="embedded:", topic=self.topic, topic_create=True,
                          context=self.context, **options) as producer:
            for event in events:
                producer.send(event)

    def test_kafka_to_sqlite_and_kafka(self):
        events = [view(i, "/%d" % (i % 2), "bot" if i % 10 == 9 else "phone") for i in range(200)]
        self.produce(events)
        out = topic("out")
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "views.db")
            with evs.Pipeline("views", bootstrap="embedded:", context=self.context) as p:
                views = p.source("kafka", topic=self.topic, format="json", columns=COLUMNS,
                                 event_time="at", bounded=True)
                counts = views.filter("device <> 'bot'").window(
                    "page", evs.tumbling("1m", emit="final"), "count(*) AS views")
                counts.sink("sqlite", path=path, table="views").sink(
                    "kafka", topic=out, topic_create=True, format="json")
                self.assertTrue(p.run(60))
            database = sqlite3.connect(path)
            rows = database.execute("SELECT page, sum(views) FROM views GROUP BY page").fetchall()
            database.close()
        self.assertEqual(sorted(rows), [("/0", 100), ("/1", 80)])
        results = list(evs.consume(out, bootstrap="embedded:", context=self.context, bounded=True,
                                   columns="page VARCHAR, window_start TIMESTAMP, views BIGINT"))
        self.assertEqual(sum(row["views"] for row in results), 180)
        self.assertEqual({row["window_start"] for row in results},
                         {at(60 * i) for i in range(4)})

    def test_two_tables_of_one_file(self):
        self.produce([view(i, "/%d" % (i % 2)) for i in range(100)])
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "views.db")
            with evs.Pipeline("two-tables", bootstrap="embedded:", context=self.context) as p:
                views = p.source("kafka", topic=self.topic, format="json", columns=COLUMNS,
                                 event_time="at", bounded=True)
                views.sink("sqlite", path=path, table="views")
                views.window("page", evs.tumbling("1m"), "count(*) AS n").sink(
                    "sqlite", path=path, table="counts")
                self.assertTrue(p.run(30))
            database = sqlite3.connect(path)
            counts = [database.execute(sql).fetchone()[0] for sql in (
                "SELECT count(*) FROM views", "SELECT sum(n) FROM counts")]
            database.close()
        self.assertEqual(counts, [100, 100])

    def test_avro_with_a_schema(self):
        events = [{"user_id": "u%d" % i, "at": at(i),
                   "items": [{"sku": "a", "quantity": i, "price": "2.50"}]} for i in range(10)]
        self.produce(events, schema=PURCHASE, format="avro")
        rows = []
        with evs.Pipeline("purchases", bootstrap="embedded:", context=self.context) as p:
            p.source("kafka", topic=self.topic, format="avro", schema=PURCHASE, bounded=True,
                     event_time="at").explode("items", "item").project(
                         "item.quantity AS n").each(rows.append)
            self.assertTrue(p.run(60))
        self.assertEqual(sorted(row["n"] for row in rows), list(range(10)))

    def test_modules_of_the_build_tree_are_found(self):
        self.assertTrue(module_dir())


if __name__ == "__main__":
    unittest.main()
