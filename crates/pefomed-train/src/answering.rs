//! Answers of a tuned model to single questions, as they come.
//!
//! What [`predict`](crate::predict) does for a split, for one question at a time: the same prompt, the same
//! greedy answer. Each question is computed alone, so that what is answered never depends on who else asks;
//! it is the answer that a prediction gives that decodes one question at a time.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use pefomed_data::image::ImageFile;
use pefomed_data::{Example, Finish, ImageSource, Split, Task, files, pack};
use pefomed_model::decoder::KnownPrompt;
use pefomed_model::generate::generate_one;
use pefomed_model::multimodal::{FeatureMap, TunedDecoder, VisualFeatures};

use crate::parts::Parts;
use crate::questions::{Asking, Questions};
use crate::recipe::Recipe;
use crate::{TrainError, start};

/// Images whose features are kept: several questions about one image encode it once.
const KEPT_IMAGES: usize = 32;
/// Bytes of prompts that are kept with what was computed of them, so that the next question about an image
/// begins after it. 300 positions of a decoder of seven billion weights without grouped heads take 300 MiB,
/// of SmolLM2-135M 13 MiB.
const KNOWN_BYTES: usize = 512 << 20;
/// Stands where a character is not whole yet.
const UNFINISHED: char = '\u{FFFD}';

/// A question about any number of images.
#[derive(Clone, Debug)]
pub struct SingleQuestion {
    /// Decides the prompt's tag.
    pub task: Task,
    /// The question or instruction; a caption or report may leave it to the prompt.
    pub text: String,
    /// Image files, whole: PNG, JPEG, DICOM or NIfTI.
    pub images: Vec<Vec<u8>>,
}

/// An answer with what it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SingleAnswer {
    /// The answer.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// Tokens of the prompt, visual ones included.
    pub prompt_tokens: usize,
    /// Tokens of the answer, without the one that ends it.
    pub tokens: usize,
}

/// A tuned model that is asked.
pub struct Answering {
    recipe: Recipe,
    parts: Parts,
    model: TunedDecoder,
    /// Features by the digest of the image file, the latest last.
    kept: VecDeque<(String, VisualFeatures)>,
    /// What is known of prompts, by the digests of their images, the latest last.
    known: VecDeque<(Vec<String>, KnownPrompt)>,
}

impl Answering {
    /// Asks a model that was tuned by a recipe.
    pub fn new(recipe: Recipe, parts: Parts, model: TunedDecoder) -> Self {
        Self { recipe, parts, model, kept: VecDeque::new(), known: VecDeque::new() }
    }

    /// Names everything that decides an answer: frozen weights, tokenizer, prompt, and the files of the adapter
    /// in `folder`; without one, the seed that an untuned one is drawn from.
    ///
    /// # Errors
    /// [`TrainError::StartAdapter`] and [`TrainError::Data`] for a folder that is no adapter.
    pub fn fingerprint(&self, folder: Option<&Path>) -> Result<String, TrainError> {
        let adapter = match folder {
            Some(folder) => start::digest_of(folder)?,
            None => format!("untuned {}", self.recipe.seed),
        };
        let digests = self.parts.digests(&self.recipe);
        let preprocessing = self.parts.preprocessor.identity();
        Ok(files::digest(digests.into_values().chain([preprocessing, adapter])))
    }

