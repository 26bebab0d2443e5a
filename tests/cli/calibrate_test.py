#!/usr/bin/env python3
"""Measured costs: when plans measure, when they do not, and what they say of it.

    calibrate_test.py BINARY DATA [PATTERN]     as cli_test.py
"""

import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import cli_test
from cli_test import BINARY, NUMBER, TESTS, Folder, error, has, run, run_json
from plan_test import near

TESTS.clear()
test = cli_test.test

ESPCN = os.path.join(cli_test.DATA, "..", "..", "models", "espcn_x3.onnx")
UNITS = ["--devices", "core:0,core:1"]
SHAPE = ["--shape", "input=1x3x24x32"]
ARGS = [ESPCN, *SHAPE, *UNITS]


# Compiled kernels are the same for all tests; what was measured is in a folder of each one's own.
KERNELS = tempfile.mkdtemp(prefix="cleave-calibrate-")
atexit.register(shutil.rmtree, KERNELS, ignore_errors=True)


def env_at(folder, **more):
    if not os.path.exists(folder) and os.path.isdir(os.path.dirname(folder)):
        os.mkdir(folder)
        os.symlink(KERNELS, os.path.join(folder, "kernels"))
    return env_of(folder, **more)


def env_of(folder, **more):
    return {"CLEAVE_CACHE_DIR": folder, "CLEAVE_NO_CALIBRATE": "0", "CLEAVE_NO_CACHE": "0", "CLEAVE_CORES": "2",
            **more}


def plan(folder, *args, **env):
    return run_json("plan", *ARGS, *args, env=env_at(folder, **env))


def origins(report):
    return {op["origin"] for op in report["ops"] if op["op"] == "Conv"}


def costs(report):
    return {op["node"]: op["cost_us"] for op in report["ops"]}


def settled(folder, *args):
    """A plan that asks for nothing new. On a busy machine not all is measured at once, and what cores take beside each
    other is measured anew at another rate between them, which that or a virtual machine may have from one plan to the
    next."""
    for _ in range(6):
        report = plan(folder, *args)
        if report["calibration"]["measured"] == 0:
            return report
    raise AssertionError(f"{args}: something is measured in every plan")


@test
def the_second_plan_measures_nothing():
    with Folder() as at:
        first = plan(at("cache"), "--policy", "pipeline")
        has(first["calibration"], steps=int, known=int, measured=int, time_ms=NUMBER)
        assert first["calibration"]["measured"] == first["calibration"]["steps"] > 0
        assert first["calibration"]["known"] == 0 and origins(first) == {"measured"}
        second = settled(at("cache"), "--policy", "pipeline")
        assert second["calibration"]["known"] == second["calibration"]["steps"] == first["calibration"]["steps"]
        assert costs(second) == costs(first), "what was measured once is not measured again"
        # another policy, another unit of the same sort and a limit ask for nothing new
        for args in [["--policy", "data"], ["--devices", "core:1", "--policy", "single"],
                     ["--devices", "core:0,core:1{speed=0.5}", "--policy", "pipeline"]]:
            settled(at("cache"), *args)
        # another shape has steps of its own
        other = run_json("plan", ESPCN, "--shape", "input=1x3x24x40", *UNITS, "--policy", "pipeline",
                         env=env_at(at("cache")))
        assert other["calibration"]["measured"] > 0


@test
def operators_that_may_be_cut_are_measured_in_pieces():
    with Folder() as at:
        whole = plan(at("cache"), "--policy", "pipeline")
        first = plan(at("cache"), "--policy", "tensor", "--allow-idle")
        counts = first["calibration"]
        assert counts["steps"] > whole["calibration"]["steps"]
        assert counts["measured"] > 0 and counts["measured"] + counts["known"] == counts["steps"]
        # a plan's file that cuts none, whatever words are in it
        assert plan(at("cache"), "--policy", "pipeline", "--plan-out", at("plan.json"))["ops"]
        with open(at("plan.json")) as file:
            told = json.load(file)
        told["ops"][0]["reason"] = "split"
        with open(at("plan.json"), "w") as file:
            json.dump(told, file)
        assert plan(at("cache"), "--plan", at("plan.json"))["calibration"]["steps"] == whole["calibration"]["steps"]
        for args in [["--policy", "tensor", "--allow-idle"], ["--policy", "auto"], []]:
            settled(at("cache"), *args)
        whole, first = (settled(at("cache"), *args) for args in
                        [["--policy", "pipeline"], ["--policy", "tensor", "--allow-idle"]])
        cut = {op["node"]: op for op in first["ops"] if "split" in op}
        assert all(op["origin"] == "measured" and op["cost_us"] > 0 for op in cut.values())
        # that pays in all; a single one may take longer where its operand lies in pieces anyway
        assert sum(op["cost_us"] for op in cut.values()) <= sum(costs(whole)[node] for node in cut) + 1
        # pieces of unequal sizes, for units of unequal speed, are measured in these sizes
        slowed = ["--devices", "core:0,core:1{speed=0.5}", "--policy", "tensor", "--allow-idle"]
        assert plan(at("cache"), *slowed)["calibration"]["measured"] > 0
        settled(at("cache"), *slowed)


