#!/usr/bin/env python3
"""The photographs that espcn_x3.onnx is trained and judged on.

Every photograph comes from a Debian package (fetched with `apt-get download` and unpacked into a
folder with `dpkg-deb -x`, never installed) or lies inside a Python package from PyPI. The list
below names each one with its author and licence; `python3 models/espcn_data.py` prints it as the
Markdown table of models/README.md.

Needs: numpy, Pillow, scikit-image and scikit-learn (only their picture files are used), and on the
path apt-get and dpkg-deb of a Debian 12 (or a folder that already holds the unpacked packages).
"""

import importlib.util
import pathlib
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
from PIL import Image

SCALE = 3
# Two photographs of each five, counted through the list in its own order, are never trained on.
# A fixed rule rather than a choice by hand, so that the held-out set is not picked to look good.
HELD_OUT_POSITIONS = (0, 2)
# Wallpapers are soft at their own size, as cameras and their software leave them: a photograph
# longer than this is shrunk to it for the evaluation.
EVALUATION_SIDE = 768
# Sides that training pairs are cut from; a small picture is taken at these parts of its size.
TRAINING_SIDES = (480, 640, 768, 960, 1280, 1600)
TRAINING_PARTS = (1.0, 0.8, 0.6)
# BT.601 luma and chroma, full range, chroma centred on 0. The ONNX graph uses these same numbers.
LUMA = np.array([0.299, 0.587, 0.114])
RGB_TO_YCBCR = np.array([
    LUMA,
    (np.array([0.0, 0.0, 1.0]) - LUMA) / 1.772,
    (np.array([1.0, 0.0, 0.0]) - LUMA) / 1.402,
])

MATE = "mate-backgrounds"
PLASMA = "plasma-workspace-wallpapers"
LOMIRI = "lomiri-wallpapers-16.04"
LOMIRI20 = "lomiri-wallpapers-20.04"  # listed among LOMIRI's: one source package, two releases
DEBIAN_PACKAGES = (MATE, PLASMA, LOMIRI, LOMIRI20)
SKIMAGE = "scikit-image"
SKLEARN = "scikit-learn"
PYPI_FOLDERS = {SKIMAGE: ("skimage", "data"), SKLEARN: ("sklearn", "datasets/images")}
DEBIAN_FOLDERS = {
    MATE: "usr/share/backgrounds/mate/nature/{}.jpg",
    PLASMA: "usr/share/wallpapers/{}/contents/images/2560x1600.jpg",
    LOMIRI: "usr/share/backgrounds/{}.jpg",
    LOMIRI20: "usr/share/backgrounds/{}.jpg",
}

