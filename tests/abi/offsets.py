#!/usr/bin/env python3
"""Write tests/abi/offsets.c: where every field of every public struct lies, as static asserts.

Usage: offsets.py INCLUDE_DIR CC               print the file for the headers as they are
       offsets.py INCLUDE_DIR CC --check FILE  TAP: FILE compiles, and no struct or field is missing

The asserts are the frozen layout: they are not regenerated to make a build pass. A struct grows at
its end, which adds lines and raises one size; scripts/abi-baseline rewrites the file for that.
"""

import pathlib
import re
import subprocess
import sys
import tempfile

from symbols import strip

STRUCT = re.compile(r"^(?:typedef\s+)?struct\s+(\w+)\s*\{", re.M)


def body_of(text, start):
    """The text between the brace that opens at start - 1 and its partner."""
    depth, position = 1, start
    while depth:
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        position += 1
    return text[start:position - 1]


def field_names(body):
    """Field names of a struct without nested definitions: our public structs are flat."""
    names = []
    for declaration in body.split(";"):
        declaration = " ".join(declaration.split())
        if not declaration:
            continue
        pointer = re.search(r"\(\s*\*\s*(\w+)\s*\)\s*\(", declaration)
        names.append(pointer.group(1) if pointer
                     else re.search(r"(\w+)\s*(?:\[[^\]]*\])*$", declaration).group(1))
    return names


def structs(include):
    """[(header, C name, [fields])] of all public structs, in file order."""
    found = []
    for header in sorted(include.rglob("*.h")):
        text = strip(header.read_text(encoding="utf-8"))
        text = re.sub(r"^namespace\b.*?^\}", "", text, flags=re.S | re.M)
        for match in STRUCT.finditer(text):
            found.append((header.relative_to(include), "struct " + match.group(1),
                          field_names(body_of(text, match.end()))))
    return found


def measure(include, compiler, found):
    """{(struct, None): size, (struct, field): (offset, size)}, by asking the compiler."""
    lines = ["#include <stdio.h>", "#include <stddef.h>", "#include <evstream/evstream.h>",
             "int main(void) {"]
    for _, name, fields in found:
        lines.append('printf("%%zu\\n", sizeof(%s));' % name)
        for field in fields:
            lines.append('printf("%%zu\\n", offsetof(%s, %s));' % (name, field))
            lines.append('printf("%%zu\\n", sizeof(((%s *)0)->%s));' % (name, field))
    lines += ["return 0; }"]
    with tempfile.TemporaryDirectory() as folder:
        program = folder + "/measure"
        subprocess.run(compiler.split() + ["-std=c11", "-I", str(include), "-x", "c", "-", "-o",
                                           program], input="\n".join(lines), text=True, check=True)
        numbers = iter(subprocess.run([program], stdout=subprocess.PIPE, text=True,
                                      check=True).stdout.split())
    layout = {}
    for _, name, fields in found:
        layout[name, None] = next(numbers)
        for field in fields:
            layout[name, field] = (next(numbers), next(numbers))
    return layout


HEAD = """\
/*
 * offsets.c: the frozen layout of the public structs on 64-bit machines.
 *
 * Written by scripts/abi-baseline, never changed to make a build pass: a program that was compiled
 * against these headers keeps these numbers for ever. A struct grows only at its end.
 */
#include <evstream/evstream.h>

#include <stddef.h>

#if __SIZEOF_POINTER__ == 8

#define SIZE(type, size) _Static_assert(sizeof(type) == size, "size of " #type)
#define FIELD(type, field, offset, size)                                                           \\
    _Static_assert(offsetof(type, field) == offset && sizeof(((type *)0)->field) == size,          \\
                   "offset or size of " #field " in " #type)

"""


def write(include, compiler):
    found = structs(include)
    numbers = measure(include, compiler, found)
    out = [HEAD]
    for header, name, fields in found:
        out.append("/* %s */\n" % header)
        out.append('SIZE(%s, %s);\n' % (name, numbers[name, None]))
        for field in fields:
            out.append('FIELD(%s, %s, %s, %s);\n' % ((name, field) + numbers[name, field]))
        out.append("\n")
    out.append("#endif\n")
    return "".join(out)


def check(include, compiler, path):
    result = subprocess.run(compiler.split() + ["-std=c11", "-fsyntax-only", "-I", str(include),
                                                path],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    text = " ".join(pathlib.Path(path).read_text(encoding="utf-8").split())
    missing = []
    for header, name, fields in structs(include):
        if "SIZE(%s, " % name not in text:
            missing.append("%s of %s" % (name, header))
        missing += ["%s.%s of %s" % (name, field, header) for field in fields
                    if "FIELD(%s, %s, " % (name, field) not in text]
    print("1..2")
    print("%s 1 - nothing moved or changed its size" % ("not ok" if result.returncode else "ok"))
    for line in result.stdout.splitlines():
        print("# %s" % line)
    print("%s 2 - every field of every public struct is frozen" % ("not ok" if missing else "ok"))
    for item in missing:
        print("# no assert for %s" % item)
    return bool(missing or result.returncode)


def main():
    include = pathlib.Path(sys.argv[1])
    if sys.argv[3:4] == ["--check"]:
        sys.exit(check(include, sys.argv[2], sys.argv[4]))
    sys.stdout.write(write(include, sys.argv[2]))


if __name__ == "__main__":
    main()
