#!/usr/bin/env python3
"""plan and simulate as their users run them, on machines that are not there.

    plan_test.py BINARY DATA [PATTERN]     as cli_test.py
"""

import json
import os
import re
import sys

import cli_test
from cli_test import NUMBER, TESTS, Folder, error, has, model, run, run_json

TESTS.clear()
test = cli_test.test

CHAIN = [40, 10, 30, 10]
TYPES = ["Conv", "Relu", "Conv", "Relu"]


def write_chain(path, times=CHAIN, types=TYPES, bytes=1000, **more):
    tasks = [dict({"name": f"n{i}", "type": t, "time_us": us}, **more)
             for i, (us, t) in enumerate(zip(times, types))]
    edges = [{"from": f"n{i}", "to": f"n{i + 1}", "bytes": bytes} for i in range(len(times) - 1)]
    with open(path, "w") as file:
        json.dump({"tasks": tasks, "edges": edges}, file)
    return path


def write_json(path, value):
    with open(path, "w") as file:
        file.write(value if isinstance(value, str) else json.dumps(value))
    return path


def near(a, b):
    return abs(a - b) <= 1e-9 * max(abs(a), abs(b), 1)


# --- accelerators of many functional units ---


@test
def every_policy_takes_networks_of_many_operators_on_a_unit_for_each():
    with Folder() as at:
        count = 300
        chain = write_chain(at("long.tasks.json"), times=[10] * count, types=["Conv"] * count)
        for policy, latency in ("serial", 3), ("data:2", 3), ("branch", 3), ("pipeline", 3):
            report = run_json("plan", chain, "--machine", "bespoke:node", "--policy", policy)
            assert near(report["predicted_latency_ms"], latency), (policy, report)
            assert {op["unit"].split(":")[0] for op in report["ops"]} == {f"n{i}" for i in range(count)}


# --- reasons, and costs elsewhere ---


@test
def every_operator_says_why_it_is_there_and_what_it_costs_elsewhere():
    with Folder() as at:
        chain = write_chain(at("chain.tasks.json"))
        machine = "core*2 launch=3us; core speed=0.5 launch=5us"
        for policy in "single", "serial", "pipeline", "branch", "data:3", "data:2/pipeline", "auto":
            report = run_json("plan", chain, "--machine", machine, "--policy", policy, "--allow-idle")
            for op in report["ops"]:
                time = CHAIN[int(op["node"][1:])]
                costs = {"core:0": time + 3, "core:1": time + 3, "core:2": 2 * time + 5}
                assert op["reason"] and op["cost_us"] == costs[op["unit"]], (policy, op)
                assert op["elsewhere"] and op["unit"] not in op["elsewhere"], (policy, op)
                assert all(costs[unit] == us for unit, us in op["elsewhere"].items()), (policy, op)
                if policy == "data:3":
                    assert op["unit"] in op["reason"], op
        told = run_json("explain", chain, "n0", "--machine", machine, "--policy", "data:3")
        assert [cost["time_us"] for cost in told["costs"]] == [43, 43, 85]
        assert [cost["launch_us"] for cost in told["costs"]] == [3, 3, 5]
        assert all(cost["chosen"] for cost in told["costs"])
        assert [place["cost_us"] for place in told["placements"]] == [43, 43, 85]


# --- many operators in many replicas ---


@test
def replicas_that_are_placed_alike_are_written_once():
    with Folder() as at:
        count = 2000
        chain = write_chain(at("long.tasks.json"), times=[10] * count, types=["Conv"] * count)
        for machine in "core*64", "core*32; core*32 speed=0.5":
            report = run_json("plan", chain, "--machine", machine, "--policy", "data")
            assert len(report["replicas"]) == 64 and len(report["ops"]) == count
            assert [r.get("placed_as") for r in report["replicas"]] == [None] + [0] * 63
            assert [r["units"] for r in report["replicas"]] == [[f"core:{i}"] for i in range(64)]
            op = report["ops"][0]
            has(op, node=str, unit=str, stage=int, replica=int, cost_us=NUMBER, origin=str, reason=str)
            same = "speed" not in machine
            assert op.get("costs_us") == (None if same else [10] * 32 + [20] * 32)
        shown = run("plan", chain, "--machine", "core*64", "--policy", "data", "-v").stdout
        assert len(shown) < 1e6 and "placed alike" in shown


# --- what takes no time, or too much ---


@test
def rates_of_what_takes_no_time_are_unbounded():
    with Folder() as at:
        chain = write_chain(at("zero.tasks.json"), times=[0, 0], types=["A", "B"])
        plan = run_json("plan", chain, "--machine", "core*2", "--plan-out", at("plan.json"))
        assert plan["predicted_throughput_per_s"] is None and plan["best_single"]["throughput_per_s"] is None
        assert run_json("simulate", chain, "--machine", "core*2")["throughput_per_s"] is None
        assert "unbounded requests/s" in run("plan", chain, "--machine", "core*2").stdout
        assert "unbounded requests/s" in run("simulate", chain, "--machine", "core*2").stdout
        run("explain", chain, "n0", "--machine", "core*2")
        run("plan", chain, "--machine", "core*2", "--plan", at("plan.json"), "--check")


