//! Agreement from grade lines: what is computed, from which items, and what the page shows.

mod common;

use std::collections::BTreeMap;
use std::fs;

use common::line;
use pefomed_eval::agreement::{
    Between, Undefined, Weighting, cohen, correlations, krippendorff, limits_of_agreement,
};
use pefomed_eval::agreement::{Distance, LikertRange};
use pefomed_eval::report::{render, render_agreement};
use pefomed_eval::{
    AgreeOptions, Agreement, BootstrapOptions, EvalError, Grade, GraderKind, Scale, agree,
};
use proptest::prelude::*;
use serde_json::Value;

fn options() -> AgreeOptions {
    AgreeOptions {
        bootstrap: BootstrapOptions { resamples: 200, ..Default::default() },
        permutations: 999,
        ..Default::default()
    }
}

fn grade(
    system: &str,
    id: &str,
    grader: &str,
    kind: GraderKind,
    scale: Scale,
    value: f64,
) -> Grade {
    Grade {
        system: system.to_owned(),
        id: id.to_owned(),
        group: format!("image {}", id.split('-').next().unwrap()),
        grader: grader.to_owned(),
        kind,
        scale,
        repeat: 0,
        value: Some(value),
    }
}

fn run(grades: &[Grade]) -> Agreement {
    agree(grades, &BTreeMap::new(), &options(), &|_, _| ()).unwrap()
}

/// A small generator of whole numbers; the tests need no better one.
fn numbers(mut state: u64) -> impl FnMut(u64) -> u64 {
    move |below| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    }
}

/// Two systems, twenty images with two texts each; two metrics, a judge asked three times, three
/// raters and a stand-in.
fn study() -> Vec<Grade> {
    let mut draw = numbers(7);
    let mut grades = Vec::new();
    for system in ["alpha", "beta"] {
        for image in 0..20 {
            for text in 0..2 {
                let id = format!("{image}-{text}");
                let better = u64::from(system == "beta" && image % 3 == 0);
                let quality = (draw(5) + better).min(4);
                let near = |quality: u64, off: u64| match off {
                    0 => quality.saturating_sub(1) as f64,
                    1 => (quality + 1).min(4) as f64,
                    _ => quality as f64,
                };
                let likert = Scale::Likert;
                for rater in ["Dr A", "Dr B", "Dr C"] {
                    let value = near(quality, draw(6));
                    let mut one = grade(system, &id, rater, GraderKind::Human, likert, value);
                    one.group = String::new();
                    match draw(12) {
                        0 => {}
                        1 => grades.push(Grade { value: None, ..one }),
                        _ => grades.push(one),
                    }
                }
                for repeat in 0..3 {
                    let value = near(quality, draw(8));
                    let one = grade(system, &id, "judge", GraderKind::Judge, likert, value);
                    grades.push(Grade { repeat, ..one });
                }
                let value = near(quality, 2);
                grades.push(grade(system, &id, "stand-in", GraderKind::Synthetic, likert, value));
                let metric = GraderKind::Metric;
                let overlap = (quality as f64 + draw(3) as f64) / 6.0;
                grades.push(grade(system, &id, "overlap", metric, Scale::Score, overlap));
                let flat = grade(system, &id, "flat", metric, Scale::Score, 1.0);
                grades.push(flat);
            }
        }
    }
    grades
}

/// Two JSON values but for the last digit of numbers, which reading may change.
fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= 1e-12 * a.abs()
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && alike(a.1, b.1))
        }
        (a, b) => a == b,
    }
}

fn same(a: &Agreement, b: &Agreement) -> bool {
    alike(&serde_json::to_value(a).unwrap(), &serde_json::to_value(b).unwrap())
}

fn value(grades: &[Grade], system: &str, id: &str, grader: &str) -> Option<f64> {
    grades
        .iter()
        .find(|g| (g.system.as_str(), g.id.as_str(), g.grader.as_str()) == (system, id, grader))
        .and_then(|grade| grade.value)
}

fn items() -> impl Iterator<Item = (&'static str, String)> {
    ["alpha", "beta"].into_iter().flat_map(|system| {
        (0..20).flat_map(move |i| (0..2).map(move |text| (system, format!("{i}-{text}"))))
    })
}

