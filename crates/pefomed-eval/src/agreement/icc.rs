//! Intraclass correlation of raters who each graded every item: ICC(2,1) and ICC(2,k).
//!
//! Two-way random effects, absolute agreement (Shrout & Fleiss 1979, case 2; ICC(A,1) and ICC(A,k)
//! of McGraw & Wong 1996). The intervals come from the F distribution with Satterthwaite's degrees
//! of freedom, equations in Shrout & Fleiss p. 424; those of the mean of k raters follow by the
//! Spearman–Brown formula, which preserves order. They take items as independent.

use statrs::distribution::{ContinuousCDF as _, FisherSnedecor};

use super::measure::Undefined;

/// Intraclass correlations of complete cases.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Icc {
    /// ICC(2,1): one rater, with its interval where there is one.
    pub single: (f64, Option<(f64, f64)>),
    /// ICC(2,k): the mean of all raters. Undefined where raters differ so much more within items
    /// than between them that its denominator is not positive.
    pub average: Result<(f64, Option<(f64, f64)>), Undefined>,
}

/// Intraclass correlations of `rows` (items) by raters, with intervals of coverage `level`. Both
/// values may be negative; there is no interval when the raters never differ.
///
/// # Errors
/// [`Undefined::OneRater`] with fewer than two raters, [`Undefined::NotComplete`] with fewer than
/// two items, [`Undefined::NoVariation`] when all grades are equal, [`Undefined::BelowChance`] when
/// the estimated total variance is not positive.
pub fn icc(rows: &[Vec<f64>], level: f64) -> Result<Icc, Undefined> {
    let raters = rows.first().map_or(0, Vec::len);
    if rows.len() < 2 {
        return Err(Undefined::NotComplete);
    }
    if raters < 2 {
        return Err(Undefined::OneRater);
    }
    let mut grades = rows.iter().flatten();
    let first = grades.next();
    // Exactly: rounding can give equal numbers a variance.
    if grades.all(|grade| Some(grade) == first) {
        return Err(Undefined::NoVariation);
    }
    let (n, k) = (rows.len() as f64, raters as f64);
    let grand = rows.iter().flatten().sum::<f64>() / (n * k);
    let row_means: Vec<f64> = rows.iter().map(|row| row.iter().sum::<f64>() / k).collect();
    let column_means: Vec<f64> =
        (0..raters).map(|rater| rows.iter().map(|row| row[rater]).sum::<f64>() / n).collect();
    let squares = |means: &[f64]| means.iter().map(|mean| (mean - grand).powi(2)).sum::<f64>();
    let between_items = k * squares(&row_means) / (n - 1.0);
    let between_raters = n * squares(&column_means) / (k - 1.0);
    let mut rest = 0.0;
    for (row, row_mean) in rows.iter().zip(&row_means) {
        for (value, column_mean) in row.iter().zip(&column_means) {
            rest += (value - row_mean - column_mean + grand).powi(2);
        }
    }
    let error = rest / ((n - 1.0) * (k - 1.0));
    let single_by = between_items + (k - 1.0) * error + k * (between_raters - error) / n;
    // Zero but for rounding is zero.
    let tiny = 1e-12 * (between_items + between_raters + error);
    if single_by <= tiny {
        return Err(Undefined::BelowChance);
    }
    let single = (between_items - error) / single_by;
    let interval = interval(n, k, [between_items, between_raters, error], single, level);
    let stepped = |value: f64| {
        let by = 1.0 + (k - 1.0) * value;
        (by > 0.0).then_some(k * value / by)
    };
    let average_by = between_items + (between_raters - error) / n;
    let average = if average_by > tiny {
        let ends = interval.and_then(|(low, high)| Some((stepped(low)?, stepped(high)?)));
        Ok(((between_items - error) / average_by, ends))
    } else {
        Err(Undefined::BelowChance)
    };
    Ok(Icc { single: (single, interval), average })
}

/// Ends of the interval of ICC(2,1) from the mean squares of items, raters and rest.
fn interval(
    n: f64,
    k: f64,
    [items, raters, error]: [f64; 3],
    single: f64,
    level: f64,
) -> Option<(f64, f64)> {
    // Without any difference between raters F is infinite and its freedom undefined.
    if error <= 1e-12 * items || single >= 1.0 {
        return None;
    }
    let a = k * single / (n * (1.0 - single));
    let b = 1.0 + k * single * (n - 1.0) / (n * (1.0 - single));
    let (raters_part, error_part) = (a * raters, b * error);
    let freedom = (raters_part + error_part).powi(2)
        / (raters_part.powi(2) / (k - 1.0) + error_part.powi(2) / ((n - 1.0) * (k - 1.0)));
    let at = 1.0 - (1.0 - level) / 2.0;
    let (below, above) = (f_quantile(at, n - 1.0, freedom)?, f_quantile(at, freedom, n - 1.0)?);
    let rest = k * raters + (k * n - k - n) * error;
    let low = n * (items - below * error) / (below * rest + n * items);
    let high = n * (above * items - error) / (rest + n * above * items);
    (low.is_finite() && high.is_finite()).then_some((low, high))
}

/// Quantile of the F distribution, by halving: its distribution function is monotone, and the
/// library's direct inverse loses digits for fractional degrees of freedom.
pub(crate) fn f_quantile(at: f64, first: f64, second: f64) -> Option<f64> {
    let f = FisherSnedecor::new(first, second).ok()?;
    let (mut low, mut high) = (0.0, 1.0);
    while f.cdf(high) < at {
        (low, high) = (high, high * 2.0);
        if high > 1e300 {
            return None;
        }
    }
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            break;
        }
        if f.cdf(middle) < at { low = middle } else { high = middle }
    }
    Some(f64::midpoint(low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_f_are_those_of_scipy() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/fixtures/agreement.json")).unwrap();
        let cases = golden["f_quantiles"].as_array().unwrap();
        assert!(cases.len() > 20);
        for case in cases {
            let number = |name: &str| case[name].as_f64().unwrap();
            let found = f_quantile(number("at"), number("first"), number("second")).unwrap();
            assert!((found / number("f") - 1.0).abs() < 1e-8, "{case}: {found}");
        }
    }
}
