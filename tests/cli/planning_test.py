#!/usr/bin/env python3
"""explain, the planned stages of inspect, the machine that is here, and planning options of the
commands that run, as their users run them.

    planning_test.py BINARY DATA [PATTERN]     as cli_test.py
"""

import json
import os
import re
import signal
import subprocess
import sys

import cli_test
from cli_test import BINARY, NUMBER, TESTS, Folder, error, has, model, run, run_json
from plan_test import near, write_chain, write_json

TESTS.clear()
test = cli_test.test

ESPCN = os.path.join(cli_test.DATA, "..", "..", "models", "espcn_x3.onnx")
GPU = "core peak=1G; gpu peak=4G; link gpu host bw=1M latency=5us"
SHAPE = ["--shape", "x=1x3x8x8"]


# --- explain ---


@test
def explain_has_place_costs_and_moves():
    with Folder() as at:
        chain = write_chain(at("chain.tasks.json"), times=[{"core": 40, "gpu": 4}] * 4)
        machine = ["--machine", "core*2; gpu; link gpu host bw=1G latency=5us"]
        report = run_json("explain", chain, "n1", *machine, "--policy", "serial")
        has(report, node=str, op=str, workload=str, machine=str, policy=str, placements=list, costs=list,
            transfers=list, splits=list, flops=NUMBER, bytes=NUMBER, weight_bytes=NUMBER)
        assert report["node"] == "n1" and report["op"] == "Relu"
        place = report["placements"][0]
        has(place, replica=int, stage=int, unit=str, cost_us=NUMBER, reason=str)
        assert place["unit"] == "gpu:0" and place["cost_us"] == 4
        costs = {cost["unit"]: cost for cost in report["costs"]}
        assert costs["gpu:0"]["chosen"] and not costs["core:1"]["chosen"]
        assert costs["core:0"]["time_us"] == 40 and costs["core:0"]["origin"] == "given"
        # moved there, its input and output cross the link: 5 us and 1000 B at 1 GB/s each
        assert near(costs["core:0"]["latency_ms"] * 1e3, 3 * 4 + 40 + 2 * (5 + 1))
        assert report["transfers"] == []


@test
def explain_moves_what_shares_a_unit():
    with Folder() as at:
        tasks = write_json(at("pair.tasks.json"), {
            "tasks": [{"name": "a", "time_us": 40},
                      {"name": "b", "time_us": {"core": 9, "gpu": 2, "npu": 1}},
                      {"name": "c", "time_us": {"core": 1, "gpu": 1}}],
            "edges": [{"from": "a", "to": "b", "bytes": 4000000}, {"from": "b", "to": "c", "bytes": 8}],
            "colocate": [["a", "b", "c"]]})
        report = run_json("explain", tasks, "b", "--machine", "core; gpu; npu; link gpu host bw=1G; link npu host bw=1G",
                          "--policy", "single")
        costs = {cost["unit"]: cost for cost in report["costs"]}
        # all go along: nothing crosses the link, and each takes its time there
        assert near(costs["core:0"]["latency_ms"] * 1e3, 50) and near(costs["gpu:0"]["latency_ms"] * 1e3, 43), costs
        assert costs["npu"]["can_run"] and "latency_ms" not in costs["npu"] and "'c'" in costs["npu"]["reason"]
        text = run("explain", tasks, "b", "--machine", "core; gpu; npu; link gpu host bw=1G; link npu host bw=1G").stdout
        assert "'c', which shares its unit, cannot run there" in text


