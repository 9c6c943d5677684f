//! The command line: one program from the files of a data set to a page with the results.
//!
//! Nothing is decided here that another crate could need. A command reads its arguments, calls the
//! crate that does the work, and says what came of it: results go to standard output (as text, or
//! with `--json` for scripts), progress to standard error, and the exit code is 0 when it is done,
//! 1 when it failed, 2 when the command line itself is wrong.

mod ablation;
mod agreement_table;
mod baseline;
mod cli;
mod commands;
mod context;
mod endpoint;
mod failure;
mod judge_table;
mod metric_options;
mod metrics_table;
mod output;
mod progress;
mod scoring;
mod signals;
mod system;
mod table;
mod tuning;
mod way_on;

use std::process::ExitCode;

use clap::Parser as _;

/// Every operation on tensors allocates its result: the system's allocator hands large blocks back at
/// once and has them zeroed again for the next operation.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    pefomed_kernels::memory::keep_freed_memory();
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return failure::refuse(&error),
    };
    match context::Context::new(&cli.global).and_then(|context| cli.command.run(&context)) {
        Ok(code) => code,
        Err(error) => failure::report(&error),
    }
}
