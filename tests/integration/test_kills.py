"""Exactly once under kill -9, and nothing late after an outage: a real broker, a live feed, SQLite as the judge.

    test_kills.py kills|outage|frozen PIPELINE FEED MODULE_DIR SERVICES_SCRIPT

kills: EVS_TEST_KILLS (default 10) times the pipeline is killed, by turns at a step of the commit sequence and at a random moment, and started again; in the end each input must be counted
exactly once, per user and window, and be one row of a second table of the file; after each death both tables and all epochs must be of one moment. outage: the broker is stopped for 30 s under a feed whose events carry the clock's time; nothing may become late.
frozen: under such a feed the broker stands still (SIGSTOP) for 10 s, later the pipeline for longer than its session in the group lives; nothing lost, doubled or late.
The seed is printed; EVS_TEST_SEED repeats a run.
"""
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import defaultdict

START_MS = 1767225600000
STEPS = ["begin", "flushed", "snapshot written", "snapshot", "authority", "others", "sources"]
seed = int(os.environ.get("EVS_TEST_SEED", random.randrange(1 << 30)))
dice = random.Random(seed)


def expected(count):
    want = defaultdict(lambda: [0, 0])
    for i in range(count):
        at = START_MS + i * 2 - (i * 7919) % 500
        cell = want[(f"u{i % 97}", at - at % 10000)]
        cell[0] += 1
        cell[1] += i % 7
    return {k: tuple(v) for k, v in want.items()}


