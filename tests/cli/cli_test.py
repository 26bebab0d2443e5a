#!/usr/bin/env python3
"""Runs the cleave program as its users do: command lines, what they print, their exit codes.

    cli_test.py BINARY DATA [PATTERN]     DATA: tests/data; PATTERN: only tests whose names contain it

Needs Python alone. Closes with a line that counts.
"""

import json
import math
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import zlib

BINARY, DATA = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
TESTS = []


def test(function):
    TESTS.append(function)
    return function


def run(*args, env=None, code=0, cwd=None, stdin=subprocess.DEVNULL):
    """Runs cleave; checks its exit code, and that an error is one line of the agreed form."""
    full_env = dict(os.environ, **(env or {}))
    done = subprocess.run([BINARY, *args], capture_output=True, text=True, env=full_env,
                          stdin=stdin, cwd=cwd, timeout=300)
    where = f"cleave {' '.join(args)}"
    assert done.returncode == code, f"{where}: exit {done.returncode}, not {code}: {done.stderr}"
    if code != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("cleave: error: ")]
        assert len(lines) == 1, f"{where}: not one error line: {done.stderr!r}"
    return done


def error(*args, code, says, **kwargs):
    """Runs cleave, which must fail with this code and a message that has all of `says`."""
    done = run(*args, code=code, **kwargs)
    for word in says:
        assert word in done.stderr, f"{args}: '{word}' is not in: {done.stderr}"
    return done


def run_json(*args, **kwargs):
    done = run(*args, "--json", **kwargs)
    report = json.loads(done.stdout)
    assert isinstance(report, dict)
    return report


def model(name):
    return os.path.join(DATA, name + ".onnx")


def has(report, **types):
    """Every named member is there and of its type (a class, or a tuple of them)."""
    for key, kind in types.items():
        assert key in report, f"'{key}' is missing in {sorted(report)}"
        assert isinstance(report[key], kind), f"'{key}' is {report[key]!r}"


NUMBER = (int, float)


def write_npy(path, values, shape, dtype="<f4", code="f", fortran=False, version=1):
    header = f"{{'descr': '{dtype}', 'fortran_order': {fortran}, 'shape': {tuple(shape)}, }}"
    start = b"\x93NUMPY" + bytes([version, 0])
    size = 2 if version == 1 else 4
    pad = 64 - (len(start) + size + len(header) + 1) % 64
    header = header + " " * pad + "\n"
    with open(path, "wb") as file:
        file.write(start + len(header).to_bytes(size, "little") + header.encode("latin1"))
        file.write(struct.pack(f"<{len(values)}{code}", *values))


def read_npy(path):
    with open(path, "rb") as file:
        data = file.read()
    assert data[:6] == b"\x93NUMPY"
    length = int.from_bytes(data[8:10], "little")
    header = data[10:10 + length].decode("latin1")
    shape = tuple(int(n) for n in re.search(r"'shape': \(([^)]*)\)", header)[1].split(",") if n.strip())
    code = {"<f4": "f", "<i8": "q", "<i4": "i"}[re.search(r"'descr': '([^']*)'", header)[1]]
    count = math.prod(shape)
    return shape, struct.unpack(f"<{count}{code}", data[10 + length:])


def write_png(path, width, height, pixel):
    rows = b"".join(b"\0" + b"".join(bytes(pixel(x, y)) for x in range(width)) for y in range(height))

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
                   + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


