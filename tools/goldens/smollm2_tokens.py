"""Writes the tokenizer golden of SmolLM2: texts and their token ids.

    python tools/goldens/smollm2_tokens.py MODEL.gguf [--out FIXTURES]

`smollm2-tokens.json` holds the tokenizer facts of the GGUF file and about fifty cases
`{text, specials, ids}`. With `specials` true, names such as `<|im_end|>` in the text are the
special token; with false they are ordinary characters. A case whose ids differ from those of
the tokenizer that `transformers` makes of the same file says so (`transformers_ids`).
"""

import argparse
import json
from importlib.metadata import version
from pathlib import Path

from common import FIXTURES, versions

import tokenizers
import transformers
from gguf_tokenizer import GgufTokenizer, digest
from transformers import AutoTokenizer

SYSTEM = "You are a careful radiology assistant."
TEXTS = [
    "",
    " ",
    "a",
    "Is there evidence of a pneumothorax?",
    "Which side is the pleural effusion on?",
    "what type of imaging is this? mri, ct or x-ray",
    "Is the heart size enlarged (cardiothoracic ratio > 0.5)?",
    "Describe the findings in the right lower lobe.",
    "No acute cardiopulmonary abnormality.",
    "Mild cardiomegaly with bibasilar atelectasis; no focal consolidation.",
    "The patient doesn't have it, they've said, and we'll re-check.",
    "DON'T SHOUT: IT'S T1-weighted, T2/FLAIR & DWI.",
    "A 3.5 cm mass, 12345 HU, 1,024 x 768 px",
    "T12 vertebra, L4-L5 disc, C7",
    "in 2024",
    "in  2024",
    "two   spaces  and\ttabs\t\there",
    " leading blank",
    "  two leading blanks",
    "trailing blank ",
    "trailing blanks   ",
    "line one\nline two\n\nline four\n\n\n\nend\n",
    "\n",
    "\r\n windows\r\n",
    "\t7 after a tab",
    "   7",
    "yes",
    "no",
    "Yes.",
    "answer: 0",
    "½ ampoule, 10⁻³ mol, Ⅳ, ٣ and 七",
    "μg/mL, 37 °C, ±2σ, ≥ 5 mm → follow-up",
    "naïve café Ångström ß",
    "Ist das Röntgenbild unauffällig?",
    "这张图像中的器官是什么？",
    "肺部有结节吗？ 3个",
    "胸部X線",
    "Есть ли перелом?",
    "هل يوجد كسر؟",
    "🫁🩻 lungs 👩🏽‍⚕️",
    "e\u0301 combining and \u00a0no-break\u2003em space",
    "zero\u200bwidth",
    "\u0004\u0006 control bytes that the vocabulary lacks \u0013",
    ".\u0004. the full stops around an absent byte",
    "plane 16 \U000f0000 has a lead byte that the vocabulary lacks? \U00040000x",
    "<|im_start|>user\nIs there a fracture?<|im_end|>\n<|im_start|>assistant\n",
    f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\nWhat is 7 + 5?<|im_end|>\n",
    "<|im_start|><|im_end|><|endoftext|>",
    "text<|im_end|> then blank",
    "<|im_start|",
    "<img><ImageHere></img> [vqa] short answer",
    "[INST] question [/INST]",
    "def f(x):\n    return x ** 2  # 4 blanks\n",
    "https://example.org/a?b=1&c=%20",
    "A" * 40,
    "pneumonoultramicroscopicsilicovolcanoconiosis",
]
PLAIN = ["<|im_start|>user\nhi<|im_end|>\n", "answer<|endoftext|>", "<|im_end|>"]
MESSAGES = [
    {"role": "user", "content": "Is there a pleural effusion on this chest X-ray?"},
    {"role": "assistant", "content": "No."},
    {"role": "user", "content": "And on the left?"},
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="the SmolLM2 GGUF file")
    parser.add_argument("--out", type=Path, default=FIXTURES, help="folder of the fixtures")
    arguments = parser.parse_args()
    tokenizer = GgufTokenizer(arguments.model)
    theirs = AutoTokenizer.from_pretrained(
        str(arguments.model.parent), gguf_file=arguments.model.name
    )

    cases = []
    for text in TEXTS:
        case = {"text": text, "specials": True, "ids": tokenizer.encode(text)}
        converted = theirs(text, add_special_tokens=False).input_ids
        if converted != case["ids"]:
            case["transformers_ids"] = converted
        cases.append(case)
    for text in PLAIN:
        cases.append(
            {"text": text, "specials": False, "ids": tokenizer.encode(text, specials=False)}
        )

    rendered = theirs.apply_chat_template(MESSAGES, tokenize=False, add_generation_prompt=True)
    golden = {
        "source": {
            "file": arguments.model.name,
            "sha256": digest(arguments.model),
            "versions": versions(transformers, tokenizers) | {"gguf": version("gguf")},
        },
        "tokenizer": tokenizer.facts,
        "cases": cases,
        "chat": {
            "messages": MESSAGES,
            "add_generation_prompt": True,
            "text": rendered,
            "ids": tokenizer.encode(rendered),
        },
    }
    path = arguments.out / "smollm2-tokens.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(golden, indent=1, sort_keys=True) + "\n")
    differing = [case["text"] for case in cases if "transformers_ids" in case]
    print(f"wrote {path}: {len(cases)} cases, {path.stat().st_size:,} bytes")
    print(f"the transformers conversion differs on {len(differing)}: {differing}")


if __name__ == "__main__":
    main()
