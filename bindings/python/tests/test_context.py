"""Errors, context, schemas, options, and objects that are dropped."""

import gc
import logging
import pickle
import tempfile
import unittest
import weakref
from datetime import timedelta

from support import PURCHASE, Unraisable, evs
from evstream._context import FOREVER, Options, milliseconds, slots


class Errors(unittest.TestCase):
    def test_an_error_says_what_and_where(self):
        with self.assertRaises(evs.Error) as caught:
            evs.Schema.columns("page VARCHARR")
        error = caught.exception
        self.assertIs(error.status, evs.Status.ERR_SCHEMA)
        self.assertEqual(error.origin, "column 6")
        self.assertIn("VARCHARR", error.message)
        self.assertTrue(str(error).startswith("EVS_ERR_SCHEMA: "))
        self.assertFalse(error.retriable or error.fatal)
        self.assertEqual(error.kafka_code, 0)

    def test_an_error_can_be_pickled(self):
        error = evs.Error(evs.Status.ERR_KAFKA, "m", origin="o", retriable=True, kafka_code=3)
        again = pickle.loads(pickle.dumps(error))
        self.assertEqual((again.status, again.message, again.origin, again.retriable, again.fatal,
                          again.kafka_code), (evs.Status.ERR_KAFKA, "m", "o", True, False, 3))

    def test_a_status_of_a_newer_library_stays_a_number(self):
        self.assertEqual(evs.Error(-4000, "m").status, -4000)
        self.assertEqual(str(evs.Error(-4000, "m")), "EVS_UNKNOWN: m")


class Contexts(unittest.TestCase):
    # a logicalType beside the type leaves a warning
    BESIDE = {"type": "record", "name": "R", "fields": [
        {"name": "at", "type": "long", "logicalType": "timestamp-millis"}]}

    def test_log_lines_reach_the_function(self):
        lines = []
        context = evs.Context(log=lambda *line: lines.append(line))
        schema = evs.Schema.avro(self.BESIDE, context=context)
        self.assertEqual(len(schema.warnings), 1)
        self.assertEqual([line[0] for line in lines], ["warning"] * len(lines))

    def test_log_lines_reach_logging_by_default(self):
        from evstream._context import _on_log, keep, _to_logging
        number = keep(_to_logging)
        with self.assertLogs("evstream", logging.WARNING) as seen:
            _on_log(4, b"kafka", b"broker down \xff", number)
        self.assertEqual(seen.records[0].name, "evstream.kafka")
        self.assertIn("broker down", seen.records[0].getMessage())

    def test_an_exception_in_the_log_function_is_told(self):
        from evstream._context import _on_log, keep

        def fail(*_):
            raise ValueError("from log")

        with Unraisable() as unraisable:
            _on_log(3, b"a", b"b", keep(fail))
        self.assertEqual([str(e) for e in unraisable.seen], ["from log"])

    def test_an_unknown_level_is_refused(self):
        with self.assertRaises(ValueError):
            evs.Context(log_level="loud")

    def test_objects_may_be_dropped_in_any_order(self):
        for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2), (0, 2, 1)):
            with self.subTest(order):
                context = evs.Context()
                held = [context, evs.Schema.columns("a INT", context=context),
                        Options(context, {"a": "b"})]
                del context
                gone = [weakref.ref(item) for item in held]
                for index in order:
                    held[index] = None
                    gc.collect()
                    self.assertIsNone(gone[index]())

    def test_a_closed_object_says_so(self):
        schema = evs.Schema.columns("a INT")
        schema.dispose()
        schema.dispose()
        self.assertTrue(schema.closed)
        self.assertIn("closed", repr(schema))
        with self.assertRaises(evs.Error) as caught:
            schema.type
        self.assertIs(caught.exception.status, evs.Status.ERR_MISUSE)


class Schemas(unittest.TestCase):
    def test_columns(self):
        schema = evs.Schema.columns("user_id VARCHAR NOT NULL, total DOUBLE '$.order.total'")
        self.assertIn("user_id VARCHAR NOT NULL, total DOUBLE", schema.type)
        self.assertEqual(schema.text, "user_id VARCHAR NOT NULL, total DOUBLE '$.order.total'")

    def test_avro_as_dict_text_and_file(self):
        types = {evs.Schema.avro(PURCHASE).type}
        import json
        text = json.dumps(PURCHASE)
        types.add(evs.Schema.avro(text).type)
        with tempfile.NamedTemporaryFile("w", suffix=".avsc") as file:
            file.write(text)
            file.flush()
            types.add(evs.Schema.load(file.name).type)
        self.assertEqual(len(types), 1)
        self.assertIn("DECIMAL(9,2)", types.pop())

    def test_a_missing_file_is_named(self):
        with self.assertRaisesRegex(evs.Error, "nowhere.avsc") as caught:
            evs.Schema.load("/tmp/nowhere.avsc")
        self.assertIs(caught.exception.status, evs.Status.ERR_NOT_FOUND)


class OptionTexts(unittest.TestCase):
    def test_durations(self):
        for value, ms in ((5, 5), ("5", 5), ("250ms", 250), ("10s", 10000), ("5m", 300000),
                          ("1h", 3600000), ("7d", 604800000), ("forever", FOREVER),
                          (timedelta(seconds=1.5), 1500)):
            self.assertEqual(milliseconds(value, "x"), ms)
        for value in ("", "ten", "5 weeks", None, 1.5, True, "1hs"):
            with self.subTest(value), self.assertRaisesRegex(ValueError, "x: "):
                milliseconds(value, "x")

    def test_values_of_other_types_are_written_as_text(self):
        from evstream._context import option_text
        self.assertEqual(option_text("a", True), b"true")
        self.assertEqual(option_text("a", 5), b"5")
        self.assertEqual(option_text("a", timedelta(seconds=2)), b"2000")
        self.assertEqual(option_text("a", "ä"), "ä".encode())
        with self.assertRaises(TypeError):
            option_text("a", b"x")

    def test_text_with_nul_is_refused_rather_than_cut(self):
        with self.assertRaisesRegex(ValueError, "NUL"):
            evs.Schema.columns("a INT\0, b INT")

    def test_callbacks_are_forgotten_with_their_object(self):
        before = len(slots)
        evs.Schema.columns("a INT")
        self.assertEqual(len(slots), before)


if __name__ == "__main__":
    unittest.main()
