//! The report: one HTML page that says what a run did and how well, to print, mail or archive.
//!
//! The page is self-contained: style, charts and pictures are inside it, it asks no network and
//! runs no script. It is written for a reader who has only the page: every number stands beside
//! its definition and its interval, controls and baselines beside the headline, and what could
//! not be shown is listed. Nothing in it depends on the clock or the machine, so the same run
//! folder gives the same bytes.

mod ablation;
mod agreement;
mod agreement_cards;
mod agreement_charts;
mod agreement_relations;
mod agreement_tables;
mod charts;
mod events;
mod examples;
mod html;
mod picture;
mod results;
mod run;
mod training;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use pefomed_data::{ImageCondition, Task, files};

pub use self::agreement::{render_agreement, write_agreement_report};
use self::html::{Page, escape};
use self::run::Run;
use crate::lexical::MeteorKind;
use crate::metrics::{Metrics, TaskMetrics};
use crate::number::{difference, percent, with_interval};
use crate::{BootstrapOptions, EvalError, definitions};
use pefomed_data::readable::thousands;

const STYLE: &str = include_str!("style.css");

/// Writes `report.html` into a run folder and returns its path.
///
/// Read are, each if it is there: `recipe.toml`, `events.jsonl`, `run.json`,
/// `metrics-<split>.json`, `predictions-<split>[.blank|.shuffled].jsonl`, `agreement.json`, and
/// `ablation/<number-name>/` with a `run.json` and metrics of its own.
///
/// # Errors
/// [`EvalError::NotARunFolder`]; [`EvalError::Data`] or [`EvalError::NewerFormat`] for a file that
/// is there but broken, with its name; [`EvalError::Data`] when the page cannot be written.
pub fn write_report(run: &Path) -> Result<PathBuf, EvalError> {
    let html = render(run)?;
    let path = run.join("report.html");
    files::write_bytes(&path, html.as_bytes())?;
    Ok(path)
}

/// The page that [`write_report`] writes.
///
/// # Errors
/// As [`write_report`], but for writing.
pub fn render(run: &Path) -> Result<String, EvalError> {
    let run = Run::read(run)?;
    let mut page = Page::default();
    title(&mut page, &run);
    summary(&mut page, &run);
    if run.metrics.is_empty() {
        page.left_out.push("Results: the folder has no <code>metrics-*.json</code>.".into());
    }
    for metrics in run.metrics.values() {
        results::section(&mut page, metrics);
    }
    ablation::section(&mut page, &run);
    examples::section(&mut page, &run);
    if let Some(agreement) = &run.agreement {
        agreement::section(&mut page, agreement, &examples::image_folders(&run));
    }
    training::section(&mut page, &run);
    reproduction(&mut page, &run);
    methods(&mut page, &run);
    left_out(&mut page);
    Ok(document(&name(&run), &page.html))
}

fn document(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'; img-src data:\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n\
         </body>\n</html>\n",
        escape(title)
    )
}

/// The run's title, or the name of its folder.
fn name(run: &Run) -> String {
    let title = run.info.as_ref().and_then(|info| info.text("title"));
    title.unwrap_or_else(|| {
        let folder = run.folder.file_name().map(|name| name.to_string_lossy().into_owned());
        folder.unwrap_or_else(|| "Run".to_owned())
    })
}

fn title(page: &mut Page, run: &Run) {
    let mut facts = Vec::new();
    if let Some(info) = &run.info {
        let mut fact = |name: &str, text: Option<String>| {
            facts.extend(text.map(|text| format!("<span>{name}{}</span>", escape(&text))));
        };
        fact("pefomed ", info.text("version"));
        fact("", info.text("device"));
        fact("threads ", info.text("threads"));
        fact("seed ", info.text("seed"));
        fact("", info.float("seconds").map(training::duration));
        fact("peak memory ", info.integer("peak_memory_bytes").map(training::bytes));
    } else {
        page.left_out
            .push("Title, device, seed, digests: the folder has no <code>run.json</code>.".into());
    }
    page.push(&format!(
        "<header><p class=\"kicker\">Evaluation report</p><h1>{}</h1><p class=\"facts\">{}</p></header>",
        escape(&name(run)),
        facts.join("")
    ));
}

