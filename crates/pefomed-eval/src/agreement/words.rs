//! Numbers of agreement as people read them, for the terminal and the page alike.

use super::likert::LikertRange;
use super::measure::Measure;
use crate::bootstrap::Estimate;
use crate::grade::Scale;
use crate::number::trimmed;

/// A number with a fixed number of decimals and a true minus sign; never "−0.00".
pub fn decimal(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(size) if size.bytes().all(|byte| matches!(byte, b'0' | b'.')) => size.to_owned(),
        Some(size) => format!("\u{2212}{size}"),
        None => text,
    }
}

/// As [`decimal`], with a plus before what is above zero.
pub fn signed(value: f64, decimals: usize) -> String {
    let text = decimal(value, decimals);
    let zero = text.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    if zero || text.starts_with('\u{2212}') { text } else { format!("+{text}") }
}

fn bracketed(value: &str, ends: Option<(String, String)>) -> String {
    match ends {
        Some((low, high)) => format!("{value} [{low}, {high}]"),
        None => value.to_owned(),
    }
}

/// `0.81 [0.72, 0.88]`, or `undefined: …` with the reason.
pub fn statistic(measure: &Measure) -> String {
    written(measure, |value| decimal(value, 2))
}

/// `61.2 [56.6, 65.7]`: a share in per cent.
pub fn share(measure: &Measure) -> String {
    written(measure, |value| decimal(value * 100.0, 1))
}

fn written(measure: &Measure, write: impl Fn(f64) -> String) -> String {
    match measure {
        Measure::Defined(value) => {
            let ends = value.low.zip(value.high).map(|(low, high)| (write(low), write(high)));
            bracketed(&write(value.value), ends)
        }
        Measure::Undefined { why, .. } => format!("undefined: {why}"),
    }
}

/// How a grade, an average or a difference on some scale is shown.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    scale: Scale,
    likert: LikertRange,
}

impl Shown {
    /// Grades on `scale`, Likert ones in the range `likert`.
    pub fn new(scale: Scale, likert: LikertRange) -> Self {
        Self { scale, likert }
    }

    /// What the numbers are: `% right`, `Likert 0–4`, …
    pub fn unit(self) -> String {
        match self.scale {
            Scale::Correct => "% right".to_owned(),
            Scale::Likert => format!("Likert {}", self.likert),
            Scale::Errors => "errors".to_owned(),
            Scale::Score => "score".to_owned(),
        }
    }

    fn decimals(self) -> usize {
        match self.scale {
            Scale::Correct => 1,
            Scale::Likert => self.likert.decimals(),
            Scale::Errors => 2,
            Scale::Score => 3,
        }
    }

    fn level(self, value: f64) -> f64 {
        match self.scale {
            Scale::Correct => value * 100.0,
            Scale::Likert => self.likert.show(value),
            Scale::Errors | Scale::Score => value,
        }
    }

    /// A difference of two grades in the unit that is shown.
    pub fn distance(self, value: f64) -> f64 {
        match self.scale {
            Scale::Correct => value * 100.0,
            Scale::Likert => self.likert.show_difference(value),
            Scale::Errors | Scale::Score => value,
        }
    }

    /// An average with its interval.
    pub fn average(self, measure: &Measure) -> String {
        written(measure, |value| decimal(self.level(value), self.decimals()))
    }

    /// A mean without an interval.
    pub fn plain(self, value: f64) -> String {
        decimal(self.level(value), self.decimals())
    }

    /// A single grade, as short as it can be: `right`, `3`, `2 errors`, `0.417`.
    pub fn grade(self, value: f64) -> String {
        match self.scale {
            Scale::Correct if value > 0.0 => "right".to_owned(),
            Scale::Correct => "wrong".to_owned(),
            Scale::Errors if value == 1.0 => "1 error".to_owned(),
            Scale::Errors => format!("{value} errors"),
            Scale::Likert => trimmed(self.level(value), 1),
            Scale::Score => trimmed(value, 3).replace('-', "\u{2212}"),
        }
    }

    /// A mean or bias of differences with its interval.
    pub fn difference(self, measure: &Measure) -> String {
        written(measure, |value| signed(self.distance(value), self.decimals()))
    }

    /// A mean absolute difference or a standard deviation.
    pub fn size(self, measure: &Measure) -> String {
        written(measure, |value| decimal(self.distance(value), self.decimals()))
    }

    /// A paired difference with its interval.
    pub fn estimate(self, estimate: &Estimate) -> String {
        let write = |value| signed(self.distance(value), self.decimals());
        let ends = estimate.low.zip(estimate.high).map(|(low, high)| (write(low), write(high)));
        bracketed(&write(estimate.value), ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agreement::Undefined;

    #[test]
    fn numbers_carry_true_signs_and_reasons() {
        assert_eq!((decimal(-0.001, 2), decimal(-0.5, 2)), ("0.00".into(), "\u{2212}0.50".into()));
        assert_eq!((signed(0.0, 1), signed(0.24, 1)), ("0.0".into(), "+0.2".into()));
        let none: Measure = Undefined::OneRater.into();
        assert_eq!(statistic(&none), "undefined: there is only one rater");
        let estimate = Estimate { value: 0.5, low: Some(-1.0), high: Some(2.0) };
        let shown = |likert| Shown::new(Scale::Likert, likert).estimate(&estimate);
        assert_eq!(shown(LikertRange::OneToFive), "+0.50 [\u{2212}1.00, +2.00]");
        assert_eq!(shown(LikertRange::Percent), "+12.5 [\u{2212}25.0, +50.0]");
        assert_eq!(Shown::new(Scale::Likert, LikertRange::OneToFive).plain(2.0), "3.00");
        assert_eq!(Shown::new(Scale::Correct, LikertRange::OneToFive).plain(0.5), "50.0");
    }
}
