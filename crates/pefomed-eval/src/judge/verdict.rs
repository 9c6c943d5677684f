//! What is judged, and the line that stays of each reply.

use pefomed_data::{ImageCondition, Prediction, Task, files};
use serde::{Deserialize, Serialize};

use super::chat::ChatReply;
use super::kind::Kind;
use super::parse::Outcome;
use super::sampling::Sampling;

/// A text to judge beside its reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JudgedItem {
    /// Whose text it is; the judge is not told.
    pub system: String,
    /// Id of the item.
    pub id: String,
    /// Image or patient: the unit intervals are clustered by.
    pub group: String,
    /// Which image the system was shown.
    pub condition: ImageCondition,
    /// What the system was asked to do.
    pub task: Task,
    /// The question or instruction.
    pub question: String,
    /// What the data set says.
    pub reference: String,
    /// What the system wrote.
    pub candidate: String,
}

impl JudgedItem {
    /// A line of a prediction file, under the name of the system that wrote it.
    pub fn new(system: &str, prediction: &Prediction) -> Self {
        Self {
            system: system.to_owned(),
            id: prediction.id.clone(),
            group: prediction.group.clone(),
            condition: prediction.condition,
            task: prediction.task,
            question: prediction.question.clone(),
            reference: prediction.reference.clone(),
            candidate: prediction.prediction.clone(),
        }
    }

    /// Digest of the three texts the judge sees.
    pub fn texts_sha256(&self) -> String {
        files::digest([&self.question, &self.reference, &self.candidate])
    }
}

/// A line of `judgements.jsonl`: one reply, with everything that decided it.
///
/// The texts themselves are not repeated: their digest ties the line to the prediction file, and a
/// patient's report lies in one place less.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Digest of system, id, condition, kind, repeat, prompt, model, sampling and texts: the same
    /// question is not asked twice, and a changed one is a new one.
    pub key: String,
    /// Whose text was judged.
    pub system: String,
    /// Id of the item.
    pub id: String,
    /// Image or patient.
    pub group: String,
    /// Which image the system was shown.
    pub condition: ImageCondition,
    /// What was asked.
    pub kind: Kind,
    /// Which time of asking this is, from 0.
    pub repeat: u32,
    /// The judge, as the endpoint was asked for it.
    pub model: String,
    /// Where it was asked, without a query.
    pub endpoint: String,
    /// SHA-256 of the prompt's text.
    pub prompt_sha256: String,
    /// The sampling parameters that were sent.
    pub sampling: Sampling,
    /// Digest of the three texts the judge saw.
    pub texts_sha256: String,
    /// 1, or 2 for the reply after a first one that could not be read.
    pub attempt: u32,
    /// The reply.
    #[serde(flatten)]
    pub reply: ChatReply,
    /// What was read from it.
    pub outcome: Outcome,
}

impl Verdict {
    /// Most replies to one question: an unparsable one is asked for again once.
    pub const ATTEMPTS: u32 = 2;

    /// Whether nothing more is asked after this reply.
    pub fn is_last(&self) -> bool {
        self.attempt >= Self::ATTEMPTS || !matches!(self.outcome, Outcome::Unparsable(_))
    }
}
