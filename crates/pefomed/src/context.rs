//! What every command is given: where results and progress go, and where to compute.

use anyhow::Context as _;
use pefomed_model::parameters::Placement;
use pefomed_train::DeviceKind;

use crate::cli::Global;
use crate::output::Output;
use crate::progress::Progress;

/// The options of every command, made ready.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) output: Output,
    pub(crate) progress: Progress,
    pub(crate) device: DeviceKind,
}

impl Context {
    /// Sets the number of threads for the whole program.
    pub(crate) fn new(global: &Global) -> anyhow::Result<Self> {
        if let Some(threads) = global.threads {
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads.get())
                .build_global()
                .context("cannot start the threads")?;
        }
        Ok(Self {
            output: Output::new(global.json),
            progress: Progress::new(global.quiet),
            device: global.device,
        })
    }

    /// The device to compute on.
    pub(crate) fn placement(&self) -> anyhow::Result<Placement> {
        let place = self.device.placement()?;
        if self.device != DeviceKind::Cpu {
            self.progress.note(&format!("computing on {}", self.device.description()));
        }
        Ok(place)
    }
}
