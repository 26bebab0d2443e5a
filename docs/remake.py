#!/usr/bin/env python3
"""Remakes the pictures of docs/timelines.md, the tables of it, of docs/policies.md and docs/roofline.md, and what the
commands in docs print. Standard library only.

    docs/remake.py [--check] [--cleave PROGRAM] [examples|timelines|policies|rooflines ...]   (nothing: the first three)

examples   runs, in a shell, every "$ cleave ..." of docs/*.md under which something stands, and puts what it prints there
timelines  runs every `cleave simulate` in docs/timelines.md; the table tells what each run needs
policies   every policy on three machine files for every network; the models are build/zoo-small/*.onnx, as
           tests/support/zoo.py --size small writes them
rooflines  what is measured here and now of build/zoo-full/{resnet50,bert6}.onnx, as zoo.py --size full writes them;
           on a machine with nothing else to do
--check    changes nothing; exit 1 where something would change
"""
import argparse
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
MACHINES = ["two_cores", "cpu_gpu", "eight_gpus"]
POLICIES = ["single", "serial", "branch", "tensor", "data", "pipeline", "auto"]
NETWORKS = ["bert6", "espcn", "inception", "mobilenetv2", "resnet50", "resnet50_b8", "squeezenet", "vgg16"]
SHIPPED = ["models/espcn_x3.onnx", "--dim", "H=96", "--dim", "W=96"]
EXAMPLE = re.compile(r"^(    \$ (cleave .*)\n)(?:    [^$\n].*\n)+", re.MULTILINE)
TABLE = re.compile(r"(?<=<!-- table -->\n).*?(?=<!-- end of table -->)", re.DOTALL)


