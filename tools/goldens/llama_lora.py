"""Writes the LLaMA goldens: logits, loss and LoRA gradients of `transformers` + `peft`.

    python tools/goldens/llama_lora.py [--out FIXTURES]

Three outputs below FIXTURES:

- `llama-lora.safetensors`: a random LLaMA with grouped-query attention and tied embeddings
  (float32 weights under their Hugging Face names), token ids, labels, and in float64 the
  logits with and without adapter, the loss, every adapter gradient, and a case where the
  embeddings of an image replace some token embeddings.
- `llama-lora-adapter/`: the same adapter as `peft` saves it.
- `llama-untied.safetensors`: a LLaMA with its own output head, as many key/value heads as
  query heads and the default rotary base; logits only.

All results are float64, computed without any step in float32; the float32 results of the
unchanged libraries are computed too and their distance is printed and recorded.
"""

import argparse
import json
from pathlib import Path

from common import FIXTURES, limit_size, llama_in_float64, normal, versions, write_tensors

import peft
import torch
import transformers
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

SEED = 20240105
IGNORED = -100
# Length of each sequence, and how many of its first tokens are the prompt.
SEQUENCES = [(19, 11), (12, 5)]
SPLICE_LENGTH, SPLICE_PROMPT = 16, 10
# First and one past the last position taken by image embeddings.
SPLICE = (2, 7)

CONFIG = {
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 112,
    "vocab_size": 97,
    "tie_word_embeddings": True,
    "rms_norm_eps": 1e-5,
    "rope_theta": 5000.0,
    "max_position_embeddings": 128,
}
UNTIED = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 8,
    "intermediate_size": 72,
    "vocab_size": 61,
    "tie_word_embeddings": False,
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 128,
}
COMMON = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def llama(settings, generator):
    """A LLaMA whose weights keep the activations of every layer near unit scale."""
    settings = dict(settings)
    theta = settings.pop("rope_theta", 10000.0)
    common = {
        key: value for key, value in COMMON.items() if key not in ("model_type", "architectures")
    }
    config = LlamaConfig(
        **settings, **common, rope_parameters={"rope_type": "default", "rope_theta": theta}
    )
    # The eager attention takes its softmax in float32; this one keeps the model's type.
    config._attn_implementation = "sdpa"
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            if "norm" in name:
                weight.copy_(normal(generator, *weight.shape, std=0.2, mean=1.0))
            elif "embed_tokens" in name or "lm_head" in name:
                weight.copy_(normal(generator, *weight.shape, std=0.35))
            else:
                weight.copy_(normal(generator, *weight.shape, std=weight.shape[1] ** -0.5))
    return model


def named_weights(model):
    """The weights as a checkpoint names them; a tied head is not stored twice."""
    tied = model.config.tie_word_embeddings
    return {
        name: weight.clone()
        for name, weight in model.state_dict().items()
        if not (tied and name == "lm_head.weight")
    }


def token_ids(generator, length, vocabulary):
    """A sequence that opens with BOS (1); the other ids are drawn from 3 upwards."""
    drawn = torch.randint(3, vocabulary, (length - 1,), generator=generator)
    return torch.cat((torch.tensor([1]), drawn))


def labels_of(ids, prompt):
    """Labels aligned with `ids`: the prompt is ignored; position t is predicted from t - 1."""
    labels = ids.clone()
    labels[:prompt] = IGNORED
    return labels


def summed_loss(logits, labels):
    """Sum of the cross-entropy over the answer tokens, and their number."""
    loss = torch.nn.functional.cross_entropy(
        logits[:-1], labels[1:], ignore_index=IGNORED, reduction="sum"
    )
    return loss, int((labels[1:] != IGNORED).sum())


def adapter_gradients(model):
    """Gradients under the names that `peft` gives to the tensors in its adapter file."""
    return {
        name.replace(".default.weight", ".weight"): weight.grad.clone()
        for name, weight in model.named_parameters()
        if weight.requires_grad
    }


def randomise_adapter(model, generator):
    """Draws A and B: with B at its usual zero, every gradient of A would be zero too."""
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            if "lora_A" in name:
                weight.copy_(normal(generator, *weight.shape, std=weight.shape[1] ** -0.5))
            elif "lora_B" in name:
                weight.copy_(normal(generator, *weight.shape, std=0.3))


def save_adapter(model, folder):
    """Saves as `peft` does, then sorts what it wrote in the order of a hash map."""
    model.save_pretrained(str(folder))
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config["target_modules"] = sorted(config["target_modules"])
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (folder / name).chmod(0o644)
        print(f"wrote {folder / name}: {(folder / name).stat().st_size:,} bytes")


def hub_config(settings):
    """The `config.json` of the model as hub repositories carry it."""
    return {"rope_theta": 10000.0, **COMMON, **settings, "torch_dtype": "float32"}


def largest(difference):
    return float(difference.abs().max())


