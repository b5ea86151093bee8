"""
The bench frame: runs ours and peer in turns, compares their results, prints one line a variant.

Every program prints result lines as bench.h says. A `Server` prepares once and makes a run for each
line on its stdin; a `OneShot` is a process a run, measured as a whole by wait4. A benchmark is a
function that yields `Variant`s, so that data, servers and programs of one variant are gone before
the next is made. How to call it: scripts/bench --help.
"""
import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, "build-bench")
PROGRAMS = os.path.join(BUILD, "tests", "bench")
DATA = os.path.join(BUILD, "data")
PYTHON = os.environ.get("EVS_BENCH_PYTHON", "python3")
PAIRS_MIN = 3  # of a variant whose time is up
QUEUE_KBYTES = "32768"  # queued.max.messages.kbytes, as the library sets it for its own source


class Unavailable(Exception):
    """One side cannot be had; the text says why."""


class Failed(Exception):
    """A program failed, or the results differ."""


# ---- programs ----------------------------------------------------------------------------------

def program(name):
    path = os.path.join(PROGRAMS, name)
    if not os.path.exists(path):
        raise Unavailable(f"{name} is not built")
    return path


def parse(line):
    result = dict(re.findall(r"(\w+)=([\d.]+)", line))
    if "cpu_s" not in result:
        raise Failed(f"no result line but \"{line.strip()}\"")
    return {key: float(text) if "." in text else int(text) for key, text in result.items()}


class Server:
    def __init__(self, command):
        self.name = os.path.basename(command[-1] if command[0] == PYTHON else command[0])
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env=environment())
        if self.process.stdout.readline().strip() != "ready":
            raise Failed(f"{command[0]} does not start")

    def run(self):
        self.process.stdin.write("run\n")
        self.process.stdin.flush()
        return parse(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class OneShot:
    """CPU seconds are those of the whole process, start and end included."""

    def __init__(self, command, preload=None):
        self.command = command
        self.preload = preload

    def run(self):
        env = environment()
        if self.preload:
            env["LD_PRELOAD"] = self.preload
        start = time.monotonic()
        process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True, env=env)
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise Failed(f"{self.command[0]} ended with status {process.returncode}")
        result = parse(output)
        result["cpu_s"] = usage.ru_utime + usage.ru_stime
        result["wall_s"] = time.monotonic() - start
        return result

    def close(self):
        pass


def environment():
    env = dict(os.environ)
    env["EVS_BENCH_MODULES"] = os.path.join(BUILD, "lib", "io", "modules")
    return env


# ---- servers -----------------------------------------------------------------------------------

class Services:
    """Kafka and Redis by scripts/services, started when first asked for; ended with the run."""

    def __init__(self):
        self.started = []

    def command(self, *words):
        command = [os.path.join(ROOT, "scripts", "services"), "--dir",
                   os.path.join(BUILD, "services"), *words]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise Unavailable(f"scripts/services {' '.join(words)} failed")
        return done.stdout

    def address(self, name):
        variable = "EVS_TEST_" + name.upper()
        if variable not in os.environ:
            progress(f"starting {name}")
            self.command("start", name)
            self.started.append(name)
            found = re.search(variable + r"=(\S+)", self.command("env", name))
            os.environ[variable] = found.group(1).strip("'\"")
        return os.environ[variable]

    def stop(self):
        if self.started:
            self.command("stop", *self.started)


# ---- what is measured --------------------------------------------------------------------------

@dataclass
class Variant:
    id: str
    goal: float
    unit: str  # of UNITS
    what: str  # who the peer is, sizes
    ours: object = None  # functions that make a program, or None
    peer: object = None
    decide: str = "cpu_s"
    compare: tuple = ("groups", "checksum")
    expected: dict = None  # result that ours must have, for peers that cannot compute it
    at_most: bool = False


UNITS = {
    "cpu-s/M": lambda run, by: run[by] / run["rows"] * 1e6,
    "Mrows/s": lambda run, by: run["rows"] / run[by] / 1e6,
    "krows/s": lambda run, by: run["rows"] / run[by] / 1e3,
    "MB": lambda run, by: run["rows"] / 1024,
}


def cost(variant, run, by):
    return run["rows"] / 1024 if variant.unit == "MB" else run[by] / run["rows"]


