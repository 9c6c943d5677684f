//! A scorer as a process: items go in, lines come out, and neither waits for the other.
//!
//! One thread writes, one reads lines, one keeps the end of what is written to standard error. The
//! threads are not joined: a program that the command left behind may hold a pipe open for ever, and
//! must not hold up this one.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, BufWriter, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::line::{Received, Request};
use super::{ExternalError, ExternalScorer, Said};

/// Longest line that is read, in bytes.
const LONGEST_LINE: usize = 1 << 20;
/// Lines that wait to be looked at.
const WAITING: usize = 64;
/// How much of standard error is kept, in bytes.
const KEPT: usize = 1_000;
/// How often is looked whether the process is still there.
const TICK: Duration = Duration::from_millis(50);
/// How long a process that has ended may leave its output open.
const GRACE: Duration = Duration::from_secs(1);

enum Line {
    Whole(Vec<u8>),
    TooLong,
}

/// Kills the process when the work ends before it does.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only for a process that is gone.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a scorer over items and takes its lines; gives what it said beside them.
pub(super) fn run(
    scorer: &ExternalScorer,
    requests: Vec<Request>,
    received: &mut Received<'_>,
) -> Result<Said, ExternalError> {
    let (program, arguments) = scorer.command.split_first().ok_or(ExternalError::Option {
        text: scorer.name.clone(),
        problem: "there is no command",
    })?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running(command.spawn().map_err(|error| ExternalError::Start {
        scorer: scorer.name.clone(),
        program: program.clone(),
        error,
    })?);
    if let Some(input) = running.0.stdin.take() {
        thread::spawn(move || write(input, &requests));
    }
    let said = running.0.stderr.take().map(keep_end).unwrap_or_default();
    let lines = running.0.stdout.take().map(read);
    let status = match lines {
        Some(lines) => follow(scorer, &mut running.0, &lines, received, &said)?,
        None => None,
    };
    let (scored, items) = (received.scored, received.items());
    let name = || scorer.name.clone();
    match status {
        Some(status) if !status.success() => {
            let status = status.to_string();
            let said = end_of(&said);
            Err(ExternalError::Failed { scorer: name(), status, scored, items, said })
        }
        Some(_) => Ok(end_of(&said)),
        None => Err(silent(scorer, received, &said)),
    }
}

/// Takes lines until the output ends and the process has; none if it went on in silence.
fn follow(
    scorer: &ExternalScorer,
    child: &mut Child,
    lines: &Receiver<Line>,
    received: &mut Received<'_>,
    said: &Kept,
) -> Result<Option<ExitStatus>, ExternalError> {
    let mut number = 0;
    let mut last = Instant::now();
    let mut heard = last;
    let mut ended: Option<(ExitStatus, Instant)> = None;
    let mut is_open = true;
    loop {
        if is_open {
            match lines.recv_timeout(TICK) {
                Ok(Line::Whole(line)) => {
                    number += 1;
                    heard = Instant::now();
                    if received.take(number, &line)? {
                        last = Instant::now();
                    }
                }
                Ok(Line::TooLong) => {
                    return Err(ExternalError::Line {
                        scorer: scorer.name.clone(),
                        line: number + 1,
                        problem: format!("it is longer than {LONGEST_LINE} bytes"),
                    });
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => is_open = false,
            }
        } else {
            thread::sleep(TICK.min(Duration::from_millis(5)));
        }
        if ended.is_none()
            && let Ok(Some(status)) = child.try_wait()
        {
            ended = Some((status, Instant::now()));
        }
        if let Some((status, at)) = ended
            && (!is_open || at.max(heard).elapsed() > GRACE)
        {
            return Ok(Some(status));
        }
        if last.elapsed() > scorer.silence {
            return Err(silent(scorer, received, said));
        }
    }
}

fn silent(scorer: &ExternalScorer, received: &Received<'_>, said: &Kept) -> ExternalError {
    ExternalError::Silent {
        scorer: scorer.name.clone(),
        scored: received.scored,
        items: received.items(),
        seconds: scorer.silence.as_secs(),
        said: end_of(said),
    }
}

/// Writes the items; one that is not read any more ends it, which the missing scores will tell.
fn write(input: impl Write, requests: &[Request]) {
    let mut out = BufWriter::new(input);
    for request in requests {
        if serde_json::to_writer(&mut out, request).is_err() || out.write_all(b"\n").is_err() {
            return;
        }
    }
    let _ = out.flush();
}

fn read(output: impl Read + Send + 'static) -> Receiver<Line> {
    let (send, lines) = sync_channel(WAITING);
    thread::spawn(move || {
        let mut output = BufReader::new(output);
        loop {
            let mut line = Vec::new();
            let most = LONGEST_LINE as u64 + 1;
            match output.by_ref().take(most).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(length) => {
                    let is_long = length > LONGEST_LINE;
                    let line = if is_long { Line::TooLong } else { Line::Whole(line) };
                    if send.send(line).is_err() || is_long {
                        return;
                    }
                }
            }
        }
    });
    lines
}

type Kept = Arc<Mutex<VecDeque<u8>>>;

/// Reads all and keeps the end.
fn keep_end(mut output: impl Read + Send + 'static) -> Kept {
    let kept = Kept::default();
    let filled = Arc::clone(&kept);
    thread::spawn(move || {
        let mut bytes = [0; 4_096];
        while let Ok(count @ 1..) = output.read(&mut bytes) {
            let mut kept = filled.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend(bytes.iter().take(count));
            let surplus = kept.len().saturating_sub(KEPT);
            kept.drain(..surplus);
        }
    });
    kept
}

/// What was kept, as one line of text.
fn end_of(kept: &Kept) -> Said {
    // What was written last may still be on its way.
    thread::sleep(TICK);
    let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    let bytes: Vec<u8> = kept.iter().copied().collect();
    let text = String::from_utf8_lossy(&bytes);
    let words: Vec<&str> = text.split_whitespace().collect();
    Said(words.join(" ").chars().filter(|letter| !letter.is_control()).collect())
}
