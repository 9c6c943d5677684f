//! The asking itself: every question once, every reply on the disk, every failure by name.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use super::chat::{CallError, Line};
use super::error::JudgeError;
use super::journal::Journal;
use super::parse::{Outcome, parse};
use super::plan::{ItemName, Judge, Plan, Question};
use super::retry::{Gate, Patience};
use super::schedule;
use super::transport::Transport;
use super::verdict::Verdict;

/// Questions in a row that the endpoint cannot answer, each with all its tries, before it counts as
/// gone; or twice as many as are asked at once, if that is more.
const GONE_AFTER: usize = 8;

/// How questions are sent.
pub struct Asking<'a, T> {
    /// Where to.
    pub transport: &'a T,
    /// How often and how patiently a question is repeated.
    pub patience: Patience,
    /// Questions on their way at once.
    pub at_once: NonZeroUsize,
    /// Set from outside to stop: nothing more is asked, what is on its way is still kept.
    pub stop: &'a AtomicBool,
    /// Hears how many of how many questions are done.
    pub progress: &'a dyn Fn(usize, usize),
}

/// Why asking ended before all questions were asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Halt {
    /// It was stopped.
    Stopped,
    /// The endpoint refuses every question, for this reason.
    Refused(String),
    /// The endpoint answered so many questions in a row with failures; this is the last one.
    Gone(String),
}

/// A question that has no reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailedItem {
    /// Which one.
    #[serde(flatten)]
    pub name: ItemName,
    /// Why.
    pub problem: String,
}

/// What came of a plan.
#[derive(Debug, Default)]
pub struct Judged {
    /// The last verdict on each question, by its place in the plan; those of earlier runs included.
    pub(crate) verdicts: BTreeMap<usize, Verdict>,
    /// Questions that have no reply, after all tries.
    pub failed: Vec<FailedItem>,
    /// Questions that were not asked, or not to the end.
    pub not_asked: usize,
    /// Why those were not asked.
    pub halt: Option<Halt>,
}

impl Judged {
    /// The last verdict on each question, in the order of the plan.
    pub fn verdicts(&self) -> impl Iterator<Item = &Verdict> {
        self.verdicts.values()
    }
}

impl Judge {
    /// Asks what is left to ask of a plan. Every reply is in the journal before the next question of
    /// the same item is sent.
    ///
    /// # Errors
    /// Those of [`Journal::append`]. What the endpoint does wrong is in the result.
    pub fn run<T: Transport>(
        &self,
        plan: &Plan,
        journal: &Journal<Verdict>,
        asking: &Asking<'_, T>,
    ) -> Result<Judged, JudgeError> {
        let numbers: Vec<usize> =
            (0..plan.questions.len()).filter(|n| !plan.settled.contains_key(n)).collect();
        let harvest = ask_all(asking, &numbers, |line, number| {
            let question = &plan.questions[*number];
            self.ask(line, plan, question, plan.begun.get(number), journal)
        })?;
        let name = |index: usize| plan.name(&plan.questions[numbers[index]]);
        let mut judged = Judged {
            verdicts: plan.settled.clone(),
            not_asked: harvest.not_asked,
            halt: harvest.halt,
            failed: harvest
                .failed
                .into_iter()
                .map(|(index, problem)| FailedItem { name: name(index), problem })
                .collect(),
        };
        for (index, verdict) in harvest.results {
            judged.verdicts.insert(numbers[index], verdict);
        }
        Ok(judged)
    }

