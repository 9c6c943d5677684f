"""Writes the goldens of the lexical metrics with pycocoevalcap 1.2 and the two archives it contains.

    python3 -m venv venv && venv/bin/pip install pycocoevalcap==1.2 numpy==2.4.6
    venv/bin/python tools/goldens/lexical.py

Needs `java`. The texts are those of `lexical_pairs.py`; the tokens come from CoreNLP 3.4.1, the scores
from pycocoevalcap's own classes over these tokens, METEOR from meteor-1.5.jar: with all its data
(`meteor`), with exact and stem matches only (`meteor_exact_and_stem`), and with the few invented
synonyms and paraphrases in `crates/pefomed-eval/tests/fixtures/meteor` (`meteor_invented`), which this
script also writes.

CoreNLP reads its input through a buffer of 16,384 characters and now and then takes a blank or a mark
into a token where the buffer ends; what it makes of the end of a line can depend on the next line. So
texts are tokenized in small batches, with a line `q` after each.
"""

import gzip
import json
import os
import subprocess
import tempfile
from pathlib import Path

from pycocoevalcap.tokenizer import ptbtokenizer
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

from lexical_pairs import hand_written, pairs

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "crates" / "pefomed-eval" / "tests" / "fixtures"
INSTALLED = Path(ptbtokenizer.__file__).parents[1]
METEOR = INSTALLED / "meteor" / "meteor-1.5.jar"
CORENLP = INSTALLED / "tokenizer" / "stanford-corenlp-3.4.1.jar"

SYNSETS = {"mass": [1], "tumor": [1, 2], "nodule": [2], "opacity": [3], "shadow": [3], "normal": [4],
           "unremarkable": [4], "large": [5], "big": [5], "enlarge": [6], "expand": [6], "lung": [7],
           "pulmonary": [7], "fluid": [8], "effusion": [8], "die": [9], "perish": [9]}
EXCEPTIONS = {"opacity": ["opacities"], "lung": ["lungs"], "die": ["died", "dying"]}
PARAPHRASES = [("there is no", "no evidence of"), ("no evidence of", "there is no"), ("stable", "unchanged"),
               ("compared to", "in comparison with"), ("is stable", "has remained stable"), ("the", "a"),
               ("within normal limits", "normal"), ("clear", "free"), ("pleural effusion", "effusions"),
               ("heart", "cardiac silhouette"), ("prior", "previous"), ("no", "without")]


def tokenize(texts):
    """Tokens of each text as pycocoevalcap makes them when the text stands alone."""
    tokenizer, out, batch = PTBTokenizer(), [], []

    def flush():
        captions = {i: [{"caption": t}, {"caption": "q"}] for i, t in enumerate(batch)}
        made = tokenizer.tokenize(captions)
        for index in range(len(batch)):
            assert made[index][1] == "q", (batch[index], made[index])
            out.append(made[index][0])
        batch.clear()

    for text in texts:
        # All that the tokenizer takes for an end of line; pycocoevalcap replaces only the first.
        for end in "\n\r\x0b\x0c\x85\u2028\u2029":
            text = text.replace(end, " ")
        if batch and sum(len(t) + 3 for t in batch) + len(text) > 4000:
            flush()
        batch.append(text)
    flush()
    return out


def meteor(candidates, references, *options):
    """Scores of METEOR's archive, item by item and of all, spoken to as pycocoevalcap does."""
    command = ["java", "-jar", "-Xmx2G", str(METEOR), "-", "-", "-stdio", "-l", "en", "-norm", *options]
    run = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")

    def ask(line):
        run.stdin.write(line + "\n")
        run.stdin.flush()

    statistics = []
    for candidate, of_item in zip(candidates, references):
        candidate = candidate.replace("|||", "").replace("  ", " ")
        ask(" ||| ".join(["SCORE", *of_item, candidate]))
        statistics.append(run.stdout.readline().strip())
    ask(" ||| ".join(["EVAL", *statistics]))
    scores = [float(run.stdout.readline()) for _ in statistics]
    total = float(run.stdout.readline())
    run.stdin.close()
    run.wait()
    return {"all": total, "items": scores}


def score(candidates, references, folder):
    keys = range(len(candidates))
    res, gts = {k: [candidates[k]] for k in keys}, {k: references[k] for k in keys}
    out = {}
    total, items = Bleu(4).compute_score(gts, res, verbose=0)
    for order in range(4):
        out[f"bleu_{order + 1}"] = {"all": float(total[order]), "items": [float(x) for x in items[order]]}
    for name, scorer in [("rouge_l", Rouge()), ("cider", Cider())]:
        total, items = scorer.compute_score(gts, res)
        out[name] = {"all": float(total), "items": [float(x) for x in items]}
    weights = ["-p", "0.85 0.2 0.6 0.75"]
    out["meteor"] = meteor(candidates, references)
    out["meteor_exact_and_stem"] = meteor(candidates, references, *weights, "-m", "exact stem", "-w", "1.0 0.6")
    out["meteor_invented"] = meteor(
        candidates, references, "-d", str(folder / "synonym"), "-a", str(folder / "paraphrase-en.gz"))
    return out


