//! Statistics of agreement against worked examples of their papers, against the packages that
//! people use, and against what must hold for any table.

use pefomed_eval::agreement::{
    Distance, Undefined, Weighting, cohen, correlations, fleiss, icc, krippendorff,
    limits_of_agreement,
};
use proptest::prelude::*;
use serde_json::Value;

fn some(rows: &[&[f64]]) -> Vec<Vec<Option<f64>>> {
    rows.iter().map(|row| row.iter().map(|value| Some(*value)).collect()).collect()
}

#[track_caller]
fn near(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() < tolerance, "{found} instead of {expected}");
}

/// Krippendorff 2011, "Computing Krippendorff's alpha-reliability", section D: four observers,
/// twelve units, missing values; nominal, ordinal and interval α as printed there.
#[test]
fn alpha_of_krippendorffs_example() {
    let observers = [
        "1 2 3 3 2 1 4 1 2 . . .",
        "1 2 3 3 2 2 4 1 2 5 . 3",
        ". 3 3 3 2 3 4 2 2 5 1 .",
        "1 2 3 3 2 4 4 1 2 5 1 .",
    ];
    let observers = observers.map(|row| row.split(' ').collect::<Vec<_>>());
    let rows: Vec<Vec<Option<f64>>> = (0..12)
        .map(|unit| observers.iter().map(|values| values[unit].parse().ok()).collect())
        .collect();
    near(krippendorff(&rows, Distance::Nominal).unwrap(), 0.743, 5e-4);
    near(krippendorff(&rows, Distance::Ordinal).unwrap(), 0.815, 5e-4);
    near(krippendorff(&rows, Distance::Interval).unwrap(), 0.849, 5e-4);
}

/// Fleiss 1971, "Measuring nominal scale agreement among many raters": thirty patients, six
/// psychiatrists each, five diagnoses, κ = 0.430 by rounded terms, 0.431 exactly. Digits are the diagnoses of a patient.
#[test]
fn kappa_of_fleiss_diagnoses() {
    let patients = "444444 222555 233335 555555 222444 113333 333355 113334 114444 555555 144444 \
        124444 222333 144444 224445 333335 111455 111112 224444 133555 555555 244444 222455 \
        114444 144445 222224 111155 224444 133333 555555";
    let rows: Vec<Vec<Option<f64>>> = patients
        .split_whitespace()
        .map(|patient| patient.chars().map(|d| d.to_digit(10).map(f64::from)).collect())
        .collect();
    let (kappa, grades, items) = fleiss(&rows).unwrap();
    near(kappa, 0.4305, 6e-4);
    assert_eq!((grades, items), (6, 30));
}

/// Shrout & Fleiss 1979, "Intraclass correlations", tables 2 and 4: six targets, four judges,
/// ICC(2,1) = .29, ICC(2,4) = .62; their 95 % limits as psych::ICC prints them for these data.
#[test]
fn intraclass_correlations_of_shrout_and_fleiss() {
    let rows = [
        [9.0, 2.0, 5.0, 8.0],
        [6.0, 1.0, 3.0, 2.0],
        [8.0, 4.0, 6.0, 8.0],
        [7.0, 1.0, 2.0, 6.0],
        [10.0, 5.0, 6.0, 9.0],
        [6.0, 2.0, 4.0, 7.0],
    ];
    let icc = icc(&rows.map(Vec::from), 0.95).unwrap();
    near(icc.single.0, 0.29, 5e-3);
    let (average, ends) = icc.average.unwrap();
    near(average, 0.62, 5e-3);
    let (low, high) = icc.single.1.unwrap();
    near(low, 0.02, 5e-3);
    near(high, 0.76, 5e-3);
    let (low, high) = ends.unwrap();
    near(low, 0.07, 5e-3);
    near(high, 0.93, 5e-3);
}

/// Pairs from a table of counts, rows the first rater.
fn crossed(table: &[&[usize]]) -> Vec<(f64, f64)> {
    let mut pairs = Vec::new();
    for (a, row) in table.iter().enumerate() {
        for (b, count) in row.iter().enumerate() {
            pairs.extend(std::iter::repeat_n((a as f64, b as f64), *count));
        }
    }
    pairs
}

