"""Loads a checkpoint that pefomed wrote as PyTorch users do, safely and mapped.

    python tools/verify_checkpoint.py FILE [--like OTHER]

Prints every tensor. With `--like`, another checkpoint must hold the same names with equal values.
Exit code 0: loaded (and equal); 1: not.
"""

import argparse
import sys
from pathlib import Path

import torch


def tensors(path):
    plain = torch.load(path, weights_only=True)["model"]
    mapped = torch.load(path, weights_only=True, mmap=True)["model"]
    for name, tensor in plain.items():
        if not torch.equal(tensor, mapped[name]):
            sys.exit(f"{path}: {name} differs when the file is mapped")
    return plain


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--like", type=Path)
    arguments = parser.parse_args()
    found = tensors(arguments.file)
    for name, tensor in found.items():
        print(f"{name} {tuple(tensor.shape)} {tensor.dtype} {tensor.flatten()[:3].tolist()}")
    if arguments.like:
        expected = tensors(arguments.like)
        if found.keys() != expected.keys():
            sys.exit(f"other names: {sorted(found.keys() ^ expected.keys())}")
        for name, tensor in expected.items():
            if not torch.equal(tensor.float(), found[name].float()):
                sys.exit(f"{name} differs")
        print(f"{len(expected)} tensors equal to those of {arguments.like}")


if __name__ == "__main__":
    main()
