//! Agreement as tables for the terminal; the page and the file have more.

use std::fmt::Write as _;

use pefomed_data::readable::thousands;
use pefomed_eval::agreement::words::{Shown, decimal, share, statistic};
use pefomed_eval::agreement::{Agreement, Measure, Panel, Relation};
use pefomed_eval::{GraderKind, Scale};

use crate::table::{row, table};

/// The whole as text.
pub(crate) fn text(agreement: &Agreement) -> String {
    let mut out = format!(
        "{} texts of {} about {} images or patients\n",
        thousands(agreement.items),
        agreement.systems.join(", "),
        thousands(agreement.groups)
    );
    if agreement.items_without_group > 0 {
        let _ = writeln!(
            out,
            "of {} the image or patient is not known: each stands for itself in the intervals",
            thousands(agreement.items_without_group)
        );
    }
    if agreement.items_without_prediction > 0 {
        let _ = writeln!(
            out,
            "of {} there is no prediction",
            thousands(agreement.items_without_prediction)
        );
    }
    part(&mut out, agreement, "", |kind| kind != GraderKind::Synthetic);
    findings(&mut out, agreement);
    if agreement.has(GraderKind::Synthetic) {
        let _ = writeln!(out, "\n== synthetic (not people): no number below says anything ==");
        part(&mut out, agreement, "synthetic graders ", |kind| kind == GraderKind::Synthetic);
    }
    let level = agreement.options.bootstrap.level * 100.0;
    let _ = writeln!(
        out,
        "\nBrackets: {level} % intervals from {} resamples of images or patients; those of ICC by \
         the F distribution. p: {} random swaps of two systems within images or patients, not \
         corrected for their number.",
        thousands(agreement.options.bootstrap.resamples),
        thousands(agreement.options.permutations)
    );
    out
}

fn part(
    out: &mut String,
    agreement: &Agreement,
    lead: &str,
    wanted: impl Fn(GraderKind) -> bool + Copy,
) {
    averages(out, agreement, wanted);
    for panel in agreement.panels.iter().filter(|panel| wanted(panel.kind)) {
        among(out, agreement, panel, lead);
    }
    relations(out, agreement, wanted);
    stability(out, agreement, wanted);
    differences(out, agreement, wanted);
}

fn averages(out: &mut String, agreement: &Agreement, wanted: impl Fn(GraderKind) -> bool) {
    let mut rows = vec![row(["average", "kind", "on", "n"])];
    rows[0].extend(agreement.systems.iter().cloned());
    for grader in agreement.graders.iter().filter(|grader| wanted(grader.kind)) {
        let shown = Shown::new(grader.scale, agreement.options.likert);
        let mut cells = row([
            grader.name.clone(),
            grader.kind.to_string(),
            shown.unit(),
            thousands(grader.graded),
        ]);
        cells.extend(agreement.systems.iter().map(|system| {
            let one = agreement.distributions.iter().find(|one| {
                (&one.system, &one.grader, one.scale) == (system, &grader.name, grader.scale)
            });
            one.map_or("–".to_owned(), |one| shown.average(&one.average))
        }));
        rows.push(cells);
    }
    let _ = write!(out, "\n{}", table(&rows));
}