@test
def times_that_add_up_to_too_much_are_named():
    with Folder() as at:
        chain = write_chain(at("large.tasks.json"), times=[1.7e308, 1.7e308], types=["A", "B"])
        error("plan", chain, "--machine", "core*2", code=3, says=["'n0'", "1.7e+308"])
        chain = write_chain(at("sum.tasks.json"), times=[0.9e280, 0.9e280], types=["A", "B"])
        error("plan", chain, "--machine", "core*2", code=3, says=["'n1'", "add up"])


@test
def bytes_are_whole():
    with Folder() as at:
        for field in "memory_bytes", "output_bytes":
            chain = write_chain(at("chain.tasks.json"), **{field: 1.5})
            error("plan", chain, "--machine", "core", code=3, says=[field, "1.5"])
        chain = write_chain(at("chain.tasks.json"), bytes=0.5)
        error("plan", chain, "--machine", "core", code=3, says=["edges[0]", "'bytes'"])


# --- plan files ---


@test
def a_plan_from_a_file_runs_as_it_did_before():
    with Folder() as at:
        chain = write_chain(at("chain.tasks.json"))
        machine = "core*2; gpu; link gpu* host bw=1G latency=1us"
        for policy in "single", "serial", "pipeline", "branch", "tensor", "data", "data:2/pipeline", "auto":
            plan = at("plan.json")
            run("plan", chain, "--machine", machine, "--policy", policy, "--plan-out", plan)
            before = run_json("simulate", chain, "--machine", machine, "--policy", policy, "--requests", "9")
            after = run_json("simulate", chain, "--machine", machine, "--plan", plan, "--requests", "9")
            assert before == after, policy


@test
def extents_of_plan_files_are_those_of_task_graphs():
    with Folder() as at:
        extent = 1 << 50
        task = {"name": "a", "time_us": 100, "output_dims": [extent],
                "splits": [{"name": "x", "axis": 0, "extent": extent}]}
        tasks, plan = write_json(at("long.tasks.json"), {"tasks": [task]}), at("plan.json")
        args = ("plan", tasks, "--machine", "p*3")
        before = run_json(*args, "--policy", "tensor", "--plan-out", plan)
        assert "split" in before["ops"][0]
        assert run_json(*args, "--plan", plan)["ops"] == before["ops"]


@test
def memory_that_cannot_be_counted_does_not_wrap_around():
    with Folder() as at:
        tasks = [{"name": f"t{i}", "time_us": 1, "output_bytes": 1 << 53} for i in range(1100)]
        tasks.append({"name": "end", "time_us": 1})
        edges = [{"from": f"t{i}", "to": "end", "bytes": 1 << 53} for i in range(1100)]
        path = write_json(at("large.tasks.json"), {"tasks": tasks, "edges": edges})
        error("plan", path, "--machine", "p mem=8G", code=6, says=["would hold 9223372036854775807 bytes"])


@test
def a_plan_file_is_checked_in_all_that_it_says():
    with Folder() as at:
        chain, plan = write_chain(at("chain.tasks.json")), at("plan.json")
        run("plan", chain, "--machine", "core*2", "--policy", "pipeline", "--plan-out", plan)
        with open(plan) as file:
            good = json.load(file)

        def check(*words, **changes):
            bad = json.loads(json.dumps(good))
            for key, value in changes.items():
                bad[key] = value
            write_json(plan, bad)
            error("plan", chain, "--machine", "core*2", "--plan", plan, "--check", code=3, says=words)

        check("depth is 7", "add up to 2", depth=7)
        check("'depth'", depth=1.5)
        check("stage 5", "2 stages", ops=good["ops"][:-1] + [dict(good["ops"][-1], stage=5)])
        check("stages is 99", "name 2", replicas=[dict(good["replicas"][0], stages=99)])
        check("'n0' is whole and has 'units'", ops=[dict(good["ops"][0], units=["core:0"])] + good["ops"][1:])
        check("'n0' is whole and has 'ends'", ops=[dict(good["ops"][0], ends=[1])] + good["ops"][1:])
        check("it has 3 units, here are 2",
              units=good["units"] + [dict(good["units"][0], name="core:2")])
        check("it has 1 unit, here are 2", units=good["units"][:1])
        check("'serial'", replicas=[dict(good["replicas"][0], serial=1)])
        check("3 replicas on 2 units", replicas=good["replicas"] * 3)
        check("'shar'", "did you mean 'share'", replicas=[dict(good["replicas"][0], shar=1)])


@test
def a_file_is_named_once():
    with Folder() as at:
        chain = write_chain(at("chain.tasks.json"))
        bad = write_json(at("bad.tasks.json"), '{"a": 1,}')
        for words in (("plan", bad, "--machine", "core"), ("plan", chain, "--machine", bad),
                      ("plan", chain, "--machine", "core", "--times", bad),
                      ("plan", chain, "--machine", "core", "--plan", bad)):
            said = run(*words, code=3).stderr
            assert said.count("bad.tasks.json") == 1, said


@test
def lists_end_with_their_last_word():
    with Folder() as at:
        chain = write_chain(at("chain.tasks.json"))
        error("plan", chain, "--machine", "core*2", "--policy", "tensor", "--tensor-split", "3,1,", code=2, says=["''"])
        error("plan", chain, "--machine", "core*2", "--policy", "tensor", "--tensor-split", "3,,1", code=2, says=["''"])
        error("plan", chain, "--devices", "core:0{speed=0.5,}", code=2, says=["''"])


