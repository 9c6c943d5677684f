"""Writes the golden of EVA-CLIP's ViT-g/14, from its defining equations.

    python tools/goldens/eva_vit.py [--out FIXTURES]

No library of the pinned set has this encoder, so that the equations stand here once more, in
float64 and with PyTorch's elementary operations alone: what PeFoMed and MiniGPT-v2 compute with
`eva_vit_g.pth`, in small. `vision-eva.safetensors` holds random float32 weights under the names of
that file, with the unused block, norm and head that it has beside them; `vision-eva-norm` the same
with a trained `ln_vision`. Results: the tokens after `ln_vision`, class token first, for an image of
the position table's own size and for two others.
"""

import argparse
from pathlib import Path

from common import FIXTURES, limit_size, normal, versions, write_tensors

import torch

SEED = 20230327
WIDTH, HIDDEN, BLOCKS, HEADS, PATCH, SIDE = 16, 70, 2, 2, 4, 16
CONFIG = {
    "model_type": "eva_vit_g",
    "hidden_size": WIDTH,
    "intermediate_size": HIDDEN,
    "num_hidden_layers": BLOCKS,
    "num_attention_heads": HEADS,
    "image_size": SIDE,
    "patch_size": PATCH,
}
# Height and width in pixels: as the table, twice that (as 224 to 448), and neither square nor whole.
CASES = {"square": (16, 16), "doubled": (32, 32), "wide": (12, 28)}


def weights(generator):
    def matrix(*shape):
        return normal(generator, *shape, std=torch.Size(shape[1:]).numel() ** -0.5)

    def vector(width, mean=0.0):
        return normal(generator, width, std=0.2, mean=mean)

    table = (SIDE // PATCH) ** 2 + 1
    all = {
        "cls_token": normal(generator, 1, 1, WIDTH, std=0.5),
        "pos_embed": normal(generator, 1, table, WIDTH, std=0.5),
        "patch_embed.proj.weight": matrix(WIDTH, 3, PATCH, PATCH),
        "patch_embed.proj.bias": vector(WIDTH),
        "norm.weight": vector(WIDTH, 1.0),
        "norm.bias": vector(WIDTH),
        "head.weight": matrix(5, WIDTH),
        "head.bias": vector(5),
    }
    for index in range(BLOCKS + 1):
        block = {
            "norm1.weight": vector(WIDTH, 1.0),
            "norm1.bias": vector(WIDTH),
            "attn.qkv.weight": matrix(3 * WIDTH, WIDTH),
            "attn.q_bias": vector(WIDTH),
            "attn.v_bias": vector(WIDTH),
            "attn.proj.weight": matrix(WIDTH, WIDTH),
            "attn.proj.bias": vector(WIDTH),
            "norm2.weight": vector(WIDTH, 1.0),
            "norm2.bias": vector(WIDTH),
            "mlp.fc1.weight": matrix(HIDDEN, WIDTH),
            "mlp.fc1.bias": vector(HIDDEN),
            "mlp.fc2.weight": matrix(WIDTH, HIDDEN),
            "mlp.fc2.bias": vector(WIDTH),
        }
        all.update({f"blocks.{index}.{name}": tensor for name, tensor in block.items()})
    return all


def layer_norm(x, weight, bias, eps):
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + eps).sqrt() * weight + bias


def gelu(x):
    return x * 0.5 * (1.0 + torch.erf(x / 2.0**0.5))


def tokens(w, pixels):
    """All tokens after the last used block and `ln_vision`, `[1 + N, WIDTH]`."""
    w = {name: tensor.double() for name, tensor in w.items()}
    rows, columns = pixels.shape[-2] // PATCH, pixels.shape[-1] // PATCH
    # [3, rows, P, columns, P] to [rows·columns, 3·P·P].
    patches = pixels.double().reshape(3, rows, PATCH, columns, PATCH)
    patches = patches.permute(1, 3, 0, 2, 4).reshape(rows * columns, -1)
    x = patches @ w["patch_embed.proj.weight"].reshape(WIDTH, -1).T + w["patch_embed.proj.bias"]
    side = SIDE // PATCH
    table = w["pos_embed"][0, 1:].reshape(1, side, side, WIDTH).permute(0, 3, 1, 2)
    table = torch.nn.functional.interpolate(
        table, size=(rows, columns), mode="bicubic", align_corners=False
    )
    x = x + table.permute(0, 2, 3, 1).reshape(-1, WIDTH)
    x = torch.cat((w["cls_token"][0] + w["pos_embed"][0, :1], x))
    for index in range(BLOCKS):
        block = {
            name.removeprefix(f"blocks.{index}."): tensor
            for name, tensor in w.items()
            if name.startswith(f"blocks.{index}.")
        }
        y = layer_norm(x, block["norm1.weight"], block["norm1.bias"], 1e-6)
        bias = torch.cat(
            (block["attn.q_bias"], torch.zeros(WIDTH).double(), block["attn.v_bias"])
        )
        qkv = y @ block["attn.qkv.weight"].T + bias
        q, k, v = qkv.reshape(len(x), 3, HEADS, WIDTH // HEADS).permute(1, 2, 0, 3)
        scores = q @ k.transpose(1, 2) * (WIDTH // HEADS) ** -0.5
        mixed = (scores.softmax(-1) @ v).transpose(0, 1).reshape(len(x), WIDTH)
        x = x + mixed @ block["attn.proj.weight"].T + block["attn.proj.bias"]
        y = layer_norm(x, block["norm2.weight"], block["norm2.bias"], 1e-6)
        y = gelu(y @ block["mlp.fc1.weight"].T + block["mlp.fc1.bias"])
        x = x + y @ block["mlp.fc2.weight"].T + block["mlp.fc2.bias"]
    ones, zeros = torch.ones(WIDTH).double(), torch.zeros(WIDTH).double()
    return layer_norm(x, w.get("ln_vision.weight", ones), w.get("ln_vision.bias", zeros), 1e-5)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=FIXTURES, help="folder of the fixtures")
    out = parser.parse_args().out
    generator = torch.Generator().manual_seed(SEED)
    plain = weights(generator)
    images = {name: normal(generator, 1, 3, *size) for name, size in CASES.items()}
    trained = {
        "ln_vision.weight": normal(generator, WIDTH, std=0.2, mean=1.0),
        "ln_vision.bias": normal(generator, WIDTH, std=0.2),
    }
    for name, tensors in (("eva", plain), ("eva-norm", {**plain, **trained})):
        results = {}
        for case, pixels in images.items():
            results[f"golden.{case}.pixel_values"] = pixels
            results[f"golden.{case}.last_hidden_state"] = tokens(tensors, pixels[0])
        path = out / f"vision-{name}.safetensors"
        facts = {"config": CONFIG, "seed": SEED, "versions": versions(torch)}
        write_tensors(path, {**tensors, **results}, facts)
        limit_size(path, 90_000)


if __name__ == "__main__":
    main()
