#!/usr/bin/env python3
"""Writes the official ONNX operator tests to disk.

    write_onnx_tests.py FOLDER

Layout, the one that ONNX itself uses:

    FOLDER/cases.txt                              "NAME RTOL ATOL", one case a line, sorted
    FOLDER/NAME/model.onnx
    FOLDER/NAME/test_data_set_0/input_0.pb        one TensorProto (SequenceProto, OptionalProto,
    FOLDER/NAME/test_data_set_0/output_0.pb       MapProto where the model's input is one)

A value that is None (an optional input or output left out) has no file. Needs the Python package
onnx 1.23.2; another release has other cases, so its version is checked.
"""

import argparse
import os
import re
import warnings

ONNX_VERSION = "1.23.2"
NUM_CASES = 1884


def to_proto(value, info):
    """A value of a test case as the message that info, a ValueInfoProto, calls for."""
    from onnx import TensorProto, numpy_helper

    if isinstance(value, TensorProto):
        return value
    kind = info.type.WhichOneof("value")
    if kind == "map_type":
        return numpy_helper.from_dict(value, info.name)
    if kind == "sequence_type":
        return numpy_helper.from_list(value, info.name)
    if kind == "optional_type":
        return numpy_helper.from_optional(value, info.name)
    return numpy_helper.from_array(value, info.name)


def write_values(folder, prefix, values, infos):
    for index, value in enumerate(values):
        if value is None:
            continue
        path = os.path.join(folder, f"{prefix}_{index}.pb")
        with open(path, "wb") as file:
            file.write(to_proto(value, infos[index]).SerializeToString())


def write_case(folder, case):
    folder = os.path.join(folder, case.name)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "model.onnx"), "wb") as file:
        file.write(case.model.SerializeToString())
    for index, (inputs, outputs) in enumerate(case.data_sets):
        data = os.path.join(folder, f"test_data_set_{index}")
        os.makedirs(data, exist_ok=True)
        write_values(data, "input", inputs, case.model.graph.input)
        write_values(data, "output", outputs, case.model.graph.output)


def check_attributes():
    """host/ops/ops.def names the attributes of every version of each operator."""
    import onnx

    known = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "":
            known.setdefault(schema.name, set()).update(schema.attributes)
    path = os.path.join(os.path.dirname(__file__), "..", "..", "host", "ops", "ops.def")
    with open(path) as file:
        lines = re.sub(r'"\s*"', "", file.read())
    for name, attributes in re.findall(r'^OP\((\w+),\s*"([^"]*)"\)', lines, re.MULTILINE):
        if name in known and set(attributes.split()) != known[name]:
            raise SystemExit(f"ops.def: {name} has the attributes {' '.join(sorted(known[name]))}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder")
    folder = parser.parse_args().folder

    warnings.simplefilter("ignore")  # cases overflow and divide by zero on purpose
    import onnx
    from onnx.backend.test.case.node import collect_testcases

    if onnx.__version__ != ONNX_VERSION:
        raise SystemExit(
            f"write_onnx_tests.py: onnx {ONNX_VERSION} is needed, not {onnx.__version__}"
        )
    check_attributes()
    cases = sorted(collect_testcases(), key=lambda case: case.name)
    if len(cases) != NUM_CASES:
        raise SystemExit(f"write_onnx_tests.py: {len(cases)} cases, {NUM_CASES} expected")
    for case in cases:
        write_case(folder, case)
    # Last, so that its presence says that the rest is complete.
    with open(os.path.join(folder, "cases.txt"), "w") as file:
        for case in cases:
            file.write(f"{case.name} {case.rtol} {case.atol}\n")
    print(f"{len(cases)} cases in {folder}")


if __name__ == "__main__":
    main()
