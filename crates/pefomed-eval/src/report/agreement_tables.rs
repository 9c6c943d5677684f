//! What graders gave, how far raters agree, how steady a grader is, and how systems differ.

use std::fmt::Write as _;

use pefomed_data::readable::thousands;

use super::agreement_charts::{
    Stack, dot, dot_axis, heat_map, levels_legend, of_estimate, stacked,
};
use super::html::{Page, escape, escape_short, head, row};
use crate::agreement::words::{Shown, share, statistic};
use crate::agreement::{
    Agreement, Distribution, Measure, Panel, RaterPair, Stability, SystemDifference,
};
use crate::grade::{GraderKind, Scale};
use crate::number::p_value;

/// A statistic, or a dash with the reason under it.
pub(super) fn cell(measure: &Measure, write: impl Fn(&Measure) -> String) -> String {
    match measure {
        Measure::Defined(_) => write(measure),
        Measure::Undefined { why, .. } => {
            format!("<span class=\"undefined\">undefined: {}</span>", escape(why))
        }
    }
}

/// Bars for scales with levels, and the averages of all.
pub(super) fn given(page: &mut Page, agreement: &Agreement, wanted: impl Fn(GraderKind) -> bool) {
    let of: Vec<&Distribution> =
        agreement.distributions.iter().filter(|one| wanted(one.kind)).collect();
    for (scale, names) in [
        (Scale::Likert, &["0 hardly consistent", "1", "2", "3", "4 minimal discrepancy"][..]),
        (Scale::Correct, &["wrong", "right"][..]),
    ] {
        let mut blocks = Vec::new();
        for system in &agreement.systems {
            let bars: Vec<Stack<'_>> = of
                .iter()
                .filter(|one| one.scale == scale && one.system == *system)
                .map(|one| Stack {
                    name: one.grader.clone(),
                    counts: &one.counts,
                    said: Shown::new(scale, agreement.options.likert).average(&one.average),
                })
                .collect();
            if !bars.is_empty() {
                blocks.push((system.clone(), bars));
            }
        }
        if blocks.is_empty() {
            continue;
        }
        let unit = Shown::new(scale, agreement.options.likert).unit();
        let chart = stacked("Shares of levels by system and grader", &blocks);
        page.figure(
            "bars",
            &format!("{chart}{}", levels_legend(names)),
            &format!(
                "How often each level was given, by system and grader; numbers in the bars are \
                 items. To the right the weighted average with its interval ({}).",
                escape(&unit)
            ),
        );
    }
    averages(page, agreement, &of);
}

fn averages(page: &mut Page, agreement: &Agreement, of: &[&Distribution]) {
    let mut body = String::new();
    let mut columns = vec![String::new(), "n".to_owned()];
    columns.extend(agreement.systems.iter().map(|system| escape_short(system, 40)));
    for grader in &agreement.graders {
        let found: Vec<&&Distribution> = of
            .iter()
            .filter(|one| {
                (&one.grader, one.kind, one.scale) == (&grader.name, grader.kind, grader.scale)
            })
            .collect();
        if found.is_empty() {
            continue;
        }
        let shown = Shown::new(grader.scale, agreement.options.likert);
        let mut cells = vec![thousands(grader.graded)];
        cells.extend(agreement.systems.iter().map(|system| {
            let one = found.iter().find(|one| one.system == *system);
            one.map_or("–".to_owned(), |one| cell(&one.average, |measure| shown.average(measure)))
        }));
        let heading =
            format!("{} <small>{}</small>", escape_short(&grader.name, 60), escape(&shown.unit()));
        body.push_str(&row(&heading, &cells));
    }
    let not_judged: usize = of.iter().map(|one| one.not_judged).sum();
    let mut caption = String::from("Averages by grader and system; n counts graded texts.");
    if not_judged > 0 {
        let _ = write!(
            caption,
            " {} times a grader looked and could not judge; these are in no average.",
            thousands(not_judged)
        );
    }
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    page.table("scores dense names", &caption, &head(&columns), &body);
}

