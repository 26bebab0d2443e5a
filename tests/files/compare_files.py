#!/usr/bin/env python3
"""Compares what cleave reads out of files with what the Python packages that wrote them read.

    compare_files.py DUMP_FILES WORK_FOLDER [MODEL.onnx ...]

Makes files in WORK_FOLDER (tensors of every type in every field, external data, functions, .npy,
.npz and .png of every kind), runs the program DUMP_FILES on them and on the given models, and
compares every input, constant, node and attribute. The last line counts.
"""

import argparse
import os
import subprocess
import sys
import zlib

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, external_data_helper, helper, numpy_helper
from PIL import Image

DTYPES = {
    TensorProto.FLOAT: "float32",
    TensorProto.UINT8: "uint8",
    TensorProto.INT8: "int8",
    TensorProto.UINT16: "uint16",
    TensorProto.INT16: "int16",
    TensorProto.INT32: "int32",
    TensorProto.INT64: "int64",
    TensorProto.BOOL: "bool",
    TensorProto.FLOAT16: "float16",
    TensorProto.DOUBLE: "float64",
    TensorProto.UINT32: "uint32",
    TensorProto.UINT64: "uint64",
    TensorProto.BFLOAT16: "bfloat16",
}
OPSETS = range(7, 29)


class Unsupported(Exception):
    """The model holds something that cleave must refuse with exit code 4."""


# --- what is expected, as the lines of dump_files.c


def crc(data):
    return f"{zlib.crc32(data):08x}"


def array_facts(dtype, array):
    dims = ",".join(map(str, array.shape))
    return [dtype, dims, crc(np.ascontiguousarray(array).tobytes())]


def tensor_facts(tensor, folder):
    if tensor.data_type not in DTYPES:
        raise Unsupported(TensorProto.DataType.Name(tensor.data_type))
    return array_facts(DTYPES[tensor.data_type], numpy_helper.to_array(tensor, folder))


def input_facts(value):
    if value.type.WhichOneof("value") != "tensor_type":
        raise Unsupported(value.name)
    tensor = value.type.tensor_type
    if tensor.elem_type not in DTYPES:
        raise Unsupported(value.name)
    dims = []
    for index, dim in enumerate(tensor.shape.dim):
        if dim.HasField("dim_value"):
            dims.append(str(dim.dim_value))
        else:
            dims.append(dim.dim_param or f"{value.name}_dim{index}")
    shape = ",".join(dims) if tensor.HasField("shape") else "?"
    return ["input", value.name, DTYPES[tensor.elem_type], shape]


def attribute_facts(attribute, folder):
    kind, name = attribute.type, attribute.name
    if kind == AttributeProto.INT:
        return ["attr", name, "int", str(attribute.i)]
    if kind == AttributeProto.FLOAT:
        return ["attr", name, "float", crc(np.float32(attribute.f).tobytes())]
    if kind == AttributeProto.STRING:
        return ["attr", name, "string", attribute.s.decode()]
    if kind == AttributeProto.INTS:
        return ["attr", name, "ints", *map(str, attribute.ints)]
    if kind == AttributeProto.FLOATS:
        data = np.array(attribute.floats, np.float32).tobytes()
        return ["attr", name, "floats", str(len(attribute.floats)), crc(data)]
    if kind == AttributeProto.STRINGS:
        return ["attr", name, "strings", *(s.decode() for s in attribute.strings)]
    if kind == AttributeProto.TENSOR:
        return ["attr", name, "tensor", *tensor_facts(attribute.t, folder)]
    return ["attr", name, "other"]


def unique(name, taken):
    """The name, or the first free of NAME#2, NAME#3, ..."""
    number, result = 2, name
    while result in taken:
        result, number = f"{name}#{number}", number + 1
    taken.add(result)
    return result