class Folder:
    """A folder that goes away."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="cleave-cli-")
        return lambda name: os.path.join(self.path, name)

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


# --- every command ---


@test
def version_and_help():
    assert re.fullmatch(r"cleave \d+\.\d+\.\d+\n", run("--version").stdout)
    assert "inspect" in run("--help").stdout
    for command in ["devices", "inspect", "run", "bench", "verify", "list"]:
        text = run(command, "--help").stdout
        assert f"usage: cleave {command}" in text and "--json" in text
    assert run("--help", "run").stdout == run("run", "--help").stdout


@test
def usage_errors():
    error(code=2, says=["no command"])
    error("rum", model("two"), code=2, says=["'rum'", "did you mean 'run'"])
    error("run", code=2, says=["needs an operand"])
    error("run", model("two"), "--devcies", "cpu", code=2, says=["did you mean '--devices'"])
    error("run", model("two"), model("two"), code=2, says=["one operand"])
    error("devices", "x", code=2, says=["no operand", "'x'"])
    error("run", model("two"), "--devices", code=2, says=["--devices needs a value"])
    error("run", model("two"), "--json=1", code=2, says=["takes no value"])
    error("devices", "--seed", "1", code=2, says=["--seed", "not for this command"])
    error("run", model("two"), "--input", "random", "--requests", "0", code=2, says=["--requests"])
    error("run", model("two"), "--input", "random", "--seed", "x", code=2, says=["--seed", "'x'"])
    error("bench", model("two"), "--seconds", "-1", code=2, says=["--seconds"])
    error("bench", model("two"), "-o", "xml", code=2, says=["xml", "jsonl"])
    error("list", "opps", code=2, says=["opps", "ops"])
    error("run", model("two"), "--input", "random", "--policy", "pipelin", code=2, says=["pipelin"])
    error("run", model("two"), "--input", "random", "--schedule", "x", code=2, says=["static"])
    error("run", model("two"), "--input", "random", "--devices", "core:0,core:1", "--policy", "pipeline", "--allow-idle",
          "--depth", "2000", code=2, says=["2000", "1024"])


@test
def names_with_control_characters():
    with Folder() as at:
        with open(at("odd.onnx"), "wb") as file:
            file.write(open(model("two"), "rb").read().replace(b"\x01a", b"\x01\n").replace(b"\x01b", b"\x01\x1b"))
        done = error("run", at("odd.onnx"), code=2, says=["input '\\n' is not given"])
        assert done.stderr.count("\n") == 1
        done = error("run", at("odd.onnx"), "--input", "\n=ones", code=2, says=["input '\\x1b' is not given"])
        assert "\x1b" not in done.stderr


@test
def names_that_are_no_text():
    """Bytes that are no UTF-8, escape sequences and line ends: JSON stays valid (run() decodes all
    output), and nothing of them reaches a terminal."""
    with Folder() as at:
        path = at("odd.onnx")
        content = open(model("two"), "rb").read()
        for name, odd in ((b"\x03add", b"\x03\xff\x1b\n"), (b"\x03sum", b"\x03\x1b\xff\x7f"),
                          (b"\x03mul", b"\x03\xc2\x9bm"), (b"\x03two", b"\x03\x1b[2")):
            assert name in content
            content = content.replace(name, odd)
        with open(path, "wb") as file:
            file.write(content)
        commands = [("inspect", path), ("run", path, "--input", "ones"), ("verify", path), ("plan", path),
                    ("bench", path, "--requests", "1", "--per-op"),
                    ("simulate", path), ("inspect", path, "--stage", "onnx"),
                    ("inspect", path, "--stage", "schedule")]
        for command in commands:
            shown = run(*command).stdout
            bad = [c for c in shown if (c < " " and c != "\n") or "\x7f" <= c < "\xa0"]
            assert not bad, (command, shown)
            run_json(*command)
        table = run("bench", path, "--requests", "1", "--per-op", "-o", "csv").stdout
        assert "\x1b" not in table and table.count("\n") == 6, table


@test
def bad_environment():
    base = ["run", model("two"), "--input", "random"]
    for value in ["abc", "-1", "1x", "99999999999"]:
        error(*base, code=2, says=["CLEAVE_SEED", f"'{value}'"], env={"CLEAVE_SEED": value})
        run(*base, "--seed", "1", env={"CLEAVE_SEED": value})
        error(*base, code=2, says=["CLEAVE_CORES", f"'{value}'"], env={"CLEAVE_CORES": value})
    error("list", "ops", code=2, says=["CLEAVE_LOG", "'loud'", "warning"], env={"CLEAVE_LOG": "loud"})


@test
def verbose_errors_have_a_trail():
    quiet = run("run", "/nonexistent.onnx", "--input", "random", code=9)
    loud = run("run", "/nonexistent.onnx", "--input", "random", "-v", code=9)
    assert "  at " not in quiet.stderr and "  at host/" in loud.stderr


@test
def lists():
    for what in ["ops", "variants", "policies", "passes", "env", "status"]:
        report = run_json("list", what)
        assert len(report[what]) > 0 and all("name" in row or "variant" in row for row in report[what])
        assert run("list", what).stdout.count("\n") == len(report[what]) + 1
    names = [row["name"] for row in run_json("list", "ops")["ops"]]
    assert "Conv" in names and names == sorted(names)
    exits = {row["name"]: row["exit"] for row in run_json("list", "status")["status"]}
    assert [exits[n] for n in ["OK", "USAGE", "MALFORMED", "UNSUPPORTED", "NO_DEVICE", "NO_MEMORY",
                               "DEVICE_FAILED", "MISMATCH", "IO"]] == [0, 2, 3, 4, 5, 6, 7, 8, 9]


# --- devices ---


@test
def devices():
    units = run_json("devices", env={"CLEAVE_CORES": "3"})["units"]
    names = [unit["name"] for unit in units]
    assert names[:4] == ["cpu", "core:0", "core:1", "core:2"]
    for unit in units:
        has(unit, name=str, kind=str, device=str, platform=str, driver=str, usable=bool,
            memory_bytes=NUMBER)
        assert unit["kind"] in ("cpu", "core", "gpu", "cl") and unit["memory_bytes"] > 0
    has(units[0], peak_gflops=NUMBER, bandwidth_gbs=NUMBER)
    assert "core:2" in run("devices", env={"CLEAVE_CORES": "3"}).stdout


@test
def threaded_devices():
    env = {"CLEAVE_CORES": "1", "CLEAVE_POCL_THREADED": "2"}
    names = [u["name"] for u in run_json("devices", env=env)["units"] if u["kind"] == "cl"]
    assert len(names) >= 2 and all(re.fullmatch(r"cl:\d+\.\d+", name) for name in names)
    report = run_json("run", model("two"), "--input", "ones", "--devices", names[0], env=env)
    assert report["devices"] == [names[0]] and report["outputs"][0]["max"] == 2


@test
def no_platform():
    env = {"OCL_ICD_VENDORS": "/nonexistent"}
    error("run", model("two"), "--input", "ones", code=5, says=["pocl-opencl-icd"], env=env)
    run("inspect", model("two"), env=env)
    run("list", "ops", env=env)


@test
def no_linker():
    """PoCL starts `ld`, and ends the process where it does not find it."""
    with Folder() as at:
        env = {"CLEAVE_CACHE_DIR": at("kept"), "POCL_CACHE_DIR": at("pocl"), "PATH": at("")}
        os.mkdir(at("pocl"))
        error("run", model("two"), "--input", "ones", code=5, says=["`ld`", "binutils"], env=env)
        assert not any(u["usable"] for u in run_json("devices", env=env)["units"] if u["kind"] == "core")
        without = {name: value for name, value in {**os.environ, **env}.items() if name != "PATH"}
        done = subprocess.run([BINARY, "run", model("two"), "--input", "ones"], env=without, timeout=300,
                              capture_output=True, text=True)
        assert done.returncode == 0, done


@test
def bad_devices():
    base = ["run", model("two"), "--input", "ones", "--devices"]
    error(*base, "gpu:7", code=5, says=["gpu:7", "core:0"])
    error(*base, "cp", code=5, says=["cp"])
    error(*base, "cpu,core:0", code=2, says=["cpu", "core:0", "silicon"])
    error(*base, "core:0,core:0", code=2, says=["core:0"])
    text = error(*base, "core:0{mem=16}", code=6, says=["core:0", "may hold 16:"]).stderr
    needed = int(re.search(r"needs (\d+) bytes", text).group(1))
    assert f"{needed - 16} are missing" in text, text
    error(*base, f"core:0{{mem={needed - 1}}}", code=6, says=[f"may hold {needed - 1}: 1 is missing"])
    run(*base, f"core:0{{mem={needed}}}")
    error(*base, "core:0{memory=16}", code=2, says=["mem"])
    error(*base, "core:0{speed=0}", code=2, says=["speed"])
    error(*base, "", code=2, says=["empty"])


@test
def flag_beats_environment():
    env = {"CLEAVE_DEVICES": "core:0"}
    assert run_json("run", model("two"), "--input", "ones", env=env)["devices"] == ["core:0"]
    report = run_json("run", model("two"), "--input", "ones", "--devices", "cpu", env=env)
    assert report["devices"] == ["cpu"]


# --- inspect ---


@test
def inspect():
    report = run_json("inspect", model("two"))
    has(report, inputs=list, outputs=list, nodes=int, ops=dict, parameters=NUMBER, flops=NUMBER,
        unsupported=list)
    assert report["ops"] == {"Add": 1, "Mul": 1} and report["flops"] == 12
    assert report["inputs"][0] == {"name": "a", "dtype": "float32", "shape": [2, 3]}
    report = run_json("inspect", model("free"))
    assert "flops" not in report and report["inputs"][0]["shape"] == ["N", 3, "H", "W"]
    report = run_json("inspect", model("free"), "--dim", "N=1", "--shape", "x=1x3x4x5")
    assert report["outputs"][0]["shape"] == [1, 3, 4, 5]
    report = run_json("inspect", model("unknown"))
    assert report["unsupported"][0]["node"] == "nms"
    assert report["unsupported"][0]["op"] == "NonMaxSuppression" and report["unsupported"][0]["reason"]


@test
def sizes_and_weights_of_exporters():
    report = run_json("inspect", model("exported"))
    assert report["parameters"] == 3 and report["parameter_bytes"] == 12
    assert report["inputs"][0]["shape"] == ["x_dim0", 3, "x_dim2", "x_dim3"]
    report = run_json("run", model("exported"), "--input", "ones", "--shape", "x=1x3x4x5")
    assert report["outputs"][0]["shape"] == [1, 3, 4, 5] and report["outputs"][0]["mean"] == 2


@test
def stages():
    for stage in ["onnx", "graph", "passes", "infer"]:
        text = run("inspect", model("two"), "--stage", stage).stdout
        assert "Add" in text and "Mul" in text
        assert "Add" in run_json("inspect", model("two"), "--stage", stage)["text"]
    error("inspect", model("two"), "--stage", "grph", code=2, says=["did you mean 'graph'"])


# --- run ---


@test
def run_reports():
    report = run_json("run", model("two"), "--input", "a=ones", "--input", "b=zeros", "--requests", "3")
    has(report, devices=list, policy=str, schedule=str, depth=int, requests=int, wall_ms=NUMBER,
        outputs=list, units=list)
    assert report["requests"] == 3 and report["policy"] == "single" and report["schedule"] == "static"
    outputs = {output["name"]: output for output in report["outputs"]}
    assert outputs["sum"]["min"] == outputs["sum"]["max"] == outputs["sum"]["mean"] == 1
    assert outputs["product"]["max"] == 0 and outputs["sum"]["shape"] == [2, 3]
    has(report["units"][0], name=str, ops=int, busy_ms=NUMBER, transfer_ms=NUMBER, bytes_in=int,
        bytes_out=int)
    assert report["units"][0]["ops"] == 6
    text = run("run", model("two"), "--input", "ones").stdout
    assert re.search(r"^cpu: ", text, re.M) and " ms" in text


@test
def seeds():
    def mean(*flags, **kwargs):
        return run_json("run", model("two"), "--input", "random", *flags, **kwargs)["outputs"][0]["mean"]

    assert mean() == mean("--seed", "0") == mean(env={"CLEAVE_SEED": "0"})
    assert mean("--seed", "5") == mean(env={"CLEAVE_SEED": "5"}) != mean()


@test
def tensor_files():
    with Folder() as at:
        write_npy(at("a.npy"), range(6), (2, 3))
        write_npy(at("b.npy"), [1, 2, 3, 4, 5, 6], (2, 3), fortran=True)
        base = ["run", model("two"), "--input", "a=" + at("a.npy"), "--input", "b=" + at("b.npy")]
        for ending in ["npy", "npz", "pb"]:
            run(*base, "--output", "sum=" + at("s." + ending), "--output", "product=" + at("p.npy"))
            report = run_json("run", model("two"), "--input", "a=" + at("s." + ending), "--input", "b=zeros",
                              "--output", "sum=" + at("again.npy"))
            assert report["outputs"][0]["file"] == at("again.npy")
            assert read_npy(at("again.npy")) == ((2, 3), (1, 4, 7, 5, 8, 11))
        assert read_npy(at("p.npy"))[1] == (0, 3, 10, 6, 16, 30)


@test
def bad_tensors():
    with Folder() as at:
        base = ["run", model("two"), "--input", "b=ones", "--input"]
        write_npy(at("shape.npy"), range(6), (3, 2))
        write_npy(at("type.npy"), range(6), (2, 3), dtype="<i8", code="q")
        error(*base, "a=" + at("shape.npy"), code=3, says=["shape.npy", "[3,2]", "[2,3]"])
        error(*base, "a=" + at("type.npy"), code=3, says=["int64", "float32"])
        with open(at("short.npy"), "wb") as file:
            file.write(open(at("shape.npy"), "rb").read()[:-4])
        error(*base, "a=" + at("short.npy"), code=3, says=["short.npy"])
        for name in ["x.npy", "x.npz", "x.png", "x.pb"]:
            with open(at(name), "wb") as file:
                file.write(b"no such thing" * 9)
            error(*base, "a=" + at(name), code=3, says=[name])
        error(*base, "a=" + at("none.npy"), code=9, says=["none.npy"])
        error(*base, "a=" + at("what.txt"), code=2, says=["what.txt", ".npy"])
        error("run", model("two"), "--input", "c=ones", code=2, says=["'c'"])
        error("run", model("two"), "--input", "a=ones", code=2, says=["'b'"])
        error("run", model("two"), "--input", "ones", "--output", at("o.npy"), code=2, says=["sum"])
        error("run", model("two"), "--input", "ones", "--output", "sum=" + at("o.txt"), code=2, says=[".npy"])
        error("run", model("two"), "--input", "ones", "--output", "sum=" + at("o.npz"), "--output",
              "product=" + at("o.npz"), code=2, says=["'sum'", "'product'", "o.npz"])
        error("run", model("two"), "--input", "ones", "--output", "sum=" + at("missing/o.npy"), code=9,
              says=["missing"])
        error("run", model("two"), "--input", "a=ones", "--input", "b=ones", "--input", "a=zeros", code=2,
              says=["'a=zeros'", "before"])
        error("run", model("free"), "--input", at("x.npy"), "--input", at("y.npy"), code=2, says=["before"])
        shape = ["--shape", "x=1x3x4x4"]
        error("run", model("free"), *shape, "--input", "ones", "--output", "z=o.npy", code=2,
              says=["'z=o.npy'", "y=out.npy"])
        os.mkdir(at("a=b"))
        run("run", model("free"), *shape, "--input", "ones", "--output", at("a=b/o.npy"))
        assert os.path.exists(at("a=b/o.npy"))


@test
def pictures():
    with Folder() as at:
        write_png(at("in.png"), 5, 4, lambda x, y: (x * 50, y * 60, 255))
        report = run_json("run", model("free"), "--input", at("in.png"), "--output", at("out.png"),
                          "--output", "y=" + at("y.npy"))
        assert report["outputs"][0]["shape"] == [1, 3, 4, 5]
        assert report["outputs"][0]["file"] == at("out.png")
        assert report["outputs"][0]["files"] == [at("out.png"), at("y.npy")]
        shape, values = read_npy(at("y.npy"))
        assert shape == (1, 3, 4, 5) and abs(values[1] - 50 / 255) < 1e-6 and values[-1] == 1
        run("run", model("free"), "--input", at("out.png"), "--output", at("again.npy"))
        assert read_npy(at("again.npy")) == (shape, values)
        report = run_json("run", model("free"), "--input", at("in.png"), "--mean", "0.5", "--std", "0.5,1,2")
        assert abs(report["outputs"][0]["max"] - (200 / 255 - 0.5) / 0.5) < 1e-5
        error("run", model("free"), "--input", at("in.png"), "--std", "0", code=2, says=["--std"])
        error("run", model("free"), "--input", at("in.png"), "--mean", "1,2,3,4", code=2, says=["--mean"])


@test
def free_dimensions():
    error("run", model("free"), "--input", "random", code=2, says=["'N'", "--dim"])
    report = run_json("run", model("free"), "--input", "random", "--dim", "N=2", "--dim", "H=3", "--dim", "W=4")
    assert report["outputs"][0]["shape"] == [2, 3, 3, 4]
    report = run_json("run", model("free"), "--input", "random", "--shape", "x=1x3x2x2")
    assert report["outputs"][0]["shape"] == [1, 3, 2, 2]
    base = ["run", model("free"), "--input", "random"]
    error(*base, "--dim", "n=2", code=2, says=["'n'", "did you mean 'N'"])
    error(*base, "--dim", "N", code=2, says=["NAME=SIZE"])
    error(*base, "--dim", "N=-2", code=2, says=["-2"])
    error(*base, "--shape", "x=1x4x2x2", code=2, says=["'x'"])
    error(*base, "--shape", "x=1xx2", code=2, says=["--shape"])
    error(*base, "--shape", "z=1", code=2, says=["'z'"])
    error(*base, "--dim", "N=1", "--dim", "H=100000", "--dim", "W=100000", code=4, says=["elements"])


@test
def values_that_shapes_depend_on():
    with Folder() as at:
        write_npy(at("shape.npy"), [3, 4], (2,), dtype="<i8", code="q")
        report = run_json("run", model("reshape"), "--input", "data=ones", "--input",
                          "shape=" + at("shape.npy"))
        assert report["outputs"][0]["shape"] == [3, 4]
        write_npy(at("bad.npy"), [5, 5], (2,), dtype="<i8", code="q")
        error("run", model("reshape"), "--input", "data=ones", "--input", "shape=" + at("bad.npy"),
              code=3, says=["reshape", "[5,5]"])


@test
def forbidden_values():
    with Folder() as at:
        write_npy(at("index.npy"), [1, 7], (2,), dtype="<i8", code="q")
        for unit in ["cpu", "core:0"]:
            error("run", model("gather"), "--input", at("index.npy"), "--devices", unit, code=3,
                  says=["gather", "range"])


@test
def bad_models():
    base = ["--input", "random"]
    error("run", model("unknown"), *base, code=4, says=["NonMaxSuppression", "nms"])
    error("run", model("malformed"), *base, code=3, says=["Concat", "concat", "axis"])
    with Folder() as at:
        data = open(model("two"), "rb").read()
        for length in [0, 1, 10, len(data) // 2, len(data) - 1]:
            with open(at("cut.onnx"), "wb") as file:
                file.write(data[:length])
            error("run", at("cut.onnx"), *base, code=3, says=["cut.onnx"])
            error("inspect", at("cut.onnx"), code=3, says=["cut.onnx"])
        error("run", at("."), *base, code=9, says=["folder"])
        error("run", at("none.onnx"), *base, code=9, says=["none.onnx"])


# --- bench and verify ---


@test
def bench():
    report = run_json("bench", model("two"), "--requests", "7", "--warmup", "1", "--per-op")
    has(report, latency_ms=dict, throughput_per_s=NUMBER, load_ms=NUMBER, first_ms=NUMBER,
        memory_bytes=dict, units=list, requests=int, devices=list, ops=list)
    has(report["latency_ms"], min=NUMBER, median=NUMBER, mean=NUMBER, stddev=NUMBER, p90=NUMBER, p99=NUMBER)
    has(report, throughput_per_s=NUMBER, steady_per_s=NUMBER)
    assert report["steady_per_s"] >= report["throughput_per_s"] / 2 > 0
    latency = report["latency_ms"]
    assert latency["min"] <= latency["median"] <= latency["p90"] <= latency["p99"]
    assert report["requests"] == 7 and report["memory_bytes"]["cpu"] > 0
    has(report["units"][0], busy=NUMBER, idle=NUMBER)
    assert 1 <= report["kernels"] <= 2, report["kernels"]
    assert [op["node"] for op in report["ops"]] == ["add", "mul"]
    assert "median" in run("bench", model("two"), "--seconds", "0.05").stdout


@test
def roofline():
    with Folder() as at:
        report = run_json("roofline", model("two"), "--devices", "core:0", "--requests", "2",
                          "--html", at("page.html"))
        text = open(at("page.html")).read()
    has(report["units"][0], name=str, peak_gflops=NUMBER, bandwidth_gbs=NUMBER, levels_gbs=dict)
    assert report["units"][0]["bandwidth_gbs"] > 0
    assert [op["node"] for op in report["ops"]] == ["add", "mul"]
    for op in report["ops"]:
        has(op, op=str, variant=str, flops=NUMBER, bytes=NUMBER, intensity=NUMBER, time_us=NUMBER,
            gflops=NUMBER, gbs=NUMBER, of_ceiling=NUMBER)
        assert op["bound"] in ("compute", "L1", "L2", "L3", "memory", "launch")
    assert text.startswith("<!doctype html>") and text.count("<svg") == 1
    # Of a table that is gathered from, weights are what is read, as with a plan's tasks.
    gather = run_json("roofline", model("gather"), "--devices", "core:0", "--requests", "1")["ops"]
    assert [(op["bytes"], op["weight_bytes"]) for op in gather] == [(64, 32)], gather
    error("roofline", model("two"), "--html", "/no/such/folder/page.html", code=9, says="--html")


def check_measured(report, requests):
    """Where the time of every unit went adds up, and the path that it took is named."""
    measured = report["measured"]
    for unit in report["units"]:
        assert unit["busy_ms"] + unit["transfer_ms"] <= report["wall_ms"] * (1 + 1e-6), report
    assert measured["requests"] == requests and measured["requests_left_out"] == 0
    parts = ["busy_us", "transfer_us", "waiting_data_us", "waiting_buffer_us", "waiting_place_us", "overhead_us", "idle_us"]
    for unit in measured["units"]:
        assert math.isclose(sum(unit[part] for part in parts), measured["wall_us"], rel_tol=1e-6), unit
        for what in ["data_us", "buffer_us"]:
            assert math.isclose(sum(other[what] for other in unit["waiting_for"]), unit["waiting_" + what],
                                rel_tol=1e-6, abs_tol=1e-6), unit
    path = measured["critical_path"]
    assert path["path"][0]["cause"] == "nothing" and all("after" in step for step in path["path"][1:]), path
    assert path["busy_us"] + path["idle_us"] <= measured["wall_us"] * (1 + 1e-6)
    assert measured["ops"] and all(op["measured_us"] > 0 and op["predicted_us"] > 0 for op in measured["ops"])


@test
def timelines_of_what_happened():
    two_cores = ["--devices", "core:0,core:1", "--policy", "data"]
    with tempfile.TemporaryDirectory() as folder:
        page, trace = os.path.join(folder, "t.html"), os.path.join(folder, "t.json")
        files = ["--timeline", page, "--trace", trace]
        check_measured(run_json("run", model("two"), "--input", "random", "--requests", "5", *two_cores, *files), 5)
        with open(trace, encoding="utf-8") as file:
            events = json.load(file)["traceEvents"]
        processes = {event["args"]["name"] for event in events if event["name"] == "process_name"}
        assert {"units, predicted", "units, measured"} <= processes, processes
        with open(page, encoding="utf-8") as file:
            text = file.read()
        data = json.loads(text.split('type="application/json">')[1].split("</script>")[0])
        assert [layer["name"] for layer in data["layers"]] == ["predicted", "measured"]
        dynamic = ["--devices", "core:0,core:1", "--policy", "pipeline", "--allow-idle", "--schedule", "dynamic", "--depth", "2"]
        check_measured(run_json("run", model("two"), "--input", "random", "--requests", "5", *dynamic, *files), 5)
        # Transfers over a slow link are no time of kernels.
        link = ["--devices", "core:0,core:1{link=1M,latency=200us}", "--policy", "data:2", "--no-calibrate"]
        for schedule in ["static", "dynamic"]:
            check_measured(run_json("run", model("two"), "--input", "random", "--requests", "6", *link, "--schedule", schedule,
                                    *files), 6)
        check_measured(run_json("bench", model("two"), "--requests", "4", *files), 4)  # of one unit: a plan too
        text = run("run", model("two"), "--input", "random", *two_cores, *files).stdout
        assert "critical path: " in text and f"timeline: {page}" in text, text
        assert "measured" not in run_json("run", model("two"), "--input", "random")
        error("run", model("two"), "--input", "random", "--timeline", os.path.join(folder, "t.pdf"), code=2, says=["t.pdf", ".svg"])
        error("bench", model("two"), "--requests", "1;2", *files, code=2, says=["--timeline", "sweep"])



@test
def sweeps():
    base = ["bench", model("free"), "--requests", "2", "--dim", "N=1", "--dim", "H=4"]
    base += ["--shape", "x=1x3x4x4;x=1x3x4x8", "--devices", "cpu;core:0"]
    report = run_json(*base)
    assert len(report["results"]) == 4
    assert {result["flags"]["--devices"] for result in report["results"]} == {"cpu", "core:0"}
    lines = run(*base, "-o", "jsonl").stdout.splitlines()
    assert len(lines) == 4 and all(json.loads(line)["requests"] == 2 for line in lines)
    assert run(*base, "-o", "csv").stdout.count("\n") == 5
    table = run(*base, "-o", "md").stdout.splitlines()
    assert len(table) == 6 and all(line.startswith("|") and line.endswith("|") for line in table)
    # a list in one of a flag's values leaves the others as they are
    base = ["bench", model("free"), "--requests", "1", "--dim", "N=1", "--dim", "H=2;H=4", "--dim", "W=3;W=5", "--devices"]
    report = run_json(*base, "gpu:9;cpu", "--devices", "core:0")  # of this flag the last counts
    assert [result["flags"] for result in report["results"]] == [
        {"--dim": f"H={h} W={w}"} for h in (2, 4) for w in (3, 5)]
    # what fails does not take the others' results away
    done = run(*base, "core:0;gpu:9", "--json", code=5)
    results = json.loads(done.stdout)["results"]
    assert len(results) == 8 and "gpu:9" in done.stderr
    for result in results:
        is_bad = result["flags"]["--devices"] == "gpu:9"
        assert (result.get("exit") == 5 and "gpu:9" in result["error"]) if is_bad else "latency_ms" in result, result
    table = run(*base, "gpu:9;core:0", "-o", "md", code=5).stdout.splitlines()
    assert len(table) == 10 and "error" in table[0] and "gpu:9" in table[2] and "gpu:9" not in table[6]


@test
def verify():
    report = run_json("verify", model("two"))
    has(report, ok=bool, outputs=list)
    for output in report["outputs"]:
        has(output, name=str, max_abs=NUMBER, max_rel=NUMBER, nmse=NUMBER, ok=bool)
    assert report["ok"] and {output["name"] for output in report["outputs"]} == {"sum", "product"}
    with Folder() as at:
        write_npy(at("want.npy"), [2] * 6, (2, 3))
        write_npy(at("wrong.npy"), [2, 2, 2, 2, 2, 2.5], (2, 3))
        base = ["verify", model("two"), "--input", "ones", "--against"]
        run(*base, "sum=" + at("want.npy"))
        error(*base, "sum=" + at("wrong.npy"), code=8, says=["sum"])
        done = run(*base, "sum=" + at("wrong.npy"), "--json", code=8)
        assert json.loads(done.stdout)["ok"] is False
        run(*base, "sum=" + at("wrong.npy"), "--rtol", "0.3")
        run(*base, "sum=" + at("wrong.npy"), "--rtol", "0", "--atol", "0.5")
        error(*base, "sum=" + at("wrong.npy"), "--atol", "-1", code=2, says=["--atol"])
    assert len(run_json("verify", model("two"), "--all-tensors")["outputs"]) == 2
    assert len(run_json("verify", model("two"), "--all-tensors", "--debug", "fill")["outputs"]) == 2
    plain = run_json("verify", model("two"))["outputs"]
    assert plain == run_json("verify", model("two"), "--debug", "fill,delays=3")["outputs"]
    assert plain == run_json("verify", model("two"), "--schedule", "dynamic", env={"CLEAVE_DEBUG": "delays,fill"})["outputs"]
    error("verify", model("two"), "--debug", "fill,fast", code=2, says=["'fast'", "delays=SEED"])


@test
def a_model_of_constants():
    for command in ["run", "verify", "bench"]:
        run(command, model("constant"), "--input", "ones", "--devices", "core:0", *(["--requests", "2"] if command == "bench" else []))
    for args in [("plan",), ("simulate",), ("run", "--input", "ones", "--policy", "data")]:
        error(args[0], model("constant"), *args[1:], "--devices", "core:0,core:1", code=4, says=["outputs", "constants"])


@test
def verify_compares_with_the_model_as_loaded():
    """What a pass rounds is told: the convolution has other weights than the model's."""
    for extra in [], ["--all-tensors"]:
        (y,) = run_json("verify", model("folded"), *extra)["outputs"]
        assert y["name"] == "y" and y["ok"] and 0 < y["max_rel"] < 1e-6, y