def ratio_of(variant, ours, peer, by):
    if variant.at_most:
        return cost(variant, ours, by) - cost(variant, peer, by)
    return cost(variant, peer, by) / cost(variant, ours, by)


def check(variant, ours, peer):
    for key in variant.compare:
        if ours[key] != peer[key]:
            raise Failed(f"{variant.id}: {key} of ours is {ours[key]}, of the peer {peer[key]}")
    for key, value in (variant.expected or {}).items():
        if ours[key] != value:
            raise Failed(f"{variant.id}: {key} of ours is {ours[key]}, expected {value}")


def measure(variant, options):
    """Pairs (ours, peer) of results; the first pair, with cold caches, is not among them."""
    ours = peer = None
    pairs = []
    try:
        if not options.peers:
            ours = variant.ours()
        peer = variant.peer()
        for i in range(options.runs + (0 if options.smoke else 1)):
            progress(f"{variant.id}: run {i} of {options.runs}")
            begin = time.monotonic()
            pair = (ours.run() if ours else None, peer.run())
            if ours:
                check(variant, *pair)
            if i or options.smoke:
                pairs.append(pair)
            took = time.monotonic() - begin
            if len(pairs) >= PAIRS_MIN and time.monotonic() + took > options.deadline(variant.id):
                progress(f"{variant.id}: its time is up, {len(pairs)} pairs have to do")
                break
    finally:
        for side in (ours, peer):
            if side:
                side.close()
    return pairs


def number(value):
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def side(variant, runs):
    return number(statistics.median(UNITS[variant.unit](run, variant.decide)
                                    for run in runs)) + variant.unit


def report(variant, options):
    goal = f"<{variant.goal:g}" if variant.at_most else f"{variant.goal:g}"
    try:
        pairs = measure(variant, options)
    except Unavailable as why:
        print(f"{variant.id} ratio=none goal={goal} ({why})", flush=True)
        return None
    peers = side(variant, [peer for _, peer in pairs])
    if options.peers:
        print(f"{variant.id} ratio=none goal={goal} peer={peers} ({variant.what}; peer alone)",
              flush=True)
        return None
    ratios = [ratio_of(variant, ours, peer, variant.decide) for ours, peer in pairs]
    ratio = statistics.median(ratios)
    also = f"{len(pairs)} runs {min(ratios):.2f}..{max(ratios):.2f}"
    if not variant.at_most:
        other = "wall_s" if variant.decide == "cpu_s" else "cpu_s"
        beside = statistics.median(ratio_of(variant, *pair, other) for pair in pairs)
        also = (f"{'CPU' if variant.decide == 'cpu_s' else 'wall'} time; by "
                f"{'wall' if other == 'wall_s' else 'CPU'} time {beside:.2f}; {also}")
    if variant.unit == "cpu-s/M":
        wall = [statistics.median(pair[i]["wall_s"] for pair in pairs) for i in (0, 1)]
        also = f"wall {wall[0]:.1f}s and {wall[1]:.1f}s; {also}"
    print(f"{variant.id} ratio={ratio:.2f} goal={goal} "
          f"ours={side(variant, [ours for ours, _ in pairs])} peer={peers} "
          f"({variant.what}; {also})", flush=True)
    return ratio <= variant.goal if variant.at_most else ratio >= variant.goal


# ---- benchmarks --------------------------------------------------------------------------------

def sized(options, full, smoke):
    return smoke if options.smoke else full // 5 if options.quick else full


def preload(name):
    for folder in ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64",
                   "/usr/lib"):
        path = os.path.join(folder, name)
        if os.path.exists(path):
            return path
    return None


