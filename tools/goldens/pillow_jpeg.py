#!/usr/bin/env python3
"""Remakes the fixture that JPEG decoding is held against.

    pip install pillow==13.0.0 numpy==2.4.6 imagecodecs==2026.3.6
    python tools/goldens/pillow_jpeg.py

Writes JPEG files of the kinds that are met (grey, colour with whole, halved and quartered differences, inks,
progressive, with restart markers, of sizes that no block divides) and what Pillow decodes them to, as PNG,
to `crates/pefomed-data/tests/fixtures/jpeg/`.
"""

from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image

FOLDER = Path(__file__).parents[2] / "crates" / "pefomed-data" / "tests" / "fixtures" / "jpeg"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    source = np.random.default_rng(2401)
    y, x = np.mgrid[:80, :112]
    # Soft slopes, a disk with a sharp edge, noise: what radiographs and pathology have.
    slope = 90 + 60 * np.sin(x / 19) + 50 * np.cos(y / 13)
    disk = np.where((x - 60) ** 2 + (y - 40) ** 2 < 500, 70, 0)
    noise = source.normal(0, 6, (80, 112, 3))
    colour = np.stack([slope + disk, slope * 0.8 + 30, 200 - slope / 2 - disk], -1) + noise
    colour = np.clip(colour, 0, 255).astype(np.uint8)
    whole, part = Image.fromarray(colour), Image.fromarray(colour[:37, :61])
    grey, narrow = Image.fromarray(colour[..., 0]), Image.fromarray(colour[:5, :3])
    inks = Image.fromarray(np.concatenate([colour, 255 - colour[..., :1]], -1)[:37, :61], "CMYK")
    for name, image, options in (
        ("colour-444", whole, {"subsampling": 0}),
        ("colour-420", whole, {"subsampling": 2}),
        ("grey", grey, {}),
        ("odd-422", part, {"subsampling": 1}),
        ("odd-420", part, {"subsampling": 2}),
        ("narrow-420", narrow, {"subsampling": 2}),
        ("progressive-420", part, {"subsampling": 2, "progressive": True}),
        ("progressive-grey", grey, {"progressive": True, "quality": 98}),
        ("restarts", part, {"subsampling": 2, "restart_marker_blocks": 2}),
        ("progressive-restarts", part, {"subsampling": 1, "progressive": True, "restart_marker_blocks": 3}),
        ("coarse", part, {"subsampling": 0, "quality": 5, "optimize": True}),
        ("inks", inks, {}),
    ):
        image.save(FOLDER / f"{name}.jpg", **{"quality": 85} | options)
        write_decoded(name)
    # Which Pillow does not write.
    for subsampling in ("440", "411"):
        name = f"odd-{subsampling}"
        coded = imagecodecs.jpeg8_encode(colour[:37, :61].copy(), level=85, subsampling=subsampling)
        (FOLDER / f"{name}.jpg").write_bytes(coded)
        write_decoded(name)


def write_decoded(name: str) -> None:
    image = Image.open(FOLDER / f"{name}.jpg")
    image = image if image.mode == "L" else image.convert("RGB")
    image.save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
