"""Fixtures for the weight readers, from the reference readers and writers of both formats.

    python -m venv venv && venv/bin/pip install gguf==0.17.1 safetensors==0.8.0 numpy==2.4.6
    venv/bin/python tools/goldens/gguf_dequant.py crates/pefomed-model/tests/fixtures [SHARED]

Writes into the fixtures folder:
  dequant.gguf           two rows of random blocks of every type, and metadata of every kind
  dequant.safetensors    their values as the reference dequantizes them
  mixed.safetensors      one tensor of each type that the project writes itself
  published_weights.json sums and first values of tensors of two published models; only when SHARED,
                         the folder that holds `models/`, is given
"""

import json
import sys
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from safetensors import safe_open
from safetensors.numpy import save_file

# Positions of the half-precision scales within a block, by type.
SCALES = {
    Type.Q4_0: [0],
    Type.Q4_1: [0, 2],
    Type.Q5_0: [0],
    Type.Q5_1: [0, 2],
    Type.Q8_0: [0],
    Type.Q4_K: [0, 2],
    Type.Q5_K: [0, 2],
    Type.Q6_K: [208],
}
# Zero, the smallest subnormal, the largest, and negative ones: what rounding errors like.
EDGES = np.array([0.0, 6e-8, 65504.0, -65504.0, -6e-8], dtype=np.float16)


def random_blocks(kind: Type, rng: np.random.Generator) -> np.ndarray:
    """Two rows of blocks: random bytes, with scales that are finite."""
    values, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, size=(2, 6 if values == 32 else 2, size), dtype=np.uint8)
    for at in SCALES[kind]:
        scales = rng.normal(0.0, 0.05, size=blocks.shape[:2]).astype(np.float16)
        if values == 32:
            scales[1, : len(EDGES)] = EDGES
        blocks[:, :, at : at + 2] = scales[..., None].view(np.uint8)
    return blocks.reshape(2, -1)


def write_dequant(folder: Path) -> None:
    rng = np.random.default_rng(20260101)
    writer = gguf.GGUFWriter(folder / "dequant.gguf", "llama")
    writer.add_uint8("kind.u8", 200)
    writer.add_int8("kind.i8", -100)
    writer.add_uint16("kind.u16", 60_000)
    writer.add_int16("kind.i16", -30_000)
    writer.add_uint32("kind.u32", 4_000_000_000)
    writer.add_int32("kind.i32", -2_000_000_000)
    writer.add_uint64("kind.u64", 2**64 - 1)
    writer.add_int64("kind.i64", -(2**63))
    writer.add_float32("kind.f32", 1e-5)
    writer.add_float64("kind.f64", 1e-300)
    writer.add_bool("kind.true", True)
    writer.add_bool("kind.false", False)
    writer.add_string("kind.text", "Größe ▁")
    writer.add_array("kind.texts", ["", "Ġthe", "▁Lunge"])
    writer.add_array("kind.i32s", [3, -1, 2**31 - 1])
    writer.add_array("kind.f32s", [0.5, -1e-3])
    writer.add_array("kind.nested", [[1, 2], [3]])

    expected = {}
    for kind in SCALES:
        blocks = random_blocks(kind, rng)
        name = f"blocks.{kind.name}"
        writer.add_tensor(name, blocks, raw_dtype=kind)
        expected[name] = gguf.quants.dequantize(blocks, kind).astype(np.float32)
    plain = rng.normal(size=(3, 2, 5)).astype(np.float32)
    writer.add_tensor("plain.F32", plain)
    expected["plain.F32"] = plain
    half = rng.normal(size=(2, 7)).astype(np.float16)
    writer.add_tensor("plain.F16", half)
    expected["plain.F16"] = half.astype(np.float32)
    brain = gguf.quants.quantize(plain[0], Type.BF16)
    writer.add_tensor("plain.BF16", brain, raw_dtype=Type.BF16)
    expected["plain.BF16"] = gguf.quants.dequantize(brain, Type.BF16)
    double = rng.normal(size=(4,))
    writer.add_tensor("plain.F64", double)
    expected["plain.F64"] = double.astype(np.float32)

    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    save_file(expected, folder / "dequant.safetensors", {"format": "np"})


def write_mixed(folder: Path) -> None:
    tensors = {
        "weight": np.arange(6, dtype=np.float32).reshape(2, 3) / 4 - 0.5,
        "bias": np.array([1.5, -0.25], dtype=np.float32),
        "half": np.array([[0.1, 65504.0, -6e-8]], dtype=np.float16),
        "step": np.array([-1, 2**40], dtype=np.int64),
        "state": np.array([0, 127, 255], dtype=np.uint8),
    }
    save_file(tensors, folder / "mixed.safetensors", {"format": "pt"})


def summary(values: np.ndarray) -> dict:
    exact = values.astype(np.float64)
    return {
        "shape": list(values.shape),
        "sum": float(exact.sum()),
        "squares": float((exact**2).sum()),
        "first": [float(v) for v in values.reshape(-1)[:4]],
    }


def write_published(folder: Path, models: Path) -> None:
    language = gguf.GGUFReader(
        models / "smollm2-135m-instruct" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    )
    chosen = {
        "token_embd.weight",
        "blk.0.attn_q.weight",
        "blk.0.attn_k.weight",
        "blk.17.ffn_down.weight",
        "blk.29.ffn_gate.weight",
        "output_norm.weight",
    }
    smollm2 = {
        tensor.name: summary(gguf.quants.dequantize(tensor.data, tensor.tensor_type))
        for tensor in language.tensors
        if tensor.name in chosen
    }
    with safe_open(models / "dinov2-small" / "model.safetensors", "np") as vision:
        names = list(vision.keys())
        dinov2 = {
            name: summary(vision.get_tensor(name))
            for name in [
                "embeddings.cls_token",
                "embeddings.patch_embeddings.projection.weight",
                "encoder.layer.11.mlp.fc2.weight",
                "layernorm.bias",
            ]
        }
    published = {
        "smollm2": {"tensors": len(language.tensors), "values": smollm2},
        "dinov2": {"tensors": len(names), "values": dinov2},
    }
    (folder / "published_weights.json").write_text(json.dumps(published, indent=1) + "\n")


if __name__ == "__main__":
    fixtures = Path(sys.argv[1])
    write_dequant(fixtures)
    write_mixed(fixtures)
    if len(sys.argv) > 2:
        write_published(fixtures, Path(sys.argv[2]) / "models")
