#!/usr/bin/env python3
"""What two cores do at once without any plan: the same kernels in two processes, beside each in turn.

    tests/bench/beside_bench.py [--cleave build/cleave] [--seconds 0.5] [--rounds 3] [--cache FOLDER]
                                [--markdown] MODEL.onnx ...

Each round runs `cleave bench` on core:0 alone, on core:1 alone, and then on both at once, a process for each.
Printed are medians over rounds: how much longer a request takes while the other core is at work too, and how
many times as many requests the two get through as one alone: no plan over both, whole networks on each, can
do better by much, as what is lost is lost to memory and caches that they share. Needs Python alone, and a
machine with nothing else to do, or real-time priority.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile


def start(args, env, model, unit):
    command = [args.cleave, "bench", model, "--devices", unit, "--policy", "single", "--seconds", str(args.seconds),
               "--json", "-q"]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def rate(process):
    out, err = process.communicate()
    if process.returncode != 0:
        sys.exit(err.strip())
    return json.loads(out)["steady_per_s"]


def measure(args, env, model):
    """How much longer a request takes beside another, and the gain of both over one; medians."""
    longer, gain = [], []
    rate(start(args, env, model, "core:0"))  # compiles and measures
    for _ in range(args.rounds):
        alone = [rate(start(args, env, model, unit)) for unit in ("core:0", "core:1")]
        both = [start(args, env, model, unit) for unit in ("core:0", "core:1")]
        beside = [rate(process) for process in both]
        longer.append(sum(alone) / sum(beside))
        gain.append(sum(beside) / (sum(alone) / 2))
    return statistics.median(longer), statistics.median(gain)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cleave", default="build/cleave")
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cache", metavar="FOLDER")
    parser.add_argument("--markdown", action="store_true", help="print a table of it")
    parser.add_argument("models", nargs="+", metavar="MODEL.onnx")
    args = parser.parse_args()
    form = "| {} | {} | {} |" if args.markdown else "{:<14} {:>14} {:>8}"
    print(form.format("model", "busy / alone", "gain"))
    if args.markdown:
        print("|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        env = dict(os.environ, CLEAVE_CACHE_DIR=args.cache or folder, CLEAVE_NO_CALIBRATE="0", CLEAVE_NO_CACHE="0")
        for model in args.models:
            longer, gain = measure(args, env, model)
            print(form.format(os.path.basename(model).removesuffix(".onnx"), f"{longer:.2f}", f"{gain:.2f}"), flush=True)


if __name__ == "__main__":
    main()
