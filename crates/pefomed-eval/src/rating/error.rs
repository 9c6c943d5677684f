//! Every way that a rating study can fail.

use std::path::PathBuf;

use pefomed_data::{DataError, ImageCondition, names};

use crate::{ItemMismatch, Scale};

/// An error of this module; each says what to do about it. None repeats a question, a report or a
/// comment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RatingError {
    /// A file could not be read or written, or is not what it should be.
    #[error(transparent)]
    Data(#[from] DataError),
    /// There is nothing to rate.
    #[error("no predictions to rate: name a prediction file that has lines")]
    NoItems,
    /// Two files go by the same system name.
    #[error(
        "two prediction files are called `{name}`: name them apart, as in `first=FILE second=FILE`"
    )]
    SystemTwice {
        /// The name.
        name: String,
    },
    /// One file has predictions under several images.
    #[error(
        "`{}` has predictions under the {} image and under the {} image: rate a file with one of \
         them, or each as a system of its own",
        path.display(), first.name(), other.name()
    )]
    SeveralConditions {
        /// The file.
        path: PathBuf,
        /// The first condition.
        first: ImageCondition,
        /// Another one.
        other: ImageCondition,
    },
    /// The same id stands for two different items.
    #[error("{0}")]
    DifferentItem(Box<ItemMismatch>),
    /// Questions and reports together, with no scale named.
    #[error(
        "there are {questions} questions and {others} captions or reports: choose one scale for all \
         with `--kind correct` or `--kind likert`, or rate them in two stores"
    )]
    MixedTasks {
        /// Number of questions.
        questions: usize,
        /// Number of other items.
        others: usize,
    },
    /// No scale has this name.
    #[error("no scale is called `{name}`: there are correct and likert{}", names::suggestion(name, ["correct", "likert"]))]
    UnknownKind {
        /// The name as given.
        name: String,
    },
    /// A name that no rater can have.
    #[error("`{name}` cannot be a rater's name: {problem}")]
    RaterName {
        /// The name as given.
        name: String,
        /// What is wrong with it and what to do about it.
        problem: &'static str,
    },
    /// No rater of the store has this name.
    #[error("no rater of `{}` is called `{name}`: there are {known}", path.display())]
    UnknownRater {
        /// The store.
        path: PathBuf,
        /// The name as given.
        name: String,
        /// All names.
        known: String,
    },
    /// More raters for an item than there are, or none.
    #[error(
        "each item cannot get {per_item} raters: with these raters `--per-item` lies between 1 and \
         {raters}"
    )]
    PerItem {
        /// What was asked for.
        per_item: usize,
        /// Number of raters.
        raters: usize,
    },
    /// A core larger than the study.
    #[error("the core cannot have {core} items: `--core` is at most {cases}, the number of items")]
    Core {
        /// What was asked for.
        core: usize,
        /// Number of items.
        cases: usize,
    },
    /// There is no store yet, and nothing to make one of.
    #[error("there is no store `{}` yet: name the prediction files to make one", path.display())]
    NoStore {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// SQLite says no.
    #[error("rating store `{}`: {source}", path.display())]
    Sqlite {
        /// The store.
        path: PathBuf,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
    /// The file is something else.
    #[error("`{}` is not a rating store: name one that `pefomed rate` made, or a new file", path.display())]
    NotAStore {
        /// The file.
        path: PathBuf,
    },
    /// The store was made by a newer version.
    #[error(
        "`{}` has schema {found}, this version knows schema {supported}: use the newer version of \
         pefomed that made it",
        path.display()
    )]
    NewerStore {
        /// The store.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The schema of this version.
        supported: i64,
    },
    /// The store contradicts itself.
    #[error("`{}` is damaged: {problem}; restore it from a copy", path.display())]
    DamagedStore {
        /// The store.
        path: PathBuf,
        /// What does not fit.
        problem: String,
    },
    /// The store was made for other predictions.
    #[error(
        "`{}` was made for other predictions ({stored}) than these ({given}): name another file \
         with --store, or leave the predictions out to go on with those in the store",
        path.display()
    )]
    OtherItems {
        /// The store.
        path: PathBuf,
        /// Systems, number of candidates and digest of the store.
        stored: String,
        /// The same of what was given.
        given: String,
    },
    /// The store was made with another setting.
    #[error(
        "`{}` was made with {option} {stored}, not {given}: leave {option} out to go on with it, or \
         name another file with --store",
        path.display()
    )]
    OtherSetting {
        /// The store.
        path: PathBuf,
        /// The option.
        option: &'static str,
        /// The store's value.
        stored: String,
        /// What was given.
        given: String,
    },
    /// There is nothing at this position of a rater's order.
    #[error("position {position} does not exist: this rater has {count} candidates")]
    NoSuchPosition {
        /// Position, from 0.
        position: usize,
        /// Number of candidates.
        count: usize,
    },
    /// A grade off its scale.
    #[error("{value} does not lie on the scale {scale}")]
    OffScale {
        /// The grade.
        value: u8,
        /// The study's scale.
        scale: Scale,
    },
    /// A comment without end.
    #[error("the comment has {characters} characters: at most {limit} are kept, shorten it")]
    LongComment {
        /// Its length.
        characters: usize,
        /// The limit.
        limit: usize,
    },
    /// Error marks that do not fit the study.
    #[error("{problem}")]
    Marks {
        /// What is wrong.
        problem: String,
    },
    /// A request without a usable name.
    #[error("a request is named by 8 to 64 letters, digits and hyphens")]
    RequestName,
}
