#!/usr/bin/env python3
"""Gate: the house is as docs/architecture.md says. Prints TAP.

Usage: check.py ROOT LIBRARY MODULE...   what was built from ROOT

What a reviewer would otherwise look for again in every change:
  - a folder of lib/ includes only folders below it; connectors only public headers and their own
    library's; base to plan have no clock, socket, thread or file;
  - no mutable globals, and no call that writes to the process's streams, reads its environment or
    locale, ends it, or keeps its result in static memory;
  - a file opens with a comment and has at most 1,000 lines, a function at most 70;
  - comments are /* */, and nothing is left to do later.
EXCEPTIONS names what may differ, with the reason.
"""

import pathlib
import re
import subprocess
import sys

FOLDERS = ["base", "data", "schema", "codec", "expr", "engine", "plan", "io", "runtime"]
SANS_IO = FOLDERS[:FOLDERS.index("io")]
BANNED_HEADERS = {"time.h", "sys/time.h", "sys/socket.h", "sys/stat.h", "netdb.h", "poll.h",
                  "sys/epoll.h", "fcntl.h", "unistd.h", "threads.h", "pthread.h", "signal.h",
                  "locale.h", "dirent.h"}
THIRD_PARTY = re.compile(r"^(librdkafka/|avro|jansson|hiredis|sqlite3|zstd|zlib|yaml|curl/|libpq)")
BANNED_CALLS = set(
    "printf vprintf fprintf vfprintf puts putchar fputs perror stdout stderr stdin "
    "getenv secure_getenv setenv setlocale uselocale localeconv exit _exit quick_exit abort "
    "atexit signal sigaction system fork rand srand random strtok strerror asctime ctime "
    "localtime gmtime tmpnam strtod strtof atof sleep usleep nanosleep __printf_chk "
    "__fprintf_chk __vfprintf_chk".split())
FUNCTION_LINES, FILE_LINES = 70, 1000

# (check, path or symbol): reason
EXCEPTIONS = {
    ("headers", "lib/base/context.h"): "the context's lists may be used from any thread: one mutex",
    ("headers", "lib/base/context.c"): "the same",
    ("sizes", "lib/codec/avro_decode.c"): "the decoder's instructions are one dispatch table",
}


def sources(root):
    return sorted(path for folder in ("include", "lib") for path in (root / folder).rglob("*.[ch]"))


def includes(path):
    return re.findall(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', path.read_text(encoding="utf-8"),
                      re.M)


def check_arrows(root):
    for path in sources(root / "."):
        parts = path.relative_to(root).parts
        if parts[0] != "lib" or len(parts) < 3:
            continue
        mine = parts[1]
        if mine not in FOLDERS:
            yield "%s: folder \"%s\" is not in the house" % (path.relative_to(root), mine)
            continue
        for quote, name in includes(path):
            top = name.split("/")[0]
            if top not in FOLDERS or "/" not in name:
                if quote == '"' and top != "evstream":
                    yield "%s: \"%s\" without its folder" % (path.relative_to(root), name)
                continue
            if mine == "io" and top != "io":
                yield "%s: connectors are written against evstream/ alone, not \"%s\"" % (
                    path.relative_to(root), name)
            elif FOLDERS.index(top) > FOLDERS.index(mine):
                yield "%s: \"%s\" is above %s" % (path.relative_to(root), name, mine)


def check_headers(root):
    for path in sources(root):
        parts = path.relative_to(root).parts
        name = "/".join(parts)
        if ("headers", name) in EXCEPTIONS:
            continue
        sans_io = parts[0] == "include" or parts[1] in SANS_IO
        for _, header in includes(path):
            if sans_io and header in BANNED_HEADERS:
                yield "%s: <%s> has no place below io" % (name, header)
            if parts[0] == "include" and THIRD_PARTY.match(header):
                yield "%s: <%s> in a public header" % (name, header)


