#!/usr/bin/env python3
"""Remakes the fixture of bicubic resizing from Pillow.

    pip install pillow==11.3.0
    python tools/goldens/pillow_bicubic.py

Writes `pillow_bicubic.json` (the cases) and `pillow_bicubic.bin` (their pixels, 8-bit RGB, input
and output of each case one after the other) to `crates/pefomed-data/tests/fixtures/`.
"""

import json
import random
from pathlib import Path

import PIL
from PIL import Image

FIXTURES = Path(__file__).parents[2] / "crates" / "pefomed-data" / "tests" / "fixtures"

# Pattern, size of the input, size of the output: larger, smaller, both, one side kept, one pixel.
CASES = [
    ("noise", (17, 11), (40, 23)),
    ("noise", (40, 30), (14, 14)),
    ("noise", (64, 48), (7, 9)),
    ("noise", (5, 60), (60, 5)),
    ("noise", (33, 20), (33, 9)),
    ("noise", (20, 33), (9, 33)),
    ("noise", (1, 1), (6, 4)),
    ("noise", (2, 3), (1, 1)),
    ("noise", (37, 29), (36, 30)),
    ("edges", (31, 23), (48, 40)),
    ("edges", (48, 40), (31, 23)),
    ("ramp", (50, 8), (16, 16)),
]


def pixels(pattern: str, size: tuple[int, int], source: random.Random) -> bytes:
    """Noise, black and white noise (for the overshoot at edges), or a smooth ramp."""
    width, height = size
    if pattern == "noise":
        return source.randbytes(width * height * 3)
    if pattern == "edges":
        return bytes(255 * source.getrandbits(1) for _ in range(width * height * 3))
    return bytes(
        (x * 5 * (channel + 1) + y * 3) % 256
        for y in range(height)
        for x in range(width)
        for channel in range(3)
    )


def main() -> None:
    source = random.Random(2401)
    cases, data = [], b""
    for pattern, size, new_size in CASES:
        image = Image.frombytes("RGB", size, pixels(pattern, size, source))
        data += image.tobytes()
        data += image.resize(new_size, Image.Resampling.BICUBIC).tobytes()
        cases.append({"pattern": pattern, "from": size, "to": new_size})
    FIXTURES.mkdir(parents=True, exist_ok=True)
    (FIXTURES / "pillow_bicubic.bin").write_bytes(data)
    head = {"pillow": PIL.__version__, "cases": cases}
    (FIXTURES / "pillow_bicubic.json").write_text(json.dumps(head, indent=1) + "\n")
    print(f"{len(cases)} cases, {len(data)} bytes")


if __name__ == "__main__":
    main()
