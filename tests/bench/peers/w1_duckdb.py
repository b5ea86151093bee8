"""
Peer of W1: DuckDB with one thread counts rows by key and minute.

  w1_duckdb.py --file PATH --rows N

PATH is what bench-w1-data wrote. The rows are in a table in memory before the clock starts; a run is
one CREATE TABLE ... AS SELECT ... GROUP BY and nothing else. The minute is integer arithmetic on the
milliseconds, which is cheaper for DuckDB than time_bucket on timestamps.

Speaks as bench.h says: "ready", then one result line for each line on stdin.
"""
import argparse
import mmap
import resource
import sys
import time

import duckdb
import pyarrow as pa

T0_MS = 1700000040000
WINDOW_MS = 60000
KEY_LEN = 12

QUERY = """CREATE TABLE r AS
SELECT key, ms // 60000 AS minute, count(*) AS n FROM t GROUP BY key, minute"""

CHECK = f"""SELECT count(*), sum(n),
sum(n * (substr(key, 2)::BIGINT + 1) * (minute - {T0_MS // WINDOW_MS} + 1)) FROM r"""


def cpu_s():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def load(connection, path, rows):
    """The file as an Arrow table without a copy, then as a table of DuckDB's own."""
    with open(path, "rb") as f:
        data = pa.py_buffer(mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ))
    block = 1 << 20
    connection.execute("CREATE TABLE t (ms BIGINT NOT NULL, key VARCHAR NOT NULL)")
    for first in range(0, rows, block):
        count = min(block, rows - first)
        offsets = pa.array(range(0, (count + 1) * KEY_LEN, KEY_LEN), pa.int32()).buffers()[1]
        times = pa.Array.from_buffers(pa.int64(), count, [None, data.slice(first * 8, count * 8)])
        at = rows * 8 + first * KEY_LEN
        keys = pa.StringArray.from_buffers(count, offsets, data.slice(at, count * KEY_LEN))
        part = pa.table({"ms": times, "key": keys})
        connection.register("part", part)
        connection.execute("INSERT INTO t SELECT ms, key FROM part")
        connection.unregister("part")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--file", required=True)
    parser.add_argument("--rows", type=int, required=True)
    args = parser.parse_args()
    connection = duckdb.connect(":memory:", config={"threads": 1})
    load(connection, args.file, args.rows)
    print("ready", flush=True)
    for _ in sys.stdin:
        connection.execute("DROP TABLE IF EXISTS r")
        wall, cpu = time.monotonic(), cpu_s()
        connection.execute(QUERY)
        cpu, wall = cpu_s() - cpu, time.monotonic() - wall
        groups, rows, checksum = connection.execute(CHECK).fetchone()
        print(f"cpu_s={cpu:.6f} wall_s={wall:.6f} rows={rows} groups={groups} "
              f"checksum={checksum % (1 << 64)}", flush=True)


if __name__ == "__main__":
    main()
