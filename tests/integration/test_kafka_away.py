"""A broker that is not there, goes, or comes back as another one: bounded waits, idle ones, no leaks.

KAFKA_HOST is the program kafka_host, KAFKA_SERVICES is scripts/services: the broker that goes is one of this test's own.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

from kafka_kit import COLUMNS, evs, failure_of, make_topic, needs_kafka, poll_until, put, topic

VALGRIND = ["valgrind", "-q", "--error-exitcode=99", "--leak-check=full",
            "--errors-for-leak-kinds=definite", "--show-leak-kinds=definite"]


class Absent(unittest.TestCase):
    def absent(self, port, says):
        """A pipeline that connects to nobody, for three seconds."""
        p = evs.Pipeline(topic("absent"), bootstrap="127.0.0.1:%d" % port,
                         connect_timeout_ms=3000)
        self.addCleanup(p.dispose)
        p.source("kafka", topic="t", columns=COLUMNS, format="json").each(print)
        began, cpu = time.monotonic(), time.process_time()
        p.poll(0)
        self.assertLess(time.monotonic() - began, 1)
        self.assertEqual(p.state, "connecting")
        error = failure_of(p, 10)
        took, cpu = time.monotonic() - began, time.process_time() - cpu
        print("# gave up after %.2f s, with %.3f s of CPU" % (took, cpu))
        self.assertEqual(error.status, evs.Status.ERR_UNAVAILABLE)
        self.assertIn(says, error.message)
        self.assertTrue(3 <= took < 4.5, took)
        self.assertLess(cpu, 0.3)

    def test_refused_connection_is_an_error_only_after_the_timeout(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))  # not listening: refused
            port = s.getsockname()[1]
            self.absent(port, "no broker of \"127.0.0.1:%d\" could be reached within "
                              "connect.timeout.ms (3000 ms)" % port)

    def test_silent_listener_is_an_error_only_after_the_timeout(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen(8)  # connects, and nobody ever answers
            self.absent(s.getsockname()[1], "connect.timeout.ms (3000 ms)")


@needs_kafka
class Away(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.addCleanup(self.services, "clean")

    def services(self, *command, **env):
        done = subprocess.run(
            [os.environ["KAFKA_SERVICES"], "--dir", self.folder + "/broker", *command], text=True,
            stdout=subprocess.PIPE, env={**os.environ, **env}, timeout=120, check=True)
        return done.stdout

    def broker(self, **env):
        self.services("start", "kafka", **env)
        for line in self.services("env", "kafka").splitlines():
            if line.startswith("export EVS_TEST_KAFKA="):
                return line.partition("=")[2]
        raise AssertionError("no address")

    def pipeline(self, brokers, counts):
        p = evs.Pipeline("cluster", bootstrap=brokers, state_dir=self.folder + "/state")
        source = p.source("kafka", topic="events", format="json", columns=COLUMNS, event_time="at")
        source.window("user", evs.tumbling("1h"), "count(*) AS n").each(
            lambda row: counts.update({row["user"]: row["n"]}))
        return p

    def host(self, brokers, out, *tool):
        return subprocess.Popen([*tool, os.environ["KAFKA_HOST"], "away", brokers, "events", out],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def closes(self, host, bound_ms):
        """Tell a host that the broker is gone; what it prints when it is through."""
        out, errors = host.communicate("gone\n", timeout=60)
        self.assertEqual(host.returncode, 0, out + errors)
        producer, pipeline, left = out.splitlines()[-3:]
        print("# %s; %s" % (producer, pipeline))
        self.assertIn("500 of 500 reports, 500 failed", producer)
        self.assertLess(int(producer.split()[1]), bound_ms)
        self.assertLess(int(pipeline.split()[1]), bound_ms)
        self.assertEqual(left, "0 blocks left")

    def test_broker_goes_and_another_cluster_comes(self):
        brokers = self.broker()
        make_topic("events", brokers=brokers)
        put("events", range(100), brokers=brokers)
        counts = {}
        with self.pipeline(brokers, counts) as p:
            poll_until(lambda: sum(counts.values()) == 100, p)

        # Closing with 500 messages on their way to a broker that is gone, for time and for leaks.
        hosts = [self.host(brokers, "out"), self.host(brokers, "out-valgrind", *VALGRIND)]
        for host in hosts:
            self.addCleanup(host.kill)
        for host in hosts:
            self.assertEqual(host.stdout.readline(), "running\n")
        self.services("kill", "kafka")
        self.closes(hosts[0], 5000)
        self.closes(hosts[1], 15000)

        self.services("clean")
        brokers = self.broker(EVS_KAFKA_CLUSTER="YW5vdGhlci1jbHVzdGVyLQ")
        make_topic("events", brokers=brokers)
        put("events", range(100), brokers=brokers)
        p = self.pipeline(brokers, counts)
        self.addCleanup(p.dispose)
        error = failure_of(p)
        self.assertEqual(error.status, evs.Status.ERR_STATE)
        self.assertIn("was made reading cluster \"ZXZzdHJlYW0tdGVzdC1jbA\", step \"source_1\" is now connected to \"YW5vdGhlci1jbHVzdGVyLQ\": connect "
                      "to the former one, or use another application.id or state.dir to begin anew",
                      error.message)


if __name__ == "__main__":
    unittest.main()