def node_facts(node, opsets, taken, folder):
    domain = "" if node.domain == "ai.onnx" else node.domain
    op_type = f"{domain}::{node.op_type}" if domain else node.op_type
    name = unique(node.name or next(o for o in node.output if o), taken)
    inputs = list(node.input)
    while inputs and not inputs[-1]:
        inputs.pop()
    facts = [["node", name, op_type, str(opsets.get(domain, 1))]]
    facts.append(["reads", *inputs])
    facts.append(["writes", *node.output])
    facts.extend(attribute_facts(a, folder) for a in node.attribute)
    return facts


def model_facts(path):
    folder = os.path.dirname(path)
    model = onnx.load(path, load_external_data=False)
    opsets = {"" if o.domain == "ai.onnx" else o.domain: o.version for o in model.opset_import}
    if opsets.get("", 13) not in OPSETS:
        raise Unsupported("opset")
    graph = model.graph
    initialized = {tensor.name for tensor in graph.initializer}
    if graph.sparse_initializer:
        raise Unsupported("sparse initializer")
    facts = [["opset", str(opsets.get("", 0)), str(model.ir_version)]]
    facts.extend(input_facts(v) for v in graph.input if v.name not in initialized)
    for value in graph.output:
        input_facts(value)
    facts.append(["outputs", *(v.name for v in graph.output)])
    facts.extend(["constant", t.name, *tensor_facts(t, folder)] for t in graph.initializer)
    taken = set()
    for node in graph.node:
        facts.extend(node_facts(node, opsets, taken, folder))
    return facts


def file_facts(path):
    if path.endswith(".onnx"):
        return model_facts(path)
    if path.endswith(".png"):
        # Pillow makes 8 bits of 16 by cutting off; cleave rounds.
        picture = Image.open(path)
        if picture.mode.startswith("I"):
            grey = np.round(np.asarray(picture).astype(np.float64) / 257).astype(np.uint8)
            array = np.stack([grey] * 3)
        elif picture.mode in ("RGBA", "LA"):
            array = np.asarray(picture)[..., :-1].transpose(2, 0, 1)
            array = np.repeat(array, 3, 0) if len(array) == 1 else array
        else:
            array = np.asarray(picture.convert("RGB")).transpose(2, 0, 1)
        return [["tensor", *array_facts("uint8", array[None])]]
    if path.endswith(".pb"):
        with open(path, "rb") as file:
            tensor = TensorProto.FromString(file.read())
        return [["tensor", *tensor_facts(tensor, "")]]
    array = np.load(path)
    array = array["x"] if path.endswith(".npz") else array
    array = array.astype(array.dtype.newbyteorder("<"))
    return [["tensor", *array_facts(array.dtype.name, array)]]


# --- files that are made here


def values_for(data_type, rng):
    """A few values that the type can hold, of the type that numpy uses for it."""
    dtype = helper.tensor_dtype_to_np_dtype(data_type)
    if data_type == TensorProto.BOOL:
        return rng.integers(0, 2, (2, 3)).astype(bool)
    if np.issubdtype(dtype, np.integer):
        info = np.iinfo(dtype)
        return rng.integers(info.min, info.max, (2, 3), dtype, endpoint=True)
    return rng.standard_normal((2, 3)).astype(dtype)


def make_tensors(folder, rng):
    for data_type, name in DTYPES.items():
        array = values_for(data_type, rng)
        raw = numpy_helper.from_array(array, "x")
        typed = helper.make_tensor("x", data_type, array.shape, array.flatten())
        for kind, tensor in (("raw", raw), ("typed", typed)):
            path = os.path.join(folder, f"{kind}_{name}.pb")
            with open(path, "wb") as file:
                file.write(tensor.SerializeToString())
            yield path


def small_model(rng):
    names = [f"w{code}" for code in DTYPES]
    tensors = [
        numpy_helper.from_array(values_for(code, rng), name) for code, name in zip(DTYPES, names)
    ]
    nodes = [helper.make_node("Identity", [name], [f"y_{name}"]) for name in names]
    nodes.append(helper.make_node("Relu", ["x"], ["y"], name="relu"))
    graph = helper.make_graph(
        nodes,
        "types",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", None, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", None, 3])],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def make_models(folder, rng):
    model = small_model(rng)
    plain = os.path.join(folder, "plain.onnx")
    onnx.save(model, plain)
    yield plain
    for one_file in (True, False):
        name = "together" if one_file else "apart"
        path = os.path.join(folder, name, "model.onnx")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        for file in os.listdir(os.path.dirname(path)):
            os.remove(os.path.join(os.path.dirname(path), file))
        copy = onnx.ModelProto.FromString(model.SerializeToString())
        onnx.save(
            copy,
            path,
            save_as_external_data=True,
            all_tensors_to_one_file=one_file,
            location="weights.bin" if one_file else None,
            size_threshold=0,
        )
        yield path


