//! Errors on standard error, once, from what failed to why; and the exit code.

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use pefomed_eval::judge::JudgeError;
use pefomed_train::TrainError;

/// A command line that clap accepts and that makes no sense all the same.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Prints help, version, or what is wrong with the command line.
pub(crate) fn refuse(error: &clap::Error) -> ExitCode {
    // Help for a reader that has gone away is no failure.
    let _ = error.print();
    ExitCode::from(if error.use_stderr() { 2 } else { 0 })
}

/// Prints an error with its causes and tells the exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if is_broken_pipe(error) {
        return ExitCode::SUCCESS;
    }
    let mut out = io::stderr().lock();
    let mut said = String::new();
    for (depth, cause) in error.chain().enumerate() {
        let text = cause.to_string();
        // Many errors tell their cause in their own sentence; it is not told twice.
        if said.contains(&text) {
            continue;
        }
        let lead = if depth == 0 { "error" } else { "caused by" };
        let _ = writeln!(out, "{lead}: {text}");
        said.push_str(&text);
        said.push('\n');
    }
    ExitCode::from(if is_usage(error) { 2 } else { 1 })
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        let json = cause.downcast_ref::<serde_json::Error>();
        let kind = kind.or_else(|| json.and_then(serde_json::Error::io_error_kind));
        kind == Some(io::ErrorKind::BrokenPipe)
    })
}

fn is_usage(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<Usage>()
            || matches!(
                cause.downcast_ref(),
                Some(
                    JudgeError::Endpoint { .. }
                        | JudgeError::Remote { .. }
                        | JudgeError::Option { .. }
                )
            )
            || matches!(
                cause.downcast_ref(),
                Some(
                    TrainError::Override { .. }
                        | TrainError::DeviceNotBuilt { .. }
                        | TrainError::UnknownStage { .. }
                )
            )
    })
}