LGPL = "LGPL-3 (GPL-2+ in Debian's copyright file)"
FREE = "no known copyright restrictions"
# (package, picture, author, licence), by source and then by name. Only photographs: the
# drawn and rendered wallpapers of the same packages are left out (gnome-backgrounds of Debian 12
# holds nothing else), as are pictures of scikit-image that come without a word on their rights.
CATALOGUE = (
    (MATE, "Aqua", "Charles Barbin", "GPL-2+"),
    (MATE, "Blinds", "Lennart Poettering, Andrea Cimitan", "GPL-2+"),
    (MATE, "Dune", "Marco Cogoni, Hylke Bons", "GPL-2+"),
    (MATE, "FreshFlower", "Jens Ansorg", "GPL-2+"),
    (MATE, "Garden", "Charles Barbin", "GPL-2+"),
    (MATE, "GreenMeadow", "Timothy Schellhase, Lapo Calamandrei", "GPL-2+"),
    (MATE, "LadyBird", "Charles Barbin", "GPL-2+"),
    (MATE, "RainDrops", "blackcombwhistler07", "GPL-2+"),
    (MATE, "Storm", "Sergey Nazarov", "GPL-2+"),
    (MATE, "TwoWings", "Charles Barbin, Hylke Bons", "GPL-2+"),
    (MATE, "Wood", "Jean-François Fortin Tam", "GPL-2+"),
    (MATE, "YellowFlower", "Charles Barbin", "GPL-2+"),
    (PLASMA, "BytheWater", "Maciej Wiklo", LGPL),
    (PLASMA, "ColdRipple", "Risto Saukonpää", LGPL),
    (PLASMA, "ColorfulCups", "Dmitri Popov", LGPL),
    (PLASMA, "DarkestHour", "Risto Saukonpää", LGPL),
    (PLASMA, "EveningGlow", "Ian Hex", LGPL),
    (PLASMA, "FallenLeaf", "Martin Klapetek", LGPL),
    (PLASMA, "Grey", "Sigi Sagi", LGPL),
    (PLASMA, "Kite", "Risto Saukonpää", LGPL),
    (PLASMA, "OneStandsOut", "Risto Saukonpää", LGPL),
    (PLASMA, "Path", "Risto Saukonpää", LGPL),
    (PLASMA, "summer_1am", "Risto Saukonpää", LGPL),
    (LOMIRI, "aitzgorri_by_Aitzol_Berasategi", "Aitzol Berasategi", "CC-BY-4.0"),
    (LOMIRI, "Bridge_by_Sander_Klootwijk", "Sander Klootwijk", "CC-BY-SA-4.0"),
    (LOMIRI, "Dragonfly_by_Bolly", "Bolly", "CC-BY-SA-4.0"),
    (LOMIRI, "free_by_Peter_Nerlich", "Peter Nerlich", "CC-BY-SA-4.0"),
    (LOMIRI, "friends_by_Aitzol_Berasategi", "Aitzol Berasategi", "CC-BY-4.0"),
    (LOMIRI, "greentock_by_Peter_Nerlich", "Peter Nerlich", "CC-BY-SA-4.0"),
    (LOMIRI20, "Kleiber_by_Lukas_Baubkus", "Lukas Baubkus", "CC-BY-SA-3.0"),
    (LOMIRI, "life_by_Aitzol_Berasategi", "Aitzol Berasategi", "CC-BY-4.0"),
    (LOMIRI, "picosdeeuropa_by_Aitzol_Berasategi", "Aitzol Berasategi", "CC-BY-4.0"),
    (LOMIRI, "Picture_0B_by_freespace", "Trevor \"Freespace\"", "CC-BY-4.0"),
    (LOMIRI, "Picture_1A_by_freespace", "Trevor \"Freespace\"", "CC-BY-4.0"),
    (LOMIRI, "seeding_by_Clements_Engelhardt", "Clemens Engelhardt", "CC0-1.0"),
    (LOMIRI, "sunset_by_Aitzol_Berasategi", "Aitzol Berasategi", "CC-BY-4.0"),
    (LOMIRI, "Wine_by_Jakkub_Mede", "Jakub Mede", "CC-BY-4.0"),
    (SKIMAGE, "astronaut.png", "NASA", "public domain"),
    (SKIMAGE, "brick.png", "CC0Textures", "CC0-1.0"),
    (SKIMAGE, "camera.png", "Lav Varshney", "CC0-1.0"),
    (SKIMAGE, "chelsea.png", "Stefan van der Walt", "CC0-1.0"),
    (SKIMAGE, "coffee.png", "Rachel Michetti", "CC0-1.0"),
    (SKIMAGE, "coins.png", "Brooklyn Museum", FREE),
    (SKIMAGE, "grass.png", "linolafett", "CC0-1.0"),
    (SKIMAGE, "gravel.png", "CC0Textures", "CC0-1.0"),
    (SKIMAGE, "hubble_deep_field.jpg", "NASA", "public domain"),
    (SKIMAGE, "ihc.png", "CMMI", FREE),
    (SKIMAGE, "retina.jpg", "Mikael Häggström", "CC0-1.0"),
    (SKIMAGE, "rocket.jpg", "SpaceX", "public domain"),
    (SKIMAGE, "text.png", "Wikipedia", "public domain"),
    (SKLEARN, "china.jpg", "danielbuechele", "CC-BY-2.0"),
    (SKLEARN, "flower.jpg", "vultilion", "CC-BY-2.0"),
)


@dataclass(frozen=True)
class Photograph:
    """One photograph of the catalogue and the set that it belongs to."""

    package: str
    name: str
    author: str
    licence: str
    held_out: bool

    def path(self, data: pathlib.Path) -> pathlib.Path:
        """Where the file lies, given the folder that the Debian packages were unpacked into."""
        if self.package in DEBIAN_FOLDERS:
            return data / self.package / DEBIAN_FOLDERS[self.package].format(self.name)
        module, folder = PYPI_FOLDERS[self.package]
        spec = importlib.util.find_spec(module)
        if spec is None:
            raise SystemExit(f"{self.package} is missing: pip install {self.package}")
        return pathlib.Path(spec.submodule_search_locations[0]) / folder / self.name

    def load(self, data: pathlib.Path) -> Image.Image:
        """The picture as RGB."""
        return Image.open(self.path(data)).convert("RGB")


def photographs() -> list[Photograph]:
    """The catalogue with its split: which photographs are kept out of training."""
    return [Photograph(*entry, held_out=i % 5 in HELD_OUT_POSITIONS)
            for i, entry in enumerate(CATALOGUE)]