/// Cohen 1968, "Weighted kappa", table 1: 200 patients, unweighted κ = .492. The table of a SAS
/// example: κ = 0.4842, with linear weights 0.4701. Anxiety ratings of the R package irr, raters 2
/// and 3: unweighted −0.0063, linear 0.1459, quadratic 0.2520.
#[test]
fn kappas_of_cohen_sas_and_irr() {
    let cohen_1968 = crossed(&[&[88, 14, 18], &[10, 40, 10], &[2, 6, 12]]);
    near(cohen(&cohen_1968, Weighting::Equal).unwrap(), 0.492, 5e-4);

    let sas = crossed(&[&[0, 4, 1], &[0, 8, 0], &[0, 1, 5]]);
    near(cohen(&sas, Weighting::Equal).unwrap(), 0.4842, 5e-5);
    near(cohen(&sas, Weighting::Linear).unwrap(), 0.4701, 5e-5);

    // The levels that occur are numbered there: nobody gave a 5, and 6 is the fifth.
    let second = [3, 5, 4, 5, 2, 4, 2, 4, 3, 3, 2, 3, 3, 3, 2, 2, 1, 3, 3, 4];
    let third = [2, 1, 4, 4, 3, 2, 1, 5, 1, 1, 1, 2, 3, 3, 1, 1, 3, 3, 2, 2];
    let pairs: Vec<(f64, f64)> =
        second.iter().zip(third).map(|(a, b)| (f64::from(*a), f64::from(b))).collect();
    near(cohen(&pairs, Weighting::Equal).unwrap(), -0.006_289_308, 1e-8);
    near(cohen(&pairs, Weighting::Linear).unwrap(), 0.145_907_5, 1e-7);
    near(cohen(&pairs, Weighting::Quadratic).unwrap(), 0.252_032_5, 1e-7);
}

/// Kendall 1945, "The treatment of ties in ranking problems": S = 33, τ-b = 33 / √(41 · 36).
#[test]
fn kendalls_example_with_ties() {
    let x = [1.0, 2.5, 2.5, 4.5, 4.5, 6.5, 6.5, 8.0, 9.5, 9.5];
    let y = [1.0, 2.0, 4.5, 4.5, 4.5, 4.5, 8.0, 8.0, 8.0, 10.0];
    let pairs: Vec<(f64, f64)> = x.into_iter().zip(y).collect();
    let [tau, rho, _] = correlations(&pairs);
    near(tau.unwrap(), 33.0 / (41.0_f64 * 36.0).sqrt(), 1e-12);
    // These are ranks already.
    near(rho.unwrap(), correlations(&pairs)[2].unwrap(), 1e-12);
}

/// Bland & Altman 1986 (Lancet i: 307), peak flow by two meters, 17 subjects: mean difference
/// −2.1 l/min, standard deviation 38.8.
#[test]
fn limits_of_bland_and_altmans_peak_flow() {
    let large =
        [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427];
    let mini =
        [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451];
    let pairs: Vec<(f64, f64)> =
        large.iter().zip(mini).map(|(a, b)| (f64::from(*a), f64::from(b))).collect();
    let [bias, low, high] = limits_of_agreement(&pairs).unwrap();
    near(bias, -2.1, 0.05);
    near((high - bias) / 1.96, 38.8, 0.05);
    near((bias - low) / 1.96, 38.8, 0.05);
}

fn golden() -> Value {
    serde_json::from_str(include_str!("fixtures/agreement.json")).unwrap()
}

