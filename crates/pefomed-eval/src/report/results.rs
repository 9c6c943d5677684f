//! The results of one metrics file: scores, controls, baselines and scores by label.

use std::fmt::Write as _;

use pefomed_data::{ImageCondition, Task};

use super::charts::{Bar, bars, forest, forest_axis, forest_gap};
use super::html::{Page, escape, escape_short, head, row};
use crate::bootstrap::Estimate;
use crate::item::QUESTION_TYPE;
use crate::metrics::{AnswerTypeRule, ConditionMetrics, Metrics, TaskMetrics};
use crate::number::{difference, percent, with_interval};
use pefomed_data::readable::thousands;

/// What a condition is called in running text and tables.
pub(super) fn condition_name(condition: ImageCondition) -> &'static str {
    match condition {
        ImageCondition::True => "True image",
        ImageCondition::Blank => "Blank image",
        ImageCondition::Shuffled => "Shuffled image",
    }
}

/// The style sheet's class of a condition's bars.
pub(super) fn condition_class(condition: ImageCondition) -> &'static str {
    match condition {
        ImageCondition::True => "c-true",
        ImageCondition::Blank => "c-blank",
        ImageCondition::Shuffled => "c-shuffled",
    }
}

/// The key to the bars' colours.
pub(super) fn legend(conditions: &[ImageCondition]) -> String {
    let mut out = String::from("<p class=\"legend\">");
    for condition in conditions {
        let _ = write!(
            out,
            "<span><svg width=\"12\" height=\"12\" aria-hidden=\"true\"><rect class=\"bar {}\" \
             x=\"1\" y=\"1\" width=\"10\" height=\"10\"/></svg>{}</span>",
            condition_class(*condition),
            condition_name(*condition)
        );
    }
    out.push_str("</p>");
    out
}

/// Appends the section of one split.
pub(super) fn section(page: &mut Page, metrics: &Metrics) {
    page.push(&format!("<section><h2>Results on split {}</h2>", escape(&metrics.split)));
    let mut facts = format!(
        "{} prediction lines about {} images",
        thousands(metrics.rows as u64),
        thousands(metrics.images as u64)
    );
    if let Some(digest) = &metrics.split_digest {
        let _ = write!(facts, "; digest of the split <code>{}</code>", escape_short(digest, 16));
    }
    facts.push('.');
    if !metrics.unscored.is_empty() {
        let shown: Vec<String> = metrics
            .unscored
            .iter()
            .take(5)
            .map(|line| {
                format!("<code>{}</code> ({})", escape_short(&line.id, 60), escape(&line.reason))
            })
            .collect();
        let more = metrics.unscored.len().saturating_sub(shown.len());
        let _ = write!(
            facts,
            " Not scored: {} lines: {}{}.",
            thousands(metrics.unscored.len() as u64),
            shown.join(", "),
            if more > 0 { format!(", and {more} more") } else { String::new() }
        );
    }
    page.paragraph(&facts);
    leakage(page, metrics);
    for task in &metrics.tasks {
        match task.task {
            Task::Vqa => questions(page, task),
            Task::Caption | Task::Report => texts(page, task),
        }
    }
    page.push("</section>");
}

fn leakage(page: &mut Page, metrics: &Metrics) {
    let Some(leakage) = metrics.leakage else { return };
    if leakage.also_in_train == 0 {
        page.paragraph(&format!(
            "None of its {} images occurs in the training split.",
            thousands(leakage.images as u64)
        ));
    } else {
        page.push(&format!(
            "<p class=\"caution\"><b>Seen images.</b> {} of the {} images of this split also occur \
             in the training split, with other questions. Read these scores as comparable with \
             published ones on the same split, not as what a new image would get.</p>",
            thousands(leakage.also_in_train as u64),
            thousands(leakage.images as u64)
        ));
    }
}

fn questions(page: &mut Page, task: &TaskMetrics) {
    page.push("<h3>Questions</h3>");
    let mut body = String::new();
    for condition in &task.conditions {
        let parts = [
            ("all", Some(&condition.overall)),
            ("open", condition.open.as_ref()),
            ("closed", condition.closed.as_ref()),
        ];
        for (name, scores) in parts {
            let Some(scores) = scores else { continue };
            let heading = if name == "all" { condition_name(condition.condition) } else { "" };
            body.push_str(&row(
                heading,
                &[
                    name.to_owned(),
                    thousands(scores.n as u64),
                    with_interval(&scores.exact_match),
                    with_interval(&scores.token_f1),
                    with_interval(&scores.token_recall),
                    scores.bleu_1.as_ref().map_or_else(|| "–".to_owned(), with_interval),
                ],
            ));
        }
    }
    let mut caption = String::from("Scores in per cent by what image the model was shown.");
    caption.push_str(&task.answer_type_rule.map_or_else(String::new, answer_type_rule));
    caption.push_str(&incomplete(task));
    let columns = ["", "questions", "n", "Exact match", "Token F1", "Token recall", "BLEU-1"];
    page.table("scores", &caption, &head(&columns), &body);
    condition_bars(page, task);
    controls(page, task);
    external(page, task);
    if let Some(shown) = task.condition(ImageCondition::True).or_else(|| task.conditions.first()) {
        labels(page, shown);
    }
}

