#!/usr/bin/env python3
"""Devices that fail while the program runs, as its users see it: a library before OpenCL's makes
one call fail, all calls from one on, or one never return.

    failure_test.py BINARY DATA PRELOAD [PATTERN]     as cli_test.py; PRELOAD: libclv_test_preload.so
"""

import json
import os
import re
import subprocess
import sys

PRELOAD = os.path.abspath(sys.argv.pop(3))

import cli_test  # noqa: E402  (reads the other arguments)
from cli_test import DATA, TESTS, Folder, error, has, read_npy, run, run_json  # noqa: E402

TESTS.clear()
test = cli_test.test

MODEL = [os.path.join(DATA, "..", "..", "models", "espcn_x3.onnx"), "--dim", "H=24", "--dim", "W=24",
         "--no-calibrate"]
PIPELINE = ["--devices", "core:0,core:1", "--policy", "pipeline"]


def env(fault, **more):
    """The environment in which a call fails: FUNCTION:AT[:stays|hangs]."""
    sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
    return dict(LD_PRELOAD=PRELOAD, CL_SHIM_FAULT=fault, ASAN_OPTIONS=sanitizer, CLEAVE_CORES="3",
                CLEAVE_POCL_THREADED="1", **more)


def threaded():
    """The name of PoCL's threaded device."""
    report = run_json("devices", env=dict(CLEAVE_CORES="3", CLEAVE_POCL_THREADED="1"))
    names = [u["name"] for u in report["units"] if u["kind"] == "cl" and u["device"].startswith("pthread")]
    assert names, report
    return names[-1]


SAYS = ["core:", "clEnqueueNDRangeKernel", "CL_OUT_OF_RESOURCES (-5)"]


@test
def faults_that_nobody_understands_are_no_test():
    for fault in ("clFinish:1:twice", "clFinish:1:stay", "clFinish", "clFinish:-1", "clFinnish:1"):
        done = subprocess.run([cli_test.BINARY, "list", "env"], capture_output=True, text=True, timeout=300,
                              env=dict(os.environ, **env(fault)))
        assert done.returncode == 99 and f"'{fault}' is no FUNCTION:AT" in done.stderr, (fault, done)


@test
def commands_end_with_exit_7():
    for command, more in (("run", ["--input", "random", "--requests", "9"]), ("bench", ["--requests", "9"]), ("verify", [])):
        done = error(command, *MODEL, *PIPELINE, *more, "--json", code=7, says=SAYS, env=env("clEnqueueNDRangeKernel:3"))
        assert re.search(r"node '\w+'", done.stderr), done.stderr
        assert done.stdout == "", done.stdout
    # one of several combinations is a row that says why
    done = error("bench", *MODEL, "--devices", "core:0;core:1", "--requests", "3", "-o", "json", code=7, says=["1 of 2"],
                 env=env("clEnqueueNDRangeKernel:3"))
    results = json.loads(done.stdout)["results"]
    assert results[0]["exit"] == 7 and "CL_OUT_OF_RESOURCES" in results[0]["error"]
    assert "exit" not in results[1] and results[1]["requests"] == 3


@test
def memory_that_runs_out_while_running_is_a_failure():
    error("run", *MODEL, *PIPELINE, "--input", "random", "--requests", "5", code=7,
          says=["core:", "CL_MEM_OBJECT_ALLOCATION_FAILURE (-4)"], env=env("clEnqueueNDRangeKernel:7", CL_SHIM_ERROR="-4"))


@test
def an_event_that_a_driver_never_ends_does_not_hold_the_program():
    slow, behind_core = threaded() + "{speed=0.5}", ["--policy", "pipeline", "--pin", "to_ycbcr=core:0"]
    for devices, more in (
            (slow, ["--step-factor", "0"]),
            (f"core:0,{threaded()}", behind_core),
            (f"core:0,{threaded()}", [*behind_core, "--on-failure", "replan"])):
        error("run", *MODEL, "--devices", devices, *more, "--input", "random", "--requests", "5", code=7,
              says=["cl:", "clSetUserEventStatus", "CL_OUT_OF_RESOURCES (-5)", "cannot end"],
              env=env("clSetUserEventStatus:3:stays"))


