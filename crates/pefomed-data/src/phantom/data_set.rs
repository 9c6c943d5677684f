//! A whole data set of phantoms, in memory and on disk.

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;

use super::draw::{Purpose, stream};
use super::facts::{Modality, PhantomSpec, generate};
use super::language::{captions, report};
use super::questions::{QuestionAnswer, questions};
use super::{DEFAULT_SIZE, render};
use crate::{DataError, Example, ImageSource, Split, Task, files};

/// Number of the first test image. Fixed, so that the test images of a seed stay the same when
/// more training images are asked for.
const FIRST_TEST: u64 = 90_000;

/// One phantom with everything that is said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhantomImage {
    /// `phantom-00012`: name of its file without the ending, and its group.
    pub name: String,
    /// The truth.
    pub spec: PhantomSpec,
    /// Train or test.
    pub split: Split,
    /// A caption.
    pub caption: String,
    /// A report.
    pub report: String,
    /// Questions with answers.
    pub questions: Vec<QuestionAnswer>,
}

/// Phantoms with captions, reports and questions. Nothing is rendered yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhantomDataSet {
    /// Training images, then test images.
    pub images: Vec<PhantomImage>,
}

/// The facts and the language of a data set. Training and test images have different numbers, so
/// no patient is in both.
pub fn data_set(seed: u64, n_train_images: usize, n_test_images: usize) -> PhantomDataSet {
    let first_test = FIRST_TEST.max(n_train_images as u64);
    let train = (0..n_train_images as u64).map(|index| (index, Split::Train));
    let test = (0..n_test_images as u64).map(|index| (first_test + index, Split::Test));
    let images = train
        .chain(test)
        .map(|(index, split)| {
            let spec = generate(seed, index);
            let mut rng = stream(seed, index, Purpose::Wording);
            PhantomImage {
                name: format!("phantom-{index:05}"),
                split,
                caption: captions(&spec, &mut rng),
                report: report(&spec, &mut rng),
                questions: questions(&spec, &mut rng),
                spec,
            }
        })
        .collect();
    PhantomDataSet { images }
}

impl PhantomDataSet {
    /// The examples, as reading the files that [`PhantomDataSet::write`] makes would give them:
    /// captions, then questions, then reports. Captions and reports have an empty instruction,
    /// because prompts for them are drawn elsewhere.
    pub fn examples(&self, folder: &Path) -> Vec<Example> {
        [Task::Caption, Task::Vqa, Task::Report]
            .into_iter()
            .flat_map(|task| self.examples_of(task, folder))
            .collect()
    }

    fn examples_of(&self, task: Task, folder: &Path) -> Vec<Example> {
        let mut examples = Vec::new();
        for image in &self.images {
            let mut add = |suffix: &str, instruction: &str, answer: &str, labels| {
                let name = format!("images/{}.png", image.name);
                examples.push(Example {
                    id: format!("{}-{suffix}", image.name),
                    images: vec![ImageSource::file(name.clone(), folder.join(name))],
                    task,
                    instruction: instruction.to_owned(),
                    answer: answer.to_owned(),
                    other_answers: Vec::new(),
                    group: image.name.clone(),
                    split: image.split,
                    labels,
                    row: examples.len() + 1,
                });
            };
            let labels = image_labels(&image.spec);
            match task {
                Task::Caption => add("caption", "", &image.caption, labels),
                Task::Report => add("report", "", &image.report, labels),
                Task::Vqa => {
                    for (number, item) in (1..).zip(&image.questions) {
                        let mut labels = labels.clone();
                        labels.insert("answer_type".into(), item.answer_type.to_string());
                        labels.insert("question_type".into(), item.question_type.to_string());
                        add(&format!("q{number}"), &item.question, &item.answer, labels);
                    }
                }
            }
        }
        examples
    }

    /// Renders the pictures and writes the data set: `images/*.png`, and one JSON line per example
    /// in `captions.jsonl`, `vqa.jsonl` and `reports.jsonl`, with the keys `id`, `image` (relative
    /// to the folder), `task`, `question`, `answer`, `split`, `group`, `labels`. Files that are
    /// there already are replaced.
    ///
    /// # Errors
    /// [`DataError::Write`] when the folder cannot be written to.
    pub fn write(&self, folder: &Path) -> Result<Vec<Example>, DataError> {
        self.images.par_iter().try_for_each(|image| {
            let png = render(&image.spec, DEFAULT_SIZE).to_png();
            files::write_bytes(&folder.join("images").join(format!("{}.png", image.name)), &png)
        })?;
        let mut all = Vec::new();
        for (task, file) in [
            (Task::Caption, "captions.jsonl"),
            (Task::Vqa, "vqa.jsonl"),
            (Task::Report, "reports.jsonl"),
        ] {
            let examples = self.examples_of(task, folder);
            files::write_atomically(&folder.join(file), |out| {
                for example in &examples {
                    let line = serde_json::json!({
                        "id": example.id,
                        "image": example.images[0].name,
                        "task": example.task,
                        "question": example.instruction,
                        "answer": example.answer,
                        "split": example.split,
                        "group": example.group,
                        "labels": example.labels,
                    });
                    serde_json::to_writer(&mut *out, &line)?;
                    std::io::Write::write_all(out, b"\n")?;
                }
                Ok(())
            })?;
            all.extend(examples);
        }
        Ok(all)
    }
}

fn image_labels(spec: &PhantomSpec) -> BTreeMap<String, String> {
    let modality = match spec.modality {
        Modality::Xray => "XRAY",
        Modality::Ct => "CT",
        Modality::Mr => "MR",
    };
    BTreeMap::from([
        ("organ".to_owned(), spec.region.label().to_owned()),
        ("modality".to_owned(), modality.to_owned()),
    ])
}
