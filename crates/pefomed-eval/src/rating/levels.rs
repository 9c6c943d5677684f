//! The scales a rater works with, and the sentences that stand beside each level.
//!
//! The Likert scale is that of PeFoMed (arXiv 2401.02797, evaluation of reports), which a model judge
//! uses too; its error types are the six of CheXprompt (Zambrano Chaves et al. 2024,
//! arXiv 2403.08002). The sentences here are shorter than theirs, because they have to be read at a
//! glance a thousand times.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::RatingError;
use super::answer::ErrorKind;
use crate::Scale;

/// What raters are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RatingKind {
    /// Whether an answer is right: 0 or 1.
    Correct,
    /// How close a text comes to the reference: 0 to 4.
    Likert,
}

/// One level of a scale, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Level {
    /// The grade.
    pub value: u8,
    /// One or two words.
    pub name: &'static str,
    /// When to give it.
    pub description: &'static str,
}

/// PeFoMed's 5-point scale, the best level first.
const LIKERT: [Level; 5] = [
    Level {
        value: 4,
        name: "Equivalent",
        description: "Same diagnosis and recommendation, nothing left out; hard to tell apart.",
    },
    Level {
        value: 3,
        name: "Close",
        description: "All critical points agree; small deviations or gaps that do no harm.",
    },
    Level {
        value: 2,
        name: "Partly right",
        description: "Several key points differ; core diagnosis right, intent recognisable.",
    },
    Level {
        value: 1,
        name: "Largely wrong",
        description: "Key points quite different: errors, misleading statements, important gaps.",
    },
    Level {
        value: 0,
        name: "Unusable",
        description: "Hardly anything agrees; does not serve as a report.",
    },
];

/// Right or wrong.
const CORRECT: [Level; 2] = [
    Level {
        value: 1,
        name: "Correct",
        description: "Means the same as the reference, or answers the question well enough.",
    },
    Level {
        value: 0,
        name: "Incorrect",
        description: "Means something else, or does not answer the question.",
    },
];

impl RatingKind {
    /// The levels, the best first.
    pub fn levels(self) -> &'static [Level] {
        match self {
            Self::Correct => &CORRECT,
            Self::Likert => &LIKERT,
        }
    }

    /// The scale of the grades.
    pub fn scale(self) -> Scale {
        match self {
            Self::Correct => Scale::Correct,
            Self::Likert => Scale::Likert,
        }
    }

    /// The word used on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Correct => "correct",
            Self::Likert => "likert",
        }
    }
}

impl fmt::Display for RatingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for RatingKind {
    type Err = RatingError;

    fn from_str(name: &str) -> Result<Self, RatingError> {
        [Self::Correct, Self::Likert]
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| RatingError::UnknownKind { name: name.to_owned() })
    }
}

impl ErrorKind {
    /// Two words for the page.
    pub fn label(self) -> &'static str {
        match self {
            Self::FalseFinding => "False finding",
            Self::MissedFinding => "Missed finding",
            Self::WrongLocation => "Wrong location",
            Self::WrongSeverity => "Wrong severity",
            Self::FalseComparison => "False comparison",
            Self::MissedComparison => "Missed comparison",
        }
    }

    /// What the mark stands for.
    pub fn description(self) -> &'static str {
        match self {
            Self::FalseFinding => "The candidate has a finding that the reference does not have.",
            Self::MissedFinding => "The candidate leaves out a finding of the reference.",
            Self::WrongLocation => "The finding is there, in another place.",
            Self::WrongSeverity => "The finding is there, more or less severe.",
            Self::FalseComparison => {
                "The candidate compares with an earlier study; the reference does not."
            }
            Self::MissedComparison => "The candidate leaves out a change since an earlier study.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_levels_are_those_of_the_scale() {
        for kind in [RatingKind::Correct, RatingKind::Likert] {
            let mut values: Vec<f64> =
                kind.levels().iter().map(|level| f64::from(level.value)).collect();
            values.reverse();
            assert_eq!(Some(&values[..]), kind.scale().levels());
            assert_eq!(kind.name().parse::<RatingKind>().ok(), Some(kind));
        }
        let error = "lickert".parse::<RatingKind>().unwrap_err().to_string();
        assert!(error.contains("did you mean `likert`"), "{error}");
    }
}
