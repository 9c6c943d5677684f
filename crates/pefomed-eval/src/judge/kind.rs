//! What a judge is asked: three kinds of question, and the numbers each can give.

use std::fmt;
use std::str::FromStr;

use pefomed_data::Task;
use serde::{Deserialize, Serialize};

use crate::Scale;

/// A kind of question to a judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Is the answer right (1) or wrong (0)?
    Vqa,
    /// How well does the report agree, from 0 to 4?
    Likert,
    /// How many errors of which type does the report have? After the six categories of Yu et al.
    /// 2023 (Patterns 4:100802), which CheXprompt has a model count (Zambrano Chaves et al. 2025).
    Errors,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Vqa, Self::Likert, Self::Errors];

    /// The name used on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vqa => "vqa",
            Self::Likert => "likert",
            Self::Errors => "errors",
        }
    }

    /// The kind asked for a task unless another is chosen.
    pub fn of_task(task: Task) -> Self {
        match task {
            Task::Vqa => Self::Vqa,
            Task::Caption | Task::Report => Self::Likert,
        }
    }

    /// Whether the question makes sense for a task.
    pub fn fits(self, task: Task) -> bool {
        (self == Self::Vqa) == (task == Task::Vqa)
    }

    /// The scale of its grades.
    pub fn scale(self) -> Scale {
        match self {
            Self::Vqa => Scale::Correct,
            Self::Likert => Scale::Likert,
            Self::Errors => Scale::Errors,
        }
    }

    /// The highest score; none where errors are counted.
    pub fn highest(self) -> Option<u8> {
        match self {
            Self::Vqa => Some(1),
            Self::Likert => Some(4),
            Self::Errors => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.map(Self::name);
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let suggestion = pefomed_data::names::suggestion(name, known);
            format!("unknown kind `{name}`: use {}{suggestion}", known.join(", "))
        })
    }
}

/// How often an error occurs, by whether it matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Count {
    /// Errors that could change what is done for the patient.
    pub significant: u32,
    /// Errors that could not.
    pub insignificant: u32,
}

impl Count {
    /// All errors.
    pub fn total(self) -> u32 {
        self.significant.saturating_add(self.insignificant)
    }
}

/// Errors of one report by type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorCounts {
    /// Findings that the reference does not have.
    pub false_finding: Count,
    /// Findings of the reference that are left out.
    pub missing_finding: Count,
    /// Findings at another place or on another side.
    pub wrong_location: Count,
    /// Findings of another size or gravity.
    pub wrong_severity: Count,
    /// Changes from an earlier study that the reference does not tell.
    pub false_comparison: Count,
    /// Changes from an earlier study that are left out.
    pub missing_comparison: Count,
}

impl ErrorCounts {
    /// Names of the types, in the order of [`counts`](Self::counts).
    pub const TYPES: [&'static str; 6] = [
        "false_finding",
        "missing_finding",
        "wrong_location",
        "wrong_severity",
        "false_comparison",
        "missing_comparison",
    ];

    /// The counts in the order of [`TYPES`](Self::TYPES).
    pub fn counts(&self) -> [Count; 6] {
        [
            self.false_finding,
            self.missing_finding,
            self.wrong_location,
            self.wrong_severity,
            self.false_comparison,
            self.missing_comparison,
        ]
    }

    /// From counts in the order of [`TYPES`](Self::TYPES).
    pub fn from_counts(counts: [Count; 6]) -> Self {
        let [
            false_finding,
            missing_finding,
            wrong_location,
            wrong_severity,
            false_comparison,
            missing_comparison,
        ] = counts;
        Self {
            false_finding,
            missing_finding,
            wrong_location,
            wrong_severity,
            false_comparison,
            missing_comparison,
        }
    }

    /// All errors of all types.
    pub fn total(&self) -> u32 {
        self.counts().into_iter().map(Count::total).fold(0, u32::saturating_add)
    }

    /// Significant errors of all types.
    pub fn significant(&self) -> u32 {
        self.counts().into_iter().map(|count| count.significant).fold(0, u32::saturating_add)
    }
}