/// The abstract: the headline of every split in sentences, and its numbers large.
fn summary(page: &mut Page, run: &Run) {
    let headlines: Vec<(&Metrics, &TaskMetrics)> = run
        .metrics
        .values()
        .filter_map(|metrics| Some((metrics, metrics.task(Task::Vqa)?)))
        .filter(|(_, task)| task.condition(ImageCondition::True).is_some())
        .collect();
    if headlines.is_empty() {
        return;
    }
    page.push("<section class=\"summary\"><h2>Summary</h2>");
    for (metrics, task) in headlines {
        if let Some(text) = headline(metrics, task) {
            page.paragraph(&text);
        }
        page.push(&key_figures(task));
    }
    page.push("</section>");
}

fn headline(metrics: &Metrics, task: &TaskMetrics) -> Option<String> {
    let scores = task.condition(ImageCondition::True)?;
    let about = if metrics.images == scores.overall.groups {
        format!("about {} images", thousands(metrics.images as u64))
    } else {
        format!("in {} groups", thousands(scores.overall.groups as u64))
    };
    let mut text = format!(
        "On split <b>{}</b> ({} questions {about}), the model’s answer matches the reference in \
         <b>{}\u{a0}%</b> of the questions",
        escape(&metrics.split),
        thousands(scores.overall.n as u64),
        with_interval(&scores.overall.exact_match),
    );
    if let (Some(open), Some(closed)) = (&scores.open, &scores.closed) {
        let _ = write!(
            text,
            ": {}\u{a0}% of the open and {}\u{a0}% of the closed ones",
            percent(open.exact_match.value),
            percent(closed.exact_match.value)
        );
    }
    text.push('.');
    for drop in &task.image_dependence {
        let what = match drop.control {
            ImageCondition::Blank => "a uniform image in its place",
            _ => "the image of another group",
        };
        let (low, high) = (drop.overall.low.unwrap_or(0.0), drop.overall.high.unwrap_or(0.0));
        let verdict = if low > 0.0 {
            "the image helps"
        } else if high < 0.0 {
            "the image hurts"
        } else {
            "an effect of the image is not shown"
        };
        let _ = write!(
            text,
            " Against {what}, the true image makes a difference of {} points; {verdict}.",
            difference(&drop.overall)
        );
    }
    let best = task.baselines.iter().max_by(|a, b| a.overall.value.total_cmp(&b.overall.value));
    if let Some(best) = best {
        let _ = write!(
            text,
            " The majority answer of the training split ({}) would match {}\u{a0}%.",
            best.rule.name(),
            percent(best.overall.value)
        );
    }
    if let Some(leakage) = metrics.leakage.filter(|leakage| leakage.also_in_train > 0) {
        let _ = write!(
            text,
            " {} of its {} images also occur in the training split.",
            thousands(leakage.also_in_train as u64),
            thousands(leakage.images as u64)
        );
    }
    Some(text)
}

fn key_figures(task: &TaskMetrics) -> String {
    let mut out = String::from("<dl class=\"figures\">");
    let mut figure = |name: &str, estimate: Option<&crate::Estimate>| {
        let Some(estimate) = estimate else { return };
        let interval = match (estimate.low, estimate.high) {
            (Some(low), Some(high)) => format!("{} to {}", percent(low), percent(high)),
            _ => String::new(),
        };
        let _ = write!(
            out,
            "<div><dt>{name}</dt><dd>{}<small> %</small></dd><dd class=\"interval\">{interval}</dd></div>",
            percent(estimate.value)
        );
    };
    let scores = task.condition(ImageCondition::True);
    figure("All questions", scores.map(|scores| &scores.overall.exact_match));
    figure("Open", scores.and_then(|scores| scores.open.as_ref()).map(|s| &s.exact_match));
    figure("Closed", scores.and_then(|scores| scores.closed.as_ref()).map(|s| &s.exact_match));
    let blank = task.condition(ImageCondition::Blank);
    figure("All, blank image", blank.map(|scores| &scores.overall.exact_match));
    let shuffled = task.condition(ImageCondition::Shuffled);
    figure("All, shuffled image", shuffled.map(|scores| &scores.overall.exact_match));
    out.push_str("</dl>");
    out
}

