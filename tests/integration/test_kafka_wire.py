"""What is on the wire: keys as Kafka's Java client places them, windowed keys, tombstones, topics that are made or missing.

KAFKA_HOST is the program kafka_host; EVS_TEST_KAFKA_LIBS the folder with Kafka's own tools.
"""

import base64
import json
import os
import struct
import subprocess
import unittest

from kafka_kit import (COLUMNS, KAFKA, START_MS, admin, control, done, evs, failure_of, make_topic,
                       needs_kafka, partitions_of, poll_until, put, read_all, topic)

MINUTE = 60000


def java(tool, *args, given=None):
    """One of Kafka's console tools."""
    command = ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx128m",
               "-Dfile.encoding=UTF-8", "-cp", os.environ["EVS_TEST_KAFKA_LIBS"] + "/*", tool,
               "--bootstrap-server", KAFKA, *args]
    done = subprocess.run(command, input=given, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.decode()


def java_produces(name, keys):
    java("kafka.tools.ConsoleProducer", "--topic", name, "--property", "parse.key=true",
         "--property", "key.separator==", given="".join(k + "=v\n" for k in keys).encode())


def java_places(name, count):
    """Key to partition, as Kafka's console consumer prints it."""
    lines = java("org.apache.kafka.tools.consumer.ConsoleConsumer", "--topic", name,
                 "--from-beginning", "--max-messages", str(count), "--property",
                 "print.partition=true", "--property", "print.key=true", "--property",
                 "print.value=false")
    pairs = (line.split("\t") for line in lines.splitlines())
    return {key: int(partition.split(":")[1]) for partition, key in pairs}


@needs_kafka
class Wire(unittest.TestCase):
    def test_keys_are_placed_as_the_java_client_places_them(self):
        keys = ["", "ключ", "\U0001f600"] + ["k" * n + str(n) for n in range(1, 40)] + [
            "user-%d" % i for i in range(200)]
        ours, theirs = topic("ours"), make_topic(topic("theirs"), 7)
        with evs.Producer(bootstrap=KAFKA, topic=ours, topic_create=True,
                          topic_partitions=7) as producer:
            for key in keys:
                producer.send(b"v", key=key)
        java_produces(theirs, keys)
        places = java_places(ours, len(keys))
        self.assertEqual(len(places), len(keys))
        self.assertEqual(set(places.values()), set(range(7)))
        self.assertEqual(places, {m.key().decode(): m.partition() for m in read_all(theirs)})

    def test_windowed_key_is_the_key_and_its_start_placed_by_the_key_alone(self):
        views, counts = make_topic(topic("views")), topic("counts")
        put(views, range(600), at=lambda i: START_MS + i * 500)  # five minutes, users u0 to u4
        with evs.Pipeline(topic("windowed"), bootstrap=KAFKA) as p:
            source = p.source("kafka", topic=views, format="json", columns=COLUMNS, bounded=True,
                              event_time="at")
            source.window("user", evs.tumbling("1m", emit="final"), "count(*) AS n").sink(
                "kafka", topic=counts, topic_create=True, topic_partitions=5)
            self.assertTrue(p.run(60))
            metrics = p.metrics_text()
        self.assertIn('evstream_events_in_total{pipeline="windowed-', metrics)
        promtool = subprocess.run(["promtool", "check", "metrics"], input=metrics, text=True,
                                  capture_output=True, check=False)
        self.assertEqual((promtool.returncode, promtool.stdout + promtool.stderr), (0, ""))
        messages = read_all(counts)
        self.assertEqual({m.key() for m in messages}, {
            b"u%d" % user + struct.pack(">q", START_MS + minute * MINUTE)
            for user in range(5) for minute in range(5)})
        self.assertEqual(len(messages), 25)
        plain = make_topic(topic("plain"), 5)
        java_produces(plain, ["u%d" % user for user in range(5)])
        places = {m.key(): m.partition() for m in read_all(plain)}
        self.assertEqual({m.key()[:-8]: m.partition() for m in messages}, places)
        self.assertEqual({(m.key()[:-8], m.partition()) for m in messages}, set(places.items()))

    def test_delete_is_a_tombstone(self):
        name = topic("deletes")
        done = subprocess.run([os.environ["KAFKA_HOST"], "deletes", KAFKA, name], timeout=60,
                              capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, "0 blocks left\n"), done.stderr)
        by_key = {}
        for m in read_all(name):
            by_key.setdefault(m.key(), []).append((m.value(), m.timestamp()[1] - START_MS))
        self.assertEqual(by_key, {b"a": [(b'{"user":"a","n":1}', 1), (b'{"user":"a","n":3}', 3),
                                         (None, 4)],
                                  b"b": [(b'{"user":"b","n":2}', 2)]})


