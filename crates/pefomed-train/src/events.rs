//! What happens in a run, as events that anybody may listen to.
//!
//! The training loop tells each event once and formats nothing; the log, TensorBoard and a progress
//! bar are observers. The log `events.jsonl` has one JSON object a line, written as soon as it
//! happens, so that a killed run keeps everything up to its last step. A resumed run cuts the log
//! back to the checkpoint it starts from: each step stands in it once, however often the run died.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use pefomed_data::{DataError, files};
use serde::{Deserialize, Deserializer, Serialize};

use crate::TrainError;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A stage begins at its first step.
    StageStarted {
        /// Its name.
        stage: String,
        /// Optimizer steps it will take.
        steps: usize,
        /// Training examples it reads.
        examples: usize,
        /// Numbers it trains.
        trainable: usize,
    },
    /// An optimizer step was taken.
    Step {
        /// Name of the stage.
        stage: String,
        /// Steps taken in this stage, this one included.
        step: usize,
        /// Steps the stage has.
        steps: usize,
        /// Mean cross-entropy over the answer tokens of the step, in nats.
        #[serde(deserialize_with = "number_or_null")]
        loss: f64,
        /// Learning rate of the step.
        #[serde(rename = "lr")]
        learning_rate: f64,
        /// Positions that went through the decoder.
        tokens: usize,
        /// Questions answered.
        questions: usize,
        /// Wall time of the step.
        seconds: f64,
    },
    /// All steps of a stage are done.
    StageFinished {
        /// Its name.
        stage: String,
        /// Wall time of the stage, without what came before a resume.
        seconds: f64,
        /// Most memory the process has had resident, where the system tells.
        peak_memory_bytes: Option<u64>,
    },
    /// A checkpoint is complete on disk.
    Checkpoint {
        /// Name of the stage.
        stage: String,
        /// Steps taken in this stage.
        step: usize,
        /// Its folder.
        path: PathBuf,
    },
    /// The run goes on from a checkpoint.
    Resumed {
        /// Name of the stage.
        stage: String,
        /// Steps of the stage that are already taken.
        step: usize,
    },
    /// Something a person should know.
    Note {
        /// In one sentence.
        text: String,
    },
}

/// JSON has no NaN and no infinity; they are written as `null`, and a log that holds one is still
/// a log.
fn number_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

impl Event {
    /// The stage it belongs to; a note belongs to none.
    pub fn stage(&self) -> Option<&str> {
        match self {
            Self::StageStarted { stage, .. }
            | Self::Step { stage, .. }
            | Self::StageFinished { stage, .. }
            | Self::Checkpoint { stage, .. }
            | Self::Resumed { stage, .. } => Some(stage),
            Self::Note { .. } => None,
        }
    }

    /// Whether it lies after the point where `done` steps of its own stage were taken.
    fn is_after(&self, done: usize) -> bool {
        match self {
            Self::Step { step, .. }
            | Self::Checkpoint { step, .. }
            | Self::Resumed { step, .. } => *step > done,
            Self::StageFinished { .. } => true,
            Self::StageStarted { .. } => done == 0,
            Self::Note { .. } => false,
        }
    }
}

/// Somebody who wants to know what happens.
pub trait Observer {
    /// Hears of one event.
    ///
    /// # Errors
    /// When it cannot be recorded, such as on a full disk; the run should then stop, since what
    /// follows could not be recorded either.
    fn event(&mut self, event: &Event) -> Result<(), TrainError>;
}

/// Keeps all events in memory.
impl Observer for Vec<Event> {
    fn event(&mut self, event: &Event) -> Result<(), TrainError> {
        self.push(event.clone());
        Ok(())
    }
}

/// Tells several observers, in their order.
#[derive(Default)]
pub struct Observers(pub Vec<Box<dyn Observer>>);

impl Observer for Observers {
    fn event(&mut self, event: &Event) -> Result<(), TrainError> {
        self.0.iter_mut().try_for_each(|observer| observer.event(event))
    }
}

/// Appends events to a file, one JSON object a line.
#[derive(Debug)]
pub struct JsonLines {
    path: PathBuf,
    file: File,
}