# --- what plan says ---


@test
def plan_has_the_fields_that_scripts_read():
    with Folder() as at:
        chain = write_chain(at("chain.tasks.json"))
        report = run_json("plan", chain, "--machine", "core*2", "--policy", "pipeline")
        has(report, policy=str, objective=str, stages=list, ops=list, predicted_throughput_per_s=NUMBER,
            predicted_latency_ms=NUMBER, memory_bytes=dict, best_single=dict, gain=NUMBER, worth_it=bool,
            limit=str, method=str, depths=list)
        has(report["best_single"], unit=str, throughput_per_s=NUMBER, latency_ms=NUMBER)
        for op in report["ops"]:
            has(op, node=str, unit=str, stage=int, replica=int, cost_us=NUMBER, origin=str, reason=str)
        assert [op["cost_us"] for op in report["ops"]] == CHAIN
        assert near(report["predicted_throughput_per_s"], 1e6 / 50)
        assert near(report["gain"], 90 / 50) and report["worth_it"]
        assert [s["compute_us"] for s in report["stages"]] == [50, 40]
        assert report["stages"][1]["bytes_in"] == 1000


@test
def plan_shows_a_person_the_verdict():
    with Folder() as at:
        chain = write_chain(at("chain.tasks.json"))
        text = run("plan", chain, "--machine", "core*2", "--policy", "pipeline").stdout
        for word in ("stage 0 on core:0", "best unit", "1.80 times the throughput", "worth it", "chosen"):
            assert word in text, f"{word!r} is not in {text}"
        text = run("plan", chain, "--machine", "core").stdout
        assert "not worth it" in text and "single" in text


@test
def plan_of_a_model():
    report = run_json("plan", model("two"), "--machine", "core*2 peak=10G bw=10G", "--policy", "serial")
    assert report["policy"] == "serial" and report["objective"] == "latency"
    assert all(op["origin"] == "estimated" for op in report["ops"])
    error("plan", model("free"), "--machine", "core peak=1G", code=2, says=["--dim"])


@test
def splits_are_told():
    with Folder() as at:
        split = {"name": "rows", "axis": 0, "extent": 8}
        tasks = {"tasks": [{"name": "a", "type": "Conv", "time_us": 80, "output_dims": [8], "splits": [split]}]}
        path = write_json(at("a.tasks.json"), tasks)
        report = run_json("plan", path, "--machine", "core*2", "--policy", "tensor", "--tensor-split", "3,1")
        op = report["ops"][0]
        assert op["split"] == "rows" and op["units"] == ["core:0", "core:1"] and op["ends"] == [6, 8], op
        assert op["cost_us"] == 60
        error("plan", path, "--machine", "core*2", "--policy", "tensor", "--tensor-split", "3", code=2,
              says=["--tensor-split '3'", "one for each of 2 units"])
        error("plan", path, "--machine", "core*2", "--policy", "tensor", "--tensor-split", "3,x", code=2,
              says=["'x' is not a share"])


@test
def pins_hold():
    with Folder() as at:
        chain = write_chain(at("chain.tasks.json"))
        args = ("plan", chain, "--machine", "core*2", "--policy", "serial")
        report = run_json(*args, "--pin", "n.=core:0", "--pin", "n2=core:1")
        assert [op["unit"] for op in report["ops"]] == ["core:0", "core:0", "core:1", "core:0"]
        error(*args, "--pin", "n2=gpu:7", code=2, says=["gpu:7"])
        error(*args, "--pin", "n2", code=2, says=["REGEX=UNIT"])
        error(*args, "--pin", "n(=core:1", code=2, says=["n("])


# --- plan files ---


@test
def a_plan_that_is_written_can_be_read():
    with Folder() as at:
        chain, plan = write_chain(at("chain.tasks.json")), at("plan.json")
        machine = ("--machine", "core*2")
        made = run_json("plan", chain, *machine, "--policy", "pipeline", "--plan-out", plan)
        read = run_json("plan", chain, *machine, "--plan", plan)
        assert [op["unit"] for op in made["ops"]] == [op["unit"] for op in read["ops"]]
        assert near(made["gain"], read["gain"])
        assert run_json("plan", chain, *machine, "--plan", plan, "--check")["ok"] is True
        assert "good" in run("plan", chain, *machine, "--plan", plan, "--check").stdout
        simulated = run_json("simulate", chain, *machine, "--plan", plan, "--requests", "10")
        assert near(simulated["period_us"], 50)
        again = at("again.json")
        run("plan", chain, *machine, "--plan", plan, "--plan-out", again)
        with open(plan) as one, open(again) as other:
            assert json.load(one)["ops"] == json.load(other)["ops"]


