"""The Redis sink on a real Redis, each test with a server of its own: what keys hold, how long, a server that is
killed and comes back, a wrong password, nobody there."""

import json
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

from support import at, evs, wait_for

COLUMNS = "page VARCHAR, user VARCHAR, n INT, at TIMESTAMP"


def free_port():
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class Server:
    """A redis-server that keeps every answered command, so that a kill loses none."""

    def __init__(self, password=None):
        self.folder = tempfile.mkdtemp()
        self.port, self.password, self.process = free_port(), password, None

    def start(self):
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.folder, "--save", "",
                   "--appendonly", "yes", "--appendfsync", "always", "--daemonize", "no"]
        if self.password:
            command += ["--requirepass", self.password]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_for(lambda: self.ask("PING") == ["PONG"], "redis answers")
        return self

    def kill(self):
        self.process.kill()
        self.process.wait()

    def ask(self, *command):
        env = dict(os.environ, **({"REDISCLI_AUTH": self.password} if self.password else {}))
        out = subprocess.run(["redis-cli", "-p", str(self.port), *command], capture_output=True, text=True, env=env, check=False)
        return out.stdout.splitlines()

    def hash(self, key):
        lines = self.ask("HGETALL", key)
        return dict(zip(lines[::2], lines[1::2]))

    def url(self, password=None):
        return "redis://%s127.0.0.1:%d" % (":%s@" % password if password else "", self.port)

    def remove(self):
        if self.process and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@unittest.skipUnless(shutil.which("redis-server"), "there is no redis-server")
