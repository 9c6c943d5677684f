"""Loads an adapter that pefomed wrote into `peft` and compares logits.

    python tools/verify_adapter.py BASE ADAPTER LOGITS [--tolerance 1e-4]

- BASE: a model folder in Hugging Face layout, a GGUF file, or a fixture of
  `goldens/llama_lora.py` (weights and configuration in one safetensors file).
- ADAPTER: the folder with `adapter_config.json` and `adapter_model.safetensors`.
- LOGITS: a safetensors file with, for any number of cases, `CASE.input_ids` [tokens] and
  `CASE.adapter_logits` [tokens, vocabulary] as pefomed computed them.

Prints the largest difference of each case, computed in float64, and beside it how far the
adapter moves the logits at all: a match means something only if that is much larger. Exit
code 0: all within the tolerance; 1: not, or the adapter's tensors do not fit.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "goldens"))

from common import llama_in_float64, read_tensors  # noqa: E402

import torch  # noqa: E402
from peft import PeftModel, get_peft_model_state_dict  # noqa: E402
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM  # noqa: E402

RESULTS = ("golden.", "splice.")


def from_fixture(path):
    """The LLaMA whose weights and configuration a fixture holds."""
    tensors, metadata = read_tensors(path)
    if "config" not in metadata:
        sys.exit(f"{path}: no model configuration in its metadata")
    settings = dict(metadata["config"])
    theta = settings.pop("rope_theta")
    for key in ("model_type", "architectures", "torch_dtype"):
        settings.pop(key, None)
    config = LlamaConfig(**settings, rope_parameters={"rope_type": "default", "rope_theta": theta})
    config._attn_implementation = "sdpa"
    model = LlamaForCausalLM(config)
    weights = {name: t for name, t in tensors.items() if not name.startswith(RESULTS)}
    if config.tie_word_embeddings:
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    model.load_state_dict(weights)
    return model


def base_model(path):
    options = {"dtype": torch.float32, "attn_implementation": "sdpa"}
    if path.is_dir():
        return AutoModelForCausalLM.from_pretrained(str(path), **options)
    if path.suffix == ".gguf":
        return AutoModelForCausalLM.from_pretrained(
            str(path.parent), gguf_file=path.name, **options
        )
    return from_fixture(path)


def check_tensors(model, folder):
    """Ends with an error unless the file holds exactly the tensors that `peft` expects."""
    stored, _ = read_tensors(folder / "adapter_model.safetensors")
    wanted = get_peft_model_state_dict(model)
    missing, unknown = sorted(wanted.keys() - stored.keys()), sorted(stored.keys() - wanted.keys())
    if missing or unknown:
        sys.exit(f"{folder}: missing {missing[:4]}, unknown {unknown[:4]}")
    for name, tensor in wanted.items():
        if not torch.equal(tensor.float(), stored[name].float()):
            sys.exit(f"{folder}: peft did not load {name} as stored")
    print(f"{len(stored)} adapter tensors, all known to peft")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", type=Path)
    parser.add_argument("adapter", type=Path)
    parser.add_argument("logits", type=Path)
    parser.add_argument("--tolerance", type=float, default=1e-4)
    arguments = parser.parse_args()

    model = PeftModel.from_pretrained(base_model(arguments.base), str(arguments.adapter)).eval()
    check_tensors(model, arguments.adapter)
    model.double()
    tensors, _ = read_tensors(arguments.logits)
    suffix = ".adapter_logits"
    cases = [name[: -len(suffix)] for name in sorted(tensors) if name.endswith(suffix)]
    if not cases:
        sys.exit(f"{arguments.logits}: no tensor named CASE{suffix}")

    worst = 0.0
    with torch.no_grad(), llama_in_float64():
        for case in cases:
            ids = tensors[f"{case}.input_ids"].long().reshape(1, -1)
            logits = model(input_ids=ids).logits[0]
            with model.disable_adapter():
                effect = (logits - model(input_ids=ids).logits[0]).abs().max().item()
            stored = tensors[case + suffix].double().reshape(-1, logits.shape[-1])
            if stored.shape != logits.shape:
                sys.exit(f"{case}: logits {tuple(stored.shape)}, expected {tuple(logits.shape)}")
            difference = (logits - stored).abs().max().item()
            # `max` would let a NaN pass.
            worst = difference if not difference <= worst else worst
            print(f"{case}: largest difference {difference:.3e}; adapter effect {effect:.3e}")
    if not worst <= arguments.tolerance:
        sys.exit(f"largest difference {worst:.3e} is above {arguments.tolerance:.1e}")


if __name__ == "__main__":
    main()
