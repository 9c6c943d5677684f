"""What every golden script shares: one thread, fixed seeds, reproducible bytes, true float64.

Import this module before torch: it sets the thread counts that the numeric libraries read
when they are loaded. One thread keeps the order of every sum fixed.
"""

import contextlib
import json
import os
import sys
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch  # noqa: E402
from safetensors import safe_open  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "crates" / "pefomed-model" / "tests" / "fixtures"
METADATA_KEY = "pefomed"


def normal(generator, *shape, std=1.0, mean=0.0):
    """Float32 normal numbers from `generator`; exact when widened to float64."""
    return torch.randn(*shape, generator=generator, dtype=torch.float32) * std + mean


def fill_vision(model, generator):
    """Weights of a vision encoder, none at a value at which a mistake would not show."""
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            shape = weight.shape
            if "lambda1" in name:
                weight.copy_(normal(generator, *shape, std=0.3, mean=0.7))
            elif "norm" in name and name.endswith("weight"):
                weight.copy_(normal(generator, *shape, std=0.2, mean=1.0))
            elif "embedding" in name and "patch" not in name:
                weight.copy_(normal(generator, *shape, std=0.5))
            elif name.endswith("bias"):
                weight.copy_(normal(generator, *shape, std=0.1))
            else:
                weight.copy_(normal(generator, *shape, std=weight[0].numel() ** -0.5))
    return model


def versions(*modules):
    """Name and version of every module that had a part in the numbers."""
    return {module.__name__: module.__version__.split("+")[0] for module in modules}


def write_tensors(path, tensors, metadata):
    """Writes `tensors` and one JSON metadata entry to `path`, the same bytes every time.

    The safetensors header keeps its metadata in a hash map, so more than one entry would come
    out in changing order; all facts therefore go into one JSON string.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {name: tensor.detach().contiguous().clone() for name, tensor in sorted(tensors.items())}
    save_file(whole, path, metadata={METADATA_KEY: json.dumps(metadata, sort_keys=True)})
    path.chmod(0o644)
    print(f"wrote {path}: {len(whole)} tensors, {path.stat().st_size:,} bytes")


def read_tensors(path):
    """All tensors of a fixture and its metadata."""
    with safe_open(str(path), "pt") as file:
        names = file.keys()
        metadata = json.loads((file.metadata() or {}).get(METADATA_KEY, "{}"))
        return {name: file.get_tensor(name) for name in names}, metadata


def limit_size(path, limit):
    """Ends the script with an error if a committed fixture has grown past `limit` bytes."""
    size = Path(path).stat().st_size
    if size >= limit:
        sys.exit(f"{path} has {size:,} bytes; fixtures here stay below {limit:,}")


@contextlib.contextmanager
def llama_in_float64():
    """Lets a LLaMA of `transformers` compute in float64 from end to end.

    As published it narrows to float32 in two places whatever the model's type is: inside
    RMSNorm, and for the rotary angles. Here both stay in float64; everything else is theirs.
    """
    from transformers.models.llama import modeling_llama as llama

    def norm(self, hidden):
        variance = hidden.pow(2).mean(-1, keepdim=True)
        return self.weight * (hidden * torch.rsqrt(variance + self.variance_epsilon))

    def rotary(self, hidden, position_ids):
        if self.rope_type != "default":
            raise ValueError(f"the float64 goldens know no rope type {self.rope_type!r}")
        base = self.config.rope_parameters["rope_theta"]
        width = self.config.head_dim
        exponents = torch.arange(0, width, 2, dtype=torch.float64) / width
        angles = position_ids[..., None].double() * (1.0 / base**exponents)
        angles = torch.cat((angles, angles), dim=-1)
        return angles.cos().to(hidden.dtype), angles.sin().to(hidden.dtype)

    kept = llama.LlamaRMSNorm.forward, llama.LlamaRotaryEmbedding.forward
    llama.LlamaRMSNorm.forward, llama.LlamaRotaryEmbedding.forward = norm, rotary
    try:
        yield
    finally:
        llama.LlamaRMSNorm.forward, llama.LlamaRotaryEmbedding.forward = kept


@contextlib.contextmanager
def resize_in_float64():
    """Lets `torch.nn.functional.interpolate` resize in float64.

    DINOv2 in `transformers` narrows its position table to float32 before resizing. The
    fixtures' tables are float32 numbers, so that step loses nothing, and widening them again
    here gives the float64 result.
    """
    functional = torch.nn.functional
    kept = functional.interpolate
    functional.interpolate = lambda table, **options: kept(table.double(), **options)
    try:
        yield
    finally:
        functional.interpolate = kept
