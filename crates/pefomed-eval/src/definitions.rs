//! What each number means, in the words that stand beside it in files and reports.

use std::collections::BTreeMap;

use crate::bootstrap::BootstrapOptions;
use crate::clinical::{LABELLER, Uncertain};
use crate::lexical::MeteorKind;

/// Exact match.
pub const EXACT_MATCH: &str = "Share of items whose answer equals the reference after both are \
    normalised as in the VQA-v2 evaluation: punctuation removed, lower case, number words to \
    digits, articles dropped, contractions restored, and \u{201c}x ray\u{201d} written \
    \u{201c}xray\u{201d}. This is the accuracy that is reported first.";

/// Several accepted answers.
pub const SEVERAL_REFERENCES: &str = "Where the data set accepts several answers, an answer is right \
    when it equals any of them; token F1 and token recall are those of the accepted answer that they \
    are highest for, and BLEU, ROUGE-L, METEOR and CIDEr take all as references, each by its own \
    rule. The majority answer is the most frequent of the first answers of training, and is right by \
    the same rule. Open and closed, clinical findings, judges and raters go by the first answer.";

/// Token F1.
pub const TOKEN_F1: &str = "Mean over items of the harmonic mean of precision and recall of the \
    words of the normalised answer against those of the normalised reference, counted as a \
    multiset.";

/// Token recall.
pub const TOKEN_RECALL: &str = "Mean over items of the share of the normalised reference\u{2019}s \
    words that the normalised answer contains; over open questions it is what LLaVA-Med reports as \
    its score of them. A long answer is not punished, so it is not an accuracy.";

/// BLEU.
pub const BLEU: &str = "Geometric mean of the shares of the candidates\u{2019} words (BLEU-1), and \
    word groups of up to two, three and four (BLEU-2 to BLEU-4), that the references have, pooled \
    over all texts, times a penalty when the candidates are shorter than the references (Papineni \
    et al. 2002). Tokens of the Penn Treebank as in the COCO caption evaluation, whose numbers these \
    are (pycocoevalcap 1.2).";

/// ROUGE-L.
pub const ROUGE_L: &str = "Mean over texts of the F-measure (recall weighing 1.2 squared) of the \
    longest sequence of words that candidate and reference have in the same order (Lin 2004), as in \
    the COCO caption evaluation.";

/// CIDEr.
pub const CIDER: &str = "Mean over texts of ten times the likeness of word groups of one to four \
    words, weighed by how few of the references have them, with a penalty on a difference in length \
    (CIDEr-D, Vedantam et al. 2015, as in the COCO caption evaluation). The weights come from the \
    references scored here, so it compares only with values over the same items. Its interval \
    resamples the items\u{2019} scores under these fixed weights. In tables times 100, like the other \
    metrics; it goes to 1,000 there.";

/// Full METEOR.
pub const METEOR: &str = "METEOR 1.5 with its English defaults (Denkowski & Lavie 2014): words are \
    matched by form, stem, synonym and paraphrase; the score weighs recall over precision, content \
    words over function words, and takes off for another order. All texts together, as in the COCO \
    caption evaluation.";

/// METEOR without its data.
pub const METEOR_EXACT_AND_STEM: &str = "The formula of METEOR 1.5 with its English defaults \
    (Denkowski & Lavie 2014), but words are matched by form and stem only: METEOR\u{2019}s synonyms \
    and paraphrases were not given (--meteor-data). It is another metric than METEOR, and no \
    substitute for it in a comparison with published values.";

/// Clinical scores.
pub const CLINICAL: &str = "F1 of the 14 findings of CheXpert, and of the five of its competition \
    (cardiomegaly, edema, consolidation, atelectasis, pleural effusion). Micro: of the counts of all \
    findings together; macro: mean over those findings that at least one text has. A finding counts as \
    found when its label is positive. Labels come from this project\u{2019}s rules, in the manner of the \
    CheXpert labeler (Irvin et al. 2019) and not by it, nor by CheXbert: values compare only with values \
    of the same labels. Chest radiographs only.";

