"""A small SentencePiece model of LLaMA's kind, and what the library makes of some texts with it.

    python -m venv venv && venv/bin/pip install sentencepiece==0.2.3
    venv/bin/python tools/goldens/sentencepiece_tokens.py [--out crates/pefomed-data/tests/fixtures]

Byte-pair merges by score, byte fallback, a dummy prefix, text otherwise as it is: what LLaMA-2's
`tokenizer.model` asks for, with 480 pieces instead of 32,000. Writes `sentencepiece.model`,
`sentencepiece-unigram.model` (a kind that is refused) and `sentencepiece.json`.
"""

import argparse
import io
import json
from pathlib import Path

import sentencepiece

FOLDER = Path(__file__).resolve().parents[2] / "crates/pefomed-data/tests/fixtures"
SENTENCES = [
    "The heart is normal in size and the lungs are clear.",
    "There is a small pleural effusion on the left side.",
    "Is there a mass in the right lower lobe? No mass is seen.",
    "The trachea is midline. No pneumothorax is present.",
    "Where is the lesion? In the left frontal lobe of the brain.",
    "The chest image shows an enlarged heart and a pacemaker.",
    "Which organ is shown in this image? The liver and the spleen.",
    "A fracture of the fourth rib is visible on the right.",
    "CT of the abdomen with contrast, axial plane, 5 mm slices.",
    "Findings: 12 nodules, the largest of 34 mm, in both lungs.",
]
TEXTS = [
    "",
    " ",
    "   ",
    "The heart is normal.",
    " The heart is normal.",
    "  the  left   lung ",
    "The\theart\nis\r\nlarge\n\n",
    "[INST] <Img>",
    "</Img> [vqa] Is there a mass in the left lobe? [/INST]",
    "Größe der Läsion: 3,5 cm",
    "肺の画像 🫁 é ½ \u00a0x",
    "aaaaaaaaaaaaaaaa",
    "ssssss lllll the the thethe",
    "12345 0.5 -7",
    "▁the heart",
    "\u0000\u0001",
    "pneumothoraxpneumothorax",
]


def train(kind, **options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 3),
        model_writer=model,
        model_type=kind,
        hard_vocab_limit=False,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        split_digits=True,
        num_threads=1,
        minloglevel=2,
        **options,
    )
    return model.getvalue()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=FOLDER)
    folder = parser.parse_args().out
    model = train("bpe", vocab_size=480)
    (folder / "sentencepiece.model").write_bytes(model)
    unigram = train("unigram", vocab_size=320)
    (folder / "sentencepiece-unigram.model").write_bytes(unigram)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    cases = [
        {"text": text, "ids": (ids := processor.encode(text)), "decoded": processor.decode(ids)}
        for text in TEXTS
    ]
    document = {"version": sentencepiece.__version__, "pieces": len(processor), "cases": cases}
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    (folder / "sentencepiece.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
