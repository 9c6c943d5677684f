//! Agreement of metrics, judges and raters: a page of its own, and a section of a run's report.
//!
//! The order is that of the argument: what was given, how far people agree among themselves (no
//! judge can agree with them more than they do with each other), then judges and metrics against
//! them, then whether a judge says the same twice, then systems, then single items. What stand-ins
//! gave comes last, under a heading that says so.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use pefomed_data::files;
use pefomed_data::readable::thousands;

use super::agreement_cards::cards;
use super::agreement_charts::{
    Stack, bland_altman, dot, dot_axis, heat_map, levels_legend, of_estimate, of_measure, stacked,
};
use super::html::{Page, escape, escape_short, head, row};
use super::{document, left_out};
use crate::agreement::words::{Shown, share, statistic};
use crate::agreement::{
    Agreement, Distribution, Measure, Panel, Relation, SameScale, Side, Stability,
};
use crate::grade::{GraderKind, Scale};
use crate::number::p_value;
use crate::{EvalError, definitions};

/// Writes the page about an agreement: one HTML file that asks no network. Images of the items are
/// looked for in `images`.
///
/// # Errors
/// [`EvalError::Data`] when the page cannot be written.
pub fn write_agreement_report(
    path: &Path,
    agreement: &Agreement,
    images: &[PathBuf],
) -> Result<(), EvalError> {
    Ok(files::write_bytes(path, render_agreement(agreement, images).as_bytes())?)
}

/// The page that [`write_agreement_report`] writes.
pub fn render_agreement(agreement: &Agreement, images: &[PathBuf]) -> String {
    let mut page = Page::default();
    let title = format!("Agreement on {}", agreement.systems.join(", "));
    let facts: Vec<String> = [
        format!("{} texts", thousands(agreement.items)),
        format!("{} images or patients", thousands(agreement.groups)),
        format!("{} graders", agreement.graders.len()),
        format!("seed {}", agreement.options.bootstrap.seed),
        format!("grades {}", &agreement.grades_digest.get(..12).unwrap_or_default()),
    ]
    .iter()
    .map(|fact| format!("<span>{}</span>", escape(fact)))
    .collect();
    page.push(&format!(
        "<header><p class=\"kicker\">Agreement report</p><h1>{}</h1><p class=\"facts\">{}</p></header>",
        escape_short(&title, 200),
        facts.join("")
    ));
    page.push("<section class=\"summary\"><h2>Summary</h2>");
    summary(&mut page, agreement);
    page.push("</section>");
    pieces(&mut page, agreement, images, "h2", "h3");
    page.push("<section class=\"methods\"><h2>Methods and limits</h2>");
    methods(&mut page, agreement);
    page.push(
        "<p class=\"notice\"><b>Research software, not a medical device.</b> The numbers say how far \
         graders agree about texts. They do not show that a text is clinically right or safe.</p>\
         </section>",
    );
    left_out(&mut page);
    document(&title, &page.html)
}

/// Appends the section of a run's report.
pub(super) fn section(page: &mut Page, agreement: &Agreement, images: &[PathBuf]) {
    page.push("<section><h2>Agreement of metrics, judges and raters</h2>");
    summary(page, agreement);
    pieces(page, agreement, images, "h3", "h4");
    page.push("<h3>How agreement is measured</h3><div class=\"methods\">");
    methods(page, agreement);
    page.push("</div></section>");
}