fn among(out: &mut String, agreement: &Agreement, panel: &Panel, lead: &str) {
    let shown = Shown::new(panel.scale, agreement.options.likert);
    let who = match panel.kind {
        GraderKind::Judge => "judges among themselves",
        GraderKind::Human => "people among themselves",
        _ => "among themselves",
    };
    let _ = writeln!(
        out,
        "\n{lead}{who}, {}: {} raters, {} items, {} graded twice or more",
        shown.unit(),
        panel.raters.len(),
        thousands(panel.items),
        thousands(panel.items_with_two)
    );
    let mut rows = vec![
        row(["Krippendorff's α, nominal".to_owned(), statistic(&panel.alpha_nominal)]),
        row(["Krippendorff's α, ordinal".to_owned(), statistic(&panel.alpha_ordinal)]),
        row(["Krippendorff's α, interval".to_owned(), statistic(&panel.alpha_interval)]),
        row(["Fleiss' κ".to_owned(), statistic(&panel.fleiss)]),
        row(["ICC(2,1)".to_owned(), statistic(&panel.icc_single)]),
        row(["ICC(2,k)".to_owned(), statistic(&panel.icc_average)]),
        row(["equal pairs, %".to_owned(), share(&panel.equal_pairs)]),
        row(["mean absolute difference".to_owned(), shown.size(&panel.mean_difference)]),
    ];
    if panel.raters.len() < 2 {
        rows.truncate(1);
    }
    // Two raters are one pair; of many, the page has a map.
    if let [pair] = &panel.pairs[..] {
        rows.push(row(["Cohen's κ".to_owned(), statistic(&pair.kappa)]));
        rows.push(row(["  linear weights".to_owned(), statistic(&pair.kappa_linear)]));
        rows.push(row(["  quadratic weights".to_owned(), statistic(&pair.kappa_quadratic)]));
    } else if panel.pairs.len() > 1 {
        let values: Vec<f64> =
            panel.pairs.iter().filter_map(|pair| pair.kappa_quadratic.value()).collect();
        if let (Some(low), Some(high)) =
            (values.iter().copied().reduce(f64::min), values.iter().copied().reduce(f64::max))
        {
            rows.push(row([
                format!("Cohen's quadratic κ of {} pairs", panel.pairs.len()),
                format!("{} to {}", decimal(low, 2), decimal(high, 2)),
            ]));
        }
    }
    out.push_str(&table(&rows));
    if panel.fleiss_left_out > 0 {
        let _ = writeln!(
            out,
            "Fleiss' κ: items with {} grades; {} left out",
            panel.fleiss_grades,
            thousands(panel.fleiss_left_out)
        );
    }
    if panel.icc_left_out > 0 && panel.raters.len() > 1 {
        let _ = writeln!(
            out,
            "ICC: items that all raters graded; {} left out",
            thousands(panel.icc_left_out)
        );
    }
}

/// What is held against people (or stand-ins), and metrics against judges.
fn relations(out: &mut String, agreement: &Agreement, wanted: impl Fn(GraderKind) -> bool) {
    let shown: Vec<&Relation> = agreement
        .relations
        .iter()
        .filter(|relation| {
            wanted(relation.b.kind)
                && (relation.b.panel
                    || (relation.a.kind, relation.b.kind)
                        == (GraderKind::Metric, GraderKind::Judge))
        })
        .collect();
    if shown.is_empty() {
        return;
    }
    let mut rows = vec![row([
        "all systems together",
        "n",
        "Kendall τ-b",
        "Spearman ρ",
        "Pearson r",
        "within systems, τ-b",
        "means of systems, τ-b",
    ])];
    for relation in &shown {
        let within: Vec<String> = relation
            .within
            .iter()
            .map(|one| match one.correlations.kendall.value() {
                Some(value) => decimal(value, 2),
                None => "undefined".to_owned(),
            })
            .collect();
        let within = if within.is_empty() { "–".to_owned() } else { within.join(", ") };
        let systems = match relation.of_systems.kendall.value() {
            Some(value) => decimal(value, 2),
            None => "–".to_owned(),
        };
        rows.push(row([
            format!("{} and {}", relation.a, relation.b),
            thousands(relation.pooled.n),
            statistic(&relation.pooled.kendall),
            statistic(&relation.pooled.spearman),
            statistic(&relation.pooled.pearson),
            within,
            systems,
        ]));
    }
    let _ = write!(out, "\n{}", table(&rows));
    let mut rows = vec![row([
        "on one scale",
        "bias",
        "limits of agreement",
        "to a rater",
        "between raters",
        "equal, %",
        "κ",
    ])];
    for relation in shown {
        let Some(same) = &relation.same_scale else { continue };
        let shown = Shown::new(relation.a.scale, agreement.options.likert);
        let kappa = match relation.a.scale {
            Scale::Correct => &same.kappa,
            _ => &same.kappa_quadratic,
        };
        rows.push(row([
            format!("{} and {}", relation.a, relation.b),
            shown.difference(&same.bland_altman.bias),
            limits(shown, &same.bland_altman.lower, &same.bland_altman.upper),
            shown.size(&same.mean_difference),
            short(&same.between_raters, |measure| shown.size(measure)),
            share(&same.equal),
            statistic(kappa),
        ]));
    }
    if rows.len() > 1 {
        let _ = write!(out, "\n{}", table(&rows));
    }
}

