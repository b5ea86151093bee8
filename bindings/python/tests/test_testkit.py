"""The test kit, and the state of windows read by it."""

import unittest

from support import evs


def views(context, **options):
    p = evs.Pipeline("views", bootstrap="127.0.0.1:1", context=context, **options)
    counts = p.source("kafka", topic="page_views", format="json", event_time="at",
                      columns="page VARCHAR, at TIMESTAMP").window(
                          "page", evs.tumbling("1m", emit="final"), "count(*) AS views")
    counts.sink("kafka", topic="views_per_minute", format="json")
    return p, counts


class Kit(unittest.TestCase):
    def setUp(self):
        self.context = evs.Context()
        self.pipeline, self.counts = views(self.context)
        self.kit = evs.TestKit(self.pipeline)

    def tearDown(self):
        self.kit.close()
        self.pipeline.dispose()

    def test_window_closes_by_the_clock_and_survives_a_crash(self):
        kit = self.kit
        kit.send("page_views", {"page": "/a"}, at=1000)
        kit.send("page_views", '{"page": "/a"}', at=1000)
        self.assertTrue(kit.crash_in_commit(2))
        kit.crash_and_restore()
        kit.expect_none("views_per_minute")
        self.assertFalse(kit.crash_in_commit(99))
        kit.advance("66s")
        self.assertEqual(kit.now, 67000)
        with self.assertRaisesRegex(AssertionError, 'has another "views" than 3'):
            kit.expect("views_per_minute", page="/a", views=3)
        kit.expect("views_per_minute", page="/a", views=2)
        self.assertIsNone(kit.next("views_per_minute"))

    def test_late_bad_and_reordered(self):
        kit = self.kit
        kit.send("page_views", {"page": "/a"}, at=200000)
        kit.send("page_views", {"page": "/late"}, at=1000)
        kit.expect_late(page="/late")
        kit.send_bytes("page_views", b"no JSON", key=b"k")
        kit.expect_dead_letter(stage="decode", key="k")
        kit.reorder(7, "5s")
        for i in range(10):
            kit.send("page_views", {"page": "/b"}, at=201000 + i * 1000)
        kit.end()
        kit.expect("views_per_minute", page="/b", views=10)
        self.assertEqual(kit.next("views_per_minute")["views"], 1)

    def test_mistake_is_told_by_the_call(self):
        with self.assertRaisesRegex(evs.Error, '"nowhere" names no source'):
            self.kit.send("nowhere", {}, at=1)

    def test_open_windows_are_read(self):
        for page in "/a", "/b", "/a":
            self.kit.send("page_views", {"page": page}, at=1000)
        self.kit.send("page_views", {"page": "/a"}, at=61000)
        row = self.counts.get("/a", 0)
        self.assertEqual((row["views"], row.time), (2, 59999))
        self.assertEqual(self.counts.get("/a", 60000)["views"], 1)
        self.assertIsNone(self.counts.get("/c", 0))
        self.assertIsNone(self.counts.get(None, 0))
        self.assertEqual(sorted((r["page"], r["views"]) for r in self.counts.rows(end=60000)),
                         [("/a", 2), ("/b", 1)])
        self.assertEqual([r["views"] for r in self.counts.rows("/a")], [2, 1])
        with self.assertRaises(evs.Error):
            self.counts.get(5, 0)
        with self.assertRaises(TypeError):
            self.counts.get([], 0)


if __name__ == "__main__":
    unittest.main()