class Remaker:
    def __init__(self, cleave, check):
        self.cleave, self.check, self.num_different = cleave, check, 0

    def run(self, *words):
        """What a command reports, run from the root."""
        done = subprocess.run([self.cleave, *words, "--json"], cwd=ROOT, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"cleave {shlex.join(words)}: exit {done.returncode}\n{done.stderr}")
        return json.loads(done.stdout)

    def keep(self, path, text):
        path = ROOT / path
        if path.exists() and path.read_text() == text:
            return
        self.num_different += 1
        if self.check:
            print(f"{path} is not what docs/remake.py makes", file=sys.stderr)
        else:
            path.write_text(text)
            print(f"{path} is new")

    def keep_table(self, path, rows):
        text = (ROOT / path).read_text()
        self.keep(path, TABLE.sub(lambda _: "".join(row + "\n" for row in rows), text))

    def examples(self):
        for page in sorted((ROOT / "docs").glob("*.md")):
            self.keep(page.relative_to(ROOT), EXAMPLE.sub(self.example, page.read_text()))

    def example(self, found):
        script = f'cleave() {{ "$CLEAVE_PROGRAM" "$@"; }}\n{found[2]}'
        program = str(pathlib.Path(self.cleave).resolve())
        done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True,
                              env={**os.environ, "CLEAVE_PROGRAM": program})
        if done.returncode != 0:
            sys.exit(f"{found[2]}: exit {done.returncode}\n{done.stderr}")
        return found[1] + "".join(f"    {line}".rstrip() + "\n" for line in done.stdout.splitlines())

    def timelines(self):
        page = (ROOT / "docs/timelines.md").read_text().replace("\\\n", " ")
        rows = ["| timeline | units | buffers | bytes in them | period | requests a second | latency | all requests | "
                "units busy |", "|---|---|---|---|---|---|---|---|---|"]
        with tempfile.TemporaryDirectory() as folder:
            for words in map(shlex.split, re.findall(r"^    cleave (simulate .*)$", page, re.MULTILINE)):
                at = words.index("--timeline") + 1
                target, words[at] = words[at], f"{folder}/picture.svg"
                report = self.run(*words)
                self.keep(target, pathlib.Path(words[at]).read_text())
                name = pathlib.Path(target).stem.removeprefix("timeline-").replace("-", " ")
                rows.append(self.needs(name, report))
        self.keep_table("docs/timelines.md", rows)

    @staticmethod
    def needs(name, report):
        busy = sum(unit["busy"] for unit in report["units"]) / report["units_used"]
        return (f"| {name} | {report['units_used']} | {report['buffers']} | {report['buffer_bytes'] / 1024:.0f} KiB | "
                f"{report['period_us']:g} µs | {report['throughput_per_s']:.0f} | {report['latency_us']:g} µs | "
                f"{report['makespan_us']:g} µs | {busy:.0%} |")

    def policies(self):
        rows = []
        for model in [SHIPPED, *([f"build/zoo-small/{name}.onnx"] for name in NETWORKS)]:
            rows += ["", f"### {pathlib.Path(model[0]).stem}", "",
                     "| machine | policy | plan | requests a second | latency | above the bound | gain |",
                     "|---|---|---|---|---|---|---|"]
            for machine in MACHINES:
                for policy in POLICIES:
                    words = [*model, "--machine", f"tests/data/machines/{machine}.json", "--policy", policy]
                    plan, run = self.run("plan", *words), self.run("simulate", *words, "--requests", "64")
                    rate, latency = run["throughput_per_s"], run["latency_us"]
                    shown = f"{latency:.3g} µs" if latency < 999.5 else f"{latency / 1e3:.3g} ms"
                    rows.append(f"| {machine if policy == POLICIES[0] else ''} | {policy} | {plan['policy']} | "
                                f"{rate:.{1 if rate < 999.5 else 0}f} | {shown} | {run['distance']:.1%} | "
                                f"{plan['gain']:.2f} |")
        self.keep_table("docs/policies.md", rows)

    def rooflines(self):
        rows = []
        for name in ["resnet50", "bert6"]:
            report = self.run("roofline", f"build/zoo-full/{name}.onnx", "--devices", "cpu", "--requests", "30")
            unit = report["units"][0]
            rows += ["", f"**{name}** on {unit['lanes']} cores: {unit['peak_gflops']:.0f} GFLOP/s, "
                     f"{unit['levels_gbs']['L3']:.0f} GB/s from L3, {unit['levels_gbs']['memory']:.0f} from memory", "",
                     "| operators | kernel | MFLOP | MB, of them weights | time | multiply-adds alone | bytes alone | "
                     "share of ceiling | below 80% for |", "|---|---|---|---|---|---|---|---|---|"]
            alike = {}
            for op in report["ops"]:
                if op["op"] in ("Conv", "ConvTranspose", "MatMul", "Gemm") and op["flops"] >= 1e8:
                    key = op["op"], op["variant"], op["flops"], op["bytes"], op["weight_bytes"]
                    alike.setdefault(key, []).append(op)
            rows += [self.roof(unit, ops) for ops in alike.values()]
        self.keep_table("docs/roofline.md", rows)

    @staticmethod
    def roof(unit, ops):
        """Of operators that are alike. Activations come from L3, weights from memory."""
        op, count = ops[0], len(ops)
        time_us = sum(each["time_us"] for each in ops) / count
        share = sum(each["of_ceiling"] for each in ops) / count
        work_us = op["flops"] / unit["peak_gflops"] * 1e-3
        weights_us = op["weight_bytes"] / unit["levels_gbs"]["memory"] * 1e-3
        others_us = (op["bytes"] - op["weight_bytes"]) / unit["levels_gbs"]["L3"] * 1e-3
        move_us = weights_us + others_us
        why = ""
        if share < 0.8:
            larger = "weights" if weights_us > others_us else "activations"
            why = f"{larger}: bytes and multiply-adds one after the other are {(work_us + move_us) / time_us:.0%} of the time"
        return (f"| {op['node']}{f' and {count - 1} more' if count > 1 else ''} | {op['op']} {op['variant']} | "
                f"{op['flops'] / 1e6:.0f} | {op['bytes'] / 1e6:.1f}, {op['weight_bytes'] / 1e6:.1f} | {time_us:.0f} µs | "
                f"{work_us:.0f} µs | {move_us:.0f} µs | {share:.0%} | {why} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--cleave", default=str(ROOT / "build/cleave"))
    parser.add_argument("parts", nargs="*", choices=["examples", "timelines", "policies", "rooflines", []])
    args = parser.parse_args()
    remaker = Remaker(args.cleave, args.check)
    for part in args.parts or ["examples", "timelines", "policies"]:
        getattr(remaker, part)()
    return remaker.check and remaker.num_different > 0


if __name__ == "__main__":
    sys.exit(main())
