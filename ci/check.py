#!/usr/bin/env python3
"""Checks of the sources that no compiler makes. Standard library only.

    ci/check.py                  all checks; prints FILE:LINE: what is wrong; exit 1 where there was something
    ci/check.py --list-files c   the C, header and OpenCL files
    ci/check.py --root FOLDER    another tree (tests of this file)

Rules: `layers` (ci/layers.txt), `calls` (who may allocate, print, exit, read the environment),
`lines` (100 columns), `length` (files of 800 lines), `functions` (60 lines, kernels 80, tests 100, not counting tables),
`text` (white space, unfinished work, paths of one machine). ci/check_exceptions.txt holds what is
excepted and why, one a line: RULE PATH [FUNCTION] # REASON.
"""
import argparse
import pathlib
import re
import subprocess
import sys

MAX_COLUMNS, MAX_FILE_LINES = 100, 800
MAX_FUNCTION_LINES = 60
MAX_TEST_LINES = 100  # a test is a flat list of facts
MAX_KERNEL_LINES = 80  # a kernel is a loop nest, and a call costs some drivers dearly
C_SUFFIXES = (".c", ".h", ".cl")
TEXT_SUFFIXES = C_SUFFIXES + (".def", ".md", ".txt", ".sh", ".py", ".cmake", ".json", ".supp")

# Headers of the libraries that ci/layers.txt names, by how their path starts.
LIBRARY_HEADERS = {
    "cjson": ("cjson/",),
    "xxhash": ("xxhash.h", "xxh3.h"),
    "pthread": ("pthread.h",),
    "protobuf-c": ("protobuf-c/", "onnx/"),
    "png": ("png.h",),
    "zip": ("zip.h",),
    "OpenCL": ("CL/",),
}
SYSTEM_HEADERS = re.compile(
    r"(assert|complex|ctype|errno|fenv|float|inttypes|limits|locale|math|setjmp|signal|stdalign"
    r"|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|stdnoreturn|string|strings|tgmath"
    r"|threads|time|wchar|dirent|dlfcn|fcntl|getopt|glob|poll|regex|sched|semaphore|unistd|cpuid"
    r"|immintrin|sys/\w+|linux/\w+|sanitizer/\w+)\.h")

# functions (or streams), files that may use them, what to do instead
LIBRARY = ("host/", "kernels_cl/", "partition/", "scheduler/")
CALLS = [
    ("malloc calloc realloc free strdup strndup asprintf vasprintf posix_memalign aligned_alloc getline getdelim",
     ("host/base/memory.c", "host/cli/"), "host/base/memory.h has the way to host memory"),
    ("getenv secure_getenv setenv putenv unsetenv", ("host/base/env.c",), "host/base/env.h reads the environment"),
    ("abort exit _exit _Exit quick_exit", ("host/cli/",), "the library returns a status"),
    ("printf vprintf puts putchar perror stdout stderr", ("host/cli/",), "the library never prints; host/base/log.h"),
    ("strcpy strcat sprintf vsprintf strtok gets atoi atol atof alloca rand srand system popen setlocale signal",
     (), "unbounded, not thread-safe, or not a library's business"),
]
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
# Folders of one machine, and of what stands beside the repository.
OUTSIDE = re.compile(r"(?<![\w.~-])/(home|root|work|Users|mnt|opt)/|\.\./shared\b")


