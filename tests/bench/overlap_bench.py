#!/usr/bin/env python3
"""How much of the transfers to and from a device with queues its kernels hide.

    tests/bench/overlap_bench.py [--cleave build/cleave] [--seconds 0.5] [--units cl:0.0,cl:1.2]
                                 [--links 400M,2G] [--markdown] MODEL.onnx ...

The whole model runs on the device, with as many requests in flight as the plan chooses; what comes in and goes
out crosses a link of the declared bandwidth. From the trace, which has the events' own times of kernels, and of
transfers the times that the link was declared to take: for each direction the time of transfers, the part of it
with a kernel at work, and that as a share of what could be hidden (the lesser of transfers and kernels). The first
request's inputs and the last one's outputs have nothing to hide behind, so transfers of these two are left out.
Needs Python alone, and a machine with nothing else to do, or real-time priority.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile


def union(spans):
    out = []
    for begin, end in sorted(spans):
        if out and begin <= out[-1][1]:
            out[-1][1] = max(out[-1][1], end)
        else:
            out.append([begin, end])
    return out


def total(spans):
    return sum(end - begin for begin, end in spans)


def both(left, right):
    """Time in both of two lists of spans that do not overlap in themselves."""
    time = i = k = 0
    while i < len(left) and k < len(right):
        begin, end = max(left[i][0], right[k][0]), min(left[i][1], right[k][1])
        time += max(end - begin, 0)
        if left[i][1] < right[k][1]:
            i += 1
        else:
            k += 1
    return time


def measured_rows(path):
    """Spans by row, in microseconds, of what was measured."""
    with open(path, encoding="utf-8") as file:
        events = json.load(file)["traceEvents"]
    processes = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    rows = {}
    spans = [e for e in events if e["ph"] == "X" and processes[e["pid"]].endswith("measured")]
    last = max(e["args"]["request"] for e in spans)
    for e in spans:
        if e["cat"] != "transfer" or 0 < e["args"]["request"] < last:
            rows.setdefault(names[e["pid"], e["tid"]], []).append((e["ts"], e["ts"] + e["dur"]))
    return {name: union(row) for name, row in rows.items()}


def bench(args, folder, model, unit, link):
    trace = os.path.join(folder, "trace.json")
    command = [args.cleave, "bench", model, "--devices", f"core:0,{unit}{{link={link},latency=20us}}", "--pin",
               f".*={unit}", "--policy", "pipeline", "--allow-idle", "--seconds", str(args.seconds), "--trace", trace,
               "--json", "-q"]
    env = dict(os.environ, CLEAVE_CACHE_DIR=os.path.join(folder, "cache"), CLEAVE_NO_CACHE="0",
               CLEAVE_NO_CALIBRATE="0")
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"{model} on {unit}: {done.stderr.strip()}", file=sys.stderr)
        return None
    return json.loads(done.stdout), measured_rows(trace)


def measure(args, folder):
    form = "{:<14} {:<8} {:>6} {:>5} {:>9} {:>9} {:>16} {:>16}"
    if args.markdown:
        form = "| {} | {} | {} | {} | {} | {} | {} | {} |"
    print(form.format("model", "unit", "link", "depth", "measured", "predicted", "in, ms: hidden", "out, ms: hidden"))
    if args.markdown:
        print("|---|---|---|---|---|---|---|---|")
    for model in args.models:
        for unit in args.units.split(","):
            for link in args.links.split(","):
                result = bench(args, folder, model, unit, link)
                if result is None:
                    continue
                report, rows = result
                kernels, cells = rows[unit], []
                for name in f"host > {unit}", f"{unit} > host":
                    moves = rows.get(name, [])
                    most = min(total(moves), total(kernels))
                    share = 100 * both(moves, kernels) / most if most > 0 else 100
                    cells.append(f"{total(moves) / 1e3:.1f}: {share:.0f} %")
                print(form.format(os.path.basename(model).removesuffix(".onnx"), unit, link, report["depth"],
                                  f"{report['steady_per_s']:.1f}", f"{report['predicted_throughput_per_s']:.1f}",
                                  *cells), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cleave", default="build/cleave")
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--units", default="cl:0.0,cl:1.2")
    parser.add_argument("--links", default="400M,2G")
    parser.add_argument("--markdown", action="store_true", help="print a table of it")
    parser.add_argument("--cache", metavar="FOLDER", help="keeps what was measured and compiled")
    parser.add_argument("models", nargs="+", metavar="MODEL.onnx")
    args = parser.parse_args()
    if args.cache is not None:
        measure(args, args.cache)
    else:
        with tempfile.TemporaryDirectory() as folder:
            measure(args, folder)


if __name__ == "__main__":
    main()
