//! The ranges in which people state a 5-point Likert average.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::EvalError;

/// How averages of the 0–4 scale are shown. Papers use all three, so a number without its range
/// says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LikertRange {
    /// 0 to 4, as grades are given.
    #[default]
    #[serde(rename = "0-4")]
    ZeroToFour,
    /// 1 to 5: one more.
    #[serde(rename = "1-5")]
    OneToFive,
    /// 0 to 100: times 25.
    #[serde(rename = "0-100")]
    Percent,
}

impl LikertRange {
    /// A grade or an average from 0–4 in this range.
    pub fn show(self, value: f64) -> f64 {
        match self {
            Self::ZeroToFour => value,
            Self::OneToFive => value + 1.0,
            Self::Percent => value * 25.0,
        }
    }

    /// A difference of two averages in this range.
    pub fn show_difference(self, difference: f64) -> f64 {
        match self {
            Self::ZeroToFour | Self::OneToFive => difference,
            Self::Percent => difference * 25.0,
        }
    }

    /// Decimals that averages are shown with.
    pub fn decimals(self) -> usize {
        match self {
            Self::ZeroToFour | Self::OneToFive => 2,
            Self::Percent => 1,
        }
    }
}

impl fmt::Display for LikertRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ZeroToFour => "0–4",
            Self::OneToFive => "1–5",
            Self::Percent => "0–100",
        })
    }
}

impl FromStr for LikertRange {
    type Err = EvalError;

    fn from_str(text: &str) -> Result<Self, EvalError> {
        match text {
            "0-4" | "0–4" => Ok(Self::ZeroToFour),
            "1-5" | "1–5" => Ok(Self::OneToFive),
            "0-100" | "0–100" => Ok(Self::Percent),
            _ => Err(EvalError::Option {
                option: "likert",
                value: text.to_owned(),
                remedy: "use 0-4, 1-5 or 0-100",
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_the_scale_are_those_of_the_range() {
        for (name, low, high) in [("0-4", 0.0, 4.0), ("1-5", 1.0, 5.0), ("0-100", 0.0, 100.0)] {
            let range: LikertRange = name.parse().unwrap();
            assert_eq!((range.show(0.0), range.show(4.0)), (low, high));
            assert_eq!(range.show_difference(4.0), high - low);
            assert_eq!(serde_json::to_string(&range).unwrap(), format!("\"{name}\""));
            assert_eq!(range.to_string().replace('–', "-"), name);
        }
        assert!("1-10".parse::<LikertRange>().unwrap_err().to_string().contains("0-100"));
    }
}
