//! The items on which graders part ways, each with everything that was said about it.

use std::fmt::Write as _;
use std::path::PathBuf;

use pefomed_data::ImagePlaces;

use super::html::{Page, escape, escape_short};
use super::picture;
use crate::agreement::words::Shown;
use crate::agreement::{Agreement, Between, Disagreement, GivenGrade};
use crate::grade::GraderKind;

/// Characters of a text that a card shows.
const TEXT_LIMIT: usize = 700;

/// Appends the cards of all kinds of disagreement, those with people or those with stand-ins.
pub(super) fn cards(
    page: &mut Page,
    agreement: &Agreement,
    folders: &[PathBuf],
    heading: &str,
    synthetic: bool,
) {
    let places = ImagePlaces::new(folders.to_vec());
    let mut without_picture = 0;
    let mut without_text = 0;
    for list in agreement.disagreements.chunk_by(|a, b| a.between == b.between) {
        if list[0].synthetic != synthetic {
            continue;
        }
        page.push(&format!("<{heading}>{}</{heading}>", title(&list[0])));
        page.paragraph(explained(list[0].between));
        let mut out = String::from("<div class=\"cards wide\">");
        for item in list {
            let with_picture = card(&mut out, agreement, item, &places);
            without_text += usize::from(item.text.is_none());
            let has_image = item.text.as_ref().is_some_and(|text| text.image.is_some());
            without_picture += usize::from(has_image && !with_picture);
        }
        out.push_str("</div>");
        page.push(&out);
    }
    if without_text > 0 {
        page.left_out.push(format!(
            "Texts of {without_text} items on which graders part ways: give their predictions with \
             <code>--predictions NAME=FILE</code>."
        ));
    }
    if without_picture > 0 {
        page.left_out.push(format!(
            "Pictures of {without_picture} items on which graders part ways: their images are not \
             in the folder of <code>--images</code> (or, in a run, of <code>images_dir</code> in \
             <code>run.json</code>), or cannot be decoded."
        ));
    }
}

fn title(item: &Disagreement) -> String {
    let people = if item.synthetic { "synthetic graders (not people)" } else { "people" };
    match item.between {
        Between::MetricsAndPeople => format!("Metrics against {people}"),
        Between::JudgesAndPeople => format!("Judge against {people}"),
        Between::MetricsAndJudges => "Metrics against judge".to_owned(),
        Between::PeopleAmongThemselves if item.synthetic => {
            "Synthetic graders (not people) among themselves".to_owned()
        }
        Between::PeopleAmongThemselves => "People among themselves".to_owned(),
    }
}

fn explained(between: Between) -> &'static str {
    match between {
        Between::PeopleAmongThemselves => "The items whose grades spread most.",
        _ => {
            "The items with the widest gap between the two standings. A standing says which share \
             of all items a kind of grader puts lower, so that scales need not be the same."
        }
    }
}

/// Writes a card; false when it has no picture.
fn card(
    out: &mut String,
    agreement: &Agreement,
    item: &Disagreement,
    places: &ImagePlaces,
) -> bool {
    let text = item.text.as_ref();
    let image = text.and_then(|text| text.image.as_deref());
    let picture =
        image.and_then(|name| places.find(name)).and_then(|image| picture::load(&image).ok());
    let plain = if picture.is_none() { " plain" } else { "" };
    let _ = write!(out, "<article class=\"card{plain}\">");
    if let Some(picture) = &picture {
        let _ = write!(
            out,
            "<div class=\"picture\"><img src=\"{}\" width=\"{}\" height=\"{}\" alt=\"{}\"></div>",
            picture.uri,
            picture.width,
            picture.height,
            escape(image.unwrap_or("image"))
        );
    }
    let _ = write!(
        out,
        "<div class=\"said\"><p class=\"labels\"><span class=\"verdict\">{}</span><span>{}</span></p>",
        gap(item),
        escape_short(&item.system, 60)
    );
    if let Some(text) = text {
        if !text.question.trim().is_empty() {
            let _ = write!(
                out,
                "<p class=\"question\" dir=\"auto\">{}</p>",
                escape_short(&text.question, TEXT_LIMIT)
            );
        }
        out.push_str("<dl>");
        said(out, "Reference", "reference", &text.reference);
        said(out, "Candidate", "model", &text.candidate);
        out.push_str("</dl>");
    }
    grades(out, agreement, item);
    let _ = write!(out, "<p class=\"id\">{}</p></div></article>", escape_short(&item.id, 80));
    picture.is_some()
}

/// `metrics 92, people 11`: the two standings, or among people the lowest and highest grade.
fn gap(item: &Disagreement) -> String {
    let standing = |value: f64| format!("{:.0}", value * 100.0);
    let people = if item.synthetic { "synthetic" } else { "people" };
    let (first, second) = match item.between {
        Between::MetricsAndPeople => ("metrics", people),
        Between::JudgesAndPeople => ("judge", people),
        Between::MetricsAndJudges => ("metrics", "judge"),
        Between::PeopleAmongThemselves => {
            return format!("grades from {} to {}", item.first, item.second);
        }
    };
    format!("{first} {}, {second} {}", standing(item.first), standing(item.second))
}

fn said(out: &mut String, name: &str, class: &str, text: &str) {
    let text = if text.trim().is_empty() {
        "<i>nothing</i>".to_owned()
    } else {
        escape_short(text.trim(), TEXT_LIMIT)
    };
    let _ = write!(out, "<dt>{name}</dt><dd class=\"{class}\" dir=\"auto\">{text}</dd>");
}

/// All grades of the item, one line for each kind; those of stand-ins where they are the subject.
fn grades(out: &mut String, agreement: &Agreement, item: &Disagreement) {
    out.push_str("<dl class=\"grades\">");
    for kind in [GraderKind::Human, GraderKind::Synthetic, GraderKind::Judge, GraderKind::Metric] {
        if kind == GraderKind::Synthetic && !item.synthetic {
            continue;
        }
        let of: Vec<&GivenGrade> = item.grades.iter().filter(|grade| grade.kind == kind).collect();
        let mut names: Vec<&str> = of.iter().map(|grade| grade.grader.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let given: Vec<String> = names
            .into_iter()
            .map(|name| {
                let values: Vec<String> = of
                    .iter()
                    .filter(|grade| grade.grader == name)
                    .map(|grade| {
                        Shown::new(grade.scale, agreement.options.likert).grade(grade.value)
                    })
                    .collect();
                format!("{}\u{a0}<b>{}</b>", escape_short(name, 30), values.join(",\u{a0}"))
            })
            .collect();
        let name = match kind {
            GraderKind::Human => "People",
            GraderKind::Synthetic => "Synthetic",
            GraderKind::Judge => "Judge",
            GraderKind::Metric => "Metrics",
        };
        if !given.is_empty() {
            let _ = write!(out, "<dt>{name}</dt><dd>{}</dd>", given.join("; "));
        }
    }
    out.push_str("</dl>");
}
