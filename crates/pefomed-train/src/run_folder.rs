//! The files of a run: who writes what where, in one place.
//!
//! Every command finds the others' files by these names, and a person finds them by reading the
//! folder. They stay as they are from release to release.

use std::path::{Path, PathBuf};

use pefomed_data::{ImageCondition, Split};

/// The folder of one run. Nothing here touches the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFolder {
    root: PathBuf,
}

impl RunFolder {
    /// The run in `root`, whether or not it exists yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The resolved recipe.
    pub fn recipe(&self) -> PathBuf {
        self.root.join("recipe.toml")
    }

    /// Facts of the run: digests of data, weights and prompt, version, device.
    pub fn run_json(&self) -> PathBuf {
        self.root.join("run.json")
    }

    /// The log, one JSON object a line.
    pub fn events(&self) -> PathBuf {
        self.root.join("events.jsonl")
    }

    /// Folder of the TensorBoard event file.
    pub fn tensorboard(&self) -> PathBuf {
        self.root.join("tensorboard")
    }

    /// Adapter in PEFT layout with the projector beside it, after the last stage.
    pub fn adapter(&self) -> PathBuf {
        self.root.join("adapter")
    }

    /// The same as it was after one stage.
    pub fn stage_adapter(&self, stage: &str) -> PathBuf {
        self.root.join("stages").join(stage).join("adapter")
    }

    /// Folder of all checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    /// One checkpoint, named by the optimizer steps of the whole run before it.
    pub fn checkpoint(&self, step: usize) -> PathBuf {
        self.checkpoints().join(format!("step-{step:06}"))
    }

    /// The run's own cache of image features.
    pub fn features(&self) -> PathBuf {
        self.root.join("features")
    }

    /// Predictions of a split: `predictions-test.jsonl`, and for a control
    /// `predictions-test.blank.jsonl`.
    pub fn predictions(&self, split: Split, condition: ImageCondition) -> PathBuf {
        let name = match condition {
            ImageCondition::True => format!("predictions-{split}.jsonl"),
            control => format!("predictions-{split}.{}.jsonl", control.name()),
        };
        self.root.join(name)
    }

    /// Scores of a split.
    pub fn metrics(&self, split: Split) -> PathBuf {
        self.root.join(format!("metrics-{split}.json"))
    }

    /// The report page.
    pub fn report(&self) -> PathBuf {
        self.root.join("report.html")
    }
}

/// The most memory this process has had resident so far, in bytes; none where the system does not
/// tell it in `/proc/self/status`.
pub fn peak_memory_bytes() -> Option<u64> {
    peak_of(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// `VmHWM:     12345 kB`, where kB are 1,024 bytes.
fn peak_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_their_published_names() {
        let run = RunFolder::new("runs/a");
        let paths = [
            (run.recipe(), "runs/a/recipe.toml"),
            (run.run_json(), "runs/a/run.json"),
            (run.events(), "runs/a/events.jsonl"),
            (run.tensorboard(), "runs/a/tensorboard"),
            (run.adapter(), "runs/a/adapter"),
            (run.stage_adapter("alignment"), "runs/a/stages/alignment/adapter"),
            (run.checkpoint(42), "runs/a/checkpoints/step-000042"),
            (run.features(), "runs/a/features"),
            (run.predictions(Split::Test, ImageCondition::True), "runs/a/predictions-test.jsonl"),
            (
                run.predictions(Split::Val, ImageCondition::Blank),
                "runs/a/predictions-val.blank.jsonl",
            ),
            (
                run.predictions(Split::Test, ImageCondition::Shuffled),
                "runs/a/predictions-test.shuffled.jsonl",
            ),
            (run.metrics(Split::Test), "runs/a/metrics-test.json"),
            (run.report(), "runs/a/report.html"),
        ];
        for (path, expected) in paths {
            assert_eq!(path, Path::new(expected));
        }
    }

    #[test]
    fn the_peak_is_read_from_the_status() {
        let status = "Name:\tpefomed\nVmPeak:\t  9000 kB\nVmHWM:\t    1234 kB\nVmRSS:\t 1000 kB\n";
        assert_eq!(peak_of(status), Some(1234 * 1024));
        assert_eq!(peak_of("Name:\tpefomed\n"), None);
        assert_eq!(peak_of("VmHWM:\tmany kB\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_peak_of_this_process_grows_with_its_memory() {
        let before = peak_memory_bytes().unwrap();
        let buffer: Vec<u8> = (0..64_usize << 20).map(|i| i as u8).collect();
        let after = peak_memory_bytes().unwrap();
        assert_eq!(buffer[300], 44);
        // Other tests run beside this one, so only the lower bound is sure.
        assert!(after >= before, "{after} < {before}");
        assert!(after > 64 << 20, "{after}");
    }
}
