//! Which examples a model may learn from, and how much of the test it has then seen.
//!
//! The published split of a data set makes results comparable; it does not make them honest. In
//! the official VQA-RAD release 202 of the 203 test images are training images too, with other
//! questions; in the usual `trainset.json` and `testset.json`, all 203 are.
//! [`leakage`] counts that, and [`SplitRule::GroupHash`] makes a split in which no image and no
//! patient is on both sides. It is decided by a hash of the group's name alone: the order of the
//! files, the machine and a library's random numbers have no say, and a group keeps its side when
//! other groups are added.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{DataError, Example, Split, files};

/// How the split of each example is decided.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SplitRule {
    /// As the data set publishes it.
    #[default]
    Published,
    /// By a hash of the group: no group and no image on two sides.
    GroupHash {
        /// Share of groups for testing in per cent, to the hundredth.
        test_percent: f64,
        /// Share of groups for validation in per cent, to the hundredth.
        #[serde(default)]
        val_percent: f64,
        /// Any text; another text gives another split.
        #[serde(default)]
        salt: String,
    },
    /// One fold of a cross-validation: the groups of the fold are for testing, the others for
    /// training. The folds of one salt are disjoint and together hold every group.
    Fold {
        /// Which fold is tested, from 1.
        fold: u64,
        /// Number of folds, 2 or more.
        of: u64,
        /// Any text; another text gives other folds.
        #[serde(default)]
        salt: String,
    },
}

/// Hundredths of a per cent: the resolution of the shares.
const SHARES: u64 = 10_000;

/// Gives every example its split.
///
/// A group falls on the side that SHA-256 of (salt, name) decides: its first eight bytes, read
/// big-endian, modulo 10,000, against the shares, or modulo the number of folds. Groups that have an image in common are held
/// together and take the side of the one whose name sorts first.
///
/// # Errors
/// [`DataError::SplitShares`] for negative shares or shares that leave nothing to train on,
/// [`DataError::SplitFold`] for a fold that there is not.
pub fn assign(examples: &mut [Example], rule: &SplitRule) -> Result<(), DataError> {
    let (salt, side): (&str, Box<dyn Fn(u64) -> Split>) = match rule {
        SplitRule::Published => return Ok(()),
        SplitRule::GroupHash { test_percent, val_percent, salt } => {
            let (test_percent, val_percent) = (*test_percent, *val_percent);
            let allowed = 0.0..100.0;
            if !allowed.contains(&test_percent)
                || !allowed.contains(&val_percent)
                || !allowed.contains(&(test_percent + val_percent))
            {
                return Err(DataError::SplitShares { test_percent, val_percent });
            }
            let test = (test_percent * 100.0).round() as u64;
            let val = (val_percent * 100.0).round() as u64;
            let side = move |hash: u64| match hash % SHARES {
                share if share < test => Split::Test,
                share if share < test + val => Split::Val,
                _ => Split::Train,
            };
            (salt, Box::new(side))
        }
        SplitRule::Fold { fold, of, salt } => {
            let (fold, of) = (*fold, *of);
            if of < 2 || !(1..=of).contains(&fold) {
                return Err(DataError::SplitFold { fold, of });
            }
            let side =
                move |hash: u64| if hash % of == fold - 1 { Split::Test } else { Split::Train };
            (salt, Box::new(side))
        }
    };
    let leaders = leaders(examples);
    for example in examples {
        let leader = leaders.get(&example.group).map_or(example.group.as_str(), String::as_str);
        example.split = side(hash(salt, leader));
    }
    Ok(())
}

/// A number that only the salt and the name decide.
fn hash(salt: &str, group: &str) -> u64 {
    let mut hasher = Sha256::new();
    hasher.update((salt.len() as u64).to_le_bytes());
    hasher.update(salt);
    hasher.update(group);
    let digest = hasher.finalize();
    digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
}

