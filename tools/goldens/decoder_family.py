"""Writes the goldens of LLaMA's kin: logits and greedy answers of `transformers`.

    python tools/goldens/decoder_family.py [--out FIXTURES]

For each case below, `decoder-NAME.safetensors` holds a small random decoder (float32 weights
under their Hugging Face names), and from the unchanged library in float32:

- `golden.input_ids` and `golden.logits` of one sequence, longer than any sliding window;
- `golden.R.prompt` and `golden.R.answer`: prompts that open alike, with what greedy generation
  writes after each, so that they can be asked as branches of one tree.

The metadata carries the configuration as the library writes it to `config.json`.
"""

import argparse
import json
import tempfile
from pathlib import Path

from common import FIXTURES, limit_size, normal, versions, write_tensors

import torch
import transformers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

SEED = 20231010
LENGTH = 24
ROOT = 7
BRANCHES = (1, 3, 6)
NEW_TOKENS = 8

SHAPE = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 29,
    "max_position_embeddings": 64,
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
# Name: (configuration, model, settings).
CASES = {
    "llama3": (LlamaConfig, LlamaForCausalLM, {"rope_parameters": LLAMA3, "head_dim": 12}),
    "linear": (
        LlamaConfig,
        LlamaForCausalLM,
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}},
    ),
    "biased": (LlamaConfig, LlamaForCausalLM, {"attention_bias": True, "mlp_bias": True}),
    "smollm2": (
        LlamaConfig,
        LlamaForCausalLM,
        {
            "tie_word_embeddings": True,
            "rope_parameters": {"rope_type": "default", "rope_theta": 100000.0},
            "rms_norm_eps": 1e-5,
        },
    ),
    "mistral": (MistralConfig, MistralForCausalLM, {"sliding_window": 5, "head_dim": 8}),
    "mistral-whole": (MistralConfig, MistralForCausalLM, {"sliding_window": None}),
    "qwen2": (
        Qwen2Config,
        Qwen2ForCausalLM,
        {
            "use_sliding_window": True,
            "sliding_window": 9,
            "max_window_layers": 1,
            "tie_word_embeddings": True,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0},
        },
    ),
}


def decoder(configuration, kind, settings, generator):
    config = configuration(**{**SHAPE, **settings})
    config._attn_implementation = "eager"
    model = kind(config).eval()
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            if "norm" in name:
                weight.copy_(normal(generator, *weight.shape, std=0.2, mean=1.0))
            elif name.endswith("bias"):
                weight.copy_(normal(generator, *weight.shape, std=0.5))
            elif "embed_tokens" in name or "lm_head" in name:
                weight.copy_(normal(generator, *weight.shape, std=0.6))
            else:
                weight.copy_(normal(generator, *weight.shape, std=1.5 * weight.shape[1] ** -0.5))
    return model


def saved_config(model):
    with tempfile.TemporaryDirectory() as folder:
        model.config.save_pretrained(folder)
        return json.loads((Path(folder) / "config.json").read_text())


def drawn(generator, length):
    return torch.randint(3, SHAPE["vocab_size"], (length,), generator=generator)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=FIXTURES, help="folder of the fixtures")
    out = parser.parse_args().out
    for number, (name, (configuration, kind, settings)) in enumerate(CASES.items()):
        generator = torch.Generator().manual_seed(SEED + number)
        model = decoder(configuration, kind, settings, generator)
        tied = model.config.tie_word_embeddings
        tensors = {
            key: weight.clone()
            for key, weight in model.state_dict().items()
            if not (tied and key == "lm_head.weight")
        }
        ids = drawn(generator, LENGTH)
        with torch.no_grad():
            tensors["golden.input_ids"] = ids
            tensors["golden.logits"] = model(input_ids=ids[None]).logits[0]
            root = drawn(generator, ROOT)
            for index, length in enumerate(BRANCHES):
                prompt = torch.cat((root, drawn(generator, length)))
                written = model.generate(
                    prompt[None],
                    attention_mask=torch.ones_like(prompt[None]),
                    max_new_tokens=NEW_TOKENS,
                    do_sample=False,
                    pad_token_id=0,
                )[0, len(prompt) :]
                tensors[f"golden.{index}.prompt"] = prompt
                tensors[f"golden.{index}.answer"] = written
        answers = [tensors[f"golden.{index}.answer"].tolist() for index in range(len(BRANCHES))]
        print(name, answers)
        path = out / f"decoder-{name}.safetensors"
        write_tensors(
            path,
            tensors,
            {
                "config": saved_config(model),
                "seed": SEED + number,
                "root": ROOT,
                "versions": versions(torch, transformers),
            },
        )
        limit_size(path, 60_000)


if __name__ == "__main__":
    main()
