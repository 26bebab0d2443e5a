#!/usr/bin/env python3
"""Remakes host/tune/shipped.def: what kernels take on CPUs of this machine's class. Standard library only.

    tests/bench/tuned_table.py [--cleave PROGRAM] [--budget SECONDS] [--cache FOLDER] MODEL.onnx ...

Every model is tuned on all cores with a cache folder of its own, so that nothing measured before plays a part; on a
machine with nothing else to do, a minute or two for each. What is there of another class of CPU stays, what is there
of this class goes. --cache keeps what was measured, for another go at the same kernels.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TABLE = ROOT / "host/tune/shipped.def"
HEAD = """/* COST(key, time_us): what one way to run a call takes on two cores of a class of CPU (host/tune/shipped.h), by
 * rising keys; tests/bench/tuned_table.py writes it. Comments name class, call and way. */
"""
LINE = re.compile(r"^COST\((0x[0-9a-f]+), [0-9.e+]+\) /\* ([^:]+): ")


def tune(cleave, model, budget, cache):
    environment = {**os.environ, "CLEAVE_CACHE_DIR": cache}
    done = subprocess.run([cleave, "tune", model, "--devices", "cpu", "--budget", str(budget), "--json"],
                          capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        sys.exit(f"{model}: exit {done.returncode}\n{done.stderr}")
    unit = json.loads(done.stdout)["units"][0]
    print(f"{model}: {unit['before_ms']:.2f} ms, {unit['after_ms']:.2f} ms tuned; {unit['left_over']} left over",
          file=sys.stderr)
    return unit


def ways_of(call):
    """Every variant with its first tunables, and the fastest of all. Ways that launch the same share a key. None where
    there is nothing to choose."""
    ways = {}
    variants = set()
    for way in call["ways"]:
        way["is_first"] = way["variant"] not in variants
        variants.add(way["variant"])
        if "key" in way:
            ways.setdefault(way["key"], way)
    least = min((way["time_us"] for way in ways.values()), default=0)
    kept = [way for way in ways.values() if way["is_first"] or way["time_us"] == least]
    return kept if len(ways) > 1 else []


def lines_of(unit):
    lines = {}
    for call in unit["calls"]:
        for way in ways_of(call):
            tunables = "".join(f" {name}={value}" for name, value in way.get("tunables", {}).items())
            text = f"{unit['class']}: {call['op']} {' '.join(call['shapes'])}: {way['variant']}{tunables}"
            lines[int(way["key"], 16)] = f"COST({way['key']}, {way['time_us']:.4g}) /* {text} */\n"
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cleave", default=ROOT / "build/cleave")
    parser.add_argument("--budget", type=float, default=120)
    parser.add_argument("--cache")
    parser.add_argument("models", nargs="+", metavar="MODEL.onnx")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        units = [tune(options.cleave, model, options.budget, options.cache or folder) for model in options.models]
    classes = {unit.get("class") for unit in units}
    if None in classes:
        sys.exit("CPUs like this one have no class: see host/tune/shipped.c")
    lines = {}
    for line in TABLE.read_text().splitlines(keepends=True):
        match = LINE.match(line)
        if match and match[2] not in classes:
            lines[int(match[1], 16)] = line
    for unit in units:
        lines.update(lines_of(unit))
    TABLE.write_text(HEAD + "".join(lines[key] for key in sorted(lines)))
    print(f"{TABLE}: {len(lines)} costs")


if __name__ == "__main__":
    main()
