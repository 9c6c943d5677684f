//! What is to be asked, before anything is: the questions, what earlier runs answered of them, and
//! how much text would be sent.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use pefomed_data::{ImageCondition, files};
use serde::Serialize;
use serde_json::{Value, json};

use super::error::JudgeError;
use super::kind::Kind;
use super::prompt::Prompt;
use super::sampling::Sampling;
use super::verdict::{JudgedItem, Verdict};

/// Characters that count as one token in an estimate.
const CHARACTERS_A_TOKEN: usize = 4;
/// Characters of a reply that are shown to the judge again when it is asked a second time.
const SHOWN_AGAIN: usize = 2_000;

/// A judge: a model, the words it is asked in, and how it samples.
#[derive(Clone, Debug)]
pub struct Judge {
    /// The model's name, as the endpoint knows it.
    pub model: String,
    /// Where it is asked, as it stands in verdicts.
    pub endpoint: String,
    /// The kinds to ask; the usual one of each item's task when empty.
    pub kinds: BTreeSet<Kind>,
    /// Prompts other than the default ones.
    pub prompts: BTreeMap<Kind, Prompt>,
    /// How it samples.
    pub sampling: Sampling,
    /// How often each question is asked, at least once.
    pub repeats: u32,
}

/// Names one question to a judge.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ItemName {
    /// Whose text it is about.
    pub system: String,
    /// Which image the system was shown.
    pub condition: ImageCondition,
    /// Id of the item.
    pub id: String,
    /// What is asked.
    pub kind: Kind,
    /// Which time of asking, from 0.
    pub repeat: u32,
}

/// One question.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// Index of the item.
    pub(crate) item: usize,
    pub(crate) kind: Kind,
    pub(crate) repeat: u32,
    pub(crate) key: String,
}

/// All questions to a judge about some items.
#[derive(Debug)]
pub struct Plan {
    pub(crate) items: Vec<JudgedItem>,
    pub(crate) questions: Vec<Question>,
    /// Last verdicts of earlier runs, by question.
    pub(crate) settled: BTreeMap<usize, Verdict>,
    /// First, unparsable replies of earlier runs that were cut off before the second asking.
    pub(crate) begun: BTreeMap<usize, Verdict>,
    /// Items that have no reference to judge by.
    pub without_reference: Vec<(String, ImageCondition, String)>,
    /// Items whose task fits none of the chosen kinds.
    pub other_task: usize,
    /// Characters of all questions still to ask.
    characters: usize,
}

impl Judge {
    /// The prompt of a kind.
    pub fn prompt(&self, kind: Kind) -> Prompt {
        self.prompts.get(&kind).cloned().unwrap_or_else(|| Prompt::default_of(kind))
    }

    /// Lays out the questions: all items once, then all a second time, and so on, so that work that
    /// is cut short has judged as many items as it could. `earlier` verdicts, in the order of their
    /// file, settle what they answer; of two for the same question the first holds.
    ///
    /// # Errors
    /// [`JudgeError::Option`], [`JudgeError::DuplicateItem`]; [`JudgeError::NothingToAsk`] when no
    /// item fits.
    pub fn plan(&self, items: Vec<JudgedItem>, earlier: Vec<Verdict>) -> Result<Plan, JudgeError> {
        self.sampling.check()?;
        if self.repeats == 0 || self.repeats > 1_000 {
            return Err(JudgeError::Option {
                option: "repeat",
                value: self.repeats.to_string(),
                remedy: "use a number from 1 to 1,000",
            });
        }
        refuse_duplicates(&items)?;
        let mut first: HashMap<String, Verdict> = HashMap::new();
        let mut last: HashMap<String, Verdict> = HashMap::new();
        for verdict in earlier {
            let place = if verdict.is_last() { &mut last } else { &mut first };
            place.entry(verdict.key.clone()).or_insert(verdict);
        }
        let mut plan = Plan {
            items,
            questions: Vec::new(),
            settled: BTreeMap::new(),
            begun: BTreeMap::new(),
            without_reference: Vec::new(),
            other_task: 0,
            characters: 0,
        };
        let prompts: BTreeMap<Kind, Prompt> =
            Kind::ALL.into_iter().map(|kind| (kind, self.prompt(kind))).collect();
        for repeat in 0..self.repeats {
            let sampling = self.sampling.of_repeat(repeat).canonical();
            for (index, item) in plan.items.iter().enumerate() {
                let kinds = self.kinds_of(item);
                if repeat == 0 && kinds.is_empty() {
                    plan.other_task += 1;
                }
                if item.reference.trim().is_empty() {
                    if repeat == 0 && !kinds.is_empty() {
                        let (system, id) = (item.system.clone(), item.id.clone());
                        plan.without_reference.push((system, item.condition, id));
                    }
                    continue;
                }
                let texts = item.texts_sha256();
                for kind in kinds {
                    let prompt = &prompts[&kind];
                    let key = files::digest([
                        item.system.as_str(),
                        item.id.as_str(),
                        item.condition.name(),
                        kind.name(),
                        repeat.to_string().as_str(),
                        prompt.sha256(),
                        self.model.as_str(),
                        sampling.as_str(),
                        texts.as_str(),
                    ]);
                    let number = plan.questions.len();
                    if let Some(verdict) = last.get(&key) {
                        plan.settled.insert(number, verdict.clone());
                    } else {
                        let filled = prompt.fill(&item.question, &item.reference, &item.candidate);
                        plan.characters += filled.chars().count();
                        if let Some(verdict) = first.get(&key) {
                            plan.begun.insert(number, verdict.clone());
                        }
                    }
                    plan.questions.push(Question { item: index, kind, repeat, key });
                }
            }
        }
        if plan.questions.is_empty() {
            let problem = if plan.without_reference.is_empty() {
                "no item fits the kinds: vqa is for questions, likert and errors are for reports \
                 and captions"
            } else {
                "no item has a reference to judge by"
            };
            return Err(JudgeError::NothingToAsk { problem: problem.to_owned() });
        }
        Ok(plan)
    }

