"""Trains what a finished run trained, with PyTorch, transformers and PEFT, and answers its questions.

    python train_run.py RUN DATA VISION DECODER.gguf --out DIR [--passes 1] [--dtype bf16]

RUN is a run folder of this project on VQA-RAD. Its test questions are those of
`predictions-test.jsonl`; every question about another image is trained on, in an order of its own, with the
recipe of `recipes/vqa-rad-small.toml`: 16 questions a step, AdamW, warm-up and half a cosine. Images are
encoded once. The low-rank matrices and the projector are float32, as PEFT holds them where the
base is bfloat16. DIR gets `losses.jsonl` (a line a step) and `predictions-test.jsonl`, which `pefomed score`
reads.
"""

import argparse
import json
import math
import time
from pathlib import Path

import torch

import common

BATCH, PEAK, LAST, FIRST, WARM = 16, 8e-4, 8e-5, 8e-6, 20


def rate_at(step, steps):
    if step < WARM:
        return FIRST + (PEAK - FIRST) * step / WARM
    return (PEAK - LAST) * 0.5 * (1 + math.cos(math.pi * step / steps)) + LAST


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("vision")
    parser.add_argument("decoder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--passes", type=int, default=1)
    parser.add_argument("--dtype", default="bf16", choices=["float32", "bf16"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    dtype = common.dtype_of(options.dtype)

    asked = [json.loads(line) for line in (options.run / "predictions-test.jsonl").open()]
    kept = {row["image"] for row in asked}
    every = common.read_questions(options.data, "train") + common.read_questions(options.data, "test")
    train = [row for row in every if row[0].name not in kept]
    assert len(train) + len(asked) == len(every), "RUN is not split by image"

    base, tokenizer = common.load_decoder(options.decoder, dtype)
    model = common.add_lora(base, float32=True).train()
    vision = common.load_vision(options.vision, dtype)
    projector = torch.nn.Linear(vision.config.hidden_size * common.MERGE, base.config.hidden_size)
    trained = [p for p in model.parameters() if p.requires_grad] + list(projector.parameters())
    decayed, others = [p for p in trained if p.ndim > 1], [p for p in trained if p.ndim == 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}], fused=True
    )
    prompts = common.Prompts(tokenizer)

    start = time.perf_counter()
    images = sorted({row[0] for row in every})
    features = {path.name: common.visual(vision, common.pixels(path)[None])[0] for path in images}
    print(f"{len(images)} images encoded in {time.perf_counter() - start:.0f} s", flush=True)

    def visual(name):
        return projector(features[name].float()).to(dtype)

    def step(rows):
        loss = common.answer_loss(model, prompts, [(visual(path.name), *texts) for path, *texts in rows])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    steps = math.ceil(len(train) / BATCH) * options.passes
    start, count = time.perf_counter(), 0
    with (options.out / "losses.jsonl").open("w") as losses:
        for _ in range(options.passes):
            order = torch.randperm(len(train)).tolist()
            for first in range(0, len(order), BATCH):
                for group in optimizer.param_groups:
                    group["lr"] = rate_at(count, steps)
                begun = time.perf_counter()
                loss = step([train[i] for i in order[first : first + BATCH]])
                seconds = time.perf_counter() - begun
                losses.write(json.dumps({"step": count, "loss": loss, "seconds": seconds}) + "\n")
                losses.flush()
                count += 1
    trained_in = time.perf_counter() - start

    model.eval()
    start = time.perf_counter()
    with torch.no_grad(), (options.out / "predictions-test.jsonl").open("w") as out:
        for first in range(0, len(asked), 8):
            rows = asked[first : first + 8]
            answers = common.answers(model, prompts, [(visual(row["image"]), row["question"]) for row in rows])
            for row, ids in zip(rows, answers.tolist()):
                ids = ids[: ids.index(prompts.end)] if prompts.end in ids else ids
                row |= {"prediction": tokenizer.decode(ids).strip(), "tokens": len(ids)}
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
    common.report(
        work="train_run", dtype=options.dtype, threads=options.threads, passes=options.passes, steps=steps,
        questions=len(train), train_seconds=round(trained_in, 1),
        answer_seconds=round(time.perf_counter() - start, 1),
    )


if __name__ == "__main__":
    main()