def write_invented(folder):
    (folder / "synonym").mkdir(parents=True, exist_ok=True)
    lines = [f"{word}\n{' '.join(map(str, ids))}\n" for word, ids in sorted(SYNSETS.items())]
    (folder / "synonym" / "english.synsets").write_text("".join(lines))
    lines = [f"{base}\n{' '.join(forms)}\n" for base, forms in sorted(EXCEPTIONS.items())]
    (folder / "synonym" / "english.exceptions").write_text("".join(lines))
    (folder / "synonym" / "english.relations").write_text("")
    table = "".join(f"0.1\n{a}\n{b}\n" for a, b in PARAPHRASES)
    with open(folder / "paraphrase-en.gz", "wb") as raw, gzip.GzipFile("", "wb", 9, raw, 0) as out:
        out.write(table.encode())


def stems():
    roots = """abdomen adrenal atroph bilat calcif cardi cavit consolid contrast degener dens dilat effus
        enlarg extens fract gener hemorrh hyper inflam inter lesion mal measur metast multipl necro nod norm
        obstruct opac pleur prolifer pulmon radi sclero segment stabil succeed suggest thick trache tum vascul
        hop hopp fit fitt fall agree communic arsen happ die tie cr fl b sk prec exc pro""".split()
    endings = """* s es ed ing ly er ers est ion ions ation ational ative ator al ally alism ality ic ical
        ically ize izer ization ness ful fulness ous ously ousness ive iveness ivity able ably ability ible
        ment ements ance ancy ence ency ent ently ant ism ist ogy ogi y ies ied ying e eed eedly edly ingly
        ating ized iti bli li ss us 's 's' ' tional enci anci entli lessly lessness iness yed""".split()
    words = [root + ending.replace("*", "") for root in roots for ending in endings]
    words += """skis skies dying lying tying idly gently ugly early only singly sky news howe atlas cosmos bias
        andes inning outing canning herring earring proceed exceed succeed innings proceeded 'tis 'an a by say
        cry enjoy toy yes youth beyond sayings gas this kiwis gaps caresses ponies ties hopping hoping falling
        hissing fizzed failing filing controll roll bowed boxed dying's café naïve œdema x-ray 3.5 t2""".split()
    run = subprocess.run(["java", "-cp", str(METEOR), "Stemmer", "en"], input="\n".join(words) + "\n",
                         stdout=subprocess.PIPE, encoding="utf-8", check=True)
    made = run.stdout.split("\n")[: len(words)]
    return sorted(set(zip(words, made)))


def raw_lines():
    """What the tokenizer prints for some lines that are read as one file."""
    lines = [a.replace("\n", " ") for a, _ in hand_written() if not set(a) & set("\r\x0b\x0c\x85\u2028\u2029")]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lines"
        path.write_text("\n".join(lines), encoding="utf-8")
        assert len("\n".join(lines)) < 16384
        command = ["java", "-cp", str(CORENLP), "edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase"]
        out = subprocess.run([*command, str(path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return {"text": "\n".join(lines), "tokens": out.stdout.decode().rstrip("\n").split("\n")}


def write(name, value):
    path = FIXTURES / name
    with open(path, "w", encoding="utf-8") as out:
        json.dump(value, out, ensure_ascii=False, indent=0, separators=(",", ":"))
        out.write("\n")
    size = path.stat().st_size
    assert size < 300_000, f"{path} has {size:,} bytes"
    print(f"wrote {path}: {size:,} bytes")


def main():
    os.environ["LC_ALL"] = "C.UTF-8"
    folder = FIXTURES / "meteor"
    write_invented(folder)
    texts = pairs()
    candidates = tokenize([a for a, _ in texts])
    references = tokenize([b for _, b in texts])
    write("lexical_pairs.json", [
        {"candidate": a, "reference": b, "candidate_tokens": c, "reference_tokens": d}
        for (a, b), c, d in zip(texts, candidates, references)])
    write("lexical_lines.json", raw_lines())
    write("lexical_stems.json", stems())
    write("lexical_scores.json", score(candidates, [[r] for r in references], folder))
    # Three references each: the item's own and those of the two items after it.
    some = range(60, 120)
    several = [[references[i + j] for j in range(3)] for i in some]
    write("lexical_scores_3.json", score([candidates[i] for i in some], several, folder))


if __name__ == "__main__":
    main()