    fn kinds_of(&self, item: &JudgedItem) -> Vec<Kind> {
        if self.kinds.is_empty() {
            return vec![Kind::of_task(item.task)];
        }
        self.kinds.iter().copied().filter(|kind| kind.fits(item.task)).collect()
    }

    /// The messages of a question; after a first reply that could not be read, with that reply and
    /// a reminder of the form.
    pub(crate) fn messages(
        &self,
        item: &JudgedItem,
        kind: Kind,
        first_reply: Option<&str>,
    ) -> Vec<Value> {
        let mut prompt = self.prompt(kind).fill(&item.question, &item.reference, &item.candidate);
        let Some(reply) = first_reply else {
            return vec![json!({"role": "user", "content": prompt})];
        };
        let reminder = match kind.highest() {
            Some(highest) => format!(
                "That is no verdict that can be read. Write only `score: N`, where N is a whole \
                 number from 0 to {highest}, or `score: none` if you cannot judge."
            ),
            None => {
                "That is no list of counts that can be read. Write only the JSON object that was \
                     asked for, with all six types."
                    .to_owned()
            }
        };
        let shown: String = reply.trim().chars().take(SHOWN_AGAIN).collect();
        if shown.is_empty() {
            // Some endpoints accept no empty message.
            prompt.push('\n');
            prompt.push_str(&reminder);
            return vec![json!({"role": "user", "content": prompt})];
        }
        vec![
            json!({"role": "user", "content": prompt}),
            json!({"role": "assistant", "content": shown}),
            json!({"role": "user", "content": reminder}),
        ]
    }
}

impl Plan {
    /// Number of all questions, repeats included.
    pub fn questions(&self) -> usize {
        self.questions.len()
    }

    /// Questions that earlier runs have answered.
    pub fn answered_before(&self) -> usize {
        self.settled.len()
    }

    /// Questions still to ask.
    pub fn to_ask(&self) -> usize {
        self.questions.len() - self.settled.len()
    }

    /// Items, whether or not a question is asked about them.
    pub fn items(&self) -> usize {
        self.items.len()
    }

    /// About how many tokens the questions still to ask have: a quarter of their characters.
    pub fn tokens(&self) -> usize {
        self.characters.div_ceil(CHARACTERS_A_TOKEN)
    }

    /// The kinds that are asked.
    pub fn kinds(&self) -> BTreeSet<Kind> {
        self.questions.iter().map(|question| question.kind).collect()
    }

    pub(crate) fn name(&self, question: &Question) -> ItemName {
        let item = &self.items[question.item];
        ItemName {
            system: item.system.clone(),
            condition: item.condition,
            id: item.id.clone(),
            kind: question.kind,
            repeat: question.repeat,
        }
    }
}

fn refuse_duplicates(items: &[JudgedItem]) -> Result<(), JudgeError> {
    let mut seen = BTreeSet::new();
    for item in items {
        if !seen.insert((item.system.as_str(), item.id.as_str(), item.condition)) {
            return Err(JudgeError::DuplicateItem {
                system: item.system.clone(),
                id: item.id.clone(),
                condition: item.condition,
            });
        }
    }
    Ok(())
}