#[test]
fn the_weighted_average_is_that_of_its_counts() {
    let grades = study();
    let agreement = run(&grades);
    assert_eq!((agreement.items, agreement.groups), (80, 20));
    assert_eq!(agreement.systems, ["alpha", "beta"]);
    let one = agreement
        .distributions
        .iter()
        .find(|one| (one.system.as_str(), one.grader.as_str()) == ("beta", "Dr B"))
        .unwrap();
    let levels: Vec<f64> = one.counts.iter().map(|level| level.level).collect();
    assert_eq!(levels, [0.0, 1.0, 2.0, 3.0, 4.0]);
    let n: usize = one.counts.iter().map(|level| level.count).sum();
    let sum: f64 = one.counts.iter().map(|level| level.level * level.count as f64).sum();
    let average = one.average.defined().unwrap();
    assert_eq!(average.n, n);
    assert!((average.value - sum / n as f64).abs() < 1e-12);
    assert!(average.low.unwrap() < average.value && average.value < average.high.unwrap());
    let looked = grades.iter().filter(|g| g.system == "beta" && g.grader == "Dr B").count();
    assert_eq!(n + one.not_judged, looked);
    assert!(one.not_judged > 0);
}

#[test]
fn raters_are_compared_on_what_they_graded() {
    let grades = study();
    let agreement = run(&grades);
    let panel = &agreement.panels[0];
    assert_eq!(
        (panel.kind, &panel.raters[..]),
        (GraderKind::Human, &["Dr A", "Dr B", "Dr C"].map(str::to_owned)[..])
    );
    let rows: Vec<Vec<Option<f64>>> = items()
        .map(|(system, id)| {
            ["Dr A", "Dr B", "Dr C"].map(|rater| value(&grades, system, &id, rater)).to_vec()
        })
        .collect();
    let alpha = panel.alpha_ordinal.defined().unwrap();
    assert!((alpha.value - krippendorff(&rows, Distance::Ordinal).unwrap()).abs() < 1e-12);
    assert!(alpha.low.unwrap() < alpha.value && alpha.value < alpha.high.unwrap());
    let complete = rows.iter().filter(|row| row.iter().all(Option::is_some)).count();
    let graded = rows.iter().filter(|row| row.iter().any(Option::is_some)).count();
    assert_eq!(panel.icc_single.defined().unwrap().n, complete);
    assert_eq!(panel.icc_left_out, graded - complete);
    assert_eq!((panel.fleiss_grades, panel.fleiss.defined().unwrap().n), (3, complete));
    let pair = panel.pairs.iter().find(|pair| pair.a == "Dr A" && pair.b == "Dr C").unwrap();
    let both: Vec<(f64, f64)> = rows.iter().filter_map(|row| Some((row[0]?, row[2]?))).collect();
    let kappa = pair.kappa_quadratic.defined().unwrap();
    assert_eq!(kappa.n, both.len());
    assert!((kappa.value - cohen(&both, Weighting::Quadratic).unwrap()).abs() < 1e-12);
}

/// The stand-in copies the hidden quality: were it among people, they would agree better.
#[test]
fn stand_ins_are_in_no_number_about_people() {
    let grades = study();
    let with = run(&grades);
    let without: Vec<Grade> =
        grades.iter().filter(|g| g.kind != GraderKind::Synthetic).cloned().collect();
    let without = run(&without);
    let people = |agreement: &Agreement| {
        agreement.panels.iter().find(|panel| panel.kind == GraderKind::Human).cloned().unwrap()
    };
    assert_eq!(people(&with), people(&without));
    let judge = |agreement: &Agreement| {
        let to_people = agreement
            .relations
            .iter()
            .find(|r| (r.a.name.as_str(), r.b.kind) == ("judge", GraderKind::Human));
        to_people.cloned().unwrap()
    };
    assert_eq!(judge(&with), judge(&without));
    assert_eq!(with.panels[1].alpha_nominal.undefined(), Some(Undefined::OneRater));
    let html = render_agreement(&with, &[]);
    let (before, after) = html.split_once("Synthetic (not people)</h2>").unwrap();
    let body = before.split_once("<main>").unwrap().1;
    assert!(!body.contains("stand-in<") && after.contains("stand-in"));
    assert!(after.contains("These graders are stand-ins, not people."));
    // One who is said to be both is refused.
    let mut both = grades;
    both.push(grade("alpha", "0-0", "Dr A", GraderKind::Synthetic, Scale::Correct, 1.0));
    let error = agree(&both, &BTreeMap::new(), &options(), &|_, _| ()).unwrap_err();
    assert!(matches!(error, EvalError::TwoKinds { .. }), "{error}");
}

