"""Fixtures for the reader of `torch.save`'s files, written by PyTorch itself.

    python -m venv venv && venv/bin/pip install -r tools/goldens/requirements.txt
    venv/bin/python tools/goldens/torch_files.py [--out crates/pefomed-model/tests/fixtures/torch]

Writes into the folder:
  plain.pth          a `state_dict` with one tensor of each type and each way to lie in a storage
  plain.safetensors  the same tensors, contiguous and in float32 (integers as they are)
  nested.pth         a checkpoint as training programs write it: model, optimizer, config (an object
                     of a class), scaler, epoch
  sharded/           `pytorch_model-0000N-of-00002.bin` with their list, as transformers writes them
  legacy.pth         the format of PyTorch before 1.6
  minigpt-*.pth      what MiniGPT-v2 and PeFoMed save of two small layers, in both spellings of the
                     low-rank names, half of it in float16
"""

import argparse
import json
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import save_file

FOLDER = Path(__file__).resolve().parents[2] / "crates/pefomed-model/tests/fixtures/torch"


def state():
    """Tensors under names that say how they lie."""
    torch.manual_seed(20260102)
    drawn = torch.randn(4, 3)
    tied = torch.randn(2, 2)
    tensors = OrderedDict()
    tensors["float32"] = drawn
    tensors["float16"] = torch.randn(3, 5).half()
    tensors["bfloat16"] = torch.randn(2, 7).bfloat16()
    tensors["float64"] = torch.randn(5, dtype=torch.float64)
    tensors["int64"] = torch.tensor([-1, 2**40])
    tensors["bool"] = torch.tensor([True, False, True])
    tensors["parameter"] = torch.nn.Parameter(torch.randn(2, 3))
    tensors["transposed"] = torch.randn(3, 4).t()
    tensors["permuted"] = torch.arange(24.0).reshape(2, 3, 4).permute(2, 0, 1)
    tensors["row of float32"] = drawn[2]
    tensors["column of float32"] = drawn[:, 1]
    tensors["every other"] = torch.arange(10.0)[1::2]
    tensors["one row"] = torch.randn(1, 6)[:, ::2]
    tensors["tied.a"] = tied
    tensors["tied.b"] = tied
    tensors["scalar"] = torch.tensor(2.5)
    tensors["empty"] = torch.empty(0, 5)
    tensors._metadata = OrderedDict({"": {"version": 1}})
    return tensors


def minigpt(spelling):
    """The keys of the public checkpoints, for a decoder of width 6 and heads of 2."""
    torch.manual_seed(20260103)
    model = OrderedDict()
    model["llama_proj.weight"] = torch.randn(6, 8).half()
    model["llama_proj.bias"] = torch.randn(6).half()
    for layer in range(2):
        for name, rows in [("q_proj", 6), ("v_proj", 4)]:
            module = f"llama_model.base_model.model.model.layers.{layer}.self_attn.{name}"
            model[f"{module}.lora_A{spelling}.weight"] = torch.randn(2, 6)
            model[f"{module}.lora_B{spelling}.weight"] = torch.randn(rows, 2)
    return {
        "model": model,
        "optimizer": {"state": {}, "param_groups": [{"lr": 1e-5, "betas": (0.9, 0.999)}]},
        "config": {"run": {"task": "image_text_pretrain", "amp": True}},
        "scaler": {"scale": 65536.0},
        "epoch": 49,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=FOLDER)
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)

    tensors = state()
    torch.save(tensors, folder / "plain.pth")
    whole = (torch.int64, torch.bool)
    expected = {
        name: (value if value.dtype in whole else value.detach().float()).contiguous().clone()
        for name, value in tensors.items()
    }
    save_file(expected, folder / "plain.safetensors", {"format": "pt"})

    layer = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=1e-3)
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    nested = {
        "model": layer.state_dict(),
        "optimizer": optimizer.state_dict(),
        "config": argparse.Namespace(run={"lr": 1e-3, "seed": 2**70}, tags={"a", "b"}, raw=b"\x00"),
        "scaler": {"scale": 65536.0, "growth_interval": 2000},
        "epoch": 4,
    }
    torch.save(nested, folder / "nested.pth")
    save_file(
        {name: value.detach() for name, value in layer.state_dict().items()},
        folder / "nested.safetensors",
        {"format": "pt"},
    )

    shards = folder / "sharded"
    shards.mkdir(exist_ok=True)
    names = ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"]
    parts = [["float32", "float16"], ["bfloat16", "transposed"]]
    for name, part in zip(names, parts):
        torch.save({key: tensors[key].clone() for key in part}, shards / name)
    index = {
        "metadata": {"total_size": 0},
        "weight_map": {key: name for name, part in zip(names, parts) for key in part},
    }
    (shards / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=2) + "\n")

    torch.save({"weight": torch.ones(2)}, folder / "legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(minigpt(".default"), folder / "minigpt-default.pth")
    torch.save(minigpt(""), folder / "minigpt-plain.pth")


if __name__ == "__main__":
    main()
