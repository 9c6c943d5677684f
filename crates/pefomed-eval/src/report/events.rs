//! The training log of a run: `events.jsonl`, one JSON object a line.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// What is known of one training stage.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Stage {
    pub(super) name: String,
    /// Planned steps.
    pub(super) steps: Option<u64>,
    pub(super) examples: Option<u64>,
    pub(super) trainable: Option<u64>,
    pub(super) seconds: Option<f64>,
    pub(super) peak_memory_bytes: Option<u64>,
    /// Measured steps by number. A resumed run repeats some; the later line counts.
    pub(super) log: BTreeMap<u64, Step>,
}

/// One optimizer step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Step {
    /// Mean loss of the step; absent when it was not a finite number.
    pub(super) loss: Option<f64>,
    pub(super) tokens: u64,
    pub(super) questions: u64,
    pub(super) seconds: f64,
}

/// The stages in the order they first appear, and the number of lines that could not be read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Log {
    pub(super) stages: Vec<Stage>,
    pub(super) unreadable: usize,
}

/// The fields that the three known events have between them.
#[derive(Deserialize)]
struct Line {
    event: String,
    #[serde(default)]
    stage: String,
    step: Option<u64>,
    steps: Option<u64>,
    /// Anything: a diverged run may have written `null` or a word.
    #[serde(default)]
    loss: Value,
    tokens: Option<u64>,
    questions: Option<u64>,
    seconds: Option<f64>,
    examples: Option<u64>,
    trainable: Option<u64>,
    peak_memory_bytes: Option<u64>,
}

impl Log {
    /// Reads the lines. Events of other kinds are skipped; a line that is not an event at all (a
    /// run that was killed leaves half a line) is counted.
    pub(super) fn parse(text: &str) -> Self {
        let mut log = Self::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            // Only the tag must be there: an event of another kind may use our field names.
            let Ok(value) = serde_json::from_str::<Value>(line) else {
                log.unreadable += 1;
                continue;
            };
            match value.get("event").and_then(Value::as_str) {
                Some("step" | "stage_started" | "stage_finished") => {}
                Some(_) => continue,
                None => {
                    log.unreadable += 1;
                    continue;
                }
            }
            match serde_json::from_value::<Line>(value) {
                Ok(line) => log.add(&line),
                Err(_) => log.unreadable += 1,
            }
        }
        log
    }

    fn add(&mut self, line: &Line) {
        let known = self.stages.iter().position(|stage| stage.name == line.stage);
        let index = known.unwrap_or_else(|| {
            self.stages.push(Stage { name: line.stage.clone(), ..Stage::default() });
            self.stages.len() - 1
        });
        let stage = &mut self.stages[index];
        match line.event.as_str() {
            "step" => {
                let Some(number) = line.step else {
                    self.unreadable += 1;
                    return;
                };
                stage.steps = line.steps.or(stage.steps);
                let step = Step {
                    loss: line.loss.as_f64().filter(|loss| loss.is_finite()),
                    tokens: line.tokens.unwrap_or(0),
                    questions: line.questions.unwrap_or(0),
                    seconds: line.seconds.filter(|s| s.is_finite()).unwrap_or(0.0),
                };
                stage.log.insert(number, step);
            }
            "stage_started" => {
                stage.steps = line.steps.or(stage.steps);
                stage.examples = line.examples.or(stage.examples);
                stage.trainable = line.trainable.or(stage.trainable);
            }
            _ => {
                stage.seconds = line.seconds.or(stage.seconds);
                stage.peak_memory_bytes = line.peak_memory_bytes.or(stage.peak_memory_bytes);
            }
        }
    }
}

impl Stage {
    /// The finite losses as (step, loss).
    pub(super) fn losses(&self) -> Vec<(f64, f64)> {
        self.log
            .iter()
            .filter_map(|(step, measured)| Some((*step as f64, measured.loss?)))
            .collect()
    }

    /// Tokens a second over all steps that were timed.
    pub(super) fn tokens_per_second(&self) -> Option<f64> {
        let seconds: f64 = self.log.values().map(|step| step.seconds).sum();
        let tokens: u64 = self.log.values().map(|step| step.tokens).sum();
        (seconds > 0.0 && tokens > 0).then(|| tokens as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_killed_and_resumed_run_reads_as_one() {
        let log = Log::parse(
            r#"{"event":"stage_started","stage":"vqa","steps":3,"examples":64,"trainable":10}
{"event":"step","stage":"vqa","step":1,"steps":3,"loss":2.5,"tokens":10,"questions":2,"seconds":0.5}
{"event":"step","stage":"vqa","step":2,"steps":3,"loss":null,"tokens":10,"seconds":0.5}
{"event":"step","stage":"vqa","st
{"event":"checkpoint","step":"two"}
{"event":"step","stage":"vqa","step":2,"steps":3,"loss":1.5,"tokens":30,"seconds":1.0}
{"no":"tag"}
{"event":"stage_finished","stage":"vqa","seconds":9.5,"peak_memory_bytes":4096}
"#,
        );
        assert_eq!(log.unreadable, 2);
        let [stage] = log.stages.as_slice() else { panic!("{log:?}") };
        assert_eq!(stage.losses(), [(1.0, 2.5), (2.0, 1.5)]);
        assert_eq!(stage.tokens_per_second(), Some(40.0 / 1.5));
        assert_eq!((stage.steps, stage.examples, stage.trainable), (Some(3), Some(64), Some(10)));
        assert_eq!((stage.seconds, stage.peak_memory_bytes), (Some(9.5), Some(4096)));
    }
}