#[test]
fn a_judge_is_held_against_the_mean_and_against_each_rater() {
    let grades = study();
    let agreement = run(&grades);
    let relation = agreement
        .relations
        .iter()
        .find(|r| (r.a.name.as_str(), r.b.kind) == ("judge", GraderKind::Human))
        .unwrap();
    let (mut pairs, mut to_each, mut between) = (Vec::new(), Vec::new(), Vec::new());
    let mut no_consensus = 0;
    for (system, id) in items() {
        let given: Vec<f64> = ["Dr A", "Dr B", "Dr C"]
            .iter()
            .filter_map(|r| value(&grades, system, &id, r))
            .collect();
        let judge = value(&grades, system, &id, "judge").unwrap();
        if given.is_empty() {
            continue;
        }
        pairs.push((judge, given.iter().sum::<f64>() / given.len() as f64));
        to_each.extend(given.iter().map(|grade| (judge - grade).abs()));
        for (index, a) in given.iter().enumerate() {
            between.extend(given[index + 1..].iter().map(|b| (a - b).abs()));
        }
        no_consensus += usize::from(given.len() == 2 && (given[0] + given[1]) % 2.0 == 1.0);
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let found = [&relation.pooled.kendall, &relation.pooled.spearman, &relation.pooled.pearson];
    for (found, expected) in found.into_iter().zip(correlations(&pairs)) {
        let found = found.defined().unwrap();
        assert_eq!(found.n, pairs.len());
        assert!((found.value - expected.unwrap()).abs() < 1e-12);
        assert!(found.low.unwrap() < found.value && found.value < found.high.unwrap());
    }
    assert_eq!(relation.within.len(), 2);
    assert_eq!(relation.of_systems.kendall.undefined(), Some(Undefined::TooFewSystems));
    let same = relation.same_scale.as_ref().unwrap();
    let near = |measure: &pefomed_eval::agreement::Measure, expected: f64| {
        assert!((measure.value().unwrap() - expected).abs() < 1e-12, "{measure:?} {expected}");
    };
    near(&same.mean_difference, mean(&to_each));
    near(&same.between_raters, mean(&between));
    assert_eq!(same.no_consensus, no_consensus);
    let [bias, low, high] = limits_of_agreement(&pairs).unwrap();
    near(&same.bland_altman.bias, bias);
    near(&same.bland_altman.lower, low);
    near(&same.bland_altman.upper, high);
    let points: usize = same.bland_altman.points.iter().map(|point| point.count).sum();
    assert_eq!(points, pairs.len());
    // A metric that never varies says so, and nobody makes a number up.
    let flat = agreement.relations.iter().find(|r| r.a.name == "flat").unwrap();
    assert_eq!(flat.pooled.kendall.undefined(), Some(Undefined::NoVariation));
    let json = serde_json::to_string(&agreement).unwrap();
    assert!(json.contains("\"why\":\"the grades do not vary\"") && !json.contains("NaN"));
}

#[test]
fn a_judge_that_changes_its_mind_is_caught() {
    let mut grades = Vec::new();
    for (image, values) in
        [[1.0, 1.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]].into_iter().enumerate()
    {
        for (repeat, value) in values.into_iter().enumerate() {
            let id = format!("{image}-0");
            let one = grade("s", &id, "judge", GraderKind::Judge, Scale::Correct, value);
            grades.push(Grade { repeat: repeat as u32, ..one });
        }
    }
    let agreement = run(&grades);
    let one = &agreement.stability[0];
    assert_eq!((one.items, one.averages.len()), (4, 3));
    let averages: Vec<f64> = one.averages.iter().map(|repeat| repeat.average).collect();
    assert_eq!(averages, [0.25, 0.5, 0.5]);
    assert_eq!(one.changed.value(), Some(0.5));
    // Two flips of two, one of two, none, none.
    assert_eq!(one.flips.value(), Some((1.0 + 0.5) / 4.0));
    // Variances 1/3 of two items, 0 of two.
    assert!((one.spread_within_items.value().unwrap() - (1.0_f64 / 6.0).sqrt()).abs() < 1e-12);
    let changed: Vec<&str> = one.most_changed.iter().map(|item| item.id.as_str()).collect();
    assert_eq!(changed, ["1-0", "2-0"]);
    // The first asking is what counts elsewhere.
    assert_eq!(agreement.distributions[0].average.value(), Some(0.25));
}

#[test]
fn systems_differ_by_pairs_and_groups() {
    let mut grades = Vec::new();
    for image in 0..12 {
        for text in 0..3 {
            let id = format!("{image}-{text}");
            let kind = GraderKind::Human;
            grades.push(grade("a", &id, "Dr A", kind, Scale::Likert, f64::from(text)));
            grades.push(grade("b", &id, "Dr A", kind, Scale::Likert, f64::from(text + 1)));
        }
    }
    let agreement = run(&grades);
    let [one] = &agreement.differences[..] else { panic!("{:?}", agreement.differences) };
    assert_eq!((one.a.as_str(), one.b.as_str(), one.n, one.groups), ("a", "b", 36, 12));
    let difference = &one.difference;
    assert_eq!((difference.a, difference.b, difference.difference.value), (1.0, 2.0, 1.0));
    // Only all-plus and all-minus of 2^12 are as extreme; with 999 swaps and the observed one.
    assert!(difference.p_value <= 0.005, "{}", difference.p_value);
}

#[test]
fn the_widest_gaps_come_first_with_their_texts() {
    let mut grades = Vec::new();
    for image in 0..10 {
        let id = format!("{image}-0");
        let rank = f64::from(image);
        // The metric and the rater rank alike, but for item 9, which the rater puts last.
        let human = if image == 9 { 0.0 } else { (rank / 2.0).floor() };
        grades.push(grade("s", &id, "overlap", GraderKind::Metric, Scale::Score, rank));
        grades.push(grade("s", &id, "Dr A", GraderKind::Human, Scale::Likert, human.min(4.0)));
    }
    let predictions = BTreeMap::from([(
        "s".to_owned(),
        (0..9)
            .map(|i| format!("{i}-0"))
            .chain(["9-0".to_owned()])
            .map(|id| {
                let group = format!("image {}", id.split('-').next().unwrap());
                line(&id, &group, "<script>alert(1)</script>", "no & yes", &[])
            })
            .collect::<Vec<_>>(),
    )]);
    let agreement = agree(&grades, &predictions, &options(), &|_, _| ()).unwrap();
    let first = &agreement.disagreements[0];
    assert_eq!((first.between, first.id.as_str()), (Between::MetricsAndPeople, "9-0"));
    // Nine of ten below it, and half of itself; level with items 0 and 1 at the bottom.
    assert_eq!((first.first, first.second), (0.95, 0.15));
    assert_eq!(first.text.as_ref().unwrap().question, "Question 9-0?");
    let html = render_agreement(&agreement, &[]);
    assert!(html.contains("&lt;script&gt;alert(1)") && !html.contains("<script"));
    assert!(html.contains("metrics 95, people 15"));
    let unknown = BTreeMap::from([("t".to_owned(), Vec::new())]);
    let error = agree(&grades, &unknown, &options(), &|_, _| ()).unwrap_err().to_string();
    assert!(error.contains("`t`") && error.contains("graded are `s`"), "{error}");
}

#[test]
fn a_runs_report_shows_its_agreement() {
    let folder = tempfile::tempdir().unwrap();
    let agreement = run(&study());
    agreement.write(&folder.path().join(Agreement::FILE)).unwrap();
    assert!(same(&Agreement::read(&folder.path().join(Agreement::FILE)).unwrap(), &agreement));
    let html = render(folder.path()).unwrap();
    for text in ["Agreement of metrics, judges and raters", "Krippendorff’s α, ordinal", "Dr B"]
    {
        assert!(html.contains(text), "{text}");
    }
    fs::write(folder.path().join(Agreement::FILE), "{\"format\": 2}").unwrap();
    assert!(matches!(render(folder.path()).unwrap_err(), EvalError::NewerFormat { .. }));
}

#[test]
fn the_page_is_whole_and_stays_at_home() {
    let mut grades = study();
    let hostile = "<img src=http://example.org/x onerror=y>";
    for one in &mut grades {
        if one.grader == "Dr C" {
            one.grader = hostile.to_owned();
        }
    }
    let options = AgreeOptions { likert: LikertRange::OneToFive, ..options() };
    let agreement = agree(&grades, &BTreeMap::new(), &options, &|_, _| ()).unwrap();
    let html = render_agreement(&agreement, &[]);
    for text in [
        "What each grader gave",
        "People among themselves",
        "Judge against people",
        "Metrics against people",
        "Metrics against judges",
        "All correlations",
        "Asked again",
        "Systems compared",
        "Where graders part ways",
        "Methods and limits",
        "Likert 1–5",
        "undefined: the grades do not vary",
        "undefined: there are fewer than three systems",
        "Bland–Altman",
        "not a medical device",
    ] {
        assert!(html.contains(text), "`{text}` is missing");
    }
    for outside in ["http:", "https:", "<script", "<link", "@import", "url(", "NaN", "inf,"] {
        let found = html.replace("src=http:", "").replace("&lt;img src=", "").contains(outside);
        assert!(!found, "`{outside}`");
    }
    assert!(!html.contains("<img src=http"));
    assert_eq!(html.matches("<svg").count(), html.matches("</svg>").count());
}

#[test]
fn contradictions_are_named() {
    let one = |group: &str| {
        let mut one = grade("s", "1-0", "Dr A", GraderKind::Human, Scale::Likert, 1.0);
        one.group = group.to_owned();
        one
    };
    let other = Grade { system: "t".to_owned(), ..one("q") };
    let error = |grades: &[Grade]| {
        agree(grades, &BTreeMap::new(), &options(), &|_, _| ()).unwrap_err().to_string()
    };
    assert!(error(&[one("p"), other]).contains("belongs to `p` on one line and to `q`"));
    assert!(error(&[one("p"), one("p")]).contains("`Dr A` grades `1-0` of `s` twice"));
    assert!(error(&[]).contains("no grades"));
    let swaps = AgreeOptions { permutations: 0, ..options() };
    assert!(agree(&[one("p")], &BTreeMap::new(), &swaps, &|_, _| ()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..Default::default() })]

    /// Whatever the order of lines, the file has the same bytes.
    #[test]
    fn the_order_of_lines_changes_nothing(seed in 0_u64..1000) {
        let grades: Vec<Grade> =
            study().into_iter().filter(|g| g.id.starts_with('1')).collect();
        let mut draw = numbers(seed);
        let mut shuffled = grades.clone();
        for index in (1..shuffled.len()).rev() {
            shuffled.swap(index, draw(index as u64 + 1) as usize);
        }
        let fast = AgreeOptions {
            bootstrap: BootstrapOptions { resamples: 20, ..Default::default() },
            permutations: 20,
            ..Default::default()
        };
        let of = |grades: &[Grade]| {
            let agreement = agree(grades, &BTreeMap::new(), &fast, &|_, _| ()).unwrap();
            serde_json::to_string(&agreement).unwrap()
        };
        prop_assert_eq!(of(&grades), of(&shuffled));
    }

    /// Any grades at all give a file that can be read back, and a page.
    #[test]
    fn nothing_breaks_it(
        lines in prop::collection::vec((0_u8..3, 0_u8..6, 0_u8..5, 0_u8..3, 0_u8..6), 1..60)
    ) {
        let mut seen = std::collections::BTreeSet::new();
        let grades: Vec<Grade> = lines
            .into_iter()
            .filter(|(system, id, grader, repeat, _)| seen.insert((*system, *id, *grader, *repeat)))
            .map(|(system, id, grader, repeat, value)| {
                let (kind, scale) = [
                    (GraderKind::Human, Scale::Likert),
                    (GraderKind::Human, Scale::Likert),
                    (GraderKind::Judge, Scale::Likert),
                    (GraderKind::Metric, Scale::Score),
                    (GraderKind::Synthetic, Scale::Correct),
                ][usize::from(grader)];
                let value = (value < 5).then(|| f64::from(value));
                let value = value.filter(|value| scale.holds(*value));
                let (name, item) = (format!("g{grader}"), format!("{id}-0"));
                let one = grade(&format!("s{system}"), &item, &name, kind, scale, 0.0);
                Grade { repeat: u32::from(repeat), value, ..one }
            })
            .collect();
        let fast = AgreeOptions {
            bootstrap: BootstrapOptions { resamples: 10, ..Default::default() },
            permutations: 10,
            ..Default::default()
        };
        let agreement = agree(&grades, &BTreeMap::new(), &fast, &|_, _| ()).unwrap();
        let json = serde_json::to_string(&agreement).unwrap();
        prop_assert!(same(&serde_json::from_str(&json).unwrap(), &agreement));
        let html = render_agreement(&agreement, &[]);
        prop_assert!(!html.contains("NaN"));
    }
}