/// All parts but summary and methods, with headings of two ranks.
fn pieces(page: &mut Page, agreement: &Agreement, images: &[PathBuf], big: &str, small: &str) {
    let has = |kind| agreement.has(kind);
    let heading = |page: &mut Page, text: &str| page.push(&format!("<{big}>{text}</{big}>"));
    heading(page, "What each grader gave");
    given(page, agreement, |kind| kind != GraderKind::Synthetic);
    for kind in [GraderKind::Human, GraderKind::Judge] {
        let panels: Vec<&Panel> = agreement.panels.iter().filter(|p| p.kind == kind).collect();
        if !panels.is_empty() {
            let people = kind == GraderKind::Human;
            heading(
                page,
                if people { "People among themselves" } else { "Judges among themselves" },
            );
            among(page, &panels, agreement);
        }
    }
    if !has(GraderKind::Human) {
        page.left_out.push("Agreement with people: no grades of people were given.".into());
    }
    against(page, agreement, GraderKind::Human, "people", big);
    if has(GraderKind::Metric) && has(GraderKind::Judge) {
        heading(page, "Metrics against judges");
        relations(page, agreement, |relation| {
            (relation.a.kind, relation.b.kind) == (GraderKind::Metric, GraderKind::Judge)
        });
    }
    let sides: Vec<&Side> = sides(agreement, |kind| kind != GraderKind::Synthetic);
    if sides.len() > 2 {
        heading(page, "All correlations");
        matrix(page, agreement, &sides);
    }
    let steady = |kind: &dyn Fn(GraderKind) -> bool| -> Vec<&Stability> {
        agreement.stability.iter().filter(|one| kind(one.kind)).collect()
    };
    let repeated = steady(&|kind| kind != GraderKind::Synthetic);
    if !repeated.is_empty() {
        heading(page, "Asked again");
        stability(page, &repeated, agreement);
    }
    if agreement.systems.len() > 1 {
        heading(page, "Systems compared");
        differences(page, agreement, |kind| kind != GraderKind::Synthetic);
    }
    if !agreement.disagreements.is_empty() {
        heading(page, "Where graders part ways");
        cards(page, agreement, images, small);
    }
    if has(GraderKind::Synthetic) {
        heading(page, "Synthetic (not people)");
        page.push(
            "<p class=\"caution\"><b>These graders are stand-ins, not people.</b> They show the shape \
             of the tables before anyone has rated. No number below says anything about a system, \
             and none of them is in the numbers above.</p>",
        );
        let synthetic = |kind| kind == GraderKind::Synthetic;
        given(page, agreement, synthetic);
        let panels: Vec<&Panel> =
            agreement.panels.iter().filter(|panel| synthetic(panel.kind)).collect();
        page.push(&format!("<{small}>Among themselves</{small}>"));
        among(page, &panels, agreement);
        against(page, agreement, GraderKind::Synthetic, "synthetic graders", small);
        let repeated = steady(&synthetic);
        if !repeated.is_empty() {
            page.push(&format!("<{small}>Asked again</{small}>"));
            stability(page, &repeated, agreement);
        }
        if agreement.systems.len() > 1 {
            page.push(&format!("<{small}>Systems compared</{small}>"));
            differences(page, agreement, synthetic);
        }
    }
}

/// The answer in sentences.
fn summary(page: &mut Page, agreement: &Agreement) {
    let mut text = format!(
        "{} of {} about {} {} graded",
        thousands(agreement.items) + if agreement.items == 1 { " text" } else { " texts" },
        match agreement.systems.len() {
            1 => "one system".to_owned(),
            n => format!("{n} systems"),
        },
        thousands(agreement.groups) + " images or patients",
        if agreement.items == 1 { "was" } else { "were" },
    );
    let counts: Vec<String> = [
        (GraderKind::Human, "person", "people"),
        (GraderKind::Judge, "model judge", "model judges"),
        (GraderKind::Metric, "metric", "metrics"),
        (
            GraderKind::Synthetic,
            "synthetic grader (not a person)",
            "synthetic graders (not people)",
        ),
    ]
    .iter()
    .filter_map(|(kind, one, many)| {
        let mut names: Vec<&str> = agreement
            .graders
            .iter()
            .filter(|grader| grader.kind == *kind)
            .map(|grader| grader.name.as_str())
            .collect();
        names.sort_unstable();
        names.dedup();
        match names.len() {
            0 => None,
            1 => Some(format!("1 {one}")),
            n => Some(format!("{n} {many}")),
        }
    })
    .collect();
    let _ = write!(text, " by {}.", counts.join(", "));
    for panel in agreement.panels.iter().filter(|panel| panel.kind == GraderKind::Human) {
        let (name, alpha) = main_alpha(panel);
        if let Some(value) = alpha.defined() {
            let _ = write!(
                text,
                " On {}, people agree with {name} α = <b>{}</b> over {} items that at least two of \
                 them graded.",
                scale_name(panel.scale, agreement),
                statistic(alpha),
                thousands(value.n)
            );
        }
    }
    for scale in [Scale::Likert, Scale::Correct, Scale::Errors] {
        let to_people = |kind: GraderKind| {
            agreement
                .relations
                .iter()
                .filter(move |relation| {
                    relation.a.kind == kind
                        && (relation.b.kind, relation.b.scale) == (GraderKind::Human, scale)
                })
                .filter_map(|relation| Some((relation, relation.pooled.kendall.value()?)))
        };
        for (relation, _) in to_people(GraderKind::Judge) {
            let _ = write!(
                text,
                " The judge {} relates to people’s mean {} with Kendall’s τ-b = <b>{}</b>.",
                escape_short(&relation.a.to_string(), 60),
                scale_name(scale, agreement),
                statistic(&relation.pooled.kendall)
            );
        }
        let best = to_people(GraderKind::Metric).max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
        if let Some((relation, _)) = best {
            let _ = write!(
                text,
                " Of the metrics, {} relates to it most: {}.",
                escape_short(&relation.a.to_string(), 60),
                statistic(&relation.pooled.kendall)
            );
        }
    }
    page.paragraph(&text);
    if agreement.items_without_group > 0 {
        page.push(&format!(
            "<p class=\"caution\">The image or patient of {} texts is not known: each stands for \
             itself in the intervals, which are too narrow if several are about one image.</p>",
            thousands(agreement.items_without_group)
        ));
    }
}

