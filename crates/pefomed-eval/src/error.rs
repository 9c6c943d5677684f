//! Every way that scoring, comparing and reporting can fail.

use std::fmt;
use std::path::PathBuf;

use pefomed_data::{DataError, ImageCondition};

use crate::external::ExternalError;
use crate::grade::GraderKind;

/// An error of this crate; each says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// A file could not be read or written, or is not what it should be.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A scorer outside this program failed.
    #[error(transparent)]
    External(#[from] ExternalError),
    /// There is nothing to score.
    #[error("no predictions to score: run `pefomed predict` first, or name a file that has lines")]
    NoPredictions,
    /// Two predictions answer the same item under the same condition.
    #[error(
        "id `{id}` occurs twice under the {} image: pass each prediction file once",
        condition.name()
    )]
    DuplicateId {
        /// Id of the item.
        id: String,
        /// Which image was shown.
        condition: ImageCondition,
    },
    /// An option has a value that makes no sense.
    #[error("option `{option}` is {value}: {remedy}")]
    Option {
        /// Name of the option.
        option: &'static str,
        /// The value that was given.
        value: String,
        /// What values are possible.
        remedy: &'static str,
    },
    /// Two prediction sets have no item in common.
    #[error(
        "`{a}` ({in_a} items) and `{b}` ({in_b} items) share no id under the {} image: \
         compare predictions on the same split",
        condition.name()
    )]
    NothingInCommon {
        /// Name of the first set.
        a: String,
        /// Items of the first set under the condition.
        in_a: usize,
        /// Name of the second set.
        b: String,
        /// Items of the second set under the condition.
        in_b: usize,
        /// Which image was shown.
        condition: ImageCondition,
    },
    /// The same id stands for two different items.
    #[error("{0}")]
    DifferentItem(Box<ItemMismatch>),
    /// There is nothing to compute agreement from.
    #[error("no grades: name files with grade lines, such as those of a judge or of raters")]
    NoGrades,
    /// One grader grades one text twice.
    #[error(
        "`{grader}` grades `{id}` of `{system}` twice (repeat {repeat}): pass each file once, or \
         number the repeats"
    )]
    GradedTwice {
        /// Who graded.
        grader: String,
        /// Whose text.
        system: String,
        /// Id of the item.
        id: String,
        /// Which time of asking.
        repeat: u32,
    },
    /// A grader is said to be of two kinds.
    #[error(
        "`{grader}` is {first} on one line and {second} on another: give two graders two names"
    )]
    TwoKinds {
        /// Who graded.
        grader: String,
        /// The one kind.
        first: GraderKind,
        /// The other.
        second: GraderKind,
    },
    /// An item is said to belong to two groups.
    #[error(
        "item `{id}` belongs to `{first}` on one line and to `{second}` on another: the grades are \
         about different data, or one group is wrong"
    )]
    TwoGroups {
        /// Id of the item.
        id: String,
        /// The one group.
        first: String,
        /// The other.
        second: String,
    },
    /// Predictions of a system that nobody graded.
    #[error("predictions of `{system}` are given, and no grade is about it: graded are `{known}`")]
    UnknownSystem {
        /// The name as given.
        system: String,
        /// Systems that were graded.
        known: String,
    },
    /// METEOR's data is not there, or not what it should be.
    #[error(
        "cannot use `{}` as METEOR's data: {problem}; name the folder or archive of METEOR 1.5, such \
         as `pycocoevalcap/meteor` of `pip install pycocoevalcap==1.2`, or leave it out",
        path.display()
    )]
    MeteorData {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A run folder is not a folder.
    #[error("`{}` is not a folder: name the run folder that `pefomed train --out` made", path.display())]
    NotARunFolder {
        /// What was named.
        path: PathBuf,
    },
    /// A metrics file was written by a newer version.
    #[error(
        "`{}` has format {found}, this version reads format {supported}: \
         score the predictions again, or use the newer version",
        path.display()
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Format of the file.
        found: u32,
        /// Format that this version writes.
        supported: u32,
    },
}

/// An id under which two prediction sets have different items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemMismatch {
    /// Id of the item.
    pub id: String,
    /// What differs: reference, group or task.
    pub field: &'static str,
    /// Name of the first set.
    pub a: String,
    /// Name of the second set.
    pub b: String,
    /// The field in the first set.
    pub in_a: String,
    /// The field in the second set.
    pub in_b: String,
}

impl fmt::Display for ItemMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "id `{}` has another {} in `{}` than in `{}` (`{}` and `{}`): \
             the two sets were made from different data",
            self.id, self.field, self.a, self.b, self.in_a, self.in_b
        )
    }
}