def check_third_party(root):
    """jansson and avro serve the schema and codec modules; every other library has one folder."""
    allowed = {"jansson": ("schema", "codec", "io", "runtime"), "avro": ("codec", "io")}
    for path in sources(root):
        parts = path.relative_to(root).parts
        for _, header in includes(path):
            match = THIRD_PARTY.match(header)
            if match and parts[0] == "lib":
                if parts[1] not in allowed.get(match.group(1), ("io",)):
                    yield "%s: <%s>" % ("/".join(parts), header)


def check_opening(root):
    for path in sources(root):
        if not path.read_text(encoding="utf-8").startswith("/*"):
            yield "%s does not open with a comment" % path.relative_to(root)


def check_sizes(root):
    for path in sources(root):
        name = str(path.relative_to(root))
        lines = path.read_text(encoding="utf-8").splitlines()
        if len(lines) > FILE_LINES and ("sizes", name) not in EXCEPTIONS:
            yield "%s: %d lines" % (name, len(lines))
        start = None
        # The tree's format puts a function's braces, and only those, alone at the margin.
        for number, line in enumerate(lines, 1):
            if line == "{":
                start = number
            elif line == "}" and start:
                if number - start - 1 > FUNCTION_LINES and ("sizes", name) not in EXCEPTIONS:
                    yield "%s:%d: a function of %d lines" % (name, start, number - start - 1)
                start = None


def check_comments(root):
    todo = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    for path in sources(root):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            code = re.sub(r'"(\\.|[^"\\])*"|/\*.*?(\*/|$)', "", line)
            if "//" in code and not line.lstrip().startswith("*"):
                yield "%s:%d: a // comment" % (path.relative_to(root), number)
            if todo.search(line):
                yield "%s:%d: %s" % (path.relative_to(root), number, todo.search(line).group())


def output_of(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def check_calls(libraries):
    for library in libraries:
        for line in output_of("nm", "-D", "--undefined-only", library).splitlines():
            symbol = line.split()[-1].partition("@")[0]
            if symbol in BANNED_CALLS and ("calls", symbol) not in EXCEPTIONS:
                yield "%s uses %s" % (pathlib.Path(library).name, symbol)


def check_globals(libraries):
    mutable = re.compile(r"^\S+ (?:l|g|u).{4}\s*O (\.data|\.bss|\.data\.rel|\.data\.rel\.local|"
                         r"\.tbss|\.tdata)\s+(\S+)\s+(?:\.hidden )?(\S+)$")
    for library in libraries:
        for line in output_of("objdump", "-t", library).splitlines():
            match = mutable.match(line)
            if match and not re.match(r"(completed|__|_)", match.group(3)):
                if ("globals", match.group(3)) not in EXCEPTIONS:
                    yield "%s: %s in %s" % (pathlib.Path(library).name, match.group(3),
                                            match.group(1))


def check_modules(modules):
    for module in modules:
        lines = output_of("nm", "-D", "--defined-only", module).splitlines()
        names = [line.split()[-1].partition("@")[0] for line in lines if line.split()[-2] != "A"]
        if names != ["evs_module_connector"]:
            yield "%s exports %s" % (pathlib.Path(module).name, ", ".join(names) or "nothing")


def main():
    root, libraries = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
    checks = [
        ("arrows point down", check_arrows(root)),
        ("no clock, socket, thread or file below io", check_headers(root)),
        ("third-party headers stay in their folder", check_third_party(root)),
        ("every file opens with a comment", check_opening(root)),
        ("files and functions are of a size to read", check_sizes(root)),
        ("comments", check_comments(root)),
        ("the library leaves the process alone", check_calls(libraries)),
        ("no mutable globals", check_globals(libraries)),
        ("modules export their connector alone", check_modules(libraries[1:])),
    ]
    print("1..%d" % len(checks))
    failed = False
    for number, (what, found) in enumerate(checks, 1):
        problems = list(found)
        failed = failed or bool(problems)
        print("%s %d - %s" % ("not ok" if problems else "ok", number, what))
        for problem in problems:
            print("# %s" % problem)
    sys.exit(failed)


if __name__ == "__main__":
    main()
