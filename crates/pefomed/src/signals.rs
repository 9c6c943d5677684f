//! Ctrl-C and SIGTERM: a training saves a checkpoint and leaves, a server ends what it is answering,
//! asking a model keeps the replies that are on their way; everything else leaves at once.

use std::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;

static STOP: AtomicBool = AtomicBool::new(false);
static WORKING: AtomicBool = AtomicBool::new(false);
static INSTALLED: OnceLock<Result<(), String>> = OnceLock::new();

/// Runs work that stops when its flag is set. A second signal does not wait for it.
pub(crate) fn with_stop_flag<T>(work: impl FnOnce(&AtomicBool) -> T) -> anyhow::Result<T> {
    INSTALLED
        .get_or_init(|| ctrlc::set_handler(handle).map_err(|error| error.to_string()))
        .clone()
        .map_err(anyhow::Error::msg)
        .context("cannot listen for signals")?;
    WORKING.store(true, Ordering::SeqCst);
    let result = work(&STOP);
    WORKING.store(false, Ordering::SeqCst);
    Ok(result)
}

#[allow(clippy::exit, reason = "a signal ends the program; there is nobody to return to")]
fn handle() {
    let again = STOP.swap(true, Ordering::SeqCst);
    if again || !WORKING.load(Ordering::SeqCst) {
        // 128 + SIGINT, as shells expect of an interrupted program.
        process::exit(130);
    }
}
