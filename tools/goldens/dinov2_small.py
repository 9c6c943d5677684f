"""Writes the golden of a real vision encoder: features of DINOv2-small on a drawn image.

    python tools/goldens/dinov2_small.py MODEL_FOLDER [--out FIXTURES]

The image needs no file: channel c (0 to 2), row y, column x of 224 x 224 has the normalized
value sin(0.05 (c + 1) (y + 1)) + cos(0.03 (x + 1) + 0.001 y), in float64, rounded to float32.
`dinov2-small-features.safetensors` holds a few rows of the last hidden state (row 0 is the
class token, row 1 + 16 r + k the patch in row r and column k), their places, and the mean of
all rows; computed in float64 from the file's float16 weights, stored as float32. The position
table shrinks here from 37 x 37 to 16 x 16.
"""

import argparse
from pathlib import Path

from common import FIXTURES, limit_size, resize_in_float64, versions, write_tensors

import torch
import transformers
from gguf_tokenizer import digest
from transformers import Dinov2Model

SIDE = 224
ROWS = [0, 1, 16, 17, 120, 137, 241, 256]


def drawn_image():
    y = torch.arange(SIDE, dtype=torch.float64)[:, None]
    x = torch.arange(SIDE, dtype=torch.float64)[None, :]
    channels = [
        torch.sin(0.05 * (c + 1) * (y + 1)) + torch.cos(0.03 * (x + 1) + 0.001 * y)
        for c in range(3)
    ]
    return torch.stack(channels).float()[None]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="folder with config.json and model.safetensors")
    parser.add_argument("--out", type=Path, default=FIXTURES, help="folder of the fixtures")
    arguments = parser.parse_args()
    model = Dinov2Model.from_pretrained(
        str(arguments.model), dtype=torch.float32, attn_implementation="sdpa"
    ).eval()
    pixels = drawn_image()
    with torch.no_grad():
        float32 = model(pixels).last_hidden_state[0]
        model.double()
        with resize_in_float64():
            hidden = model(pixels.double()).last_hidden_state[0]
    distance = (hidden - float32).abs().max().item()
    print(f"float64 goldens to the library's own float32 results: at most {distance:.2e}")
    path = arguments.out / "dinov2-small-features.safetensors"
    write_tensors(
        path,
        {
            "golden.rows": torch.tensor(ROWS),
            "golden.last_hidden_state": hidden[ROWS].float(),
            "golden.mean": hidden.mean(0).float(),
        },
        {
            "sha256": digest(arguments.model / "model.safetensors"),
            "float32_distance": distance,
            "versions": versions(torch, transformers),
        },
    )
    limit_size(path, 50_000)


if __name__ == "__main__":
    main()