/// External scorers.
pub const EXTERNAL: &str = "Mean over items of the numbers that a command outside this program gave; \
    what they mean is the command\u{2019}s own affair, as is their unit: they are shown as they are, not \
    in per cent. The command and its digest stand in the metrics file.";

/// Open and closed.
pub const ANSWER_TYPE: &str = "A question is open or closed as its answer_type label says; \
    without such a label it is closed when the reference is yes or no, and open otherwise.";

/// Labels.
pub const LABELS: &str = "Items are counted under the label the data set gives them; labels that \
    differ only in case are one. A question with several question types (\u{201c}PRES, \
    ATTRIB\u{201d}) counts once under each, so those rows add up to more than the whole.";

/// Majority baselines.
pub const BASELINE: &str = "Exact match of giving every question the most frequent answer of the \
    training split: the same for all, or the one of its answer type or question type. No image \
    and no model is needed for it.";

/// Image dependence.
pub const IMAGE_DEPENDENCE: &str = "Exact match under the true image less that under a control, \
    over the same questions. Blank: a uniform image. Shuffled: the image of another group of the \
    same split. A model that does not look at the image loses nothing. For captions and reports the \
    same is done with the lexical and clinical metrics, and with external scores for all tasks.";

/// Leakage.
pub const LEAKAGE: &str = "Images of the scored split that the training split has too. Scores on \
    them say how well a seen image is remembered as much as how well a new one is read.";

/// What the METEOR of a table is.
pub fn meteor(kind: MeteorKind) -> &'static str {
    match kind {
        MeteorKind::Full => METEOR,
        MeteorKind::ExactAndStem => METEOR_EXACT_AND_STEM,
    }
}

/// How intervals are made, with the numbers that were used.
pub fn interval(options: &BootstrapOptions) -> String {
    format!(
        "Square brackets hold {} % percentile bootstrap intervals: {} resamples of whole groups \
         (images, or patients where the data set names them) with replacement, seed {}. Where all \
         items are right or all are wrong the interval has no width, which does not mean certainty.",
        crate::number::trimmed(options.level * 100.0, 2),
        pefomed_data::readable::thousands(options.resamples as u64),
        options.seed,
    )
}

/// How clinical labels were made and counted.
pub fn clinical(uncertain: Uncertain) -> String {
    format!(
        "{CLINICAL} Labelled by {LABELLER}; a finding that is uncertain counts as {}, and in f1_otherwise \
         as {}.",
        uncertain.name(),
        uncertain.other().name()
    )
}

/// All definitions by the name that metrics files use; those of captions and reports where there are
/// any, which is when it is known which METEOR they have.
pub(crate) fn all(
    options: &BootstrapOptions,
    meteor_kind: Option<MeteorKind>,
    labelled: Option<Uncertain>,
    has_externals: bool,
    has_several: bool,
) -> BTreeMap<String, String> {
    let mut all = vec![
        ("exact_match", EXACT_MATCH.to_owned()),
        ("token_f1", TOKEN_F1.to_owned()),
        ("token_recall", TOKEN_RECALL.to_owned()),
        ("bleu", BLEU.to_owned()),
        ("answer_type", ANSWER_TYPE.to_owned()),
        ("labels", LABELS.to_owned()),
        ("baseline", BASELINE.to_owned()),
        ("image_dependence", IMAGE_DEPENDENCE.to_owned()),
        ("leakage", LEAKAGE.to_owned()),
        ("interval", interval(options)),
    ];
    if let Some(kind) = meteor_kind {
        all.push(("meteor", meteor(kind).to_owned()));
        all.push(("rouge_l", ROUGE_L.to_owned()));
        all.push(("cider", CIDER.to_owned()));
    }
    if let Some(uncertain) = labelled {
        all.push(("clinical", clinical(uncertain)));
    }
    if has_several {
        all.push(("several_references", SEVERAL_REFERENCES.to_owned()));
    }
    if has_externals {
        all.push(("external", EXTERNAL.to_owned()));
    }
    all.into_iter().map(|(name, text)| (name.to_owned(), text)).collect()
}
