#!/usr/bin/env python3
"""Gate: each public header compiles alone, as C99 and as C++11, and pads no struct silently.

Usage: headers.py INCLUDE_DIR CC CXX

CC and CXX may be several words ("ccache gcc"). Prints TAP.
"""

import pathlib
import subprocess
import sys

STRICT = ["-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only"]


def main():
    include = pathlib.Path(sys.argv[1])
    cc, cxx = sys.argv[2].split(), sys.argv[3].split()
    kinds = [
        ("C99", cc + ["-x", "c", "-std=c99"] + STRICT),
        ("C++11", cxx + ["-x", "c++", "-std=c++11"] + STRICT),
        ("C99 without implicit padding", cc + ["-x", "c", "-std=c99", "-Wpadded"] + STRICT),
    ]
    headers = sorted(header.relative_to(include) for header in include.rglob("*.h"))
    print("1..%d" % (len(headers) * len(kinds)))
    number, failed = 0, False
    for header in headers:
        for what, command in kinds:
            number += 1
            # Twice: the include guard is part of the promise.
            source = '#include "%s"\n#include "%s"\n' % (header, header)
            result = subprocess.run(command + ["-I", str(include), "-"], input=source, text=True,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            print("%s %d - %s as %s"
                  % ("not ok" if result.returncode else "ok", number, header, what))
            if result.returncode:
                failed = True
                for line in result.stdout.splitlines()[:20]:
                    print("# %s" % line)
    sys.exit(failed)


if __name__ == "__main__":
    main()
