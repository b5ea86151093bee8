"""The package and the library agree: functions, structs, statuses, option names."""

import ctypes
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from support import ROOT, evs, library
from evstream import _library as lib
from evstream._context import UNDERSCORED, option_name

INCLUDE = ROOT / "include"

# what a parameter of a C type must be here; handles and callbacks are c_void_p or their own types
PLAIN = {
    "int32_t": ctypes.c_int32, "int64_t": ctypes.c_int64, "uint32_t": ctypes.c_uint32,
    "size_t": ctypes.c_size_t, "bool": ctypes.c_bool, "double": ctypes.c_double,
    "int": ctypes.c_int, "evs_status": ctypes.c_int, "evs_type_id": ctypes.c_int,
    "evs_format": ctypes.c_int, "void": None,
}


def strip(text):
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*$", "", text, flags=re.M)


def declarations():
    """{function: [result type, parameter types]} of the public headers."""
    found = {}
    for header in (INCLUDE / "evstream").glob("*.h"):
        for result, name, rest in re.findall(r"EVS_API\s+([^;(]*?)(\w+)\s*\(([^;]*)\)[^;)]*;",
                                             strip(header.read_text(encoding="utf-8"))):
            parameters = [" ".join(p.split()) for p in rest.split(",")]
            parameters = [] if parameters == ["void"] else parameters
            found[name] = [c_type(result + " x")] + [c_type(p) for p in parameters]
    return found


def c_type(declaration):
    """"const char *x" -> "char *": without const and the name."""
    text = re.sub(r"\bconst\b|\bstruct\b", "", declaration)
    text = re.sub(r"\w+\s*$", "", text)
    return re.sub(r"\s*\*", " *", " ".join(text.split())).replace("* *", "**").strip()


