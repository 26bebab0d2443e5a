#!/usr/bin/env python3
"""cleave beside the engines that people run on CPUs: ONNX Runtime and OpenVINO, float32, all cores.

    tests/bench/versus.py [--throughput] [--rounds R] [--seconds S] [--engines cleave,ort,ov]
                          [--cleave build/cleave] [--devices LIST] [--policy NAME]
                          [--json FILE] MODEL.onnx ...

Engines take turns, R rounds of S seconds, each time in a process of its own, on random inputs.
Printed for each model: the median over rounds of what each engine gave, the least and the most of
the rounds, and ratios to cleave: above 1, cleave is faster. The last row has geometric means.

latency (default)  one request at a time on all cores, ms: the median of each round's requests
--throughput       several requests in flight, requests/s while as many are as may be: cleave by
                   --policy (auto) on the cores, ONNX Runtime a session of one thread for each
                   core, OpenVINO its THROUGHPUT hint

--json FILE: results are added to those of FILE, and the table is of all that is in it; so a long
comparison can be made in pieces. Without MODEL, it is only printed.

Needs the packages onnx and numpy, and those of the engines, onnxruntime and openvino; what is not
installed is left out.
"""

import argparse
import importlib.util
import json
import math
import os
import statistics
import subprocess
import sys
import threading
import time

NAMES = {"cleave": "cleave", "ort": "ONNX Runtime", "ov": "OpenVINO"}
PACKAGES = {"ort": "onnxruntime", "ov": "openvino"}