@test
def a_model_is_written_as_a_task_graph_with_the_same_plan():
    machine = ("--machine", "core*2 peak=1G; gpu peak=4G; link gpu host bw=1M latency=5us")
    with Folder() as at:
        for policy in ["tensor", "data:2/pipeline", "branch"]:
            texts = []
            for name, source in [("a", [model("free"), "--shape", "x=1x3x8x8"]), ("b", [at("a.tasks.json")])]:
                files = [at(f"{name}.{end}") for end in ["tasks.json", "json", "txt", "trace.json"]]
                text = run("plan", *source, *machine, "--policy", policy, "--tasks-out", files[0], "--plan-out", files[1],
                           "--timeline", files[2], "--trace", files[3]).stdout
                texts.append([text] + [open(file).read() for file in files])
            assert texts[0] == texts[1], policy
        run("plan", at("a.tasks.json"), *machine, "--plan", at("a.json"), "--check")
        run("plan", model("free"), "--shape", "x=1x3x8x8", *machine, "--plan", at("b.json"), "--check")
        for command in ["plan", "simulate"]:
            shown = run(command, at("a.tasks.json"), *machine, "--tasks-out", "-").stdout
            assert shown == texts[0][1], command
        error("plan", at("a.tasks.json"), *machine, "--tasks-out", at("no/a.json"), code=9, says=["no/a.json"])


@test
def inputs_and_outputs_of_the_whole_cross_links():
    tasks = [{"name": "a", "time_us": {"gpu": 10}}, {"name": "b", "time_us": {"gpu": 10}}]
    edges = [{"tensor": "y", "from": "a", "to": ["b"], "bytes": 1000, "output": True},
             {"tensor": "z", "from": "b", "bytes": 2000}]
    entry = [{"tensor": "x", "to": ["a", "b"], "bytes": 3000}]
    args = ["--machine", "core; gpu; link gpu host bw=1G latency=0us", "--policy", "single"]
    with Folder() as at:
        path = write_json(at("io.tasks.json"), {"name": "io", "tasks": tasks, "edges": edges + entry})
        report = run_json("plan", path, *args)
        assert report["workload"] == "io"
        # one thing at a time: x goes there, y and z come back
        assert near(report["predicted_latency_ms"] * 1e3, 3 + 10 + 1 + 10 + 2), report["predicted_latency_ms"]
        path = write_json(at("out.tasks.json"), {"tasks": tasks, "edges": edges})
        assert near(run_json("plan", path, *args)["predicted_latency_ms"] * 1e3, 10 + 1 + 10 + 2)


@test
def a_plan_file_takes_other_depths():
    with Folder() as at:
        chain, plan = write_chain(at("chain.tasks.json")), at("plan.json")
        run("plan", chain, "--machine", "core*3", "--policy", "data:3", "--plan-out", plan)
        for asked, depth in (1, 1), (2, 2), (3, 3), (7, 3):  # copies that are serial have one each
            args = [chain, "--machine", "core*3", "--plan", plan, "--depth", str(asked)]
            report = run_json("plan", *args)
            simulated = run_json("simulate", *args, "--requests", "12")
            assert report["depth"] == simulated["depth"] == depth, (asked, report["depth"], simulated["depth"])
            assert near(report["predicted_throughput_per_s"], 1e6 / 90 * depth), (asked, report)
            assert near(simulated["throughput_per_s"], 1e6 / 90 * depth), (asked, simulated)


@test
def few_requests_go_to_the_fast_copies():
    with Folder() as at:
        chain, plan = write_chain(at("chain.tasks.json")), at("plan.json")
        machine = "a speed=0.1; b; c speed=0.2; d speed=0.5"
        run("plan", chain, "--machine", machine, "--policy", "data:4", "--plan-out", plan)
        for depth, speed in (1, 1), (2, 1.5), (3, 1.7), (4, 1.8):
            args = [chain, "--machine", machine, "--plan", plan, "--depth", str(depth)]
            report = run_json("plan", *args)
            assert report["depth"] == depth
            assert near(report["predicted_throughput_per_s"], 1e6 / 90 * speed), (depth, report)


@test
def plans_for_others_are_refused():
    with Folder() as at:
        chain, plan = write_chain(at("chain.tasks.json")), at("plan.json")
        run("plan", chain, "--machine", "core*2", "--policy", "pipeline", "--plan-out", plan)
        other = write_chain(at("other.tasks.json"), times=[1, 2, 3, 4])
        check = ("--plan", plan, "--check")
        error("plan", other, "--machine", "core*2", *check, code=3, says=["another model"])
        error("plan", chain, "--machine", "core*3", *check, code=3, says=["another machine"])
        error("plan", chain, "--machine", "core*2", "--plan", at("none.json"), code=9, says=["none.json"])
        error("plan", chain, "--machine", "core*2", "--check", code=2, says=["--plan"])
        error("plan", chain, "--machine", "core*2", "--plan", plan, "--policy", "single", code=2, says=["--policy"])
        with open(plan) as file:
            value = json.load(file)
        value["ops"][0]["unit"] = "core:9"
        write_json(plan, value)
        error("plan", chain, "--machine", "core*2", *check, code=3, says=["core:9", "ops[0]"])
        write_json(plan, "{\"format\": ")
        error("plan", chain, "--machine", "core*2", *check, code=3, says=[plan])
        write_json(plan, {"policy": "dat"})
        error("plan", chain, "--machine", "bespoke:type", *check, code=3, says=["dat"])


# --- the textbook's timelines ---