def topic_loaded(services, format, events):
    """Address and topic of a broker that has the events, and what a right answer is."""
    brokers = services.address("kafka")
    topic = f"bench-{format}-{events}-v1"
    progress(f"filling topic {topic}, unless it is there")
    done = subprocess.run([program("bench-load-kafka"), "--brokers", brokers, "--topic", topic,
                           "--format", format, "--events", str(events)],
                          stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise Failed(f"cannot load topic {topic}")
    return brokers, topic, parse(done.stdout)


def bench_kafka(id, goal, format, options, services):
    events = sized(options, 10_000_000, 200_000)
    for allocator, library in (("glibc", None), ("jemalloc", "libjemalloc.so.2")):
        path = library and preload(library)
        if not options.wants(f"{id}/{allocator}"):
            continue
        if library and not path:
            print(f"{id}/{allocator} ratio=none goal={goal} ({library} is not installed)")
            continue
        brokers, topic, expected = topic_loaded(services, format, events)
        arguments = ["--brokers", brokers, "--topic", topic, "--events", str(events),
                     "--format", format]
        yield Variant(
            f"{id}/{allocator}", goal, "cpu-s/M",
            f"consume-only loop; {events // 1000} k events",
            ours=lambda: OneShot([program("ours-e"), *arguments], path),
            peer=lambda: OneShot([program("peer-e-consume"), *arguments, "--kbytes",
                                  QUEUE_KBYTES], path),
            compare=("rows",),
            expected={key: expected[key] for key in ("rows", "groups", "checksum")})


def bench_e1(options, services):
    yield from bench_kafka("E1", 0.85, "json", options, services)


def bench_e2(options, services):
    yield from bench_kafka("E2", 0.90, "avro", options, services)


def bench_e5(options, services):
    rows = sized(options, 10_000_000, 200_000)
    arguments = ["--rows", str(rows), "--keys", "100000"]
    yield Variant("E5", 0.4, "Mrows/s", f"the same rows pushed as columns; {rows // 1000} k rows",
                  ours=lambda: Server([program("ours-w1"), *arguments, "--feed", "appender"]),
                  peer=lambda: Server([program("ours-w1"), *arguments, "--feed", "columns"]))


def bench_w1(options, services):
    for name, keys, goal, rows in (("1K", 1000, 1.5, 10_000_000), ("100K", 100000, 2.5, 10_000_000),
                                   ("1M", 1000000, 2.5, 20_000_000)):
        rows = sized(options, rows, rows // 50)
        for dist, suffix in (("uniform", ""), ("zipf", "-zipf")):
            if not options.wants(f"W1/{name}{suffix}"):
                continue
            file = os.path.join(DATA, f"w1-{name}-{dist}.bin")
            arguments = ["--rows", str(rows), "--keys", str(keys), "--dist", dist]
            progress(f"W1/{name}{suffix}: making {rows // 1000} k rows")
            subprocess.run([program("bench-w1-data"), "--file", file, *arguments], check=True)
            try:
                yield Variant(f"W1/{name}{suffix}", goal, "Mrows/s",
                              f"DuckDB, one thread; {rows // 1000} k rows, 12 windows",
                              ours=lambda: Server([program("ours-w1"), *arguments]),
                              peer=lambda: duckdb_peer(file, rows))
            finally:
                os.unlink(file)


def bench_w2(options, services):
    rows = sized(options, 5_000_000, 100_000)
    arguments = ["--rows", str(rows), "--keys", "1000"]
    for name, aggregate, times in (("sum", "sum(l)", 1.2), ("avg", "avg(d)", 1.2),
                                   ("min", "min(l)", 1.2), ("max", "max(d)", 1.2),
                                   ("distinct", "count_distinct(l)", 4),
                                   ("hll", "approx_count_distinct(l)", 4),
                                   ("quantile", "approx_quantile(d, 0.99)", 4)):
        if not options.wants(f"W2/{name}"):
            continue
        yield Variant(f"W2/{name}", round(1 / times, 2), "Mrows/s",
                      f"count(*) of the same stream; {aggregate}, {rows // 1000} k rows, 1 K keys",
                      ours=lambda: Server([program("ours-w2"), "--aggregate", aggregate,
                                           *arguments]),
                      peer=lambda: Server([program("ours-w2"), *arguments]))


def bench_w6(options, services):
    rows = sized(options, 2_000_000, 100_000)
    for name, per in (("10", 10), ("1K", 1000), ("100K", 100_000)):
        yield Variant(f"W6/{name}", 0.5, "Mrows/s",
                      f"overlap 1, and one result a row instead of two; {rows // 1000} k rows",
                      ours=lambda per=per: Server([program("ours-w6"), "--rows", str(rows), "--per",
                                                   str(per)]),
                      peer=lambda: Server([program("ours-w6"), "--rows", str(rows), "--per", "1"]),
                      compare=("rows",))


def duckdb_peer(file, rows):
    if subprocess.run([PYTHON, "-c", "import duckdb, pyarrow"], stderr=subprocess.DEVNULL).returncode:
        raise Unavailable("the Python packages duckdb and pyarrow cannot be installed")
    return Server([PYTHON, os.path.join(ROOT, "tests", "bench", "peers", "w1_duckdb.py"),
                   "--file", file, "--rows", str(rows)])


def decode_variant(id, goal, what, format, peer, repeat, options):
    scale = sized(options, 100, 10) / 100
    ours_repeat = str(int(80 * scale))
    return Variant(id, goal, "Mrows/s", what,
                   ours=lambda: Server([program("ours-d"), "--format", format, "--repeat",
                                        ours_repeat]),
                   peer=lambda: Server([program(peer[0]), "--repeat",
                                        str(max(1, int(repeat * scale))), *peer[1:]]))


def bench_d1(options, services):
    yield decode_variant("D1/index", 10, "libavro, generic value by field index", "avro",
                         ["peer-d1-libavro"], 20, options)
    yield decode_variant("D1/resolved", 10, "libavro, projected by a resolved writer", "avro",
                         ["peer-d1-libavro", "--resolve", "1"], 20, options)


def bench_d2(options, services):
    yield decode_variant("D2/simdjson", 1.0, "simdjson ondemand, values copied", "json",
                         ["peer-d2-simdjson"], 80, options)
    yield decode_variant("D2/jansson", 15, "jansson", "json", ["peer-d2-jansson"], 4, options)


def bench_s2(options, services):
    port = services.address("redis").rsplit(":", 1)[1]
    rows = sized(options, 400_000, 20_000)
    arguments = ["--port", port, "--rows", str(rows), "--pages", "20000"]
    yield Variant("S2", 0.85, "krows/s", f"raw hiredis pipeline; {rows // 1000} k rows",
                  ours=lambda: Server([program("ours-s"), "--sink", "redis", *arguments]),
                  peer=lambda: Server([program("peer-s2-hiredis"), *arguments, "--window", "1000"]),
                  decide="wall_s")


def bench_s3(options, services):
    rows = sized(options, 500_000, 20_000)
    arguments = ["--rows", str(rows), "--pages", "50000", "--transaction", "10000"]
    yield Variant("S3", 0.85, "krows/s",
                  f"raw prepared loop, 10 k rows a transaction; {rows // 1000} k rows",
                  ours=lambda: Server([program("ours-s"), "--sink", "sqlite", "--file",
                                       os.path.join(DATA, "s3-ours.db"), *arguments]),
                  peer=lambda: Server([program("peer-s3-sqlite"), "--file",
                                       os.path.join(DATA, "s3-peer.db"), *arguments]))


def bench_s4(options, services):
    rows = sized(options, 2_000_000, 50_000)
    ours = os.path.join(DATA, "s4-ours.jsonl")
    yield Variant("S4", 0.5, "krows/s", f"plain fwrite of the same bytes; {rows // 1000} k rows",
                  ours=lambda: Server([program("ours-s"), "--sink", "file", "--file", ours,
                                       "--rows", str(rows), "--pages", "50000"]),
                  peer=lambda: Server([program("peer-s4-fwrite"), "--copy", ours, "--file",
                                       os.path.join(DATA, "s4-peer.jsonl"), "--rows",
                                       str(rows) if options.peers else "0"]))


def bench_m1(options, services):
    brokers, topic, _ = topic_loaded(services, "json", 0)
    arguments = ["--brokers", brokers, "--topic", topic, "--seconds", "1" if options.smoke else "3"]
    yield Variant("M1", 2, "MB", "idle librdkafka consumer; difference in MB of resident memory",
                  ours=lambda: OneShot([program("ours-m1"), *arguments]),
                  peer=lambda: OneShot([program("peer-m1-idle-consumer"), *arguments, "--kbytes",
                                        QUEUE_KBYTES]),
                  compare=(), at_most=True)


BENCHES = {"E1": bench_e1, "E2": bench_e2, "E5": bench_e5, "W1": bench_w1, "W2": bench_w2,
           "W6": bench_w6,
           "D1": bench_d1, "D2": bench_d2, "S2": bench_s2, "S3": bench_s3, "S4": bench_s4, "M1": bench_m1}

LIST = """E1  real Kafka, JSON -> 1-min count of 100 K users; peer: consume-only loop    0.85
E2  the same with Avro                                                          0.90
E5  appender -> window -> take; peer: the same rows as columns                   0.4
W1  tumbling count, 1 K / 100 K / 1 M keys; peer: DuckDB, one thread     1.5 2.5 2.5
W2  one aggregate; peer: count(*) of the same stream       sum/avg/min/max 0.83, others 0.25
W6  sliding max, 10 / 1 K / 100 K events a window; peer: 1 event             0.5
D1  Avro decode of 4 of 8 fields; peer: libavro                                   10
D2  JSON decode of 4 of 8 fields; peers: simdjson ondemand, jansson              1 15
S2  Redis hashes of 3 fields; peer: raw hiredis pipeline                        0.85
S3  SQLite upserts; peer: raw prepared loop                                     0.85
S4  JSON lines; peer: plain fwrite of the same bytes                             0.5
M1  resident memory of an idle pipeline; peer: idle librdkafka consumer       <2 MB"""

# Seconds that a variant may take in a run of all of them, with what is made before it: 20 minutes.
# On a quiet machine five pairs take less; what one saves the next ones have.
SECONDS = {
    "E1/glibc": 210, "E1/jemalloc": 140, "E2/glibc": 200, "E2/jemalloc": 140, "E5": 20,
    "W1/1K": 25, "W1/1K-zipf": 25, "W1/100K": 30, "W1/100K-zipf": 30, "W1/1M": 60,
    "W1/1M-zipf": 50, "W2/sum": 15, "W2/avg": 15, "W2/min": 15, "W2/max": 15, "W2/distinct": 20,
    "W2/hll": 15, "W2/quantile": 20, "W6/10": 15, "W6/1K": 15, "W6/100K": 15, "D1/index": 20,
    "D1/resolved": 20, "D2/simdjson": 20, "D2/jansson": 20,
    "S2": 40, "S3": 30, "S4": 30, "M1": 60}


def deadline_of(id):
    """When the variant must have ended, for it and all after it to keep to the 20 minutes."""
    end = STARTED
    for name, seconds in SECONDS.items():
        end += seconds
        if name == id:
            break
    return end

# ---- command line ------------------------------------------------------------------------------

STARTED = time.monotonic()


def progress(text):
    seconds = int(time.monotonic() - STARTED)
    print(f"[{seconds // 60:2d}:{seconds % 60:02d}] {text}", file=sys.stderr, flush=True)


def parse_options():
    parser = argparse.ArgumentParser(prog="scripts/bench", add_help=False)
    for name in ("--smoke", "--quick", "--peers", "--list"):
        parser.add_argument(name, action="store_true")
    parser.add_argument("--runs", type=int, default=0)
    parser.add_argument("ids", nargs="*")
    options = parser.parse_args()
    for id in options.ids:
        if id.split("/")[0] not in BENCHES:
            parser.error(f"no benchmark \"{id}\" (there are: {' '.join(BENCHES)})")
    full = not (options.ids or options.runs or options.smoke or options.quick or options.peers)
    options.deadline = deadline_of if full else lambda id: float("inf")
    options.runs = 1 if options.smoke else options.runs or (3 if options.quick else 5)
    options.wants = lambda id: not options.ids or id in options.ids or \
        id.split("/")[0] in options.ids
    return options


def main():
    options = parse_options()
    if options.list:
        print(LIST)
        return 0
    os.makedirs(DATA, exist_ok=True)
    services = Services()
    missed, failed = [], False
    try:
        for id, bench in BENCHES.items():
            if not any(options.wants(wanted) and wanted.split("/")[0] == id
                       for wanted in options.ids or [id]):
                continue
            try:
                for variant in bench(options, services):
                    if options.wants(variant.id) and report(variant, options) is False:
                        missed.append(variant.id)
            except Unavailable as why:
                print(f"{id} ratio=none ({why})", flush=True)
            except (Failed, subprocess.CalledProcessError) as why:
                print(f"{id} FAILED ({why})", flush=True)
                failed = True
    finally:
        services.stop()
        shutil.rmtree(DATA, ignore_errors=True)
    progress(f"goals missed: {' '.join(missed) or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
