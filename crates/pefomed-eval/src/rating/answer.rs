//! What a rater says about one candidate.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{RatingError, Settings};

/// The longest comment that is taken, in characters.
pub const MAX_COMMENT: usize = 4000;
/// The most errors of one type and weight that are taken.
const MAX_MARKS: u8 = 99;

/// The six types of error of CheXprompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The candidate reports a finding that the reference does not have.
    FalseFinding,
    /// The candidate leaves a finding out.
    MissedFinding,
    /// The candidate puts a finding in the wrong place.
    WrongLocation,
    /// The candidate gets the severity of a finding wrong.
    WrongSeverity,
    /// The candidate compares with an earlier study where the reference does not.
    FalseComparison,
    /// The candidate leaves out a change since an earlier study.
    MissedComparison,
}

impl ErrorKind {
    /// All types, in the order of the page and of the columns.
    pub const ALL: [Self; 6] = [
        Self::FalseFinding,
        Self::MissedFinding,
        Self::WrongLocation,
        Self::WrongSeverity,
        Self::FalseComparison,
        Self::MissedComparison,
    ];

    /// The word used in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::FalseFinding => "false_finding",
            Self::MissedFinding => "missed_finding",
            Self::WrongLocation => "wrong_location",
            Self::WrongSeverity => "wrong_severity",
            Self::FalseComparison => "false_comparison",
            Self::MissedComparison => "missed_comparison",
        }
    }
}

/// Errors of one type, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarkCount {
    /// Errors that matter clinically.
    #[serde(default)]
    pub significant: u8,
    /// Errors that do not.
    #[serde(default)]
    pub insignificant: u8,
}

/// Errors by type; a type that is absent has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ErrorMarks(pub BTreeMap<ErrorKind, MarkCount>);

impl ErrorMarks {
    /// The count of one type.
    pub fn of(&self, kind: ErrorKind) -> MarkCount {
        self.0.get(&kind).copied().unwrap_or_default()
    }

    /// All errors, or the significant ones alone.
    pub fn total(&self, only_significant: bool) -> u32 {
        let of = |count: &MarkCount| {
            let harmless = if only_significant { 0 } else { count.insignificant };
            u32::from(count.significant) + u32::from(harmless)
        };
        self.0.values().map(of).sum()
    }
}

/// An answer as a rater gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rating {
    /// The grade; none when the rater looked and cannot judge.
    pub value: Option<u8>,
    /// Marked errors, in a study that asks for them.
    #[serde(default)]
    pub marks: Option<ErrorMarks>,
    /// Free text, at most [`MAX_COMMENT`] characters.
    #[serde(default)]
    pub comment: String,
    /// How long the candidate was in view, in milliseconds, as the page measured it.
    #[serde(default)]
    pub shown_ms: Option<u32>,
}

impl Rating {
    /// Whether the answer fits the study.
    ///
    /// # Errors
    /// [`RatingError::OffScale`], [`RatingError::LongComment`], [`RatingError::Marks`].
    pub fn check(&self, settings: &Settings) -> Result<(), RatingError> {
        let scale = settings.kind.scale();
        if let Some(value) = self.value.filter(|value| !scale.holds(f64::from(*value))) {
            return Err(RatingError::OffScale { value, scale });
        }
        let characters = self.comment.chars().count();
        if characters > MAX_COMMENT {
            return Err(RatingError::LongComment { characters, limit: MAX_COMMENT });
        }
        if self.marks.is_some() != settings.error_marks {
            let problem = if settings.error_marks {
                "this study asks for error marks, and the answer has none"
            } else {
                "this study asks for no error marks, and the answer has some"
            };
            return Err(RatingError::Marks { problem: problem.to_owned() });
        }
        let counts = self.marks.iter().flat_map(|marks| marks.0.iter());
        for (kind, count) in counts {
            if count.significant.max(count.insignificant) > MAX_MARKS {
                let problem = format!("more than {MAX_MARKS} errors of type {}", kind.name());
                return Err(RatingError::Marks { problem });
            }
        }
        Ok(())
    }
}

/// The answer that counts at one position of a rater's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Given {
    /// Number of the answer in the store, from 1.
    pub answer: i64,
    /// What was said.
    #[serde(flatten)]
    pub rating: Rating,
}

/// What an undo did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Undone {
    /// Number of the answer that no longer counts.
    pub answer: i64,
    /// Position whose answer it was, from 0.
    pub position: usize,
}
