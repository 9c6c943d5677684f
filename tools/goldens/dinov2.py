"""Writes the DINOv2 golden: a small random encoder of `transformers` at three image sizes.

    python tools/goldens/dinov2.py [--out FIXTURES]

`dinov2-small-random.safetensors` holds the weights (float32, under the names of hub
checkpoints), and for each case `square`, `larger` and `wide` the pixel values, the position
table resized to that image, and the last hidden state after the final norm, in float64.

`square` has the size the position table was made for, so the table is used as it is. The
other two make the table be resized, `wide` with a height that differs from its width: a row
and column mixed up show there only.
"""

import argparse
import tempfile
from pathlib import Path

from common import (
    FIXTURES,
    fill_vision,
    limit_size,
    normal,
    read_tensors,
    resize_in_float64,
    versions,
    write_tensors,
)

import torch
import transformers
from transformers import Dinov2Config, Dinov2Model

SEED = 20230414
CONFIG = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "mlp_ratio": 4,
    "patch_size": 4,
    "image_size": 16,
    "num_channels": 3,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-6,
    "layerscale_value": 1.0,
    "qkv_bias": True,
    "use_swiglu_ffn": False,
    "drop_path_rate": 0.0,
}
# Height and width in pixels.
CASES = {"square": (16, 16), "larger": (24, 24), "wide": (12, 28)}
RESIZE = "bicubic (a = -0.75), align_corners=False, antialias=False, by target size"


def encoder(generator):
    """A DINOv2 encoder where no weight has a value at which a mistake would not show."""
    config = Dinov2Config(**CONFIG)
    config._attn_implementation = "sdpa"
    model = Dinov2Model(config).eval()
    return fill_vision(model, generator)


def hub_weights(model):
    """The weights under the names in hub checkpoints, which differ from those in memory."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return read_tensors(Path(folder) / "model.safetensors")[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=FIXTURES, help="folder of the fixtures")
    path = parser.parse_args().out / "dinov2-small-random.safetensors"

    generator = torch.Generator().manual_seed(SEED)
    model = encoder(generator)
    tensors = hub_weights(model)
    images = {name: normal(generator, 1, 3, *size) for name, size in CASES.items()}
    distance = 0.0
    with torch.no_grad():
        float32 = {name: model(pixels).last_hidden_state for name, pixels in images.items()}
        model.double()
        with resize_in_float64():
            for name, pixels in images.items():
                hidden = model(pixels.double()).last_hidden_state
                patches = model.embeddings.patch_embeddings(pixels.double())
                width = CONFIG["hidden_size"]
                with_class = torch.cat((torch.zeros(1, 1, width).double(), patches), dim=1)
                table = model.embeddings.interpolate_pos_encoding(with_class, *CASES[name])
                distance = max(distance, float((hidden - float32[name]).abs().max()))
                tensors[f"golden.{name}.pixel_values"] = pixels
                tensors[f"golden.{name}.position_embeddings"] = table
                tensors[f"golden.{name}.last_hidden_state"] = hidden

    print(f"float64 goldens to the library's own float32 results: at most {distance:.2e}")
    write_tensors(
        path,
        tensors,
        {
            "config": {"model_type": "dinov2", "architectures": ["Dinov2Model"], **CONFIG},
            "cases": {name: list(size) for name, size in CASES.items()},
            "resize": RESIZE,
            "seed": SEED,
            "float32_distance": distance,
            "versions": versions(torch, transformers),
        },
    )
    limit_size(path, 300_000)


if __name__ == "__main__":
    main()