class Redis(unittest.TestCase):
    def setUp(self):
        self.context = evs.Context(log=lambda *_: None)

    def server(self, password=None):
        server = Server(password)
        self.addCleanup(server.remove)
        return server

    def pipeline(self, **options):
        given = {"commit_interval_ms": 50, "retry_backoff_ms": 20}
        return evs.Pipeline("redis", context=self.context, **{**given, **options})

    @staticmethod
    def source(p):
        return p.source("memory", columns=COLUMNS, event_time="at", close_after="forever")

    def run_events(self, events, make, **options):
        with self.pipeline(**options) as p:
            source = self.source(p)
            make(source)
            for event in events:
                source.push(event)
            source.push_end()
            self.assertTrue(p.run(30))

    def test_hash_by_key_template(self):
        server = self.server().start()
        events = [{"page": "/%d" % (i % 3), "user": "u%d" % i, "n": i, "at": at(i)} for i in range(90)]
        self.run_events(events, lambda s: s.window("page", evs.tumbling("1m"), "count(*) AS views, max(n) AS top").sink(
            "redis", url=server.url(), key="views:{page}:{window_start}", fields="views, top"))
        self.assertEqual(len(server.ask("KEYS", "views:*")), 6)
        self.assertEqual(server.hash("views:/0:2026-01-01T00:00:00.000Z"), {"views": "20", "top": "57"})
        self.assertEqual(server.hash("views:/2:2026-01-01T00:01:00.000Z"), {"views": "10", "top": "89"})

    def test_string_column_row_and_time_to_live(self):
        server = self.server().start()

        def make(source):
            source.sink("redis", url=server.url(), type="string", key="n:{user}", value="n", ttl_ms="1h")
            source.sink("redis", url=server.url() + "/1", type="string", key="row:{user}")

        self.run_events([{"page": "/a", "user": "u1", "n": 7, "at": at(0)}], make)
        self.assertEqual(server.ask("GET", "n:u1"), ["7"])
        left = int(server.ask("PTTL", "n:u1")[0])
        self.assertTrue(3500000 < left <= 3600000, left)
        self.assertEqual(server.ask("GET", "row:u1"), [""])  # another database
        row = json.loads(server.ask("-n", "1", "GET", "row:u1")[0])
        self.assertEqual((row["page"], row["user"], row["n"]), ("/a", "u1", 7))
        self.assertEqual(server.ask("-n", "1", "PTTL", "row:u1"), ["-1"])

    def test_pipelining_and_the_same_again(self):
        server = self.server().start()
        events = [{"page": "/a", "user": "u%d" % i, "n": i, "at": at(0)} for i in range(20000)]
        for _ in range(2):  # as after a restart from the beginning
            self.run_events(events, lambda s: s.sink("redis", url=server.url(), key="user:{user}", fields="n, page"))
            self.assertEqual(server.ask("DBSIZE"), ["20000"])
            for i in (0, 9999, 19999):
                self.assertEqual(server.hash("user:u%d" % i), {"n": str(i), "page": "/a"})

    def test_null_takes_the_field_away(self):
        server = self.server().start()
        events = [{"page": "/a", "user": "u", "n": 1, "at": at(0)}, {"page": None, "user": "u", "n": 2, "at": at(1)}]
        self.run_events(events, lambda s: s.sink("redis", url=server.url(), key="user:{user}", fields="n, page"))
        self.assertEqual(server.hash("user:u"), {"n": "2"})

    def kill_under(self, make, check):
        """A stream that goes on while the server dies and comes back, twice."""
        server, seen = self.server().start(), set()
        with self.pipeline() as p:
            source = self.source(p)
            make(source, server)
            for i in range(60000):
                source.push({"page": "/a", "user": "u%d" % (i % 5000), "n": i, "at": at(i / 1000)})
                if i % 200 == 0:
                    p.poll(0)
                if i in (20000, 40000):
                    server.kill()
                    deadline = time.monotonic() + 1.0
                    while time.monotonic() < deadline:
                        p.poll(0.02)
                        seen.add(p.state.split(":")[0])
                    self.assertIn("redis", p.state)
                    server.start()
            source.push_end()
            self.assertTrue(p.run(60), p.state)
        self.assertIn("retrying", seen)
        check(server)

    def test_server_killed_under_rows_loses_none(self):
        def check(server):
            self.assertEqual(server.ask("DBSIZE"), ["5000"])
            for i in range(0, 5000, 97):
                self.assertEqual(server.hash("user:u%d" % i), {"n": str(55000 + i)})

        self.kill_under(lambda source, server: source.sink("redis", url=server.url(), key="user:{user}", fields="n"), check)

    def test_wrong_password_is_an_error_without_it(self):
        server = self.server("right-secret").start()
        with self.assertRaises(evs.Error) as caught:
            self.run_events([{"page": "/a", "user": "u", "n": 1, "at": at(0)}], lambda s: s.sink(
                "redis", url=server.url("wrong-secret"), key="user:{user}", fields="n"))
        self.assertIn("AUTH", str(caught.exception))
        self.assertNotIn("wrong-secret", str(caught.exception))
        self.run_events([{"page": "/a", "user": "u", "n": 1, "at": at(0)}], lambda s: s.sink(
            "redis", url=server.url("right-secret"), key="user:{user}", fields="n"))
        self.assertEqual(server.hash("user:u"), {"n": "1"})

    def test_no_secret_in_explain(self):
        with self.pipeline() as p:
            self.source(p).sink("redis", url="redis://:hush@127.0.0.1:1", key="user:{user}", fields="n")
            self.assertNotIn("hush", p.explain())

    def test_absent_server_is_waited_for(self):
        server = self.server()
        with self.pipeline() as p:
            source = self.source(p)
            source.sink("redis", url=server.url(), key="user:{user}", fields="n")
            source.push({"page": "/a", "user": "u", "n": 1, "at": at(0)})
            source.push_end()
            self.assertFalse(p.run(0.5))
            self.assertEqual(p.state, "connecting")
            server.start()
            self.assertTrue(p.run(30))
        self.assertEqual(server.hash("user:u"), {"n": "1"})

    def test_absent_server_is_an_error_after_the_timeout(self):
        p = self.pipeline(connect_timeout_ms=1500)
        self.source(p).sink("redis", url=self.server().url(), key="user:{user}", fields="n")
        started = time.monotonic()
        with self.assertRaises(evs.Error) as caught:
            p.run(60)
        self.assertGreater(time.monotonic() - started, 1.4)
        self.assertIn("redis at", str(caught.exception))
        self.assertIn("refused", str(caught.exception))

