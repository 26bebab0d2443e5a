#!/usr/bin/env python3
"""Train, export and judge espcn_x3.onnx, the super-resolution model that cleave ships.

    python3 models/train_espcn.py                                      train, export, judge
    python3 models/train_espcn.py --evaluate-only models/espcn_x3.onnx judge, no training
    python3 models/train_espcn.py --evaluate-only models/espcn_x3.onnx \\
        --side-by-side docs/images/espcn_side_by_side.png              and draw the comparison

Judging runs the ONNX file on the held-out photographs with onnxruntime, prints the PSNR table and
checks the file's output against the same chain computed by PyTorch.

Needs: the packages of models/requirements.txt in a virtual environment, and what espcn_data.py
names for the photographs. Two processor cores and 2 GB of memory are enough; no GPU is used.
"""

import argparse
import math
import pathlib
import sys
import time

import numpy as np
import onnx
import onnxruntime
import torch
from PIL import Image, ImageDraw, ImageFont

import espcn_data
import espcn_graph
from espcn_data import RGB_TO_YCBCR, SCALE

ROOT = pathlib.Path(__file__).resolve().parent.parent
SEED = 20240917
BATCH = 4
PATCH = 32
PEAK_RATE = 1.5e-3
FINAL_PART = 0.01
WARM_UP = 500
REPORT_EVERY = 1000
# As in most papers on super-resolution: the outermost pixels have neighbours on one side only.
BORDER = 3
# onnxruntime and PyTorch add up the same float32 products in another order.
TOLERANCE = 1e-4
SAMPLE_NAME = "chelsea.png"
SAMPLE_SIZE = (256, 170)
# The part of the sample that the comparison shows: left, top, right, bottom.
SAMPLE_CROP = (68, 30, 158, 110)
CAPTION_HEIGHT = 24


def build_network():
    """The network on luma, its modules named like the ONNX nodes."""
    network, channels = torch.nn.Sequential(), 1
    for i, (side, outputs) in enumerate(espcn_graph.LAYERS, start=1):
        conv = torch.nn.Conv2d(channels, outputs, side, padding=side // 2)
        torch.nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        torch.nn.init.zeros_(conv.bias)
        network.add_module(f"conv{i}", conv)
        if i < len(espcn_graph.LAYERS):
            network.add_module(f"relu{i}", torch.nn.ReLU())
        channels = outputs
    # A small last layer: the first predictions are near 0 and not noise of the picture's size.
    torch.nn.init.normal_(conv.weight, std=0.01)
    network.add_module("pixel_shuffle", torch.nn.PixelShuffle(SCALE))
    return network.to(memory_format=torch.channels_last)


def learning_rate(step, steps):
    """A short rise, then half a cosine down to FINAL_PART of the peak."""
    cosine = 0.5 * (1 + math.cos(math.pi * step / steps))
    decay = FINAL_PART + (1 - FINAL_PART) * cosine
    return PEAK_RATE * min(1.0, (step + 1) / WARM_UP) * decay


def train(data, steps, seed):
    """Train from scratch on the photographs under `data`; the mean squared error is charged."""
    torch.manual_seed(seed)
    network = build_network()
    patches = espcn_data.PatchSource(espcn_data.training_pairs(data), PATCH, seed)
    optimiser = torch.optim.Adam(network.parameters())
    start, total = time.monotonic(), 0.0
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, steps)
        low, high = map(torch.from_numpy, patches.batch(BATCH))
        loss = torch.nn.functional.mse_loss(network(low), high)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total += loss.item()
        if (step + 1) % REPORT_EVERY == 0:
            quality = -10 * math.log10(total / REPORT_EVERY)
            spent = time.monotonic() - start
            print(f"step {step + 1}: {quality:.2f} dB on its patches, {spent:.0f} s", flush=True)
            total = 0.0
    return network


def exported(network):
    """The ONNX model around a trained network."""
    state = network.state_dict().items()
    return espcn_graph.build({
        name: np.ascontiguousarray(value.contiguous().numpy()) for name, value in state})


def imported(model):
    """The network with the weights of an ONNX model."""
    network = build_network()
    arrays = espcn_graph.weights_of(model).items()
    network.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in arrays})
    return network


def bicubic_matrix(length):
    """[3 length, length]: bicubic enlargement of a line, half-pixel coordinates, edge repeated."""
    a = espcn_graph.CUBIC_COEFF
    matrix = np.zeros((SCALE * length, length))
    for row in range(SCALE * length):
        place = (row + 0.5) / SCALE - 0.5
        for tap in range(math.floor(place) - 1, math.floor(place) + 3):
            x = abs(place - tap)
            near = ((a + 2) * x - (a + 3)) * x * x + 1
            far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
            matrix[row, min(max(tap, 0), length - 1)] += near if x <= 1 else far
    return matrix


@torch.no_grad()
def reference(network, pixels):
    """What the ONNX graph should give for `pixels` [1, 3, H, W], by PyTorch and numpy."""
    ycbcr = np.einsum("ij,njhw->nihw", RGB_TO_YCBCR, pixels.astype(np.float64))
    luma = network(torch.from_numpy(ycbcr[:, :1].astype(np.float32))).numpy()
    rows, columns = (bicubic_matrix(length) for length in pixels.shape[2:])
    chroma = rows @ ycbcr[:, 1:] @ columns.T
    large = np.concatenate([luma, chroma], axis=1)
    return np.einsum("ij,njhw->nihw", np.linalg.inv(RGB_TO_YCBCR), large).clip(0, 1)


def to_pixels(picture):
    """A picture as the model's input: float32 [1, 3, H, W] in 0..1."""
    return np.asarray(picture, np.float32).transpose(2, 0, 1)[None] / 255