@test
def closed_forms():
    with Folder() as at:
        chain = write_chain(at("chain.tasks.json"))

        def simulate(machine, policy, requests):
            return run_json("simulate", chain, "--machine", machine, "--policy", policy, "--requests", str(requests))

        requests, total = 12, sum(CHAIN)
        assert near(simulate("bespoke:node", "serial", requests)["makespan_us"], requests * total)
        report = simulate("bespoke:node{buffers=2}", "pipeline", requests)
        assert near(report["makespan_us"], total + (requests - 1) * max(CHAIN))
        report = simulate("bespoke:node", "pipeline", requests)
        assert near(report["period_us"], max(a + b for a, b in zip(CHAIN, CHAIN[1:])))
        report = simulate("bespoke:type{buffers=inf}", "pipeline", 50)
        assert near(report["period_us"], 70)
        report = simulate("bespoke:type", "data:3", 7)
        assert near(report["makespan_us"], 3 * total)
        assert report["units_used"] == 6
        convs = write_chain(at("convs.tasks.json"), times=[40, 10, 30], types=["Conv"] * 3)
        error("simulate", convs, "--machine", "bespoke:type", "--policy", "pipeline", "--requests", "9", code=4,
              says=["deadlock"])


@test
def simulate_has_the_fields_that_scripts_read():
    with Folder() as at:
        chain = write_chain(at("chain.tasks.json"), bytes=1000000)
        machine = "core; gpu speed=4; link gpu host bw=1G latency=1us"
        report = run_json("simulate", chain, "--machine", machine, "--policy", "pipeline", "--pin", "n[01]=core:0",
                          "--pin", "n[23]=gpu:0", "--requests", "8")
        has(report, policy=str, requests=int, makespan_us=NUMBER, period_us=NUMBER, latency_us=NUMBER,
            throughput_per_s=NUMBER, lower_bound_us=NUMBER, units=list, links=list, memory_bytes=dict, buffers=int)
        assert report["makespan_us"] >= report["lower_bound_us"] * (1 - 1e-9)
        for unit in report["units"]:
            assert near(unit["busy"] + unit["idle"], 1)
        assert [unit["name"] for unit in report["units"]] == ["core:0", "gpu:0"]
        assert len(report["links"]) == 1 and 0 < report["links"][0]["busy"] <= 1
        assert report["links"][0]["directions"][0]["bytes"] == 8 * 1000000


@test
def schedules_static_and_dynamic():
    with Folder() as at:
        chain = write_chain(at("chain.tasks.json"))
        args = ("simulate", chain, "--machine", "p; q", "--policy", "pipeline", "--requests", "10")
        static = run_json(*args)
        dynamic = run_json(*args, "--schedule", "dynamic", "--dispatch", "5")
        assert static["schedule"] == "static" and dynamic["schedule"] == "dynamic"
        assert near(static["makespan_us"], 10 * 50 + 40)
        assert near(dynamic["makespan_us"], 10 * 60 + 50)
        assert near(run_json(*args, "--schedule", "dynamic", "--dispatch", "0")["makespan_us"], 540)
        # units that are alike take one another's work: both are busy to the end, but for one task
        alike = run_json("simulate", chain, "--machine", "core*2", "--policy", "pipeline", "--requests", "10",
                         "--schedule", "dynamic", "--dispatch", "0")
        assert 10 * 90 / 2 <= alike["makespan_us"] <= 10 * 90 / 2 + 50
        assert run_json(*args, "--depth", "1")["in_flight"] == 1
        assert near(run_json(*args, "--depth", "1")["makespan_us"], 900)
        error(*args, "--schedule", "other", code=2, says=["--schedule 'other'"])
        error(*args, "--dispatch", "5", code=2, says=["--schedule dynamic"])
        error(*args, "--requests", "0", code=2, says=["--requests"])
        error(*args, "--requests", "900000000", code=2, says=["steps"])


@test
def simulate_tells_a_person():
    with Folder() as at:
        chain = write_chain(at("chain.tasks.json"))
        text = run("simulate", chain, "--machine", "core*2", "--policy", "pipeline").stdout
        for word in ("makespan", "period", "50 us", "lower bound", "core:1", "critical"):
            assert word in text, f"{word!r} is not in {text}"


@test
def published_schedule_of_ten_tasks():
    """The example of the paper on HEFT (IEEE TPDS 2002), whose schedule takes 80; on links that carry one thing at
    a time, which the paper's do not."""
    times = {1: (14, 16, 9), 2: (13, 19, 18), 3: (11, 13, 19), 4: (13, 8, 17), 5: (12, 13, 10), 6: (13, 16, 9),
             7: (7, 15, 11), 8: (5, 11, 14), 9: (18, 12, 20), 10: (21, 7, 16)}
    edges = {(1, 2): 18, (1, 3): 12, (1, 4): 9, (1, 5): 11, (1, 6): 14, (2, 8): 19, (2, 9): 16, (3, 7): 23,
             (4, 8): 27, (4, 9): 23, (5, 9): 13, (6, 8): 15, (7, 10): 17, (8, 10): 11, (9, 10): 13}
    with Folder() as at:
        path = write_json(at("heft.tasks.json"), {
            "tasks": [{"name": f"n{i}", "time_us": dict(zip(("p1", "p2", "p3"), t))} for i, t in times.items()],
            "edges": [{"from": f"n{a}", "to": f"n{b}", "bytes": c} for (a, b), c in edges.items()]})
        args = (path, "--machine", "p1; p2; p3; link p* p* bw=1M", "--policy", "branch")
        assert run_json("plan", *args)["predicted_latency_ms"] <= 0.080
        assert run_json("simulate", *args)["makespan_us"] <= 80


