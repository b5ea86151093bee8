"""The whole package on a real Kafka, named by EVS_TEST_KAFKA."""

import os
import unittest

from support import at, evs, topic

KAFKA = os.environ.get("EVS_TEST_KAFKA")


@unittest.skipUnless(KAFKA, "EVS_TEST_KAFKA is not set")
class RealKafka(unittest.TestCase):
    def test_produce_window_consume(self):
        views, counts = topic("views"), topic("counts")
        delivered = []
        with evs.Producer(bootstrap=KAFKA, topic=views, topic_create=True) as producer:
            for i in range(5000):
                producer.send({"user": "u%d" % (i % 11), "page": "/%d" % (i % 5), "at": at(i / 10)},
                              key="u%d" % (i % 11), on_delivery=delivered.append)
            producer.flush()
        self.assertEqual([d.error for d in delivered], [None] * 5000)

        with evs.Pipeline(topic("python"), bootstrap=KAFKA) as p:
            source = p.source("kafka", topic=views, format="json", event_time="at", bounded=True,
                              columns="page VARCHAR, at TIMESTAMP")
            source.window("page", evs.tumbling("1m", emit="final"), "count(*) AS n").sink(
                "kafka", topic=counts, topic_create=True, format="json")
            self.assertTrue(p.run(60))

        columns = "page VARCHAR, window_start TIMESTAMP, n BIGINT"
        group = topic("group")
        rows = list(evs.consume(counts, bootstrap=KAFKA, group=group, columns=columns, bounded=True))
        expected = {}
        for i in range(5000):
            key = ("/%d" % (i % 5), at(i / 10 // 60 * 60))
            expected[key] = expected.get(key, 0) + 1
        self.assertEqual({(r["page"], r["window_start"]): r["n"] for r in rows}, expected)
        self.assertEqual(len(rows), len(expected))

        again = list(evs.consume(counts, bootstrap=KAFKA, group=group, columns=columns,
                                 bounded=True))
        self.assertEqual(again, [])  # the group had committed


if __name__ == "__main__":
    unittest.main()
