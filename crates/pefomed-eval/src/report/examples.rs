//! Example cards: what the model was shown, asked and said.
//!
//! Examples persuade more than numbers do, so nobody picks them: a fixed rule takes as many wrong
//! answers as right ones where there are enough, goes round the question types, prefers images
//! not yet shown, and orders by a digest of the id, which knows nothing of the answers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use pefomed_data::{ImageCondition, ImagePlaces, Prediction, Task, files};

use super::html::{Page, escape, escape_short};
use super::picture;
use super::run::Run;
use crate::item::{ANSWER_TYPE, Item, QUESTION_TYPE, parts};
use crate::{number, vqa};

/// Cards for questions, and for captions or reports, whose texts are long.
const CARDS: usize = 12;
const LONG_CARDS: usize = 4;
/// Further accepted answers that a card shows.
const OTHERS: usize = 3;
/// Characters of a text that a card shows.
const TEXT_LIMIT: usize = 420;

/// Appends a section of cards for each split that has predictions under the true image.
pub(super) fn section(page: &mut Page, run: &Run) {
    if run.predictions.is_empty() {
        page.left_out.push("Examples: the folder has no <code>predictions-*.jsonl</code>.".into());
        return;
    }
    let places = ImagePlaces::new(image_folders(run));
    let mut without_picture = 0;
    for (split, predictions) in &run.predictions {
        for task in Task::ALL {
            let limit = if task == Task::Vqa { CARDS } else { LONG_CARDS };
            let chosen = choose(predictions, task, limit);
            if chosen.is_empty() {
                continue;
            }
            page.push(&format!(
                "<section class=\"examples\"><h2>Examples, {} of split {}</h2>",
                match task {
                    Task::Vqa => "questions",
                    Task::Caption => "captions",
                    Task::Report => "reports",
                },
                escape(split)
            ));
            page.paragraph(
                "Chosen by a fixed rule, not by hand: as many wrong answers as right ones where \
                 there are enough, the question types in turn, other images first.",
            );
            let mut cards = String::from("<div class=\"cards\">");
            for item in chosen {
                without_picture += usize::from(!card(&mut cards, &item, predictions, &places));
            }
            cards.push_str("</div></section>");
            page.push(&cards);
        }
    }
    if without_picture > 0 {
        page.left_out.push(format!(
            "Pictures of {without_picture} example cards: their images are not in the places that \
             <code>images_dir</code> of <code>run.json</code> names, or cannot be decoded."
        ));
    }
}

/// The folders and parquet files as given, and relative ones also as seen from the run folder.
pub(super) fn image_folders(run: &Run) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for folder in run.info.iter().flat_map(|info| info.list("images_dir")) {
        folders.push(PathBuf::from(folder));
        folders.push(run.folder.join(folder));
    }
    folders
}

/// Up to `limit` items of a task, right and wrong in turn.
fn choose(predictions: &[Prediction], task: Task, limit: usize) -> Vec<Item<'_>> {
    let items = predictions
        .iter()
        .filter(|line| line.task == task && line.condition == ImageCondition::True)
        .filter_map(|line| Item::new(line).ok());
    let (right, wrong): (Vec<_>, Vec<_>) = items.partition(|item| item.scores[0] == 1.0);
    let mut shown = BTreeSet::new();
    let mut wrong = in_turn(wrong, limit, &mut shown).into_iter();
    let mut right = in_turn(right, limit, &mut shown).into_iter();
    let mut chosen = Vec::new();
    while chosen.len() < limit {
        let before = chosen.len();
        chosen.extend(right.next());
        if chosen.len() < limit {
            chosen.extend(wrong.next());
        }
        if chosen.len() == before {
            break;
        }
    }
    chosen
}

