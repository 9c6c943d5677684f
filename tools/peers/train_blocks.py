"""Seconds of a step of a random block stack: hidden 512, 8 layers, MLP 1376, vocabulary 32000.

    python train_blocks.py [--dtype bf16] [--steps 10]

Four sequences of 256 tokens, loss on 64 of them, LoRA r 64 on q and v.
"""

import argparse

import torch
from transformers import LlamaConfig, LlamaForCausalLM

import common


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dtype", default="bf16", choices=["float32", "bf16"])
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(options.threads)
    dtype = common.dtype_of(options.dtype)
    config = LlamaConfig(
        hidden_size=512, num_hidden_layers=8, intermediate_size=1376, vocab_size=32000,
        num_attention_heads=8, num_key_value_heads=8, attn_implementation="sdpa", dtype=dtype,
    )
    base = LlamaForCausalLM(config).to(dtype)
    model = common.add_lora(base, dropout=0.0).train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)
    tokens = torch.randint(0, 32000, (4, 256))
    places = torch.arange(4 * 256).reshape(4, 256)[:, -16:].reshape(-1)
    targets = torch.randint(0, 32000, (64,))

    def step(_):
        states = model.base_model.model.model(input_ids=tokens, use_cache=False).last_hidden_state
        logits = base.lm_head(states.reshape(-1, 512)[places])
        torch.nn.functional.cross_entropy(logits.float(), targets).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    timing = common.time_steps(step, options.steps, 3)
    common.report(
        work="train_blocks", dtype=options.dtype, threads=options.threads,
        steps_per_second=round(1 / timing["median_seconds"], 4), **timing,
    )


if __name__ == "__main__":
    main()