class Tree:
    def __init__(self, root):
        self.root = root
        self.errors = []
        self.exceptions = self.read_exceptions()
        self.used = set()

    def read_exceptions(self):
        path = self.root / "ci/check_exceptions.txt"
        entries = {}
        lines = path.read_text().splitlines() if path.exists() else []
        for number, line in enumerate(lines, 1):
            entry, _, reason = line.partition("#")
            words = tuple(entry.split())
            if not words:
                continue
            if len(words) not in (2, 3) or not reason.strip():
                self.errors.append(f"ci/check_exceptions.txt:{number}: RULE PATH [FUNCTION] # REASON is needed")
            entries[words] = number
        return entries

    def excepted(self, rule, path, function=None):
        for key in ((rule, path), (rule, path, function)):
            if key in self.exceptions:
                self.used.add(key)
                return True
        return False

    def error(self, rule, path, line, message, function=None):
        if not self.excepted(rule, path, function):
            self.errors.append(f"{path}:{line}: {message} [{rule}]")

    def files(self, suffixes):
        """Tracked and new files that git does not ignore; without git, all but build folders."""
        command = ["git", "-C", str(self.root), "ls-files", "--cached", "--others", "--exclude-standard"]
        try:
            names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        except (OSError, subprocess.CalledProcessError):
            found = (p.relative_to(self.root) for p in self.root.rglob("*"))
            names = [str(p) for p in found if not p.parts[0].startswith(("build", "."))]
        return [n for n in sorted(set(names)) if n.endswith(suffixes) and (self.root / n).is_file()]

    def text(self, path):
        return (self.root / path).read_text(encoding="utf-8", errors="replace")


def blank_out(source):
    """The source with comments and the insides of literals as blanks; lines stay where they are."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)

    def blank(match):
        piece = match.group()
        if piece[0] in "\"'":
            return piece[0] + " " * (len(piece) - 2) + piece[0]
        return re.sub(r"[^\n]", " ", piece)

    return pattern.sub(blank, source)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


class Layers:
    """ci/layers.txt: which module a file is in, and what that may include."""

    def __init__(self, tree):
        self.tree = tree
        self.modules = {}  # name: (folder, modules it may include, libraries)
        for line in tree.text("ci/layers.txt").splitlines():
            if not re.match("[a-z]", line):
                continue
            left, _, right = line.partition(":")
            name, folder, *internal = left.split()
            self.modules[name] = (folder, internal, right.split())

    def find(self, path):
        """The module whose folder holds the path, the longest folder first."""
        folders = sorted(self.modules.items(), key=lambda item: -len(item[1][0]))
        return next((name for name, (folder, *_) in folders if path.startswith(folder + "/")), None)

    def resolve(self, path, name):
        """The file that #include "NAME" in `path` means, from the root; None where there is none."""
        for folder in (pathlib.PurePath(path).parent, pathlib.PurePath("."), pathlib.PurePath("host/include")):
            full = (self.tree.root / folder / name).resolve()
            if full.is_file() and full.is_relative_to(self.tree.root.resolve()):
                return str(full.relative_to(self.tree.root.resolve()))
        return None

    def check_library(self, path, line, name, module):
        library = next((key for key, starts in LIBRARY_HEADERS.items() if name.startswith(starts)), None)
        if library is None:
            if not SYSTEM_HEADERS.fullmatch(name):
                self.tree.error("layers", path, line, f"<{name}> is of no library that ci/layers.txt names")
        elif library not in self.modules[module][2]:
            self.tree.error("layers", path, line, f"module {module} may not include <{name}> ({library})")

    def check_own(self, path, line, name, module):
        target = self.resolve(path, name)
        if target is None:
            if name.startswith("onnx/"):  # made by protoc-c
                self.check_library(path, line, name, module)
            else:
                self.tree.error("layers", path, line, f'"{name}" is not there')
            return
        other = self.find(target)
        if other is None:
            self.tree.error("layers", path, line, f'"{name}" is in no module')
        elif other != module and other not in self.modules[module][1]:
            self.tree.error("layers", path, line, f"module {module} may not include module {other} ({target})")

    def check(self, path, source):
        module = self.find(path)
        if module is None:
            if path.startswith(LIBRARY):
                self.tree.error("layers", path, 1, "the file is in no module of ci/layers.txt")
            return
        code = blank_out(source)
        for match in re.finditer(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', source, re.MULTILINE):
            if code[match.start() : match.start(1)].strip() == "":
                continue  # in a comment
            line = line_of(source, match.start())
            if match.group(1) == "<":
                self.check_library(path, line, match.group(2), module)
            else:
                self.check_own(path, line, match.group(2), module)


def check_calls(tree, path, code):
    if not path.startswith(LIBRARY) or path.endswith(".cl"):
        return
    for names, allowed, advice in CALLS:
        if path.startswith(allowed):
            continue
        # calls, of no member (x.free(), x->free()); and the streams however they are used
        pattern = r"(?<![\w.])(?<!->)(" + "|".join(names.split()) + r")\b(?:(?<=stdout)|(?<=stderr)|(?=\s*\())"
        for match in re.finditer(pattern, code):
            tree.error("calls", path, line_of(code, match.start()), f"{match.group(1)}: {advice}")


def check_lines(tree, path, source):
    lines = source.split("\n")
    for number, line in enumerate(lines, 1):
        if len(line.expandtabs(4)) > MAX_COLUMNS:
            tree.error("lines", path, number, f"{len(line)} columns, at most {MAX_COLUMNS}")
    if len(lines) - 1 > MAX_FILE_LINES:
        tree.error("length", path, 1, f"{len(lines) - 1} lines, at most {MAX_FILE_LINES}")


def without_directives(code):
    """Preprocessor lines as blanks: their braces belong to no function."""
    directive = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
    return directive.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), code)


