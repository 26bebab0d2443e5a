#!/usr/bin/env python3
"""Tests of ci/check.py: small trees with one fault each, which must be reported with file, line and
rule, and trees without fault, which must pass."""
import pathlib
import subprocess
import sys
import tempfile

CHECK = pathlib.Path(__file__).resolve().parent / "check.py"

LAYERS = """# module folder may include
base    host/base    : cjson pthread
ir      host/ir      base
onnx    host/onnx    base ir : protobuf-c
ocl     host/ocl     base : OpenCL
api     host/api     base ir include
cli     host/cli     include : cjson
include host/include
kernels kernels_cl   base ir
"""

# What is there in every tree, without fault.
COMMON = {
    "ci/layers.txt": LAYERS,
    "host/base/text.h": "#include <stddef.h>\n#include <cjson/cJSON.h>\n",
    "host/ir/graph.h": '#include "host/base/text.h"\n',
    "host/include/cleave/cleave.h": "int cleave_version(void);\n",
}

LONG_BODY = "    x++;\n" * 60
TABLE = "    static const int table[] = {\n" + "        1,\n" * 80 + "    };\n"

# (name, files, what must be reported; None: nothing)
CASES = [
    ("nothing wrong", {}, None),
    ("a lower layer", {"host/ir/a.c": '#include "host/base/text.h"\n#include "graph.h"\n'}, None),
    ("an upper layer", {"host/base/a.c": '\n#include "host/ir/graph.h"\n'},
     "host/base/a.c:2: module base may not include module ir"),
    ("an upper layer by a relative path", {"host/base/a.h": '#include "../ir/graph.h"\n'},
     "host/base/a.h:1: module base may not include module ir"),
    ("an include in a comment", {"host/base/a.c": '/*\n#include "host/ir/graph.h"\n*/\n'}, None),
    ("an include with spaces", {"host/base/a.c": '  #  include "host/ir/graph.h"\n'},
     "host/base/a.c:1: module base may not include module ir"),
    ("a file that is not there", {"host/ir/a.c": '#include "host/ir/gone.h"\n'}, 'host/ir/a.c:1: "host/ir/gone.h"'),
    ("OpenCL in ocl", {"host/ocl/a.c": "#include <CL/cl.h>\n"}, None),
    ("OpenCL elsewhere", {"host/ir/a.c": "#include <CL/cl.h>\n"}, "module ir may not include <CL/cl.h> (OpenCL)"),
    ("a generated header", {"host/onnx/a.c": '#include "onnx/onnx.pb-c.h"\n'}, None),
    ("a generated header elsewhere", {"host/ir/a.c": '#include "onnx/onnx.pb-c.h"\n'}, "module ir may not include"),
    ("an unknown library", {"host/ir/a.c": "#include <zlib.h>\n"}, "<zlib.h> is of no library"),
    ("the command line: public header", {"host/cli/a.c": '#include "cleave/cleave.h"\n#include <cjson/cJSON.h>\n'}, None),
    ("the command line: internals", {"host/cli/a.c": '#include "host/base/text.h"\n'}, "module cli may not include module base"),
    ("a folder without module", {"host/new/a.c": "int x;\n"}, "host/new/a.c:1: the file is in no module"),
    ("malloc", {"host/ir/a.c": "void *f(void) {\n    return malloc(3);\n}\n"}, "host/ir/a.c:2: malloc"),
    ("malloc where it may", {"host/base/memory.c": "void *f(void) {\n    return malloc(3);\n}\n"}, None),
    ("malloc in a comment and a string", {"host/ir/a.c": '// malloc(3)\nconst char *s = "malloc(3) \\" free(3)";\n'}, None),
    ("a member named free", {"host/ir/a.c": "void f(struct s *p) {\n    p->free(p);\n    p->x.free(p);\n}\n"}, None),
    ("clv_free", {"host/ir/a.c": "void f(void *p) {\n    clv_free(p);\n}\n"}, None),
    ("free after ++", {"host/ir/a.c": "void f(char *p) {\n    free (p);\n}\n"}, "host/ir/a.c:2: free"),
    ("getenv", {"host/ocl/a.c": 'const char *f(void) {\n    return getenv("X");\n}\n'}, "host/ocl/a.c:2: getenv"),
    ("getenv in the command line", {"host/cli/a.c": 'const char *f(void) {\n    return getenv("X");\n}\n'}, "host/cli/a.c:2: getenv"),
    ("abort", {"host/api/a.c": "void f(void) {\n    abort();\n}\n"}, "host/api/a.c:2: abort"),
    ("printing", {"host/api/a.c": 'void f(void) {\n    fprintf(stderr, "x");\n}\n'}, "host/api/a.c:2: stderr"),
    ("printing in the command line", {"host/cli/a.c": 'void f(void) {\n    printf("x");\n}\n'}, None),
    ("snprintf", {"host/api/a.c": 'void f(char *b) {\n    snprintf(b, 3, "x");\n}\n'}, None),
    ("strcpy", {"host/cli/a.c": 'void f(char *b) {\n    strcpy(b, "x");\n}\n'}, "host/cli/a.c:2: strcpy"),
    ("tests may", {"tests/unit/a.c": 'void f(void) {\n    printf("x");\n    free(malloc(3));\n}\n'}, None),
    ("a long line", {"host/ir/a.c": "\nint " + "x" * 97 + ";\n"}, "host/ir/a.c:2: 102 columns"),
    ("a line of 100", {"host/ir/a.c": "int " + "x" * 95 + ";\n"}, None),
    ("a long file", {"host/ir/a.c": "int x;\n" * 801}, "host/ir/a.c:1: 801 lines"),
    ("a file of 800", {"host/ir/a.c": "int x;\n" * 800}, None),
    ("a long function", {"host/ir/a.c": "int y;\nstatic int\nf(int (*g)(int), int x)\n{\n" + LONG_BODY + "}\n"},
     "host/ir/a.c:4: f: 62 lines"),
    ("a long function in OpenCL C", {"kernels_cl/a.cl": "kernel void f(global float *x) {\n" + LONG_BODY * 2 + "}\n"},
     "kernels_cl/a.cl:1: f: 122 lines"),
    ("two short functions", {"host/ir/a.c": 2 * ("void f(int x) {\n" + LONG_BODY[:9 * 40] + "}\n")}, None),
    ("braces in text", {"host/ir/a.c": 'void f(int x) {\n    g("}{{", \'{\');\n}\n' + "void h(int x) {\n" + LONG_BODY + "}\n"},
     "host/ir/a.c:4: h: 62 lines"),
    ("a table in a function", {"host/ir/a.c": "int f(int x) {\n" + TABLE + "    return table[x];\n}\n"}, None),
    ("a long table", {"host/ir/a.c": TABLE.strip() + "\n"}, None),
    ("a long struct", {"host/ir/a.h": "struct s {\n" + "    int x;\n" * 70 + "};\n"}, None),
    ("white space at the end", {"docs/a.md": "a\nb \n"}, "docs/a.md:2: white space"),
    ("no newline at the end", {"docs/a.md": "a"}, "docs/a.md:1: no newline"),
    ("a tab", {"host/ir/a.c": "\tint x;\n"}, "host/ir/a.c:1: a tab"),
    ("unfinished work", {"host/ir/a.c": "/* TO" "DO */\n"}, "host/ir/a.c:1: unfinished"),
    ("a path of one machine", {"docs/a.md": "see /ho" "me/me/x\n"}, "docs/a.md:1: a path outside"),
    ("a path beside the repository", {"docs/a.md": "see ../sha" "red/x\n"}, "docs/a.md:1: a path outside"),
    ("an exception", {"host/ir/a.c": "void *f(void) {\n    return malloc(3);\n}\n",
                      "ci/check_exceptions.txt": "calls host/ir/a.c # a reason\n"}, None),
    ("an exception for one function", {"host/ir/a.c": "void f(int x) {\n" + LONG_BODY + "}\n",
                                       "ci/check_exceptions.txt": "functions host/ir/a.c f # flat\n"}, None),
    ("an exception for another function", {"host/ir/a.c": "void g(int x) {\n" + LONG_BODY + "}\n",
                                           "ci/check_exceptions.txt": "functions host/ir/a.c f # flat\n"},
     "host/ir/a.c:1: g: 62 lines"),
    ("an exception without reason", {"ci/check_exceptions.txt": "calls host/ir/a.c\n"}, "RULE PATH [FUNCTION] # REASON"),
    ("an exception for nothing", {"ci/check_exceptions.txt": "calls host/ir/a.c # x\n"}, "excepts nothing any more"),
]


def run(files):
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for path, content in {**COMMON, **files}.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(content, encoding="utf-8")
        command = [sys.executable, str(CHECK), "--root", folder]
        return subprocess.run(command, capture_output=True, text=True, check=False)


def main():
    failed = 0
    for name, files, expected in CASES:
        result = run(files)
        output = result.stdout + result.stderr
        if expected is None:
            good = result.returncode == 0
        else:
            good = result.returncode == 1 and expected in output
        if not good:
            failed += 1
            print(f"{name}: exit {result.returncode}, expected {expected or 'nothing'}; got:\n{output}")
    print(f"{len(CASES) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
