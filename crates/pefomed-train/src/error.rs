//! Every way that planning and running a training can fail.

use std::path::PathBuf;

use pefomed_data::{DataError, Split};
use pefomed_model::ModelError;

/// An error of this crate; each names the file, the line or key, and the remedy where there is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// Data could not be read or a file not written; the error names it.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A recipe is not TOML.
    #[error("`{origin}`{} is not valid TOML: {problem}", at(*line))]
    RecipeSyntax {
        /// The file.
        origin: String,
        /// Line, counted from 1.
        line: Option<usize>,
        /// What the parser met.
        problem: String,
    },
    /// A recipe has a key that nothing reads: most often a slip of the keyboard, which would
    /// otherwise leave the default in force without a word.
    #[error("`{origin}`: unknown key `{key}` in {table} (line {line}): {hint}")]
    UnknownKey {
        /// The file.
        origin: String,
        /// The key as written.
        key: String,
        /// The table it stands in, as a header would write it.
        table: String,
        /// Line, counted from 1.
        line: usize,
        /// The nearest known key, or all of them.
        hint: String,
    },
    /// A recipe lacks a value, or has one that is of the wrong type or makes no sense.
    #[error("`{origin}`{}: {problem}", at(*line))]
    RecipeValue {
        /// The file.
        origin: String,
        /// Line, counted from 1; none when the value is absent or was set on the command line.
        line: Option<usize>,
        /// Table, key, what is wrong and what is allowed.
        problem: String,
    },
    /// A `key=value` on the command line that fits no key of the recipe.
    #[error("cannot apply `{assignment}`: {problem}")]
    Override {
        /// The argument as given.
        assignment: String,
        /// What is wrong and what is allowed.
        problem: String,
    },
    /// A recipe that cannot be written as TOML.
    #[error("cannot write the recipe as TOML: {problem}")]
    RecipeWrite {
        /// The value that does not fit.
        problem: String,
    },
    /// A model could not be read or run; the error names the file or tensor.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// There is nothing to train on or to predict.
    #[error("`{data}` has no example in the split `{split}`: check `split` in the recipe")]
    EmptySplit {
        /// The data sets.
        data: String,
        /// The split.
        split: Split,
    },
    /// A question or answer contains text that the prompt's structure is made of.
    #[error(
        "example `{id}` (row {row}) contains `{text}`, which the prompt template reserves: \
         remove it from the data, or choose another template"
    )]
    ReservedText {
        /// The example.
        id: String,
        /// Its row in the data set.
        row: usize,
        /// The text.
        text: &'static str,
    },
    /// A stage mirrors images whose texts name a side.
    #[error(
        "stage `{}` flips images, and [data.{}], row {} (`{}`), says “{}” in its {}: it would be \
         taught the wrong side. Set `augment.flip = 0`, or leave such rows out",
        .0.stage, .0.data, .0.row, .0.id, .0.word, .0.part
    )]
    FlipsSides(Box<NamedSide>),
    /// The adapter that a recipe starts from is not there, or not the one the recipe describes.
    #[error("[adapter] `start`, `{}`: {problem}", path.display())]
    StartAdapter {
        /// The folder.
        path: PathBuf,
        /// What is wrong, and the remedy.
        problem: String,
    },
    /// A feature file vanished or was damaged while it was in use.
    #[error("`{}` was damaged or removed during the run; start it again to make it anew", path.display())]
    FeatureFile {
        /// The file.
        path: PathBuf,
    },
    /// A run is to be resumed with another recipe, other data or other weights.
    #[error(
        "`{}` belongs to a run with another recipe, other data or other frozen weights: resume it \
         with what it was started with, or choose another run folder", path.display()
    )]
    OtherRun {
        /// The checkpoint.
        path: PathBuf,
    },
    /// The loss is not a number any more.
    #[error(
        "the loss of step {step} of stage `{stage}` is not finite: lower `learning_rate`; the last \
         checkpoint is unharmed"
    )]
    Diverged {
        /// The stage.
        stage: String,
        /// The step, counted from 1.
        step: usize,
    },
    /// A run folder already holds a run.
    #[error("`{}` already holds a run: pass --resume to go on with it, or choose another folder", path.display())]
    RunExists {
        /// The folder.
        path: PathBuf,
    },
    /// A run stopped because it was asked to, with everything saved.
    #[error("stopped at step {step} of stage `{stage}`; `--resume` goes on from there")]
    Stopped {
        /// The stage.
        stage: String,
        /// Steps taken in it.
        step: usize,
    },
    /// The device is not part of this build.
    #[error(
        "this build cannot compute on `{device}`: build it with `--features {device}`, or choose \
         `--device cpu`"
    )]
    DeviceNotBuilt {
        /// The device.
        device: &'static str,
    },
    /// There is no such device, or its driver does not start.
    #[error("cannot compute on `{device}`: {problem}; install a driver, or choose `--device cpu`")]
    DeviceMissing {
        /// The device.
        device: &'static str,
        /// What the driver said.
        problem: String,
    },
    /// The device computes wrongly.
    #[error(
        "`{device}` multiplies two small matrices wrongly, so nothing it computes can be trusted: install \
         another driver, or choose `--device cpu`"
    )]
    DeviceWrong {
        /// The device.
        device: &'static str,
    },
    /// A run has no stage of that name.
    #[error("the run has no stage `{stage}`; it has {known}")]
    UnknownStage {
        /// The name asked for.
        stage: String,
        /// The names there are.
        known: String,
    },
}

/// A side that a text names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedSide {
    /// The stage.
    pub stage: String,
    /// The data set.
    pub data: String,
    /// The row in it.
    pub row: usize,
    /// The example.
    pub id: String,
    /// The word, as it is written.
    pub word: String,
    /// Where it stands: `question`, `answer` or `other answer`.
    pub part: &'static str,
}

/// `, line 31`, or nothing.
fn at(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!(", line {line}"))
}
