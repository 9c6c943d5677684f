#!/usr/bin/env python3
"""Remakes the fixture that measures how far two JPEG decoders lie apart.

    pip install pillow==13.0.0 numpy==2.4.6
    python tools/goldens/pillow_jpeg.py

Writes three JPEG files (colour without and with halved chroma, grey) and what Pillow decodes them to,
as PNG, to `crates/pefomed-data/tests/fixtures/jpeg/`.
"""

from pathlib import Path

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
    for name, image, subsampling in (
        ("colour-444", Image.fromarray(colour), 0),
        ("colour-420", Image.fromarray(colour), 2),
        ("grey", Image.fromarray(colour[..., 0]), -1),
    ):
        path = FOLDER / f"{name}.jpg"
        image.save(path, quality=85, **({} if subsampling < 0 else {"subsampling": subsampling}))
        Image.open(path).save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
