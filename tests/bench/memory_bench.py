"""Peak memory of runs against the sum of weights and live tensors.

    tests/bench/memory_bench.py [--cleave build/cleave] [--devices cpu] MODEL.onnx ...

For each model, run three times with random inputs:

needed     weights, and the most bytes of other tensors that are live at once: no plan needs less
held       what cleave allocated on the unit (arena, weights, error words), and its quotient to `needed`
process    peak resident memory of the process less that of the same command on the smallest model that
           is given first, `--empty`, by default the shipped one on 8 x 8: program, driver, compiler;
           and its quotient to `needed`
inspect    of the file: seconds, peak resident memory, and its quotient to the weights; the file is in
           the page cache

Needs Python alone.
"""

import argparse
import json
import os
import subprocess
import sys
import time


def run(command):
    """Standard output, seconds, and the peak resident bytes of one process."""
    begin = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    text = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"memory_bench: {' '.join(command)} gave {child.returncode}")
    return text, time.perf_counter() - begin, usage.ru_maxrss * 1024


def bench(args, model, *flags):
    command = [args.cleave, "bench", model, "--devices", args.devices, "--requests", "3", "--json"]
    report = json.loads(run(command + list(flags))[0])
    unit = report["units"][0]
    needed = unit["weight_bytes"] + unit["live_bytes"]
    return needed, report["memory_bytes"][unit["name"]], report["process_peak_bytes"]


def mb(count):
    return f"{count / 1e6:8.1f} MB"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cleave", default="build/cleave")
    parser.add_argument("--devices", default="cpu")
    parser.add_argument("models", nargs="+", metavar="MODEL.onnx")
    args = parser.parse_args()
    shipped = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../models/espcn_x3.onnx")
    _, _, base = bench(args, shipped, "--shape", "input=1x3x8x8")
    print(f"program, driver and kernels: {mb(base)} resident")
    for model in args.models:
        flags = ["--shape", "input=1x3x224x224"] if os.path.samefile(model, shipped) else []
        needed, held, peak = bench(args, model, *flags)
        run([args.cleave, "inspect", model, "--json"])
        text, seconds, inspected = run([args.cleave, "inspect", model, "--json"])
        weights = json.loads(text)["parameter_bytes"]
        print(
            f"{os.path.basename(model):<24} needed {mb(needed)}  held {mb(held)} "
            f"({held / needed:.3f})  process {mb(peak - base)} ({(peak - base) / needed:.3f})  "
            f"inspect {seconds:.3f} s, {mb(inspected)} ({inspected / weights:.2f} of the weights)"
        )


if __name__ == "__main__":
    main()
