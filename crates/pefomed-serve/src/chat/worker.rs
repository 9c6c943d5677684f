//! The line of questions, and the thread that answers them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Instant;
use std::{io, thread};

use pefomed_data::Finish;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{Answer, Answers, Note, Problem, Question};

/// Questions that may wait.
const LONGEST_LINE: usize = 64;

/// What is said of a question at which the program failed.
const FAILED: &str = "the program failed at this question; please report it";

/// What is heard of a question that was asked.
#[derive(Debug)]
pub(super) enum Heard {
    /// More of the answer's text.
    Text(String),
    /// The end of it.
    End(Result<Answer, Problem>),
}

/// Why a question could not be put into the line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// As many questions as may are waiting.
    Full,
    /// The thread that answers has ended.
    Closed,
}

struct Job {
    question: Question,
    limit: usize,
    tell: UnboundedSender<Heard>,
}

/// The line of questions.
#[derive(Clone, Debug)]
pub(super) struct Line {
    jobs: SyncSender<Job>,
}

impl Line {
    /// Puts a question at the end of the line. It is given up once the receiver is dropped.
    pub(super) fn ask(
        &self,
        question: Question,
        limit: usize,
    ) -> Result<UnboundedReceiver<Heard>, NoPlace> {
        let (tell, heard) = unbounded_channel();
        match self.jobs.try_send(Job { question, limit, tell }) {
            Ok(()) => Ok(heard),
            Err(TrySendError::Full(_)) => Err(NoPlace::Full),
            Err(TrySendError::Disconnected(_)) => Err(NoPlace::Closed),
        }
    }
}

/// Starts the thread; it ends when the line is gone.
pub(super) fn start(answers: impl Answers + 'static, note: Note) -> io::Result<Line> {
    let (jobs, waiting) = sync_channel(LONGEST_LINE);
    thread::Builder::new()
        .name("answers".to_owned())
        .spawn(move || answer_all(answers, &waiting, &note))?;
    Ok(Line { jobs })
}

fn answer_all(mut answers: impl Answers, waiting: &Receiver<Job>, note: &Note) {
    while let Ok(Job { question, limit, tell }) = waiting.recv() {
        if tell.is_closed() {
            note("a question was given up before its turn");
            continue;
        }
        let (started, images) = (Instant::now(), question.images.len());
        let mut say = |text: &str| {
            if !text.is_empty() {
                let _ = tell.send(Heard::Text(text.to_owned()));
            }
            !tell.is_closed()
        };
        // A question that the model's code cannot cope with must not end the service. What answers is not
        // changed by a question but for what it keeps at hand.
        let end = catch_unwind(AssertUnwindSafe(|| answers.answer(question, limit, &mut say)));
        let end = end.unwrap_or_else(|_| Err(Problem::Model(FAILED.to_owned())));
        let seconds = started.elapsed().as_secs_f64();
        match &end {
            Ok(answer) => {
                let finish = match answer.finish {
                    _ if tell.is_closed() => "given up",
                    Finish::Stop => "whole",
                    Finish::Length => "cut at the limit",
                };
                note(&format!(
                    "{images} {}, {} + {} tokens, {seconds:.2} s, {finish}",
                    if images == 1 { "image" } else { "images" },
                    answer.prompt_tokens,
                    answer.tokens
                ));
            }
            // What was wrong with a question is for whoever asked it.
            Err(Problem::Question(_)) => note(&format!("a question was refused, {seconds:.2} s")),
            Err(Problem::Model(problem)) => note(&format!("a question failed: {problem}")),
        }
        let _ = tell.send(Heard::End(end));
    }
}
