//! `pefomed data check`: what is in a data set, and what is wrong with it.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use pefomed_data::check::{CheckOptions, CheckReport, Problem, Severity, check};
use pefomed_data::formats::{self, Format};
use pefomed_data::readable::thousands;
use pefomed_data::split::{self, SplitRule};

use crate::context::Context;
use crate::table::{row, table};

/// Rows and values that a list shows before it is cut.
const SHOWN: usize = 8;

/// Count a data set's rows, images and labels, and find what is missing, broken or leaking.
#[derive(Args, Debug)]
#[command(after_help = "The exit code is 1 when a row cannot be used: its image is missing or \
unreadable, its question or answer empty. With --strict it is also 1 for warnings and for images \
that training and test share.

Examples:
  pefomed data check data/vqa-rad --format vqa-rad
  pefomed data check vqa.jsonl --format jsonl --images pictures --split group-hash")]
pub(crate) struct Arguments {
    /// The file of the data set, or for some layouts its folder.
    path: PathBuf,
    /// Its layout: vqa-rad or jsonl.
    #[arg(long, value_name = "NAME")]
    format: Format,
    /// The folder that image names are relative to; each layout has its own default.
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// What decides which rows are for training.
    #[arg(long, value_enum, default_value_t = Rule::Published)]
    split: Rule,
    /// With group-hash: share of groups for testing, in per cent.
    #[arg(long, value_name = "P", default_value_t = 15.0)]
    test_percent: f64,
    /// With group-hash: share of groups for validation, in per cent.
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    val_percent: f64,
    /// With group-hash: any text; another text gives another split.
    #[arg(long, value_name = "TEXT", default_value = "")]
    salt: String,
    /// Fail on warnings and shared images too.
    #[arg(long)]
    strict: bool,
}

/// What decides the split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Rule {
    /// As the data set publishes it.
    Published,
    /// By a hash of each group's name: no image on both sides.
    GroupHash,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    let mut examples =
        formats::read(arguments.format, &arguments.path, arguments.images.as_deref())?;
    if arguments.split == Rule::GroupHash {
        let rule = SplitRule::GroupHash {
            test_percent: arguments.test_percent,
            val_percent: arguments.val_percent,
            salt: arguments.salt.clone(),
        };
        split::assign(&mut examples, &rule)?;
    }
    let counter = context.progress.counter("images");
    let tick = |done, total| counter.tick(done, total);
    let options = CheckOptions { progress: Some(&tick), ..CheckOptions::default() };
    let report = check(&examples, &options);
    drop(counter);
    context.output.result(&text(&report), &report)?;
    let leaks = report.leakage.iter().any(|leakage| !leakage.is_clean());
    let strict = arguments.strict && (report.count(Severity::Warning) > 0 || leaks);
    Ok(ExitCode::from(u8::from(report.has_errors() || strict)))
}

fn text(report: &CheckReport) -> String {
    let mut out = String::new();
    let mut rows = vec![row(["split", "rows", "groups", "images"])];
    for (split, counts) in &report.splits {
        let counts = [counts.examples, counts.groups, counts.images].map(thousands);
        rows.push([vec![split.to_string()], counts.to_vec()].concat());
    }
    let all = [report.examples, report.groups, report.images.files].map(thousands);
    rows.push([vec!["all".to_owned()], all.to_vec()].concat());
    out.push_str(&table(&rows));
    let tasks: Vec<String> =
        report.tasks.iter().map(|(task, rows)| format!("{task} {}", thousands(*rows))).collect();
    let _ = writeln!(out, "\ntasks: {}", tasks.join(", "));
    images_text(&mut out, report);
    let rare = "…";
    for (column, counts) in &report.labels {
        let mut values: Vec<(&String, &usize)> = counts.values.iter().collect();
        values.sort_by_key(|(_, rows)| std::cmp::Reverse(**rows));
        let mut shown: Vec<String> = values
            .iter()
            .take(SHOWN)
            .map(|(value, rows)| format!("{value} {}", thousands(**rows)))
            .collect();
        if values.len() > SHOWN {
            shown.push(format!("{rare} ({} values)", values.len()));
        }
        if counts.absent > 0 {
            shown.push(format!("none {}", thousands(counts.absent)));
        }
        let _ = writeln!(out, "label {column}: {}", shown.join(", "));
    }
    answers_text(&mut out, report);
    for leakage in &report.leakage {
        let _ = writeln!(
            out,
            "{} and {}: {} of {} images and {} of {} groups of {} are in {} too; {} of its {} \
             questions are repeated there",
            leakage.tested,
            leakage.trained,
            thousands(leakage.images_shared_with_train),
            thousands(leakage.test_images),
            thousands(leakage.shared_with_train),
            thousands(leakage.test_groups),
            leakage.tested,
            leakage.trained,
            thousands(leakage.test_questions_repeated),
            thousands(leakage.test_questions),
        );
    }
    let _ = writeln!(out, "digest of the split: {}", report.split_digest);
    problems_text(&mut out, report);
    out
}