def lora_case(out):
    generator = torch.Generator().manual_seed(SEED)
    base = llama(CONFIG, generator)
    tensors = named_weights(base)
    sequences = [token_ids(generator, length, CONFIG["vocab_size"]) for length, _ in SEQUENCES]
    labels = [labels_of(ids, prompt) for ids, (_, prompt) in zip(sequences, SEQUENCES, strict=True)]

    float32 = [base(input_ids=ids[None]).logits[0] for ids in sequences]
    base.double()
    distance = 0.0
    with llama_in_float64(), torch.no_grad():
        for index, ids in enumerate(sequences):
            logits = base(input_ids=ids[None]).logits[0]
            tensors[f"golden.{index}.input_ids"] = ids
            tensors[f"golden.{index}.labels"] = labels[index]
            tensors[f"golden.{index}.base_logits"] = logits
            distance = max(distance, largest(logits - float32[index]))
    base.float()

    adapter = LoraConfig(
        r=4,
        lora_alpha=6,
        lora_dropout=0.0,
        target_modules=["q_proj", "v_proj"],
        bias="none",
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(base, adapter).eval()
    randomise_adapter(model, generator)
    save_adapter(model, out / "llama-lora-adapter")

    model.double()
    with llama_in_float64():
        sums, counts = [], []
        for index, ids in enumerate(sequences):
            logits = model(input_ids=ids[None]).logits[0]
            tensors[f"golden.{index}.adapter_logits"] = logits
            loss, count = summed_loss(logits, labels[index])
            sums.append(loss)
            counts.append(count)
        mean = sum(sums) / sum(counts)
        mean.backward()
        tensors["golden.loss"] = mean.reshape(1)
        tensors["golden.sequence_loss"] = torch.stack([s / c for s, c in zip(sums, counts)])
        tensors["golden.answer_tokens"] = torch.tensor(counts)
        for name, gradient in adapter_gradients(model).items():
            tensors[f"golden.grad.{name}"] = gradient
        model.zero_grad(set_to_none=True)

        ids = token_ids(generator, SPLICE_LENGTH, CONFIG["vocab_size"])
        image = normal(generator, SPLICE[1] - SPLICE[0], CONFIG["hidden_size"], std=0.5)
        answer = labels_of(ids, SPLICE_PROMPT)
        embeds = model.get_input_embeddings()(ids).detach().clone()
        embeds[SPLICE[0] : SPLICE[1]] = image.double()
        embeds.requires_grad_(True)
        logits = model(inputs_embeds=embeds[None]).logits[0]
        loss, count = summed_loss(logits, answer)
        (loss / count).backward()
        tensors["splice.input_ids"] = ids
        tensors["splice.labels"] = answer
        tensors["splice.positions"] = torch.arange(*SPLICE)
        tensors["splice.image_embeds"] = image
        tensors["splice.inputs_embeds"] = embeds
        tensors["splice.logits"] = logits
        tensors["splice.loss"] = (loss / count).reshape(1)
        tensors["splice.grad.inputs_embeds"] = embeds.grad
        for name, gradient in adapter_gradients(model).items():
            tensors[f"splice.grad.{name}"] = gradient

    smallest = min(float(t.norm()) for n, t in tensors.items() if ".grad." in n)
    print(f"loss {mean.item():.6f}; smallest gradient norm {smallest:.3e}")
    print(f"float64 goldens to the libraries' own float32 logits: at most {distance:.2e}")
    write_tensors(
        out / "llama-lora.safetensors",
        tensors,
        {
            "config": hub_config(CONFIG),
            "lora": {"r": 4, "lora_alpha": 6, "target_modules": ["q_proj", "v_proj"]},
            "seed": SEED,
            "float32_distance": distance,
            "versions": versions(torch, transformers, peft),
        },
    )
    limit_size(out / "llama-lora.safetensors", 1_000_000)


def untied_case(out):
    generator = torch.Generator().manual_seed(SEED + 1)
    model = llama(UNTIED, generator)
    tensors = named_weights(model)
    ids = token_ids(generator, 15, UNTIED["vocab_size"])
    with torch.no_grad():
        float32 = model(input_ids=ids[None]).logits[0]
        model.double()
        with llama_in_float64():
            logits = model(input_ids=ids[None]).logits[0]
    distance = largest(logits - float32)
    tensors["golden.0.input_ids"] = ids
    tensors["golden.0.base_logits"] = logits
    print(f"float64 goldens to the library's own float32 logits: at most {distance:.2e}")
    write_tensors(
        out / "llama-untied.safetensors",
        tensors,
        {
            "config": hub_config(UNTIED),
            "seed": SEED + 1,
            "float32_distance": distance,
            "versions": versions(torch, transformers),
        },
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=FIXTURES, help="folder of the fixtures")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    lora_case(out)
    untied_case(out)


if __name__ == "__main__":
    main()
