"""Pairs of report texts for the lexical metrics' goldens: written by hand and generated, all invented.

`pairs()` gives the same list of (candidate, reference) every time. The hand-written ones are there for
the tokenizer: everything that a report, or a careless export of one, can put between two blanks.
"""

import random

AWKWARD = """
No acute cardiopulmonary abnormality.|No acute cardiopulmonary process.
Normal.|Normal
|No acute disease.
.|Clear lungs.
Clear lungs.|...
XXXX|XXXX XXXX.
Compared to XXXX, XXXX-year-old XXXX.|XXXX-year-old male, XXXX.
[**2101-5-3**] 10:30 AM CHEST (PA & LAT) Clip # [**Clip Number (Radiology) 12345**]|[**Hospital 4**] MEDICAL CONDITION: ___ year old man with s/p CABG
The patient cannot be evaluated; he can't lie flat and won't, don't, isn't, it's, they're, we've, I'd.|Cannot evaluate. The patient's, patients', and the others' films weren't sent.
CANNOT EXCLUDE PNEUMONIA. DON'T REPEAT.|Can't exclude pneumonia, gonna repeat, wanna wait, lemme see, gimme that, gotta go.
3x4 cm mass, 3 x 4 x 5 cm, 3.5-cm, 5mm, .5 cm, 1,200 ml, 12:30, 12:30pm, -5 HU, +30 HU, ±2.|Mass of 3x4 cm; 2-3 mm; 10-15 mm; 1/2 of the lung; 1 1/2 cm; 10-1/2; 3/4; ½ and ¼ and ⅔ and ⅛.
01/02/2020, 2020-01-02, 1-2-20, Jan. 5, 2020, on Mon. the 3rd, Sept. 2019.|Date: 12/31/1999 at 23:59:59 hrs. (dictated 1-1-00).
Dr. Smith, Mr. X, Mrs. Y and Prof. Z saw Figs. 3 and 4 vs. Fig. 2, e.g. the nodule, i.e. the mass, approx. 3 cm, etc.|See Dr. Jones et al. No. 5, no. 6, cf. p. 7, pp. 8-9, ca. 10 cm, approx. 10 cm, a.m. and p.m., U.S. exam, q.d., b.i.d. The end.
Vitamin D. The end of stage I. In the U.S. The films. A. He left.|Stage IV. the mass. Hepatitis C. But not B.
"Ring-enhancing" lesion, ``quoted'' text, 'single', “curly” and ‘single curly’, «angle», ‹x›, „low“.|The so-called "halo sign" isn't seen: 'ground-glass' only.
He said "no." She said 'yes?' Really?! Yes!! What... Well.... Hmm..... . . . and…|Ellipses... and more . . . . dots… ….
(See above.) [see below] {braces} <5 mm> <b>bold</b> <br/> a<b, b>a, x<=y, x>=y.|Lesion (arrow) [thick arrow] {asterisk}, <3 mm, >3 mm, ≤3, ≥4, ≈5, ≠6.
http://www.example.org/a?b=c&d=e, https://example.com. www.example.com/x and example.org; mail me@example.org.|Contact <john.doe@hospital.example.edu>, @radiology #chest #1, ftp://x.y/z.
25%, 37°C, 37 °C, 98.6 °F, 5µm, 5 μm, 10 mGy·cm, H₂O, 10², 3×4, 2–3, a—b, c--d, e---f, g----h, i-----j.|Dose 1.5e-3, $5, US$5, €5, £5, ¥5, 5¢, #3, §4, ©, ®, ™, •, †.
T2-weighted, non-small-cell, x-ray, L4-L5, L4/L5, C-spine, post-op., mid-1990s, '90s, '90, '20s.|T1/T2, and/or, w/o, s/p, h/o, c/w, PA/lateral, left/right, 1/2/3.
rock 'n' roll, o'clock, 'tis, 'twas, d'Avignon, l'art, O'Malley, Cap'n, y'all, C'est, ma'am.|Ol' man, 'em, 'til, 'cause, nor'easter, Hodgkin's, Crohn's, Ewing's, Wilms', Alzheimer's.
lungs:clear;heart:normal,bones:intact|lungs: clear; heart: normal, bones: intact
The lung.The heart.The bones.|The lung. The heart. The bones.
A&B, AT&T, R&D, A&amp;B, &lt;5, &gt;6, &quot;x&quot;, &apos;y&apos;, &nbsp;z, caf&eacute;, &#946;.|A & B.
Ödem, Größe, naïve, café, β-blocker, α, Δ, µ, señor, Łódź, İstanbul, ﬁbrosis, œdème.|Odem, Grosse, naive, cafe.
肺部清晰。|Легкие чистые. الرئتان نظيفتان. פגם. ปอดใส
lungs clear 😀 👍🏽 no effusion 🫁|lungs are clear
x.[^x=<>] :-) ;-) :( =D ^_^ (^_^) >_<|smile :) and ;P
C++, C#, F#, .NET, node.js, report.pdf, image.dcm, scan.jpg, file_name.txt, a_b, __, **, @@, ##.|See report.pdf, image.jpg.
1. First finding 2) Second finding a) third (b) fourth i. fifth|1.First 2.Second 3.Third
FINDINGS: The heart is normal.IMPRESSION:No acute disease.|FINDINGS AND IMPRESSION: normal.
no   double   blanks	and	tabs|no double blanks and tabs
line one
line two|line one\u2028line two\x0bline three\x0cline four\x85line five
co­operate soft­hyphen ­|cooperate softhyphen
zero​width ‎marks﻿ here|zerowidth marks here
no-break space 5 mm thin space 3 cm|no-break space 5 mm
(555) 123-4567, 555-1234, +49 30 123456, 555.123.4567|Tel. 555-1234 ext. 12
St. Mary's Hosp., Inc. and Co. Ltd., 5th Ave. Bldg. 3, Ph.D., M.D., R.N., Jr., Sr.|Mt. Sinai, Ft. Worth, Rt. 5, Ste. 100
sq. cm, est. 5, ext. rotation, tel. 1, sept. 5, mar. 3, dec. blood flow, al. b|sq. Cm, Est. 5, Ext. Rotation
pre-/post-contrast, T1-/T2-weighted, 2-/3-D|pre- and post-contrast
*** UNREVIEWED *** -----|___ : ___
??? !!! ;;; ,,, ::: --- ///|? ! ; , :
0|0
a|the
The the THE tHe|the
Lungs are clear Lungs are clear Lungs are clear|Lungs are clear
1st 2nd 3rd 4th 10th T10 T-10 T 10|first second third
SpO2 95% on 2L NC, BP 120/80 mmHg, HR 72/min, 37.5-38.5|SpO2 of 95 %, BP 120 / 80
I/O, -lrb- -rrb- -LRB- x -RRB-, `a' ``b''|(a) "b"
x'y'z a'b 5's 'n' '' ' " `|don''t
e.g.,i.e.;vs.:etc.,|e.g. , i.e. ;
Pts. w. CHF, Pt. is a 60 y.o. M., Hx. of HTN, Dx.: PNA.|pt. 60 yo m w/ chf
""".strip("\n")


