"""The ONNX graph of espcn_x3.onnx, written by hand around the trained weights.

    input RGB -> to_ycbcr -> split -+-> luma: conv1 .. conv4, pixel_shuffle -+-> merge_ycbcr
                                    +-> chroma: chroma_x3 (bicubic Resize) --+       |
                                                     output RGB <- clip_rgb <- to_rgb

Written with onnx.helper rather than by PyTorch's exporter, so that the names are readable and the
file does not depend on an exporter's version. Needs: numpy, onnx.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from espcn_data import RGB_TO_YCBCR, SCALE

OPSET = 17
IR_VERSION = 8
# Side of the kernel and number of output channels of each convolution.
LAYERS = ((5, 64), (3, 64), (3, 32), (3, SCALE * SCALE))
# Keys' a = -1/2 is what Pillow's BICUBIC uses; with half_pixel coordinates the two agree but for
# the outermost pixels, where Pillow leaves taps outside the picture out and ONNX repeats the edge.
CUBIC_COEFF = -0.5


def _conv(name, source, result, side, **attributes):
    """A convolution that keeps height and width."""
    return helper.make_node(
        "Conv", [source, f"{name}.weight", f"{name}.bias"], [result], name=name,
        kernel_shape=[side, side], pads=[side // 2] * 4, **attributes)


def _luma_nodes():
    """The network of the textbook: convolutions with ReLU between them, then pixel shuffle."""
    nodes, value = [], "luma"
    for i, (side, _) in enumerate(LAYERS, start=1):
        nodes.append(_conv(f"conv{i}", value, f"conv{i}_out", side))
        value = f"conv{i}_out"
        if i < len(LAYERS):
            nodes.append(helper.make_node("Relu", [value], [f"relu{i}_out"], name=f"relu{i}"))
            value = f"relu{i}_out"
    nodes.append(helper.make_node(
        "DepthToSpace", [value], ["luma_x3"], name="pixel_shuffle", blocksize=SCALE, mode="CRD"))
    return nodes


def _nodes():
    """All nodes, in an order that can be run."""
    return [
        _conv("to_ycbcr", "input", "ycbcr", 1),
        helper.make_node("Split", ["ycbcr", "split_sizes"], ["luma", "chroma"], name="split_ycbcr",
                         axis=1),
        *_luma_nodes(),
        helper.make_node("Resize", ["chroma", "", "chroma_scales"], ["chroma_up"],
                         name="chroma_x3", mode="cubic", cubic_coeff_a=CUBIC_COEFF,
                         coordinate_transformation_mode="half_pixel"),
        helper.make_node("Concat", ["luma_x3", "chroma_up"], ["ycbcr_x3"], name="merge_ycbcr",
                         axis=1),
        _conv("to_rgb", "ycbcr_x3", "rgb_x3", 1),
        helper.make_node("Clip", ["rgb_x3", "zero", "one"], ["output"], name="clip_rgb"),
    ]


def _colour(name, matrix):
    """A colour matrix as the weight and bias of a 1x1 convolution."""
    weight = matrix.astype(np.float32).reshape(3, 3, 1, 1)
    return {f"{name}.weight": weight, f"{name}.bias": np.zeros(3, np.float32)}


def build(weights):
    """The model, given conv1.weight, conv1.bias, .. conv4.bias as float32 arrays."""
    constants = {
        **_colour("to_ycbcr", RGB_TO_YCBCR),
        **_colour("to_rgb", np.linalg.inv(RGB_TO_YCBCR)),
        **weights,
        "split_sizes": np.array([1, 2], np.int64),
        "chroma_scales": np.array([1, 1, SCALE, SCALE], np.float32),
        "zero": np.array(0, np.float32),
        "one": np.array(1, np.float32),
    }
    shape_in, shape_out = [1, 3, "H", "W"], [1, 3, "H_out", "W_out"]
    graph = helper.make_graph(
        _nodes(), "espcn_x3",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape_in)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape_out)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()])
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
        producer_name="models/train_espcn.py",
        doc_string="Threefold super-resolution of RGB pictures in 0..1. Apache-2.0.")
    onnx.checker.check_model(model, full_check=True)
    return model


def weights_of(model):
    """The trained arrays of a model that build() made, by name."""
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    return {name: array for name, array in arrays.items() if name.startswith("conv")}