fn reproduction(page: &mut Page, run: &Run) {
    let digests = run.info.as_ref().map(|info| info.texts("digests")).unwrap_or_default();
    if run.recipe.is_none() {
        page.left_out.push("Recipe: the folder has no <code>recipe.toml</code>.".into());
    }
    if run.recipe.is_none() && digests.is_empty() {
        return;
    }
    page.push("<section><h2>Reproducing this run</h2>");
    if !digests.is_empty() {
        let mut list = String::from("<dl class=\"digests\">");
        for (name, digest) in digests {
            let _ =
                write!(list, "<dt>{}</dt><dd><code>{}</code></dd>", escape(name), escape(&digest));
        }
        list.push_str("</dl>");
        page.push(&list);
    }
    if let Some(recipe) = &run.recipe {
        page.push(&format!(
            "<details><summary>Resolved recipe</summary><pre><code>{}</code></pre></details>",
            escape(recipe)
        ));
    }
    page.push("</section>");
}

fn methods(page: &mut Page, run: &Run) {
    page.push("<section class=\"methods\"><h2>Methods and limits</h2><dl>");
    let mut define = |name: &str, text: &str| {
        page.push(&format!("<dt>{name}</dt><dd>{}</dd>", escape(text)));
    };
    define("Exact match", definitions::EXACT_MATCH);
    if run.metrics.values().any(|metrics| metrics.definitions.contains_key("several_references")) {
        define("Several accepted answers", definitions::SEVERAL_REFERENCES);
    }
    define("Token F1", definitions::TOKEN_F1);
    define("Token recall", definitions::TOKEN_RECALL);
    define("BLEU", definitions::BLEU);
    let meteor = meteor_kinds(run);
    if !meteor.is_empty() {
        define("ROUGE-L", definitions::ROUGE_L);
        for kind in meteor {
            define(kind.name(), definitions::meteor(kind));
        }
        define("CIDEr", definitions::CIDER);
    }
    let clinical = run.metrics.values().find_map(|metrics| metrics.definitions.get("clinical"));
    if let Some(definition) = clinical {
        define("F1-14 and F1-5", definition);
    }
    for external in run.metrics.values().flat_map(|metrics| &metrics.externals) {
        let command = external.command.join(" ");
        let text =
            format!("{} Command: {command}; digest {}.", definitions::EXTERNAL, external.digest);
        define(&escape(&external.name), &text);
    }
    define("Open and closed", definitions::ANSWER_TYPE);
    define("Labels", definitions::LABELS);
    define("Majority baseline", definitions::BASELINE);
    define("What the image is worth", definitions::IMAGE_DEPENDENCE);
    define("Seen images", definitions::LEAKAGE);
    let mut used: Vec<BootstrapOptions> = Vec::new();
    for metrics in run.metrics.values().chain(run.ablation.iter().flat_map(|v| v.metrics.values()))
    {
        if !used.contains(&metrics.bootstrap) {
            used.push(metrics.bootstrap);
        }
    }
    for options in used {
        define("Intervals", &definitions::interval(&options));
    }
    page.push(
        "</dl><p class=\"notice\"><b>Research software, not a medical device.</b> The numbers describe \
         agreement with reference texts of a data set. They do not show that answers are clinically \
         right or safe, and nothing here may guide the care of a patient.</p></section>",
    );
}

/// Which METEOR the results have; none without captions and reports.
fn meteor_kinds(run: &Run) -> Vec<MeteorKind> {
    let mut kinds = Vec::new();
    for task in run.metrics.values().flat_map(|metrics| &metrics.tasks) {
        for lexical in task.conditions.iter().filter_map(|condition| condition.overall.lexical) {
            if !kinds.contains(&lexical.meteor_kind) {
                kinds.push(lexical.meteor_kind);
            }
        }
    }
    kinds
}

fn left_out(page: &mut Page) {
    if page.left_out.is_empty() {
        return;
    }
    let items: Vec<String> = page.left_out.iter().map(|line| format!("<li>{line}</li>")).collect();
    page.push(&format!(
        "<section class=\"left-out\"><h2>Not in this report</h2><ul>{}</ul></section>",
        items.join("")
    ));
}
