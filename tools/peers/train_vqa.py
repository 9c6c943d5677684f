"""Seconds of a training step on VQA-RAD: PyTorch, transformers, PEFT.

    python train_vqa.py DATA VISION DECODER.gguf [--dtype bf16] [--features] [--steps 6]

A step is a batch of 8 questions with an image each, as data loaders draw them. Without --features every
image is decoded and encoded in its step; with it, its features are at hand.
"""

import argparse

import torch

import common


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("vision")
    parser.add_argument("decoder")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bf16"])
    parser.add_argument("--features", action="store_true")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(options.threads)
    dtype = common.dtype_of(options.dtype)

    base, tokenizer = common.load_decoder(options.decoder, dtype)
    hidden = base.config.hidden_size
    model = common.add_lora(base).train()
    vision = common.load_vision(options.vision, dtype)
    projector = torch.nn.Linear(vision.config.hidden_size * common.MERGE, hidden).to(dtype)
    trained = [p for p in model.parameters() if p.requires_grad] + list(projector.parameters())
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)
    prompts = common.Prompts(tokenizer)
    questions = common.read_questions(options.data, "train")
    order = torch.randperm(len(questions)).tolist()
    features = {}

    def encoded(paths):
        if not options.features:
            return common.visual(vision, torch.stack([common.pixels(path) for path in paths]))
        for path in paths:
            if path not in features:
                features[path] = common.visual(vision, common.pixels(path)[None])[0]
        return torch.stack([features[path] for path in paths])

    def batch_of(index):
        chosen = order[index * options.batch : (index + 1) * options.batch]
        return [questions[i] for i in chosen]

    warm = 2
    if options.features:
        # Outside of the timed steps.
        for index in range(warm + options.steps):
            encoded([path for path, _, _ in batch_of(index)])

    def step(index):
        rows = batch_of(index)
        visual = projector(encoded([path for path, _, _ in rows]))
        rows = [(visual[row], *texts) for row, (_, *texts) in enumerate(rows)]
        loss = common.answer_loss(model, prompts, rows)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    timing = common.time_steps(step, options.steps, warm)
    rate = options.batch / timing["median_seconds"]
    common.report(
        work="train_vqa", dtype=options.dtype, features=options.features, batch=options.batch,
        threads=options.threads, questions_per_second=round(rate, 4), **timing,
    )


if __name__ == "__main__":
    main()
