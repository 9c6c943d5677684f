//! Prompts as PeFoMed's public code writes them, for weights that were trained on them.
//!
//! That code differs from what this project does by default in ways that a score depends on, so they
//! are reproduced only for a recipe that says `compat = "pefomed"`:
//!
//! - The whole training prompt, the marks around the image included, is lower-cased; `.!"()*#:;~`
//!   become blanks; all but the first 50 words are cut. Answers likewise. At evaluation the text
//!   alone is treated so, and the marks stay `<Img>` and `</Img>`.
//! - A training question has one of two wordings, an evaluation question always the second.
//! - A report has the tag `[report]` in training and `[caption]` at evaluation.
//! - Evaluation begins with two tokens of beginning.
//!
//! What is drawn at random there, anew each time, is drawn here by the seed and the example's id, so
//! that a run can be repeated. The instructions for captions and reports are drawn from this project's
//! pools, whose words are its own; an instruction that the data brings is used instead.

use serde::{Deserialize, Serialize};

use crate::example::{Example, Task};
use crate::files::digest;
use crate::prompt::{Prompt, Template, pool};

/// Words of a text that are kept.
const WORDS: usize = 50;

/// What a text loses.
const PUNCTUATION: &str = ".!\"()*#:;~";

/// In front of the question in the second wording.
const SHORT_ANSWER: &str = "Based on the image, respond to this question with a short answer: ";

/// Other people's prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compat {
    /// Those of PeFoMed's public code.
    Pefomed,
}

impl Compat {
    /// Writes the prompt of an example, to be learned from or `to_generate`. Draws follow from
    /// `seed` and the example's id.
    pub fn prompt(self, example: &Example, seed: u64, to_generate: bool) -> Prompt {
        let Self::Pefomed = self;
        let (before, after) = Template::Inst.turns();
        let images = example.images.len();
        // The marks around images are the first word of a training prompt.
        let words = if to_generate || images == 0 { WORDS } else { WORDS - 1 };
        let tag = match example.task {
            Task::Report if to_generate => Task::Caption,
            task => task,
        };
        let text = plain(&format!("[{tag}] {}", wording(example, seed, to_generate)), words);
        let (open, close) = if to_generate { ("<Img>", "</Img>") } else { ("<img>", "</img>") };
        let mut segments = vec![before.to_owned()];
        for _ in 0..images {
            if let Some(last) = segments.last_mut() {
                last.push_str(open);
            }
            segments.push(close.to_owned());
        }
        if let Some(last) = segments.last_mut() {
            if images > 0 {
                last.push(' ');
            }
            last.push_str(&text);
            last.push_str(after);
        }
        let answer = plain(&example.answer, WORDS);
        Prompt { segments, answer, begins: if to_generate { 2 } else { 1 } }
    }

    /// Names everything that decides how a prompt looks, for the record of a run.
    pub fn digest(self, template: Template, seed: u64) -> String {
        let Self::Pefomed = self;
        digest([template.digest().as_str(), "pefomed", &seed.to_string()])
    }
}

/// The instruction, before it is lower-cased.
fn wording(example: &Example, seed: u64, to_generate: bool) -> String {
    let own = &example.instruction;
    let pool = pool(example.task);
    if example.task == Task::Vqa {
        let is_short = to_generate || draw(example, seed, 2) == 1;
        return format!("{}{own}", if is_short { SHORT_ANSWER } else { "" });
    }
    if !own.is_empty() || pool.is_empty() {
        return own.clone();
    }
    pool[draw(example, seed, pool.len())].to_owned()
}

/// A number below `count` that belongs to the seed and the example.
fn draw(example: &Example, seed: u64, count: usize) -> usize {
    let name = digest([seed.to_string().as_str(), &example.id]);
    let number = u64::from_str_radix(&name[..16], 16).unwrap_or_default();
    (number % count as u64) as usize
}

/// A text without capitals and [`PUNCTUATION`], runs of blanks made one, and cut.
fn plain(text: &str, words: usize) -> String {
    let lower = text.to_lowercase();
    let spaced = lower.chars().map(|c| if PUNCTUATION.contains(c) { ' ' } else { c });
    let mut out = String::with_capacity(lower.len());
    let mut run: Option<(char, usize)> = None;
    // A single blank of another kind, such as a line break, stays; two or more become one space.
    for c in spaced.map(Some).chain([None]) {
        match c {
            Some(blank) if is_blank(blank) => run = Some((blank, run.map_or(1, |(_, n)| n + 1))),
            other => {
                if let Some((blank, count)) = run.take() {
                    out.push(if count == 1 { blank } else { ' ' });
                }
                out.extend(other);
            }
        }
    }
    let trimmed = out.trim_end_matches('\n').trim_matches(' ');
    trimmed.split(' ').take(words).collect::<Vec<_>>().join(" ")
}