@test
def runs_go_on_with_what_is_left():
    with Folder() as at:
        args = ["run", *MODEL, "--input", "random", "--requests", "12"]
        num_ops = sum(u["ops"] for u in run_json(*args, "--devices", "core:0", "--output", at("want.npy"))["units"])
        want = read_npy(at("want.npy"))
        queued = threaded()
        for devices, policy, schedule, call in (
                ("core:0,core:1", "pipeline", "static", "clEnqueueNDRangeKernel:20"),
                ("core:0,core:1,core:2{speed=0.5,mem=256M}", "pipeline", "dynamic", "clEnqueueNDRangeKernel:31"),
                (f"{queued},core:0,core:1", "pipeline", "static", "clEnqueueReadBuffer:4"),
                ("core:0,core:1", "data", "static", "clEnqueueNDRangeKernel:33")):
            # a third core on two processors may have nothing to do
            report = run_json(*args, "--devices", devices, "--policy", policy, "--schedule", schedule, "--output", at("got.npy"),
                              "--on-failure", "replan", "--allow-idle", env=env(call))
            assert read_npy(at("got.npy")) == want, devices
            assert report["requests"] == 12
            # with what was done before the failure, of requests that were run again too
            assert sum(u["ops"] for u in report["units"]) >= num_ops, report
            assert [u["name"] for u in report["units"] if u.get("left_out")] == [report["failures"][0]["unit"]], report
            (failure,) = report["failures"]
            has(failure, unit=str, error=str, requests=int, plan=dict)
            left = re.sub(r"\{[^}]*\}", "", devices).split(",")
            left.remove(failure["unit"])
            assert report["devices"] == left and failure["unit"] in failure["error"], report
            assert failure["plan"]["policy"] == report["policy"] == (policy if len(left) > 1 else "single")
            assert failure["requests"] >= 1 and "CL_OUT_OF_RESOURCES" in failure["error"]
    text = run(*args, *PIPELINE, "--on-failure", "replan", env=env("clEnqueueNDRangeKernel:20"))
    assert "left out" in text.stdout and "cleave: warning: core:" in text.stderr
    text = run("bench", *MODEL, *PIPELINE, "--requests", "9", "--on-failure", "replan", env=env("clEnqueueNDRangeKernel:20"))
    assert "left out" in text.stdout
    run("verify", *MODEL, *PIPELINE, "--on-failure", "replan", env=env("clEnqueueNDRangeKernel:3"))


@test
def runs_end_when_nothing_is_left():
    for devices in ("core:0,core:1", "cpu"):
        error("run", *MODEL, "--devices", devices, "--input", "random", "--requests", "9", "--on-failure", "replan", code=7,
              says=["no unit is left", "CL_OUT_OF_RESOURCES"], env=env("clEnqueueNDRangeKernel:20:stays"))
    # each with what it failed with itself
    done = error("run", *MODEL, *PIPELINE, "--input", "random", "--requests", "9", "--on-failure", "replan", code=7, says=["left out"],
                 env=env("clEnqueueNDRangeKernel:20:stays"))
    left_out = re.findall(r"(core:\d) failed and is left out: (.*)", done.stderr)
    assert left_out and all(f"{unit}: " in why for unit, why in left_out), done.stderr
    error("run", *MODEL, *PIPELINE, "--input", "random", "--on-failure", "hope", code=2, says=["stop or replan"])


@test
def steps_that_hang_end_the_program():
    args = ["run", *MODEL, "--input", "random", "--requests", "9", "--step-timeout", "0.3", "--json"]
    queued = threaded()
    for devices, schedule, call in (("core:0,core:1", "static", "clEnqueueNDRangeKernel:20"), ("cpu", "static", "clEnqueueNDRangeKernel:9"),
                                    ("core:0,core:1", "dynamic", "clEnqueueNDRangeKernel:20"), (f"{queued},core:0", "static", "clWaitForEvents:20")):
        policy = "pipeline" if "," in devices else "single"
        done = error(*args, "--devices", devices, "--policy", policy, "--schedule", schedule, code=7, says=["has not ended after", "of request"],
                     env=env(call + ":hangs"))
        for unit in devices.split(","):
            assert f"; {unit}" in done.stderr, done.stderr
        assert done.stdout == "", done.stdout
    for flag in ("--step-timeout", "--step-factor"):
        error(*args, flag, "-1", code=2, says=[flag])


if __name__ == "__main__":
    sys.exit(cli_test.main())