# --- pictures ---


@test
def pictures_and_traces():
    with Folder() as at:
        chain = write_chain(at("chain.tasks.json"))
        args = ("simulate", chain, "--machine", "core*2", "--policy", "pipeline")
        for name, begins in (("a.txt", ""), ("a.svg", "<svg"), ("a.html", "<!")):
            run(*args, "--timeline", at(name))
            with open(at(name)) as file:
                assert begins in file.read(), name
        run("plan", *args[1:], "--trace", at("trace.json"), "--timeline", at("b.svg"))
        with open(at("trace.json")) as file:
            assert len(json.load(file)["traceEvents"]) > 10
        assert os.path.getsize(at("b.svg")) > 100
        error(*args, "--timeline", at("a.gif"), code=2, says=["a.gif", ".svg"])
        error(*args, "--timeline", at("a.json"), code=2, says=["a.json", "--trace writes JSON"])
        error(*args, "--trace", at("a.svg"), code=2, says=["a.svg", "--timeline"])
        assert not os.path.exists(at("a.gif")) and not os.path.exists(at("a.json"))
        error(*args, "--timeline", at("no/a.svg"), code=9, says=["no/a.svg"])
        error(*args, "--trace", at("no/a.json"), code=9, says=["no/a.json"])
        error("plan", *args[1:], "--plan-out", at("no/a.json"), code=9, says=["no/a.json"])


# --- times ---


@test
def times_that_are_given():
    with Folder() as at:
        args = ("plan", model("two"), "--policy", "single", "--machine", "core; p")
        names = [(op["node"], op["op"]) for op in
                 run_json(*args[:-1], "core peak=1G; p peak=1G")["ops"]]
        node, kind = names[0]
        times = write_json(at("times.json"), {node: {"core": 7, "p": 3}, **{t: 5 for _, t in names if t != kind}})
        error(*args, code=4, says=["no time is given"])
        report = run_json(*args, "--times", times)
        assert report["ops"][0]["cost_us"] == 3 and report["ops"][0]["unit"] == "p"
        assert report["ops"][0]["origin"] == "given" and report["ops"][0]["elsewhere"] == {"core:0": 7}
        for value, says in (({"nobody": 1}, "nobody"), ({node: -1}, "-1"), ({node: "fast"}, "must be a number"),
                            ({node: {}}, "no unit"), ([], "object"), ("{\"a\": 1e999}", "a"),
                            ("{\"%s\": 1, \"%s\": 2}" % (node, node), "twice"), ("{", at("times.json"))):
            write_json(times, value)
            error(*args, "--times", times, code=3, says=[says, "times.json"])
        error(*args, "--times", at("none.json"), code=9, says=["none.json"])


@test
def a_unit_for_each_type_of_the_model():
    espcn = os.path.join(os.path.dirname(cli_test.DATA), "..", "models", "espcn_x3.onnx")
    size = ("--dim", "H=24", "--dim", "W=24")
    ops = run_json("inspect", espcn, *size)["ops"]
    args = (espcn, *size, "--machine", "bespoke:type{buffers=inf,peak=10G,bw=10G}", "--policy", "serial")
    report = run_json("simulate", *args)
    assert {unit["name"] for unit in report["units"]} == {f"{kind}:0" for kind in ops}
    with Folder() as at:
        times = write_json(at("times.json"), {kind: 10 for kind in ops})
        report = run_json("simulate", *args, "--times", times)
        assert near(report["makespan_us"], 10 * sum(ops.values())), report["makespan_us"]


# --- what is bad ---


@test
def machines_that_cannot_be():
    with Folder() as at:
        chain = write_chain(at("chain.tasks.json"))
        error("plan", chain, "--machine", "core*2 peek=3", code=3, says=["peek"])
        error("plan", chain, "--machine", "core*", code=3, says=["column"])
        error("plan", chain, "--machine", at("none.json"), code=9, says=["none.json"])
        error("plan", chain, "--machine", "core", "--devices", "cpu", code=2, says=["--machine", "--devices"])
        machine = write_json(at("m.json"), {"format": "cleave-machine-1", "memories": [], "units": []})
        error("plan", chain, "--machine", machine, code=3, says=["m.json"])
        error("plan", chain, "--machine", "core", "--policy", "pipelin", code=2, says=["'pipeline'"])
        error("plan", chain, "--machine", "core", "--policy", "single/data", code=2, says=["cannot hold"])
        error("plan", chain, "--machine", "core", "--objective", "speed", code=2, says=["throughput or latency"])
        error("plan", chain, "--machine", "core", "--depth", "0", code=2, says=["--depth"])
        error("plan", chain, "--machine", "bespoke:type", "--policy", "data:90000", code=2, says=["90000"])


