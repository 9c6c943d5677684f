//! The lists of phrases, read once.

use std::sync::LazyLock;

use rustc_hash::FxHashSet;

use super::finding::Finding;
use super::lexicon::{Phrases, lines};
use super::words::Words;

/// What a phrase asserts of its finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// It is there.
    Present,
    /// It is not there.
    Absent,
    /// It may be there.
    Doubtful,
    /// Nothing by itself.
    Organ,
}

/// A phrase that names a finding, or an organ it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mention {
    pub(super) finding: Finding,
    pub(super) sign: Sign,
}

/// What a cue makes of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// It is denied.
    Negative,
    /// It is in doubt.
    Uncertain,
    /// It is no statement about this image.
    Unasserted,
}

/// On which side of a cue the finding stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// After it.
    Forward,
    /// Before it.
    Backward,
    /// After it, or else right before it.
    Beside,
}

/// What a phrase around findings does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cue {
    /// It says how a finding is meant.
    Says(Effect, Reach),
    /// It only looks as if it said something.
    Void,
    /// It ends a statement.
    Break,
    /// An organ is as it should be.
    Normal,
    /// An organ is as this finding has it.
    Abnormal(Finding),
    /// An organ may be as its finding has it.
    DoubtfulState,
}

/// All lists.
#[derive(Debug)]
pub(super) struct Lists {
    pub(super) words: Words,
    /// None for a phrase that only looks like a finding.
    pub(super) mentions: Phrases<Option<Mention>>,
    pub(super) cues: Phrases<Cue>,
    /// Headings, and whether what follows them is read.
    pub(super) headings: Phrases<bool>,
    pub(super) affirming: FxHashSet<u32>,
    pub(super) verbs: FxHashSet<u32>,
    pub(super) evidential: FxHashSet<u32>,
    pub(super) alternative: FxHashSet<u32>,
    pub(super) contrast: FxHashSet<u32>,
    /// Verbs of several subjects.
    pub(super) plural: FxHashSet<u32>,
    /// Words after which a verb belongs to the subject before them.
    pub(super) relative: FxHashSet<u32>,
    pub(super) and: u32,
}

const FINDINGS: &str = include_str!("findings.txt");
const CUES: &str = include_str!("cues.txt");
const HEADINGS: &str = include_str!("headings.txt");

/// The lists that come with the program.
pub(super) static LISTS: LazyLock<Lists> = LazyLock::new(Lists::new);

/// What a heading of the list of cues says its phrases do; none for the lists of single words.
fn cue(heading: &str) -> Option<Cue> {
    Some(match heading {
        "negative forward" => Cue::Says(Effect::Negative, Reach::Forward),
        "negative backward" => Cue::Says(Effect::Negative, Reach::Backward),
        "negative beside" => Cue::Says(Effect::Negative, Reach::Beside),
        "uncertain forward" => Cue::Says(Effect::Uncertain, Reach::Forward),
        "uncertain backward" => Cue::Says(Effect::Uncertain, Reach::Backward),
        "uncertain beside" => Cue::Says(Effect::Uncertain, Reach::Beside),
        "unasserted forward" => Cue::Says(Effect::Unasserted, Reach::Forward),
        "void" => Cue::Void,
        "break" => Cue::Break,
        "normal" => Cue::Normal,
        "doubtful state" => Cue::DoubtfulState,
        _ => return None,
    })
}

impl Lists {
    fn new() -> Self {
        let mut words = Words::default();
        let mut set = |heading: &str| {
            let of = lines(CUES).filter(|(under, _)| *under == heading);
            of.map(|(_, word)| words.number(word)).collect::<FxHashSet<u32>>()
        };
        let (affirming, verbs) = (set("affirming"), set("verbs"));
        let (evidential, alternative) = (set("evidential"), set("alternative"));
        let (plural, relative) = (set("plural"), set("relative"));
        let (contrast, barriers) = (set("contrast"), set("barriers"));
        let mut mentions = Phrases::new(barriers.clone());
        let mut cues = Phrases::new(barriers.clone());
        let mut headings = Phrases::new(barriers);
        for (heading, line) in lines(FINDINGS) {
            let (sign, phrase) = match line.split_once(' ') {
                Some((sign @ ("-" | "?" | "=" | "+"), phrase)) => (sign, phrase),
                _ => ("", line),
            };
            let Some(finding) = Finding::named(heading) else {
                mentions.insert(phrase, &mut words, None);
                continue;
            };
            let sign = match sign {
                "-" => Sign::Absent,
                "?" => Sign::Doubtful,
                "=" => Sign::Organ,
                "+" => {
                    cues.insert(phrase, &mut words, Cue::Abnormal(finding));
                    continue;
                }
                _ => Sign::Present,
            };
            mentions.insert(phrase, &mut words, Some(Mention { finding, sign }));
        }
        for (heading, phrase) in lines(CUES) {
            if let Some(cue) = cue(heading) {
                cues.insert(phrase, &mut words, cue);
            }
        }
        for (heading, phrase) in lines(HEADINGS) {
            headings.insert(phrase, &mut words, heading == "read");
        }
        let and = words.number("and");
        Self {
            words,
            mentions,
            cues,
            headings,
            affirming,
            verbs,
            evidential,
            alternative,
            contrast,
            plural,
            relative,
            and,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_heading_of_the_lists_is_known() {
        for (heading, line) in lines(FINDINGS) {
            assert!(heading == "other" || Finding::named(heading).is_some(), "[{heading}] {line}");
        }
        let words = "affirming verbs evidential alternative contrast plural relative barriers";
        for (heading, line) in lines(CUES) {
            let is_word = words.split(' ').any(|word| word == heading);
            assert!(cue(heading).is_some() != is_word, "[{heading}] {line}");
            assert!(!is_word || !line.contains([' ', '|', '?', '+']), "one word a line: {line}");
        }
        for (heading, line) in lines(HEADINGS) {
            assert!(["left out", "read"].contains(&heading), "[{heading}] {line}");
        }
    }

    #[test]
    fn every_finding_but_the_empty_one_has_phrases() {
        for finding in Finding::ALL.into_iter().skip(1) {
            let count = lines(FINDINGS).filter(|(heading, _)| *heading == finding.name()).count();
            assert!(count > 3, "{finding} has {count}");
        }
    }

    #[test]
    fn a_phrase_asserts_one_thing_of_a_finding() {
        // A line that two signs share would label by the order of the lists.
        let mut seen = std::collections::BTreeMap::new();
        for (heading, line) in lines(FINDINGS) {
            let phrase = line.trim_start_matches(['-', '?', '=', '+', ' ']);
            assert_eq!(seen.insert((heading, phrase), line), None, "[{heading}] {line}");
        }
    }
}