@test
def explain_shows_what_moves():
    with Folder() as at:
        chain = write_chain(at("chain.tasks.json"), times=[{"core": 4}, {"gpu": 4}, {"core": 4}], types=["Op"] * 3)
        report = run_json("explain", chain, "n1", "--machine", "core; gpu; link gpu host bw=1G latency=5us")
        moves = [(m["tensor"], m["from"], m["to"], m["reader"], m["bytes"], m["time_us"])
                 for m in report["transfers"]]
        assert moves == [("n0", "core:0", "gpu:0", "n1", 1000, 6), ("n1", "gpu:0", "core:0", "n2", 1000, 6)], moves
        cannot = [cost for cost in report["costs"] if not cost["can_run"]]
        assert [cost["unit"] for cost in cannot] == ["core:0"] and "no time" in cannot[0]["reason"]
        text = run("explain", chain, "n1", "--machine", "core; gpu; link gpu host bw=1G").stdout
        assert "chosen" in text and "moves" in text and "no time is given" in text


@test
def explain_of_a_model_tells_of_variants():
    report = run_json("explain", model("free"), run_json("plan", model("free"), *SHAPE, "--machine", GPU)["ops"][0]["node"],
                      *SHAPE, "--machine", GPU)
    chosen = [variant for variant in report["variants"] if variant["chosen"]]
    assert len(chosen) == 1 and all(v["reason"] and v["family"] for v in report["variants"])
    assert report["traits"] == "assumed"
    node = run_json("plan", model("two"), "--devices", "core:0")["ops"][0]["node"]
    report = run_json("explain", model("two"), node, "--devices", "core:0")
    assert report["traits"] == "of the device" and report["placements"][0]["unit"] == "core:0"
    text = run("explain", model("two"), node, "--devices", "core:0").stdout
    assert node in text and "variant" in text and "chosen" in text


@test
def explain_of_pieces_and_replicas():
    report = run_json("explain", model("free"), run_json("plan", model("free"), *SHAPE, "--machine", "core*2 peak=1G",
                                                         "--policy", "tensor")["ops"][0]["node"],
                      *SHAPE, "--machine", "core*2 peak=1G", "--policy", "tensor")
    place = report["placements"][0]
    assert place["units"] == ["core:0", "core:1"] and len(place["ends"]) == len(place["pieces_us"]) == 2
    assert place["split"] in [split["name"] for split in report["splits"]]
    with Folder() as at:
        chain = write_chain(at("chain.tasks.json"))
        report = run_json("explain", chain, "n2", "--machine", "core*3", "--policy", "data:3")
        assert [place["unit"] for place in report["placements"]] == ["core:0", "core:1", "core:2"]
        # what a plan file says can be explained too
        run("plan", chain, "--machine", "core*3", "--policy", "pipeline", "--plan-out", at("p.json"))
        report = run_json("explain", chain, "n3", "--machine", "core*3", "--plan", at("p.json"))
        assert report["policy"] == "pipeline"


@test
def explain_errors():
    with Folder() as at:
        chain = write_chain(at("chain.tasks.json"))
        error("explain", chain, "n7x", "--machine", "core", code=2, says=["'n7x'", "no node"])
        error("explain", chain, "nn1", "--machine", "core", code=2, says=["did you mean 'n1'"])
        error("explain", chain, code=2, says=["two operands", "MODEL NODE"])
        error("explain", chain, "n1", "n2", "--machine", "core", code=2, says=["two operands", "'n2'"])
        error("explain", at("none.onnx"), "n1", "--machine", "core", code=9, says=["none.onnx"])
        error("explain", chain, "n1", "--machine", "core*2 x", code=3, says=["column"])


# --- stages of inspect ---


@test
def planned_stages():
    args = ["inspect", model("free"), *SHAPE, "--machine", "core*2 peak=1G"]
    node = run_json("plan", *args[1:])["ops"][0]["node"]
    text = run(*args, "--stage", "plan", "--policy", "tensor").stdout
    assert text.startswith("plan tensor for latency of ") and f" {node}: " in text and "core:1 [" in text
    text = run(*args, "--stage", "schedule", "--policy", "data", "--depth", "2").stdout
    assert text.startswith("schedule of 2 requests") and f"{node} of request 1" in text
    assert text == run(*args, "--stage", "schedule", "--policy", "data", "--depth", "2").stdout
    assert "core:0" in run_json(*args, "--stage", "plan")["text"]
    error(*args, "--stage", "plan", "--policy", "nothing", code=2, says=["'nothing'"])
    error(*args, "--stage", "shedule", code=2, says=["did you mean 'schedule'"])