def hand_written():
    text = AWKWARD.replace("\nline two|", "\x00line two|")
    for line in text.split("\n"):
        left, right = line.replace("\x00", "\n").split("|")
        yield left, right.encode("raw_unicode_escape").decode("unicode_escape") if "\\u" in right else right


REGIONS = ["lung", "lungs", "heart", "mediastinum", "aorta", "pleura", "thoracic spine", "left hilum",
           "right lower lobe", "left upper lobe", "costophrenic angle", "cardiac silhouette", "trachea",
           "liver", "kidneys", "spleen", "bladder", "cervix", "pancreas", "ventricles", "basal ganglia"]
STATES = ["normal", "clear", "unremarkable", "within normal limits", "stable", "unchanged", "enlarged",
          "mildly enlarged", "tortuous", "hyperexpanded", "intact", "midline", "prominent", "atrophic"]
FINDINGS = ["focal consolidation", "pleural effusion", "pneumothorax", "nodule", "mass", "opacity",
            "calcified granuloma", "atelectasis", "scarring", "interstitial edema", "fracture",
            "degenerative changes", "hydronephrosis", "hemorrhage", "midline shift", "lymphadenopathy",
            "hiatal hernia", "air-fluid level", "T2-hyperintense lesion", "ring-enhancing lesion"]
