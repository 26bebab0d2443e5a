#!/usr/bin/env python3
"""How much faster plans on two units are than their first unit alone.

    tests/bench/speedup_bench.py [--cleave build/cleave] [--seconds 0.5] [--rounds 5] [--units core:0,core:1]
                                 [--policies pipeline,data,tensor] [--markdown] MODEL.onnx ...

Each round runs `cleave bench` on the first unit alone (before and after), and between on all of them under
each policy, so that whatever the machine does meanwhile meets all of them; costs are measured once before, in
a cache folder of this bench's own (`--cache FOLDER` keeps it), and the same kernels run everywhere. Printed is
the median over rounds of how many times as many requests a second there were (latency policies: how many
times faster one was), by the median stretch of requests, beside what the plan promised of the same. Needs
Python alone, and a machine with nothing else to do, or real-time priority.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile


class Bench:
    def __init__(self, args, folder):
        self.args = args
        self.env = dict(os.environ, CLEAVE_CACHE_DIR=folder, CLEAVE_NO_CALIBRATE="0", CLEAVE_NO_CACHE="0")

    def run(self, model, units, policy):
        """The report of one run."""
        command = [self.args.cleave, "bench", model, "--devices", units, "--policy", policy, "--allow-idle",
                   "--seconds", str(self.args.seconds), "--json", "-q"]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{policy} on {units}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def measure(self, model):
        """By policy: the median gain, and what was predicted."""
        first = self.args.units.split(",")[0]
        policies = self.args.policies.split(",")
        gains, predicted = {policy: [] for policy in policies}, {}
        self.run(model, self.args.units, policies[-1])  # measures costs
        for _ in range(self.args.rounds):
            before = self.run(model, first, "single")["steady_per_s"]
            reports = {policy: self.run(model, self.args.units, policy) for policy in policies}
            after = self.run(model, first, "single")["steady_per_s"]
            for policy, report in reports.items():
                gains[policy].append(report["steady_per_s"] / ((before + after) / 2))
                predicted[policy] = report["predicted_throughput_per_s"]
        alone = self.run(model, self.args.units, "single")["predicted_throughput_per_s"]
        return {policy: (statistics.median(gains[policy]), predicted[policy] / alone) for policy in policies}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cleave", default="build/cleave")
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--units", default="core:0,core:1")
    parser.add_argument("--policies", default="pipeline,data,tensor")
    parser.add_argument("--markdown", action="store_true", help="print a table of it")
    parser.add_argument("--cache", metavar="FOLDER")
    parser.add_argument("models", nargs="+", metavar="MODEL.onnx")
    args = parser.parse_args()
    form = "| {} | {} | {} | {} |" if args.markdown else "{:<14} {:<9} {:>7} {:>10}"
    print(form.format("model", "policy", "gain", "predicted"))
    if args.markdown:
        print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(args, args.cache or folder)
        for model in args.models:
            for policy, (gain, predicted) in bench.measure(model).items():
                print(form.format(os.path.basename(model).removesuffix(".onnx"), policy, f"{gain:.2f}",
                                  f"{predicted:.2f}"), flush=True)


if __name__ == "__main__":
    main()
