"""Questions a second of greedy generation on VQA-RAD: transformers' `generate`, batches of 8.

    python generate_vqa.py DATA VISION DECODER.gguf [--dtype bf16] [--questions 64] [--adapter DIR]

Batches are padded on the left; images are decoded and encoded in their batch. With the adapter of a run of
this project the answers are that run's, up to rounding, and so is their length.
"""

import argparse
import time
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import load_file

import common


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("vision")
    parser.add_argument("decoder")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bf16"])
    parser.add_argument("--questions", type=int, default=64)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--new-tokens", type=int, default=24)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--adapter")
    options = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(options.threads)
    dtype = common.dtype_of(options.dtype)
    model, tokenizer = common.load_decoder(options.decoder, dtype)
    if options.adapter:
        model = PeftModel.from_pretrained(model, options.adapter, autocast_adapter_dtype=False)
        model = model.to(dtype).eval()
    else:
        model = common.add_lora(model).eval()
    vision = common.load_vision(options.vision, dtype)
    hidden = model.config.hidden_size
    projector = torch.nn.Linear(vision.config.hidden_size * common.MERGE, hidden).to(dtype)
    if options.adapter:
        tuned = load_file(Path(options.adapter) / "projector.safetensors")
        projector.load_state_dict({key.removeprefix("llama_proj."): v for key, v in tuned.items()})
    prompts = common.Prompts(tokenizer)
    questions = common.read_questions(options.data, "test")[: options.questions]

    start, written = time.perf_counter(), 0
    for first in range(0, len(questions), options.batch):
        rows = questions[first : first + options.batch]
        images = torch.stack([common.pixels(path) for path, _, _ in rows])
        visual = projector(common.visual(vision, images))
        rows = [(visual[row], question) for row, (_, question, _) in enumerate(rows)]
        answers = common.answers(model, prompts, rows, options.new_tokens)
        written += int((answers != prompts.end).sum())
    seconds = time.perf_counter() - start
    common.report(
        work="generate_vqa", dtype=options.dtype, threads=options.threads, tokens=written,
        questions=len(questions), seconds=round(seconds, 3),
        questions_per_second=round(len(questions) / seconds, 4),
    )


if __name__ == "__main__":
    main()