SIZES = ["small", "large", "subtle", "3 mm", "1.5 cm", "2 x 3 cm", "tiny", "moderate", "12-mm", "trace"]
PLACES = ["in the right lower lobe", "at the left base", "in the left hemithorax", "bilaterally",
          "at L4-L5", "in segment IVb", "along the falx", "at the lung bases", "in the XXXX lobe"]
TEMPLATES = [
    "The {r} is {s}.", "The {r} and {r2} are {s}.", "No {f} or {f2}.", "There is no {f}.",
    "There is a {z} {f} {p}.", "{z} {f} {p}, {s} compared to XXXX.", "No evidence of {f}, {f2} or {f3}.",
    "{f} {p} (arrow).", "Stable {f} since the prior examination dated XXXX.", "{r}: {s}; {r2}: {s2}.",
    "1. {f} {p}. 2. No {f2}.", "Impression: {f}, cannot exclude {f2}.", "The patient's {r} isn't {s}.",
    "{z} {f} vs. {f2} {p}.", "Recommend follow-up CT in 6-12 months, e.g. to exclude {f}.",
    "Heart size is at the upper limits of normal with a C/T ratio of 0.{n}.", "Dr. XXXX was notified at 1{n}:30 p.m.",
    "{r} measures {n}.{n} x {n} cm.", "Findings are consistent with \"{f}\".", "No acute {r} abnormality...",
]


def sentence(rng):
    pick = lambda words: rng.choice(words)
    text = pick(TEMPLATES).format(
        r=pick(REGIONS), r2=pick(REGIONS), s=pick(STATES), s2=pick(STATES), f=pick(FINDINGS),
        f2=pick(FINDINGS), f3=pick(FINDINGS), z=pick(SIZES), p=pick(PLACES), n=rng.randint(2, 9))
    return text[0].upper() + text[1:]


def altered(rng, sentences):
    """A candidate as a model could write it: sentences lost, swapped, reworded or made up."""
    kept = [s for s in sentences if rng.random() > 0.25]
    if rng.random() < 0.4:
        rng.shuffle(kept)
    if rng.random() < 0.5:
        kept.insert(rng.randint(0, len(kept)), sentence(rng))
    swaps = [("There is no", "No evidence of"), ("normal", "unremarkable"), ("enlarged", "enlargement of"),
             ("effusion", "effusions"), ("is stable", "has remained stable"), ("lung ", "pulmonary "),
             ("opacity", "opacities"), ("mass", "tumor"), ("large", "big"), ("compared to", "in comparison with")]
    text = " ".join(kept)
    for old, new in swaps:
        if rng.random() < 0.3:
            text = text.replace(old, new)
    return text


def generated(count, seed):
    rng = random.Random(seed)
    for index in range(count):
        sentences = [sentence(rng) for _ in range(rng.randint(1, 3))]
        yield altered(rng, sentences), " ".join(sentences)


def long_pair(seed):
    """About 300 words on both sides."""
    rng = random.Random(seed)
    sentences = [sentence(rng) for _ in range(38)]
    return altered(rng, sentences), " ".join(sentences)


def pairs():
    return [*hand_written(), *generated(470, 20), long_pair(7), long_pair(8)]


if __name__ == "__main__":
    both = pairs()
    print(len(both), "pairs,", sum(len(a) + len(b) for a, b in both), "characters")