def to_picture(pixels):
    """The model's output as an 8-bit picture."""
    return Image.fromarray((pixels[0].transpose(1, 2, 0) * 255).round().astype(np.uint8))


def open_session(model):
    """An onnxruntime session on the processor."""
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"])


def upscale(session, picture):
    """A picture three times as large, by the model."""
    return to_picture(session.run(["output"], {"input": to_pixels(picture)})[0])


def psnr(picture, truth):
    """PSNR in dB of the BT.601 luma of two pictures, their border cut."""
    inner = (slice(BORDER, -BORDER), slice(BORDER, -BORDER))
    error = (espcn_data.luma(picture) - espcn_data.luma(truth))[inner].astype(np.float64)
    return -10 * math.log10((error ** 2).mean())


def judge(session, network, truth):
    """PSNR of bicubic, the ONNX file and PyTorch for one picture, and how far those two differ."""
    low = espcn_data.degrade(truth)
    pixels = to_pixels(low)
    by_file = session.run(["output"], {"input": pixels})[0]
    by_torch = reference(network, pixels)
    bicubic = low.resize(truth.size, Image.Resampling.BICUBIC)
    values = [psnr(picture, truth)
              for picture in (bicubic, to_picture(by_file), to_picture(by_torch))]
    return (*values, float(np.abs(by_file - by_torch).max()))


def evaluate(model, data):
    """Print the table of the held-out photographs; True if file and PyTorch agree."""
    session, network = open_session(model), imported(model)
    print("| photograph | size | bicubic, dB | ESPCN, dB | gain, dB |")
    print("| --- | --- | ---: | ---: | ---: |")
    results = []
    for photograph in espcn_data.photographs():
        if not photograph.held_out:
            continue
        truth = espcn_data.evaluation_picture(photograph, data)
        result = judge(session, network, truth)
        results.append(result)
        size = "x".join(map(str, truth.size))
        print(f"| {photograph.name} | {size} | {result[0]:.2f} | {result[1]:.2f} "
              f"| {result[1] - result[0]:+.2f} |", flush=True)
    bicubic, by_file, by_torch, _ = np.mean(results, axis=0)
    print(f"| **mean of {len(results)}** | | {bicubic:.2f} | {by_file:.2f} "
          f"| **{by_file - bicubic:+.2f}** |\n")
    worst = max(result[3] for result in results)
    print(f"The same chain by PyTorch: {by_torch:.2f} dB; largest difference of any output "
          f"value from the ONNX file under onnxruntime: {worst:.1e}.")
    return worst < TOLERANCE


def write_sample(path, data):
    """The sample picture: a held-out photograph of free rights at SAMPLE_SIZE."""
    photograph = next(p for p in espcn_data.photographs() if p.name == SAMPLE_NAME)
    assert photograph.held_out
    picture = photograph.load(data).resize(SAMPLE_SIZE, Image.Resampling.LANCZOS)
    picture.save(path, optimize=True)


def write_side_by_side(model, sample, path):
    """A part of the sample: its own pixels, bicubic and the model's result, side by side."""
    picture = Image.open(sample).convert("RGB")
    large = [length * SCALE for length in picture.size]
    panels = {
        "input, pixels enlarged": picture.resize(large, Image.Resampling.NEAREST),
        "bicubic": picture.resize(large, Image.Resampling.BICUBIC),
        "espcn_x3.onnx": upscale(open_session(model), picture),
    }
    box = [edge * SCALE for edge in SAMPLE_CROP]
    width, height, gap = box[2] - box[0], box[3] - box[1], 8
    sheet = Image.new("RGB", (len(panels) * (width + gap) - gap, height + CAPTION_HEIGHT), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=15)
    for i, (caption, panel) in enumerate(panels.items()):
        left = i * (width + gap)
        sheet.paste(panel.crop(box), (left, CAPTION_HEIGHT))
        draw.text((left + width / 2, CAPTION_HEIGHT / 2), caption, "black", font, anchor="mm")
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, optimize=True)


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=pathlib.Path, default=ROOT / "build-espcn",
                        help="folder for the unpacked photographs (default: build-espcn)")
    parser.add_argument("--steps", type=int, default=150000,
                        help="training steps (default: 150000)")
    parser.add_argument("--seed", type=int, default=SEED, help="seed of weights and patches")
    parser.add_argument("--threads", type=int, default=2, help="processor threads (default: 2)")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "models/espcn_x3.onnx",
                        help="where the trained model goes")
    parser.add_argument("--evaluate-only", type=pathlib.Path, metavar="MODEL",
                        help="judge this model instead of training one")
    parser.add_argument("--sample", type=pathlib.Path, default=ROOT / "models/sample.png",
                        help="sample picture that --side-by-side reads")
    parser.add_argument("--write-sample", action="store_true", help="make the sample picture")
    parser.add_argument("--side-by-side", type=pathlib.Path, metavar="PNG",
                        help="draw input, bicubic and result of the sample into this file")
    return parser.parse_args()


def main():
    """Train if asked to, then judge and draw; 1 if the file and PyTorch do not agree."""
    options = arguments()
    torch.set_num_threads(options.threads)
    espcn_data.fetch(options.data)
    if options.evaluate_only:
        model = onnx.load(options.evaluate_only)
    else:
        model = exported(train(options.data, options.steps, options.seed))
        onnx.save(model, options.out)
    agreed = evaluate(model, options.data)
    if options.write_sample:
        write_sample(options.sample, options.data)
    if options.side_by_side:
        write_side_by_side(model, options.sample, options.side_by_side)
    if not agreed:
        print("The ONNX file does not give what PyTorch gives.", file=sys.stderr)
    return 0 if agreed else 1


if __name__ == "__main__":
    sys.exit(main())
