"""Writes the golden file of F1-14 and F1-5.

Random sets of findings in candidates and references, and what scikit-learn says of them: micro and macro
F1 over all findings and over five, precision, recall and F1 of each. One finding is in no text: scikit-learn
leaves what is not defined out of macro when `zero_division` is NaN. Python 3.11 or later:

    pip install -r tools/goldens/requirements-clinical.txt
    python tools/goldens/clinical_f1.py crates/pefomed-eval/tests/fixtures/clinical_f1.json
"""

import json
import sys
from importlib.metadata import version

import numpy as np
from sklearn.metrics import precision_recall_fscore_support

SEED = 20261128
ITEMS = 40
FINDINGS = [
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Lesion",
    "Lung Opacity",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
]
FIVE = ["Cardiomegaly", "Edema", "Consolidation", "Atelectasis", "Pleural Effusion"]
NEVER = "Pleural Other"


def no_finding(table):
    """A text without any finding but devices has the first one."""
    others = [FINDINGS.index(name) for name in FINDINGS[1:-1]]
    table[:, 0] = ~table[:, others].any(axis=1)
    return table


def number(value):
    return None if np.isnan(value) else float(value)


def averages(reference, candidate, names):
    columns = [FINDINGS.index(name) for name in names]
    scores = {}
    for average in ["micro", "macro"]:
        scores[average] = number(
            precision_recall_fscore_support(
                reference[:, columns], candidate[:, columns], average=average, zero_division=np.nan
            )[2]
        )
    return scores


def main():
    rng = np.random.default_rng(SEED)
    rates = rng.uniform(0.02, 0.5, size=len(FINDINGS))
    rates[FINDINGS.index(NEVER)] = 0
    reference = rng.random((ITEMS, len(FINDINGS))) < rates
    flips = rng.random(reference.shape) < 0.2
    candidate = np.where(flips, rng.random(reference.shape) < rates, reference)
    reference, candidate = no_finding(reference), no_finding(candidate)
    each = precision_recall_fscore_support(reference, candidate, average=None, zero_division=np.nan)
    golden = {
        "packages": {name: version(name) for name in ["numpy", "scikit-learn"]},
        "seed": SEED,
        "items": [
            {
                side: [name for name, has in zip(FINDINGS[1:], row[1:]) if has]
                for side, row in [("candidate", said), ("reference", wanted)]
            }
            for said, wanted in zip(candidate, reference)
        ],
        "f1_14": averages(reference, candidate, FINDINGS),
        "f1_5": averages(reference, candidate, FIVE),
        "findings": {
            name: {
                "precision": number(each[0][k]),
                "recall": number(each[1][k]),
                "f1": number(each[2][k]),
                "support": int(each[3][k]),
            }
            for k, name in enumerate(FINDINGS)
        },
    }
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        json.dump(golden, out, indent=1)
        out.write("\n")


main()
