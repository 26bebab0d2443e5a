#!/usr/bin/env python3
"""What running layers depth first, in bands of rows that stay in a cache, could gain at most.

    tests/bench/bands_bench.py [--cleave build/cleave] [--devices cpu] MODEL.onnx ...
    tests/bench/bands_bench.py --shape INPUT=1x3x540x960 --rows 540,108,36 MODEL.onnx

Without --rows, for each model: `roofline` says which operators' activations leave the cores' own
caches, and at what rate the next level gives them. "bound" is what moving them from there takes more
than from L2, as a share of all operators' time: a chain in bands, with no halo to compute twice and
no launch more, could not save more than that where transfers are at that rate.

With --rows, for models with free rows: the same network on maps of fewer rows, as many as a band
would have, one band after another, in turn with the whole: milliseconds for as many rows as --shape
has. Borders of bands are zeros, so this is what bands would take if their halos were free. It counts
waiting for memory as it is, whatever the rate. Needs Python alone.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys


def run(args, command, model, *flags):
    line = [args.cleave, command, model, "--devices", args.devices, "--json", *flags]
    done = subprocess.run(line, stdout=subprocess.PIPE)
    if done.returncode != 0:
        sys.exit(f"bands_bench: {' '.join(line)} gave {done.returncode}")
    return json.loads(done.stdout)


def bound(args, model):
    shape = ["--shape", args.shape] if args.shape else []
    report = run(args, "roofline", model, "--requests", "10", *shape)
    unit, total_us, moved_us, moved_bytes = report["units"][0], 0, 0, 0
    rates, sizes = unit["levels_gbs"], unit["levels_bytes"]
    for op in report["ops"]:
        activations = op["bytes"] - op["weight_bytes"]
        total_us += op["time_us"]
        if activations > sizes["L2"]:
            level = "L3" if "L3" in rates and activations <= sizes["L3"] else "memory"
            moved_us += activations * 1e-3 * (1 / rates[level] - 1 / rates["L2"])
            moved_bytes += activations
    print(
        f"{os.path.basename(model):<24} {total_us * 1e-3:8.2f} ms   beyond L2 "
        f"{moved_bytes / 1e6:7.1f} MB   bound {100 * moved_us / total_us:5.1f} %"
    )


def strips(args, model):
    name, _, text = args.shape.partition("=")
    dims = [int(dim) for dim in text.split("x")]
    times = {rows: [] for rows in args.rows}
    for _ in range(args.rounds):
        for rows in args.rows:
            cut = "x".join(map(str, dims[:2] + [rows] + dims[3:]))
            count = ["--requests", str(max(6, dims[2] // 2 // rows)), "--warmup", "2"]
            report = run(args, "bench", model, "--shape", f"{name}={cut}", *count)
            times[rows].append(report["latency_ms"]["median"] * dims[2] / rows)
    for rows, measured in times.items():
        whole = statistics.median(times[args.rows[0]])
        median = statistics.median(measured)
        print(
            f"{os.path.basename(model):<24} {rows:5} rows at a time: {median:8.2f} ms "
            f"({min(measured):.2f}-{max(measured):.2f})   {median / whole:.2f}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cleave", default="build/cleave")
    parser.add_argument("--devices", default="cpu")
    parser.add_argument("--shape", metavar="INPUT=DIMS")
    parser.add_argument("--rows", type=lambda text: [int(rows) for rows in text.split(",")])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("models", nargs="+", metavar="MODEL.onnx")
    args = parser.parse_args()
    if args.rows and not args.shape:
        parser.error("--rows needs --shape")
    for model in args.models:
        (strips if args.rows else bound)(args, model)


if __name__ == "__main__":
    main()