@test
def weights_in_half_precision():
    half = ["--weights", "half"]
    exact = run_json("verify", model("rows"), "--input", "ones")["outputs"]
    assert [output["max_rel"] < 1e-6 for output in exact] == [True, True]
    done = run("verify", model("rows"), "--input", "ones", "--json", *half)
    y, loud = json.loads(done.stdout)["outputs"]
    assert 1e-5 < y["max_rel"] < 5e-4 and loud["max_rel"] < 1e-6
    assert "'loud' keeps its weights in float32" in done.stderr
    told = run_json("explain", model("rows"), "product", *half)
    assert told["note"] == "weights in half precision" and told["weight_bytes"] == 128 * 64 * 2
    assert "note" not in run_json("explain", model("rows"), "product")
    text = run("inspect", model("rows"), "--stage", "passes", *half).stdout
    assert "(weights in half precision)" in text and "(weights in float32: some are beyond" in text
    error("run", model("rows"), "--input", "ones", "--weights", "tiny", code=2, says=["'tiny'", "float or half"])
    error("run", model("rows"), "--input", "ones", "--exact", *half, code=2, says=["--exact", "--weights half"])


# --- the process ---


@test
def output_that_cannot_be_written():
    with open("/dev/full", "w") as full:
        for args in [["list", "ops"], ["devices", "--json"], ["run", model("two"), "--input", "ones"]]:
            done = subprocess.run([BINARY, *args], stdout=full, stderr=subprocess.PIPE, text=True, timeout=300)
            assert done.returncode == 9 and "standard output" in done.stderr, (args, done)
    read_end, write_end = os.pipe()  # as `| head` does, which needs no telling
    os.close(read_end)
    done = subprocess.run([BINARY, "list", "ops"], stdout=write_end, stderr=subprocess.PIPE, text=True, timeout=300)
    os.close(write_end)
    assert done.returncode == 9 and done.stderr == "", done