@test
def task_graphs_that_cannot_be():
    with Folder() as at:
        path = at("bad.tasks.json")
        task = {"name": "a", "type": "Op", "time_us": 1}
        for value, says in (
                ({"tasks": [task, task]}, "'a'"),
                ({"tasks": [task], "edges": [{"from": "a", "to": "b"}]}, "'b'"),
                ({"tasks": [task], "edges": [{"from": "a", "to": "a", "bytes": 1}]}, "a"),
                ({"tasks": [dict(task, time_us=-1)]}, "time_us"),
                ('{"tasks": [{"name": "a", "time_us": NaN}]}', "column"),
                ('{"tasks": [{"name": "a", "time_us": 1e999}]}', "time_us"),
                ({"tasks": [dict(task, weight=1)]}, "weight"),
                ({"tasks": [dict(task, name="")]}, "task 0 has no name"),
                ({"tasks": [dict(task, output_dims=[8, 8], splits=[
                    {"name": "rows", "axis": 0, "extent": 8},
                    {"name": "rows", "axis": 1, "extent": 8}])]}, "two splits are named 'rows'"),
                ({"tasks": []}, "task")):
            write_json(path, value)
            error("plan", path, "--machine", "core", code=3, says=[says, "bad.tasks.json"])
        write_json(path, {"tasks": [dict(task, time_us={"gpu": 1})]})
        error("plan", path, "--machine", "core", code=4, says=["'a'", "no unit"])
        write_json(path, {"tasks": [dict(task, memory_bytes=3000000)]})
        error("plan", path, "--machine", "core mem=1M", code=6, says=["core"])
        error("plan", path, "--machine", "core", "--dim", "N=1", code=2, says=["task graph"])
        error("plan", path, "--machine", "core", "--input", "zeros", code=2, says=["task graph"])
        error("simulate", at("none.tasks.json"), "--machine", "core", code=9, says=["none.tasks.json"])


@test
def idle_units_of_a_machine_are_fine():
    with Folder() as at:
        chain = write_chain(at("chain.tasks.json"), times=[5], types=["Conv"])
        report = run_json("plan", chain, "--machine", "core*2", "--policy", "pipeline")
        assert report["memory_bytes"].keys() == {"core:0", "core:1"} or report["ops"][0]["unit"] == "core:0"


@test
def memory_limits_hold_in_simulations():
    with Folder() as at:
        chain = write_chain(at("chain.tasks.json"), times=[10, 10, 10, 60], output_bytes=1 << 20)
        args = ("simulate", chain, "--machine", "core*2 mem=4M", "--policy", "pipeline", "--requests", "50")
        report = run_json(*args)
        assert all(bytes <= 4 << 20 for bytes in report["memory_bytes"].values())
        report = run_json(*args, "--depth", "40")  # another cut, of which as many in flight hold less
        assert all(bytes <= 4 << 20 for bytes in report["memory_bytes"].values())
        args = tuple(arg.replace("mem=4M", "mem=1M") for arg in args)
        error(*args, "--depth", "40", code=6, says=["core:0"])


@test
def a_plan_fits_into_what_it_says_it_holds():
    with Folder() as at:
        chain, plan = write_chain(at("chain.tasks.json"), times=[7, 1, 5, 9], types=["T"] * 4, bytes=100,
                                  output_bytes=100), at("plan.json")
        machine = "p1{}; p2{}; link p* p* bw=100M"
        free = run_json("plan", chain, "--machine", machine.format("", ""), "--policy", "pipeline", "--plan-out", plan)
        limits = [f" mem={free['memory_bytes'][unit]}" for unit in ("p1", "p2")]
        args = ("plan", chain, "--machine", machine.format(*limits))
        assert run_json(*args, "--policy", "pipeline")["period_us"] == free["period_us"]
        run(*args, "--plan", plan, "--check")


@test
def more_in_flight_is_not_slower():
    with Folder() as at:
        times, traffic, bytes = [39, 36, 35, 37, 24], [12096, 91, 16245, 21953, 7866], [37, 23, 8, 19]
        tasks = [{"name": f"t{i}", "time_us": times[i], "traffic_bytes": traffic[i]} for i in range(5)]
        edges = [{"from": f"t{i}", "to": f"t{i + 1}", "bytes": bytes[i]} for i in range(4)]
        path = write_json(at("shared.tasks.json"), {"tasks": tasks, "edges": edges})
        machine = "p*1 overlap=no; q*1; numa*1 bw=179M"
        args = (path, "--machine", machine, "--policy", "pipeline")
        depth = str(run_json("plan", *args)["depth"])
        offered = run_json("simulate", *args, "--requests", "64")["makespan_us"]
        planned = run_json("simulate", *args, "--requests", "64", "--depth", depth)["makespan_us"]
        assert offered <= planned, (offered, planned)  # requests that run ahead take bandwidth


def write_tasks(path, tasks, edges):
    """tasks: times, memory, output, traffic; edges: from, to, bytes."""
    names = ("time_us", "memory_bytes", "output_bytes", "traffic_bytes")
    return write_json(path, {
        "tasks": [dict(zip(names, task), name=f"t{i}") for i, task in enumerate(tasks)],
        "edges": [{"from": f"t{a}", "to": f"t{b}", "bytes": n} for a, b, n in edges]})


