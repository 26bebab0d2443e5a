#!/usr/bin/env python3
"""The same plan with a static and with a dynamic schedule, in turn, on an even and on an uneven machine.

    tests/bench/dynamic_bench.py [--cleave build/cleave] [--rounds 3] [--seconds 1] [--devices LIST ...]
                                 [--policy WORD ...] MODEL.onnx ...

For each machine and policy one plan is made of each model and saved; then both schedules run it, one after
the other, `rounds` times. Printed is the median of requests in a second with each, what the dynamic one is
of the static one, and the same of the latency of a request alone (`--depth 1`).

Plans are what costs say of the machine as it is declared. `--plan-for LIST` makes them for other units
instead, of the same names: what a schedule is worth that knows nothing of a slower core.

Needs Python alone.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        sys.exit(f"dynamic_bench: {' '.join(command)} gave {done.returncode}")
    return done.stdout


def bench(args, model, devices, plan, schedule, *flags):
    command = [args.cleave, "bench", model, "--devices", devices, "--plan", plan, "--schedule", schedule,
               "--seconds", str(args.seconds), "--json", "-q"]
    return json.loads(run(command + list(flags)))


def compare(args, model, devices, plan):
    """Medians over rounds: requests per second and milliseconds, of each schedule."""
    rates, times = {"static": [], "dynamic": []}, {"static": [], "dynamic": []}
    for _ in range(args.rounds):
        for schedule in rates:
            rates[schedule].append(bench(args, model, devices, plan, schedule)["throughput_per_s"])
            alone = bench(args, model, devices, plan, schedule, "--depth", "1")
            times[schedule].append(alone["latency_ms"]["median"])
    return ({key: statistics.median(all) for key, all in rates.items()},
            {key: statistics.median(all) for key, all in times.items()})


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cleave", default="build/cleave")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--devices", action="append")
    parser.add_argument("--policy", action="append")
    parser.add_argument("--plan-for")
    parser.add_argument("models", nargs="+", metavar="MODEL.onnx")
    args = parser.parse_args()
    machines = args.devices or ["core:0,core:1", "core:0,core:1{speed=0.5}"]
    print(f"{'model':<14} {'machine':<26} {'policy':<9} {'static':>10} {'dynamic':>10} {'ratio':>6}"
          f" {'static':>9} {'dynamic':>9} {'ratio':>6}")
    print(f"{'':<14} {'':<26} {'':<9} {'1/s':>10} {'1/s':>10} {'':>6} {'ms':>9} {'ms':>9}")
    with tempfile.TemporaryDirectory() as folder:
        plan = os.path.join(folder, "plan.json")
        for model in args.models:
            for devices in machines:
                for policy in args.policy or ["pipeline", "tensor", "branch"]:
                    run([args.cleave, "plan", model, "--devices", args.plan_for or devices, "--policy", policy,
                         "--allow-idle", "--plan-out", plan, "-q"])
                    rates, times = compare(args, model, devices, plan)
                    print(f"{os.path.basename(model)[:-5]:<14} {devices:<26} {policy:<9}"
                          f" {rates['static']:>10.1f} {rates['dynamic']:>10.1f}"
                          f" {rates['dynamic'] / rates['static']:>6.2f}"
                          f" {times['static']:>9.3f} {times['dynamic']:>9.3f}"
                          f" {times['static'] / times['dynamic']:>6.2f}", flush=True)


if __name__ == "__main__":
    main()
