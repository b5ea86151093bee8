"""What the tests on a real Kafka share: its own client library as the judge, topics, short waits.

EVS_TEST_KAFKA names the broker. Judges are librdkafka by confluent-kafka (its own copy, not the one
that the library links) and, in test_kafka_wire.py, Kafka's own Java tools.
"""

import functools
import os
import time
import unittest

import confluent_kafka as ck
from confluent_kafka import admin
from support import START_MS, evs, topic, wait_for

KAFKA = os.environ.get("EVS_TEST_KAFKA")
COLUMNS = "id BIGINT, user VARCHAR, at TIMESTAMP"
needs_kafka = unittest.skipUnless(KAFKA, "EVS_TEST_KAFKA is not set: start one with scripts/services")


@functools.lru_cache(maxsize=None)
def control(brokers=None):
    """Kept: an answer that is waited for is lost with its client."""
    return admin.AdminClient({"bootstrap.servers": brokers or KAFKA})


def done(futures, seconds=20):
    """Wait for the answers to a request of AdminClient; raises what went wrong."""
    return {key: future.result(seconds) for key, future in futures.items()}


def make_topic(name, partitions=2, brokers=None):
    done(control(brokers).create_topics([admin.NewTopic(name, partitions, 1)]))
    wait_for(lambda: len(partitions_of(name, brokers)) == partitions, "topic %s" % name)
    return name


def partitions_of(name, brokers=None):
    found = control(brokers).list_topics(name, timeout=10).topics[name]
    return {} if found.error else found.partitions


def put(name, ids, partitions=2, brokers=None, at=lambda i: START_MS + i * 10):
    """Event i goes to partition i % partitions: {"id": i, "user": "u(i % 5)", "at": ...}."""
    producer = ck.Producer({"bootstrap.servers": brokers or KAFKA, "acks": "all"})
    lost = []
    for i in ids:
        producer.produce(name, b'{"id":%d,"user":"u%d","at":%d}' % (i, i % 5, at(i)),
                         partition=i % partitions, timestamp=at(i),
                         on_delivery=lambda error, _: error and lost.append(error))
    assert producer.flush(20) == 0 and not lost, lost


def read_all(name, brokers=None, seconds=20):
    """Every message that the topic holds now."""
    consumer = ck.Consumer({"bootstrap.servers": brokers or KAFKA, "group.id": topic("judge"),
                            "enable.auto.commit": False, "enable.partition.eof": True})
    wanted = [ck.TopicPartition(name, p, ck.OFFSET_BEGINNING) for p in partitions_of(name, brokers)]
    consumer.assign(wanted)
    messages, ended = [], set()
    deadline = time.monotonic() + seconds
    while len(ended) < len(wanted):
        assert time.monotonic() < deadline, "topic %s not read within %d s" % (name, seconds)
        message = consumer.poll(0.2)
        if message is None:
            continue
        if not message.error():
            messages.append(message)
        elif message.error().code() == ck.KafkaError._PARTITION_EOF:
            ended.add(message.partition())
        else:
            raise ck.KafkaException(message.error())
    consumer.close()
    return messages


def committed(group, name, partitions=2):
    """Positions of a group by partition; None where it has none."""
    asked = ck.ConsumerGroupTopicPartitions(
        group, [ck.TopicPartition(name, p) for p in range(partitions)])
    found = done(control().list_consumer_group_offsets([asked]))[group].topic_partitions
    return {tp.partition: tp.offset if tp.offset >= 0 else None for tp in found}


def poll_until(condition, *pipelines, seconds=30):
    """Poll pipelines by turns until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            states = [p.state for p in pipelines]
            raise AssertionError("not within %d s; %s" % (seconds, states))
        for p in pipelines:
            p.poll(0.02)


def failure_of(p, seconds=30, others=()):
    """Poll a pipeline until it fails; returns the error."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if not p.poll(0.02):
                raise AssertionError("the pipeline ended instead of failing")
        except evs.Error as error:
            return error
        for other in others:
            other.poll(0.02)
    raise AssertionError("did not fail within %d s; %s" % (seconds, p.state))
