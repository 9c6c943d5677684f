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
    prompts, table = common.Prompts(tokenizer), model.get_input_embeddings()
    end = tokenizer.encode("<|im_end|>", add_special_tokens=False)[0]
    questions = common.read_questions(options.data, "test")[: options.questions]

    start, written = time.perf_counter(), 0
    for first in range(0, len(questions), options.batch):
        rows = questions[first : first + options.batch]
        images = torch.stack([common.pixels(path) for path, _, _ in rows])
        visual = projector(common.visual(vision, images))
        before = table(torch.tensor(prompts.before))
        sequences = [
            torch.cat([before, visual[row], table(torch.tensor(prompts.of(question, "")[0]))])
            for row, (_, question, _) in enumerate(rows)
        ]
        width = max(len(s) for s in sequences)
        padded = torch.zeros(len(rows), width, hidden, dtype=dtype)
        mask = torch.zeros(len(rows), width, dtype=torch.long)
        for row, sequence in enumerate(sequences):
            padded[row, width - len(sequence) :] = sequence
            mask[row, width - len(sequence) :] = 1
        answers = model.generate(
            inputs_embeds=padded, attention_mask=mask, max_new_tokens=options.new_tokens,
            do_sample=False, eos_token_id=end, pad_token_id=end,
        )
        written += int((answers != end).sum())
    seconds = time.perf_counter() - start
    common.report(
        work="generate_vqa", dtype=options.dtype, threads=options.threads, tokens=written,
        questions=len(questions), seconds=round(seconds, 3),
        questions_per_second=round(len(questions) / seconds, 4),
    )


if __name__ == "__main__":
    main()