# --- the machine that is here ---


@test
def machine_out():
    with Folder() as at:
        env = {"CLEAVE_CORES": "2"}
        path = at("here.json")
        run("devices", "--machine-out", path, env=env)
        machine = json.load(open(path))
        assert machine["format"] == "cleave-machine-1"
        names = [unit["name"] for unit in machine["units"]]
        assert names[:2] == ["core:0", "core:1"] and "cpu" not in names
        for unit in machine["units"]:
            assert unit["peak_flops"] > 0 and unit["driver"] and unit["kind"] in ("core", "gpu")
        assert [p["name"] for p in machine["processors"]] == ["host"] and machine["processors"][0]["count"] >= 1
        assert all(unit["processors"] == "host" and "threads" not in unit for unit in machine["units"][:2])
        host = machine["memories"][0]
        assert host["name"] == "host" and host["capacity_bytes"] > 1 << 28 and host["bandwidth"] > 1e8
        report = run_json("plan", model("free"), *SHAPE, "--machine", path, "--policy", "tensor", "--depth", "1")
        assert report["machine"] == "this machine"
        # a plan for the file is one for the devices: same names, kinds and drivers
        run("plan", model("free"), *SHAPE, "--machine", path, "--plan-out", at("p.json"))
        if len(names) == 2:
            run("plan", model("free"), *SHAPE, "--devices", "core:0,core:1", "--plan", at("p.json"), "--check", env=env)
        run("devices", "--machine-out", path, "--devices", "core:1{speed=0.5,mem=64M,link=2G,latency=20us}", env=env)
        machine = json.load(open(path))
        unit, link = machine["units"][0], machine["links"][0]
        assert [u["name"] for u in machine["units"]] == ["core:1"]
        assert unit["speed"] == 0.5 and unit["limit_bytes"] == 64 << 20 and unit["memory"] != "host"
        assert link["bandwidth"] == 2e9 and link["latency_us"] == 20
        # a device with queues is reached by copies, wherever its memory is
        threaded = dict(env, CLEAVE_POCL_THREADED="1")
        name = next(u["name"] for u in run_json("devices", env=threaded)["units"] if u["name"].startswith("cl:"))
        run("devices", "--machine-out", path, "--devices", f"core:0,{name}", env=threaded)
        machine = json.load(open(path))
        assert [u["memory"] for u in machine["units"]] == ["host", name]
        assert machine["units"][1]["processors"] == "host"
        assert machine["units"][1].get("threads", 1) <= machine["processors"][0]["count"]
        assert machine["links"][0]["latency_us"] > 0 and machine["links"][0]["bandwidth"] < 1e12
        assert len(run_json("devices", "--machine-out", path)["units"]) >= 2
        error("devices", "--machine-out", at("no/m.json"), code=9, says=["no/m.json"])
        error("devices", "--machine-out", path, "--devices", "core:99", code=5, says=["core:99"])
        error("devices", "--machine-out", path, "--devices", "cpu,core:0", code=2, says=["silicon"])
        error("devices", "--devices", "cpu", code=2, says=["--machine-out"])


@test
def transfers_hide_behind_kernels():
    """One unit behind a link has as many requests in flight as keep it busy."""
    machine = "core peak=100G bw=10G; gpu peak=1T bw=100G; link gpu host bw=200M latency=10us"
    args = ["plan", model("free"), "--shape", "x=1x3x64x64", "--machine", machine, "--allow-idle", "--pin", ".*=gpu:0"]
    plan = run_json(*args, "--policy", "pipeline")
    assert plan["depth"] > 1, plan["depth"]
    assert plan["predicted_throughput_per_s"] > 1.2 * run_json(*args, "--policy", "pipeline", "--depth", "1")["predicted_throughput_per_s"]
    assert run_json(*args, "--policy", "pipeline", "--objective", "latency")["depth"] == 1