def fetch(data: pathlib.Path) -> None:
    """Unpack under `data` what is not there yet of the Debian packages, a folder for each."""
    for package in DEBIAN_PACKAGES:
        target = data / package
        if target.is_dir():
            continue
        data.mkdir(parents=True, exist_ok=True)
        print(f"fetching {package}", flush=True)
        subprocess.run(["apt-get", "-q", "download", package], cwd=data, check=True)
        archive = next(data.glob(f"{package}_*.deb"))
        # Unpacked beside the final name and renamed at the end: a run that was cut short leaves
        # no half-filled folder behind that the next one would take for the whole.
        partial = data / f"{package}.partial"
        subprocess.run(["dpkg-deb", "-x", archive.name, partial.name], cwd=data, check=True)
        partial.rename(target)
        archive.unlink()


def shrink(picture: Image.Image, side: float) -> Image.Image:
    """Shrink so that the longer side is `side`, then cut to a multiple of the scale."""
    ratio = side / max(picture.size)
    if ratio < 1:
        size = [max(SCALE, round(length * ratio)) for length in picture.size]
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    width, height = (length // SCALE * SCALE for length in picture.size)
    return picture.crop((0, 0, width, height))


def degrade(picture: Image.Image) -> Image.Image:
    """The low-resolution input of a picture: Pillow's bicubic, a third of each side."""
    size = [length // SCALE for length in picture.size]
    return picture.resize(size, Image.Resampling.BICUBIC)


def luma(picture: Image.Image) -> np.ndarray:
    """BT.601 luma of a picture, 0..1, float32 [H, W]."""
    return (np.asarray(picture, dtype=np.float64) @ LUMA / 255).astype(np.float32)


def evaluation_picture(photograph: Photograph, data: pathlib.Path) -> Image.Image:
    """What a held-out photograph is judged against."""
    return shrink(photograph.load(data), EVALUATION_SIDE)


def training_pairs(data: pathlib.Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """(input, target) luma planes of every training photograph at several sizes."""
    pairs = []
    for photograph in photographs():
        if photograph.held_out:
            continue
        picture = photograph.load(data)
        longest = max(picture.size)
        sides = [side for side in TRAINING_SIDES if side <= 0.8 * longest]
        if longest < 1200:
            sides = [longest * part for part in TRAINING_PARTS]
        for side in sides:
            target = shrink(picture, side)
            pairs.append((luma(degrade(target)), luma(target)))
    return pairs


class PatchSource:
    """Endless batches of random training patches, the same for the same seed."""

    def __init__(self, pairs, side: int, seed: int):
        self.pairs = [pair for pair in pairs if min(pair[0].shape) >= side]
        self.side = side
        self.random = np.random.default_rng(seed)
        # A picture four times as large is drawn twice as often, not four times: else the few
        # large wallpapers would drown the rest.
        weights = np.sqrt([pair[0].size for pair in self.pairs])
        self.weights = weights / weights.sum()

    def batch(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """`count` patches: inputs [N, 1, side, side] and targets three times as large."""
        chosen = self.random.choice(len(self.pairs), size=count, p=self.weights)
        drawn = [self._patch(*self.pairs[i]) for i in chosen]
        return tuple(np.stack(planes)[:, None] for planes in zip(*drawn))

    def _patch(self, low, high):
        # Of two places the one with more contrast: flat sky teaches little.
        places = [[self.random.integers(0, length - self.side + 1) for length in low.shape]
                  for _ in range(2)]
        top, left = max(places, key=lambda place: self._window(low, *place, self.side).std())
        patch = self._window(low, top, left, self.side)
        target = self._window(high, top * SCALE, left * SCALE, self.side * SCALE)
        turns, mirrored = self.random.integers(0, 4), self.random.integers(0, 2)
        return self._turned(patch, turns, mirrored), self._turned(target, turns, mirrored)

    @staticmethod
    def _window(plane, top, left, side):
        return plane[top:top + side, left:left + side]

    @staticmethod
    def _turned(plane, turns, mirrored):
        plane = np.rot90(plane, turns)
        return plane[:, ::-1] if mirrored else plane


def main() -> int:
    """Print the catalogue as a Markdown table."""
    print("| photograph | package | author | licence | set |\n| --- | --- | --- | --- | --- |")
    for photo in photographs():
        part = "held out" if photo.held_out else "training"
        print(f"| {photo.name} | {photo.package} | {photo.author} | {photo.licence} | {part} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
