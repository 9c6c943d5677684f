"""Writes the golden of a real language model: logits of SmolLM2-135M-Instruct.

    python tools/goldens/smollm2_logits.py MODEL.gguf [--out FIXTURES]

`transformers` reads the GGUF file, which unpacks the quantized weights and returns the query
and key rows from GGUF's pair order to the half-split order of its rotary embedding. The model
then runs in float64 (see `common.llama_in_float64`), and the results are stored as float32.

`smollm2-logits.safetensors` holds for sequence 0 (plain text) and 1 (a chat prompt): the ids,
all logits at the last position, and at three earlier positions the 64 largest logits with
their ids, largest first.
"""

import argparse
from importlib.metadata import version
from pathlib import Path

from common import FIXTURES, limit_size, llama_in_float64, versions, write_tensors

import torch
import transformers
from gguf_tokenizer import GgufTokenizer, digest
from transformers import LlamaForCausalLM

TOP = 64
PLAIN = (
    "The chest radiograph shows clear lungs, a normal heart size and no pleural effusion."
    " Impression: no acute"
)
CHAT = (
    "<|im_start|>system\nAnswer briefly.<|im_end|>\n"
    "<|im_start|>user\nWhich organ is enlarged in cardiomegaly, and which view shows it?"
    "<|im_end|>\n<|im_start|>assistant\n"
)


def positions(length):
    """Three places before the last: the first, one in the middle, and the last but one."""
    return [0, length // 2, length - 2]


def continuation(model, ids, count):
    """The most likely `count` tokens after `ids`, one by one."""
    grown = list(ids)
    for _ in range(count):
        logits = model(input_ids=torch.tensor([grown])).logits[0, -1]
        grown.append(int(logits.argmax()))
    return grown[len(ids) :]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="the SmolLM2 GGUF file")
    parser.add_argument("--out", type=Path, default=FIXTURES, help="folder of the fixtures")
    arguments = parser.parse_args()
    tokenizer = GgufTokenizer(arguments.model)
    model = LlamaForCausalLM.from_pretrained(
        str(arguments.model.parent),
        gguf_file=arguments.model.name,
        dtype=torch.float32,
        attn_implementation="sdpa",
    ).eval()

    sequences = [tokenizer.encode(text) for text in (PLAIN, CHAT)]
    tensors, distance = {}, 0.0
    with torch.no_grad():
        float32 = [model(input_ids=torch.tensor([ids])).logits[0] for ids in sequences]
        for text, ids in zip((PLAIN, CHAT), sequences):
            said = tokenizer.library.decode(continuation(model, ids, 12), skip_special_tokens=False)
            print(f"{len(ids)} tokens, {text[-40:]!r} goes on {said!r}")
        model.double()
        with llama_in_float64():
            for index, ids in enumerate(sequences):
                logits = model(input_ids=torch.tensor([ids])).logits[0]
                distance = max(distance, (logits - float32[index]).abs().max().item())
                at = positions(len(ids))
                values, places = logits[at].topk(TOP, dim=-1)
                tensors[f"golden.{index}.input_ids"] = torch.tensor(ids)
                tensors[f"golden.{index}.last_logits"] = logits[-1].float()
                tensors[f"golden.{index}.positions"] = torch.tensor(at)
                tensors[f"golden.{index}.top_ids"] = places
                tensors[f"golden.{index}.top_logits"] = values.float()

    print(f"float64 goldens to the library's own float32 logits: at most {distance:.2e}")
    path = arguments.out / "smollm2-logits.safetensors"
    config = model.config
    write_tensors(
        path,
        tensors,
        {
            "file": arguments.model.name,
            "sha256": digest(arguments.model),
            "texts": [PLAIN, CHAT],
            "rope_theta": config.rope_parameters["rope_theta"],
            "rms_norm_eps": config.rms_norm_eps,
            "tie_word_embeddings": config.tie_word_embeddings,
            "float32_distance": distance,
            "versions": versions(torch, transformers) | {"gguf": version("gguf")},
        },
    )
    limit_size(path, 1_000_000)


if __name__ == "__main__":
    main()