@test
def a_damaged_database_is_measured_again():
    with Folder() as at:
        steps = plan(at("cache"), "--policy", "pipeline")["calibration"]["steps"]
        path = at("cache/costs.bin")
        with open(path, "r+b") as file:  # the third entry is a step's; before it are those of memory
            file.seek(16 + 2 * 48 + 20)
            file.write(b"?")
        mended = plan(at("cache"), "--policy", "pipeline")
        assert mended["calibration"]["measured"] == 1 and mended["calibration"]["known"] == steps - 1
        with open(path, "wb") as file:
            file.write(b"something else")
        assert plan(at("cache"), "--policy", "pipeline")["calibration"]["measured"] == steps
        assert plan(at("cache"), "--policy", "pipeline")["calibration"]["measured"] == 0


@test
def estimates_are_the_same_always():
    with Folder() as at:
        plan(at("cache"), "--policy", "pipeline")
        size = os.path.getsize(at("cache/costs.bin"))
        reports = [plan(at("cache"), "--policy", "pipeline", "--no-calibrate"),
                   plan(at("other"), "--policy", "pipeline", "--no-calibrate"),
                   plan(at("other"), "--policy", "pipeline", CLEAVE_NO_CALIBRATE="1")]
        for report in reports:
            assert "calibration" not in report and origins(report) == {"estimated"}
            assert len(report["ops"]) == len(reports[0]["ops"])
        assert os.path.getsize(at("cache/costs.bin")) == size and not os.path.exists(at("other/costs.bin"))


@test
def limits_are_on_top_of_what_was_measured():
    with Folder() as at:
        fast = plan(at("cache"), "--devices", "core:0", "--policy", "single")
        slow = plan(at("cache"), "--devices", "core:0{speed=0.5}", "--policy", "single")
        a, b = costs(fast), costs(slow)
        conv = max(a, key=a.get)
        assert 1.9 < b[conv] / a[conv] < 2.1, (a[conv], b[conv])


@test
def without_a_cache_folder_costs_are_measured_all_the_same():
    with Folder() as at:
        for _ in range(2):
            report = run_json("plan", *ARGS, "--policy", "pipeline", env=env_of(at("cache"), CLEAVE_NO_CACHE="1"))
            assert report["calibration"]["measured"] == report["calibration"]["steps"] > 0
            assert origins(report) == {"measured"}
        assert not os.path.exists(at("cache"))


@test
def people_are_told():
    with Folder() as at:
        args = ["plan", *ARGS, "--policy", "pipeline"]
        text = run(*args, env=env_at(at("cache")))
        assert "steps are measured, " in text.stdout and " of them now, in " in text.stdout
        assert text.stderr == "", "progress is for terminals"
        text = run(*args, env=env_at(at("cache"))).stdout
        assert "steps are measured\n" in text
        node = next(iter(costs(plan(at("cache"), "--policy", "pipeline"))))
        report = run_json("explain", ESPCN, node, *ARGS[1:], "--policy", "pipeline", env=env_at(at("cache")))
        assert {cost["origin"] for cost in report["costs"]} == {"measured"}


@test
def runs_measure_for_their_plans():
    with Folder() as at:
        args = [*ARGS, "--policy", "pipeline"]
        run("verify", *args, env=env_at(at("cache")))
        assert plan(at("cache"), "--policy", "pipeline")["calibration"]["measured"] == 0
        # no plan is made for one unit
        run("verify", ESPCN, *SHAPE, "--devices", "core:0", env=env_at(at("single")))
        assert not os.path.exists(at("single/costs.bin"))


