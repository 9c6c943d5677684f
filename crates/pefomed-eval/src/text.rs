//! Metrics and comparisons as tables for a terminal.

use pefomed_data::readable::thousands;
use std::fmt::Write as _;

use pefomed_data::{ImageCondition, Task};

use crate::bootstrap::Estimate;
use crate::clinical::finding_rows;
use crate::compare::{Comparison, Difference, MetricDifference};
use crate::external::ExternalScore;
use crate::metrics::{LexicalScores, Metrics, Scores, TaskMetrics};
use crate::{definitions, number};

/// Rows of text cells; the first column is flush left, the others flush right.
struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new(head: &[&str]) -> Self {
        Self { rows: vec![head.iter().map(|cell| (*cell).to_owned()).collect()] }
    }

    fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    fn write(&self, out: &mut String) {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let mut line = String::from(" ");
            for (column, cell) in row.iter().enumerate() {
                let width = widths[column];
                let _ = if column == 0 {
                    write!(line, " {cell:<width$}")
                } else {
                    write!(line, "  {cell:>width$}")
                };
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
}

impl Metrics {
    /// Tables for a terminal, about 90 columns wide: scores by condition, what the image is worth,
    /// the baselines, and scores by label under the true image. Percentages with intervals.
    pub fn to_text(&self) -> String {
        let mut out = format!(
            "split {} · {} lines · {} images",
            clean(&self.split),
            thousands(self.rows as u64),
            thousands(self.images as u64)
        );
        if let Some(digest) = &self.split_digest {
            let _ = write!(out, " · digest {}", clean(digest).chars().take(12).collect::<String>());
        }
        out.push('\n');
        if let Some(leakage) = self.leakage.filter(|leakage| leakage.also_in_train > 0) {
            let _ = writeln!(
                out,
                "note: {} of its {} images also occur in train",
                leakage.also_in_train, leakage.images
            );
        }
        for task in &self.tasks {
            let _ = writeln!(out, "\n{}", task.task);
            task.write_text(&mut out);
        }
        if !self.unscored.is_empty() {
            let _ = writeln!(out, "\nnot scored: {} lines", self.unscored.len());
            for line in self.unscored.iter().take(5) {
                let _ = writeln!(
                    out,
                    "  {} ({} image): {}",
                    clean(&line.id),
                    line.condition.name(),
                    clean(&line.reason)
                );
            }
        }
        let _ = writeln!(out, "\n{}", definitions::interval(&self.bootstrap));
        out
    }
}

impl TaskMetrics {
    /// Metrics of captions or reports as rows: name, then a cell for each condition and for each
    /// control's difference; none where a metric is not known.
    pub fn text_rows(&self) -> Vec<(String, Vec<Option<String>>)> {
        let mut rows: Vec<(String, Vec<Option<String>>)> = Vec::new();
        let mut put = |column: usize, name: &str, cell: Option<String>| {
            let at = rows.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
                let width = self.conditions.len() + self.image_dependence.len();
                rows.push((name.to_owned(), vec![None; width]));
                rows.len() - 1
            });
            rows[at].1[column] = cell;
        };
        for (column, condition) in self.conditions.iter().enumerate() {
            let scores = &condition.overall;
            for (name, estimate) in scores.lexical.iter().flat_map(LexicalScores::named) {
                put(column, name, estimate.as_ref().map(number::with_interval));
            }
            for (name, estimate) in condition.clinical.iter().flat_map(|all| all.f1.named()) {
                put(column, name, estimate.as_ref().map(number::with_interval));
            }
            put(column, "token F1", Some(number::with_interval(&scores.token_f1)));
            put(column, "token recall", Some(number::with_interval(&scores.token_recall)));
        }
        for (column, drop) in self.image_dependence.iter().enumerate() {
            for (name, estimate) in drop.lexical.iter().flat_map(LexicalScores::named) {
                let cell = estimate.as_ref().map(number::difference);
                put(self.conditions.len() + column, name, cell);
            }
            for (name, estimate) in drop.clinical.iter().flat_map(|all| all.f1.named()) {
                let cell = estimate.as_ref().map(number::difference);
                put(self.conditions.len() + column, name, cell);
            }
            for (name, estimate) in
                [("token F1", drop.token_f1), ("token recall", drop.token_recall)]
            {
                let cell = estimate.as_ref().map(number::difference);
                put(self.conditions.len() + column, name, cell);
            }
        }
        rows.extend(self.external_rows());
        rows
    }

    /// Scores of external scorers as rows, in their own units: name, then a cell for each condition and
    /// for each control's difference.
    pub fn external_rows(&self) -> Vec<(String, Vec<Option<String>>)> {
        let names = self.conditions.iter().flat_map(|condition| &condition.external);
        let mut rows: Vec<(String, Vec<Option<String>>)> = Vec::new();
        for name in names.map(|score| &score.name) {
            if rows.iter().any(|(known, _)| known == name) {
                continue;
            }
            let of = |scores: &[ExternalScore], write: fn(&Estimate) -> String| {
                let score = scores.iter().find(|score| score.name == *name);
                score.map(|score| write(&score.estimate))
            };
            let scores = self.conditions.iter();
            let scores = scores.map(|condition| of(&condition.external, number::own_unit));
            let drops = self.image_dependence.iter();
            let drops = drops.map(|drop| of(&drop.external, number::own_difference));
            rows.push((name.clone(), scores.chain(drops).collect()));
        }
        rows
    }

    /// A table of findings under the true image, or the first there is, with what each loses under the
    /// controls; none where texts are not labelled. The first row is the head.
    pub fn finding_rows(&self) -> Option<Vec<Vec<String>>> {
        let shown = self.condition(ImageCondition::True).or_else(|| self.conditions.first())?;
        let drops = self.image_dependence.iter();
        let drops: Vec<_> =
            drops.filter_map(|drop| Some((drop.control.name(), drop.clinical.as_ref()?))).collect();
        Some(finding_rows(shown.clinical.as_ref()?, &drops))
    }

    /// The heads of the columns of [`Self::text_rows`] and [`Self::external_rows`].
    pub fn condition_columns(&self) -> Vec<String> {
        let scores = self.conditions.iter().map(|condition| {
            let n = thousands(condition.overall.n as u64);
            format!("{} image, n = {n}", condition.condition.name())
        });
        let drops = self.image_dependence.iter();
        scores.chain(drops.map(|drop| format!("true less {}", drop.control.name()))).collect()
    }

    fn write_rows(&self, rows: Vec<(String, Vec<Option<String>>)>, out: &mut String) {
        let columns = self.condition_columns();
        let mut table = Table { rows: vec![vec![String::new()]] };
        table.rows[0].extend(columns);
        for (name, cells) in rows {
            let mut row = vec![clean(&name)];
            row.extend(cells.into_iter().map(|cell| cell.unwrap_or_else(|| "–".to_owned())));
            table.row(row);
        }
        table.write(out);
    }

    fn write_texts(&self, out: &mut String) {
        self.write_rows(self.text_rows(), out);
        if let Some(rows) = self.finding_rows() {
            out.push('\n');
            Table { rows }.write(out);
        }
    }

    fn write_incomplete(&self, out: &mut String) {
        for condition in &self.conditions {
            if condition.cut + condition.empty > 0 {
                let _ = writeln!(
                    out,
                    "  {} image: {} answers cut at the token limit, {} empty",
                    condition.condition.name(),
                    condition.cut,
                    condition.empty
                );
            }
        }
    }

    fn write_text(&self, out: &mut String) {
        if self.task != Task::Vqa {
            self.write_texts(out);
            self.write_incomplete(out);
            return;
        }
        let mut table =
            Table::new(&["image", "", "n", "exact match", "token F1", "token recall", "BLEU-1"]);
        for condition in &self.conditions {
            let parts = [
                (Some(&condition.overall), "all"),
                (condition.open.as_ref(), "open"),
                (condition.closed.as_ref(), "closed"),
            ];
            for (scores, part) in parts {
                let Some(scores) = scores else { continue };
                let name = if part == "all" { condition.condition.name() } else { "" };
                let mut cells = vec![name.to_owned(), part.to_owned()];
                cells.extend(score_cells(scores));
                table.row(cells);
            }
        }
        table.write(out);
        self.write_incomplete(out);
        if let Some(rule) = self.answer_type_rule {
            let _ = writeln!(
                out,
                "  open or closed: by label for {}, by the reference being yes or no for {}",
                rule.by_label, rule.by_answer
            );
        }
        if !self.image_dependence.is_empty() || !self.baselines.is_empty() {
            out.push('\n');
            let mut table = Table::new(&["exact match", "all", "open", "closed"]);
            for drop in &self.image_dependence {
                let cell =
                    |estimate: Option<&_>| estimate.map_or(String::new(), number::difference);
                table.row(vec![
                    format!("true less {}", drop.control.name()),
                    number::difference(&drop.overall),
                    cell(drop.open.as_ref()),
                    cell(drop.closed.as_ref()),
                ]);
            }
            for baseline in &self.baselines {
                let cell =
                    |estimate: Option<&_>| estimate.map_or(String::new(), number::with_interval);
                table.row(vec![
                    format!("majority, {}", baseline.rule.name()),
                    number::with_interval(&baseline.overall),
                    cell(baseline.open.as_ref()),
                    cell(baseline.closed.as_ref()),
                ]);
            }
            table.write(out);
        }
        let external = self.external_rows();
        if !external.is_empty() {
            out.push('\n');
            self.write_rows(external, out);
        }
        let shown = self.condition(ImageCondition::True).or_else(|| self.conditions.first());
        for (column, rows) in shown.into_iter().flat_map(|condition| &condition.by_label) {
            out.push('\n');
            let column = clean(column);
            let head = [&column, "n", "exact match", "token F1", "token recall", "BLEU-1"];
            let mut table = Table::new(&head);
            for row in rows {
                let mut cells = vec![clean(&row.label)];
                cells.extend(score_cells(&row.scores));
                table.row(cells);
            }
            table.write(out);
        }
    }
}

