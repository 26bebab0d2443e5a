"""Small networks of the families that users bring beside those of zoo.py, with seeded random weights.

    families.py FOLDER [NAME ...]        (no NAME: all)

They have what the zoo has not: normalisation before convolutions, grouped and shuffled channels,
squeeze-and-excitation, dilations, transposed convolutions, odd numbers of channels, one axis,
vision and decoding transformers, recurrent layers. Needs the Python packages onnx and numpy only.
"""

import argparse
import os

import numpy as np
from onnx import TensorProto as T

from zoo import Net


def finish(n, shape):
    n.nodes[-1].output[0] = "output"
    n.output("output", shape)
    return n


def classify(n, x, channels):
    n.fc(n.op("Flatten", n.op("GlobalAveragePool", x)), channels, 10)
    return finish(n, [1, 10])


def norm(n, x, c):
    parts = [n.const(n.rng.uniform(0.8, 1.2, c).astype(np.float32)) for _ in range(4)]
    return n.op("BatchNormalization", x, *parts, epsilon=1e-5)


def densenet():
    n = Net("densenet")
    x = n.input("input", [1, 3, 32, 32])
    x, c = n.conv(x, 3, 24, 3, 2, act="relu"), 24
    for block in range(2):
        for _ in range(4):
            y = n.conv(n.op("Relu", norm(n, x, c)), c, 64, 1, bias=False)
            y = n.conv(n.op("Relu", norm(n, y, 64)), 64, 16, 3, bias=False)
            x, c = n.op("Concat", x, y, axis=1), c + 16
        if block == 0:
            x = n.conv(n.op("Relu", norm(n, x, c)), c, c // 2, 1, bias=False)
            x, c = n.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2]), c // 2
    return classify(n, n.op("Relu", norm(n, x, c)), c)


