//! Progress on standard error: bars on a terminal, a line every few seconds elsewhere.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use pefomed_data::readable::{clock, thousands};
use pefomed_train::{Event, Observer, TrainError};

/// Time between two lines where there is no terminal.
const BETWEEN_LINES: Duration = Duration::from_secs(5);
/// Weight of what is known in a running mean.
const INERTIA: f64 = 0.95;

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Silent,
    Lines,
    Bars,
}

/// Standard error, where progress goes. That it cannot be written to stops nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    mode: Mode,
}

impl Progress {
    pub(crate) fn new(quiet: bool) -> Self {
        let mode = match quiet {
            true => Mode::Silent,
            false if io::stderr().is_terminal() => Mode::Bars,
            false => Mode::Lines,
        };
        Self { mode }
    }

    /// One line for people.
    pub(crate) fn note(self, text: &str) {
        if self.mode != Mode::Silent {
            line(text);
        }
    }

    /// One line for people that is said even when no progress is shown.
    #[allow(clippy::unused_self, reason = "where progress goes, this goes")]
    pub(crate) fn warn(self, text: &str) {
        line(text);
    }

    /// Counts items of some kind of work.
    pub(crate) fn counter(self, what: &str) -> Counter {
        let bar = if self.mode == Mode::Bars {
            bar(what, "{prefix:>12} {wide_bar} {pos}/{len}  {per_sec}  ETA {eta}")
        } else {
            ProgressBar::hidden()
        };
        Counter {
            what: what.to_owned(),
            lines: self.mode == Mode::Lines,
            bar,
            clock: Mutex::new((Instant::now(), Instant::now())),
        }
    }

    /// Follows the stages of a training.
    pub(crate) fn stages(self) -> Stages {
        Stages { mode: self.mode, bar: None, pace: Pace::default(), said: Instant::now() }
    }
}

fn line(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

fn bar(what: &str, template: &str) -> ProgressBar {
    let bar = ProgressBar::new(0).with_prefix(what.to_owned());
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// Counts done items; may be told from several threads.
#[derive(Debug)]
pub(crate) struct Counter {
    what: String,
    lines: bool,
    bar: ProgressBar,
    /// Beginning, and last line.
    clock: Mutex<(Instant, Instant)>,
}

impl Counter {
    /// `done` of `total` items are done.
    pub(crate) fn tick(&self, done: usize, total: usize) {
        self.bar.set_length(total as u64);
        self.bar.set_position(self.bar.position().max(done as u64));
        if !self.lines {
            return;
        }
        // A poisoned clock costs a line and nothing else.
        let Ok(mut clock) = self.clock.lock() else { return };
        let (begin, said) = *clock;
        if said.elapsed() < BETWEEN_LINES {
            return;
        }
        clock.1 = Instant::now();
        line(&format!("{} {done}/{total}  ETA {}", self.what, eta(begin, done, total)));
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn eta(begin: Instant, done: usize, total: usize) -> String {
    let seconds = begin.elapsed().as_secs_f64();
    clock(seconds / done.max(1) as f64 * total.saturating_sub(done) as f64)
}

/// Running means, of which early ones are not drawn toward zero.
#[derive(Debug, Default)]
struct Pace {
    weight: f64,
    loss: f64,
    seconds: f64,
    tokens: f64,
    questions: f64,
}

impl Pace {
    fn add(&mut self, loss: f64, seconds: f64, tokens: usize, questions: usize) {
        let mix = |old: f64, new: f64| INERTIA * old + (1.0 - INERTIA) * new;
        self.weight = mix(self.weight, 1.0);
        self.loss = mix(self.loss, loss);
        self.seconds = mix(self.seconds, seconds);
        self.tokens = mix(self.tokens, tokens as f64);
        self.questions = mix(self.questions, questions as f64);
    }

    /// `loss 1.234  12.3 questions/s  2,345 tokens/s  ETA 0:42`
    fn text(&self, steps_left: usize) -> String {
        let mut text = format!("loss {:.4}", self.loss / self.weight);
        let seconds = self.seconds.max(1e-9);
        let _ = write!(
            text,
            "  {:.1} questions/s  {} tokens/s  ETA {}",
            self.questions / seconds,
            thousands((self.tokens / seconds) as usize),
            clock(self.seconds / self.weight * steps_left as f64),
        );
        text
    }
}

/// Shows a training from its events.
#[derive(Debug)]
pub(crate) struct Stages {
    mode: Mode,
    bar: Option<ProgressBar>,
    pace: Pace,
    said: Instant,
}

impl Stages {
    fn begin(&mut self, stage: &str, step: usize, steps: usize) {
        self.end();
        self.pace = Pace::default();
        self.said = Instant::now();
        if self.mode == Mode::Bars {
            let bar = bar(stage, "{prefix:>12} {wide_bar} {pos}/{len}  {msg}");
            bar.set_length(steps as u64);
            bar.set_position(step as u64);
            self.bar = Some(bar);
        }
    }

    fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// A line that stays, above the bar.
    fn say(&self, text: &str) {
        match (self.mode, &self.bar) {
            (Mode::Silent, _) => {}
            (_, Some(bar)) => bar.suspend(|| line(text)),
            _ => line(text),
        }
    }

    fn step(&mut self, stage: &str, step: usize, steps: usize) {
        let text = self.pace.text(steps.saturating_sub(step));
        match &self.bar {
            Some(bar) => {
                bar.set_length(steps as u64);
                bar.set_position(step as u64);
                bar.set_message(text);
            }
            None if self.said.elapsed() >= BETWEEN_LINES => {
                self.said = Instant::now();
                self.say(&format!("{stage} {step}/{steps}  {text}"));
            }
            None => {}
        }
    }
}

impl Observer for Stages {
    fn event(&mut self, event: &Event) -> Result<(), TrainError> {
        match event {
            Event::StageStarted { stage, steps, examples, trainable } => {
                self.begin(stage, 0, *steps);
                self.say(&format!(
                    "{stage}: {} steps over {} examples, {} trained parameters",
                    thousands(*steps),
                    thousands(*examples),
                    thousands(*trainable)
                ));
            }
            Event::Resumed { stage, step } => {
                self.begin(stage, *step, *step);
                self.say(&format!("{stage}: goes on after step {step}"));
            }
            Event::Step { stage, step, steps, loss, tokens, questions, seconds, .. } => {
                self.pace.add(*loss, *seconds, *tokens, *questions);
                self.step(stage, *step, *steps);
            }
            Event::StageFinished { stage, seconds, .. } => {
                self.end();
                let loss = self.pace.loss / self.pace.weight.max(1e-9);
                self.say(&format!("{stage}: done in {}, loss {loss:.4}", clock(*seconds)));
            }
            Event::Note { text } => self.say(text),
            Event::Checkpoint { .. } => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_mean_is_the_first_value() {
        let mut pace = Pace::default();
        pace.add(2.0, 0.5, 1000, 8);
        assert_eq!(pace.text(100), "loss 2.0000  16.0 questions/s  2,000 tokens/s  ETA 50 s");
        // 0.05·2·0.95 + 0.05·4, over a weight of 0.0975.
        pace.add(4.0, 0.5, 1000, 8);
        assert!(pace.text(0).starts_with("loss 3.0256"), "{}", pace.text(0));
    }
}