def random_inputs(path):
    """Normally distributed floats; zeros and ones where inputs are integers. Free dimensions: 1."""
    import numpy
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    constants = {tensor.name for tensor in graph.initializer}
    rng = numpy.random.default_rng(0)
    inputs = {}
    for value in graph.input:
        if value.name in constants:
            continue
        tensor = value.type.tensor_type
        shape = [max(dim.dim_value, 1) for dim in tensor.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        is_float = numpy.issubdtype(dtype, numpy.floating)
        made = rng.standard_normal(shape) if is_float else rng.integers(0, 2, shape)
        inputs[value.name] = made.astype(dtype)
    return inputs


def ort_session(path, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def ov_compiled(path, hint, threads):
    import openvino

    settings = {"PERFORMANCE_HINT": hint, "INFERENCE_PRECISION_HINT": "f32"}
    settings["INFERENCE_NUM_THREADS"] = threads
    return openvino.Core().compile_model(path, "CPU", settings)


def latency(engine, path, seconds):
    inputs = random_inputs(path)
    if engine == "ort":
        session = ort_session(path, os.cpu_count())

        def run():
            session.run(None, inputs)
    else:
        compiled = ov_compiled(path, "LATENCY", os.cpu_count())
        request = compiled.create_infer_request()
        feeds = {port: inputs[port.any_name] for port in compiled.inputs}

        def run():
            request.infer(feeds, share_inputs=True, share_outputs=True)

    for _ in range(3):
        run()
    times = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 5:
        begin = time.perf_counter()
        run()
        times.append((time.perf_counter() - begin) * 1e3)
    return statistics.median(times)


def steady_rate(spans, depth):
    """Requests a second out of (start, end), as `cleave bench` says `steady_per_s`: host/cli/rate.c."""
    spans = sorted(spans, key=lambda span: span[1])
    ends = [end for _, end in spans]
    length = max(len(ends) // 20, 4 * depth)
    stretches = (len(ends) - 1) // length
    if stretches >= 5:
        return length / statistics.median(ends[(i + 1) * length] - ends[i * length] for i in range(stretches))
    until = ends[max(len(ends) - depth, 0)]
    has_enough = depth > 1 and len(ends) >= 3 * depth
    begin = ends[depth - 1] if has_enough else min(start for start, _ in spans)
    done = sum(max(min(end, until) - max(start, begin), 0) / (end - start) for start, end in spans)
    return done / (until - begin)


def ort_throughput(path, inputs, seconds):
    sessions = [ort_session(path, 1) for _ in range(os.cpu_count())]
    for session in sessions:
        session.run(None, inputs)
    spans = []
    begin = time.perf_counter()

    def work(session):
        now = time.perf_counter()
        while now < begin + seconds:
            start = now
            session.run(None, inputs)
            now = time.perf_counter()
            spans.append((start, now))

    threads = [threading.Thread(target=work, args=(session,)) for session in sessions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return steady_rate(spans, len(sessions))


def throughput(engine, path, seconds):
    inputs = random_inputs(path)
    if engine == "ort":
        return ort_throughput(path, inputs, seconds)
    import openvino

    queue = openvino.AsyncInferQueue(ov_compiled(path, "THROUGHPUT", os.cpu_count()))
    for _ in range(2 * os.cpu_count()):
        queue.start_async(inputs)
    queue.wait_all()
    starts, spans = {}, []
    queue.set_callback(lambda _, index: spans.append((starts[index], time.perf_counter())))
    begin = time.perf_counter()
    while time.perf_counter() < begin + seconds:
        queue.get_idle_request_id()  # waits for one
        starts[len(starts)] = time.perf_counter()
        queue.start_async(inputs, len(starts) - 1)
    queue.wait_all()
    return steady_rate(spans, len(queue))


def mode_of(args):
    return "throughput" if args.throughput else "latency"


def free_dimensions(path):
    """Names of those of inputs: what random_inputs() makes 1 has to be said to cleave."""
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value.type.tensor_type for value in graph.input if value.name not in constants]
    return sorted({dim.dim_param for tensor in inputs for dim in tensor.shape.dim if dim.dim_param})


def cleave_command(args, path):
    command = [args.cleave, "bench", path, "--json", "--seconds", str(args.seconds)]
    for name in free_dimensions(path):
        command += ["--dim", f"{name}=1"]
    if args.throughput:
        cores = ",".join(f"core:{i}" for i in range(os.cpu_count()))
        command += ["--policy", args.policy or "auto", "--objective", "throughput"]
        return command + ["--devices", args.devices or cores]
    if args.policy:
        command += ["--policy", args.policy]
    return command + ["--devices", args.devices or "cpu"]


def measure(args, engine, path):
    """One figure of one process; None, and a word on stderr, where it failed."""
    if engine == "cleave":
        command = cleave_command(args, path)
    else:
        command = [sys.executable, os.path.abspath(__file__), "--child", mode_of(args), engine]
        command += ["--seconds", str(args.seconds), path]
    done = subprocess.run(command, capture_output=True, text=True)
    try:
        if done.returncode != 0:
            raise ValueError(f"exit status {done.returncode}")
        if engine != "cleave":
            return float(done.stdout.split()[-1])
        report = json.loads(done.stdout)
        return report["steady_per_s"] if args.throughput else report["latency_ms"]["median"]
    except (ValueError, KeyError, IndexError) as error:
        print(f"versus: {path}, {engine}: {error}: {done.stderr[-300:]}", file=sys.stderr)
        return None


def cell(rounds):
    if not rounds:
        return "-"
    middle = statistics.median(rounds)
    digits = 2 if middle < 100 else 1
    return f"{middle:.{digits}f} ({min(rounds):.{digits}f}-{max(rounds):.{digits}f})"


def print_table(results, engines, is_throughput):
    """results: model -> engine -> figures of the rounds."""
    peers = [engine for engine in engines if engine != "cleave"]
    unit = "requests/s" if is_throughput else "ms"
    heads = ["model"] + [f"{NAMES[engine]}, {unit}" for engine in engines]
    quotient = "cleave / {}" if is_throughput else "{} / cleave"
    heads += [quotient.format(NAMES[peer]) for peer in peers]
    print("| " + " | ".join(heads) + " |")
    print("|---|" + "--:|" * (len(heads) - 1))
    logs = {peer: [] for peer in peers}
    for model, row in results.items():
        cells = [model] + [cell(row.get(engine)) for engine in engines]
        for peer in peers:
            if not row.get("cleave") or not row.get(peer):
                cells.append("-")
                continue
            ratio = statistics.median(row[peer]) / statistics.median(row["cleave"])
            ratio = 1 / ratio if is_throughput else ratio
            logs[peer].append(math.log(ratio))
            cells.append(f"{ratio:.2f}")
        print("| " + " | ".join(cells) + " |")
    means = [f"{math.exp(statistics.mean(v)):.2f}" if v else "-" for v in logs.values()]
    print("| geometric mean | " + " | ".join([""] * len(engines) + means) + " |")


def versions(engines):
    from importlib import metadata

    peers = [PACKAGES[engine] for engine in engines if engine in PACKAGES]
    return ", ".join(f"{name} {metadata.version(name)}" for name in peers)


def compare(args, engines, saved):
    """Adds to `saved`, as it is in the file: mode -> model -> engine -> figures of the rounds."""
    results = saved.setdefault(mode_of(args), {})
    for path in args.models:
        row = {engine: [] for engine in engines}
        for _ in range(args.rounds):
            for engine in engines:
                figure = measure(args, engine, path)
                if figure is not None:
                    row[engine].append(figure)
        old = results.setdefault(os.path.splitext(os.path.basename(path))[0], {})
        for engine, rounds in row.items():
            old[engine] = old.get(engine, []) + rounds
        if args.json:
            with open(args.json, "w") as file:
                json.dump(saved, file, indent=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cleave", default="build/cleave")
    parser.add_argument("--devices")
    parser.add_argument("--policy")
    parser.add_argument("--engines", default="cleave,ort,ov")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--throughput", action="store_true")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("models", nargs="*", metavar="MODEL.onnx")
    args = parser.parse_args()
    if args.child:
        mode, engine = args.child
        run = throughput if mode == "throughput" else latency
        print(run(engine, args.models[0], args.seconds))
        return
    engines = []
    for engine in args.engines.split(","):
        if engine not in NAMES:
            parser.error(f"no engine '{engine}'; there are {', '.join(NAMES)}")
        if engine in PACKAGES and importlib.util.find_spec(PACKAGES[engine]) is None:
            print(f"versus: {PACKAGES[engine]} is not installed: left out", file=sys.stderr)
        else:
            engines.append(engine)
    saved = {}
    if args.json and os.path.exists(args.json):
        with open(args.json) as file:
            saved = json.load(file)
    compare(args, engines, saved)
    print_table(saved[mode_of(args)], engines, args.throughput)
    if versions(engines):
        print(f"\n{os.cpu_count()} cores, {versions(engines)}")


if __name__ == "__main__":
    main()