@test
def cache_that_cannot_be_used():
    with Folder() as at:
        with open(at("file"), "w"):
            pass
        for folder in [at("file"), "/proc/nothing", "/dev/null/x"]:
            run("run", model("two"), "--input", "ones", env={"CLEAVE_CACHE_DIR": folder})
        run("run", model("two"), "--input", "ones", env={"POCL_CACHE_DIR": ""})
        env = {"POCL_CACHE_DIR": "/proc/nothing"}
        error("run", model("two"), "--input", "ones", code=5, says=["POCL_CACHE_DIR '/proc/nothing'"], env=env)
        run("run", model("two"), "--input", "ones", env={"CLEAVE_CACHE_DIR": at("cache")})
        for root, _, files in os.walk(at("cache")):
            for name in files:
                with open(os.path.join(root, name), "r+b") as file:
                    file.truncate(100)
        run("run", model("two"), "--input", "ones", env={"CLEAVE_CACHE_DIR": at("cache")})


@test
def interrupt():
    process = subprocess.Popen([BINARY, "bench", model("two"), "--seconds", "60"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    time.sleep(1.0)  # long enough to be running; short of it the signal finds it loading
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130 and "interrupted" in stderr, (process.returncode, stderr)


@test
def interrupt_while_reading():
    """From a pipe that nothing comes out of, and one that nobody has opened."""
    with Folder() as at:
        os.mkfifo(at("pipe"))
        for path in ["/dev/stdin", at("pipe")]:
            process = subprocess.Popen([BINARY, "inspect", path], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            time.sleep(1.0)  # long enough to be reading; short of it the signal ends it as well
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
            finally:
                _, stderr = process.communicate()
            assert process.returncode == 130 and b"interrupted" in stderr, (path, process.returncode, stderr)


@test
def progress_is_for_terminals():
    with Folder() as at:
        env = dict(os.environ, CLEAVE_CACHE_DIR=at("cold"), POCL_CACHE_DIR=at("pocl"))
        args = [BINARY, "run", model("two"), "--input", "ones"]
        piped = subprocess.run(args, capture_output=True, text=True, env=env, timeout=300)
        assert piped.returncode == 0 and piped.stderr == ""
        shutil.rmtree(at("cold"), ignore_errors=True)
        main, side = pty.openpty()
        done = subprocess.run(args, stdout=subprocess.DEVNULL, stderr=side, env=env, timeout=300)
        os.close(side)
        shown = os.read(main, 65536) if select_ready(main) else b""
        os.close(main)
        assert done.returncode == 0 and b"\r" in shown, shown


def select_ready(fd):
    import select
    return bool(select.select([fd], [], [], 0)[0])


def main():
    pattern = sys.argv[3] if len(sys.argv) > 3 else ""
    num_passed = num_failed = 0
    for function in TESTS:
        if pattern not in function.__name__:
            continue
        try:
            function()
            num_passed += 1
            print(f"ok     {function.__name__}", flush=True)
        except Exception:  # whatever went wrong, the next test runs
            num_failed += 1
            print(f"FAILED {function.__name__}\n{traceback.format_exc(limit=3)}", flush=True)
    print(f"{num_passed} passed, {num_failed} failed")
    return 1 if num_failed or not num_passed else 0


if __name__ == "__main__":
    sys.exit(main())
