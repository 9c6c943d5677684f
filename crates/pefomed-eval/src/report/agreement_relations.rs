//! Metrics and judges against people and each other.

use std::fmt::Write as _;

use pefomed_data::readable::thousands;

use super::agreement_charts::{bland_altman, dot, dot_axis, heat_map, of_measure};
use super::agreement_tables::cell;
use super::html::{Page, escape_short, head, row};
use crate::agreement::words::{Shown, share, statistic};
use crate::agreement::{Agreement, Measure, Relation, SameScale, Side};
use crate::grade::{GraderKind, Scale};

/// Judges and metrics against a panel.
pub(super) fn against(
    page: &mut Page,
    agreement: &Agreement,
    kind: GraderKind,
    name: &str,
    heading: &str,
) {
    for (a, title) in [(GraderKind::Judge, "Judge"), (GraderKind::Metric, "Metrics")] {
        let wanted = |relation: &Relation| (relation.a.kind, relation.b.kind) == (a, kind);
        if agreement.relations.iter().any(wanted) {
            page.push(&format!("<{heading}>{title} against {name}</{heading}>"));
            relations(page, agreement, wanted);
        }
    }
}

/// Tables and plots of some relations, in blocks by what they are held against.
pub(super) fn relations(
    page: &mut Page,
    agreement: &Agreement,
    wanted: impl Fn(&Relation) -> bool,
) {
    let mut found: Vec<&Relation> =
        agreement.relations.iter().filter(|relation| wanted(relation)).collect();
    let size = |relation: &Relation| relation.pooled.kendall.value().map_or(-1.0, f64::abs);
    found.sort_by(|a, b| {
        (a.b.scale, &a.b.name).cmp(&(b.b.scale, &b.b.name)).then(size(b).total_cmp(&size(a)))
    });
    let mut body = String::new();
    for block in found.chunk_by(|a, b| a.b == b.b) {
        let _ = write!(
            body,
            "<tr class=\"block\"><th scope=\"rowgroup\" colspan=\"5\">{}</th><td>{}</td></tr>",
            escape_short(&block[0].b.to_string(), 80),
            dot(None, 1.0)
        );
        for relation in block {
            let pooled = &relation.pooled;
            body.push_str(&row(
                &escape_short(&relation.a.to_string(), 60),
                &[
                    thousands(pooled.n),
                    cell(&pooled.pearson, statistic),
                    cell(&pooled.spearman, statistic),
                    cell(&pooled.kendall, statistic),
                    dot(of_measure(&pooled.kendall), 1.0),
                ],
            ));
        }
    }
    let fewer =
        if found.iter().any(|r| (r.a.scale == Scale::Errors) != (r.b.scale == Scale::Errors)) {
            " Of errors fewer are better, so a negative correlation is agreement."
        } else {
            ""
        };
    page.table(
        "forest names",
        &format!(
            "Correlation over the texts of all systems together, the strongest first; the plot \
             shows Kendall’s τ-b.{fewer}"
        ),
        &head(&[
            "",
            "n",
            "Pearson r",
            "Spearman ρ",
            "Kendall τ-b",
            &dot_axis(["\u{2212}1", "0", "1"]),
        ]),
        &body,
    );
    within(page, agreement, &found);
    let same: Vec<(&Relation, &SameScale)> = found
        .iter()
        .filter_map(|relation| Some((*relation, relation.same_scale.as_ref()?)))
        .collect();
    if !same.is_empty() {
        same_scale(page, agreement, &same);
    }
}

/// τ-b within each system and over the systems' means.
fn within(page: &mut Page, agreement: &Agreement, found: &[&Relation]) {
    if agreement.systems.len() < 2 {
        return;
    }
    let mut columns = vec![String::new()];
    columns.extend(agreement.systems.iter().map(|system| escape_short(system, 40)));
    columns.push("Means of systems".to_owned());
    let mut body = String::new();
    for block in found.chunk_by(|a, b| a.b == b.b) {
        let _ = write!(
            body,
            "<tr class=\"block\"><th scope=\"rowgroup\" colspan=\"{}\">{}</th></tr>",
            columns.len(),
            escape_short(&block[0].b.to_string(), 80)
        );
        for relation in block {
            let of = |system: &String| {
                let one = relation.within.iter().find(|one| one.system == *system);
                one.map_or("–".to_owned(), |one| cell(&one.correlations.kendall, statistic))
            };
            let mut cells: Vec<String> = agreement.systems.iter().map(of).collect();
            cells.push(cell(&relation.of_systems.kendall, statistic));
            body.push_str(&row(&escape_short(&relation.a.to_string(), 60), &cells));
        }
    }
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    page.table(
        "scores dense names blocks",
        "Kendall’s τ-b within each system (does it tell a good text from a bad one?) and over the \
         means of systems (does it order systems alike?).",
        &head(&columns),
        &body,
    );
}

