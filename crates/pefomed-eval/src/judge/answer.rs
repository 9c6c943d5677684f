//! Answers of an untuned general model, as a baseline: the same questions with the same images, and
//! the same prediction lines.
//!
//! Replies are kept in a journal beside the prediction file, which is written only when every
//! question has its answer: half a split must not be scored as if it were the whole.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pefomed_data::image::decode::looks_like;
use pefomed_data::image::preprocess::BLANK;
use pefomed_data::image::{ImageFile, View, png};
use pefomed_data::prompt::IMAGE_PLACEHOLDER;
use pefomed_data::{DataError, Finish, ImageCondition, ImageSource, Prediction, Task, files};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::chat::ChatReply;
use super::error::JudgeError;
use super::journal::Journal;
use super::parse::after_thinking;
use super::run::{Asking, Halt, Trouble, ask_all};
use super::sampling::Sampling;
use super::transport::Transport;

/// Side of the blank image, in pixels.
const BLANK_SIDE: u32 = 448;

/// An image as it is sent: the bytes of a PNG or JPEG file, untouched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Picture {
    /// A file, read when it is needed.
    File(PathBuf),
    /// An image inside another file, read when it is needed.
    Inside(ImageSource),
    /// Bytes in memory.
    Bytes(Arc<[u8]>),
}

impl Picture {
    /// The blank image: uniform grey as in [`BLANK`], 448 pixels square whatever the true image is,
    /// since its shape alone can tell what was photographed.
    ///
    /// # Errors
    /// None that can be met; the encoder declares one.
    pub fn blank() -> Result<Self, DataError> {
        let grey = image::GrayImage::from_pixel(BLANK_SIDE, BLANK_SIDE, image::Luma([BLANK]));
        let mut bytes = std::io::Cursor::new(Vec::new());
        grey.write_to(&mut bytes, image::ImageFormat::Png).map_err(|error| {
            DataError::BrokenImage { name: "blank image".to_owned(), reason: error.to_string() }
        })?;
        Ok(Self::Bytes(bytes.into_inner().into()))
    }

    fn bytes(&self) -> Result<Arc<[u8]>, DataError> {
        match self {
            Self::File(path) => self.sent(ImageFile::read(path)?),
            Self::Inside(image) => self.sent(image.read()?),
            Self::Bytes(bytes) => Ok(Arc::clone(bytes)),
        }
    }

    /// A PNG or JPEG file as it is; DICOM and NIfTI as pictures, and nothing of a patient with them.
    fn sent(&self, file: ImageFile) -> Result<Arc<[u8]>, DataError> {
        let name = self.name();
        match media_type(&name, &file.bytes) {
            Ok(_) if file.view == View::default() => Ok(file.bytes.into()),
            _ => Ok(png(&name, &file.decode()?)?.into()),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Inside(image) => image.location(),
            Self::Bytes(_) => "image".to_owned(),
        }
    }
}

/// One question to a model that sees images.
#[derive(Clone, Debug)]
pub struct ImageQuestion {
    /// The line to be written; `prompt`, `prediction`, `tokens` and `finish` are filled in.
    pub line: Prediction,
    /// What is asked, with the instruction before it.
    pub text: String,
    /// The images, which come before the text.
    pub pictures: Vec<Picture>,
}

impl ImageQuestion {
    /// The text that stands as `prompt` in the prediction line.
    fn prompt(&self) -> String {
        let images = IMAGE_PLACEHOLDER.repeat(self.pictures.len());
        if images.is_empty() { self.text.clone() } else { format!("{images}\n{}", self.text) }
    }
}

/// The instruction before a question, unless another is chosen: without it a general model writes a
/// paragraph, which no exact match can be measured on.
pub fn default_instruction(task: Task) -> &'static str {
    match task {
        Task::Vqa => "Answer with as few words as possible.",
        // Captions and reports carry their own instruction.
        Task::Caption | Task::Report => "",
    }
}

/// A line of the journal: one reply, with everything that decided it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Digest of id, condition, model, sampling, text and images.
    pub key: String,
    /// Id of the example.
    pub id: String,
    /// Which image was shown.
    pub condition: ImageCondition,
    /// The model, as the endpoint was asked for it.
    pub model: String,
    /// Where it was asked, without a query.
    pub endpoint: String,
    /// The sampling parameters that were sent.
    pub sampling: Sampling,
    /// Digest of the text.
    pub text_sha256: String,
    /// Digests of the images' bytes.
    pub images_sha256: Vec<String>,
    /// The reply.
    #[serde(flatten)]
    pub reply: ChatReply,
}