/// Statistics of panels side by side, and κ of every two raters as a map.
pub(super) fn among(page: &mut Page, panels: &[&Panel], agreement: &Agreement) {
    type Line = (&'static str, fn(&Panel) -> &Measure, bool);
    let lines: [Line; 8] = [
        ("Krippendorff’s α, nominal", |p| &p.alpha_nominal, false),
        ("Krippendorff’s α, ordinal", |p| &p.alpha_ordinal, false),
        ("Krippendorff’s α, interval", |p| &p.alpha_interval, false),
        ("Fleiss’ κ", |p| &p.fleiss, false),
        ("ICC(2,1), one rater", |p| &p.icc_single, false),
        ("ICC(2,k), mean of all", |p| &p.icc_average, false),
        ("Equal pairs of grades, %", |p| &p.equal_pairs, true),
        ("Mean absolute difference", |p| &p.mean_difference, false),
    ];
    let mut columns = vec![String::new()];
    columns.extend(panels.iter().map(|panel| escape(&scale_name(panel.scale, agreement))));
    let count = |of: fn(&Panel) -> usize| -> Vec<String> {
        panels.iter().map(|panel| thousands(of(panel))).collect()
    };
    let mut body = row("Raters", &count(|panel| panel.raters.len()));
    body.push_str(&row("Items graded", &count(|panel| panel.items)));
    body.push_str(&row("Items graded twice or more", &count(|panel| panel.items_with_two)));
    for (name, of, per_cent) in lines {
        let cells: Vec<String> = panels
            .iter()
            .map(|panel| {
                let shown = Shown::new(panel.scale, agreement.options.likert);
                cell(of(panel), |measure| match name {
                    _ if per_cent => share(measure),
                    "Mean absolute difference" => shown.size(measure),
                    _ => statistic(measure),
                })
            })
            .collect();
        body.push_str(&row(name, &cells));
    }
    let mut caption = String::from("Agreement of raters, over the texts of all systems.");
    for panel in panels {
        let name = scale_name(panel.scale, agreement);
        if panel.fleiss_left_out > 0 {
            let _ = write!(
                caption,
                " Fleiss’ κ ({name}) is about items with {} grades; {} with another number are left \
                 out.",
                panel.fleiss_grades,
                thousands(panel.fleiss_left_out)
            );
        }
        if panel.icc_left_out > 0 {
            let _ = write!(
                caption,
                " ICC ({name}) is about items that every rater graded; {} are left out.",
                thousands(panel.icc_left_out)
            );
        }
    }
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    page.table("scores", &caption, &head(&columns), &body);
    for panel in panels.iter().filter(|panel| panel.raters.len() > 2) {
        let (name, of): (_, fn(&RaterPair) -> &Measure) = match panel.scale {
            Scale::Correct => ("Cohen’s κ", |pair| &pair.kappa),
            Scale::Likert | Scale::Errors => {
                ("Cohen’s κ with quadratic weights", |pair| &pair.kappa_quadratic)
            }
            Scale::Score => continue,
        };
        let pair = |a: usize, b: usize| {
            let (a, b) = (&panel.raters[a], &panel.raters[b]);
            panel.pairs.iter().find(|pair| (&pair.a, &pair.b) == (a, b)).and_then(|p| of(p).value())
        };
        page.figure(
            "map",
            &heat_map(&format!("{name} of every two raters"), &panel.raters, pair),
            &format!(
                "{name} of every two raters, {}; a dash is undefined.",
                escape(&scale_name(panel.scale, agreement))
            ),
        );
    }
}

/// Graders that were asked several times.
pub(super) fn stability(page: &mut Page, found: &[&Stability], agreement: &Agreement) {
    let mut body = String::new();
    for one in found {
        let shown = Shown::new(one.scale, agreement.options.likert);
        let averages: Vec<f64> = one.averages.iter().map(|repeat| repeat.average).collect();
        let low = averages.iter().copied().fold(f64::INFINITY, f64::min);
        let high = averages.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let heading =
            format!("{} <small>{}</small>", escape_short(&one.grader, 60), escape(&shown.unit()));
        body.push_str(&row(
            &heading,
            &[
                format!("{} × {}", thousands(one.items), averages.len()),
                format!("{} to {}", shown.plain(low), shown.plain(high)),
                cell(&one.spread_of_averages, |measure| shown.size(measure)),
                cell(&one.spread_within_items, |measure| shown.size(measure)),
                cell(&one.changed, share),
                cell(&one.flips, share),
                cell(&one.alpha, statistic),
            ],
        ));
    }
    page.table(
        "scores dense",
        "A grader asked several times about the same texts. Averages: lowest and highest of the \
         repeats, and their standard deviation. Within items: standard deviation of a grade over \
         repeats. Changed: items whose grades are not all equal. Flips: repeats that differ from \
         the one before. α: of the repeats, as if they were raters.",
        &head(&[
            "",
            "Items × repeats",
            "Averages",
            "SD",
            "SD within items",
            "Changed, %",
            "Flips, %",
            "α",
        ]),
        &body,
    );
    for one in found.iter().filter(|one| !one.most_changed.is_empty()) {
        let shown = Shown::new(one.scale, agreement.options.likert);
        let items: Vec<String> = one
            .most_changed
            .iter()
            .map(|item| {
                let values: Vec<String> =
                    item.values.iter().map(|value| shown.grade(*value)).collect();
                format!("<code>{}</code> ({})", escape_short(&item.id, 40), values.join(", "))
            })
            .collect();
        page.paragraph(&format!(
            "{} changes most on {}.",
            escape_short(&one.grader, 60),
            items.join("; ")
        ));
    }
}

/// Two systems before every grader, by pairs of systems.
pub(super) fn differences(
    page: &mut Page,
    agreement: &Agreement,
    wanted: impl Fn(GraderKind) -> bool,
) {
    let mut body = String::new();
    let found: Vec<_> =
        agreement.differences.iter().filter(|one| wanted(one.grader.kind)).collect();
    for block in found.chunk_by(|a, b| (&a.a, &a.b) == (&b.a, &b.b)) {
        let _ = write!(
            body,
            "<tr class=\"block\"><th scope=\"rowgroup\" colspan=\"6\">{} less {}</th><td>{}</td></tr>",
            escape_short(&block[0].b, 60),
            escape_short(&block[0].a, 60),
            dot(None, 1.0)
        );
        for one in block {
            let shown = Shown::new(one.grader.scale, agreement.options.likert);
            // A common axis for each scale; scores have one each.
            let reach = |other: &&SystemDifference| {
                let same = other.grader.scale == one.grader.scale
                    && (other.grader.scale != Scale::Score || other.grader == one.grader);
                let estimate = &other.difference.difference;
                let ends = [Some(estimate.value), estimate.low, estimate.high];
                let most = ends.into_iter().flatten().map(f64::abs).fold(0.0, f64::max);
                if same { most } else { 0.0 }
            };
            let most = found.iter().map(reach).fold(1e-9, f64::max);
            let (value, ends) = of_estimate(&one.difference.difference);
            let heading = format!(
                "{} <small>{}</small>",
                escape_short(&one.grader.to_string(), 60),
                escape(&shown.unit())
            );
            body.push_str(&row(
                &heading,
                &[
                    thousands(one.n),
                    shown.plain(one.difference.a),
                    shown.plain(one.difference.b),
                    shown.estimate(&one.difference.difference),
                    p_value(one.difference.p_value),
                    dot(Some((value, ends)), most),
                ],
            ));
        }
    }
    page.table(
        "forest names",
        &format!(
            "Two systems on the texts that a grader graded of both: their averages, the paired \
             difference with its interval, and its p-value from {} random swaps of the systems \
             within images or patients. The p-values are not corrected for their number. Each \
             scale, and each score, has its own axis.",
            thousands(agreement.options.permutations)
        ),
        &head(&[
            "",
            "n",
            "First",
            "Second",
            "Difference",
            "p",
            &dot_axis(["lower", "0", "higher"]),
        ]),
        &body,
    );
}

/// Every finding that a report has: how far two sources of labels agree, and what graders gave where
/// the finding is right and wrong. Stand-ins are named so in the heads of their columns.
pub(super) fn findings(page: &mut Page, agreement: &Agreement) {
    let Some(findings) = &agreement.findings else { return };
    for set in &findings.sets {
        let mut body = String::new();
        let rows = set.text_rows(
            agreement.options.likert,
            |_| true,
            |measure, write| cell(measure, write),
        );
        for (finding, cells) in rows {
            body.push_str(&row(&escape(finding.name()), &cells));
        }
        let columns: Vec<String> = set.columns(|_| true).iter().map(|it| escape(it)).collect();
        let mut heads = vec![""];
        heads.extend(columns.iter().map(String::as_str));
        page.table(
            "scores dense",
            &format!(
                "{}: reports in which both labels, or one alone, have a finding; share of reports \
                 with equal labels, Cohen’s κ, and agreement on presence (the finding’s F1) and \
                 absence. Labels by {}, uncertain ones counted as {}. Grades: means over the reports \
                 that have the finding in the text or the reference, where both have it (right) and \
                 where one alone has it (wrong).",
                escape(&set.title()),
                escape(&findings.labeller),
                findings.uncertain.name()
            ),
            &head(&heads),
            &body,
        );
    }
}

/// A scale with the range it is shown in.
pub(super) fn scale_name(scale: Scale, agreement: &Agreement) -> String {
    match scale {
        Scale::Correct => "right or wrong".to_owned(),
        _ => Shown::new(scale, agreement.options.likert).unit(),
    }
}