def shufflenet():
    n = Net("shufflenet")
    x = n.input("input", [1, 3, 32, 32])
    x, c, hw, g = n.conv(x, 3, 24, 3, 2, act="relu"), 24, 16, 3
    for i in range(3):
        s, mid = 2 if i == 0 else 1, 60
        out = 240 - c if s == 2 else 240
        y = n.conv(x, c, mid, 1, g=1 if i == 0 else g, act="relu", bn=True)
        y = n.op("Reshape", y, n.i64(1, g, mid // g, hw, hw))
        y = n.op("Reshape", n.op("Transpose", y, perm=[0, 2, 1, 3, 4]), n.i64(1, mid, hw, hw))
        y = n.conv(n.conv(y, mid, mid, 3, s, g=mid, bn=True), mid, out, 1, g=g, bn=True)
        if s == 2:
            x = n.op("AveragePool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
            x, hw = n.op("Relu", n.op("Concat", x, y, axis=1)), hw // 2
        else:
            x = n.op("Relu", n.op("Add", x, y))
        c = 240
    return classify(n, x, c)


def mobilenetv3():
    n = Net("mobilenetv3", 14)
    x = n.input("input", [1, 3, 48, 48])
    x, c = n.conv(x, 3, 16, 3, 2, act="hswish"), 16
    blocks = [(3, 64, 24, False, 2), (5, 72, 40, True, 2), (5, 120, 40, True, 1), (3, 200, 80, False, 1)]
    for k, e, co, squeezes, s in blocks:
        y = n.conv(n.conv(x, c, e, 1, act="hswish"), e, e, k, s, g=e, act="hswish")
        if squeezes:
            q = n.conv(n.op("GlobalAveragePool", y), e, e // 4, 1, act="relu")
            q = n.op("HardSigmoid", n.conv(q, e // 4, e, 1), alpha=1 / 6, beta=0.5)
            y = n.op("Mul", y, q)
        y = n.conv(y, e, co, 1)
        x, c = n.op("Add", x, y) if s == 1 and c == co else y, co
    return classify(n, x, c)


def lcnet():
    """As PaddleOCR's: scalars before and after activations; a sum, then normalisation, behind."""
    n = Net("lcnet", 14)
    x, c = n.input("input", [1, 3, 40, 40]), 3
    for co, s in ((16, 2), (24, 1), (48, 2)):
        y = n.conv(x, c, co, 3, s, bias=False) if c == 3 else n.conv(x, c, c, 3, s, g=c, bias=False)
        if c != 3:
            y = n.conv(y, c, co, 1, bias=False)
        y = norm(n, n.op("Add", y, n.const(n.rng.standard_normal((1, co, 1, 1)))), co)
        y = n.op("HardSwish", n.op("Add", n.op("Mul", y, n.f32(0.9)), n.f32(0.1)))
        x, c = n.op("Add", n.op("Mul", y, n.f32(1.2)), n.f32(-0.05)), co
    return classify(n, x, c)


def transposed(n, x, ci, co, k, p):
    w = n.rng.standard_normal((ci, co, k, k)).astype(np.float32) * np.sqrt(2 / (ci * k))
    bias = n.const(np.zeros(co, np.float32))
    return n.op("ConvTranspose", x, n.const(w), bias, kernel_shape=[k, k], strides=[2, 2], pads=[p] * 4)


def unet():
    n = Net("unet")
    x, c, skips = n.input("input", [1, 3, 32, 32]), 3, []
    for co in (16, 32):
        x = n.conv(n.conv(x, c, co, 3, act="relu", bn=True), co, co, 3, act="relu", bn=True)
        skips.append((x, co))
        x, c = n.maxpool(x, 2, 2), co
    x, c = n.conv(x, c, 64, 3, act="relu", bn=True), 64
    for skip, co in reversed(skips):
        x = n.op("Concat", skip, transposed(n, x, c, co, 2, 0), axis=1)
        x, c = n.conv(x, 2 * co, co, 3, act="relu", bn=True), co
    x = n.op("Relu", transposed(n, x, c, 24, 4, 1))
    n.op("Sigmoid", n.conv(x, 24, 3, 3))
    return finish(n, [1, 3, 64, 64])


def deeplab():
    n = Net("deeplab")
    x = n.conv(n.input("input", [1, 3, 65, 65]), 3, 32, 3, 2, act="relu")
    for d in (1, 2, 4):
        x = n.op("Relu", n.op("Add", x, n.conv(x, 32, 32, 3, d=d)))
    parts = [n.conv(x, 32, 16, 1)] + [n.conv(x, 32, 16, 3, d=d) for d in (6, 12, 18)]
    pooled = n.conv(n.op("GlobalAveragePool", x), 32, 16, 1)
    parts.append(n.op("Expand", pooled, n.i64(1, 16, 33, 33)))
    x = n.conv(n.op("Concat", *parts, axis=1), 80, 21, 1)
    mode = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}
    n.op("Resize", x, "", "", n.i64(1, 21, 65, 65), **mode)
    return finish(n, [1, 21, 65, 65])


def odd():
    n = Net("odd", 14)
    x = n.conv(n.input("input", [1, 3, 47, 61]), 3, 37, 5, act="leaky")
    x = n.conv(n.conv(x, 37, 53, 3, 2, act="relu"), 53, 53, 7, act="silu")
    x = n.op("Relu", n.op("Add", x, n.conv(x, 53, 53, 3)))
    x = n.conv(n.conv(x, 53, 75, 3, 3, p=0, act="hswish"), 75, 75, 5, g=5, act="relu")
    n.op("Sigmoid", n.conv(x, 75, 19, 1))
    return finish(n, [1, 19, 8, 10])


def ghostnet():
    """Halves of odd counts, concatenated within blocks of channels; squeeze-and-excitation; 5 x 5 depthwise."""
    n = Net("ghostnet")
    x, c = n.conv(n.input("input", [1, 3, 45, 45]), 3, 18, 3, 2, act="relu"), 18

    def ghost(x, ci, co, act):
        y = n.conv(x, ci, co // 2, 1, act=act)
        return n.op("Concat", y, n.conv(y, co // 2, co // 2, 3, g=co // 2, act=act), axis=1)

    for k, e, co, s, squeezes in ((3, 30, 18, 1, False), (5, 42, 30, 2, True), (3, 66, 30, 1, False), (5, 90, 42, 2, True)):
        y = ghost(x, c, e, "relu")
        y = n.conv(y, e, e, k, s, g=e) if s > 1 else y
        if squeezes:
            q = n.conv(n.op("GlobalAveragePool", y), e, e // 4, 1, act="relu")
            y = n.op("Mul", y, n.op("HardSigmoid", n.conv(q, e // 4, e, 1), alpha=1 / 6, beta=0.5))
        y = ghost(y, e, co, None)
        x = x if s == 1 and c == co else n.conv(n.conv(x, c, c, k, s, g=c), c, co, 1)
        x, c = n.op("Add", y, x), co
    return classify(n, x, c)


def yolo():
    """Stages that part and join, pools of one map side by side, two scales: of odd counts all."""
    n = Net("yolo", 14)

    def csp(x, ci, co, adds):
        a, b = (n.conv(x, ci, co // 2, 1, act="silu") for _ in range(2))
        y = n.conv(n.conv(a, co // 2, co // 2, 1, act="silu"), co // 2, co // 2, 3, act="silu")
        y = n.op("Concat", n.op("Add", a, y) if adds else y, b, axis=1)
        return n.conv(y, co, co, 1, act="silu")

    x = n.conv(n.input("input", [1, 3, 48, 72]), 3, 12, 6, 2, p=2, act="silu")
    fine = csp(n.conv(x, 12, 20, 3, 2, act="silu"), 20, 20, True)
    x = csp(n.conv(fine, 20, 36, 3, 2, act="silu"), 36, 36, True)
    pools = [n.conv(x, 36, 18, 1, act="silu")]
    for _ in range(3):
        pools.append(n.maxpool(pools[-1], 5, 1, 2))
    x = n.conv(n.op("Concat", *pools, axis=1), 72, 20, 1, act="silu")
    x = n.op("Resize", x, "", n.const(np.array([1, 1, 2, 2], np.float32)), mode="nearest")
    x = csp(n.op("Concat", x, fine, axis=1), 40, 20, False)
    n.op("Sigmoid", n.conv(x, 20, 21, 1))
    return finish(n, [1, 21, 12, 18])


def conv_1d(n, x, ci, co, k, d=1):
    w = n.rng.standard_normal((co, ci, k)).astype(np.float32) * np.sqrt(2 / (ci * k))
    p = (k - 1) // 2 * d
    return n.op("Conv", x, n.const(w), kernel_shape=[k], pads=[p, p], dilations=[d])


def wavenet():
    n = Net("wavenet")
    x, skip = conv_1d(n, n.input("input", [1, 1, 300]), 1, 24, 3), None
    for d in (1, 4, 16, 64):
        y = n.op("Mul", n.op("Tanh", conv_1d(n, x, 24, 24, 3, d)), n.op("Sigmoid", conv_1d(n, x, 24, 24, 3, d)))
        s = conv_1d(n, y, 24, 40, 1)
        skip = s if skip is None else n.op("Add", skip, s)
        x = n.op("Add", x, conv_1d(n, y, 24, 24, 1))
    conv_1d(n, n.op("Relu", skip), 40, 16, 1)
    return finish(n, [1, 16, 300])


def heads_of(n, t, seq, heads, d):
    return n.op("Transpose", n.op("Reshape", t, n.i64(1, seq, heads, d)), perm=[0, 2, 1, 3])


def attend(n, q, k, v, seq, width, mask=None):
    scores = n.op("MatMul", q, n.op("Transpose", k, perm=[0, 1, 3, 2]))
    scores = n.op("Mul", scores, n.f32(0.25))
    scores = n.op("Add", scores, mask) if mask is not None else scores
    y = n.op("MatMul", n.op("Softmax", scores, axis=-1), v)
    return n.op("Reshape", n.op("Transpose", y, perm=[0, 2, 1, 3]), n.i64(1, seq, width))


def vit():
    n, d, seq = Net("vit", 17), 48, 17
    x = n.conv(n.input("input", [1, 3, 32, 32]), 3, d, 8, 8, 0)
    x = n.op("Transpose", n.op("Reshape", x, n.i64(1, d, 16)), perm=[0, 2, 1])
    x = n.op("Concat", n.const(n.rng.standard_normal((1, 1, d))), x, axis=1)
    for _ in range(2):
        t = n.linear(n.ln(x, d), d, 3 * d)
        t = n.op("Transpose", n.op("Reshape", t, n.i64(1, seq, 3, 3, 16)), perm=[2, 0, 3, 1, 4])
        q, k, v = (n.op("Squeeze", p, n.i64(0)) for p in n.op("Split", t, axis=0, n_out=3))
        x = n.op("Add", x, n.linear(attend(n, q, k, v, seq, d), d, d))
        x = n.op("Add", x, n.linear(n.gelu(n.linear(n.ln(x, d), d, 4 * d)), 4 * d, d))
    x = n.op("Gather", n.ln(x, d), n.const(np.array(0, np.int64)), axis=1)
    n.fc(x, d, 10)
    return finish(n, [1, 10])


def decoder(seq, past):
    n, d, heads = Net(f"decoder{seq}", 17), 64, 4
    ids = n.input("input_ids", [1, seq], T.INT64)
    x = n.op("Gather", n.const(n.rng.standard_normal((50, d))), ids, axis=0)
    mask = n.const(np.triu(np.full((seq, seq + past), -1e9, np.float32), 1 + past)[None, None])
    for layer in range(2):
        q, k, v = n.op("Split", n.linear(n.ln(x, d), d, 3 * d), axis=2, n_out=3)
        q, k, v = (heads_of(n, t, seq, heads, 16) for t in (q, k, v))
        if past:
            k = n.op("Concat", n.input(f"past_k{layer}", [1, heads, past, 16]), k, axis=2, out=f"k{layer}")
            v = n.op("Concat", n.input(f"past_v{layer}", [1, heads, past, 16]), v, axis=2, out=f"v{layer}")
            n.output(k, [1, heads, past + seq, 16])
            n.output(v, [1, heads, past + seq, 16])
        x = n.op("Add", x, n.linear(attend(n, q, k, v, seq, d, mask), d, d))
        h = n.linear(n.ln(x, d), d, 4 * d)
        cubic = n.op("Mul", n.op("Pow", h, n.f32(3.0)), n.f32(0.044715))
        t = n.op("Tanh", n.op("Mul", n.op("Add", h, cubic), n.f32(0.7978845608)))
        g = n.op("Mul", n.op("Mul", h, n.op("Add", t, n.f32(1.0))), n.f32(0.5))
        x = n.op("Add", x, n.linear(g, 4 * d, d))
    n.op("MatMul", n.ln(x, d), n.const(n.rng.standard_normal((d, 50)) * 0.1))
    return finish(n, [1, seq, 50])


def recurrent(n, kind, x, ci, hidden, bidirectional=False, **attrs):
    """x [seq, batch, ci]; returns [seq, batch, directions * hidden], as exporters write it."""
    rows, d = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind] * hidden, 2 if bidirectional else 1
    bound = 1 / np.sqrt(hidden)
    w, r, b = (n.const(n.rng.uniform(-bound, bound, s).astype(np.float32)) for s in ((d, rows, ci), (d, rows, hidden), (d, 2 * rows)))
    state = [n.const(np.zeros((d, 1, hidden), np.float32))] * (2 if kind == "LSTM" else 1)
    direction = "bidirectional" if bidirectional else "forward"
    y = n.op(kind, x, w, r, b, "", *state, n_out=1 + len(state), hidden_size=hidden, direction=direction, **attrs)[0]
    if not bidirectional:
        return n.op("Squeeze", y, n.i64(1))
    return n.op("Reshape", n.op("Transpose", y, perm=[0, 2, 1, 3]), n.i64(0, 0, -1))


def tagger():
    n = Net("tagger", 17)
    x = n.op("Gather", n.const(n.rng.standard_normal((80, 36))), n.input("words", [23, 1], T.INT64), axis=0)
    x = recurrent(n, "LSTM", x, 36, 40, True)
    x = recurrent(n, "LSTM", x, 80, 40, True)
    n.op("LogSoftmax", n.linear(x, 80, 17), axis=2)
    return finish(n, [23, 1, 17])


def speech():
    n = Net("speech", 17)
    x = n.op("Relu", conv_1d(n, n.input("input", [1, 20, 60]), 20, 48, 5))
    x = n.op("Transpose", x, perm=[2, 0, 1])
    x = recurrent(n, "GRU", x, 48, 72, linear_before_reset=1)
    x = recurrent(n, "GRU", x, 72, 33, True)
    x = recurrent(n, "RNN", x, 66, 21)
    n.linear(x, 21, 12)
    return finish(n, [60, 1, 12])


def resnext():
    n = Net("resnext")
    x, c = n.conv(n.input("input", [2, 3, 33, 33]), 3, 32, 7, 2, act="relu", bn=True), 32
    x = n.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    for co, s in ((64, 1), (64, 1), (96, 2)):
        y = n.conv(n.conv(x, c, co, 1, act="relu", bn=True), co, co, 3, s, g=8, act="relu", bn=True)
        y = n.conv(y, co, co, 1, bn=True)
        x, c = n.op("Relu", n.op("Add", y, x if s == 1 and c == co else n.conv(x, c, co, 1, s, bn=True))), co
    n.fc(n.op("Flatten", n.op("ReduceMean", x, axes=[2, 3], keepdims=0)), c, 10)
    return finish(n, [2, 10])


def nhwc():
    """As converters write what was NHWC: every convolution between two transposes, pads of their own."""
    n = Net("nhwc")
    to, back = {"perm": [0, 3, 1, 2]}, {"perm": [0, 2, 3, 1]}
    x, c = n.input("input", [1, 41, 35, 3]), 3
    for co, k, s in ((18, 3, 2), (30, 5, 1), (30, 3, 2)):
        y = n.op("Transpose", x, **to)
        y = n.op("Pad", y, n.i64(0, 0, 0, 0, 0, 0, k - s, k - s))
        y = n.op("Transpose", n.conv(y, c, co, k, s, p=0, bias=False), **back)
        x, c = n.op("Clip", n.op("Add", y, n.const(n.rng.standard_normal(co) * 0.1)), n.f32(0.0), n.f32(6.0)), co
    x = n.op("ReduceMean", x, axes=[1, 2], keepdims=0)
    n.op("Softmax", n.linear(x, c, 7), axis=-1)
    return finish(n, [1, 7])


def style():
    n = Net("style", 14)
    edge = [n.i64(0, 0, p, p, 0, 0, p, p) for p in (4, 1)]
    x = n.conv(n.op("Pad", n.input("input", [1, 3, 37, 42]), edge[0], mode="reflect"), 3, 16, 9, p=0)

    def normal(x, c):
        scale, bias = (n.const(n.rng.uniform(0.5, 1.5, c).astype(np.float32)) for _ in range(2))
        return n.op("InstanceNormalization", x, scale, bias, epsilon=1e-5)

    x = n.op("Relu", normal(x, 16))
    x = n.op("Relu", normal(n.conv(n.op("Pad", x, edge[1], mode="reflect"), 16, 30, 3, 2, p=0), 30))
    x = n.op("Resize", x, "", n.const(np.array([1, 1, 2, 2], np.float32)), mode="nearest")
    x = n.op("Relu", normal(n.conv(n.op("Pad", x, edge[1], mode="edge"), 30, 16, 3, p=0), 16))
    n.op("Tanh", n.conv(n.op("Pad", x, edge[0], mode="reflect"), 16, 3, 9, p=0))
    return finish(n, [1, 3, 38, 42])


def video():
    n = Net("video")

    def conv_3d(x, ci, co, k, s):
        w = n.rng.standard_normal((co, ci, k, k, k)).astype(np.float32) * np.sqrt(2 / (ci * k**3))
        return n.op("Relu", n.op("Conv", x, n.const(w), kernel_shape=[k] * 3, strides=[s] * 3, pads=[k // 2] * 6))

    x = conv_3d(conv_3d(n.input("input", [1, 3, 7, 20, 22]), 3, 12, 3, 1), 12, 20, 3, 2)
    x = n.op("AveragePool", x, kernel_shape=[2, 2, 2], strides=[2, 2, 2])
    return classify(n, conv_3d(x, 20, 25, 1, 1), 25)


def vocoder():
    """Transposed convolutions along one axis, odd strides, groups, dilations and output padding."""
    n = Net("vocoder")
    x, c, size = conv_1d(n, n.input("input", [1, 20, 17]), 20, 36, 7), 36, 17
    for co, k, s, p, out, g in ((24, 8, 4, 2, 0, 1), (12, 5, 3, 1, 0, 3), (10, 4, 2, 2, 1, 2)):
        w = n.rng.standard_normal((c, co // g, k)).astype(np.float32) * np.sqrt(s / (c // g * k))
        x = n.op("LeakyRelu", x, alpha=0.1)
        attrs = {"kernel_shape": [k], "strides": [s], "pads": [p, p], "output_padding": [out], "group": g}
        x, c, size = n.op("ConvTranspose", x, n.const(w), **attrs), co, (size - 1) * s - 2 * p + k + out
        for d in (1, 3):
            x = n.op("Add", x, conv_1d(n, n.op("LeakyRelu", x, alpha=0.1), c, c, 3, d))
    n.op("Tanh", conv_1d(n, x, c, 1, 7))
    return finish(n, [1, 1, size])


def swin():
    """Windows of 4 x 4 of a map of 8 x 8, shifted by 2 in the second block, with biases for positions."""
    n, d, heads = Net("swin", 17), 48, 3
    x = n.conv(n.input("input", [1, 3, 32, 32]), 3, d, 4, 4, 0)
    x = n.op("Transpose", n.op("Reshape", x, n.i64(1, d, 64)), perm=[0, 2, 1])

    def roll(x, by):
        for axis in (1, 2):
            first = n.op("Slice", x, n.i64(by), n.i64(2**31 - 1), n.i64(axis))
            x = n.op("Concat", first, n.op("Slice", x, n.i64(0), n.i64(by), n.i64(axis)), axis=axis)
        return x

    for shift in (0, 2):
        y = n.op("Reshape", n.ln(x, d), n.i64(1, 8, 8, d))
        y = roll(y, shift) if shift else y
        y = n.op("Transpose", n.op("Reshape", y, n.i64(1, 2, 4, 2, 4, d)), perm=[0, 1, 3, 2, 4, 5])
        t = n.linear(n.op("Reshape", y, n.i64(-1, 16, d)), d, 3 * d)
        t = n.op("Transpose", n.op("Reshape", t, n.i64(4, 16, 3, heads, 16)), perm=[2, 0, 3, 1, 4])
        q, k, v = (n.op("Gather", t, n.const(np.array(i, np.int64)), axis=0) for i in range(3))
        a = n.op("MatMul", n.op("Mul", q, n.f32(0.25)), n.op("Transpose", k, perm=[0, 1, 3, 2]))
        a = n.op("Add", a, n.const(n.rng.standard_normal((1, heads, 16, 16))))
        y = n.op("Transpose", n.op("MatMul", n.op("Softmax", a, axis=-1), v), perm=[0, 2, 1, 3])
        y = n.linear(n.op("Reshape", y, n.i64(4, 16, d)), d, d)
        y = n.op("Transpose", n.op("Reshape", y, n.i64(1, 2, 2, 4, 4, d)), perm=[0, 1, 3, 2, 4, 5])
        y = n.op("Reshape", y, n.i64(1, 8, 8, d))
        x = n.op("Add", x, n.op("Reshape", roll(y, 8 - shift) if shift else y, n.i64(1, 64, d)))
        x = n.op("Add", x, n.linear(n.gelu(n.linear(n.ln(x, d), d, 2 * d)), 2 * d, d))
    n.fc(n.op("ReduceMean", n.ln(x, d), axes=[1], keepdims=0), d, 10)
    return finish(n, [1, 10])


def hyper():
    """Convolutions whose weights are computed, and a grid that is sampled."""
    n = Net("hyper", 16)
    x = n.conv(n.input("input", [1, 3, 24, 26]), 3, 16, 3, act="relu")
    pooled = n.op("Flatten", n.op("GlobalAveragePool", x))
    w = n.op("Reshape", n.op("Tanh", n.linear(pooled, 16, 12 * 16 * 9)), n.i64(12, 16, 3, 3))
    x = n.op("Relu", n.op("Conv", x, w, pads=[1] * 4))
    grid = n.op("Reshape", n.op("Tanh", n.linear(pooled, 16, 30)), n.i64(1, 3, 5, 2))
    grid = n.op("Transpose", n.op("Resize", n.op("Transpose", grid, perm=[0, 3, 1, 2]), "", "", n.i64(1, 2, 12, 14), mode="linear"), perm=[0, 2, 3, 1])
    x = n.op("GridSample", x, grid, mode="bilinear", padding_mode="zeros", align_corners=0)
    norm = n.op("ReduceL2", n.op("Flatten", x), axes=[1])
    n.op("Div", x, norm)
    return finish(n, [1, 12, 12, 14])


FAMILIES = {
    "densenet": densenet,
    "shufflenet": shufflenet,
    "mobilenetv3": mobilenetv3,
    "lcnet": lcnet,
    "unet": unet,
    "deeplab": deeplab,
    "odd": odd,
    "ghostnet": ghostnet,
    "yolo": yolo,
    "wavenet": wavenet,
    "vit": vit,
    "resnext": resnext,
    "nhwc": nhwc,
    "style": style,
    "video": video,
    "vocoder": vocoder,
    "swin": swin,
    "hyper": hyper,
    "tagger": tagger,
    "speech": speech,
    "decoder_prefill": lambda: decoder(12, 0),
    "decoder_step": lambda: decoder(1, 20),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder")
    parser.add_argument("name", nargs="*", choices=[[], *FAMILIES])
    args = parser.parse_args()
    os.makedirs(args.folder, exist_ok=True)
    for name in args.name or FAMILIES:
        FAMILIES[name]().save(os.path.join(args.folder, name + ".onnx"))
        print(name)


if __name__ == "__main__":
    main()