    /// Asks one question, a second time when the first reply cannot be read.
    fn ask<T: Transport>(
        &self,
        line: &Line<'_, T>,
        plan: &Plan,
        question: &Question,
        begun: Option<&Verdict>,
        journal: &Journal<Verdict>,
    ) -> Result<Verdict, Trouble> {
        let item = &plan.items[question.item];
        let sampling = self.sampling.of_repeat(question.repeat);
        let mut before = begun.cloned();
        loop {
            let first_reply = before.as_ref().map(|verdict| verdict.reply.text.as_str());
            let messages = self.messages(item, question.kind, first_reply);
            let body = sampling.body(&self.model, messages);
            let reply = line.call(&body, &question.key).map_err(Trouble::Call)?;
            let mut outcome = parse(question.kind, &reply.text);
            if let (Outcome::Unparsable(reason), Some("length")) =
                (&mut outcome, reply.finish.as_deref())
            {
                reason.push_str("; it was cut at --max-tokens");
            }
            let verdict = Verdict {
                key: question.key.clone(),
                system: item.system.clone(),
                id: item.id.clone(),
                group: item.group.clone(),
                condition: item.condition,
                kind: question.kind,
                repeat: question.repeat,
                model: self.model.clone(),
                endpoint: self.endpoint.clone(),
                prompt_sha256: self.prompt(question.kind).sha256().to_owned(),
                sampling: sampling.clone(),
                texts_sha256: item.texts_sha256(),
                attempt: before.as_ref().map_or(1, |verdict| verdict.attempt + 1),
                reply,
                outcome,
            };
            journal.append(&verdict).map_err(Trouble::Journal)?;
            if verdict.is_last() {
                return Ok(verdict);
            }
            before = Some(verdict);
        }
    }
}

/// Why a question has no result.
pub(crate) enum Trouble {
    Call(CallError),
    Journal(JudgeError),
}

/// Results of some questions, by their index.
pub(crate) struct Harvest<R> {
    pub(crate) results: Vec<(usize, R)>,
    pub(crate) failed: Vec<(usize, String)>,
    pub(crate) not_asked: usize,
    pub(crate) halt: Option<Halt>,
}

/// Asks questions until all are asked, the work is stopped, or there is no use in going on.
pub(crate) fn ask_all<T: Transport, Q: Sync, R: Send>(
    asking: &Asking<'_, T>,
    questions: &[Q],
    ask: impl Fn(&Line<'_, T>, &Q) -> Result<R, Trouble> + Sync,
) -> Result<Harvest<R>, JudgeError> {
    // A flag of its own wakes the waiting when the endpoint is of no use any more.
    let line = Line {
        transport: asking.transport,
        patience: asking.patience,
        gate: Gate::default(),
        stop: asking.stop,
        over: AtomicBool::new(false),
    };
    let gone_after = GONE_AFTER.max(2 * asking.at_once.get());
    let mut harvest = Harvest { results: Vec::new(), failed: Vec::new(), not_asked: 0, halt: None };
    let (mut done, mut in_a_row) = (0, 0);
    let mut broken = None;
    (asking.progress)(0, questions.len());
    let take = |index: usize, result: Result<R, Trouble>| {
        done += 1;
        (asking.progress)(done, questions.len());
        match result {
            Ok(result) => {
                in_a_row = 0;
                harvest.results.push((index, result));
            }
            Err(Trouble::Call(CallError::Stopped)) => {}
            Err(Trouble::Call(CallError::Rejected(problem))) => {
                in_a_row = 0;
                harvest.failed.push((index, problem));
            }
            Err(Trouble::Call(CallError::Failed(problem))) => {
                in_a_row += 1;
                if in_a_row >= gone_after {
                    harvest.halt.get_or_insert(Halt::Gone(problem.clone()));
                }
                harvest.failed.push((index, problem));
            }
            Err(Trouble::Call(CallError::Refused(problem))) => {
                harvest.halt.get_or_insert(Halt::Refused(problem));
            }
            Err(Trouble::Journal(error)) => {
                // Later lines are refused because of the first.
                broken.get_or_insert(error);
            }
        }
        if harvest.halt.is_some() || broken.is_some() {
            line.over.store(true, Ordering::SeqCst);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    };
    let work = |question: &Q| ask(&line, question);
    schedule::run(questions, asking.at_once, asking.stop, work, take);
    if let Some(error) = broken {
        return Err(error);
    }
    harvest.results.sort_by_key(|(index, _)| *index);
    harvest.failed.sort_by_key(|(index, _)| *index);
    harvest.not_asked = questions.len() - harvest.results.len() - harvest.failed.len();
    if harvest.not_asked > 0 && harvest.halt.is_none() {
        harvest.halt = Some(Halt::Stopped);
    }
    Ok(harvest)
}