fn images_text(out: &mut String, report: &CheckReport) {
    let images = &report.images;
    let _ = write!(
        out,
        "images: {} decoded, {} missing, {} unreadable",
        thousands(images.decoded),
        thousands(images.missing),
        thousands(images.unreadable)
    );
    if let (Some(small), Some(large)) = (images.smallest, images.largest) {
        let _ = write!(out, "; {}×{} to {}×{} pixels", small.0, small.1, large.0, large.1);
    }
    let kinds = [
        ("grey", images.grey),
        ("16-bit", images.sixteen_bit),
        ("transparent", images.transparent),
        ("turned as their camera noted", images.oriented),
    ];
    for (kind, count) in kinds {
        if count > 0 {
            let _ = write!(out, ", {} {kind}", thousands(count));
        }
    }
    out.push('\n');
    if report.text_only > 0 {
        let _ = writeln!(out, "rows without an image: {}", thousands(report.text_only));
    }
}

fn answers_text(out: &mut String, report: &CheckReport) {
    let answers = &report.answers;
    if answers.distinct == 0 {
        return;
    }
    let most: Vec<String> = answers
        .most_frequent
        .iter()
        .take(SHOWN)
        .map(|(answer, rows)| format!("{answer} {}", thousands(*rows)))
        .collect();
    let _ = writeln!(
        out,
        "answers: {} distinct, {} words at most; most frequent: {}",
        thousands(answers.distinct),
        answers.longest_words,
        most.join(", ")
    );
    for (label, rule) in &answers.by_label {
        let _ = writeln!(
            out,
            "answer_type {label}: {} are yes or no, {} are not",
            thousands(rule.yes_no),
            thousands(rule.other)
        );
    }
}

/// Problems by kind, the gravest first, with the first few of each.
fn problems_text(out: &mut String, report: &CheckReport) {
    let count = |severity| thousands(report.count(severity));
    let _ = writeln!(
        out,
        "\nproblems: {} errors, {} warnings, {} notes",
        count(Severity::Error),
        count(Severity::Warning),
        count(Severity::Note)
    );
    for problems in report.problems.chunk_by(|a, b| a.kind == b.kind) {
        let first = &problems[0];
        let _ = writeln!(
            out,
            "{} {} ({}):",
            thousands(problems.len()),
            word(first.kind),
            word(first.severity)
        );
        for problem in problems.iter().take(SHOWN) {
            let _ = writeln!(out, "  {}: {}", rows_text(problem), problem.detail);
        }
        if problems.len() > SHOWN {
            let _ = writeln!(out, "  … and {} more; --json lists all", problems.len() - SHOWN);
        }
    }
}

/// The word that JSON has for a value.
fn word<T: serde::Serialize>(value: T) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn rows_text(problem: &Problem) -> String {
    let mut rows: Vec<String> = problem
        .rows
        .iter()
        .take(3)
        .map(|row| format!("{} row {} ({})", row.split, row.row, row.id))
        .collect();
    if problem.rows.len() > 3 {
        rows.push(format!("{} more", problem.rows.len() - 3));
    }
    rows.join(", ")
}
