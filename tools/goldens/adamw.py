"""Writes the golden file of the optimizer: 20 steps of `torch.optim.AdamW` on 7 parameters.

    python tools/goldens/adamw.py

Needs torch (2.8 was used). Random gradients of very different sizes, some of them zero, and a
learning rate that changes from step to step; once with weight decay and once without.
"""

import json

from common import ROOT, normal, versions

import torch  # noqa: E402  (after `common`, which fixes the thread counts)

PATH = ROOT / "crates" / "pefomed-train" / "tests" / "fixtures" / "adamw.json"
STEPS, PARAMETERS = 20, 7
CONSTANTS = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weight_decay": 0.05}


def run(start, gradients, learning_rates, weight_decay):
    """All parameters after each step."""
    parameter = torch.nn.Parameter(start.clone())
    optimizer = torch.optim.AdamW(
        [parameter],
        betas=(CONSTANTS["beta1"], CONSTANTS["beta2"]),
        eps=CONSTANTS["epsilon"],
        weight_decay=weight_decay,
        foreach=False,
    )
    trace = []
    for gradient, rate in zip(gradients, learning_rates):
        optimizer.param_groups[0]["lr"] = rate
        parameter.grad = gradient.clone()
        optimizer.step()
        trace.append(parameter.detach().tolist())
    return trace


def main():
    generator = torch.Generator().manual_seed(11)
    start = normal(generator, PARAMETERS)
    scales = torch.tensor([1e-4, 1e-2, 0.1, 1.0, 10.0, 1e3, 1.0])
    gradients = normal(generator, STEPS, PARAMETERS) * scales
    gradients[::3, 6] = 0.0
    rates = [1e-2 * (step + 1) / 5 if step < 5 else 1e-2 * (1 - step / 25) for step in range(STEPS)]
    golden = {
        **CONSTANTS,
        "versions": versions(torch),
        "learning_rates": rates,
        "start": start.tolist(),
        "gradients": gradients.tolist(),
        "decayed": run(start, gradients, rates, CONSTANTS["weight_decay"]),
        "plain": run(start, gradients, rates, 0.0),
    }
    PATH.parent.mkdir(parents=True, exist_ok=True)
    PATH.write_text(json.dumps(golden) + "\n")
    print(f"wrote {PATH}: {PATH.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