/// α by the distance that suits the scale.
fn main_alpha(panel: &Panel) -> (&'static str, &Measure) {
    match panel.scale {
        Scale::Correct => ("nominal", &panel.alpha_nominal),
        Scale::Likert => ("ordinal", &panel.alpha_ordinal),
        Scale::Errors | Scale::Score => ("interval", &panel.alpha_interval),
    }
}

fn scale_name(scale: Scale, agreement: &Agreement) -> String {
    match scale {
        Scale::Correct => "right or wrong".to_owned(),
        _ => Shown::new(scale, agreement.options.likert).unit(),
    }
}

/// A statistic, or a dash with the reason under it.
fn cell(measure: &Measure, write: impl Fn(&Measure) -> String) -> String {
    match measure {
        Measure::Defined(_) => write(measure),
        Measure::Undefined { why, .. } => {
            format!("<span class=\"undefined\">undefined: {}</span>", escape(why))
        }
    }
}

/// Bars for scales with levels, and the averages of all.
fn given(page: &mut Page, agreement: &Agreement, wanted: impl Fn(GraderKind) -> bool) {
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
    page.table("scores dense", &caption, &head(&columns), &body);
}

/// Statistics of panels side by side, and κ of every two raters as a map.
fn among(page: &mut Page, panels: &[&Panel], agreement: &Agreement) {
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
        let (name, of): (_, fn(&crate::agreement::RaterPair) -> &Measure) = match panel.scale {
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

/// Judges and metrics against a panel.
fn against(page: &mut Page, agreement: &Agreement, kind: GraderKind, name: &str, heading: &str) {
    for (a, title) in [(GraderKind::Judge, "Judge"), (GraderKind::Metric, "Metrics")] {
        let wanted = |relation: &Relation| (relation.a.kind, relation.b.kind) == (a, kind);
        if agreement.relations.iter().any(wanted) {
            page.push(&format!("<{heading}>{title} against {name}</{heading}>"));
            relations(page, agreement, wanted);
        }
    }
}

/// Tables and plots of some relations, in blocks by what they are held against.
fn relations(page: &mut Page, agreement: &Agreement, wanted: impl Fn(&Relation) -> bool) {
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
        "forest",
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
    for relation in found {
        let mut cells: Vec<String> = agreement
            .systems
            .iter()
            .map(|system| {
                let one = relation.within.iter().find(|one| one.system == *system);
                one.map_or("–".to_owned(), |one| cell(&one.correlations.kendall, statistic))
            })
            .collect();
        cells.push(cell(&relation.of_systems.kendall, statistic));
        let heading = format!(
            "{} <small>and {}</small>",
            escape_short(&relation.a.to_string(), 60),
            escape_short(&relation.b.to_string(), 60)
        );
        body.push_str(&row(&heading, &cells));
    }
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    page.table(
        "scores dense",
        "Kendall’s τ-b within each system (does it tell a good text from a bad one?) and over the \
         means of systems (does it order systems alike?).",
        &head(&columns),
        &body,
    );
}

fn same_scale(page: &mut Page, agreement: &Agreement, same: &[(&Relation, &SameScale)]) {
    let mut body = String::new();
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
        let kappa = if relation.a.scale == Scale::Correct {
            &differences.kappa
        } else {
            &differences.kappa_quadratic
        };
        body.push_str(&row(
            &heading,
            &[
                cell(&plot.bias, |measure| shown.difference(measure)),
                limits,
                cell(&differences.mean_difference, |measure| shown.size(measure)),
                cell(&differences.between_raters, |measure| shown.size(measure)),
                cell(&differences.equal, share),
                cell(kappa, statistic),
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
    let no_consensus: usize = same.iter().map(|(_, differences)| differences.no_consensus).sum();
    let mut caption = String::from(
        "On one scale: bias (the first less the other’s mean) and 95 % limits of agreement; mean \
         absolute difference to each single rater, beside that between two raters; share equal to \
         the consensus (median) of the raters, and Cohen’s κ with it (quadratic weights but for \
         right or wrong).",
    );
    if no_consensus > 0 {
        let _ = write!(caption, " {} times the raters have no consensus.", thousands(no_consensus));
    }
    page.table(
        "scores dense",
        &caption,
        &head(&["", "Bias", "Limits", "To a rater", "Between raters", "Equal, %", "κ"]),
        &body,
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
fn sides(agreement: &Agreement, wanted: impl Fn(GraderKind) -> bool) -> Vec<&Side> {
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

fn matrix(page: &mut Page, agreement: &Agreement, sides: &[&Side]) {
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

fn stability(page: &mut Page, found: &[&Stability], agreement: &Agreement) {
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

fn differences(page: &mut Page, agreement: &Agreement, wanted: impl Fn(GraderKind) -> bool) {
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
            let reach = |other: &&crate::agreement::SystemDifference| {
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
        "forest",
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
            &dot_axis(["first better", "0", "second better"]),
        ]),
        &body,
    );
}

fn methods(page: &mut Page, agreement: &Agreement) {
    page.push("<dl>");
    let mut define = |name: &str, text: &str| {
        page.push(&format!("<dt>{name}</dt><dd>{}</dd>", escape(text)));
    };
    let likert = agreement.options.likert;
    define(
        "Weighted average",
        &format!(
            "Σ s·n / Σ n over the levels s with their counts n. Reports are graded from 0 (hardly \
             any consistency) to 4 (minimal discrepancy); averages are shown on {likert}. A grader \
             that was asked several times counts with its first grade."
        ),
    );
    define(
        "α",
        "Krippendorff’s α: 1 less observed over expected disagreement; any grade may be missing. \
         0 is what chance gives, 1 is full agreement; below 0.67 conclusions are usually not drawn, \
         from 0.8 they are.",
    );
    define(
        "κ",
        "Cohen’s κ of two raters from their own frequencies, with weights |a − b| (linear) or \
         (a − b)² (quadratic); Fleiss’ κ of several from pooled ones. Both fall when one level is \
         given nearly always, however much raters agree.",
    );
    define(
        "ICC",
        "Intraclass correlation of absolute agreement, two-way random effects, of a single rater \
         (2,1) and of the mean of all (2,k), with intervals from the F distribution, which take \
         texts as independent.",
    );
    define(
        "Correlation",
        "Kendall’s τ-b allows for ties, Spearman’s ρ is Pearson’s r of mid-ranks. The grade of \
         several people is their mean. A correlation says nothing of bias: a judge that is always \
         one level too kind correlates fully.",
    );
    define(
        "Limits of agreement",
        "Bland and Altman: mean difference, and 1.96 standard deviations of the differences to \
         either side.",
    );
    define("Intervals", &definitions::interval(&agreement.options.bootstrap));
    page.push("</dl>");
}
