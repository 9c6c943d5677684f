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
    prompts, table = common.Prompts(tokenizer), base.get_input_embeddings()
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
        pieces = [prompts.of(question, answer) for _, question, answer in rows]
        before = table(torch.tensor(prompts.before))
        sequences, targets, places = [], [], []
        for row, (after, answer) in enumerate(pieces):
            text = table(torch.tensor(after + answer[:-1]))
            sequences.append(torch.cat([before, visual[row], text]))
            first = len(prompts.before) + visual.shape[1] + len(after) - 1
            places += [(row, first + i) for i in range(len(answer))]
            targets += answer
        width = max(len(s) for s in sequences)
        padded = torch.zeros(len(rows), width, hidden, dtype=dtype)
        mask = torch.zeros(len(rows), width, dtype=torch.long)
        for row, sequence in enumerate(sequences):
            padded[row, : len(sequence)] = sequence
            mask[row, : len(sequence)] = 1
        # The body alone, then the head at the answers' positions.
        body = model.base_model.model.model
        states = body(inputs_embeds=padded, attention_mask=mask, use_cache=False).last_hidden_state
        rows_at, columns_at = zip(*places)
        logits = base.lm_head(states[list(rows_at), list(columns_at)])
        loss = torch.nn.functional.cross_entropy(logits.float(), torch.tensor(targets))
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
