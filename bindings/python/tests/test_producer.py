"""Producer and consumer on the embedded Kafka."""

import datetime as dt
import decimal
import gc
import unittest

from support import PURCHASE, START, START_MS, Unraisable, at, evs, topic
from evstream._context import slots


def purchase(**changes):
    event = {"user_id": "u-17", "at": START,
             "items": [{"sku": "A-1", "quantity": 2, "price": decimal.Decimal("19.90")}]}
    return {**event, **changes}


class Kafka(unittest.TestCase):
    def setUp(self):
        self.context = evs.Context()
        self.topic = topic()

    def tearDown(self):
        # what a test dropped must not keep the embedded cluster for the next one
        self.context = None
        gc.collect()

    def producer(self, **options):
        return evs.Producer(bootstrap="embedded:", topic=self.topic, topic_create=True,
                            context=self.context, **options)

    def consume(self, **options):
        options = {"bounded": True, **options}
        return evs.consume(self.topic, bootstrap="embedded:", context=self.context, **options)


class Producing(Kafka):
    def test_each_event_is_reported_once(self):
        seen = []
        with self.producer() as producer:
            for i in range(100):
                producer.send({"i": i}, key="k%d" % i, on_delivery=seen.append)
            producer.flush()
            self.assertEqual(producer.pending, 0)
        self.assertEqual(sorted(d.key for d in seen), sorted(b"k%d" % i for i in range(100)))
        self.assertEqual({d.topic for d in seen}, {self.topic})
        self.assertEqual([d.error for d in seen], [None] * 100)
        self.assertTrue(all(d.offset >= 0 and d.partition >= 0 for d in seen))
        by_partition = {}
        for delivery in seen:
            by_partition.setdefault(delivery.partition, []).append(delivery.offset)
        for offsets in by_partition.values():
            self.assertEqual(sorted(offsets), list(range(len(offsets))))

    def test_reports_run_in_poll_on_this_thread(self):
        import threading
        threads = []
        with self.producer() as producer:
            producer.send({"i": 1}, on_delivery=lambda d: threads.append(threading.get_ident()))
            for _ in range(100):
                if producer.poll(0.1):
                    break
        self.assertEqual(threads, [threading.get_ident()])

    def test_an_event_that_breaks_its_schema_is_refused_with_the_field(self):
        bad = {"sku": "A-1", "price": "1.00"}
        with self.producer(schema=PURCHASE, format="avro") as producer:
            for event, origin in ((purchase(items=[bad]), "items[0].quantity"),
                                  (purchase(user_id=None), "user_id"),
                                  (purchase(at="soon"), "at")):
                with self.subTest(origin):
                    before = len(slots)
                    with self.assertRaises(evs.Error) as caught:
                        producer.send(event, on_delivery=self.fail)
                    self.assertIs(caught.exception.status, evs.Status.ERR_SCHEMA)
                    self.assertEqual(caught.exception.origin, origin)
                    self.assertEqual(len(slots), before)
            self.assertEqual(producer.pending, 0)

    def test_avro_comes_back_as_it_was(self):
        schema = evs.Schema.avro(PURCHASE, context=self.context)
        with self.producer(schema=schema, format="avro", key="user_id") as producer:
            producer.send(purchase())
            producer.send(purchase(coupon="ten", items=[]))
        rows = sorted(self.consume(schema=schema, format="avro"), key=lambda row: str(row["coupon"]))
        self.assertEqual(rows, [
            {"user_id": "u-17", "at": START, "coupon": None,
             "items": [{"sku": "A-1", "quantity": 2, "price": decimal.Decimal("19.90")}]},
            {"user_id": "u-17", "at": START, "coupon": "ten", "items": []}])

    def test_all_kinds_of_values_go_through_json(self):
        columns = ("b BOOLEAN, i BIGINT, d DOUBLE, m DECIMAL(9,2), s VARCHAR, y BYTES, t TIMESTAMP, "
                   "e DATE, o TIME, a ARRAY<INT>, r STRUCT<x VARCHAR>")
        event = {"b": True, "i": 2**62, "d": 0.25, "m": decimal.Decimal("19.90"), "s": "ä\"\n",
                 "y": b"\0\xff", "t": dt.datetime(2026, 1, 1, 1, 2, 3, 456000, dt.timezone.utc),
                 "e": dt.date(2026, 1, 2), "o": dt.time(1, 2, 3), "a": [1, None], "r": {"x": "y"}}
        with self.producer(schema=columns) as producer:
            producer.send(event)
        with self.producer() as producer:  # and without a schema
            producer.send(event)
        self.assertEqual(list(self.consume(columns=columns)), [event, event])

    def test_bytes_and_text_are_sent_as_they_are_without_a_schema(self):
        failed = []
        with self.producer() as producer:
            producer.send(b"\xff\x00", partition=0)
            producer.send('{"i": 1}', partition=0)
            producer.send(None, key="gone", partition=0)
        rows = list(self.consume(columns="i INT", on_failed=lambda *f: failed.append(f)))
        self.assertEqual(rows, [{"i": 1}])
        self.assertIn((b"\xff\x00", None), [f[1:] for f in failed])
        self.assertIs(failed[0][0].status, evs.Status.ERR_DECODE)

    def test_text_is_checked_json_with_a_schema(self):
        with self.producer(schema="i INT NOT NULL") as producer:
            producer.send('{"i": 1}')
            producer.send(b'{"i": 2}')
            with self.assertRaises(evs.Error):
                producer.send("{broken")
        self.assertEqual(sorted(row["i"] for row in self.consume(columns="i INT")), [1, 2])

    def test_time_of_an_event_is_its_timestamp(self):
        with self.producer() as producer:
            for value in (at(5), START_MS + 5000, "2026-01-01T00:00:05Z"):
                producer.send({"i": 1}, timestamp=value, headers={"source": "test", "none": None})
        # consume() has no event.time: a pipeline takes the record's timestamp
        with evs.Pipeline("times", bootstrap="embedded:", context=self.context) as p:
            times = []
            p.source("kafka", topic=self.topic, columns="i INT", format="json", bounded=True).each(
                lambda row: times.append(row.time))
            self.assertTrue(p.run(30))
        self.assertEqual(times, [START_MS + 5000] * 3)

    def test_an_exception_of_on_delivery_is_raised_from_flush(self):
        def fail(delivery):
            raise KeyError(delivery.key)

        producer = self.producer()
        producer.send({"i": 1}, key="a", on_delivery=fail)
        with self.assertRaises(KeyError) as caught:
            producer.flush()
        self.assertEqual(caught.exception.args, (b"a",))
        producer.flush()  # once
        producer.send({"i": 1}, key="b", on_delivery=fail)
        with self.assertRaises(KeyError):
            producer.close()

    def test_no_exception_is_lost_when_several_fail(self):
        def fail(delivery):
            raise ValueError(delivery.key.decode())

        producer = self.producer()
        seen = []
        for key in "abc":
            producer.send({"i": 1}, key=key, on_delivery=fail)
        for _ in range(3):
            try:
                producer.flush()
            except ValueError as error:
                seen.append(str(error))
        self.assertEqual(sorted(seen), ["a", "b", "c"])
        producer.close()

    def test_a_dropped_producer_flushes_and_tells_exceptions(self):
        seen = []

        def report(delivery):
            seen.append(delivery.key)
            raise ValueError("late")

        with Unraisable() as unraisable:
            producer = self.producer()
            producer.send({"i": 1}, key="a", on_delivery=report)
            del producer
            gc.collect()
        self.assertEqual(seen, [b"a"])
        self.assertEqual([str(e) for e in unraisable.seen], ["late"])

    def test_wrong_arguments_are_told(self):
        with self.assertRaisesRegex(evs.Error, "topic.create|did you mean"):
            evs.Producer(bootstrap="embedded:", topic="t", context=self.context, topic_creat=True)
        with self.producer() as producer:
            for wrong in ({"key": 5}, {"timestamp": 1.5}, {"headers": {"a\0b": "x"}}):
                with self.subTest(wrong), self.assertRaises((TypeError, ValueError)):
                    producer.send({}, **wrong)
            with self.assertRaises(TypeError):
                producer.send({"x": object()})
            with self.assertRaises(ValueError):
                producer.send({"x": float("nan")})
        with self.assertRaises(evs.Error) as caught:
            producer.send({})
        self.assertIs(caught.exception.status, evs.Status.ERR_MISUSE)