class Agreement(unittest.TestCase):
    def test_prototypes_are_those_of_the_headers(self):
        declared = declarations()
        self.assertGreater(len(declared), 150)
        for name, prototype in lib.PROTOTYPES.items():
            with self.subTest(name):
                self.assertIn(name, declared)
                wanted = declared[name]
                self.assertEqual(len(prototype), len(wanted), wanted)
                for here, there in zip(prototype, wanted):
                    if there in PLAIN:
                        self.assertIs(here, PLAIN[there], there)
                    else:  # a pointer, a callback
                        self.assertIsNotNone(here, there)
                        self.assertEqual(ctypes.sizeof(here), ctypes.sizeof(ctypes.c_void_p), there)
                        if there == "char *":
                            self.assertIs(here, ctypes.c_char_p)

    def test_every_function_is_in_the_library(self):
        handle = ctypes.CDLL(library())
        self.assertEqual([name for name in lib.PROTOTYPES if not hasattr(handle, name)], [])

    @unittest.skipUnless(shutil.which("cc"), "no C compiler")
    def test_structs_are_laid_out_as_in_c(self):
        here = {}
        lines = ["#include <stdio.h>", "#include <stddef.h>", "#include <evstream/evstream.h>",
                 "int main(void) {"]
        for name, struct in lib.STRUCTS.items():
            c_name = "struct " + name
            here[name] = ctypes.sizeof(struct)
            lines.append('printf("%s %%zu\\n", sizeof(%s));' % (name, c_name))
            for field, *_ in struct._fields_:
                descriptor = getattr(struct, field)
                here["%s.%s" % (name, field)] = (descriptor.offset, descriptor.size)
                lines.append('printf("%s.%s %%zu %%zu\\n", offsetof(%s, %s), '
                             'sizeof(((%s *)0)->%s));' % (name, field, c_name, field, c_name, field))
        lines.append("return 0; }")
        with tempfile.TemporaryDirectory() as folder:
            source = os.path.join(folder, "layout.c")
            with open(source, "w", encoding="utf-8") as file:
                file.write("\n".join(lines))
            subprocess.run(["cc", "-I", str(INCLUDE), "-o", source[:-2], source], check=True)
            output = subprocess.run([source[:-2]], check=True, capture_output=True, text=True).stdout
        there = {}
        for line in output.splitlines():
            name, *numbers = line.split()
            there[name] = tuple(map(int, numbers)) if len(numbers) > 1 else int(numbers[0])
        self.assertEqual(here, there)

    def test_init_functions_fill_our_structs(self):
        for struct, function in ((lib.ContextOptions, "evs_context_options_init"),
                                 (lib.WindowOptions, "evs_window_options_init_size"),
                                 (lib.DedupOptions, "evs_dedup_options_init"),
                                 (lib.LimitOptions, "evs_limit_options_init"),
                                 (lib.Message, "evs_message_init")):
            with self.subTest(function):
                self.assertEqual(lib.init(struct, function).struct_size, ctypes.sizeof(struct))

    def test_init_of_another_size_is_refused(self):
        class Longer(ctypes.Structure):
            _fields_ = lib.Message._fields_ + [("more", ctypes.c_int64)]

        with self.assertRaisesRegex(ImportError, "does not fit"):
            original = lib.lib.evs_message_init
            lib.lib.evs_message_init = lambda s: original(ctypes.cast(s, ctypes.POINTER(lib.Message)))
            try:
                lib.init(Longer, "evs_message_init")
            finally:
                lib.lib.evs_message_init = original

    def test_statuses_are_those_of_the_library(self):
        header = (INCLUDE / "evstream" / "status.h").read_text(encoding="utf-8")
        there = {name: int(value) for name, value in re.findall(r"X\((\w+), (-?\d+),", header)}
        self.assertEqual({s.name: s.value for s in evs.Status}, there)
        for status in evs.Status:
            self.assertEqual(lib.lib.evs_status_name(status).decode(), "EVS_" + status.name)

    def test_option_names_reach_the_library(self):
        names = set()
        for path in (ROOT / "lib").rglob("*.c"):
            tables = re.findall(r"evs_option_info \w+\[\] = \{(.*?)\n\};",
                                path.read_text(encoding="utf-8"), re.S)
            for table in tables:
                names.update(re.findall(r"^\s*\{\"([^\"]+)\"", table, re.M))
        self.assertGreater(len(names), 40)
        self.assertEqual({n for n in names if "_" in n}, set(UNDERSCORED))
        for name in names:
            with self.subTest(name):
                self.assertEqual(option_name(name.replace(".", "_")), name)

    def test_names_with_a_dot_are_taken_as_they_are(self):
        self.assertEqual(option_name("kafka.some_option"), "kafka.some_option")


class Loading(unittest.TestCase):
    def run_python(self, code, **environment):
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                              check=False, env={**os.environ, **environment,
                                                "PYTHONPATH": str(ROOT / "bindings" / "python")})

    def test_a_missing_library_is_told_with_the_ways_out(self):
        done = self.run_python("import evstream", EVSTREAM_LIBRARY="/nowhere/libevstream.so")
        self.assertIn("ImportError: libevstream is not found: set EVSTREAM_LIBRARY", done.stderr)
        self.assertIn("/nowhere/libevstream.so", done.stderr)

    def test_the_library_is_found_beside_the_package(self):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(ROOT / "bindings" / "python" / "evstream", folder + "/evstream")
            os.symlink(os.path.realpath(library()), folder + "/evstream/libevstream.so")
            environment = {k: v for k, v in os.environ.items() if k != "EVSTREAM_LIBRARY"}
            done = subprocess.run([sys.executable, "-c", "import evstream; print(evstream.version())"],
                                  cwd=folder, capture_output=True, text=True, check=False,
                                  env={**environment, "PYTHONPATH": folder})
            self.assertEqual(done.stdout.strip(), evs.version(), done.stderr)

    def test_a_library_without_our_functions_is_refused(self):
        done = self.run_python("import evstream; evstream.version()", EVSTREAM_LIBRARY="libc.so.6")
        self.assertIn("ImportError", done.stderr)


if __name__ == "__main__":
    unittest.main()
