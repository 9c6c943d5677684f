"""The byte-level BPE tokenizer inside a GGUF file, twice: by `tokenizers` and by hand.

`transformers` reads such a file too, but gives every `gpt2` vocabulary the same splitting
rule and so loses what `tokenizer.ggml.pre` says. For `smollm` the rule is: first every digit
(Unicode category N) stands alone, then the GPT-2 pattern splits the stretches between digits.
The difference shows where blanks come before a digit.

The version by hand shares no code with the library; the goldens are written only where both
agree.
"""

import hashlib

import regex
from gguf import GGUFReader
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

CONTROL = 3
GPT2 = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
DIGIT = regex.compile(r"(\p{N})")


def byte_letters():
    """The printable letter that stands for each byte in a byte-level vocabulary."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = {byte: chr(byte) for byte in printable}
    others = (byte for byte in range(256) if byte not in letters)
    letters.update({byte: chr(0x100 + place) for place, byte in enumerate(others)})
    return letters


class GgufTokenizer:
    """Tokens, merges and special ids of the file at `path`; only `smollm` splitting is known."""

    def __init__(self, path):
        fields = GGUFReader(str(path)).fields

        def value(key):
            return fields[f"tokenizer.{key}"].contents()

        self.facts = {
            "model": value("ggml.model"),
            "pre": value("ggml.pre"),
            "bos": value("ggml.bos_token_id"),
            "eos": value("ggml.eos_token_id"),
            "pad": value("ggml.padding_token_id"),
            "unknown": value("ggml.unknown_token_id"),
            "add_bos": value("ggml.add_bos_token"),
            "add_space_prefix": value("ggml.add_space_prefix"),
            "chat_template": value("chat_template"),
        }
        if (self.facts["model"], self.facts["pre"]) != ("gpt2", "smollm"):
            raise SystemExit(f"{path}: a gpt2 vocabulary with smollm splitting is expected")
        tokens, kinds = value("ggml.tokens"), value("ggml.token_type")
        self.ids = {token: place for place, token in enumerate(tokens)}
        self.merges = [tuple(merge.split(" ")) for merge in value("ggml.merges")]
        self.control = [token for token, kind in zip(tokens, kinds, strict=True) if kind == CONTROL]
        self.facts["vocabulary"] = len(tokens)
        self.facts["special_tokens"] = {token: self.ids[token] for token in self.control}
        self.letters = byte_letters()
        self.facts["absent_bytes"] = sorted(b for b, c in self.letters.items() if c not in self.ids)
        self.ranks = {pair: rank for rank, pair in enumerate(self.merges)}
        self.library = self.from_library()

    def from_library(self):
        """The tokenizer as `tokenizers` runs it."""
        library = Tokenizer(models.BPE(vocab=self.ids, merges=self.merges))
        library.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )
        library.decoder = decoders.ByteLevel()
        library.add_special_tokens(
            [AddedToken(token, special=True, normalized=False) for token in self.control]
        )
        return library

    def encode(self, text, specials=True):
        """Ids of `text`; with `specials` false, names of special tokens are plain text."""
        self.library.encode_special_tokens = not specials
        ids = self.library.encode(text, add_special_tokens=False).ids
        by_hand = self.encode_by_hand(text, specials)
        if ids != by_hand:
            raise SystemExit(f"two readings of {text!r}: {ids} and {by_hand}")
        return ids

    def encode_by_hand(self, text, specials):
        names = sorted(self.control, key=len, reverse=True)
        cut = regex.compile("(" + "|".join(map(regex.escape, names)) + ")")
        ids = []
        for part in cut.split(text) if specials else [text]:
            if specials and part in self.control:
                ids.append(self.ids[part])
                continue
            for stretch in filter(None, DIGIT.split(part)):
                for word in GPT2.findall(stretch):
                    ids.extend(self.merge(word))
        return ids

    def merge(self, word):
        """Joins the pair of lowest rank, leftmost first, until none is left.

        A byte that the vocabulary lacks yields no token, and its neighbours then touch.
        """
        pieces = [self.letters[byte] for byte in word.encode()]
        pieces = [piece for piece in pieces if piece in self.ids]
        while len(pieces) > 1:
            ranked = [
                (self.ranks.get(pair, len(self.ranks)), place)
                for place, pair in enumerate(zip(pieces, pieces[1:]))
            ]
            rank, place = min(ranked)
            if rank == len(self.ranks):
                break
            pieces[place : place + 2] = [pieces[place] + pieces[place + 1]]
        return [self.ids[piece] for piece in pieces]


def digest(path):
    """SHA-256 of the file, to tell which model the goldens belong to."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
