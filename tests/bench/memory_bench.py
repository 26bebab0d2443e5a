#!/usr/bin/env python3
"""Peak memory of runs against the sum of weights and live tensors.

    tests/bench/memory_bench.py [--cleave build/cleave] [--devices cpu] [--policy WORD] [--peer PYTHON] MODEL.onnx ...

For each model, run three times with random inputs, its kernels compiled:

needed     weights, and the most bytes of other tensors that are live at once, on each unit: no plan
           needs less
held       what cleave allocated on all units (arena, weights, error words), and its quotient to `needed`
own        the most memory that is no file's (seen every millisecond), less that of the same command on
           the shipped model on 8 x 8; and its quotient to `needed`
process    peak resident memory of the process: program, driver and compiler are in it, of whose code
           cleave drops what is not used before it allocates anything
peer       with --peer: the like of ONNX Runtime, on as many threads as there are processors, in a
           process of Python; and cleave's quotients to both
inspect    of the file: seconds, peak resident memory, and its quotient to the weights; the file is in
           the page cache

Needs Python alone; PYTHON, which may be another, has onnxruntime and numpy.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time


def anonymous_bytes(pid):
    """Resident memory of a process that is no file's; 0 where it has ended."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    return 0


def run(command):
    """Standard output, seconds, peak resident bytes, and the most of them that were no file's."""
    begin = time.perf_counter()
    most = 0
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(command, stdout=output)
        ended = 0
        while ended == 0:
            most = max(most, anonymous_bytes(child.pid))
            time.sleep(0.001)
            ended, status, usage = os.wait4(child.pid, os.WNOHANG)
        seconds = time.perf_counter() - begin
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            sys.exit(f"memory_bench: {' '.join(command)} gave {child.returncode}")
        output.seek(0)
        return output.read(), seconds, usage.ru_maxrss * 1024, most


# Three requests of random inputs; free dimensions of pictures are argv[2], others 1. The
# file is not read a second time to see its inputs, which would take memory of its own.
PEER = """
import os, sys, numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.log_severity_level = 3
options.intra_op_num_threads = os.cpu_count()
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
types = {"tensor(float)": "f4", "tensor(int64)": "i8", "tensor(int32)": "i4", "tensor(bool)": "?"}
inputs = {}
for value in session.get_inputs():
    free = [1, 1, int(sys.argv[2]), int(sys.argv[2])] if len(value.shape) == 4 else [1] * 8
    shape = [dim if isinstance(dim, int) else free[i] for i, dim in enumerate(value.shape)]
    made = numpy.random.random(shape) if value.type == "tensor(float)" else numpy.ones(shape)
    inputs[value.name] = made.astype(types[value.type])
for _ in range(3):
    session.run(None, inputs)
"""


def peer(args, model, side):
    return run([args.peer, "-c", PEER, model, str(side)])[2:]


def bench(args, model, *flags):
    command = [args.cleave, "bench", model, "--devices", args.devices, "--requests", "3", "--json"]
    command += ["--policy", args.policy] if args.policy else []
    run(command + list(flags))  # compiles
    text, _, peak, own = run(command + list(flags))
    report = json.loads(text)
    needed = sum(unit["weight_bytes"] + unit["live_bytes"] for unit in report["units"])
    return needed, sum(report["memory_bytes"].values()), peak, own


def mb(count):
    return f"{count / 1e6:8.1f} MB"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cleave", default="build/cleave")
    parser.add_argument("--devices", default="cpu")
    parser.add_argument("--policy")
    parser.add_argument("--peer", metavar="PYTHON")
    parser.add_argument("models", nargs="+", metavar="MODEL.onnx")
    args = parser.parse_args()
    shipped = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../models/espcn_x3.onnx")
    _, _, base, base_own = bench(args, shipped, "--shape", "input=1x3x8x8")
    print(f"cleave on a tiny model:       process {mb(base)}, of it no file's {mb(base_own)}")
    if args.peer:
        peer_base, peer_base_own = peer(args, shipped, 8)
        print(f"ONNX Runtime on it:           process {mb(peer_base)}, of it no file's {mb(peer_base_own)}")
    for model in args.models:
        is_shipped = os.path.samefile(model, shipped)
        flags = ["--shape", "input=1x3x224x224"] if is_shipped else []
        needed, held, peak, own = bench(args, model, *flags)
        own -= base_own
        run([args.cleave, "inspect", model, "--json"])
        text, seconds, inspected, _ = run([args.cleave, "inspect", model, "--json"])
        weights = json.loads(text)["parameter_bytes"]
        print(
            f"{os.path.basename(model):<24} needed {mb(needed)}  held {mb(held)} "
            f"({held / needed:.3f})  own {mb(own)} ({own / needed:.3f})  process {mb(peak)}  "
            f"inspect {seconds:.3f} s, {mb(inspected)} ({inspected / weights:.2f} of the weights)"
        )
        if args.peer:
            whole, peer_own = peer(args, model, 224 if is_shipped else 1)
            peer_own = max(peer_own - peer_base_own, 1)
            print(
                f"{'':<24} peer: own {mb(peer_own)}  process {mb(whole)}  "
                f"cleave to it: own {own / peer_own:.2f}, process {peak / whole:.2f}"
            )


if __name__ == "__main__":
    main()
