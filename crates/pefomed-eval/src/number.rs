//! Numbers as people read them, for the terminal and the report alike.

use crate::bootstrap::Estimate;

/// A fixed number of decimals without trailing zeros; never "-0".
pub(crate) fn trimmed(number: f64, decimals: usize) -> String {
    let text = format!("{number:.decimals$}");
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// A fraction as a percentage with one decimal, without the sign `%`: `61.2`.
pub(crate) fn percent(fraction: f64) -> String {
    unsigned_zero(format!("{:.1}", fraction * 100.0))
}

/// A difference of fractions in percentage points with its sign: `+3.1`, `−2.0`.
pub(crate) fn points(difference: f64) -> String {
    let text = percent(difference);
    match text.strip_prefix('-') {
        Some(size) => format!("\u{2212}{size}"),
        None if text == "0.0" => text,
        None => format!("+{text}"),
    }
}

/// `61.2 [56.6, 65.7]`, in per cent; without the brackets where there is no interval.
pub(crate) fn with_interval(estimate: &Estimate) -> String {
    bracketed(estimate, percent)
}

/// `+3.1 [−0.4, +6.5]`, in percentage points.
pub(crate) fn difference(estimate: &Estimate) -> String {
    bracketed(estimate, points)
}

/// A number in a unit of its own, with up to four decimals: `0.4127 [0.391, 0.4336]`.
pub(crate) fn own_unit(estimate: &Estimate) -> String {
    bracketed(estimate, plain)
}

/// A difference in a unit of its own, with its sign.
pub(crate) fn own_difference(estimate: &Estimate) -> String {
    bracketed(estimate, |number| {
        let text = plain(number);
        match text.strip_prefix('-') {
            Some(size) => format!("\u{2212}{size}"),
            None if text == "0" => text,
            None => format!("+{text}"),
        }
    })
}

/// Up to four decimals.
pub(crate) fn plain(number: f64) -> String {
    trimmed(number, 4)
}

fn bracketed(estimate: &Estimate, write: fn(f64) -> String) -> String {
    match (estimate.low, estimate.high) {
        (Some(low), Some(high)) => {
            format!("{} [{}, {}]", write(estimate.value), write(low), write(high))
        }
        _ => write(estimate.value),
    }
}

/// A p-value: three decimals, `< 0.001` below that.
pub(crate) fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") }
}

fn unsigned_zero(text: String) -> String {
    if text == "-0.0" { "0.0".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(trimmed(95.0, 2), "95");
        assert_eq!(trimmed(100.0, 0), "100");
        assert_eq!(trimmed(-0.001, 2), "0");
        assert_eq!(percent(0.612_34), "61.2");
        assert_eq!(points(-0.02), "\u{2212}2.0");
        assert_eq!(points(-0.000_01), "0.0");
        assert_eq!(points(0.031), "+3.1");
        let estimate = Estimate { value: 0.5, low: Some(0.25), high: Some(0.75) };
        assert_eq!(with_interval(&estimate), "50.0 [25.0, 75.0]");
        assert_eq!(p_value(0.000_4), "< 0.001");
        assert_eq!(own_unit(&estimate), "0.5 [0.25, 0.75]");
        let fall = Estimate { value: -1.25, low: Some(-2.0), high: Some(0.0) };
        assert_eq!(own_difference(&fall), "\u{2212}1.25 [\u{2212}2, 0]");
    }
}