@test
def devices_are_planned_for():
    env = {"CLEAVE_CORES": "2"}
    report = run_json("plan", model("two"), env=env)
    assert report["policy"] == "single" and report["ops"][0]["unit"] == "cpu"
    args = ["plan", model("free"), "--shape", "x=1x3x64x64"]
    # estimated, and by what they compute: what cores get of their memory is measured for every plan, and where others
    # are at work one may get as much as two
    computing = ["plan", ESPCN, "--shape", "input=1x3x24x24", "--no-calibrate", "--devices"]
    report = run_json(*computing, "core:0,core:1", "--policy", "tensor", env=env)
    assert report["ops"][0]["units"] == ["core:0", "core:1"] and report["gain"] > 1
    slow, fast = (run_json(*computing, unit, env=env) for unit in ["core:0{speed=0.25}", "core:0"])
    assert slow["predicted_latency_ms"] > 2 * fast["predicted_latency_ms"]
    missing = run_json(*args, "--devices", "core:0", env=env)["memory_bytes"]["core:0"] - 64
    error(*args, "--devices", "core:0{mem=64}", code=6, says=["core:0", f"{missing} are missing"], env=env)
    error(*args, "--devices", "core:9", code=5, says=["core:9"], env=env)
    # a unit that is asked for and gets nothing to do
    units = "core:0,core:1{speed=0.0001}"
    error(*args, "--devices", units, "--policy", "tensor", code=2, says=["core:1", "no work"], env=env)
    for policy, what in (("data", "a copy of the model"), ("tensor", "operator"), ("pipeline", "operator")):
        # with a memory of its own: else pieces are the first core's, and hold nothing there
        small = error(*args, "--devices", "core:0,core:1{mem=64,link=100G}", "--policy", policy, code=2, env=env,
                      says=["core:1", f"policy '{policy}'", what, "it may hold 64;"]).stderr
        needed = int(re.search(r"at least (\d+) bytes", small).group(1))
        if policy == "data":  # to the byte: with so many it is not memory that it wants for
            less = ("--devices", f"core:0,core:1{{mem={needed - 1},link=100G}}", "--policy", policy)
            error(*args, *less, code=2, says=[f"may hold {needed - 1};"], env=env)
            run(*args, "--devices", f"core:0,core:1{{mem={needed},link=100G}}", "--policy", policy, env=env)
    report = run_json(*args, "--devices", units, "--policy", "tensor", "--allow-idle", env=env)
    assert {op.get("unit") for op in report["ops"]} == {"core:0"}
    assert run_json(*args, "--devices", units, "--policy", "auto", env=env)["ops"]


@test
def plans_for_devices_are_as_deep_as_runs_may_be():
    with Folder() as at:
        env = {"CLEAVE_CORES": "1"}
        args = [model("free"), *SHAPE, "--devices", "core:0", "--no-calibrate", "--plan", at("p.json")]
        run("plan", *args[:-2], "--policy", "pipeline", "--depth", "1024", "--plan-out", at("p.json"), env=env)
        run("plan", *args, "--check", env=env)
        plan = json.load(open(at("p.json")))
        plan["depth"] = plan["replicas"][0]["depth"] = 1000000
        write_json(at("p.json"), plan)
        says = ["p.json", "1000000 requests in flight", "at most 1024"]
        error("plan", *args, "--check", code=2, says=says, env=env)
        error("run", *args, "--input", "ones", code=2, says=says[1:], env=env)