@test
def bench_has_predictions_beside_what_was_measured():
    with Folder() as at:
        args = ["bench", *ARGS, "--requests", "3"]
        for _ in range(4):  # another rate between the cores may have been found between the two plans
            report = run_json(*args, "--policy", "pipeline", "--per-op", env=env_at(at("cache")))
            planned = plan(at("cache"), "--policy", "pipeline")
            if near(report["predicted_throughput_per_s"], planned["predicted_throughput_per_s"]):
                break
        has(report, predicted_throughput_per_s=NUMBER, predicted_latency_ms=NUMBER, throughput_error=NUMBER)
        is_same = planned["calibration"]["measured"] == 0  # else the machine was too busy to measure all at first
        for name in ["predicted_throughput_per_s", "predicted_latency_ms"]:
            assert not is_same or near(report[name], planned[name]), name
        assert near(report["throughput_error"], report["predicted_throughput_per_s"] / report["throughput_per_s"] - 1)
        assert report["depth"] == 1 or "latency_error" not in report, "requests in flight wait for each other"
        for op in report["ops"]:
            assert not is_same or near(op["predicted_us"], costs(planned)[op["node"]]), op
            if op["time_us"] > 0:
                assert op["origin"] == "measured" and near(op["error"], op["predicted_us"] / op["time_us"] - 1)
        alone = run_json(*args, "--policy", "serial", env=env_at(at("cache")))
        assert near(alone["latency_error"], alone["predicted_latency_ms"] / alone["latency_ms"]["median"] - 1)
        text = run(*args, "--policy", "serial", "--per-op", env=env_at(at("cache"))).stdout
        assert "predicted " in text and "what was measured" in text and " us " in text
        # nothing is planned for one unit, so nothing is predicted
        report = run_json("bench", ESPCN, *SHAPE, "--devices", "core:0", "--requests", "3", env=env_at(at("cache")))
        assert "predicted_latency_ms" not in report and "throughput_error" not in report


@test
def tuning_tries_what_fits_once():
    with Folder() as at:
        args = ["tune", ESPCN, *SHAPE, "--devices", "core:0,core:1"]
        first = run_json(*args, env=env_at(at("cache")))
        assert [unit["name"] for unit in first["units"]] == ["core:0"], "one stands for all that are alike"
        unit = first["units"][0]
        has(unit, rounds=int, measured=int, repeated=int, left_over=int, not_kept=int, before_ms=NUMBER,
            after_ms=NUMBER, changed=list)
        assert unit["rounds"] > 0 and unit["measured"] > 0 and unit["left_over"] == 0
        assert 0 < unit["after_ms"] <= unit["before_ms"] and (unit["changed"] or unit["after_ms"] == unit["before_ms"])
        # what was found is what runs, and what plans go by, without measuring more
        report = run_json("bench", ESPCN, *SHAPE, "--devices", "core:0", "--requests", "1", "--per-op",
                          env=env_at(at("cache")))
        variants = {op["node"]: op.get("variant") for op in report["ops"]}
        for change in unit["changed"]:
            assert variants[change["node"]] == change["to"]["variant"], change
        alone = plan(at("cache"), "--devices", "core:0", "--policy", "single")
        assert alone["calibration"]["measured"] == 0
        run("verify", *ARGS, "--policy", "pipeline", env=env_at(at("cache")))
        # once more: nothing is new, and what is near the fastest is measured again
        again = run_json(*args, env=env_at(at("cache")))["units"][0]
        assert again["rounds"] == 0 and again["measured"] == 0 and again["after_ms"] <= again["before_ms"]
        # explain says what was measured, and what decided
        report = run_json("explain", ESPCN, "conv2", *ARGS[1:], env=env_at(at("cache")))
        timed = [v["variant"] for v in report["variants"] if "time_us" in v]
        chosen = [v for v in report["variants"] if v["chosen"]][0]
        assert len(timed) >= 2 and chosen["variant"] in timed
        assert chosen["origin"] in ("measured", "estimated", "fallback")
        report = run_json("explain", ESPCN, "conv2", *ARGS[1:], "--no-calibrate", env=env_at(at("cache")))
        assert not any("time_us" in v for v in report["variants"])


@test
def tuning_keeps_within_its_budget():
    with Folder() as at:
        args = ["tune", ESPCN, *SHAPE, "--devices", "core:0"]
        unit = run_json(*args, "--budget", "0.000001", env=env_at(at("cache")))["units"][0]
        assert unit["rounds"] == 0 and unit["left_over"] > 0
        text = run(*args, "--budget", "0.000001", env=env_at(at("cache"))).stdout
        assert "have more to try" in text and "core:0: all operators took" in text
        unit = run_json(*args, "--level", "fast", env=env_at(at("cache")))["units"][0]
        assert unit["rounds"] == 1
        unit = run_json(*args, "--level", "exhaustive", env=env_at(at("cache")))["units"][0]
        assert unit["rounds"] > 0 and unit["left_over"] == 0
        error(*args, "--budget", "0", code=2, says=["--budget", "'0'", "more than 0"])
        error(*args, "--level", "slow", code=2, says=["'slow'", "fast, normal or exhaustive"])


@test
def an_interrupt_ends_it():
    with Folder() as at:
        process = subprocess.Popen(
            [BINARY, "plan", ESPCN, *UNITS, "--policy", "pipeline", "--shape", "input=1x3x2000x2000"],
            env=dict(os.environ, **env_of(at("cache"))), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while not os.path.exists(at("cache/kernels")) and process.poll() is None:
            time.sleep(0.01)  # until it builds what it will measure
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=300)
        assert process.returncode != 0 and "interrupted" in stderr, (process.returncode, stderr)


if __name__ == "__main__":
    sys.exit(cli_test.main())
