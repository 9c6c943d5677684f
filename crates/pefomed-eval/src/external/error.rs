//! Every way that a scorer outside this program can fail.

use std::fmt;
use std::io;

/// What went wrong with an external scorer; each names the scorer and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExternalError {
    /// An option names no scorer.
    #[error("`{text}` names no external scorer: {problem}; write NAME=COMMAND")]
    Option {
        /// What was given.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Two scorers, or a scorer and one of this program's metrics, share a name.
    #[error("external scorer `{name}` has the name of another metric: choose another one")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// The command does not start.
    #[error(
        "external scorer `{scorer}`: cannot start `{program}`: {error}; name a program that is there \
         and may be run (words are split at blanks; for a shell write sh -c '…')"
    )]
    Start {
        /// Name of the scorer.
        scorer: String,
        /// The program.
        program: String,
        /// What the system says.
        error: io::Error,
    },
    /// A line is not what it should be.
    #[error(
        "external scorer `{scorer}`, line {line} of its output: {problem}; write one line \
         {{\"id\": …, \"score\": number}} for each item"
    )]
    Line {
        /// Name of the scorer.
        scorer: String,
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A line is about an item that was not given.
    #[error(
        "external scorer `{scorer}`, line {line} of its output: there is no item `{id}`: give every id \
         back as it came"
    )]
    UnknownId {
        /// Name of the scorer.
        scorer: String,
        /// Number of the line.
        line: usize,
        /// The id.
        id: String,
    },
    /// An item is scored twice.
    #[error(
        "external scorer `{scorer}`, line {line} of its output: item `{id}` was scored before: write one \
         line for each item"
    )]
    DuplicateId {
        /// Name of the scorer.
        scorer: String,
        /// Number of the line.
        line: usize,
        /// The id.
        id: String,
    },
    /// Items have different scores.
    #[error(
        "external scorer `{scorer}`, line {line} of its output: item `{id}` has {found}, earlier ones \
         have {known}: give every item the same scores"
    )]
    OtherScores {
        /// Name of the scorer.
        scorer: String,
        /// Number of the line.
        line: usize,
        /// The id.
        id: String,
        /// Names of this item's scores.
        found: String,
        /// Names of the others'.
        known: String,
    },
    /// Items are left without a score.
    #[error(
        "external scorer `{scorer}` ended and left {missing} of {items} items without a score, the first \
         is `{id}`: it must write a line for each{said}"
    )]
    Missing {
        /// Name of the scorer.
        scorer: String,
        /// Items without a score.
        missing: usize,
        /// Items in all.
        items: usize,
        /// The first of them.
        id: String,
        /// What it wrote to its standard error.
        said: Said,
    },
    /// Nothing came for too long.
    #[error(
        "external scorer `{scorer}` scored {scored} of {items} items and then nothing for {seconds} s, and \
         was stopped: let it write each line as soon as it has it, or give it more time \
         (--external-timeout){said}"
    )]
    Silent {
        /// Name of the scorer.
        scorer: String,
        /// Items scored.
        scored: usize,
        /// Items in all.
        items: usize,
        /// Seconds waited.
        seconds: u64,
        /// What it wrote to its standard error.
        said: Said,
    },
    /// It ended with an error of its own.
    #[error(
        "external scorer `{scorer}` failed ({status}) after scoring {scored} of {items} items: run its \
         command by hand to see why{said}"
    )]
    Failed {
        /// Name of the scorer.
        scorer: String,
        /// How it ended.
        status: String,
        /// Items scored.
        scored: usize,
        /// Items in all.
        items: usize,
        /// What it wrote to its standard error.
        said: Said,
    },
}

/// The end of what a scorer wrote to its standard error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said(pub String);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "; it said: {}", self.0) }
    }
}
