#!/usr/bin/env python3
"""How long the first run of the shipped model takes, from the start of the process to its end.

    tests/bench/first_run_bench.py [--cleave build/cleave] [--devices cpu] [--side 96] [--runs 21]
                                   [MODEL.onnx ...]

A picture of SIDE x SIDE is made three times larger; or each MODEL serves one request of random
inputs, which are made meanwhile. "warm": the kernels are in cleave's cache folder (and in PoCL's,
which is not read then); "cold": both folders are empty, so everything is compiled. "load" and "first"
are what `bench` says that loading and the first request took, in the same runs. Printed are the
median, the ninth in ten, the least and the most of RUNS warm and of three cold runs, and of a
command that needs no OpenCL, in turn with the warm ones. Needs Python alone.
"""

import argparse
import json
import os
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import zlib


def write_picture(path, side):
    rows = b"".join(
        b"\0" + bytes((x * 2 + y + 80 * c) % 256 for x in range(side) for c in range(3))
        for y in range(side)
    )

    def chunk(kind, data):
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header))
        file.write(chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def timed(command, environment):
    """Milliseconds of the process, and of loading and the first request where it tells."""
    begin = time.perf_counter()
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE)
    took = (time.perf_counter() - begin) * 1e3
    if done.returncode != 0:
        sys.exit(f"first_run_bench: {' '.join(command)} gave {done.returncode}")
    told = json.loads(done.stdout) if "--json" in command and "bench" in command else {}
    return took, told.get("load_ms"), told.get("first_ms")


def report(what, runs):
    for name, times in zip(("", ", load", ", first"), zip(*runs)):
        if times[0] is None:
            continue
        ninth = sorted(times)[(len(times) * 9 - 1) // 10]
        print(
            f"{what + name:<36} median {statistics.median(times):7.1f} ms   90 % {ninth:7.1f}   "
            f"least {min(times):7.1f}   most {max(times):7.1f}   ({len(times)} runs)"
        )


def measure(args, what, command, folder):
    caches = {
        "CLEAVE_CACHE_DIR": os.path.join(folder, "cleave"),
        "POCL_CACHE_DIR": os.path.join(folder, "pocl"),
    }
    environment = dict(os.environ, **caches)
    cold, warm, listing = [], [], []
    for _ in range(3):
        for path in caches.values():
            shutil.rmtree(path, ignore_errors=True)
            os.mkdir(path)
        cold.append(timed(command, environment))
    for _ in range(args.runs):
        warm.append(timed(command, environment))
        listing.append(timed([args.cleave, "list", "ops"], environment))
    report(f"{what} on {args.devices}, warm", warm)
    report(f"{what} on {args.devices}, cold", cold)
    report("cleave list ops", listing)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cleave", default="build/cleave")
    parser.add_argument("--devices", default="cpu")
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--runs", type=int, default=21)
    parser.add_argument("models", nargs="*")
    args = parser.parse_args()
    model = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../models/espcn_x3.onnx")
    with tempfile.TemporaryDirectory() as folder:
        picture = os.path.join(folder, "in.png")
        write_picture(picture, args.side)
        common = ["-q", "--devices", args.devices, "--no-calibrate"]
        command = [args.cleave, "run", model, *common]
        command += ["--input", picture, "--output", os.path.join(folder, "out.png")]
        if not args.models:
            measure(args, f"{args.side}x{args.side}", command, folder)
        for path in args.models:
            command = [args.cleave, "bench", path, *common, "--requests", "1"]
            command += ["--warmup", "0", "--json"]
            measure(args, os.path.basename(path).removesuffix(".onnx"), command, folder)


if __name__ == "__main__":
    main()
