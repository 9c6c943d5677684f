#!/usr/bin/env python3
"""Remakes the small image files that test decoding, with the pixels Pillow sees in them.

    pip install pillow==11.3.0
    python tools/goldens/pillow_images.py

Writes the files and `images.json` to `crates/pefomed-data/tests/fixtures/images/`.
"""

import json
from pathlib import Path

import PIL
from PIL import Image, ImageOps

FOLDER = (
    Path(__file__).parents[2] / "crates" / "pefomed-data" / "tests" / "fixtures" / "images"
)
WIDTH, HEIGHT = 12, 8


def ramp() -> Image.Image:
    """A smooth picture whose corners all differ, kind to JPEG."""
    image = Image.new("RGB", (WIDTH, HEIGHT))
    for y in range(HEIGHT):
        for x in range(WIDTH):
            image.putpixel((x, y), (20 + 15 * x, 30 + 20 * y, 128))
    return image


def over_black(image: Image.Image) -> Image.Image:
    image = image.convert("RGBA")
    black = Image.new("RGBA", image.size, (0, 0, 0, 255))
    return Image.alpha_composite(black, image).convert("RGB")


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    files = {}

    def record(name: str, shown: Image.Image) -> None:
        files[name] = {"size": shown.size, "rgb": shown.convert("RGB").tobytes().hex()}

    base = ramp()

    palette = base.quantize(16)
    palette.save(FOLDER / "palette.png")
    record("palette.png", palette)

    palette.save(FOLDER / "palette-transparent.png", transparency=bytes([0, 128, 255, 64]))
    with Image.open(FOLDER / "palette-transparent.png") as image:
        record("palette-transparent.png", over_black(image))

    bits = base.convert("1")
    bits.save(FOLDER / "one-bit.png", bits=1)
    record("one-bit.png", bits)

    base.save(FOLDER / "plain.jpg", quality=95, subsampling=0)
    with Image.open(FOLDER / "plain.jpg") as image:
        record("plain.jpg", image)

    base.save(FOLDER / "progressive.jpg", quality=95, subsampling=0, progressive=True)
    with Image.open(FOLDER / "progressive.jpg") as image:
        record("progressive.jpg", image)

    base.convert("L").save(FOLDER / "grey.jpg", quality=95)
    with Image.open(FOLDER / "grey.jpg") as image:
        record("grey.jpg", image)

    exif = Image.Exif()
    exif[0x0112] = 6  # The camera lay on its side: turn by 90 degrees clockwise.
    base.save(FOLDER / "turned.jpg", quality=95, subsampling=0, exif=exif)
    with Image.open(FOLDER / "turned.jpg") as image:
        record("turned.jpg", ImageOps.exif_transpose(image))

    head = {"pillow": PIL.__version__, "files": files}
    (FOLDER / "images.json").write_text(json.dumps(head, indent=1) + "\n")
    print(", ".join(sorted(files)))


if __name__ == "__main__":
    main()