/// Says what told open questions from closed ones.
fn answer_type_rule(rule: AnswerTypeRule) -> String {
    let (by_label, by_answer) = (thousands(rule.by_label as u64), thousands(rule.by_answer as u64));
    match (rule.by_label, rule.by_answer) {
        (_, 0) => " Open or closed is what the data set’s label says.".to_owned(),
        (0, _) => {
            " The data set does not label open and closed; a question whose reference is yes \
                   or no is closed."
                .to_owned()
        }
        _ => format!(
            " Open or closed is what the data set’s label says for {by_label} questions; of the \
             {by_answer} without one, those whose reference is yes or no are closed."
        ),
    }
}

/// Says when answers were cut or missing, which a score alone would hide.
fn incomplete(task: &TaskMetrics) -> String {
    let mut out = String::new();
    for condition in &task.conditions {
        let said: Vec<String> =
            [(condition.cut, "cut at the token limit"), (condition.empty, "empty")]
                .iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, what)| format!("{} {what}", thousands(*count as u64)))
                .collect();
        if !said.is_empty() {
            let name = condition_name(condition.condition);
            let _ = write!(out, " {name}, answers: {}.", said.join(", "));
        }
    }
    out
}

fn condition_bars(page: &mut Page, task: &TaskMetrics) {
    type Part = fn(&ConditionMetrics) -> Option<Estimate>;
    let parts: [(&str, Part); 3] = [
        ("All", |condition| Some(condition.overall.exact_match)),
        ("Open", |condition| condition.open.map(|scores| scores.exact_match)),
        ("Closed", |condition| condition.closed.map(|scores| scores.exact_match)),
    ];
    let groups: Vec<(String, Vec<Bar<'_>>)> = parts
        .into_iter()
        .map(|(name, part)| {
            let bars = task.conditions.iter().filter_map(|condition| {
                Some(Bar {
                    class: condition_class(condition.condition),
                    name: condition_name(condition.condition),
                    estimate: part(condition)?,
                })
            });
            (name.to_owned(), bars.collect::<Vec<_>>())
        })
        .filter(|(_, bars)| !bars.is_empty())
        .collect();
    let conditions: Vec<ImageCondition> =
        task.conditions.iter().map(|condition| condition.condition).collect();
    page.figure(
        "bars",
        &format!("{}{}", bars("Exact match by image condition", &groups), legend(&conditions)),
        "Exact match in per cent; whiskers are the intervals.",
    );
}

fn controls(page: &mut Page, task: &TaskMetrics) {
    let cells = |all: &Estimate,
                 open: Option<&Estimate>,
                 closed: Option<&Estimate>,
                 write: fn(&Estimate) -> String| {
        let cell = |estimate: Option<&Estimate>| estimate.map_or("–".to_owned(), write);
        [write(all), cell(open), cell(closed)]
    };
    if !task.image_dependence.is_empty() {
        let mut body = String::new();
        for drop in &task.image_dependence {
            let mut row_cells = vec![thousands(drop.n as u64)];
            row_cells.extend(cells(
                &drop.overall,
                drop.open.as_ref(),
                drop.closed.as_ref(),
                difference,
            ));
            body.push_str(&row(&format!("True less {}", drop.control.name()), &row_cells));
        }
        let unpaired: usize = task.image_dependence.iter().map(|drop| drop.unpaired).sum();
        let mut caption = String::from(
            "What the image is worth: exact match under the true image less that under a control, \
             in percentage points, paired by question.",
        );
        if unpaired > 0 {
            let _ = write!(caption, " {unpaired} lines have no partner and are left out.");
        }
        page.table("scores", &caption, &head(&["", "n", "All", "Open", "Closed"]), &body);
    }
    if !task.baselines.is_empty() {
        let mut body = String::new();
        for baseline in &task.baselines {
            let mut row_cells = cells(
                &baseline.overall,
                baseline.open.as_ref(),
                baseline.closed.as_ref(),
                with_interval,
            )
            .to_vec();
            row_cells.push(difference(&baseline.margin));
            body.push_str(&row(&format!("Majority, {}", baseline.rule.name()), &row_cells));
        }
        let answers = task.baselines.first().map_or(0, |baseline| baseline.train_answers);
        let caption = format!(
            "What needs no image: exact match in per cent of giving the most frequent of {} training \
             answers, and by how many points the model is better.",
            thousands(answers as u64)
        );
        page.table(
            "scores",
            &caption,
            &head(&["", "All", "Open", "Closed", "Model better by"]),
            &body,
        );
    }
}

/// One table with a forest plot, a block for every label column.
fn labels(page: &mut Page, condition: &ConditionMetrics) {
    if condition.by_label.is_empty() {
        return;
    }
    let whole = condition.overall.exact_match.value;
    let mut columns: Vec<&String> = condition.by_label.keys().collect();
    columns.sort_by_key(|column| column.as_str() != QUESTION_TYPE);
    let mut body = String::new();
    for column in columns {
        let _ = write!(
            body,
            "<tr class=\"block\"><th scope=\"rowgroup\" colspan=\"3\">{}</th><td>{}</td></tr>",
            escape_short(&column.replace('_', " "), 60),
            forest_gap(whole)
        );
        for one in &condition.by_label[column] {
            body.push_str(&row(
                &escape_short(&one.label, 60),
                &[
                    thousands(one.scores.n as u64),
                    with_interval(&one.scores.exact_match),
                    forest(&one.scores.exact_match, whole),
                ],
            ));
        }
    }
    let several = if condition.by_label.contains_key(QUESTION_TYPE) {
        " A question with several question types counts under each."
    } else {
        ""
    };
    let caption = format!(
        "Exact match in per cent by label, {}. The dashed line is all questions, {}.{several}",
        condition_name(condition.condition).to_lowercase(),
        percent(whole),
    );
    page.table("forest", &caption, &head(&["", "n", "Exact match", &forest_axis()]), &body);
}

fn texts(page: &mut Page, task: &TaskMetrics) {
    page.push(match task.task {
        Task::Report => "<h3>Reports</h3>",
        _ => "<h3>Captions</h3>",
    });
    let mut counts = Vec::new();
    let mut columns = vec![String::new()];
    for condition in &task.conditions {
        let n = thousands(condition.overall.n as u64);
        counts
            .push(format!("{n} under the {}", condition_name(condition.condition).to_lowercase()));
        columns.push(condition_name(condition.condition).to_owned());
    }
    for drop in &task.image_dependence {
        columns.push(format!("True less {}", drop.control.name()));
    }
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let mut body = String::new();
    for (name, cells) in task.text_rows() {
        let cells: Vec<String> = cells.into_iter().map(|cell| cell.unwrap_or("–".into())).collect();
        body.push_str(&row(&escape_short(&name, 60), &cells));
    }
    let caption = format!(
        "How alike texts and references are worded ({}), in per cent of each metric’s unit (CIDEr times \
         100). It says nothing on whether they mean the same: a report that denies what the reference \
         finds can share most of its words. A value tells something only beside the one without the \
         right image.{}{}",
        counts.join(", "),
        if task.conditions.iter().any(|condition| condition.clinical.is_some()) {
            " F1-14 and F1-5 compare clinical findings instead of words."
        } else {
            ""
        },
        incomplete(task)
    );
    page.table("scores dense", &caption, &head(&columns), &body);
    findings(page, task);
}

/// Scores of external scorers about questions, in their own units.
fn external(page: &mut Page, task: &TaskMetrics) {
    let rows = task.external_rows();
    if rows.is_empty() {
        return;
    }
    let mut columns = vec![String::new()];
    columns.extend(task.condition_columns());
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let mut body = String::new();
    for (name, cells) in rows {
        let cells: Vec<String> = cells.into_iter().map(|cell| cell.unwrap_or("–".into())).collect();
        body.push_str(&row(&escape_short(&name, 60), &cells));
    }
    let caption = "Mean scores of commands outside this program, each in its own unit.";
    page.table("scores", caption, &head(&columns), &body);
}

/// One row for each clinical finding.
fn findings(page: &mut Page, task: &TaskMetrics) {
    let Some(rows) = task.finding_rows() else { return };
    let Some((first, rest)) = rows.split_first() else { return };
    let columns: Vec<&str> = first.iter().map(String::as_str).collect();
    let mut body = String::new();
    for cells in rest {
        if let Some((name, cells)) = cells.split_first() {
            body.push_str(&row(name, cells));
        }
    }
    let caption = "Clinical findings, in per cent: how often references and texts have each, and how well \
                   they agree. Labels come from rules, in the manner of the CheXpert labeler and not by it. \
                   A dash: no text has the finding.";
    page.table("scores dense", caption, &head(&columns), &body);
}
