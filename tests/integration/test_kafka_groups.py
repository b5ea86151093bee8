"""Consumer groups and positions on a real Kafka: where a pipeline goes on, and when it must not."""

import shutil
import tempfile
import unittest

import confluent_kafka as ck
from confluent_kafka import admin
from kafka_kit import (COLUMNS, KAFKA, committed, control, done, evs, failure_of, make_topic,
                       needs_kafka, partitions_of, poll_until, put, topic, wait_for)


class Seen(list):
    """What a pipeline without state of its own saw, by id."""

    def pipeline(self, app, name, **options):
        p = evs.Pipeline(app, bootstrap=KAFKA, commit_interval_ms=100,
                         kafka_session_timeout_ms=6000, **options)
        p.source("kafka", topic=name, format="json", columns=COLUMNS).each(
            lambda row: self.append(row["id"]))
        return p


class Counts(dict):
    """Results of a window: (user) -> count of the one window that all events are in."""

    def pipeline(self, app, name, state=None, **options):
        p = evs.Pipeline(app, bootstrap=KAFKA, state_dir=state, commit_interval_ms=100,
                         kafka_session_timeout_ms=6000, **options)
        source = p.source("kafka", topic=name, format="json", columns=COLUMNS, event_time="at")
        source.window("user", evs.tumbling("1h"), "count(*) AS n").each(
            lambda row: self.update({row["user"]: row["n"]}))
        return p

    def total(self):
        return sum(self.values())


@needs_kafka
class Groups(unittest.TestCase):
    def setUp(self):
        self.app, self.topic = topic("app"), make_topic(topic("groups"))
        self.state = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.state)

    def counted(self, total, **options):
        """One run of the counting pipeline until `total` events are counted."""
        counts = Counts()
        with counts.pipeline(self.app, self.topic, self.state, **options) as p:
            poll_until(lambda: counts.total() >= total, p)
            p.commit()
        return counts

    def refused(self, **options):
        """The same, that fails at its start."""
        p = Counts().pipeline(self.app, self.topic, self.state, **options)
        try:
            error = failure_of(p)
        finally:
            p.dispose()
        self.assertEqual(error.status, evs.Status.ERR_STATE, str(error))
        self.assertIn("application.id", error.message)  # the way out
        return error.message

    def test_group_is_committed_with_the_epoch_and_a_restart_goes_on_there(self):
        put(self.topic, range(100))
        seen = Seen()
        with seen.pipeline(self.app, self.topic) as p:
            poll_until(lambda: len(seen) == 100, p)
            p.commit()
            self.assertEqual(committed(self.app, self.topic), {0: 50, 1: 50})
        put(self.topic, range(100, 130))
        with seen.pipeline(self.app, self.topic) as p:
            poll_until(lambda: len(seen) >= 130, p)
        self.assertEqual(sorted(seen), list(range(130)))  # none again, none left out
        self.assertEqual(committed(self.app, self.topic), {0: 65, 1: 65})

    def test_members_without_windows_share_partitions(self):
        put(self.topic, range(100))
        one, two = Seen(), Seen()
        with one.pipeline(self.app, self.topic) as p:
            poll_until(lambda: len(one) == 100, p)
            with two.pipeline(self.app, self.topic) as q:
                members = lambda: done(control().describe_consumer_groups(
                    [self.app]))[self.app].members
                poll_until(lambda: sorted(len(m.assignment.topic_partitions)
                                          for m in members()) == [1, 1], p, q)
                put(self.topic, range(100, 200))
                poll_until(lambda: len(one) + len(two) >= 200, p, q)
        self.assertEqual(sorted(one + two), list(range(200)))
        self.assertEqual(len(two), 50)

    def test_second_member_with_windows_is_refused_and_the_first_goes_on(self):
        put(self.topic, range(100))
        counts, others = Counts(), Counts()
        with counts.pipeline(self.app, self.topic) as p:
            poll_until(lambda: counts.total() == 100, p)
            q = others.pipeline(self.app, self.topic, group_wait_ms=500)
            try:
                error = failure_of(q, others=[p])
            finally:
                q.dispose()
            self.assertEqual(error.status, evs.Status.ERR_STATE)
            self.assertIn("only 1 of 2 partitions are assigned: another member of group \"%s\" has "
                          "the others, and windows need all of them in one process; stop it, or use "
                          "another application.id" % self.app, error.message)
            self.assertEqual(others, {})
            put(self.topic, range(100, 200))
            poll_until(lambda: counts.total() >= 200, p)
        self.assertEqual(counts, {"u%d" % i: 40 for i in range(5)})

    def test_state_goes_on_where_it_was(self):
        put(self.topic, range(100))
        self.counted(100)
        put(self.topic, range(100, 150))
        self.assertEqual(self.counted(150), {"u%d" % i: 30 for i in range(5)})

    def test_group_beyond_the_snapshot_is_refused(self):
        put(self.topic, range(100))
        self.counted(100)
        older = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, older)
        shutil.copytree(self.state, older, dirs_exist_ok=True)
        put(self.topic, range(100, 140))
        self.counted(140)
        shutil.rmtree(self.state)
        shutil.copytree(older, self.state)
        message = self.refused()
        self.assertIn("ends at offset 50, the group is at 70 already", message)
        self.assertIn("bring the newer state folder back", message)

    def test_other_partition_count_is_refused(self):
        put(self.topic, range(100))
        self.counted(100)
        done(control().create_partitions([admin.NewPartitions(self.topic, 3)]))
        message = self.refused()
        self.assertIn("was made with 2 partitions of \"%s\", now there are 3" % self.topic, message)
        self.assertIn("state.dir", message)

    def test_partitions_added_while_running_are_told(self):
        put(self.topic, range(100))
        counts = Counts()
        p = counts.pipeline(self.app, self.topic, kafka_topic_metadata_refresh_interval_ms=300)
        self.addCleanup(p.dispose)
        poll_until(lambda: counts.total() == 100, p)
        done(control().create_partitions([admin.NewPartitions(self.topic, 3)]))
        error = failure_of(p)
        self.assertEqual(error.status, evs.Status.ERR_STATE)
        self.assertIn("topic \"%s\" has more partitions than when reading began" % self.topic,
                      error.message)

    def test_events_deleted_before_they_were_read_are_told(self):
        put(self.topic, range(100))
        self.counted(100)
        put(self.topic, range(100, 200))
        done(control().delete_records([ck.TopicPartition(self.topic, p, 80) for p in (0, 1)]))
        message = self.refused()
        self.assertIn("offset 50 is out of range, the log holds 80 to 100", message)
        self.assertIn("reset the group", message)

    def test_topic_made_anew_is_told(self):
        put(self.topic, range(100))
        self.counted(100)
        done(control().delete_topics([self.topic]))
        wait_for(lambda: not partitions_of(self.topic), "the topic is gone")
        make_topic(self.topic)
        put(self.topic, range(20))
        self.assertIn("offset 50 is out of range, the log holds 0 to 10", self.refused())


if __name__ == "__main__":
    unittest.main()
