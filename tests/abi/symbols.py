#!/usr/bin/env python3
"""Gate: functions declared in the public headers = symbol map = what the library exports.

Usage: symbols.py INCLUDE_DIR MAP LIBRARY [--growing]

Every function that a public header declares carries EVS_API, is named in the map, and is exported
under the map's version; nothing else is. --growing, before the first release: a declared function
may not be there yet. Prints TAP.
"""

import pathlib
import re
import subprocess
import sys

COMMENT = re.compile(r"/\*.*?\*/", re.S)
PREPROCESSOR = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*$", re.M)
DECLARED = re.compile(r"\bEVS_API\b[^;{(]*?\b(\w+)\s*\(")
# A declaration at file scope: a name before a parenthesis, where no typedef or body begins.
ANY_FUNCTION = re.compile(r"^(?!\s|typedef|static|template|inline|\}|//)[^;{}=]*?\b(evs\w*)\s*\(",
                          re.M)


def strip(text):
    return PREPROCESSOR.sub("", COMMENT.sub("", text))


def declared(include):
    """Names with EVS_API, and names of all function declarations, over all headers."""
    with_api, every = set(), set()
    for header in sorted(include.rglob("*.h")):
        text = strip(header.read_text(encoding="utf-8"))
        with_api.update(DECLARED.findall(text))
        every.update(ANY_FUNCTION.findall(text))
    return with_api, every


def mapped(path):
    """{name: version} of the map; a pattern would export what nobody wrote down."""
    symbols, problems = {}, []
    text = COMMENT.sub("", path.read_text(encoding="utf-8"))
    for version, body in re.findall(r"(\w[\w.]*)\s*\{(.*?)\}\s*[\w.]*\s*;", text, re.S):
        scope = "global"
        for item in re.findall(r"[^;\s]+(?=\s*;)|\w+:", body):
            if item.endswith(":"):
                scope = item[:-1]
            elif scope == "global":
                if re.search(r"[*?\[]", item):
                    problems.append("pattern \"%s\" in %s" % (item, version))
                elif item in symbols:
                    problems.append("\"%s\" twice" % item)
                symbols[item] = version
    return symbols, problems


def exported(library):
    """{name: version} of the dynamic symbols that the library defines."""
    symbols = {}
    output = subprocess.run(["nm", "-D", "--defined-only", "--with-symbol-versions", library],
                            check=True, stdout=subprocess.PIPE, text=True).stdout
    for line in output.splitlines():
        kind, name = line.split()[-2:]
        if kind != "A":
            name, _, version = name.partition("@")
            symbols[name] = version.lstrip("@")
    return symbols


def main():
    include, map_file, library = sys.argv[1:4]
    growing = sys.argv[4:] == ["--growing"]
    with_api, every = declared(pathlib.Path(include))
    in_map, map_problems = mapped(pathlib.Path(map_file))
    out = exported(library)

    checks = [
        ("every declared function carries EVS_API", sorted(every - with_api)),
        ("the map names symbols, once each", map_problems),
        ("every declared function is in the map", sorted(with_api - set(in_map))),
        ("the map names nothing that no header declares", sorted(set(in_map) - with_api)),
        ("every declared function is exported",
         [] if growing else sorted(with_api - set(out))),
        ("the library exports nothing else", sorted(set(out) - with_api)),
        ("versions are those of the map",
         sorted("%s: map %s, library %s" % (name, in_map[name], out[name])
                for name in set(in_map) & set(out) if in_map[name] != out[name])),
        ("functions were found at all", [] if len(with_api) > 5 else ["%d" % len(with_api)]),
    ]
    print("1..%d" % len(checks))
    for number, (what, problems) in enumerate(checks, 1):
        print("%s %d - %s" % ("not ok" if problems else "ok", number, what))
        for problem in problems:
            print("# %s" % problem)
    print("# %d functions declared, %d exported" % (len(with_api), len(out)))
    sys.exit(any(problems for _, problems in checks))


if __name__ == "__main__":
    main()