impl JsonLines {
    /// Starts an empty log. Missing folders are made, an old log is overwritten.
    ///
    /// # Errors
    /// [`DataError::Write`].
    pub fn create(path: &Path) -> Result<Self, TrainError> {
        files::write_bytes(path, b"")?;
        Self::append(path)
    }

    /// Goes on with a log from the point where `step` steps of `stage` were taken: events after it
    /// and a last line that was cut off are dropped, everything before it stays byte for byte. At
    /// step 0 the stage begins anew, with its `stage_started`. A missing log is an empty one.
    ///
    /// # Errors
    /// [`DataError::Read`], [`DataError::Write`], and [`DataError::Row`] for a damaged line before
    /// that point.
    pub fn resume(path: &Path, stage: &str, step: usize) -> Result<Self, TrainError> {
        let bytes = match files::read_bytes(path) {
            Ok(bytes) => bytes,
            Err(DataError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Self::create(path);
            }
            Err(error) => return Err(error.into()),
        };
        let kept = kept_length(path, whole_lines(path, &bytes)?, stage, step)?;
        if kept < bytes.len() {
            files::write_bytes(path, &bytes[..kept])?;
        }
        Self::append(path)
    }

    fn append(path: &Path) -> Result<Self, TrainError> {
        let file = OpenOptions::new()
            .append(true)
            .open(path)
            .map_err(|source| DataError::Write { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), file })
    }
}

impl Observer for JsonLines {
    fn event(&mut self, event: &Event) -> Result<(), TrainError> {
        let failed = |source| DataError::Write { path: self.path.clone(), source };
        let mut line = serde_json::to_vec(event).map_err(|error| failed(error.into()))?;
        line.push(b'\n');
        // One write without a buffer: the line is in the file when this returns.
        self.file.write_all(&line).map_err(failed)?;
        Ok(())
    }
}

/// The text up to the last line break: what follows it was cut off, perhaps inside a letter.
fn whole_lines<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a str, DataError> {
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    std::str::from_utf8(&bytes[..end]).map_err(|error| DataError::Read {
        path: path.to_owned(),
        source: io::Error::new(io::ErrorKind::InvalidData, error),
    })
}

/// How many bytes of a log lie before the point of a resume. A log is in the order of time, so the
/// first event after that point ends it.
fn kept_length(path: &Path, text: &str, stage: &str, step: usize) -> Result<usize, DataError> {
    let mut kept = 0;
    let mut reached = false;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let is_last = kept + line.len() == text.len();
        let event = match parse_line(path, index + 1, line, is_last)? {
            Line::Known(event) => Some(event),
            Line::Unknown => None,
            Line::Damaged => break,
        };
        if let Some(event) = event {
            match event.stage() {
                Some(of) if of == stage => {
                    if event.is_after(step) {
                        break;
                    }
                    reached = true;
                }
                // A stage that comes after ours.
                Some(_) if reached => break,
                _ => {}
            }
        }
        kept += line.len();
    }
    Ok(kept)
}

/// What a line of a log can be.
enum Line {
    Known(Event),
    /// An event of a kind that this version does not know.
    Unknown,
    /// The last line, and no JSON: a power cut can leave one.
    Damaged,
}

fn parse_line(path: &Path, row: usize, line: &str, is_last: bool) -> Result<Line, DataError> {
    match serde_json::from_str(line) {
        Ok(event) => Ok(Line::Known(event)),
        Err(error) if error.is_data() => Ok(Line::Unknown),
        Err(_) if is_last => Ok(Line::Damaged),
        Err(error) => Err(DataError::Row {
            path: path.to_owned(),
            row,
            problem: format!("not an event ({error}): remove the line, or the file to start anew"),
        }),
    }
}

/// Reads a log; a last line that was cut off, and events of kinds this version does not know, are
/// left out.
///
/// # Errors
/// [`DataError::Read`], and [`DataError::Row`] for a damaged line.
pub fn read(path: &Path) -> Result<Vec<Event>, DataError> {
    let bytes = files::read_bytes(path)?;
    let text = whole_lines(path, &bytes)?;
    let rows = text.split_inclusive('\n').count();
    let mut events = Vec::with_capacity(rows);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if let Line::Known(event) = parse_line(path, index + 1, line, index + 1 == rows)? {
            events.push(event);
        }
    }
    Ok(events)
}

#[cfg(test)]
mod tests;