@test
def plan_files_that_do_not_fit_say_what_does():
    env = {"CLEAVE_CORES": "2"}
    args = [model("free"), *SHAPE, "--no-calibrate"]
    with Folder() as at:
        run("plan", *args, "--devices", "core:0", "--plan-out", at("p.json"), env=env)
        whole = run_json("plan", *args, "--devices", "core:0", env=env)["memory_bytes"]["core:0"]
        one = [*args, "--plan", at("p.json"), "--devices"]
        run("run", *one, f"core:0{{mem={whole}}}", "--input", "ones", env=env)
        error("run", *one, f"core:0{{mem={whole - 1}}}", "--input", "ones", code=6, env=env,
              says=["p.json", f"hold {whole} bytes", "1 is missing; no other plan was found that fits"])
        run("plan", *args, "--devices", "core:0,core:1", "--policy", "data", "--plan-out", at("p.json"), env=env)
        error("plan", *args, "--devices", f"core:0,core:1{{mem={whole - 1}}}", "--plan", at("p.json"), code=6, env=env,
              says=["p.json", "core:1", "1 is missing; what fits: --policy"])


# --- options of the commands that run ---


@test
def sessions_take_planning_options():
    base = [model("two"), "--input", "random", "--devices", "core:0"]
    for command in ["run", "verify"]:
        run(command, *base, "--pin", ".*=core:0", "--depth", "1", "--objective", "latency", "--allow-idle")
        error(command, *base, "--pin", ".*=core:1", code=2, says=["core:1"])
        error(command, *base, "--pin", "sum", code=2, says=["REGEX=UNIT"])
        error(command, *base, "--pin", "(=core:0", code=2, says=["("])
        error(command, *base, "--objective", "speed", code=2, says=["throughput or latency"])
        error(command, *base, "--tensor-split", "1,1", code=2, says=["--tensor-split"])
        error(command, *base, "--depth", "0", code=2, says=["--depth"])
        error(command, *base, "--policy", "data:x", code=2, says=["data:x"])
        error(command, *base, "--machine", "core", code=2, says=["--machine", "not for this command"])
    with Folder() as at:
        run("plan", model("two"), "--devices", "core:0", "--plan-out", at("p.json"))
        report = run_json("run", *base, "--plan", at("p.json"))
        assert report["policy"] == "single" and report["outputs"]
        error("run", *base, "--plan", at("p.json"), "--policy", "single", code=2, says=["--plan", "--policy"])
        error("run", model("free"), *SHAPE, "--input", "random", "--devices", "core:0", "--plan", at("p.json"), code=3,
              says=["another model"])
        error("run", *base[:-1], "cpu", "--plan", at("p.json"), code=3, says=["another machine"])
        error("run", *base, "--plan", at("none.json"), code=9, says=["none.json"])
        write_json(at("p.json"), "{")
        error("run", *base, "--plan", at("p.json"), code=3, says=["p.json"])


@test
def a_unit_is_in_one_copy_whoever_asks():
    env = {"CLEAVE_CORES": "2"}
    args = [model("free"), *SHAPE, "--devices", "core:0,core:1", "--no-calibrate"]
    node = run_json("plan", *args, "--policy", "single", env=env)["ops"][-1]["node"]
    pin = ["--pin", f"^{node}$=core:1"]
    with Folder() as at:
        for policy in "data", "data/tensor", "data:1", "auto":
            run("plan", *args, *pin, "--allow-idle", "--policy", policy, "--plan-out", at("p.json"), env=env)
            run("plan", *args, "--plan", at("p.json"), "--check", env=env)
            run("run", *args, "--plan", at("p.json"), "--input", "random", "--requests", "3", env=env)
            ops = run_json("plan", *args, "--plan", at("p.json"), env=env)["ops"]
            assert {op["replica"] for op in ops} == {0}
            assert [op["unit"] for op in ops if op["node"] == node] == ["core:1"]
        for policy in "data:2", "data:2/tensor":
            for command in ["plan"], ["simulate"], ["run", "--input", "random"]:
                error(*command, *args, *pin, "--allow-idle", "--policy", policy, env=env, code=2,
                      says=[pin[1], "core:1", f"policy '{policy}'", "copies of the whole have units of their own"])
        run("plan", *args, "--policy", "data:2", "--plan-out", at("p.json"), env=env)
        plan = json.load(open(at("p.json")))
        next(op for op in plan["ops"] if op["node"] == node and op["unit"] == "core:0")["unit"] = "core:1"
        write_json(at("p.json"), json.dumps(plan))
        for command in ["plan", "--check"], ["simulate"], ["run", "--input", "random"]:
            error(*command, *args, "--plan", at("p.json"), env=env, code=3, says=["'core:1' is in replicas 0 and 1"])


