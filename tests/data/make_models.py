#!/usr/bin/env python3
"""Writes the small models of this folder. Needs the Python package onnx; the models are checked in.

    make_models.py FOLDER
"""

import os
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def save(folder, name, nodes, inputs, outputs, constants=(), opset=17):
    constants = [numpy_helper.from_array(value, key) for key, value in constants]
    graph = helper.make_graph(nodes, name, inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    model.producer_name = "cleave tests"
    onnx.save(model, os.path.join(folder, name + ".onnx"))


def value(name, shape, dtype=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def main():
    folder = sys.argv[1]
    node = helper.make_node
    save(  # two inputs, two outputs, fixed sizes
        folder, "two", [node("Add", ["a", "b"], ["sum"], name="add"),
                        node("Mul", ["a", "b"], ["product"], name="mul")],
        [value("a", [2, 3]), value("b", [2, 3])],
        [value("sum", [2, 3]), value("product", [2, 3])])
    save(  # free batch and size; a picture in and out
        folder, "free", [node("Relu", ["x"], ["y"], name="relu")],
        [value("x", ["N", 3, "H", "W"])], [value("y", ["N", 3, "H", "W"])])
    save(  # a shape that depends on an input's value
        folder, "reshape", [node("Reshape", ["data", "shape"], ["reshaped"], name="reshape")],
        [value("data", [2, 6]), value("shape", [2], TensorProto.INT64)],
        [value("reshaped", ["p", "q"])])
    save(  # an index that may be out of range
        folder, "gather", [node("Gather", ["table", "index"], ["row"], name="gather")],
        [value("index", [2], TensorProto.INT64)], [value("row", [2, 4])],
        [("table", np.arange(12, dtype=np.float32).reshape(3, 4))])
    save(  # as PaddlePaddle exports: sizes -1 and "?", a weight in a Constant node
        folder, "exported", [node("Constant", [], ["weight"], name="constant",
                                  value=numpy_helper.from_array(np.full((3, 1, 1), 2, np.float32))),
                             node("Mul", ["x", "weight"], ["y"], name="mul")],
        [value("x", [-1, 3, "?", "?"])], [value("y", [-1, 3, "?", "?"])])
    save(  # an operator that there is not
        folder, "unknown", [node("NonMaxSuppression", ["boxes", "scores"], ["out"], name="nms")],
        [value("boxes", [1, 4, 4]), value("scores", [1, 1, 4])],
        [value("out", ["n", 3], TensorProto.INT64)])
    save(  # one row times weights of 32 KB, which half precision does not have all of; and some beyond it
        folder, "rows", [node("Expand", ["weight", "shape"], ["weights"], name="expand"),
                         node("Mul", ["weights", "large"], ["beyond"], name="scale"),
                         node("MatMul", ["x", "weights"], ["y"], name="product"),
                         node("MatMul", ["x", "beyond"], ["loud"], name="loud")],
        [value("x", [1, 128])], [value("y", [1, 64]), value("loud", [1, 64])],
        [("weight", np.arange(1, 65, dtype=np.float32) / 3), ("shape", np.array([128, 64])),
         ("large", np.array([1e5], np.float32))])
    save(  # a normalisation that goes into the weights of the convolution before it
        folder, "folded", [node("Conv", ["x", "one"], ["c"], name="conv"),
                           node("BatchNormalization", ["c", "scale", "shift", "mean", "variance"], ["y"], name="norm")],
        [value("x", [1, 1, 8, 8])], [value("y", [1, 1, 8, 8])],
        [("one", np.ones((1, 1, 1, 1), np.float32))] +
        [(name, np.array([number], np.float32)) for name, number in
         (("scale", 1.1), ("shift", 0.3), ("mean", 0.7), ("variance", 2))])
    save(  # nothing to do: its output is a constant
        folder, "constant", [node("Neg", ["two"], ["y"], name="neg")],
        [value("x", [1])], [value("y", [1])], [("two", np.array([2], np.float32))])
    save(  # wrong by itself: an axis that the input has not
        folder, "malformed", [node("Concat", ["x", "x"], ["y"], name="concat", axis=4)],
        [value("x", [2, 3])], [value("y", None)])


if __name__ == "__main__":
    main()
