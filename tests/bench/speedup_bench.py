#!/usr/bin/env python3
"""How much faster plans on two units are than their first unit alone.

    tests/bench/speedup_bench.py [--cleave build/cleave] [--seconds 0.5] [--rounds 5] [--units core:0,core:1]
                                 [--policies pipeline,data,tensor] [--beside] [--markdown] MODEL.onnx ...

Each round runs `cleave bench` on the first unit alone (before and after), and between on all of them under
each policy, so that whatever the machine does meanwhile meets all of them; costs are measured once before, in
a cache folder of this bench's own (`--cache FOLDER` keeps it), and the same kernels run everywhere. Printed is
the median over rounds of how many times as many requests a second there were (latency policies: how many
times faster one was), by the median stretch of requests, beside what the plan promised of the same. With
--beside each round also runs every unit alone, all at once, a process for each: the last column is how many
times as many requests these get through as the first one alone, what memory and caches that they share leave
of the units' sum. Needs Python alone, and a machine with nothing else to do, or real-time priority.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile


class Bench:
    def __init__(self, args, folder):
        self.args = args
        self.units = re.split(r",(?![^{]*})", args.units)
        self.env = dict(os.environ, CLEAVE_CACHE_DIR=folder, CLEAVE_NO_CALIBRATE="0", CLEAVE_NO_CACHE="0")

    def start(self, model, units, policy, seconds=None):
        command = [self.args.cleave, "bench", model, "--devices", units, "--policy", policy, "--allow-idle",
                   "--seconds", str(seconds or self.args.seconds), "--json", "-q"]
        return subprocess.Popen(command, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    @staticmethod
    def report(process):
        out, err = process.communicate()
        if process.returncode != 0:
            sys.exit(f"{' '.join(process.args)}: {err.strip()}")
        return json.loads(out)

    def run(self, model, units, policy):
        return self.report(self.start(model, units, policy))

    def run_beside(self, model):
        """Requests a second of all units together, a process for each: for long enough that most of it is beside
        each other, as the median stretch counts."""
        seconds = max(1.5, self.args.seconds)
        processes = [self.start(model, unit, "single", seconds) for unit in self.units]
        return sum(self.report(process)["steady_per_s"] for process in processes)

    def measure(self, model):
        """By policy: the median gain, and what was predicted; and what units gain side by side."""
        first = self.units[0]
        policies = self.args.policies.split(",")
        gains, predicted, beside = {policy: [] for policy in policies}, {}, []
        self.run(model, self.args.units, policies[-1])  # measures costs
        for _ in range(self.args.rounds):
            before = self.run(model, first, "single")["steady_per_s"]
            reports = {policy: self.run(model, self.args.units, policy) for policy in policies}
            together = self.run_beside(model) if self.args.beside else 0
            after = self.run(model, first, "single")["steady_per_s"]
            beside.append(together / ((before + after) / 2))
            for policy, report in reports.items():
                gains[policy].append(report["steady_per_s"] / ((before + after) / 2))
                predicted[policy] = report["predicted_throughput_per_s"]
        alone = self.run(model, self.args.units, "single")["predicted_throughput_per_s"]
        return {policy: (statistics.median(gains[policy]), predicted[policy] / alone, statistics.median(beside))
                for policy in policies}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cleave", default="build/cleave")
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--units", default="core:0,core:1")
    parser.add_argument("--policies", default="pipeline,data,tensor")
    parser.add_argument("--beside", action="store_true", help="measure also what units gain side by side")
    parser.add_argument("--markdown", action="store_true", help="print a table of it")
    parser.add_argument("--cache", metavar="FOLDER")
    parser.add_argument("models", nargs="+", metavar="MODEL.onnx")
    args = parser.parse_args()
    columns = ["model", "policy", "gain", "predicted"] + (["beside"] if args.beside else [])
    form = "| {} |" if args.markdown else "{:<14} {:<9}" + " {:>9}" * (len(columns) - 2)

    def show(row):
        print(form.format(" | ".join(row)) if args.markdown else form.format(*row), flush=True)

    show(columns)
    if args.markdown:
        print("|" + "---|" * len(columns))
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(args, args.cache or folder)
        for model in args.models:
            for policy, numbers in bench.measure(model).items():
                name = os.path.basename(model).removesuffix(".onnx")
                show([name, policy] + [f"{number:.2f}" for number in numbers][:len(columns) - 2])


if __name__ == "__main__":
    main()
