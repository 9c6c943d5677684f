"""Writes the golden file of the statistics of agreement.

Random tables with ties and missing grades, small enough to look at, and what the packages that
people use say about them: `krippendorff` for alpha, `statsmodels` for Cohen's, weighted and Fleiss'
kappa, `pingouin` for intraclass correlations with their intervals, `scipy` for Kendall, Spearman,
Pearson and for quantiles of the F distribution. Python 3.11 or later:

    pip install -r tools/goldens/requirements-agreement.txt
    python tools/goldens/agreement.py crates/pefomed-eval/tests/fixtures/agreement.json
"""

import json
import sys
import warnings
from collections import Counter
from importlib.metadata import version

import krippendorff
import numpy as np
import pandas as pd
import pingouin
from scipy import stats
from statsmodels.stats.inter_rater import cohens_kappa, fleiss_kappa

PACKAGES = ["numpy", "scipy", "statsmodels", "pingouin", "krippendorff"]
SEED = 20261125


def ratings(rng, items, raters, levels, noise):
    """Items by raters: a hidden quality, rounded with each rater's own shift and noise."""
    quality = rng.uniform(-0.5, levels - 0.5, size=(items, 1))
    shift = rng.normal(0, 0.4, size=(1, raters))
    table = np.rint(quality + shift + rng.normal(0, noise, size=(items, raters)))
    return np.clip(table, 0, levels - 1)


def rows(table):
    return [[None if np.isnan(value) else float(value) for value in row] for row in table]


def alpha(table):
    result = {}
    for level in ("nominal", "ordinal", "interval"):
        result[level] = float(
            krippendorff.alpha(reliability_data=table.T, level_of_measurement=level)
        )
    return result


def fleiss(table):
    """Of the items with the most common number of grades, the larger number where two tie."""
    given = [int(np.sum(~np.isnan(row))) for row in table]
    numbers = Counter(number for number in given if number >= 2)
    common = max(numbers, key=lambda number: (numbers[number], number))
    chosen = [row[~np.isnan(row)] for row, number in zip(table, given) if number == common]
    levels = np.unique(table[~np.isnan(table)])
    counts = np.array([[np.sum(row == level) for level in levels] for row in chosen])
    return {"kappa": float(fleiss_kappa(counts)), "grades": common, "items": len(chosen)}


def cohen(table, levels):
    result = []
    for a in range(table.shape[1]):
        for b in range(a + 1, table.shape[1]):
            both = ~np.isnan(table[:, a]) & ~np.isnan(table[:, b])
            crossed = np.zeros((levels, levels))
            for x, y in table[both][:, [a, b]].astype(int):
                crossed[x, y] += 1
            kappa = {"a": a, "b": b}
            for name, weights in (
                ("equal", None),
                ("linear", "linear"),
                ("quadratic", "quadratic"),
            ):
                kappa[name] = float(cohens_kappa(crossed, wt=weights, return_results=False))
            result.append(kappa)
    return result


def icc(table):
    complete = table[~np.isnan(table).any(axis=1)]
    long = pd.DataFrame(complete).reset_index().melt(id_vars="index")
    long.columns = ["item", "rater", "grade"]
    frame = pingouin.intraclass_corr(long, targets="item", raters="rater", ratings="grade")
    ci = "CI95" if "CI95" in frame.columns else "CI95%"

    def of(*names):
        row = frame[frame["Type"].isin(names)].iloc[0]
        return {"value": float(row["ICC"]), "ci": [float(end) for end in row[ci]]}

    return {
        "items": len(complete),
        "single": of("ICC2", "ICC(A,1)"),
        "average": of("ICC2k", "ICC(A,k)"),
    }


def tables(rng):
    cases = []
    for items, raters, levels, noise, missing in [
        (12, 2, 5, 0.7, 0.0),
        (20, 3, 5, 0.6, 0.0),
        (25, 4, 5, 1.2, 0.2),
        (30, 3, 2, 0.5, 0.0),
        (40, 5, 2, 0.9, 0.3),
        (18, 10, 5, 0.8, 0.1),
        (15, 2, 3, 3.0, 0.0),
    ]:
        table = ratings(rng, items, raters, levels, noise)
        table[rng.uniform(size=table.shape) < missing] = np.nan
        cases.append(
            {
                "rows": rows(table),
                "alpha": alpha(table),
                "fleiss": fleiss(table),
                "cohen": cohen(table, levels),
                "icc": icc(table),
            }
        )
    return cases


def pairs(rng):
    cases = []
    for size, step in [(3, 0.0), (10, 1.0), (40, 1.0), (60, 0.25), (100, 0.0), (50, 2.0)]:
        x = rng.normal(0, 1, size=size)
        y = 0.6 * x + rng.normal(0, 0.8, size=size)
        if step:
            x, y = np.rint(x / step) * step, np.rint(y / step) * step
        cases.append(
            {
                "x": x.tolist(),
                "y": y.tolist(),
                "kendall": float(stats.kendalltau(x, y, variant="b").statistic),
                "spearman": float(stats.spearmanr(x, y).statistic),
                "pearson": float(stats.pearsonr(x, y).statistic),
            }
        )
    return cases


def limits(rng):
    x = np.rint(rng.normal(200, 30, size=25))
    y = np.rint(x + rng.normal(4, 12, size=25))
    difference = x - y
    half = stats.norm.ppf(0.975) * difference.std(ddof=1)
    bias = difference.mean()
    return {
        "x": x.tolist(),
        "y": y.tolist(),
        "bias": float(bias),
        "lower": float(bias - half),
        "upper": float(bias + half),
    }


def f_quantiles():
    return [
        {"at": at, "first": first, "second": second, "f": float(stats.f.ppf(at, first, second))}
        for at in (0.5, 0.95, 0.975, 0.995)
        for first, second in [(1, 1), (5, 4.789), (4.789, 5), (11, 1.03), (199, 431.7), (2, 3000.5)]
    ]


def main() -> None:
    (path,) = sys.argv[1:]
    warnings.simplefilter("ignore")
    # Its intervals are rounded to two decimals by default.
    pingouin.options["round.column.CI95"] = None
    rng = np.random.default_rng(SEED)
    golden = {
        "versions": {name: version(name) for name in PACKAGES},
        "seed": SEED,
        "tables": tables(rng),
        "pairs": pairs(rng),
        "limits": limits(rng),
        "f_quantiles": f_quantiles(),
    }
    with open(path, "w", encoding="utf-8") as out:
        json.dump(golden, out)
        out.write("\n")
    print(f"written to {path}")


if __name__ == "__main__":
    main()
