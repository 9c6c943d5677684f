"""Answers questions of a finished run with transformers and PEFT, and compares.

    python tools/verify_run.py RUN VISION DECODER [--questions 60]

RUN is a run folder with `predictions-test.jsonl`; VISION and DECODER are the folders of its base in
Hugging Face layout. Everything between the image file and the answer is done again here by other
people's code: Pillow's resize, `Dinov2Model`, `LlamaForCausalLM`, `PeftModel` and greedy decoding
without a cache. Only the order of the parts, the joining of visual tokens and the projector's
product are written out. Prints how many answers are equal, and the smallest lead of the chosen token
over the next where they are not: a lead near 0 is rounding.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from peft import PeftModel
from PIL import Image
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import Dinov2Model, LlamaForCausalLM

MERGE = 4
PLACEHOLDER = "<ImageHere>"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("vision", type=Path)
    parser.add_argument("decoder", type=Path)
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("--begin", default="<s>")
    parser.add_argument("--end", default="</s>")
    options = parser.parse_args()
    torch.set_num_threads(1)

    settings = json.loads((options.vision / "preprocessor_config.json").read_text())
    mean, std = np.float32(settings["image_mean"]), np.float32(settings["image_std"])
    side = settings["size"]["height"]
    vision = Dinov2Model.from_pretrained(options.vision).float().eval()
    base = LlamaForCausalLM.from_pretrained(options.decoder).float().eval()
    model = PeftModel.from_pretrained(base, options.run / "adapter").eval()
    projector = load_file(options.run / "adapter" / "projector.safetensors")
    tokenizer = Tokenizer.from_file(str(options.decoder / "tokenizer.json"))
    begin, end = tokenizer.token_to_id(options.begin), tokenizer.token_to_id(options.end)
    table = base.get_input_embeddings()
    info = json.loads((options.run / "run.json").read_text())
    folders = [options.run / folder for folder in info["images_dir"]]

    def visual_tokens(name):
        path = next(f / name for f in folders if (f / name).is_file())
        image = Image.open(path).convert("RGB").resize((side, side), Image.BICUBIC)
        pixels = (np.asarray(image, np.float32) / 255 - mean) / std
        pixels = torch.from_numpy(pixels).permute(2, 0, 1)[None]
        patches = vision(pixel_values=pixels).last_hidden_state[0, 1:]
        joined = patches.reshape(len(patches) // MERGE, -1)
        return joined @ projector["llama_proj.weight"].T + projector["llama_proj.bias"]

    def embed(text):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        return table(torch.tensor(ids, dtype=torch.long))

    lines = (options.run / "predictions-test.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines][:: max(1, len(lines) // options.questions)]
    equal, leads = 0, []
    with torch.no_grad():
        for row in rows:
            before, after = row["prompt"].split(PLACEHOLDER)
            parts = [table(torch.tensor([begin])), embed(before), visual_tokens(row["image"]), embed(after)]
            sequence, answer, lead = torch.cat(parts), [], float("inf")
            for _ in range(row["tokens"] + 1):
                logits = model(inputs_embeds=sequence[None]).logits[0, -1]
                best = torch.topk(logits, 2)
                lead = min(lead, float(best.values[0] - best.values[1]))
                token = int(best.indices[0])
                if token == end:
                    break
                answer.append(token)
                sequence = torch.cat([sequence, table(torch.tensor([token]))])
            if tokenizer.decode(answer).strip() == row["prediction"]:
                equal += 1
            else:
                leads.append(lead)
    print(f"{equal} of {len(rows)} answers equal")
    if leads:
        print("smallest leads where they differ:", ", ".join(f"{lead:.2e}" for lead in sorted(leads)))


if __name__ == "__main__":
    main()