fn score_cells(scores: &Scores) -> Vec<String> {
    vec![
        thousands(scores.n as u64),
        number::with_interval(&scores.exact_match),
        number::with_interval(&scores.token_f1),
        number::with_interval(&scores.token_recall),
        scores.bleu_1.as_ref().map_or_else(String::new, number::with_interval),
    ]
}

impl Comparison {
    /// A table for a terminal: both means, their paired difference with its interval, and the
    /// p-value, by task and metric.
    pub fn to_text(&self) -> String {
        let (a, b) = (clean(&self.a), clean(&self.b));
        let mut out = String::new();
        for task in &self.tasks {
            let _ = writeln!(
                out,
                "{} · {} items of {} groups · {} image",
                task.task,
                thousands(task.n as u64),
                thousands(task.groups as u64),
                self.condition.name()
            );
            let mut table = Table::new(&["", &a, &b, "difference", "p"]);
            let rows: [(&str, &Difference); 3] = [
                ("exact match", &task.exact_match),
                ("token F1", &task.token_f1),
                ("token recall", &task.token_recall),
            ];
            for (name, metric) in rows {
                table.row(vec![
                    name.to_owned(),
                    number::percent(metric.a),
                    number::percent(metric.b),
                    number::difference(&metric.difference),
                    number::p_value(metric.p_value),
                ]);
            }
            for MetricDifference { name, own_unit, difference } in &task.others {
                let mean = if *own_unit { number::plain } else { number::percent };
                let change = if *own_unit { number::own_difference } else { number::difference };
                table.row(vec![
                    clean(name),
                    mean(difference.a),
                    mean(difference.b),
                    change(&difference.difference),
                    number::p_value(difference.p_value),
                ]);
            }
            table.write(&mut out);
            let _ = writeln!(
                out,
                "  only {a} right: {}, only {b} right: {}\n",
                task.only_a_right, task.only_b_right
            );
        }
        for (name, ids) in [(&a, &self.only_in_a), (&b, &self.only_in_b)] {
            if !ids.is_empty() {
                let _ = writeln!(out, "left out: {} items that only {name} has", ids.len());
            }
        }
        if !self.unscored.is_empty() {
            let _ = writeln!(out, "not scored: {} items", self.unscored.len());
        }
        let _ = writeln!(
            out,
            "p: two-sided, {} random swaps within groups. {}",
            thousands(self.permutations as u64),
            definitions::interval(&self.bootstrap)
        );
        out
    }
}

/// Control characters of a data set's labels must not reach a terminal.
fn clean(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}
