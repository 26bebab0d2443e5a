#!/usr/bin/env python3
"""Compares cleave with ONNX Runtime: same model, same inputs, every output.

    compare_ort.py --cleave BINARY [--devices LIST] [--rtol R] [--exact] [--size small|full] [--families] [NETWORK | FILE.onnx ...]

Networks are those of tests/support/zoo.py (all of them unless some are named) and the shipped model, or, with --families, those of
tests/support/families.py. An output is equal
where the largest absolute difference is under R (default 1e-4) of the largest magnitude of ONNX Runtime's output.
Prints a line for each and closes with a line that counts; exit status 1 where one differs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
import families  # noqa: E402
import zoo  # noqa: E402

SHIPPED = os.path.join(ROOT, "models", "espcn_x3.onnx")


def make_inputs(path, free):
    """Seeded inputs; integers and booleans 0 or 1; free dimensions get the size `free`."""
    rng = np.random.default_rng(0)
    model = onnx.load(path, load_external_data=False)
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = {}
    for value in model.graph.input:
        if value.name in constants:
            continue
        tensor = value.type.tensor_type
        shape = [dim.dim_value if dim.dim_value > 0 else free for dim in tensor.shape.dim]
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
        if dtype.kind == "f":
            inputs[value.name] = rng.standard_normal(shape).astype(dtype)
        else:
            inputs[value.name] = rng.integers(0, 2, shape).astype(dtype)
    if path == SHIPPED:  # a picture
        inputs = {name: np.abs(value) % 1.0 for name, value in inputs.items()}
    return inputs


def run_ort(path, inputs):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs)))


# Distinct compiled kernels of a network: PoCL slows down beyond 128 in a process.
MOST_KERNELS = 64


def run_cleave(args, path, inputs, names, folder):
    command = [args.cleave, "run", path, "--devices", args.devices, "--json"]
    command += ["--exact"] if args.exact else []
    for index, (name, value) in enumerate(inputs.items()):
        file = os.path.join(folder, f"in{index}.npy")
        np.save(file, value)
        command += ["--input", f"{name}={file}"]
    files = {name: os.path.join(folder, f"out{i}.npy") for i, name in enumerate(names)}
    for name, file in files.items():
        command += ["--output", f"{name}={file}"]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise RuntimeError(f"exit {done.returncode}: {done.stderr.strip()}")
    report = json.loads(done.stdout)
    if not 0 < report["kernels"] < MOST_KERNELS:
        raise RuntimeError(f"{report['kernels']} distinct kernels, allowed are {MOST_KERNELS}")
    return {name: np.load(file) for name, file in files.items()}, report


def difference(got, want):
    """Largest absolute difference over the largest magnitude; infinite where it makes no sense."""
    if got.shape != want.shape or got.dtype != want.dtype:
        return float("inf")
    if got.dtype.kind != "f":
        return 0.0 if np.array_equal(got, want) else float("inf")
    if not np.array_equal(np.isnan(got), np.isnan(want)):
        return float("inf")
    largest = float(np.max(np.abs(want), initial=0.0))
    error = float(np.nanmax(np.abs(got.astype(np.float64) - want), initial=0.0))
    return error / largest if largest > 0 else error


def compare(args, path):
    inputs = make_inputs(path, args.free)
    wanted = run_ort(path, inputs)
    with tempfile.TemporaryDirectory() as folder:
        got, report = run_cleave(args, path, inputs, wanted, folder)
    worst = max(difference(got[name], wanted[name]) for name in wanted)
    return worst, report["wall_ms"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cleave", required=True)
    parser.add_argument("--devices", default="cpu")
    parser.add_argument("--rtol", type=float, default=1e-4)
    parser.add_argument("--exact", action="store_true", help="as cleave's flag")
    parser.add_argument("--size", default="small")
    parser.add_argument("--families", action="store_true", help="networks of families.py")
    parser.add_argument("--free", type=int, default=48, help="size of free dimensions")
    parser.add_argument("models", nargs="*")
    args = parser.parse_args()
    num_passed = num_failed = 0
    with tempfile.TemporaryDirectory() as folder:
        everything = [*families.FAMILIES] if args.families else [*zoo.ZOO, SHIPPED]
        for name in args.models or everything:
            path = name
            if args.families:
                path = os.path.join(folder, name + ".onnx")
                families.FAMILIES[name]().save(path)
            elif not name.endswith(".onnx"):
                path = os.path.join(folder, name + ".onnx")
                build, full, small = zoo.ZOO[name]
                build(small if args.size == "small" else full).save(path)
            try:
                worst, wall_ms = compare(args, path)
                is_good = worst < args.rtol
                text = f"differs by {worst:.2e} of the largest magnitude, {wall_ms:.1f} ms"
            except (RuntimeError, OSError) as error:
                is_good, text = False, str(error)
            label = os.path.basename(path)
            print(f"{'ok    ' if is_good else 'FAILED'} {label:<20} {args.devices:<8} {text}", flush=True)
            num_passed += is_good
            num_failed += not is_good
    print(f"{num_passed} passed, {num_failed} failed")
    return 1 if num_failed or not num_passed else 0


if __name__ == "__main__":
    sys.exit(main())