fn numbers(values: &Value) -> Vec<f64> {
    values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

fn pairs_of(case: &Value) -> Vec<(f64, f64)> {
    numbers(&case["x"]).into_iter().zip(numbers(&case["y"])).collect()
}

#[test]
fn random_tables_as_the_packages_say() {
    let golden = golden();
    let tables = golden["tables"].as_array().unwrap();
    assert!(tables.len() > 5);
    for case in tables {
        let rows: Vec<Vec<Option<f64>>> = case["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row.as_array().unwrap().iter().map(Value::as_f64).collect())
            .collect();
        for (name, distance) in [
            ("nominal", Distance::Nominal),
            ("ordinal", Distance::Ordinal),
            ("interval", Distance::Interval),
        ] {
            let expected = case["alpha"][name].as_f64().unwrap();
            near(krippendorff(&rows, distance).unwrap(), expected, 1e-12);
        }
        let (kappa, grades, items) = fleiss(&rows).unwrap();
        near(kappa, case["fleiss"]["kappa"].as_f64().unwrap(), 1e-12);
        assert_eq!(case["fleiss"]["grades"], grades);
        assert_eq!(case["fleiss"]["items"], items);
        for two in case["cohen"].as_array().unwrap() {
            let index = |name: &str| two[name].as_u64().unwrap() as usize;
            let pairs: Vec<(f64, f64)> =
                rows.iter().filter_map(|row| Some((row[index("a")]?, row[index("b")]?))).collect();
            for (name, weighting) in [
                ("equal", Weighting::Equal),
                ("linear", Weighting::Linear),
                ("quadratic", Weighting::Quadratic),
            ] {
                let expected = two[name].as_f64().unwrap();
                near(cohen(&pairs, weighting).unwrap(), expected, 1e-12);
            }
        }
        let complete: Vec<Vec<f64>> =
            rows.iter().filter_map(|row| row.iter().copied().collect()).collect();
        assert_eq!(case["icc"]["items"], complete.len());
        let found = icc(&complete, 0.95).unwrap();
        for (name, (value, ends)) in [("single", found.single), ("average", found.average.unwrap())]
        {
            let expected = &case["icc"][name];
            near(value, expected["value"].as_f64().unwrap(), 1e-10);
            let ci = numbers(&expected["ci"]);
            let (low, high) = ends.unwrap();
            near(low, ci[0], 1e-7);
            near(high, ci[1], 1e-7);
        }
    }
}

#[test]
fn random_pairs_as_scipy_says() {
    let golden = golden();
    for case in golden["pairs"].as_array().unwrap() {
        let found = correlations(&pairs_of(case));
        for (name, value) in ["kendall", "spearman", "pearson"].into_iter().zip(found) {
            near(value.unwrap(), case[name].as_f64().unwrap(), 1e-12);
        }
    }
    let limits = &golden["limits"];
    let found = limits_of_agreement(&pairs_of(limits)).unwrap();
    for (name, value) in ["bias", "lower", "upper"].into_iter().zip(found) {
        near(value, limits[name].as_f64().unwrap(), 1e-9);
    }
}

#[test]
fn what_is_undefined_says_why() {
    let same = some(&[&[2.0, 2.0], &[2.0, 2.0]]);
    let alone: Vec<Vec<Option<f64>>> = vec![vec![Some(1.0), None], vec![None, Some(2.0)]];
    for distance in [Distance::Nominal, Distance::Ordinal, Distance::Interval] {
        assert_eq!(krippendorff(&same, distance), Err(Undefined::NoVariation));
        assert_eq!(krippendorff(&alone, distance), Err(Undefined::NoCommonItems));
        assert_eq!(krippendorff(&[], distance), Err(Undefined::NoCommonItems));
    }
    assert_eq!(fleiss(&same), Err(Undefined::NoVariation));
    assert_eq!(fleiss(&alone), Err(Undefined::NoCommonItems));
    for weighting in [Weighting::Equal, Weighting::Linear, Weighting::Quadratic] {
        assert_eq!(cohen(&[(1.0, 1.0), (1.0, 1.0)], weighting), Err(Undefined::NoVariation));
        assert_eq!(cohen(&[], weighting), Err(Undefined::NoCommonItems));
        // Two raters who never vary and always differ: no better than chance, and defined.
        assert_eq!(cohen(&[(1.0, 2.0), (1.0, 2.0)], weighting), Ok(0.0));
    }
    assert_eq!(icc(&[vec![1.0, 1.0], vec![1.0, 1.0]], 0.95), Err(Undefined::NoVariation));
    assert_eq!(icc(&[vec![1.0], vec![2.0]], 0.95), Err(Undefined::OneRater));
    assert_eq!(icc(&[vec![1.0, 2.0]], 0.95), Err(Undefined::NotComplete));
    let flat = [(1.0, 3.0), (2.0, 3.0), (3.0, 3.0)];
    assert_eq!(correlations(&flat), [Err(Undefined::NoVariation); 3]);
    assert_eq!(correlations(&flat[..2]), [Err(Undefined::TooFewItems); 3]);
    assert_eq!(limits_of_agreement(&[(1.0, 2.0)]), Err(Undefined::TooFewItems));
    // No difference between raters at all: agreement is 1, and F has no interval to give.
    let perfect = icc(&[vec![1.0, 1.0], vec![3.0, 3.0]], 0.95).unwrap();
    assert_eq!(perfect.single, (1.0, None));
    assert_eq!(perfect.average, Ok((1.0, None)));
    // Raters who contradict each other: mean squares 0, 8/3 and 32/3 by items, raters and rest.
    let against = icc(&[vec![0.0, 4.0], vec![4.0, 0.0], vec![0.0, 4.0]], 0.95).unwrap();
    near(against.single.0, -2.0, 1e-12);
    assert_eq!(against.average, Err(Undefined::BelowChance));
    let none = icc(&[vec![0.0, 4.0], vec![4.0, 0.0]], 0.95);
    assert_eq!(none, Err(Undefined::BelowChance));
    // 0.1 added up and divided is not 0.1; still nothing varies.
    assert_eq!(icc(&vec![vec![0.1; 3]; 7], 0.95), Err(Undefined::NoVariation));
}

#[test]
fn fleiss_takes_the_most_common_number_of_grades() {
    let rows = vec![
        vec![Some(1.0), Some(1.0), Some(1.0)],
        vec![Some(0.0), Some(1.0), None],
        vec![Some(0.0), None, Some(0.0)],
        vec![None, Some(1.0), Some(1.0)],
        vec![None, None, Some(1.0)],
    ];
    let (kappa, grades, items) = fleiss(&rows).unwrap();
    assert_eq!((grades, items), (2, 3));
    // Two of three items agree; shares are 1/2 each: (2/3 − 1/2) / (1 − 1/2).
    near(kappa, 1.0 / 3.0, 1e-12);
}

/// A table of Likert grades, some missing.
fn tables() -> impl Strategy<Value = Vec<Vec<Option<f64>>>> {
    (2_usize..5).prop_flat_map(|raters| {
        let grade = prop_oneof![1 => Just(None), 5 => (0_u8..5).prop_map(|g| Some(f64::from(g)))];
        prop::collection::vec(prop::collection::vec(grade, raters), 2..14)
    })
}

fn all(rows: &[Vec<Option<f64>>]) -> Vec<Result<f64, Undefined>> {
    let complete: Vec<Vec<f64>> =
        rows.iter().filter_map(|row| row.iter().copied().collect()).collect();
    let icc = icc(&complete, 0.95);
    vec![
        krippendorff(rows, Distance::Nominal),
        krippendorff(rows, Distance::Ordinal),
        krippendorff(rows, Distance::Interval),
        fleiss(rows).map(|fleiss| fleiss.0),
        icc.map(|icc| icc.single.0),
        icc.and_then(|icc| icc.average).map(|average| average.0),
    ]
}

fn alike(a: &[Result<f64, Undefined>], b: &[Result<f64, Undefined>]) -> bool {
    a.iter().zip(b).all(|(a, b)| match (a, b) {
        (Ok(a), Ok(b)) => (a - b).abs() < 1e-9 * (1.0 + a.abs()),
        (a, b) => a == b,
    })
}

proptest! {
    #[test]
    fn the_order_of_raters_and_items_changes_nothing(rows in tables(), turn in 0_usize..7) {
        let mut turned = rows.clone();
        let by = turn % turned.len();
        turned.rotate_left(by);
        for row in &mut turned {
            let by = turn % row.len();
            row.rotate_left(by);
        }
        prop_assert!(alike(&all(&rows), &all(&turned)), "{:?} {:?}", all(&rows), all(&turned));
    }

    #[test]
    fn nothing_is_above_one_or_not_a_number(rows in tables()) {
        for value in all(&rows).into_iter().flatten() {
            prop_assert!(value.is_finite() && value <= 1.0 + 1e-9, "{value}");
        }
    }

    #[test]
    fn raters_who_always_agree_have_one(
        grades in prop::collection::vec(0_u8..5, 2..20), raters in 2_usize..5,
    ) {
        let rows: Vec<Vec<Option<f64>>> =
            grades.iter().map(|grade| vec![Some(f64::from(*grade)); raters]).collect();
        let vary = grades.iter().any(|grade| *grade != grades[0]);
        for value in all(&rows) {
            if vary {
                prop_assert!((value.unwrap() - 1.0).abs() < 1e-12);
            } else {
                prop_assert_eq!(value, Err(Undefined::NoVariation));
            }
        }
    }

    /// A shift and a stretch of the scale change no statistic of numbers; any order-keeping change
    /// leaves the ordinal and nominal ones.
    #[test]
    fn scales_may_be_shifted_and_stretched(rows in tables()) {
        let change = |by: fn(f64) -> f64| -> Vec<Vec<Option<f64>>> {
            rows.iter().map(|row| row.iter().map(|value| value.map(by)).collect()).collect()
        };
        prop_assert!(alike(&all(&rows), &all(&change(|grade| 25.0 * grade + 7.0))));
        let bent = change(|grade| grade.powi(3));
        for distance in [Distance::Nominal, Distance::Ordinal] {
            let (a, b) = (krippendorff(&rows, distance), krippendorff(&bent, distance));
            prop_assert!(alike(&[a], &[b]));
        }
    }

    #[test]
    fn correlations_are_symmetric_odd_and_bounded(
        pairs in prop::collection::vec((0_i8..6, 0_i8..6), 3..40)
    ) {
        let pairs: Vec<(f64, f64)> =
            pairs.iter().map(|(x, y)| (f64::from(*x), f64::from(*y))).collect();
        let found = correlations(&pairs);
        let swapped: Vec<(f64, f64)> = pairs.iter().map(|(x, y)| (*y, *x)).collect();
        prop_assert!(alike(&found, &correlations(&swapped)));
        let turned: Vec<(f64, f64)> = pairs.iter().map(|(x, y)| (*x, -y)).collect();
        let turned = correlations(&turned).map(|value| value.map(|value| -value));
        prop_assert!(alike(&found, &turned));
        for value in found.into_iter().flatten() {
            prop_assert!(value.abs() <= 1.0 + 1e-12);
        }
    }

    #[test]
    fn quadratic_kappa_of_two_raters_is_nearly_the_intraclass_correlation(
        pairs in prop::collection::vec((0_i8..5, 0_i8..5), 3..30)
    ) {
        // Fleiss & Cohen 1973: they differ by terms of order 1/n. With sums of squares in place of
        // mean squares they are equal, which is what is checked.
        let pairs: Vec<(f64, f64)> =
            pairs.iter().map(|(x, y)| (f64::from(*x), f64::from(*y))).collect();
        let Ok(kappa) = cohen(&pairs, Weighting::Quadratic) else { return Ok(()) };
        let n = pairs.len() as f64;
        let (x, y) = pairs.iter().fold((0.0, 0.0), |sum, p| (sum.0 + p.0 / n, sum.1 + p.1 / n));
        let sum = |of: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>();
        let covariance = 2.0 * sum(&|p| (p.0 - x) * (p.1 - y));
        let both = sum(&|p| (p.0 - x).powi(2) + (p.1 - y).powi(2)) + n * (x - y).powi(2);
        prop_assert!((kappa - covariance / both).abs() < 1e-9);
    }
}
