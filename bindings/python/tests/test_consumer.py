"""A consumer of other connectors than Kafka; test_producer.py has those of topics."""

import gc
import os
import tempfile
import unittest

from support import evs


class Files(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = os.path.join(self.folder.name, "in.jsonl")

    def write(self, *lines):
        with open(self.path, "w", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in lines)

    def consumer(self, **options):
        options = {"connector": "file", "path": self.path, "format": "json",
                   "columns": "i BIGINT, s VARCHAR", **options}
        return evs.Consumer(**options)

    def read(self, consumer):
        rows = []
        while not consumer.ended:
            batch = consumer.poll()
            rows += batch or []
        return rows

    def test_rows_of_a_file(self):
        self.write(*('{"i": %d, "s": "%s"}' % (i, "ä" * (i % 20)) for i in range(10000)))
        with self.consumer() as consumer:
            rows = self.read(consumer)
        self.assertEqual(rows, [{"i": i, "s": "ä" * (i % 20)} for i in range(10000)])

    def test_undecodable_lines_are_given_with_the_reason(self):
        self.write('{"i": 1}', "{broken", '{"i": "x"}', '{"i": 2}')
        failed = []
        with self.consumer(on_failed=lambda *args: failed.append(args)) as consumer:
            rows = self.read(consumer)
        self.assertEqual([row["i"] for row in rows], [1, 2])
        self.assertEqual([value for _, value, _ in failed], [b"{broken", b'{"i": "x"}'])
        self.assertEqual([error.status for error, _, _ in failed],
                         [evs.Status.ERR_DECODE, evs.Status.ERR_SCHEMA])

    def test_an_exception_of_on_failed_is_raised_from_poll(self):
        self.write('{"i": 1}', "{broken")

        def fail(*_):
            raise KeyError("mine")

        with self.consumer(on_failed=fail) as consumer, self.assertRaises(KeyError):
            self.read(consumer)

    def test_no_rows_are_lost_by_an_exception_of_on_failed(self):
        self.write('{"i": 1}', "{broken", '{"i": 2}')

        def fail(*_):
            raise KeyError("mine")

        with self.consumer(on_failed=fail) as consumer:
            with self.assertRaises(KeyError):
                self.read(consumer)
            rows = self.read(consumer)
        self.assertEqual([row["i"] for row in rows], [1, 2])

    def test_batches_outlive_their_consumer(self):
        self.write(*('{"i": %d, "s": "text %d"}' % (i, i) for i in range(100)))
        consumer = self.consumer()
        batches = []
        while not consumer.ended:
            batch = consumer.poll()
            if batch is not None:
                batches.append(batch)
        consumer.close()
        del consumer
        gc.collect()
        self.assertEqual([row["s"] for batch in batches for row in batch],
                         ["text %d" % i for i in range(100)])

    def test_a_misspelt_option_is_told_with_the_one_meant(self):
        self.write()
        with self.assertRaisesRegex(evs.Error, 'did you mean "columns"'):
            self.consumer(colums="i INT")

    def test_a_missing_file_is_named(self):
        with self.assertRaisesRegex(evs.Error, "in.jsonl") as caught:
            self.read(self.consumer())
        self.assertIs(caught.exception.status, evs.Status.ERR_NOT_FOUND)

    def test_a_closed_consumer_says_so(self):
        self.write()
        consumer = self.consumer()
        consumer.close()
        consumer.close()
        with self.assertRaises(evs.Error) as caught:
            consumer.poll()
        self.assertIs(caught.exception.status, evs.Status.ERR_MISUSE)


if __name__ == "__main__":
    unittest.main()