@needs_kafka
class Refused(unittest.TestCase):
    """Rows that the broker takes from nobody: dead letters, and the others arrive in order."""

    ROWS, BAD = 1000, 377

    def run_with(self, bad, limit, **options):
        out, letters = topic("out"), topic("letters")
        config = {"max.message.bytes": str(limit), "cleanup.policy": "compact"}
        done(control().create_topics([
            admin.NewTopic(out, 1, 1, config=config),
            admin.NewTopic(letters, 1, 1, config={"max.message.bytes": "10000000"})]))
        p = evs.Pipeline(topic("refused"), bootstrap=KAFKA, commit_interval_ms=200)
        self.addCleanup(p.dispose)
        source = p.source("memory", columns="id BIGINT, user VARCHAR, text VARCHAR")
        source.sink("kafka", topic=out, **options)
        p.dead_letters("kafka", topic=letters, kafka_message_max_bytes=10000000)
        for i in range(self.ROWS):
            row = {"id": i, "user": "u%d" % (i % 50), "text": "x"}
            source.push(dict(row, **bad) if i == self.BAD else row)
        poll_until(lambda: p.metric("epoch") >= 1 and p.metric("dead_letters_total") >= 1, p)
        source.push({"id": self.ROWS, "user": "u0", "text": "after"})
        source.push_end()
        self.assertTrue(p.run(30))
        ids = [json.loads(m.value())["id"] for m in read_all(out)]
        self.assertEqual(ids, [i for i in range(self.ROWS + 1) if i != self.BAD])
        self.assertEqual(p.metric("dead_letters_total"), 1)
        return p, read_all(letters)

    def check_letter(self, messages, code, reason, size):
        self.assertEqual(len(messages), 1)
        letter = json.loads(messages[0].value())
        self.assertEqual((letter["stage"], letter["code"]), ("sink", code))
        self.assertIn(reason, letter["message"])
        sent = json.loads(base64.b64decode(letter["payload"]))
        self.assertEqual((sent["id"], len(sent["text"])), (self.BAD, size))

    def test_row_that_is_too_large_among_others(self):
        for limit in (1048588, 20000):  # the batches of the others fit, or are too large as well
            _, letters = self.run_with({"text": "x" * 100000 * (20 if limit > 100000 else 1)},
                                       limit, key="user",
                                       kafka_message_max_bytes=10000000)
            self.check_letter(letters, "EVS_ERR_LIMIT", "Message size too large",
                              2000000 if limit > 100000 else 100000)

    def test_row_that_librdkafka_refuses(self):
        _, letters = self.run_with({"text": "x" * 2000000}, 1048588, key="user")
        self.check_letter(letters, "EVS_ERR_LIMIT", "Message size too large", 2000000)

    def test_row_without_key_for_a_compacted_topic(self):
        _, letters = self.run_with({"user": None}, 1048588, key="user")
        self.check_letter(letters, "EVS_ERR_KAFKA", "record", 1)


@needs_kafka
class Topics(unittest.TestCase):
    def sink(self, name, **options):
        p = evs.Pipeline(topic("topics"), bootstrap=KAFKA)
        self.addCleanup(p.dispose)
        source = p.source("memory", columns="user VARCHAR")
        source.sink("kafka", topic=name, **options)
        source.push({"user": "a"})
        source.push_end()
        return p

    def test_topic_is_made_with_its_partitions_once(self):
        name = topic("made")
        for partitions in (3, 5):  # the second finds it and leaves it as it is
            self.assertTrue(self.sink(name, topic_create=True, topic_partitions=partitions,
                                      topic_replication_factor=1).run(30))
            self.assertEqual(len(partitions_of(name)), 3)
        self.assertEqual(len(read_all(name)), 2)

    def test_topic_that_cannot_be_made_is_told(self):
        name = topic("replicas")
        error = failure_of(self.sink(name, topic_create=True, topic_replication_factor=3))
        self.assertIn("topic \"%s\" cannot be made" % name, error.message)
        self.assertEqual(partitions_of(name), {})

    def test_missing_topic_of_a_source_is_named(self):
        name = topic("missing")
        p = evs.Pipeline(topic("topics"), bootstrap=KAFKA)
        self.addCleanup(p.dispose)
        p.source("kafka", topic=name, columns=COLUMNS, format="json").each(print)
        error = failure_of(p)
        self.assertEqual(error.status, evs.Status.ERR_NOT_FOUND)
        self.assertIn("topic \"%s\" does not exist" % name, error.message)

    def test_missing_topic_of_a_sink_is_named_with_the_way_out(self):
        name = topic("missing")
        error = failure_of(self.sink(name))
        self.assertEqual(error.status, evs.Status.ERR_NOT_FOUND)
        self.assertIn("topic \"%s\" does not exist on the broker (topic.create=true makes it)"
                      % name, error.message)


if __name__ == "__main__":
    unittest.main()
