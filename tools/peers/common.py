"""What the peers share: models, prompts, timing."""

import json
import resource
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

MERGE = 4
SIZE = 448
MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])


def dtype_of(name):
    return {"float32": torch.float32, "bf16": torch.bfloat16}[name]


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def report(**facts):
    print(json.dumps({"torch": torch.__version__, "peak_mib": round(peak_mib(), 1), **facts}))


def time_steps(step, count, warm):
    """Seconds of each step after the first `warm`."""
    seconds = []
    for index in range(warm + count):
        start = time.perf_counter()
        step(index)
        if index >= warm:
            seconds.append(time.perf_counter() - start)
    return {"median_seconds": statistics.median(seconds), "seconds": [round(s, 4) for s in seconds]}


def load_decoder(gguf, dtype):
    from transformers import AutoTokenizer, LlamaForCausalLM

    folder, name = str(Path(gguf).parent), Path(gguf).name
    model = LlamaForCausalLM.from_pretrained(
        folder, gguf_file=name, dtype=dtype, attn_implementation="sdpa"
    )
    return model, AutoTokenizer.from_pretrained(folder, gguf_file=name)


def load_vision(folder, dtype):
    from transformers import Dinov2Model

    return Dinov2Model.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa").eval()


def add_lora(model, rank=64, alpha=16, dropout=0.05, float32=False):
    """The low-rank matrices are of the base's type, or float32."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=["q_proj", "v_proj"]
    )
    return get_peft_model(model, config, autocast_adapter_dtype=float32)


def pixels(path):
    image = Image.open(path).convert("RGB").resize((SIZE, SIZE), Image.BICUBIC)
    values = (np.asarray(image, np.float32) / 255 - MEAN) / STD
    return torch.from_numpy(values).permute(2, 0, 1)


@torch.no_grad()
def visual(vision, images):
    """Merged patch tokens `[B, 256, 4·C]`."""
    patches = vision(pixel_values=images.to(vision.dtype)).last_hidden_state[:, 1:]
    return patches.reshape(patches.shape[0], patches.shape[1] // MERGE, -1)


def read_questions(folder, split):
    rows = json.loads((Path(folder) / f"{split}set.json").read_text())
    return [
        (Path(folder) / "images" / row["image_name"], row["question"], str(row["answer"]))
        for row in rows
    ]


class Prompts:
    """The same prompt as the project's, as ids before and after the image, and of the answer."""

    def __init__(self, tokenizer):
        self.encode = lambda text: tokenizer.encode(text, add_special_tokens=False)
        self.before = self.encode("<|im_start|>user\n<Img>")
        self.end = self.encode("<|im_end|>")[0]

    def of(self, question, answer):
        after = self.encode(f"</Img> [vqa] {question}<|im_end|>\n<|im_start|>assistant\n")
        return after, self.encode(answer + "<|im_end|>")


def pad(sequences, left=False):
    """`[B, T, C]` and which positions are filled."""
    width = max(len(s) for s in sequences)
    rows, masks = [], []
    for sequence in sequences:
        missing = width - len(sequence)
        sides = (missing, 0) if left else (0, missing)
        rows.append(torch.nn.functional.pad(sequence, (0, 0, *sides)))
        masks.append(torch.nn.functional.pad(torch.ones(len(sequence), dtype=torch.long), sides))
    return torch.stack(rows), torch.stack(masks)


def answer_loss(model, prompts, rows):
    """Mean cross-entropy of the answers' tokens; a row is visual tokens `[256, C]`, question and answer."""
    table = model.get_input_embeddings()
    before = table(torch.tensor(prompts.before))
    sequences, targets, places = [], [], []
    for row, (visual, question, answer) in enumerate(rows):
        after, answer = prompts.of(question, answer)
        text = table(torch.tensor(after + answer[:-1]))
        sequences.append(torch.cat([before, visual, text]))
        first = len(sequences[-1]) - len(answer)
        places += [(row, first + i) for i in range(len(answer))]
        targets += answer
    padded, mask = pad(sequences)
    # The body alone, then the head at the answers' positions.
    base = model.base_model.model
    states = base.model(inputs_embeds=padded, attention_mask=mask, use_cache=False).last_hidden_state
    rows_at, columns_at = zip(*places)
    logits = base.lm_head(states[list(rows_at), list(columns_at)])
    return torch.nn.functional.cross_entropy(logits.float(), torch.tensor(targets))


def answers(model, prompts, rows, new_tokens=24):
    """Ids that `generate` writes greedily, `[B, T]`; a row is visual tokens `[256, C]` and question."""
    table = model.get_input_embeddings()
    before = table(torch.tensor(prompts.before))
    sequences = [
        torch.cat([before, visual, table(torch.tensor(prompts.of(question, "")[0]))])
        for visual, question in rows
    ]
    padded, mask = pad(sequences, left=True)
    return model.generate(
        inputs_embeds=padded, attention_mask=mask, max_new_tokens=new_tokens, do_sample=False,
        eos_token_id=prompts.end, pad_token_id=prompts.end,
    )
