"""Makes captions for VQA-RAD's images from the labels of its questions, as JSON lines.

    python3 tools/vqa_rad_captions.py data/vqa-rad > data/vqa-rad/captions.jsonl

VQA-RAD has no captions, and a first stage needs some. A caption names the image's modality and organ, the
plane where an open question asks for it, and what the open questions about abnormalities are answered with:

    Axial MRI of the head. Findings: ring enhancing lesion in the left occipital lobe.

These are the data set's own labels in other words, not what a radiologist would write of the image, and most
captions have no findings. There is one for every image, of all questions about it: give the file the same
`split` as the questions, by group, so that captions of test images are not trained on. The usual split, with
the same images on both sides, cannot be kept that way. Needs Python's standard library only.
"""

import json
import sys
from pathlib import Path

ORGANS = {"CHEST": "chest", "ABD": "abdomen", "HEAD": "head"}
# How the open answers about the plane say it.
PLANES = {"axial": "axial", "axial plane": "axial", "coronal": "coronal", "sagittal": "sagittal"}
PLANES |= {"pa": "posteroanterior", "posteroanterior": "posteroanterior", "ap": "anteroposterior"}


def open_answers(rows, kind):
    """The open answers to an image's questions of that kind, each once, in the order of the file."""
    of_kind = (row for row in rows if kind in row["question_type"] and row["answer_type"].strip() == "OPEN")
    return list(dict.fromkeys(" ".join(str(row["answer"]).lower().split()) for row in of_kind))


def caption(rows):
    planes = [PLANES[answer] for answer in open_answers(rows, "PLANE") if answer in PLANES]
    kind = f"{rows[0]['modality']} of the {ORGANS[rows[0]['image_organ']]}."
    text = f"{planes[0].capitalize()} {kind}" if planes else kind
    findings = open_answers(rows, "ABN")
    return f"{text} Findings: {'; '.join(findings)}." if findings else text


def main():
    folder = Path(sys.argv[1])
    images = {}
    for name in ("trainset.json", "testset.json"):
        for row in json.loads((folder / name).read_text()):
            images.setdefault(row["image_name"], []).append(row)
    for name, rows in sorted(images.items()):
        row = {"id": f"caption-{name.removesuffix('.jpg')}", "image": name, "task": "caption"}
        print(json.dumps(row | {"answer": caption(rows)}))


if __name__ == "__main__":
    main()
