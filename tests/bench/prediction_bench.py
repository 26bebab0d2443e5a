"""What plans predict from measured costs beside what their runs do.

    tests/bench/prediction_bench.py [--cleave build/cleave] [--seconds 2] [--policies LIST] [--units LIST]
                                    MODEL.onnx ...

Each model, under each policy on each set of units, is planned and run by one process of `cleave bench`;
costs are measured once, in a cache folder of this bench's own (`--cache FOLDER` keeps it). Printed are
predicted and measured rates (for latency policies with one request in flight the median of latencies is
compared too), the error as a share of what was measured, and at the end the median of all errors and how
many are within a tenth. Sets of units are separated by spaces, units by commas. Needs Python alone, and
a machine with nothing else to do: a run that others disturb says nothing.
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
    print(f"{'model':<20} {'policy':<10} {'units':<32} {'predicted':>10} {'measured':>10} {'error':>7}")
    for model in args.models:
        for units in args.units.split():
            for policy in args.policies.split(","):
                report = bench(args, folder, model, policy, units)
                if report is None:
                    continue
                error = report["throughput_error"]
                errors.append(abs(error))
                print(f"{os.path.basename(model):<20} {policy:<10} {units:<32} "
                      f"{report['predicted_throughput_per_s']:>8.1f}/s {report['throughput_per_s']:>8.1f}/s "
                      f"{100 * error:>+6.1f}%", end="")
                if "latency_error" in report:
                    print(f"   latency {report['predicted_latency_ms']:.2f} ms, median "
                          f"{report['latency_ms']['median']:.2f} ({100 * report['latency_error']:+.1f}%)", end="")
                print(flush=True)
    return errors


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cleave", default="build/cleave")
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--policies", default="serial,pipeline,data,tensor")
    parser.add_argument("--units", default="core:0,core:1 core:0,core:1{speed=0.5}")
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