fn same_scale(page: &mut Page, agreement: &Agreement, same: &[(&Relation, &SameScale)]) {
    let mut body = String::new();
    let mut consensus = String::new();
    let mut plots = String::from("<div class=\"curves\">");
    let mut drawn = 0;
    for (relation, differences) in same {
        let shown = Shown::new(relation.a.scale, agreement.options.likert);
        let plot = &differences.bland_altman;
        let limits = match (plot.lower.value(), plot.upper.value()) {
            (Some(_), Some(_)) => {
                let end = |measure: &Measure| {
                    let text = shown.difference(measure);
                    text.split(" [").next().unwrap_or_default().to_owned()
                };
                format!("{} to {}", end(&plot.lower), end(&plot.upper))
            }
            _ => cell(&plot.lower, |measure| shown.difference(measure)),
        };
        let heading = format!(
            "{} <small>and {}</small>",
            escape_short(&relation.a.to_string(), 60),
            escape_short(&relation.b.to_string(), 60)
        );
        body.push_str(&row(
            &heading,
            &[
                cell(&plot.bias, |measure| shown.difference(measure)),
                limits,
                cell(&differences.mean_difference, |measure| shown.size(measure)),
                cell(&differences.between_raters, |measure| shown.size(measure)),
            ],
        ));
        consensus.push_str(&row(
            &heading,
            &[
                thousands(differences.consensus_items),
                thousands(differences.no_consensus),
                cell(&differences.equal, share),
                cell(&differences.kappa, statistic),
                cell(&differences.kappa_linear, statistic),
                cell(&differences.kappa_quadratic, statistic),
            ],
        ));
        if relation.a.scale != Scale::Correct {
            let most = match relation.a.scale {
                Scale::Likert => 4.0,
                _ => plot.points.iter().map(|point| point.mean).fold(1.0, f64::max),
            };
            let name = relation.a.to_string();
            let _ = write!(
                plots,
                "<div><p>{} and {}</p>{}</div>",
                escape_short(&name, 60),
                escape_short(&relation.b.to_string(), 60),
                bland_altman("Differences of two graders against their mean", plot, most, &name)
            );
            drawn += 1;
        }
    }
    plots.push_str("</div>");
    page.table(
        "scores dense names",
        "On one scale: bias (the first less the other’s mean) and 95 % limits of agreement; mean \
         absolute difference to each single rater, beside that between two raters.",
        &head(&["", "Bias", "Limits", "To a rater", "Between raters"]),
        &body,
    );
    page.table(
        "scores dense names",
        "Against the consensus: the median of the raters where it is a level of the scale, which \
         for right or wrong is the majority. Share of equal grades and Cohen’s κ, plain and with \
         linear and quadratic weights.",
        &head(&["", "n", "No consensus", "Equal, %", "κ", "κ linear", "κ quadratic"]),
        &consensus,
    );
    if drawn > 0 {
        page.figure(
            "plots",
            &plots,
            "Bland–Altman plots on the scale 0–4 (or of errors): difference against mean of both, \
             areas are numbers of items; the line is the bias, dashed are the limits.",
        );
    }
}

/// The sides of all relations, judges and panels first.
pub(super) fn sides(agreement: &Agreement, wanted: impl Fn(GraderKind) -> bool) -> Vec<&Side> {
    let mut sides: Vec<&Side> = Vec::new();
    for relation in &agreement.relations {
        for side in [&relation.a, &relation.b] {
            if wanted(side.kind) && !sides.contains(&side) {
                sides.push(side);
            }
        }
    }
    sides.sort_by_key(|side| match side.kind {
        GraderKind::Human => 0,
        GraderKind::Judge => 1,
        _ => 2,
    });
    sides
}

/// Kendall's tau of every two sides.
pub(super) fn matrix(page: &mut Page, agreement: &Agreement, sides: &[&Side]) {
    let names: Vec<String> = sides.iter().map(ToString::to_string).collect();
    let value = |a: usize, b: usize| {
        let pair = (sides[a], sides[b]);
        let found = agreement
            .relations
            .iter()
            .find(|one| (&one.a, &one.b) == pair || (&one.b, &one.a) == pair);
        found?.pooled.kendall.value()
    };
    page.figure(
        "map",
        &heat_map("Kendall's tau of every two graders", &names, value),
        "Kendall’s τ-b of every two, over the texts of all systems that both graded; a dash is \
         undefined, or without a common text.",
    );
}
