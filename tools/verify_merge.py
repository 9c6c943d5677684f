"""Loads a merged model into transformers and compares it with the base under PEFT.

    python tools/verify_merge.py BASE ADAPTER MERGED [--tokens 40]

BASE is a folder in Hugging Face layout or a GGUF file, ADAPTER an adapter folder, MERGED what
`pefomed merge` wrote. Both models see the same random tokens. Prints the largest difference of a
logit, the largest logit, how far the adapter moves any logit, and after how many tokens both predict
the same next one. Exit code 1 if the merged model does not load without complaint.
"""

import argparse
import sys
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

OPTIONS = {"dtype": torch.float32, "attn_implementation": "eager"}


def load(path):
    if path.is_dir():
        return AutoModelForCausalLM.from_pretrained(str(path), **OPTIONS).eval()
    return AutoModelForCausalLM.from_pretrained(
        str(path.parent), gguf_file=path.name, **OPTIONS
    ).eval()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", type=Path)
    parser.add_argument("adapter", type=Path)
    parser.add_argument("merged", type=Path)
    parser.add_argument("--tokens", type=int, default=40)
    arguments = parser.parse_args()
    torch.manual_seed(0)

    model, info = AutoModelForCausalLM.from_pretrained(
        str(arguments.merged), output_loading_info=True, **OPTIONS
    )
    wrong = {key: sorted(value) for key, value in info.items() if value and key != "error_msgs"}
    if wrong:
        sys.exit(f"{arguments.merged}: {wrong}")
    ids = torch.randint(0, model.config.vocab_size, (1, arguments.tokens))
    base = load(arguments.base)
    with torch.no_grad():
        merged = model.eval()(input_ids=ids).logits[0]
        plain = base(input_ids=ids).logits[0]
        tuned = PeftModel.from_pretrained(base, str(arguments.adapter)).eval()
        adapted = tuned(input_ids=ids).logits[0]
    same = (merged.argmax(-1) == adapted.argmax(-1)).sum().item()
    print(
        f"largest difference {(merged - adapted).abs().max().item():.3e}, "
        f"largest logit {adapted.abs().max().item():.2f}, "
        f"adapter effect {(adapted - plain).abs().max().item():.3f}, "
        f"same prediction {same} of {arguments.tokens}"
    )
    tokenizer = AutoTokenizer.from_pretrained(str(arguments.merged))
    print(tokenizer("Is there a pleural effusion?")["input_ids"])


if __name__ == "__main__":
    main()