def make_arrays(folder, rng):
    path = os.path.join(folder, "x")
    types = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"]
    for code in types:
        for order in "<>":
            array = (rng.standard_normal((3, 4, 5)) * 50).astype(code).astype(order + code)
            for layout in (array, np.asfortranarray(array), array[:0], array[0, 0, :1]):
                path = os.path.join(folder, f"{code.replace('?', 'b')}{ord(order)}")
                path += f"{len(layout.shape)}{layout.size}{layout.flags.f_contiguous}.npy"
                np.save(path, layout)
                yield path
    path = os.path.join(folder, "stored.npz")
    np.savez(path, x=np.arange(6), y=np.zeros(2))
    yield path
    path = os.path.join(folder, "deflated.npz")
    np.savez_compressed(path, x=np.zeros((1000, 10), np.float32))
    yield path


def make_pictures(folder, rng):
    colours = Image.fromarray(rng.integers(0, 256, (13, 17, 3), np.uint8))
    alpha = Image.fromarray(rng.integers(0, 256, (13, 17, 4), np.uint8))
    pictures = {
        "rgb": colours,
        "rgba": alpha,
        "grey": colours.convert("L"),
        "grey_alpha": alpha.convert("LA"),
        "palette": colours.quantize(200),
        "palette4": colours.quantize(13),
        "bits": colours.convert("1"),
        "grey16": Image.fromarray(rng.integers(0, 65536, (13, 17), np.uint16)),
    }
    for name, picture in pictures.items():
        path = os.path.join(folder, name + ".png")
        picture.save(path)
        yield path


# --- comparing


def run_dump(program, paths):
    """path -> lines of facts"""
    text = subprocess.run(
        [program], input="\n".join(paths) + "\n", stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    found, current = {}, None
    for line in text.split("\n")[:-1]:
        fields = line.split("\t")
        if fields[0] == "file":
            current = found.setdefault(fields[1], [])
        else:
            current.append(fields)
    return found


def in_groups(facts):
    """Nodes with what belongs to them, and other facts, without regard to order."""
    groups = []
    for fact in facts:
        if fact[0] in ("reads", "writes", "attr"):
            groups[-1].append(fact)
        else:
            groups.append([fact])
    return sorted(groups)


def compare(path, found):
    """None, or what differs."""
    try:
        expected = file_facts(path)
    except Unsupported as reason:
        refused = len(found) == 1 and found[0][:2] == ["error", "4"]
        return None if refused else f"{reason} was not refused: {found[:1]}"
    expected, found = in_groups(expected), in_groups(found)
    if expected == found:
        return None
    for a, b in zip(expected, found):
        if a != b:
            return f"expected {a}\n    found    {b}"
    return f"{len(expected)} facts expected, {len(found)} found"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("program")
    parser.add_argument("folder")
    parser.add_argument("model", nargs="*")
    args = parser.parse_args()
    os.makedirs(args.folder, exist_ok=True)
    rng = np.random.default_rng(1)
    paths = [
        *make_tensors(args.folder, rng),
        *make_models(args.folder, rng),
        *make_arrays(args.folder, rng),
        *make_pictures(args.folder, rng),
        *args.model,
    ]
    found = run_dump(args.program, paths)
    failed = 0
    for path in paths:
        difference = compare(path, found.get(path, []))
        if difference is not None:
            failed += 1
            print(f"{path}: {difference}")
    print(f"{len(paths) - failed} passed, {failed} failed")
    sys.exit(failed != 0)


if __name__ == "__main__":
    main()