class Run:
    def __init__(self, scratch, args, name, env=None):
        self.pipeline, self.feed, self.modules, self.services = args
        self.brokers = os.environ["EVS_TEST_KAFKA"]
        self.topic = f"kills-{name}-{os.getpid()}-{seed}"
        self.state, self.database = f"{scratch}/state", f"{scratch}/{name}.db"
        self.log = open(f"{scratch}/{name}.log", "w+")
        self.env = dict(os.environ, **(env or {}))

    def start_feed(self, rate):
        return subprocess.Popen([self.feed, self.brokers, self.topic, str(rate)], stdout=subprocess.PIPE, stderr=self.log, text=True, env=self.env)

    def start_pipeline(self, step=None, at=1):
        argv = [self.pipeline, self.brokers, self.topic, self.topic, self.state, self.database, self.modules]
        if step:
            argv += [step, str(at)]
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=self.log, text=True, env=self.env)

    def counted(self):
        if not os.path.exists(self.database):
            return {}
        db = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=10)
        try:
            return {(u, s): (n, t) for u, s, n, t in db.execute("SELECT user, window_start, n, total FROM counts")}
        except sqlite3.OperationalError:
            return {}
        finally:
            db.close()

    def torn(self):
        """What two sinks of one file disagree about, seen by another process; None: nothing."""
        if not os.path.exists(self.database):
            return None
        db = sqlite3.connect(self.database, timeout=10)
        try:
            epochs = {tuple(row) for row in db.execute("SELECT epoch, offsets FROM evs_epochs")}
            rows, total = db.execute("SELECT (SELECT count(*) FROM events), (SELECT sum(n) FROM counts)").fetchone()
        except sqlite3.OperationalError as error:
            return None if "no such table" in str(error) else str(error)
        finally:
            db.close()
        if len(epochs) > 1 or rows != (total or 0):
            return f"{len(epochs)} epochs, {rows} events, {total} counted"
        return None

    def wait_total(self, total, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if sum(n for n, _ in self.counted().values()) >= total:
                return True
            time.sleep(0.2)
        return False

    def tail(self):
        self.log.flush()
        self.log.seek(0)
        return "".join("# " + line for line in self.log.readlines()[-30:])


def finish(process):
    process.send_signal(signal.SIGTERM)
    try:
        out, _ = process.communicate(timeout=150)
    except subprocess.TimeoutExpired:
        process.kill()
        out, _ = process.communicate()
    return out, process.returncode


def kill_once(run, i):
    """Start, let it die; returns what it died of, or a complaint."""
    if i % 2 == 0:
        step, at = STEPS[(i // 2) % len(STEPS)], dice.randint(1, 12)
        victim = run.start_pipeline(step, at)
        try:
            victim.wait(60)
        except subprocess.TimeoutExpired:
            victim.kill()
            victim.communicate()
            return f"never came to step {step}"
        victim.communicate()
        return None if victim.returncode == -signal.SIGKILL else f"ended by itself with {victim.returncode} before {step}"
    victim = run.start_pipeline()
    time.sleep(dice.uniform(0.2, 4.0))
    ended = victim.poll()
    victim.kill()
    victim.communicate()
    return None if ended is None else f"ended by itself with {ended}"


def test_kills(args, scratch):
    kills = int(os.environ.get("EVS_TEST_KILLS", "10"))
    run = Run(scratch, args, "exactly-once")
    feed = run.start_feed(4000)
    complaints = [c for i in range(kills) for c in (kill_once(run, i), run.torn()) if c]
    out, code = finish(feed)
    if code or not out.strip():
        return f"the feed failed: {out}\n{run.tail()}"
    total = int(out)
    last = run.start_pipeline()
    done = run.wait_total(total, 90)
    text, code = finish(last)
    complaints += [c for c in (run.torn(),) if c]
    got, want = run.counted(), expected(total)
    wrong = [(k, got.get(k), want.get(k)) for k in sorted(set(got) | set(want)) if got.get(k) != want.get(k)]
    print(f"# {kills} kills, {total} events, {len(want)} results, {len(wrong)} wrong")
    if complaints or not done or wrong or code or "late 0 dead 0" not in text:
        return f"{complaints} done={done} exit={code} {text!r} wrong={wrong[:5]}\n{run.tail()}"
    return None


def test_outage(args, scratch):
    run = Run(scratch, args, "outage", {"KILL_FINAL": "1"})
    feed = run.start_feed(500)
    pipeline = run.start_pipeline()
    try:
        time.sleep(5)
        subprocess.run([run.services, "kill", "kafka"], check=True, stdout=run.log)
        time.sleep(30)
        subprocess.run([run.services, "restart", "kafka"], check=True, stdout=run.log)
        time.sleep(8)
        out, code = finish(feed)
    finally:
        feed.kill()
    total = int(out) if out.strip() else -1
    done = run.wait_total(total, 60)
    text, exit_code = finish(pipeline)
    counted = sum(n for n, _ in run.counted().values())
    print(f"# {total} events, {counted} counted, {text.strip()}")
    if code or exit_code or not done or counted != total or "late 0 dead 0" not in text:
        return f"feed={code} pipeline={exit_code} counted {counted} of {total}\n{run.tail()}"
    return None


def test_frozen(args, scratch):
    run = Run(scratch, args, "frozen", {"KILL_FINAL": "1"})
    feed = run.start_feed(500)
    pipeline = run.start_pipeline()
    try:
        time.sleep(3)
        subprocess.run([run.services, "pause", "kafka"], check=True, stdout=run.log)
        time.sleep(10)
        subprocess.run([run.services, "resume", "kafka"], check=True, stdout=run.log)
        time.sleep(2)
        pipeline.send_signal(signal.SIGSTOP)
        time.sleep(8)  # the session is 6 s
        pipeline.send_signal(signal.SIGCONT)
        time.sleep(1)
        out, code = finish(feed)
        total = int(out) if out.strip() else -1
        run.wait_total(total, 60)
        text, exit_code = finish(pipeline)
    finally:
        subprocess.run([run.services, "resume", "kafka"], check=False, stdout=run.log)
        feed.kill()
        pipeline.kill()
    counted = sum(n for n, _ in run.counted().values())
    print(f"# {total} events, {counted} counted, {text.strip()}")
    if code or exit_code or counted != total or "late 0 dead 0" not in text:
        return f"feed={code} pipeline={exit_code} counted {counted} of {total}\n{run.tail()}"
    return None


def main():
    name, args = sys.argv[1], sys.argv[2:6]
    print("1..1")
    print(f"# seed {seed}")
    if "EVS_TEST_KAFKA" not in os.environ:
        print(f"ok 1 - {name} # SKIP no EVS_TEST_KAFKA: start it with scripts/services")
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        complaint = {"kills": test_kills, "outage": test_outage, "frozen": test_frozen}[name](args, scratch)
    if complaint:
        print("# " + complaint)
    print(f"{'not ok' if complaint else 'ok'} 1 - {name}")
    return 0


sys.exit(main())