    /// Answers a question in `limit` tokens at most. `tell` hears the answer's text piece by piece as it is
    /// written, and ends it by `false`.
    ///
    /// # Errors
    /// [`TrainError::ReservedText`] and [`TrainError::Data`] for a question that cannot be asked: text that the
    /// prompt reserves, an image that cannot be decoded. Otherwise what fails in computing.
    pub fn answer(
        &mut self,
        question: &SingleQuestion,
        limit: usize,
        tell: &mut dyn FnMut(&str) -> bool,
    ) -> Result<SingleAnswer, TrainError> {
        let digests: Vec<String> =
            question.images.iter().map(|image| files::digest([image])).collect();
        // An image that is shown twice has one number: that of the first time.
        let first = |digest| digests.iter().position(|earlier| earlier == digest);
        let numbers: Vec<u32> =
            digests.iter().map(|digest| first(digest).unwrap_or_default() as u32).collect();
        let asking = Asking::new(&self.recipe, &self.parts.tokenizer, self.parts.visual_tokens);
        let asking = Asking { to_generate: true, ..asking };
        let example = example(question, &digests);
        let questions = Questions::new(vec![example], asking, |_, _| numbers.clone())?;
        let prompt = &questions.messages[0].prompt;
        let at = self.known.iter().position(|(images, _)| *images == digests);
        let known = at.and_then(|at| self.known.remove(at));
        let mut known = known.map_or_else(KnownPrompt::default, |(_, known)| known);

        let mut features = FeatureMap::new();
        for number in pack::images(&prompt[known.shared(prompt)..]) {
            let index = number as usize;
            let image = self.features(&digests[index], &question.images[index], index)?;
            features.insert(number, image);
        }

        let tokenizer = &self.parts.tokenizer;
        let mut written = Vec::new();
        let mut told = String::new();
        let mut hear = |token| {
            written.push(token);
            // What cannot be decoded yet is told with what comes later, and in any case reported at the end.
            let text = tokenizer.decode(&written).unwrap_or_default();
            match text.strip_prefix(&told) {
                Some(more) if !more.is_empty() && !more.ends_with(UNFINISHED) => {
                    let goes_on = tell(more);
                    told = text;
                    goes_on
                }
                _ => tell(""),
            }
        };
        let until = (tokenizer.end, limit);
        let answer = generate_one(&self.model, prompt, &features, &mut known, until, &mut hear)?;
        let (tokens, finish) =
            answer.map_or((Vec::new(), Finish::Length), |answer| (answer.tokens, answer.finish));
        let text = tokenizer.decode(&tokens)?;
        if let Some(rest) = text.strip_prefix(&told).filter(|rest| !rest.is_empty()) {
            tell(rest);
        }
        self.keep(digests, known);
        Ok(SingleAnswer { text, finish, prompt_tokens: prompt.len(), tokens: tokens.len() })
    }

    /// Keeps what is known of a prompt, and gives up the oldest that there is no room for beside it.
    fn keep(&mut self, images: Vec<String>, known: KnownPrompt) {
        if known.is_empty() || known.bytes() > KNOWN_BYTES {
            return;
        }
        self.known.push_back((images, known));
        let mut bytes: usize = self.known.iter().map(|(_, known)| known.bytes()).sum();
        while bytes > KNOWN_BYTES
            && let Some((_, oldest)) = self.known.pop_front()
        {
            bytes -= oldest.bytes();
        }
    }

    fn features(
        &mut self,
        digest: &str,
        bytes: &[u8],
        index: usize,
    ) -> Result<VisualFeatures, TrainError> {
        if let Some(at) = self.kept.iter().position(|(known, _)| known == digest) {
            // Back to the end: it is the latest again.
            let found = self.kept.remove(at);
            self.kept.extend(found);
        } else {
            let file = ImageFile::inside(&format!("image {}", index + 1), bytes.to_vec());
            let pixels = self.parts.preprocessor.apply(&file.decode()?);
            let features = self.parts.vision.encode(&pixels)?;
            if self.kept.len() == KEPT_IMAGES {
                self.kept.pop_front();
            }
            self.kept.push_back((digest.to_owned(), features));
        }
        let (_, latest) = &self.kept[self.kept.len() - 1];
        Ok(latest.clone())
    }
}

/// The question as an example of a data set. What a prompt draws follows from its id, so that the same
/// question about the same images is always asked in the same words.
fn example(question: &SingleQuestion, digests: &[String]) -> Example {
    let text = [question.task.tag(), &question.text];
    Example {
        id: files::digest(text.into_iter().chain(digests.iter().map(String::as_str))),
        images: digests.iter().map(|digest| ImageSource::file(digest, digest)).collect(),
        task: question.task,
        instruction: question.text.clone(),
        answer: String::new(),
        other_answers: Vec::new(),
        group: String::new(),
        split: Split::Test,
        labels: BTreeMap::new(),
        row: 1,
    }
}
