"""Writes the golden file of the learning rate: what MiniGPT-v2's and PeFoMed's scheduler sets.

    python3 tools/goldens/schedule.py

Needs nothing but Python. Theirs counts epochs and steps of an epoch, so this does too: of epoch e and
step s, with n steps an epoch and E epochs, the overall step t = e·n + s has

    warm-up (t < w):  first + (peak − first) · s / w, at most peak
    cosine:           last + (peak − last) · (1 + cos(π · t / (E·n))) / 2

where MiniGPT-v2's cosine takes t, and PeFoMed's e·n: it stays as it is for an epoch. Both are written.
The warm-up takes s and not t: one that is longer than an epoch would begin anew with the next. Every
stage of the paper has a warm-up of at most one epoch, where both are the same.
"""

import json
import math
from pathlib import Path

PATH = Path(__file__).parents[2] / "crates" / "pefomed-train" / "tests" / "fixtures" / "schedule.json"

# Recipe, epochs, steps an epoch, peak, last, first, warm-up.
STAGES = [
    ("alignment", 5, 1000, 1e-5, 1e-6, 1e-6, 1000),
    ("vqa-rad", 50, 100, 1e-5, 1e-6, 1e-6, 100),
    ("slake", 50, 100, 1e-5, 1e-6, 1e-6, 100),
    ("path-vqa", 50, 100, 1e-5, 1e-6, 1e-6, 100),
    ("iu-xray", 4, 100, 3e-5, 1e-5, 1e-6, 100),
]


def curve(epochs, per_epoch, peak, last, first, warmup):
    """The rates of every step, with the cosine by step and by epoch."""
    rates = []
    for epoch in range(epochs):
        for step in range(per_epoch):
            total = epoch * per_epoch + step
            if total < warmup:
                rate = min(peak, first + (peak - first) * step / max(warmup, 1))
                rates.append((rate, rate))
            else:
                angles = math.pi * total / (epochs * per_epoch), math.pi * epoch / epochs
                rates.append([last + (peak - last) * 0.5 * (1.0 + math.cos(a)) for a in angles])
    return rates


def main():
    golden = []
    for recipe, *settings in STAGES:
        rates = curve(*settings)
        shown = {*range(0, len(rates), 61), *range(95, 106), *range(995, 1006), len(rates) - 1}
        steps = sorted(step for step in shown if step < len(rates))
        golden.append({"recipe": recipe, "steps": len(rates), "rates": [[s, *rates[s]] for s in steps]})
    PATH.write_text(json.dumps(golden) + "\n")
    print(f"wrote {PATH}: {PATH.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
