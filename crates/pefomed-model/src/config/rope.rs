//! Rotary settings of a decoder: base and scaling of the angles.
//!
//! Position `p` turns pair `i` of a head of width `D` by `p · base^(−2i/D)`. Models made for longer
//! texts than they were first trained on turn more slowly. Newer files write all of it under
//! `rope_parameters`, older ones the base as `rope_theta` and the rest under `rope_scaling`.

use std::collections::BTreeMap;
use std::f64::consts::PI;

use pefomed_kernels::rotary;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `rope_parameters` or `rope_scaling` of a decoder's `config.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RopeParameters {
    /// Base of the rotary angles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_theta: Option<f64>,
    /// Kind of scaling: `default`, `linear` or `llama3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_type: Option<String>,
    /// The kind, as older files call it.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub old_rope_type: Option<String>,
    /// How many times more slowly scaled pairs turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<f64>,
    /// `llama3`: pairs that turn less often than this in the original length are scaled whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_freq_factor: Option<f64>,
    /// `llama3`: pairs that turn more often than this in the original length are not scaled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high_freq_factor: Option<f64>,
    /// `llama3`: positions of the original length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_max_position_embeddings: Option<f64>,
    /// Keys of other kinds of scaling, which are refused unless null.
    #[serde(flatten)]
    pub others: BTreeMap<String, Value>,
}

impl RopeParameters {
    /// What they ask for.
    ///
    /// # Errors
    /// What is missing, contradictory or not implemented.
    pub fn scaling(&self) -> Result<RopeScaling, String> {
        let kind = match (&self.rope_type, &self.old_rope_type) {
            (Some(kind), Some(old)) if kind != old => {
                return Err(format!("rotary angles of kind `{kind}` and of kind `{old}`"));
            }
            (Some(kind), _) | (None, Some(kind)) => kind.as_str(),
            (None, None) => "default",
        };
        for (key, value) in &self.others {
            let whole = key == "partial_rotary_factor" && value.as_f64() == Some(1.0);
            if !value.is_null() && !whole {
                return Err(format!("rotary setting `{key}` = {value}"));
            }
        }
        let number = |key: &str, value: Option<f64>| match value {
            Some(value) if value.is_finite() && value > 0.0 => Ok(value),
            Some(value) => Err(format!("rotary setting `{key}` = {value}; it must be above 0")),
            None => Err(format!("rotary angles of kind `{kind}` without `{key}`")),
        };
        match kind {
            "default" => Ok(RopeScaling::None),
            "linear" => Ok(RopeScaling::Linear { factor: number("factor", self.factor)? }),
            "llama3" => {
                let low = number("low_freq_factor", self.low_freq_factor)?;
                let high = number("high_freq_factor", self.high_freq_factor)?;
                if low >= high {
                    return Err(format!("`low_freq_factor` {low} that is not below {high}"));
                }
                let original = self.original_max_position_embeddings;
                Ok(RopeScaling::Llama3 {
                    factor: number("factor", self.factor)?,
                    low,
                    high,
                    original: number("original_max_position_embeddings", original)?,
                })
            }
            other => Err(format!(
                "rotary angles of kind `{other}`; `default`, `linear` and `llama3` are supported, \
                 and kinds whose angles depend on the length of the text (`dynamic`, `longrope`) \
                 or that scale attention (`yarn`) are not"
            )),
        }
    }
}

/// How rotary angles are scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    #[default]
    None,
    /// All pairs alike (arXiv 2306.15595).
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// Slow pairs whole, fast ones not, those between by interpolation: LLaMA 3.1
    /// (arXiv 2407.21783).
    Llama3 {
        /// The divisor.
        factor: f64,
        /// Turns within the original length at which scaling is whole.
        low: f64,
        /// Turns at which it ends.
        high: f64,
        /// The original length in positions.
        original: f64,
    },
}

impl RopeScaling {
    /// Angle per position of each of the `head_dim / 2` pairs. In single precision every step is
    /// rounded as the reference implementation rounds it.
    pub fn frequencies(self, head_dim: usize, base: f64, is_double: bool) -> Vec<f64> {
        // A single operation in double precision, rounded to single, is the single-precision one.
        let round = |value: f64| if is_double { value } else { f64::from(value as f32) };
        let scaled = |frequency: f64| match self {
            Self::None => frequency,
            Self::Linear { factor } => round(frequency / round(factor)),
            Self::Llama3 { factor, low, high, original } => {
                let wavelength = round(round(2.0 * PI) / frequency);
                let slow = round(frequency / round(factor));
                if wavelength > original / low {
                    slow
                } else if wavelength < original / high {
                    frequency
                } else {
                    let turns = round(round(original) / wavelength);
                    let share = round(round(turns - round(low)) / round(high - low));
                    let slow = round(round(round(1.0 - share) * frequency) / round(factor));
                    round(slow + round(share * frequency))
                }
            }
        };
        rotary::frequencies(head_dim, base, is_double).into_iter().map(scaled).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scaling(value: Value) -> Result<RopeScaling, String> {
        serde_json::from_value::<RopeParameters>(value).unwrap().scaling()
    }

    #[test]
    fn old_and_new_spellings_say_the_same() {
        let linear = RopeScaling::Linear { factor: 4.0 };
        assert_eq!(scaling(json!({"type": "linear", "factor": 4.0})), Ok(linear));
        let both = json!({"rope_type": "linear", "type": "linear", "factor": 4, "beta_fast": null});
        assert_eq!(scaling(both), Ok(linear));
        assert_eq!(
            scaling(json!({"rope_theta": 5e5, "partial_rotary_factor": 1.0})),
            Ok(RopeScaling::None)
        );
    }

    #[test]
    fn what_is_missing_or_not_implemented_is_named() {
        for (value, part) in [
            (json!({"type": "dynamic", "factor": 2.0}), "`dynamic`"),
            (json!({"rope_type": "yarn", "factor": 2.0}), "`yarn`"),
            (json!({"rope_type": "linear"}), "without `factor`"),
            (json!({"rope_type": "linear", "factor": 0.0}), "above 0"),
            (json!({"rope_type": "linear", "type": "dynamic"}), "`dynamic`"),
            (json!({"rope_type": "llama3", "factor": 8.0}), "without `low_freq_factor`"),
            (json!({"partial_rotary_factor": 0.5}), "`partial_rotary_factor`"),
            (json!({"mrope_section": [16, 24, 24]}), "`mrope_section`"),
        ] {
            let problem = scaling(value).unwrap_err();
            assert!(problem.contains(part), "{problem}");
        }
    }

    #[test]
    fn llama_3_scales_slow_pairs_and_leaves_fast_ones() {
        let rule = RopeScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 8192.0 };
        let plain = RopeScaling::None.frequencies(128, 5e5, true);
        let scaled = rule.frequencies(128, 5e5, true);
        let ratios: Vec<f64> = plain.iter().zip(&scaled).map(|(a, b)| a / b).collect();
        assert_eq!(ratios[0], 1.0);
        assert!((ratios[63] - 8.0).abs() < 1e-12);
        let between = ratios.iter().filter(|&&ratio| ratio > 1.0 + 1e-9 && ratio < 8.0 - 1e-9);
        assert!(between.count() >= 3);
        assert!(ratios.is_sorted());
    }
}
