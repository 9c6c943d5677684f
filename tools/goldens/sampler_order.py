"""Prints the order of one pass of the question sampler, worked out a second time.

Its own ChaCha8 (RFC 8439's block with eight rounds, a 64-bit counter and a zero nonce) and its own
shuffle, so that the Rust code is held against something it shares no line with. Needs nothing but
Python 3.10 or later; paste the output into the test of `sampler.rs`.

    python tools/goldens/sampler_order.py
"""

import struct

MASK = 0xFFFFFFFF


def rotated(word, by):
    return ((word << by) | (word >> (32 - by))) & MASK


def quarter(s, a, b, c, d):
    for x, y, z, by in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        s[x] = (s[x] + s[y]) & MASK
        s[z] = rotated(s[z] ^ s[x], by)


def chacha_words(key, rounds=8):
    """The 32-bit words of the key stream, without end."""
    counter = 0
    while True:
        start = list(struct.unpack("<4I", b"expand 32-byte k")) + list(struct.unpack("<8I", key))
        start += [counter & MASK, counter >> 32, 0, 0]
        state = start[:]
        for _ in range(rounds // 2):
            for column in range(4):
                quarter(state, column, column + 4, column + 8, column + 12)
            for diagonal in range(4):
                a, b, c, d = (4 * row + (diagonal + row) % 4 for row in range(4))
                quarter(state, a, b, c, d)
        yield from ((x + y) & MASK for x, y in zip(state, start))
        counter += 1


def shuffle(items, words):
    for last in range(len(items) - 1, 0, -1):
        low, high = next(words), next(words)
        index = (((high << 32) | low) * (last + 1)) >> 64
        items[last], items[index] = items[index], items[last]


def one_pass(groups, seed, epoch, batch, tree, ahead=1):
    words = chacha_words(struct.pack("<QQ", seed, epoch) + b"question-sampler")
    trees = []
    for group in sorted(set(groups)):
        questions = [question for question, other in enumerate(groups) if other == group]
        shuffle(questions, words)
        trees += [questions[at : at + tree] for at in range(0, len(questions), tree)]
    shuffle(trees, words)
    # A row of all trees in the order in which they are dealt; marking each question with its tree and
    # cutting the row every `batch` questions splits trees at the boundaries of the steps.
    row, waiting = [], list(enumerate(trees))
    while waiting:
        room = batch - len(row) % batch
        fitting = [entry for entry in waiting[:ahead] if len(entry[1]) <= room]
        number, tree = chosen = (fitting or waiting)[0]
        waiting.remove(chosen)
        row += [(number, question) for question in tree[:room]]
        if tree[room:]:
            waiting.insert(0, (number, tree[room:]))
    steps = []
    for at in range(0, len(row), batch):
        step = {}
        for number, question in row[at : at + batch]:
            step.setdefault(number, []).append(question)
        steps.append(list(step.values()))
    return steps


if __name__ == "__main__":
    # The known answer for ChaCha8 under a zero key (test vector TC1 of the ChaCha drafts).
    known = bytes.fromhex("3e00ef2f895f40d67f5bb8e81f09a5a12c840ec3ce9a7f3b181be188ef711a1e")
    stream = chacha_words(bytes(32))
    assert struct.pack("<8I", *(next(stream) for _ in range(8))) == known
    for epoch, ahead in ((2, 1), (10, 3)):
        groups = [0, 0, 1, 0, 2, 1, 0, 2, 0, 3]
        print(one_pass(groups, seed=7, epoch=epoch, batch=4, tree=3, ahead=ahead))