/// Who is asked.
#[derive(Clone, Debug)]
pub struct Answerer {
    /// The model's name, as the endpoint knows it.
    pub model: String,
    /// Where it is asked, as it stands in the journal.
    pub endpoint: String,
    /// How it samples.
    pub sampling: Sampling,
}

/// Questions with what earlier runs answered of them.
#[derive(Debug)]
pub struct AnswerPlan {
    questions: Vec<ImageQuestion>,
    keys: Vec<String>,
    images_sha256: Vec<Vec<String>>,
    settled: BTreeMap<usize, ChatReply>,
    /// Bytes of the images still to send, as often as they are sent.
    pub image_bytes: usize,
    /// Images still to send, as often as they are sent.
    pub images: usize,
    characters: usize,
}

impl AnswerPlan {
    /// Number of all questions.
    pub fn questions(&self) -> usize {
        self.questions.len()
    }

    /// Questions still to ask.
    pub fn to_ask(&self) -> usize {
        self.questions.len() - self.settled.len()
    }

    /// About how many tokens the texts still to send have, images not counted.
    pub fn tokens(&self) -> usize {
        self.characters.div_ceil(4)
    }
}

/// What came of a plan.
#[derive(Debug)]
pub struct Answered {
    replies: BTreeMap<usize, ChatReply>,
    /// Ids of questions that have no reply, after all tries, and why.
    pub failed: Vec<(String, String)>,
    /// Questions that were not asked.
    pub not_asked: usize,
    /// Why those were not asked.
    pub halt: Option<Halt>,
}

impl Answerer {
    /// Reads the images once, for their digests, and settles what earlier answers answer.
    ///
    /// # Errors
    /// [`JudgeError::Option`]; an image that cannot be read or is neither PNG nor JPEG, by name.
    pub fn plan(
        &self,
        questions: Vec<ImageQuestion>,
        earlier: Vec<Answer>,
    ) -> Result<AnswerPlan, JudgeError> {
        self.sampling.check()?;
        let mut known: HashMap<String, ChatReply> = HashMap::new();
        for answer in earlier {
            known.entry(answer.key).or_insert(answer.reply);
        }
        let mut digests: HashMap<PathBuf, (String, usize)> = HashMap::new();
        let mut plan = AnswerPlan {
            questions: Vec::new(),
            keys: Vec::new(),
            images_sha256: Vec::new(),
            settled: BTreeMap::new(),
            image_bytes: 0,
            images: 0,
            characters: 0,
        };
        for question in questions {
            let mut images = Vec::new();
            let mut size = 0;
            for picture in &question.pictures {
                let file = match picture {
                    Picture::File(path) => Some(path),
                    Picture::Inside(_) | Picture::Bytes(_) => None,
                };
                let known = file.and_then(|path| digests.get(path)).cloned();
                let (digest, bytes) = if let Some(known) = known {
                    known
                } else {
                    let bytes = picture.bytes()?;
                    media_type(&picture.name(), &bytes)?;
                    (files::digest_bytes(&bytes), bytes.len())
                };
                if let Some(path) = file {
                    digests.entry(path.clone()).or_insert_with(|| (digest.clone(), bytes));
                }
                images.push(digest);
                size += bytes;
            }
            let sampling = self.sampling.canonical();
            let mut parts = vec![
                question.line.id.as_str(),
                question.line.condition.name(),
                self.model.as_str(),
                sampling.as_str(),
                question.text.as_str(),
            ];
            parts.extend(images.iter().map(String::as_str));
            let key = files::digest(parts);
            if let Some(reply) = known.get(&key) {
                plan.settled.insert(plan.questions.len(), reply.clone());
            } else {
                plan.images += images.len();
                plan.image_bytes += size;
                plan.characters += question.text.chars().count();
            }
            plan.keys.push(key);
            plan.images_sha256.push(images);
            plan.questions.push(question);
        }
        if plan.questions.is_empty() {
            let problem = "the split has no example".to_owned();
            return Err(JudgeError::NothingToAsk { problem });
        }
        Ok(plan)
    }