/// Orders items so that question types take turns, the most frequent type first, each led by
/// items whose image is not shown yet.
fn in_turn<'a>(
    mut items: Vec<Item<'a>>,
    limit: usize,
    shown: &mut BTreeSet<&'a str>,
) -> Vec<Item<'a>> {
    items.sort_by_cached_key(|item| files::digest([item.prediction.id.as_bytes()]));
    let mut by_type: BTreeMap<String, Vec<Item<'a>>> = BTreeMap::new();
    for item in items {
        by_type.entry(kind(item.prediction)).or_default().push(item);
    }
    let mut types: Vec<Vec<Item<'a>>> = by_type.into_values().collect();
    types.sort_by_key(|items| std::cmp::Reverse(items.len()));
    let mut ordered = Vec::new();
    while ordered.len() < limit && types.iter().any(|items| !items.is_empty()) {
        for items in &mut types {
            let new = |item: &Item<'_>| {
                item.prediction.image.as_deref().is_none_or(|image| !shown.contains(image))
            };
            if items.is_empty() || ordered.len() == limit {
                continue;
            }
            let next = items.remove(items.iter().position(new).unwrap_or(0));
            shown.extend(next.prediction.image.as_deref());
            ordered.push(next);
        }
    }
    ordered
}

/// First question type and answer type, where the data set labels them.
fn kind(prediction: &Prediction) -> String {
    let first = |name: &str| {
        let value = prediction.labels.get(name).map_or("", String::as_str);
        parts(name, value).first().map_or(String::new(), |part| part.to_lowercase())
    };
    format!("{} {}", first(QUESTION_TYPE), first(ANSWER_TYPE))
}

/// Writes a card; false when it has no picture.
fn card(out: &mut String, item: &Item<'_>, all: &[Prediction], places: &ImagePlaces) -> bool {
    let line = item.prediction;
    let picture = line
        .image
        .as_deref()
        .and_then(|name| places.find(name))
        .and_then(|image| picture::load(&image).ok());
    let right = item.scores[0] == 1.0;
    let verdict = match (line.task, right) {
        (_, true) => "<span class=\"verdict right\">✓ correct</span>".to_owned(),
        (Task::Vqa, false) => "<span class=\"verdict wrong\">✗ wrong</span>".to_owned(),
        _ => format!("<span class=\"verdict\">token F1 {}</span>", number::percent(item.scores[1])),
    };
    out.push_str("<article class=\"card\"><div class=\"picture\">");
    match &picture {
        Some(picture) => {
            let _ = write!(
                out,
                "<img src=\"{}\" width=\"{}\" height=\"{}\" alt=\"{}\">",
                picture.uri,
                picture.width,
                picture.height,
                escape(line.image.as_deref().unwrap_or("image"))
            );
        }
        None => out.push_str("<span class=\"none\">no picture</span>"),
    }
    let labels: Vec<String> = ["question_type", "answer_type", "organ", "modality"]
        .iter()
        .filter_map(|name| line.labels.get(*name))
        .map(|label| escape_short(label, 40))
        .collect();
    let _ = write!(
        out,
        "</div><div class=\"said\"><p class=\"labels\">{verdict}<span>{}</span></p>\
         <p class=\"question\" dir=\"auto\">{}</p><dl>",
        labels.join(" · "),
        escape_short(&line.question, TEXT_LIMIT)
    );
    answer(out, "Reference", "reference", &line.reference);
    for other in line.references().skip(1).take(OTHERS) {
        answer(out, "Also right", "reference", other);
    }
    answer(out, "Model", if right { "model right" } else { "model wrong" }, &line.prediction);
    for condition in [ImageCondition::Blank, ImageCondition::Shuffled] {
        let other = all.iter().find(|other| {
            other.id == line.id && other.task == line.task && other.condition == condition
        });
        if let Some(other) = other {
            let is_right = |accepted| vqa::exact_match(&other.prediction, accepted);
            let same =
                if line.references().any(is_right) { "control right" } else { "control wrong" };
            let name = match condition {
                ImageCondition::Blank => "Blank image",
                _ => "Other image",
            };
            answer(out, name, same, &other.prediction);
        }
    }
    let _ = write!(out, "</dl><p class=\"id\">{}</p></div></article>", escape_short(&line.id, 60));
    picture.is_some()
}

fn answer(out: &mut String, name: &str, class: &str, text: &str) {
    let text = if text.trim().is_empty() {
        "<i>nothing</i>".to_owned()
    } else {
        escape_short(text.trim(), TEXT_LIMIT)
    };
    let _ = write!(out, "<dt>{name}</dt><dd class=\"{class}\" dir=\"auto\">{text}</dd>");
}
