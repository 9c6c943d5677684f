"""The small SentencePiece model as a GGUF file carries it, without weights.

    python -m venv venv && venv/bin/pip install gguf==0.19.0 sentencepiece==0.2.3
    venv/bin/python tools/goldens/gguf_llama_vocabulary.py

Reads `crates/pefomed-data/tests/fixtures/sentencepiece.model` and writes
`crates/pefomed-model/tests/fixtures/llama-vocabulary.gguf`, with the library's own writer and the
kinds of tokens that llama.cpp's converter gives.
"""

from pathlib import Path

import gguf
import sentencepiece

CRATES = Path(__file__).resolve().parents[2] / "crates"


def kind(model, piece):
    if model.is_unknown(piece):
        return gguf.TokenType.UNKNOWN
    if model.is_control(piece):
        return gguf.TokenType.CONTROL
    if model.is_byte(piece):
        return gguf.TokenType.BYTE
    return gguf.TokenType.NORMAL


def main():
    source = CRATES / "pefomed-data/tests/fixtures/sentencepiece.model"
    model = sentencepiece.SentencePieceProcessor(model_file=str(source))
    pieces = range(len(model))
    path = CRATES / "pefomed-model/tests/fixtures/llama-vocabulary.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("llama")
    writer.add_token_list([model.id_to_piece(piece) for piece in pieces])
    writer.add_token_scores([model.get_score(piece) for piece in pieces])
    writer.add_token_types([kind(model, piece) for piece in pieces])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
