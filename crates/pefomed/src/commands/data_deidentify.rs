//! `pefomed data deidentify`: DICOM files without the patient.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use pefomed_data::deidentify::{Dates, FolderReport, Options, Salt, deidentify_folder};
use pefomed_data::readable::thousands;

use crate::context::Context;

/// Refused files that a list shows before it is cut.
const SHOWN: usize = 8;

/// Remove patients from DICOM files (PS3.15, annex E, Basic Profile).
#[derive(Args, Debug)]
#[command(after_help = "Outputs are named by new identifiers, in a folder for each patient's \
pseudonym; file names of the input are not kept, and files are spoken of by their number in the \
order of their paths. Pixels are copied as they are: files that may show names are refused. The \
same salt gives the same pseudonyms; keep it secret. The exit code is 1 when a DICOM file was \
refused. docs/dicom.md says what is done to what.

Examples:
  pefomed data deidentify archive/ clean/ --salt-file secret.salt
  pefomed data deidentify archive/ clean/ --salt-file secret.salt --shift-dates")]
pub(crate) struct Arguments {
    /// A DICOM file or a folder of them.
    input: PathBuf,
    /// The folder to write to; a stopped run goes on there.
    output: PathBuf,
    /// The secret that pseudonyms are made from; made when it does not exist.
    #[arg(long, value_name = "FILE")]
    salt_file: PathBuf,
    /// Move all dates of a patient back by one secret number of days, instead of removing them.
    #[arg(long)]
    shift_dates: bool,
    /// Take files whose pixels may show names: you have looked at them.
    #[arg(long)]
    allow_burned_in: bool,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    let salt = Salt::of_file(&arguments.salt_file)?;
    let options = Options {
        dates: if arguments.shift_dates { Dates::Shift } else { Dates::Remove },
        allow_burned_in: arguments.allow_burned_in,
    };
    let counter = context.progress.counter("files");
    let tick = |done, total| counter.tick(done, total);
    let report =
        deidentify_folder(&arguments.input, &arguments.output, &salt, options, Some(&tick))?;
    drop(counter);
    context.output.result(&text(&report), &report)?;
    Ok(ExitCode::from(u8::from(!report.refused.is_empty())))
}

fn text(report: &FolderReport) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{} of {} files written for {} patients, {} already there, {} repeated, {} not DICOM, {} \
         refused",
        thousands(report.written),
        thousands(report.files),
        thousands(report.patients),
        thousands(report.already_there),
        thousands(report.repeated),
        thousands(report.not_dicom),
        thousands(report.refused.len()),
    );
    for (action, count) in &report.counts.actions {
        let _ = writeln!(out, "{action}: {}", thousands(*count));
    }
    for file in report.refused.iter().take(SHOWN) {
        let _ = writeln!(out, "file {} refused: {}", file.number, file.message);
    }
    if report.refused.len() > SHOWN {
        let rest = report.refused.len() - SHOWN;
        let _ = writeln!(out, "… and {rest} more; --json or deidentify.json lists all");
    }
    out
}
