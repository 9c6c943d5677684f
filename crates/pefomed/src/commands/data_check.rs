//! `pefomed data check`: what is in a data set, and what is wrong with it.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use pefomed_data::Task;
use pefomed_data::check::{CheckOptions, CheckReport, Problem, Severity, check};
use pefomed_data::formats::{
    self, Columns, Format, Language, Problems, ReadOptions, Sections, Views,
};
use pefomed_data::readable::thousands;
use pefomed_data::split::{self, SplitRule};

use crate::context::Context;
use crate::failure::Usage;
use crate::table::{row, table};

/// Rows and values that a list shows before it is cut.
const SHOWN: usize = 8;

/// Count a data set's rows, images and labels, and find what is missing, broken or leaking.
#[derive(Args, Debug)]
#[command(after_help = "Layouts:
  vqa-rad     the official release, or trainset.json and testset.json
  slake       folder of train.json, validate.json, test.json and imgs (--language en, zh)
  pathvqa     parquet, or the first release's folder of images and qas
  iu-xray     R2Gen's annotation.json and images (--views first)
  openi-xml   folder of Open-i's XML reports (--sections impression, both; --views first)
  roco        ROCO's captions.txt or traindata.csv by split, ROCOv2's train_captions.csv
  imageclef   CSV files of ID and caption
  medicat     JSON lines with pdf_hash, fig_uri and s2_caption, and figures
  mimic-cxr   annotation.json; the release's split.csv and files; or a table of path and report
  medexpqa    JSON lines by language, no images (--language en, es, fr, it)
  mediqa-m3g  JSON of cases with several images (--language en, zh, es)
  parquet     any parquet files of Hugging Face, images inside (--column question=NAME)
  llava       JSON with id, image and conversations
  sharegpt    JSON with images and conversations or messages
  messages    JSON with messages of role and content, or content parts
  csv         any CSV or TSV table with named columns (--column question=NAME)
  jsonl       this project's own: one JSON object a line

Rows that cannot be read are listed and left out. The exit code is 1 when there are any, or when a \
row cannot be used: its image is missing or unreadable, its question or answer empty. With --strict \
it is also 1 for warnings and for images that training and test share.

Examples:
  pefomed data check data/vqa-rad --format vqa-rad
  pefomed data check vqa.jsonl --format jsonl --images pictures --split group-hash")]
pub(crate) struct Arguments {
    /// The file of the data set, or for some layouts its folder.
    path: PathBuf,
    /// Its layout; see below.
    #[arg(long, value_name = "NAME")]
    format: Format,
    /// The folder that image names are relative to; each layout has its own default.
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Only rows of this language.
    #[arg(long, value_name = "CODE")]
    language: Option<Language>,
    /// Which images of a study: all or first.
    #[arg(long, value_name = "WHICH")]
    views: Option<Views>,
    /// Which sections of a report: findings, impression or both.
    #[arg(long, value_name = "WHICH")]
    sections: Option<Sections>,
    /// What a column is called: id, image, question, answer, split, group, task or labels.
    #[arg(long = "column", value_name = "ROLE=NAME")]
    columns: Vec<String>,
    /// What the rows ask, where the layout leaves it open: vqa, caption or report.
    #[arg(long, value_name = "TASK")]
    task: Option<Task>,
    /// Also look for images of different splits that look alike.
    #[arg(long)]
    similar: bool,
    /// What decides which rows are for training.
    #[arg(long, value_enum, default_value_t = Rule::Published)]
    split: Rule,
    /// With group-hash: share of groups for testing, in per cent.
    #[arg(long, value_name = "P", default_value_t = 15.0)]
    test_percent: f64,
    /// With group-hash: share of groups for validation, in per cent.
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    val_percent: f64,
    /// With fold: which fold is for testing, as in 2/5.
    #[arg(long, value_name = "N/OF", default_value = "1/5")]
    fold: String,
    /// With group-hash and fold: any text; another text gives another split.
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
    /// One fold of a cross-validation, by the same hash.
    Fold,
}

impl Arguments {
    fn options(&self) -> Result<ReadOptions, Usage> {
        let mut columns = Columns::default();
        for assignment in &self.columns {
            columns.set(assignment).map_err(Usage)?;
        }
        Ok(ReadOptions {
            images: self.images.clone(),
            language: self.language,
            views: self.views,
            sections: self.sections,
            columns: (!self.columns.is_empty()).then_some(columns),
            task: self.task,
        })
    }

    fn rule(&self) -> Result<SplitRule, Usage> {
        Ok(match self.split {
            Rule::Published => SplitRule::Published,
            Rule::GroupHash => SplitRule::GroupHash {
                test_percent: self.test_percent,
                val_percent: self.val_percent,
                salt: self.salt.clone(),
            },
            Rule::Fold => {
                let parts = self.fold.split_once('/');
                let parts =
                    parts.and_then(|(fold, of)| Some((fold.parse().ok()?, of.parse().ok()?)));
                let Some((fold, of)) = parts else {
                    return Err(Usage(format!("`{}` is no fold: write it as 2/5", self.fold)));
                };
                SplitRule::Fold { fold, of, salt: self.salt.clone() }
            }
        })
    }
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    let mut problems = Problems::lenient();
    let options = arguments.options()?;
    let mut examples =
        formats::read_with(arguments.format, &arguments.path, &options, &mut problems)?;
    split::assign(&mut examples, &arguments.rule()?)?;
    let counter = context.progress.counter("images");
    let tick = |done, total| counter.tick(done, total);
    let options = CheckOptions {
        similar_images: arguments.similar,
        reading: Some(&problems),
        progress: Some(&tick),
        ..CheckOptions::default()
    };
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
    if report.skipped > 0 {
        let _ =
            write!(out, "\nleft out, because they cannot be read: {}", thousands(report.skipped));
    }
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
            let rows = rows_text(problem);
            let mark = if rows.is_empty() { "" } else { ": " };
            let _ = writeln!(out, "  {rows}{mark}{}", problem.detail);
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
