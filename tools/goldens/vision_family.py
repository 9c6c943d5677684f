"""Writes the goldens of vision encoders beside DINOv2: hidden states of `transformers`.

    python tools/goldens/vision_family.py [--out FIXTURES]

For each case below, `vision-NAME.safetensors` holds a small random encoder (float32 weights under
the names of hub checkpoints) and, for an image of the size the position table was made for and for
others, the pixel values, the last hidden state and the hidden state before the last layer, in
float64. The metadata carries the configuration as the library writes it to `config.json`.
"""

import argparse
import json
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
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    SiglipVisionConfig,
    SiglipVisionModel,
)

SEED = 20210226
SHAPE = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "patch_size": 4,
    "image_size": 16,
    "num_channels": 3,
}
DINO = {"mlp_ratio": 4, "layerscale_value": 1.0, "qkv_bias": True}
# Name: (configuration, model, settings, images by height and width).
CASES = {
    "clip": (
        CLIPVisionConfig,
        CLIPVisionModel,
        {"intermediate_size": 40},
        {"square": (16, 16), "wide": (12, 28)},
    ),
    # 18 pixels are four patches and a rest.
    "siglip": (
        SiglipVisionConfig,
        SiglipVisionModel,
        {"intermediate_size": 40, "image_size": 18},
        {"square": (18, 18), "wide": (12, 28)},
    ),
    "dinov2-registers": (
        Dinov2WithRegistersConfig,
        Dinov2WithRegistersModel,
        {**DINO, "num_register_tokens": 3},
        {"square": (16, 16), "wide": (12, 28), "smaller": (8, 12)},
    ),
    "dinov2-swiglu": (
        Dinov2Config,
        Dinov2Model,
        {**DINO, "use_swiglu_ffn": True},
        {"square": (16, 16), "wide": (12, 28)},
    ),
}


def encoder(configuration, kind, settings, generator):
    config = configuration(**{**SHAPE, **settings})
    config._attn_implementation = "sdpa"
    model = kind(config).eval()
    return fill_vision(model, generator)


def hub_files(model):
    """Weights and configuration as a hub repository has them."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        tensors, _ = read_tensors(Path(folder) / "model.safetensors")
        return tensors, json.loads((Path(folder) / "config.json").read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=FIXTURES, help="folder of the fixtures")
    out = parser.parse_args().out
    for number, (name, (configuration, kind, settings, images)) in enumerate(CASES.items()):
        generator = torch.Generator().manual_seed(SEED + number)
        model = encoder(configuration, kind, settings, generator)
        tensors, config = hub_files(model)
        print(name, sorted(tensors)[:4])
        options = {} if "dinov2" in name else {"interpolate_pos_encoding": True}
        model.double()
        with torch.no_grad(), resize_in_float64():
            for case, size in images.items():
                pixels = normal(generator, 1, 3, *size)
                result = model(pixels.double(), output_hidden_states=True, **options)
                states = result.hidden_states
                assert len(states) == SHAPE["num_hidden_layers"] + 1
                tensors[f"golden.{case}.pixel_values"] = pixels
                tensors[f"golden.{case}.last_hidden_state"] = result.last_hidden_state[0]
                tensors[f"golden.{case}.before_last_layer"] = states[-2][0]
        path = out / f"vision-{name}.safetensors"
        write_tensors(
            path,
            tensors,
            {"config": config, "seed": SEED + number, "versions": versions(torch, transformers)},
        )
        limit_size(path, 120_000)


if __name__ == "__main__":
    main()
