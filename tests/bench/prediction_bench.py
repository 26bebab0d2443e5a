#!/usr/bin/env python3
"""What plans predict from measured costs beside what their runs do.

    tests/bench/prediction_bench.py [--cleave build/cleave] [--seconds 1] [--policies LIST] [--units LIST]
                                    [--markdown] MODEL.onnx ...

Each model, under each policy on each set of units, is planned and run by one process of `cleave bench`;
costs are measured once, in a cache folder of this bench's own (`--cache FOLDER` keeps it). Printed are
predicted and measured rates, the error as a share of what was measured, and at the end the median of all
errors and how many are within a tenth. Measured is the rate of the median of some 20 stretches
(`steady_per_s`): what pauses of the machine leave, which no plan can know of; the plain rate is beside it.
Sets of units are separated by spaces, units by commas. Needs Python alone, and a machine with nothing
else to do, or real-time priority.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile


def bench(args, folder, model, policy, units):
    """The report of one run; None where the units or the policy are refused, which is printed."""
    command = [args.cleave, "bench", model, "--devices", units, "--policy", policy, "--allow-idle",
               "--seconds", str(args.seconds), "--json", "-q"]
    env = dict(os.environ, CLEAVE_CACHE_DIR=folder, CLEAVE_NO_CALIBRATE="0", CLEAVE_NO_CACHE="0")
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"  {policy} on {units}: {done.stderr.strip()}", file=sys.stderr)
        return None
    return json.loads(done.stdout)


def measure(args, folder):
    errors = []
    form = "{:<14} {:<9} {:<32} {:>9} {:>9} {:>8} {:>8}"
    if args.markdown:
        form = "| {} | {} | {} | {} | {} | {} | {} |"
    print(form.format("model", "policy", "units", "predicted", "measured", "error", "in all"))
    if args.markdown:
        print("|---|---|---|---|---|---|---|")
    for model in args.models:
        for units in args.units.split():
            for policy in args.policies.split(","):
                report = bench(args, folder, model, policy, units)
                if report is None:
                    continue
                predicted, steady = report["predicted_throughput_per_s"], report["steady_per_s"]
                error = predicted / steady - 1
                errors.append(abs(error))
                print(form.format(os.path.basename(model).removesuffix(".onnx"), policy, units, f"{predicted:.1f}",
                                  f"{steady:.1f}", f"{100 * error:+.1f}%", f"{report['throughput_per_s']:.1f}"),
                      flush=True)
    return errors


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cleave", default="build/cleave")
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--policies", default="single,serial,pipeline,data,tensor")
    parser.add_argument("--units", default="core:0,core:1 core:0,core:1{speed=0.5} "
                                           "core:0,core:1{link=2G,latency=20us}")
    parser.add_argument("--markdown", action="store_true", help="print a table of it")
    parser.add_argument("--cache", metavar="FOLDER")
    parser.add_argument("models", nargs="+", metavar="MODEL.onnx")
    args = parser.parse_args()
    if args.cache is not None:
        errors = measure(args, args.cache)
    else:
        with tempfile.TemporaryDirectory() as folder:
            errors = measure(args, folder)
    if errors:
        within = sum(error <= 0.1 for error in errors)
        print(f"median error {100 * statistics.median(errors):.1f}%, {within} of {len(errors)} within 10%")


if __name__ == "__main__":
    main()