def functions(code):
    """(name, offset of its line, offset of the closing brace, lines of tables in it) of each."""
    depth, start, table_start, table_depth, tables, name = 0, 0, 0, None, 0, None
    opened = 0
    for match in re.finditer(r"[{}]", code):
        offset = match.start()
        if match.group() == "{":
            before = code[start:offset].rstrip()
            if depth == 0:
                called = re.findall(r"(\w+)\s*\(", before.rpartition(";")[2])
                called = [word for word in called if word != "__attribute__"]
                name = called[0] if called and before.endswith(")") else None
                opened, tables = offset, 0
            elif before.endswith("=") and table_depth is None:
                table_start, table_depth = offset, depth
            depth += 1
        else:
            depth = max(depth - 1, 0)
            if table_depth == depth:
                tables += code.count("\n", table_start, offset)
                table_depth = None
            if depth == 0 and name is not None:
                yield name, opened, offset, tables
                name = None
        start = offset + 1


def check_functions(tree, path, code):
    plain = without_directives(code)
    most = MAX_KERNEL_LINES if path.endswith(".cl") else MAX_FUNCTION_LINES
    most = MAX_TEST_LINES if path.startswith("tests/") else most
    for name, opened, closed, tables in functions(plain):
        lines = plain.count("\n", opened, closed) + 1 - tables
        if lines > most:
            message = f"{name}: {lines} lines, at most {most}"
            tree.error("functions", path, line_of(plain, opened), message, name)


def check_text(tree, path, source):
    if source and not source.endswith("\n"):
        tree.error("text", path, source.count("\n") + 1, "no newline at the end")
    for number, line in enumerate(source.split("\n"), 1):
        if line != line.rstrip():
            tree.error("text", path, number, "white space at the end of the line")
        if "\t" in line and path.endswith(C_SUFFIXES + (".py", ".sh")):
            tree.error("text", path, number, "a tab")
        if UNFINISHED.search(line):
            tree.error("text", path, number, f"unfinished: {UNFINISHED.search(line).group()}")
        if OUTSIDE.search(line):
            tree.error("text", path, number, f"a path outside the repository: {OUTSIDE.search(line).group()}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    parser.add_argument("--list-files", choices=["c"])
    arguments = parser.parse_args()
    tree = Tree(arguments.root)
    if arguments.list_files:
        print("\n".join(tree.files(C_SUFFIXES)))
        return 0
    layers = Layers(tree)
    for path in tree.files(C_SUFFIXES):
        source = tree.text(path)
        code = blank_out(source)
        layers.check(path, source)
        check_calls(tree, path, code)
        check_lines(tree, path, source)
        check_functions(tree, path, code)
    for path in tree.files(TEXT_SUFFIXES):
        check_text(tree, path, tree.text(path))
    for words in set(tree.exceptions) - tree.used:
        tree.errors.append(
            f"ci/check_exceptions.txt:{tree.exceptions[words]}: '{' '.join(words)}' excepts nothing any more")
    print("\n".join(tree.errors) or "sources: nothing to object to")
    return 1 if tree.errors else 0


if __name__ == "__main__":
    sys.exit(main())
