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
use super::agreement_relations::{against, matrix, relations, sides};
use super::agreement_tables::{among, differences, findings, given, scale_name, stability};
use super::html::{Page, escape, escape_short};
use super::{document, left_out};
use crate::agreement::words::{Shown, decimal};
use crate::agreement::{Agreement, Measure, Panel, Relation, Side, Stability};
use crate::grade::{GraderKind, Scale};
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
    let title = "Agreement of metrics, judges and raters";
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
    let systems: Vec<String> = agreement
        .systems
        .iter()
        .map(|system| format!("<span>{}</span>", escape_short(system, 80)))
        .collect();
    page.push(&format!(
        "<header><p class=\"kicker\">Agreement report</p><h1>{title}</h1><p class=\"facts\">{}</p>\
         <p class=\"facts\">{}</p></header>",
        systems.join(""),
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
    document(title, &page.html)
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
    if agreement.findings.is_some() {
        heading(page, "Finding by finding");
        findings(page, agreement);
    }
    if agreement.disagreements.iter().any(|one| !one.synthetic) {
        heading(page, "Where graders part ways");
        cards(page, agreement, images, small, false);
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
        cards(page, agreement, images, small, true);
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
    for relation in to_people(agreement, GraderKind::Judge) {
        let Some(same) = &relation.same_scale else { continue };
        let (Some(judge), Some(people)) =
            (same.mean_difference.value(), same.between_raters.value())
        else {
            continue;
        };
        let shown = Shown::new(relation.a.scale, agreement.options.likert);
        let scale = escape(&scale_name(relation.a.scale, agreement));
        let name = escape_short(&relation.a.name, 60);
        let _ = if relation.a.scale == Scale::Correct {
            write!(
                text,
                " On {scale}, the judge {name} contradicts a person in {}\u{a0}% of pairs of \
                 grades, and two people contradict each other in {}\u{a0}%.",
                decimal(shown.distance(judge), 1),
                decimal(shown.distance(people), 1),
            )
        } else {
            write!(
                text,
                " On {scale}, the judge {name} differs from a person by {} on average, and two \
                 people differ by {}.",
                decimal(shown.distance(judge), 2),
                decimal(shown.distance(people), 2),
            )
        };
    }
    page.paragraph(&text);
    figures(page, agreement);
    if agreement.items_without_group > 0 {
        page.push(&format!(
            "<p class=\"caution\">The image or patient of {} texts is not known: each stands for \
             itself in the intervals, which are too narrow if several are about one image.</p>",
            thousands(agreement.items_without_group)
        ));
    }
}

/// Relations of a kind of grader to people.
fn to_people(agreement: &Agreement, kind: GraderKind) -> impl Iterator<Item = &Relation> {
    agreement
        .relations
        .iter()
        .filter(move |one| (one.a.kind, one.b.kind) == (kind, GraderKind::Human))
}

/// What matters most, large: agreement of people, judges on the same scale, the best metric.
fn figures(page: &mut Page, agreement: &Agreement) {
    let mut out = String::new();
    let mut figure = |name: &str, measure: &Measure| {
        let Some(value) = measure.defined() else { return };
        let interval = match value.low.zip(value.high) {
            Some((low, high)) => format!("{} to {}", decimal(low, 2), decimal(high, 2)),
            None => String::new(),
        };
        let _ = write!(
            out,
            "<div><dt>{}</dt><dd>{}</dd><dd class=\"interval\">{interval}</dd></div>",
            escape_short(name, 90),
            decimal(value.value, 2)
        );
    };
    for panel in agreement.panels.iter().filter(|panel| panel.kind == GraderKind::Human) {
        let (name, alpha) = main_alpha(panel);
        figure(&format!("People, {}: {name} α", scale_name(panel.scale, agreement)), alpha);
        for judge in to_people(agreement, GraderKind::Judge)
            .filter(|one| (one.a.scale, one.b.scale) == (panel.scale, panel.scale))
        {
            figure(&format!("{} and people: τ-b", judge.a), &judge.pooled.kendall);
        }
        let size = |one: &&Relation| one.pooled.kendall.value().map_or(-1.0, f64::abs);
        let best = to_people(agreement, GraderKind::Metric)
            .filter(|one| one.b.scale == panel.scale)
            .max_by(|a, b| size(a).total_cmp(&size(b)));
        if let Some(best) = best {
            figure(&format!("Best metric, {}: τ-b", best.a), &best.pooled.kendall);
        }
    }
    if !out.is_empty() {
        page.push(&format!("<dl class=\"figures\">{out}</dl>"));
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