/// For each group, the first by name of all groups that it is tied to by shared images.
fn leaders(examples: &[Example]) -> HashMap<String, String> {
    // Union-find over groups; the smaller name always becomes the parent, so that the result does
    // not depend on the order of the examples.
    let names: BTreeSet<&str> = examples.iter().map(|example| example.group.as_str()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let number: HashMap<&str, usize> =
        names.iter().enumerate().map(|(number, name)| (*name, number)).collect();
    let mut parents: Vec<usize> = (0..names.len()).collect();
    let mut group_of_image: HashMap<&str, usize> = HashMap::new();
    for example in examples {
        let group = number[example.group.as_str()];
        for image in &example.images {
            let other = *group_of_image.entry(&image.name).or_insert(group);
            let (a, b) = (root(&mut parents, group), root(&mut parents, other));
            parents[a.max(b)] = a.min(b);
        }
    }
    let named = |index: usize| names[index].to_owned();
    (0..names.len()).map(|index| (named(index), named(root(&mut parents, index)))).collect()
}

fn root(parents: &mut [usize], mut index: usize) -> usize {
    while parents[index] != index {
        parents[index] = parents[parents[index]];
        index = parents[index];
    }
    index
}

/// Names a split by its contents: SHA-256 over split, id, images, question and answers of all
/// examples, sorted, as 64 hexadecimal digits. Two runs with the same digest were trained and
/// tested on the same rows.
pub fn split_digest(examples: &[Example]) -> String {
    let mut rows: Vec<String> = examples
        .iter()
        .map(|example| {
            let images: Vec<&str> =
                example.images.iter().map(|image| image.name.as_str()).collect();
            let split = example.split.to_string();
            let images = files::digest(&images);
            let mut parts =
                vec![split.as_str(), &example.id, &images, &example.instruction, &example.answer];
            parts.extend(example.other_answers.iter().map(String::as_str));
            files::digest(parts)
        })
        .collect();
    rows.sort_unstable();
    files::digest(&rows)
}

/// What a tested split shares with the split that was trained on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Leakage {
    /// The split that is tested.
    pub tested: Split,
    /// The split that is trained on.
    pub trained: Split,
    /// Groups of the tested split.
    pub test_groups: usize,
    /// Those of them that also occur in the trained split.
    pub shared_with_train: usize,
    /// Distinct images of the tested split.
    pub test_images: usize,
    /// Those of them that also occur in the trained split.
    pub images_shared_with_train: usize,
    /// Rows of the tested split.
    pub test_questions: usize,
    /// Those of them whose group or an image of theirs also occurs in the trained split.
    pub test_questions_on_shared: usize,
    /// Those of them that the trained split asks of the same images in the same words, blanks,
    /// letter case and final punctuation aside.
    pub test_questions_repeated: usize,
}

impl Leakage {
    /// Whether the two splits have nothing in common.
    pub fn is_clean(&self) -> bool {
        self.test_questions_on_shared == 0
    }
}

/// What the test set shares with the training set.
pub fn leakage(examples: &[Example]) -> Leakage {
    leakage_between(examples, Split::Test, Split::Train)
}

/// What `tested` shares with `trained`.
pub fn leakage_between(examples: &[Example], tested: Split, trained: Split) -> Leakage {
    let of = |split| examples.iter().filter(move |example| example.split == split);
    let mut groups: HashSet<&str> = HashSet::new();
    let mut images: HashSet<&str> = HashSet::new();
    let mut questions = HashSet::new();
    for example in of(trained) {
        groups.insert(&example.group);
        images.extend(example.images.iter().map(|image| image.name.as_str()));
        questions.insert(question_key(example));
    }
    // Name, and whether it is shared: a map, so that each counts once.
    let mut test_groups: BTreeMap<&str, bool> = BTreeMap::new();
    let mut test_images: BTreeMap<&str, bool> = BTreeMap::new();
    let (mut rows, mut on_shared, mut repeated) = (0, 0, 0);
    for example in of(tested) {
        let mut shared = groups.contains(example.group.as_str());
        test_groups.insert(&example.group, shared);
        for image in &example.images {
            let known = images.contains(image.name.as_str());
            test_images.insert(&image.name, known);
            shared |= known;
        }
        rows += 1;
        on_shared += usize::from(shared);
        repeated += usize::from(questions.contains(&question_key(example)));
    }
    let count = |names: &BTreeMap<&str, bool>| names.values().filter(|shared| **shared).count();
    Leakage {
        tested,
        trained,
        test_groups: test_groups.len(),
        shared_with_train: count(&test_groups),
        test_images: test_images.len(),
        images_shared_with_train: count(&test_images),
        test_questions: rows,
        test_questions_on_shared: on_shared,
        test_questions_repeated: repeated,
    }
}

/// Images, task and question as two rows must agree in them to be the same question.
pub(crate) fn question_key(example: &Example) -> (Vec<&str>, crate::Task, String) {
    let images = example.images.iter().map(|image| image.name.as_str()).collect();
    (images, example.task, folded(&example.instruction))
}

/// A text without differences that do not make another question or answer: letter case, runs of
/// blanks, and punctuation at the end.
pub(crate) fn folded(text: &str) -> String {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    let text = words.join(" ");
    text.trim_end_matches([' ', '.', '?', '!', ',', ';', ':']).to_owned()
}
