#!/usr/bin/env bash
# Runs this project and its peers in PyTorch by turns on the same work, and prints the ratios.
#
#     tools/bench.sh [--json] [--rounds N] [DATA VISION DECODER.gguf]
#
# PYTHON names the interpreter that has the packages of tools/peers/requirements.txt. Without the three
# paths only the block stack is measured. FEATURES names a folder that keeps this project's image features
# for the next time, and DTYPE (float32 or bf16) the peers' number type, if it is known which is faster. A
# figure is the median over the rounds.
set -euo pipefail
cd "$(dirname "$0")/.."
json=false rounds=3
while [[ ${1:-} == --* ]]; do
    case $1 in
        --json) json=true ;;
        --rounds) rounds=$2; shift ;;
        *) echo "unknown option $1" >&2; exit 2 ;;
    esac
    shift
done
exec "${PYTHON:-python3}" tools/peers/bench.py "$json" "$rounds" "$@"
