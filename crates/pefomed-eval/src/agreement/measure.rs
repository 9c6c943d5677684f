//! A number, or why there is none.
//!
//! Statistics of agreement are undefined more often than one would like: a rater who gives every
//! item the same grade, two raters without a common item. A file or page that then showed a blank,
//! a zero or NaN would be read as a result.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::resample::Interval;

/// Why a statistic has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Undefined {
    /// Agreement needs two raters.
    OneRater,
    /// No item was graded by both, or by two raters.
    NoCommonItems,
    /// Fewer items than the statistic needs.
    TooFewItems,
    /// One side, or all of it, has the same grade everywhere.
    NoVariation,
    /// The scale has no levels to count.
    NoLevels,
    /// Differences of grades that are only right or wrong have no spread to speak of.
    RightOrWrong,
    /// The two sides count in different units.
    DifferentScales,
    /// Fewer than three systems.
    TooFewSystems,
    /// Fewer than two items were graded by every rater.
    NotComplete,
    /// Grades of one item differ more than those of different items, so much that a ratio of
    /// variances means nothing.
    BelowChance,
    /// The grades are too large to compute with.
    NotFinite,
}

impl fmt::Display for Undefined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneRater => "there is only one rater",
            Self::NoCommonItems => "no item has two grades to compare",
            Self::TooFewItems => "there are too few items",
            Self::NoVariation => "the grades do not vary",
            Self::NoLevels => "the scale has no levels",
            Self::RightOrWrong => "right or wrong has no limits",
            Self::DifferentScales => "the two are not on the same scale",
            Self::TooFewSystems => "there are fewer than three systems",
            Self::NotComplete => "fewer than two items were graded by every rater",
            Self::BelowChance => "grades differ more within items than between them",
            Self::NotFinite => "the grades are too large to compute with",
        })
    }
}

/// A statistic with its interval, or why it has no value.
///
/// In JSON either `{"value": …, "low": …, "high": …, "n": …}` or
/// `{"undefined": "no_variation", "why": "the grades do not vary"}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Measure {
    /// There is a value.
    Defined(Value),
    /// There is none.
    Undefined {
        /// The reason, for programs.
        undefined: Undefined,
        /// The reason, in words.
        why: String,
    },
}

/// The value of a statistic.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Value {
    /// The statistic of the items at hand.
    pub value: f64,
    /// Lower end of the interval; absent where none can be made.
    #[serde(default)]
    pub low: Option<f64>,
    /// Upper end of the interval.
    #[serde(default)]
    pub high: Option<f64>,
    /// Items it was computed from.
    pub n: usize,
    /// Resamples in which the statistic was undefined; they are not in the interval.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub resamples_lost: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands the field by reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Measure {
    /// A value from `n` items with its interval. What is not finite is undefined.
    pub(crate) fn new(value: Result<f64, Undefined>, n: usize, interval: Interval) -> Self {
        match value {
            Ok(value) if value.is_finite() => {
                let Interval { low, high, lost } = interval;
                Self::Defined(Value { value, low, high, n, resamples_lost: lost })
            }
            Ok(_) => Undefined::NotFinite.into(),
            Err(reason) => reason.into(),
        }
    }

    /// The value, where there is one.
    pub fn value(&self) -> Option<f64> {
        self.defined().map(|value| value.value)
    }

    /// The value with its interval, where there is one.
    pub fn defined(&self) -> Option<&Value> {
        match self {
            Self::Defined(value) => Some(value),
            Self::Undefined { .. } => None,
        }
    }

    /// The reason why there is no value.
    pub fn undefined(&self) -> Option<Undefined> {
        match self {
            Self::Defined(_) => None,
            Self::Undefined { undefined, .. } => Some(*undefined),
        }
    }
}

impl From<Undefined> for Measure {
    fn from(undefined: Undefined) -> Self {
        Self::Undefined { undefined, why: undefined.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_in_the_file_in_words_and_no_number_is_made_up() {
        let none = Measure::new(Err(Undefined::NoVariation), 3, Interval::default());
        let json = serde_json::to_string(&none).unwrap();
        assert_eq!(json, r#"{"undefined":"no_variation","why":"the grades do not vary"}"#);
        assert_eq!(serde_json::from_str::<Measure>(&json).unwrap(), none);
        let nan = Measure::new(Ok(f64::NAN), 3, Interval::default());
        assert_eq!(nan.undefined(), Some(Undefined::NotFinite));
        let some = Measure::new(Ok(0.5), 3, Interval::default());
        let json = serde_json::to_string(&some).unwrap();
        assert_eq!(json, r#"{"value":0.5,"low":null,"high":null,"n":3}"#);
        assert_eq!(serde_json::from_str::<Measure>(&json).unwrap(), some);
    }
}