class Consuming(Kafka):
    def fill(self, count, **options):
        with self.producer(**options) as producer:
            for i in range(count):
                producer.send({"i": i, "user": "u%d" % (i % 3)}, key="u%d" % (i % 3))

    def test_rows_come_as_dicts_in_order_of_their_partition(self):
        self.fill(300)
        rows = list(self.consume(columns="user VARCHAR, i INT"))
        self.assertEqual(sorted(row["i"] for row in rows), list(range(300)))
        for user in ("u0", "u1", "u2"):
            numbers = [row["i"] for row in rows if row["user"] == user]
            self.assertEqual(numbers, sorted(numbers))
        self.assertEqual(list(rows[0]), ["user", "i"])

    def test_without_columns_the_error_gives_those_of_the_events(self):
        self.fill(3)
        with self.assertRaises(evs.Error) as caught:
            list(self.consume())
        self.assertRegex(str(caught.exception), "i BIGINT")
        self.assertRegex(str(caught.exception), "user VARCHAR")

    def test_a_group_goes_on_where_it_was(self):
        self.fill(100)
        first = [row["i"] for row in self.consume(columns="i INT", group="g")]
        self.fill(10)
        second = [row["i"] for row in self.consume(columns="i INT", group="g")]
        self.assertEqual(sorted(first), list(range(100)))
        self.assertEqual(sorted(second), list(range(10)))

    def test_a_loop_that_ends_in_a_batch_sees_it_again(self):
        self.fill(100)
        for row in self.consume(columns="i INT", group="g"):
            break
        again = [row["i"] for row in self.consume(columns="i INT", group="g")]
        self.assertIn(row["i"], again)

    def test_a_timeout_ends_an_unbounded_loop(self):
        self.fill(5)
        rows = list(self.consume(columns="i INT", bounded=False, timeout=1))
        self.assertEqual(len(rows), 5)

    def test_an_exception_of_on_failed_is_raised(self):
        with self.producer() as producer:
            producer.send(b"{broken")

        def fail(error, value, key):
            raise KeyError(value)

        with self.assertRaises(KeyError) as caught:
            list(self.consume(columns="i INT", on_failed=fail))
        self.assertEqual(caught.exception.args, (b"{broken",))

    def test_batches_outlive_their_consumer(self):
        self.fill(50)
        consumer = evs.Consumer(self.topic, bootstrap="embedded:", columns="i INT, user VARCHAR",
                                bounded=True, context=self.context)
        batches = []
        while not consumer.ended:
            batch = consumer.poll()
            if batch is not None:
                batches.append(batch)
        consumer.close()
        del consumer
        gc.collect()
        self.assertEqual(sorted(row["i"] for batch in batches for row in batch), list(range(50)))

    def test_a_missing_broker_is_named(self):
        context = evs.Context(log=lambda *_: None)  # librdkafka's complaints
        with self.assertRaisesRegex(evs.Error, "127.0.0.1:1") as caught:
            list(evs.consume("nowhere", bootstrap="127.0.0.1:1", columns="i INT", context=context,
                             connect_timeout_ms=300))
        self.assertIs(caught.exception.status, evs.Status.ERR_UNAVAILABLE)


if __name__ == "__main__":
    unittest.main()