    /// Asks what is left to ask of a plan.
    ///
    /// # Errors
    /// Those of [`Journal::append`], and an image that has gone since the plan was made. What the
    /// endpoint does wrong is in the result.
    pub fn run<T: Transport>(
        &self,
        plan: &AnswerPlan,
        journal: &Journal<Answer>,
        asking: &Asking<'_, T>,
    ) -> Result<Answered, JudgeError> {
        let numbers: Vec<usize> =
            (0..plan.questions.len()).filter(|n| !plan.settled.contains_key(n)).collect();
        let harvest = ask_all(asking, &numbers, |line, &number| {
            let question = &plan.questions[number];
            let message = message(question).map_err(|error| Trouble::Journal(error.into()))?;
            let body = self.sampling.body(&self.model, vec![message]);
            let reply = line.call(&body, &plan.keys[number]).map_err(Trouble::Call)?;
            let answer = Answer {
                key: plan.keys[number].clone(),
                id: question.line.id.clone(),
                condition: question.line.condition,
                model: self.model.clone(),
                endpoint: self.endpoint.clone(),
                sampling: self.sampling.clone(),
                text_sha256: files::digest_bytes(question.text.as_bytes()),
                images_sha256: plan.images_sha256[number].clone(),
                reply,
            };
            journal.append(&answer).map_err(Trouble::Journal)?;
            Ok(answer.reply)
        })?;
        let mut replies = plan.settled.clone();
        replies.extend(harvest.results.into_iter().map(|(index, reply)| (numbers[index], reply)));
        let id = |index: usize| plan.questions[numbers[index]].line.id.clone();
        Ok(Answered {
            replies,
            failed: harvest.failed.into_iter().map(|(index, why)| (id(index), why)).collect(),
            not_asked: harvest.not_asked,
            halt: harvest.halt,
        })
    }
}

impl Answered {
    /// The prediction lines in the order of the questions; none unless every question has its answer.
    ///
    /// The answer is the reply without the blanks around it and without a thinking part; `tokens` is
    /// what the endpoint counts, 0 where it does not say.
    pub fn predictions(&self, plan: &AnswerPlan) -> Option<Vec<Prediction>> {
        let line = |(number, question): (usize, &ImageQuestion)| {
            let reply = self.replies.get(&number)?;
            let tokens = reply.completion_tokens.unwrap_or(0);
            let cut = reply.finish.as_deref() == Some("length");
            Some(Prediction {
                prompt: question.prompt(),
                prediction: after_thinking(&reply.text).unwrap_or_default().trim().to_owned(),
                tokens: usize::try_from(tokens).unwrap_or(usize::MAX),
                finish: if cut { Finish::Length } else { Finish::Stop },
                ..question.line.clone()
            })
        };
        plan.questions.iter().enumerate().map(line).collect()
    }

    /// Ids of questions whose answer the endpoint withheld: their prediction is empty.
    pub fn withheld(&self, plan: &AnswerPlan) -> Vec<String> {
        self.replies
            .iter()
            .filter(|(_, reply)| reply.finish.as_deref() == Some("content_filter"))
            .map(|(number, _)| plan.questions[*number].line.id.clone())
            .collect()
    }
}

/// The question as a message: its images as data URLs, then its text.
fn message(question: &ImageQuestion) -> Result<Value, DataError> {
    if question.pictures.is_empty() {
        return Ok(json!({"role": "user", "content": question.text}));
    }
    let mut parts = Vec::new();
    for picture in &question.pictures {
        let bytes = picture.bytes()?;
        let media_type = media_type(&picture.name(), &bytes)?;
        let url = format!("data:{media_type};base64,{}", STANDARD.encode(&bytes));
        parts.push(json!({"type": "image_url", "image_url": {"url": url}}));
    }
    parts.push(json!({"type": "text", "text": question.text}));
    Ok(json!({"role": "user", "content": parts}))
}

/// The kind of an image by its first bytes, whatever its name says.
fn media_type(name: &str, bytes: &[u8]) -> Result<&'static str, DataError> {
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        Ok("image/png")
    } else if bytes.starts_with(b"\xff\xd8\xff") {
        Ok("image/jpeg")
    } else {
        let found = looks_like(bytes).to_owned();
        Err(DataError::ImageKind { name: name.to_owned(), found })
    }
}