def a_table_and_a_run_have_what_was_promised(*args):
    with Folder() as at:
        plan = run_json("plan", *args, "--plan-out", at("plan.json"))
        depth = plan["depth"]
        row, = [row for row in plan["depths"] if row["depth"] == depth]
        assert near(row["throughput_per_s"], plan["predicted_throughput_per_s"]), plan
        simulated = run_json("simulate", args[0], "--machine", args[2], "--plan", at("plan.json"),
                             "--depth", str(depth), "--requests", "200")
        assert near(simulated["throughput_per_s"], plan["predicted_throughput_per_s"]), simulated
        asked = run_json("plan", *args, "--depth", str(depth))
        for key in "depth", "ops", "predicted_throughput_per_s", "predicted_latency_ms":
            assert asked[key] == plan[key], (key, asked[key], plan[key])


@test
def copies_have_as_many_in_flight_as_they_were_planned_with():
    with Folder() as at:
        uneven = write_tasks(at("uneven.tasks.json"), [
            ({"p0": 51, "p1": 54, "p2": 61, "p3": 3}, 28, 7, 103),
            ({"p0": 27, "p1": 25, "p2": 84, "p3": 38}, 22, 7, 81),
            ({"p0": 91, "p1": 85, "p2": 92, "p3": 73}, 62, 60, 112),
            ({"p0": 78, "p1": 12, "p2": 69, "p3": 32}, 59, 47, 0),
            ({"p0": 83, "p1": 52, "p2": 46, "p3": 99}, 11, 12, 19)],
            [(0, 1, 31), (0, 3, 31), (2, 3, 42), (3, 4, 47)])
        a_table_and_a_run_have_what_was_promised(
            uneven, "--machine", "p0 mem=139; p1; p2; p3; link p* p* bw=1M duplex=half",
            "--policy", "data/pipeline")
        even = write_tasks(at("even.tasks.json"), [
            (2, 20, 24, 0), (47, 40, 18, 0), (36, 36, 3, 32), (1, 67, 6, 60), (93, 86, 22, 176),
            (99, 29, 53, 102)], [(0, 3, 52), (1, 3, 22), (3, 4, 6), (0, 5, 52), (1, 5, 22)])
        a_table_and_a_run_have_what_was_promised(
            even, "--machine", "core*4 bw=2M mem=230; numa*2 bw=3M", "--policy", "data/pipeline",
            "--objective", "latency")
        full = write_tasks(at("full.tasks.json"), [
            (98, 36, 57, 0), (4, 95, 9, 0), (26, 91, 30, 186), (7, 78, 21, 65), (42, 66, 44, 87),
            (13, 7, 54, 48), (94, 30, 48, 108), (21, 40, 45, 0)],
            [(1, 3, 47), (0, 4, 51), (0, 5, 51), (2, 5, 29), (0, 6, 51), (3, 6, 7), (5, 6, 47),
             (3, 7, 7), (4, 7, 54), (5, 7, 47), (6, 7, 27)])
        a_table_and_a_run_have_what_was_promised(
            full, "--machine", "core*4 bw=1M mem=449; numa*2 bw=2M", "--policy", "data:2/pipeline")


@test
def reasons_are_true_where_pins_lead_elsewhere():
    with Folder() as at:
        chain = write_chain(at("chain.tasks.json"))
        for policy in "data", "data/pipeline", "single":
            plan = run_json("plan", chain, "--machine", "p1; p2; p3", "--policy", policy,
                            "--pin", "n0=p2", "--allow-idle")
            units = {}
            for op in plan["ops"]:
                units.setdefault(op["replica"], set()).add(op["unit"])
            for op in plan["ops"]:
                says_all = "whole on" in op["reason"] or "everything is on" in op["reason"]
                assert not says_all or len(units[op["replica"]]) == 1, (policy, op)


@test
def depths_that_deadlock_are_told():
    """The best plan has as many in flight as full buffers allow; that more would deadlock is a row of a table, no failure."""
    rows = {"splits": [{"name": "rows", "extent": 8}], "output_dims": [8]}
    edges = [(0, 1), (1, 2), (0, 3), (2, 3)]
    with Folder() as at:
        path = write_json(at("t.tasks.json"), {
            "tasks": [dict(name=f"t{i}", type="ABAB"[i], time_us=us, **rows) for i, us in enumerate([28, 15, 6, 1])],
            "edges": [{"from": f"t{a}", "to": f"t{b}", "bytes": 10} for a, b in edges]})
        machine = ["--machine", "bespoke:type*3{buffers=2}"]
        plan = run_json("plan", path, *machine)
        assert plan["predicted_throughput_per_s"] > 0 and plan["depths"][-1]["throughput_per_s"] == 0, plan["depths"]
        assert "full buffers end in a deadlock" in run("plan", path, *machine).stdout


@test
def policies_are_listed():
    names = [row["name"] for row in run_json("list", "policies")["policies"]]
    assert names == ["single", "serial", "pipeline", "tensor", "data", "branch", "auto"]


@test
def same_input_same_output():
    with Folder() as at:
        chain = write_chain(at("chain.tasks.json"))
        args = ("plan", chain, "--machine", "core*3; gpu; link gpu host bw=1G", "--json")
        assert run(*args).stdout == run(*args).stdout
        assert not re.search(r"nan|inf", run(*args).stdout)


if __name__ == "__main__":
    sys.exit(cli_test.main())