/// What `\s` is in the expressions of Python.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{ImageSource, Split};

    fn example(task: Task, id: usize, instruction: &str, answer: &str, images: usize) -> Example {
        Example {
            id: id.to_string(),
            images: vec![ImageSource::file("a.png", "a.png"); images],
            task,
            instruction: instruction.to_owned(),
            answer: answer.to_owned(),
            other_answers: Vec::new(),
            group: "a.png".to_owned(),
            split: Split::Train,
            labels: std::collections::BTreeMap::new(),
            row: 1,
        }
    }

    fn text(example: &Example, seed: u64, to_generate: bool) -> String {
        Compat::Pefomed.prompt(example, seed, to_generate).text()
    }

    #[test]
    fn a_training_prompt_is_lower_case_and_has_one_of_two_wordings() {
        let plain = "[INST] <img><ImageHere></img> [vqa] is there a mass (left)?";
        let wordings = [
            "is/are the muscles enlarged? -yes/no",
            "based on the image, respond to this \
             question with a short answer is/are the muscles enlarged? -yes/no",
        ];
        let mut seen = [0; 2];
        for id in 0..200 {
            let asked = example(Task::Vqa, id, "Is/Are the muscles  enlarged? -Yes/No.", "Yes.", 1);
            let prompt = Compat::Pefomed.prompt(&asked, 7, false);
            assert_eq!((prompt.answer.as_str(), prompt.begins), ("yes", 1));
            let made = prompt.text();
            let which = wordings
                .iter()
                .position(|text| {
                    made == format!("[INST] <img><ImageHere></img> [vqa] {text} [/INST]")
                })
                .unwrap_or_else(|| panic!("{made}"));
            seen[which] += 1;
            assert_eq!(prompt, Compat::Pefomed.prompt(&asked, 7, false));
        }
        // 200 draws of two: five standard deviations are 35.
        assert!(seen.iter().all(|count: &i32| (count - 100).abs() < 36), "{seen:?}");
        // Parentheses become blanks, and two blanks one.
        let asked = example(Task::Vqa, 1, "Is there a mass (left)?", "", 1);
        let made = text(&asked, 0, false)
            .replace("based on the image, respond to this question with a short answer ", "");
        assert_eq!(made, plain.replace(" (left)?", " left ?") + " [/INST]");
    }

    #[test]
    fn an_evaluation_prompt_keeps_its_marks_and_begins_twice() {
        let asked = example(Task::Vqa, 1, "Is there a Mass?", "no", 1);
        let prompt = Compat::Pefomed.prompt(&asked, 3, true);
        assert_eq!(prompt.begins, 2);
        assert_eq!(
            prompt.text(),
            "[INST] <Img><ImageHere></Img> [vqa] based on the image, respond to this question with a \
             short answer is there a mass? [/INST]"
        );
        let report = example(Task::Report, 1, "", "Clear.", 1);
        let tags = [false, true].map(|to_generate| text(&report, 3, to_generate));
        assert!(tags[0].contains("</img> [report] ") && tags[1].contains("</Img> [caption] "));
        assert_eq!(
            text(&example(Task::Caption, 1, "Look!", "", 0), 3, true),
            "[INST] [caption] look [/INST]"
        );
    }

    #[test]
    fn instructions_are_drawn_by_the_seed() {
        let drawn = |seed| text(&example(Task::Caption, 1, "", "", 1), seed, true);
        assert_eq!(drawn(1), drawn(1));
        assert!((2..40).any(|seed| drawn(seed) != drawn(1)));
    }

    #[test]
    fn texts_are_cut_after_fifty_words() {
        let words = |count: usize| vec!["Word"; count].join(" ");
        let report = example(Task::Report, 1, &words(60), &words(60), 1);
        let prompt = Compat::Pefomed.prompt(&report, 1, false);
        assert_eq!(prompt.answer.split(' ').count(), 50);
        // The marks and the tag are two of the fifty.
        assert_eq!(prompt.text().matches("word").count(), 48);
        assert_eq!(text(&report, 1, true).matches("word").count(), 49);
        assert_eq!(plain("  a.b\n\n c\td\n", 50), "a b c\td");
        assert_eq!(plain("", 50), "");
    }
}