fn short(measure: &Measure, write: impl Fn(&Measure) -> String) -> String {
    if measure.value().is_some() { write(measure) } else { "–".to_owned() }
}

fn limits(shown: Shown, lower: &Measure, upper: &Measure) -> String {
    let end = |measure: &Measure| {
        short(measure, |measure| {
            let text = shown.difference(measure);
            text.split(" [").next().unwrap_or_default().to_owned()
        })
    };
    match (lower.value(), upper.value()) {
        (Some(_), Some(_)) => format!("{} to {}", end(lower), end(upper)),
        _ => "–".to_owned(),
    }
}

/// What texts say of each finding; what synthetic graders gave is on the page alone.
fn findings(out: &mut String, agreement: &Agreement) {
    for set in agreement.findings.iter().flat_map(|findings| &findings.sets) {
        let people = |kind| kind != GraderKind::Synthetic;
        let mut rows = vec![vec![set.title()]];
        rows[0].extend(set.columns(people));
        let cell = |measure: &Measure, write: &dyn Fn(&Measure) -> String| short(measure, write);
        for (finding, cells) in set.text_rows(agreement.options.likert, people, cell) {
            rows.push([vec![finding.to_string()], cells].concat());
        }
        let _ = write!(out, "\n{}", table(&rows));
    }
}

fn stability(out: &mut String, agreement: &Agreement, wanted: impl Fn(GraderKind) -> bool) {
    let mut rows = vec![row([
        "asked again",
        "items × repeats",
        "SD of averages",
        "SD within items",
        "changed, %",
        "flips, %",
        "α",
    ])];
    for one in agreement.stability.iter().filter(|one| wanted(one.kind)) {
        let shown = Shown::new(one.scale, agreement.options.likert);
        rows.push(row([
            format!("{}, {}", one.grader, shown.unit()),
            format!("{} × {}", thousands(one.items), one.averages.len()),
            shown.size(&one.spread_of_averages),
            shown.size(&one.spread_within_items),
            share(&one.changed),
            share(&one.flips),
            statistic(&one.alpha),
        ]));
    }
    if rows.len() > 1 {
        let _ = write!(out, "\n{}", table(&rows));
    }
}

fn differences(out: &mut String, agreement: &Agreement, wanted: impl Fn(GraderKind) -> bool) {
    // Single raters of a panel of several are on the page.
    let found: Vec<_> = agreement
        .differences
        .iter()
        .filter(|one| wanted(one.grader.kind))
        .filter(|one| {
            one.grader.panel || matches!(one.grader.kind, GraderKind::Metric | GraderKind::Judge)
        })
        .collect();
    for block in found.chunk_by(|a, b| (&a.a, &a.b) == (&b.a, &b.b)) {
        let (a, b) = (&block[0].a, &block[0].b);
        let mut rows = vec![row([
            format!("{b} less {a}"),
            "n".into(),
            a.clone(),
            b.clone(),
            "difference".into(),
            "p".into(),
        ])];
        for one in block {
            let shown = Shown::new(one.grader.scale, agreement.options.likert);
            let p = one.difference.p_value;
            rows.push(row([
                format!("{}, {}", one.grader.name, shown.unit()),
                thousands(one.n),
                shown.plain(one.difference.a),
                shown.plain(one.difference.b),
                shown.estimate(&one.difference.difference),
                if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") },
            ]));
        }
        let _ = write!(out, "\n{}", table(&rows));
    }
}