@test
def a_plan_is_run_and_simulated_with_the_requests_in_flight_that_are_asked_for():
    args = [model("free"), *SHAPE, "--devices", "core:0,core:1,core:2"]
    env = {"CLEAVE_CORES": "3"}
    with Folder() as at:
        run("plan", *args, "--policy", "data:3", "--plan-out", at("p.json"), env=env)
        for asked, depth in (1, 1), (2, 2), (3, 3), (7, 3):  # copies that are serial have one each
            more = ["--plan", at("p.json"), "--depth", str(asked)]
            plan = run_json("plan", *args, *more, env=env)
            simulated = run_json("simulate", *args, *more, "--requests", "12", env=env)
            ran = run_json("run", *args, *more, "--requests", "12", "--input", "random", env=env)
            busy = {f"core:{i}" for i in range(depth)}
            assert plan["depth"] == simulated["depth"] == ran["depth"] == depth, (asked, plan["depth"], simulated["depth"], ran["depth"])
            assert {op["unit"] for op in plan["ops"]} == busy
            assert {u["name"] for u in simulated["units"] if u["busy"] > 0} == busy, (asked, simulated["units"])
            assert {u["name"] for u in ran["units"] if u["ops"]} <= busy, (asked, ran["units"])


@test
def inputs_and_outputs_cross_the_link_of_whoever_needs_them():
    env = {"CLEAVE_CORES": "2", "CLEAVE_POCL_THREADED": "1"}
    queued = [u["name"] for u in run_json("devices", env=env)["units"] if u["device"].startswith("pthread")][0]
    for first in "core:0", "core:0,core:1", queued:  # also the only unit, and also the first one
        base = [model("free"), *SHAPE, "--devices", first + "{link=4M,latency=300us}", "--pin",
                f".*={first.split(',')[-1]}", "--allow-idle"]
        planned, simulated = run_json("plan", *base, env=env), run_json("simulate", *base, "--requests", "3", env=env)
        (link,) = simulated["links"]
        for schedule, lanes in ("static", 1), ("dynamic", 2):  # of a device with queues; times are a mean over them
            unit = run_json("run", *base, "--input", "random", "--requests", "3", "--schedule", schedule, env=env)["units"][-1]
            assert {d["from"]: d["bytes"] for d in link["directions"]} == {"host": unit["bytes_in"], unit["name"]: unit["bytes_out"]}
            assert unit["bytes_in"] > 0 and unit["bytes_out"] > 0
            least_ms = 3 * 2 * 0.3 + (unit["bytes_in"] + unit["bytes_out"]) / 4e3
            assert unit["transfer_ms"] > 0.999 * least_ms / lanes, (schedule, unit, least_ms)
        assert planned["predicted_latency_ms"] > 0.999 * least_ms / 3
        assert simulated["latency_us"] > 999 * least_ms / 3


@test
def planning_and_simulating_can_be_interrupted():
    with Folder() as at:
        chain = write_chain(at("chain.tasks.json"))
        for args in (["plan", chain, "--machine", "core*65536"],
                     ["simulate", chain, "--machine", "core*2", "--policy", "pipeline", "--requests", "2000000"]):
            with subprocess.Popen([BINARY, *args], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as child:
                while True:  # it is at work once it has used some processor time
                    with open(f"/proc/{child.pid}/stat") as file:
                        ticks = int(file.read().rsplit(")", 1)[1].split()[11])
                    if ticks > os.sysconf("SC_CLK_TCK") // 2 or child.poll() is not None:
                        break
                child.send_signal(signal.SIGINT)
                message = child.communicate(timeout=120)[1]
            assert "interrupted" in message and child.returncode != 0, (args, message)


if __name__ == "__main__":
    sys.exit(cli_test.main())
