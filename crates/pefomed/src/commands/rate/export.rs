//! `pefomed rate export`: what was answered, with the systems' names.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use pefomed_data::readable::thousands;
use pefomed_eval::rating::export::{self, CountedErrors, Format};
use pefomed_eval::rating::{RaterLoad, Store};
use serde_json::json;

use crate::context::Context;
use crate::failure::Usage;

/// Write the answers of a store out, with the systems' names.
#[derive(Args, Debug)]
#[command(
    after_help = "csv and jsonl have one row for each grade of each system's text; grades is \
what `pefomed agree` reads. A server may be running meanwhile.

Examples:
  pefomed rate export r.sqlite > ratings.csv
  pefomed rate export r.sqlite --format jsonl --history --out everything.jsonl
  pefomed rate export r.sqlite --format grades --out grades.jsonl"
)]
pub(super) struct ExportArguments {
    /// The store.
    store: PathBuf,
    /// Form of the export.
    #[arg(long, value_enum, default_value_t = ExportFormat::Csv)]
    format: ExportFormat,
    /// Everything that was ever answered, with what was changed or taken back.
    #[arg(long)]
    history: bool,
    /// With grades: which marked errors are counted.
    #[arg(long, value_enum, default_value_t = Errors::All)]
    errors: Errors,
    /// Write to this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ExportFormat {
    Csv,
    Jsonl,
    Grades,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Errors {
    All,
    Significant,
}

pub(super) fn run(arguments: &ExportArguments, context: &Context) -> anyhow::Result<ExitCode> {
    if arguments.history && arguments.format == ExportFormat::Grades {
        let problem = "grades are the answers that count: --history goes with csv and jsonl";
        return Err(Usage(problem.to_owned()).into());
    }
    let store = Store::open(&arguments.store)?;
    let rows = export::rows(&store, arguments.history)?;
    let errors = match arguments.errors {
        Errors::All => CountedErrors::All,
        Errors::Significant => CountedErrors::Significant,
    };
    let format = match arguments.format {
        ExportFormat::Csv => Format::Csv,
        ExportFormat::Jsonl => Format::Jsonl,
        ExportFormat::Grades => Format::Grades(errors),
    };
    let Some(out) = &arguments.out else {
        if context.output.is_json() {
            let value = match format {
                Format::Grades(errors) => json!(export::grades(&rows, errors)),
                _ => json!(rows),
            };
            context.output.result("", &value)?;
        } else {
            let mut out = io::stdout().lock();
            export::write(&mut out, &store, &rows, format)?;
            out.flush()?;
        }
        return Ok(ExitCode::SUCCESS);
    };
    export::write_file(out, &store, &rows, format)?;
    let raters = store.summary()?.raters;
    let unsure = rows.iter().filter(|row| row.counts && row.cannot_judge).count();
    let text = export_text(out, rows.len(), unsure, &raters);
    let value = json!({ "out": out, "rows": rows.len(), "cannot_judge": unsure, "raters": raters });
    context.output.result(&text, &value)?;
    Ok(ExitCode::SUCCESS)
}

fn export_text(out: &Path, rows: usize, unsure: usize, raters: &[RaterLoad]) -> String {
    let mut text = format!("{}\n{} rows", out.display(), thousands(rows));
    if unsure > 0 {
        let _ = write!(text, ", {} of them \u{201c}can\u{2019}t judge\u{201d}", thousands(unsure));
    }
    let open: Vec<String> = raters
        .iter()
        .filter(|load| load.graded < load.candidates)
        .map(|load| format!("{} {}", load.rater.name, thousands(load.candidates - load.graded)))
        .collect();
    if !open.is_empty() {
        let _ = write!(text, "; still to be graded: {}", open.join(", "));
    }
    text
}
