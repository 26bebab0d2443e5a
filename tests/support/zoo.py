"""Writes well-known network architectures as ONNX files with seeded random weights.

    zoo.py [--size small|full] FOLDER [NAME ...]        (no NAME: all)

`small` has the same layers on smaller pictures (or fewer tokens), for tests of plain kernels.
Weights are He-scaled normals, so activations keep a sane range and an output
comparison is meaningful. Needs python packages onnx and numpy only.
"""

import argparse
import os
import zlib

import numpy as np
import onnx
from onnx import helper as h, numpy_helper as nh, TensorProto as T


class Net:
    def __init__(self, name, opset=13):
        self.name, self.opset = (name, opset)
        self.nodes, self.inits, self.ins, self.outs, self.n = ([], [], [], [], 0)
        self.rng = np.random.default_rng(zlib.crc32(name.encode()))

    def input(self, name, shape, dtype=T.FLOAT):
        self.ins.append(h.make_tensor_value_info(name, dtype, shape))
        return name

    def output(self, name, shape=None, dtype=T.FLOAT):
        self.outs.append(h.make_tensor_value_info(name, dtype, shape))

    def const(self, arr, name=None):
        self.n += 1
        name = name or f"w{self.n}"
        arr = np.asarray(arr, order="C")
        if arr.dtype == np.float64:
            arr = arr.astype(np.float32)  # numpy 2 widens float32 * np.float64
        self.inits.append(nh.from_array(arr, name))
        return name

    def i64(self, *v):
        return self.const(np.array(v, np.int64))

    def f32(self, v):
        return self.const(np.array(v, np.float32))

    def op(self, type_, *ins, n_out=1, out=None, **attrs):
        self.n += 1
        outs = (
            [out]
            if out
            else [f"{type_.lower()}{self.n}" + (f"_{i}" if n_out > 1 else "") for i in range(n_out)]
        )
        self.nodes.append(h.make_node(type_, list(ins), outs, name=f"{type_}_{self.n}", **attrs))
        return outs[0] if n_out == 1 else outs

    def conv(self, x, ci, co, k, s=1, p=None, g=1, bias=True, d=1, act=None, bn=False):
        p = (k - 1) // 2 * d if p is None else p
        w = self.rng.standard_normal((co, ci // g, k, k)).astype(np.float32) * np.sqrt(
            2.0 / (ci // g * k * k)
        )
        args = [x, self.const(w)]
        if bias and (not bn):
            args.append(self.const(self.rng.standard_normal(co).astype(np.float32) * 0.05))
        y = self.op(
            "Conv",
            *args,
            kernel_shape=[k, k],
            strides=[s, s],
            pads=[p, p, p, p],
            group=g,
            dilations=[d, d],
        )
        if bn:
            y = self.op(
                "BatchNormalization",
                y,
                self.const(self.rng.uniform(0.8, 1.2, co).astype(np.float32)),
                self.const(self.rng.standard_normal(co).astype(np.float32) * 0.1),
                self.const(self.rng.standard_normal(co).astype(np.float32) * 0.1),
                self.const(self.rng.uniform(0.8, 1.2, co).astype(np.float32)),
                epsilon=1e-05,
            )
        return self.act(y, act)

    def act(self, y, act):
        if act == "relu":
            return self.op("Relu", y)
        if act == "relu6":
            return self.op("Clip", y, self.f32(0.0), self.f32(6.0))
        if act == "leaky":
            return self.op("LeakyRelu", y, alpha=0.1)
        if act == "silu":
            return self.op("Mul", y, self.op("Sigmoid", y))
        if act == "hswish":
            return (
                self.op("HardSwish", y)
                if self.opset >= 14
                else self.op("Mul", y, self.op("HardSigmoid", y, alpha=1 / 6, beta=0.5))
            )
        return y

    def maxpool(self, x, k, s, p=0, ceil=0):
        return self.op(
            "MaxPool", x, kernel_shape=[k, k], strides=[s, s], pads=[p] * 4, ceil_mode=ceil
        )

    def fc(self, x, ci, co):
        w = self.rng.standard_normal((co, ci)).astype(np.float32) * np.sqrt(1.0 / ci)
        return self.op(
            "Gemm",
            x,
            self.const(w),
            self.const(self.rng.standard_normal(co).astype(np.float32) * 0.05),
            transB=1,
        )

    def linear(self, x, ci, co):
        w = self.rng.standard_normal((ci, co)).astype(np.float32) * np.sqrt(1.0 / ci)
        return self.op(
            "Add",
            self.op("MatMul", x, self.const(w)),
            self.const(self.rng.standard_normal(co).astype(np.float32) * 0.05),
        )

    def ln(self, x, c):
        g, b = (
            self.const(self.rng.uniform(0.8, 1.2, c).astype(np.float32)),
            self.const(self.rng.standard_normal(c).astype(np.float32) * 0.1),
        )
        if self.opset >= 17:
            return self.op("LayerNormalization", x, g, b, axis=-1, epsilon=1e-05)
        mu = self.op("ReduceMean", x, axes=[-1])
        d = self.op("Sub", x, mu)
        v = self.op("ReduceMean", self.op("Pow", d, self.f32(2.0)), axes=[-1])
        return self.op(
            "Add",
            self.op(
                "Mul", self.op("Div", d, self.op("Sqrt", self.op("Add", v, self.f32(1e-05)))), g
            ),
            b,
        )

    def gelu(self, x):
        e = self.op("Erf", self.op("Div", x, self.f32(1.41421356)))
        return self.op("Mul", self.op("Mul", x, self.op("Add", e, self.f32(1.0))), self.f32(0.5))

    def save(self, path):
        g = h.make_graph(self.nodes, self.name, self.ins, self.outs, self.inits)
        m = h.make_model(g, opset_imports=[h.make_opsetid("", self.opset)], producer_name="zoo")
        m.ir_version = 8
        onnx.checker.check_model(m)
        onnx.save(m, path)


def espcn(hw, b=1, r=3):
    n = Net("espcn")
    x = n.input("input", [b, 1, hw, hw])
    x = n.conv(x, 1, 64, 5, act="relu")
    x = n.conv(x, 64, 64, 3, act="relu")
    x = n.conv(x, 64, 32, 3, act="relu")
    x = n.conv(x, 32, r * r, 3)
    x = n.op("Reshape", x, n.i64(b, 1, r, r, hw, hw))
    x = n.op("Transpose", x, perm=[0, 1, 4, 2, 5, 3])
    n.op("Reshape", x, n.i64(b, 1, hw * r, hw * r), out="output")
    n.output("output", [b, 1, hw * r, hw * r])
    return n


def resnet(hw, name, blocks, bottleneck, b=1, bn=False):
    n = Net(name)
    x = n.input("input", [b, 3, hw, hw])
    x = n.conv(x, 3, 64, 7, 2, act="relu", bn=bn)
    x = n.maxpool(x, 3, 2, 1)
    ci = 64
    for st, nb in enumerate(blocks):
        w = 64 << st
        co = w * 4 if bottleneck else w
        for i in range(nb):
            s = 2 if st and i == 0 else 1
            sc = x
            if bottleneck:
                y = n.conv(x, ci, w, 1, act="relu", bn=bn)
                y = n.conv(y, w, w, 3, s, act="relu", bn=bn)
                y = n.conv(y, w, co, 1, bn=bn)
            else:
                y = n.conv(x, ci, w, 3, s, act="relu", bn=bn)
                y = n.conv(y, w, w, 3, bn=bn)
            if s != 1 or ci != co:
                sc = n.conv(x, ci, co, 1, s, 0, bn=bn)
            x = n.op("Relu", n.op("Add", y, sc))
            ci = co
    x = n.op("Flatten", n.op("GlobalAveragePool", x))
    y = n.fc(x, ci, 1000)
    n.nodes[-1].output[0] = "output"
    n.output("output", [b, 1000])
    return n


def mobilenetv2(hw, b=1):
    n = Net("mobilenetv2")
    x = n.input("input", [b, 3, hw, hw])
    x = n.conv(x, 3, 32, 3, 2, act="relu6")
    ci = 32
    for t, c, k, s in [
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ]:
        for i in range(k):
            st = s if i == 0 else 1
            y = x
            e = ci * t
            if t != 1:
                y = n.conv(y, ci, e, 1, act="relu6")
            y = n.conv(y, e, e, 3, st, g=e, act="relu6")
            y = n.conv(y, e, c, 1)
            x = n.op("Add", x, y) if st == 1 and ci == c else y
            ci = c
    x = n.conv(x, ci, 1280, 1, act="relu6")
    x = n.op("Flatten", n.op("GlobalAveragePool", x))
    n.fc(x, 1280, 1000)
    n.nodes[-1].output[0] = "output"
    n.output("output", [b, 1000])
    return n


def squeezenet(hw, b=1):
    n = Net("squeezenet")
    x = n.input("input", [b, 3, hw, hw])
    x = n.conv(x, 3, 64, 3, 2, 0, act="relu")
    x = n.maxpool(x, 3, 2, 0, 1)

    def fire(x, ci, s, e):
        x = n.conv(x, ci, s, 1, act="relu")
        return n.op(
            "Concat", n.conv(x, s, e, 1, act="relu"), n.conv(x, s, e, 3, act="relu"), axis=1
        )

    x = fire(x, 64, 16, 64)
    x = fire(x, 128, 16, 64)
    x = n.maxpool(x, 3, 2, 0, 1)
    x = fire(x, 128, 32, 128)
    x = fire(x, 256, 32, 128)
    x = n.maxpool(x, 3, 2, 0, 1)
    x = fire(x, 256, 48, 192)
    x = fire(x, 384, 48, 192)
    x = fire(x, 384, 64, 256)
    x = fire(x, 512, 64, 256)
    x = n.conv(x, 512, 1000, 1, act="relu")
    x = n.op("GlobalAveragePool", x)
    n.op("Softmax", n.op("Flatten", x), axis=1, out="output")
    n.output("output", [b, 1000])
    return n


def vgg16(hw, b=1):
    n = Net("vgg16")
    x = n.input("input", [b, 3, hw, hw])
    ci = 3
    for c in [64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0]:
        if c == 0:
            x = n.maxpool(x, 2, 2)
        else:
            x = n.conv(x, ci, c, 3, act="relu")
            ci = c
    x = n.op("Flatten", x)
    x = n.op("Relu", n.fc(x, 512 * (hw // 32) ** 2, 4096))
    x = n.op("Relu", n.fc(x, 4096, 4096))
    n.fc(x, 4096, 1000)
    n.nodes[-1].output[0] = "output"
    n.output("output", [b, 1000])
    return n


def encoder(seq, name="bert6", layers=6, d=384, heads=12, ff=1536, b=1, opset=17, vocab=8000):
    n = Net(name, opset)
    ids = n.input("input_ids", [b, seq], T.INT64)
    mask = n.input("attention_mask", [b, seq], T.INT64)
    emb = n.const(n.rng.standard_normal((vocab, d)).astype(np.float32) * 0.5)
    pos = n.const(n.rng.standard_normal((1, seq, d)).astype(np.float32) * 0.1)
    x = n.ln(n.op("Add", n.op("Gather", emb, ids, axis=0), pos), d)
    m = n.op("Cast", n.op("Unsqueeze", mask, n.i64(1, 2)), to=T.FLOAT)
    m = n.op("Mul", n.op("Sub", n.f32(1.0), m), n.f32(-10000.0))
    hd = d // heads

    def split(y, perm):
        return n.op("Transpose", n.op("Reshape", y, n.i64(b, seq, heads, hd)), perm=perm)

    for _ in range(layers):
        q, k, v = (
            split(n.linear(x, d, d), [0, 2, 1, 3]),
            split(n.linear(x, d, d), [0, 2, 3, 1]),
            split(n.linear(x, d, d), [0, 2, 1, 3]),
        )
        s = n.op(
            "Softmax",
            n.op("Add", n.op("Div", n.op("MatMul", q, k), n.f32(np.sqrt(hd))), m),
            axis=-1,
        )
        a = n.op(
            "Reshape", n.op("Transpose", n.op("MatMul", s, v), perm=[0, 2, 1, 3]), n.i64(b, seq, d)
        )
        x = n.ln(n.op("Add", x, n.linear(a, d, d)), d)
        x = n.ln(n.op("Add", x, n.linear(n.gelu(n.linear(x, d, ff)), ff, d)), d)
    n.op(
        "Tanh",
        n.linear(n.op("Gather", x, n.const(np.array(0, np.int64)), axis=1), d, d),
        out="output",
    )
    n.output("output", [b, d])
    return n


def inception(hw, b=1):
    """Four-branch blocks: independent operators that can run side by side."""

    n = Net("inception")
    x = n.input("input", [b, 3, hw, hw])
    x = n.maxpool(n.conv(x, 3, 64, 7, 2, act="relu"), 3, 2, 1)
    x = n.conv(n.conv(x, 64, 64, 1, act="relu"), 64, 192, 3, act="relu")
    x = n.maxpool(x, 3, 2, 1)

    def blk(x, ci, a, b1, b2, c1, c2, d):
        return n.op(
            "Concat",
            n.conv(x, ci, a, 1, act="relu"),
            n.conv(n.conv(x, ci, b1, 1, act="relu"), b1, b2, 3, act="relu"),
            n.conv(n.conv(x, ci, c1, 1, act="relu"), c1, c2, 5, act="relu"),
            n.conv(n.maxpool(x, 3, 1, 1), ci, d, 1, act="relu"),
            axis=1,
        )

    x = blk(x, 192, 64, 96, 128, 16, 32, 32)
    x = blk(x, 256, 128, 128, 192, 32, 96, 64)
    x = n.maxpool(x, 3, 2, 1)
    for p in [
        (480, 192, 96, 208, 16, 48, 64),
        (512, 160, 112, 224, 24, 64, 64),
        (512, 128, 128, 256, 24, 64, 64),
        (512, 112, 144, 288, 32, 64, 64),
        (528, 256, 160, 320, 32, 128, 128),
    ]:
        x = blk(x, *p)
    x = n.maxpool(x, 3, 2, 1)
    x = blk(x, 832, 256, 160, 320, 32, 128, 128)
    x = blk(x, 832, 384, 192, 384, 48, 128, 128)
    n.fc(n.op("Flatten", n.op("GlobalAveragePool", x)), 1024, 1000)
    n.nodes[-1].output[0] = "output"
    n.output("output", [b, 1000])
    return n


# name -> (builder, full size, small size); a size is pixels on a side, or tokens.
ZOO = {
    "espcn": (espcn, 224, 32),
    "resnet50": (lambda hw: resnet(hw, "resnet50", [3, 4, 6, 3], True), 224, 64),
    "resnet50_b8": (lambda hw: resnet(hw, "resnet50_b8", [3, 4, 6, 3], True, b=8), 224, 32),
    "mobilenetv2": (mobilenetv2, 224, 64),
    "squeezenet": (squeezenet, 224, 64),
    "vgg16": (vgg16, 224, 32),
    "bert6": (encoder, 128, 16),
    "inception": (inception, 224, 64),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", choices=["small", "full"], default="full")
    parser.add_argument("folder")
    parser.add_argument("name", nargs="*", help="default: all of " + ", ".join(ZOO))
    args = parser.parse_args()
    for name in args.name:
        if name not in ZOO:
            parser.error(f"no network '{name}': there are {', '.join(ZOO)}")
    os.makedirs(args.folder, exist_ok=True)
    for name in args.name or ZOO:
        build, full, small = ZOO[name]
        path = os.path.join(args.folder, name + ".onnx")
        build(small if args.size == "small" else full).save(path)
        print(name, os.path.getsize(path))


if __name__ == "__main__":
    main()
