"""Times pycocoevalcap 1.2 on a table of report pairs, step by step, as a peer of pefomed's bench.

    cargo bench -p pefomed-eval --bench lexical -- --write pairs.csv
    venv/bin/pip install pycocoevalcap==1.2
    venv/bin/python tools/bench_pycocoevalcap.py pairs.csv
    cargo bench -p pefomed-eval --bench lexical -- pairs.csv

Needs `java`. Columns `reference` and `prediction`. The tokenizer's time contains the start of Java, and
METEOR's the start of Java and the reading of its data, as everyone who calls pycocoevalcap waits for them.
"""

import csv
import os
import subprocess
import sys
import time

from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.meteor import meteor as meteor_module
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer


def processor():
    """Seconds of processor used so far, those of Java processes that have ended included."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def timed(what, work):
    begin, before = time.perf_counter(), processor()
    made = work()
    said(what, begin, before)
    return made


def said(what, begin, before):
    wall = time.perf_counter() - begin
    print(f"{what:<40} {wall:8.3f} s, of processor {processor() - before:8.3f} s", flush=True)


def meteor(gts, res, exact_and_stem):
    """pycocoevalcap's METEOR, which leaves Java's standard error unread; fewer matchers by option."""
    scorer = meteor_module.Meteor()
    if exact_and_stem:
        scorer.meteor_p.kill()
        options = ["-p", "0.85 0.2 0.6 0.75", "-m", "exact stem", "-w", "1.0 0.6"]
        scorer.meteor_p = subprocess.Popen(
            scorer.meteor_cmd + options, cwd=os.path.dirname(meteor_module.__file__),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    score = scorer.compute_score(gts, res)[0]
    # Ends Java and waits for it, so that its time counts.
    scorer.__del__()
    scorer.meteor_p.stdin = open(os.devnull, "wb")
    return score


def main():
    (path,) = sys.argv[1:]
    csv.field_size_limit(1 << 24)
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    print(f"{len(rows)} pairs")
    begin, before = time.perf_counter(), processor()
    captions = lambda column: {i: [{"caption": row[column]}] for i, row in enumerate(rows)}
    gts, res = timed("tokens (Java)", lambda: [
        PTBTokenizer().tokenize(captions(column)) for column in ("reference", "prediction")])
    values = {}
    values["BLEU"] = timed("BLEU", lambda: Bleu(4).compute_score(gts, res, verbose=0)[0])
    values["ROUGE-L"] = timed("ROUGE-L", lambda: Rouge().compute_score(gts, res)[0])
    values["CIDEr"] = timed("CIDEr", lambda: Cider().compute_score(gts, res)[0])
    said("tokens, BLEU, ROUGE-L, CIDEr", begin, before)
    values["METEOR, exact and stem"] = timed("METEOR, exact and stem (Java)", lambda: meteor(gts, res, True))
    values["METEOR"] = timed("METEOR (Java)", lambda: meteor(gts, res, False))
    for name, value in values.items():
        print(name, value)


if __name__ == "__main__":
    main()
