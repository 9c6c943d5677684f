"""Writes the golden file of the VQA answer normalisation.

A second writing of the rules of the VQA-v2 evaluation, in another language and another style
(regular expressions and an explicit table) than the Rust code, so that both would have to make
the same mistake. Needs nothing but Python 3.10 or later:

    python tools/goldens/vqa_normalise.py crates/pefomed-eval/tests/fixtures/vqa_normalise.json
"""

import json
import re
import sys

NUMBERS = "none zero one two three four five six seven eight nine ten".split()
TO_DIGIT = {word: str(max(0, index - 1)) for index, word in enumerate(NUMBERS)}

# Misspelling -> contraction, as pairs; those of one dropped apostrophe that the cases below touch.
RESTORED = dict(
    pair.split(":")
    for pair in """
    isnt:isn't doesnt:doesn't cant:can't dont:don't wasnt:wasn't arent:aren't thats:that's
    theres:there's its:its were:were couldnt've:couldn't've couldn'tve:couldn't've hes:he's
    whats:what's oclock:o'clock 'ow'sat:'ow's'at yall'll:y'all'll somebodyd:somebody'd
    wed've:we'd've wed:wed shed:shed theyre:they're hasnt:hasn't
    """.split()
)

MARKS = ';/[]"{}()=+\\_-><@`,?!'


def normal(text: str) -> str:
    text = re.sub(r"[\n\t]", " ", text).strip()
    number_with_comma = re.search(r"[0-9],[0-9]", text)
    result = text
    for mark in MARKS:
        m = re.escape(mark)
        beside_blank = re.search(f"{m} | {m}", text)
        result = re.sub(m, "" if beside_blank or number_with_comma else " ", result)
    result = re.sub(r"\.(?![0-9])", "", result).lower()
    result = " ".join(result.split())
    result = re.sub(r"(?<!\S)x (rays?)(?!\S)", r"x\1", result)
    words = [TO_DIGIT.get(word, word) for word in result.split()]
    words = [word for word in words if word not in ("a", "an", "the")]
    return " ".join(RESTORED.get(word, word) for word in words)


CASES = [
    # plain
    "yes", "Yes.", "  NO  ", "no\n", "Yes, it is.", "yes/no", "",
    # x-ray
    "x-ray", "X Ray", "xray", "X-rays", "x rays of the chest", "Chest X-ray (PA)", "x-ray - chest",
    "the x ray", "ax ray", "x raying", "CT / X-ray",
    # numbers
    "None", "zero", "two", "Ten", "eleven", "one lesion", "none seen", "someone", "2", "2.0",
    "1,000 ml", "10,000", "1,000-2,000 ml (approx.)", "3.5 cm.", "0.5-1.0 cm", ".5", "5.", "T.12",
    "L4.", "a.b.c", "1, 2", "1,2,3",
    # articles
    "A", "the", "The left lung", "an opacity in the right lower lobe", "a-line", "theatre",
    # punctuation beside blanks or not
    "right-sided", "right - sided", "T1-weighted", "T1-weighted, T2-weighted", "left/right",
    "(left)", "[left] lung", "\"ring enhancing\"", "air-fluid level", "pneumothorax?!",
    "what ?", "a_b", "c++", "50%", "12:30", "it's", "<5 mm", "> 5 mm", "a\\b", "`code`", "{x}",
    "heart; lungs", "Diffuse,bilateral", "Diffuse ,bilateral", "tab\tseparated", "new\nline",
    "ends with dash -", "- starts with dash",
    # contractions
    "isnt", "It isnt", "doesnt show", "Cant tell", "thats a mass", "its", "were", "couldnt've",
    "couldn'tve", "hes", "whats", "5 oclock", "'ow'sat", "yall'll", "somebodyd", "wed've", "wed",
    "shed", "theyre", "hasnt", "isn't",
    # letters beyond ASCII
    "Ödem", "β-lactam", "lésion, gauche", "肺", "don’t",
    # full sentences
    "There is a small left-sided pleural effusion, and the heart is normal in size.",
    "No, the lungs are clear; there isnt any pneumothorax.",
    ". . . . . . . . . . . . . . . . . . . . . . . . . . . . . . . . . . . . end.",
]


def main() -> None:
    (path,) = sys.argv[1:]
    rows = [{"text": text, "normal": normal(text)} for text in CASES]
    with open(path, "w", encoding="utf-8") as out:
        json.dump(rows, out, ensure_ascii=False, indent=1)
        out.write("\n")
    print(f"{len(rows)} cases written to {path}")


if __name__ == "__main__":
    main()
