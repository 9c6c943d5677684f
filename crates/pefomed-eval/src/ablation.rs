//! The ablation as a table: one training with parts of it left out, over one seed or several.
//!
//! With one seed a cell has the interval of its score, which says how sure the score is for the
//! items that were drawn. It does not say how another training would have ended: that takes several
//! seeds, and a cell is then their mean with the standard deviation between them.

use std::fmt::Write as _;

use pefomed_data::readable::thousands;
use pefomed_data::{ImageCondition, Task};
use serde::{Deserialize, Serialize};

use crate::metrics::{ConditionMetrics, LexicalScores, Metrics, Scores, TaskMetrics};
use crate::number::{percent, with_interval};
use crate::{BootstrapOptions, Estimate, definitions};

/// Scores of every variant of a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ablation {
    /// Version of this layout: [`Ablation::FORMAT`].
    pub format: u32,
    /// Name of the split that was asked.
    pub split: String,
    /// The seeds, in the order of the values in cells.
    pub seeds: Vec<u64>,
    /// Names of the recipe's stages, in their order.
    pub stages: Vec<String>,
    /// How the intervals of single seeds were made.
    pub bootstrap: BootstrapOptions,
    /// One table for each task.
    pub tables: Vec<AblationTable>,
}

/// A variant of the training, as it was scored with each seed.
#[derive(Clone, Debug, PartialEq)]
pub struct AblationVariant {
    /// Words for a table, such as `stage 1 only`.
    pub name: String,
    /// Numbers that were trained.
    pub trainable: usize,
    /// Its scores, one for each seed.
    pub metrics: Vec<Metrics>,
}

/// The scores of one task: a row for each variant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AblationTable {
    /// The task.
    pub task: Task,
    /// What the cells of each row are.
    pub columns: Vec<AblationColumn>,
    /// The variants, and below them the majority baselines of questions.
    pub rows: Vec<AblationRow>,
}

/// What a column holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AblationColumn {
    /// Name of the metric.
    pub metric: String,
    /// Which image was shown.
    pub condition: ImageCondition,
    /// `open` or `closed` for a part of the questions; absent for all items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AblationRow {
    /// Words for a table.
    pub name: String,
    /// Numbers that were trained; absent for a baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trainable: Option<usize>,
    /// A cell for each column; none where the metric is not defined.
    pub cells: Vec<Option<AblationCell>>,
}

/// One score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AblationCell {
    /// Mean over seeds.
    pub mean: f64,
    /// Standard deviation over seeds, with n − 1 in the denominator; absent for one seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sd: Option<f64>,
    /// Score and interval of each seed; of a baseline, which no seed changes, one.
    pub seeds: Vec<Estimate>,
}

impl AblationCell {
    /// A cell from the scores of all seeds; none without any.
    pub fn new(seeds: Vec<Estimate>) -> Option<Self> {
        let n = seeds.len() as f64;
        if seeds.is_empty() {
            return None;
        }
        let mean = seeds.iter().map(|seed| seed.value).sum::<f64>() / n;
        let squares: f64 = seeds.iter().map(|seed| (seed.value - mean).powi(2)).sum();
        let sd = (seeds.len() > 1).then(|| (squares / (n - 1.0)).sqrt());
        Some(Self { mean, sd, seeds })
    }

    /// `57.4 ± 0.9` for several seeds, `57.4 [53.7, 60.8]` for one; in per cent.
    fn text(&self) -> String {
        match (self.sd, self.seeds.first()) {
            (Some(sd), _) => format!("{} ± {}", percent(self.mean), percent(sd)),
            (None, Some(only)) => with_interval(only),
            (None, None) => percent(self.mean),
        }
    }
}

impl AblationColumn {
    fn new(metric: &str, condition: ImageCondition) -> Self {
        Self { metric: metric.to_owned(), condition, part: None }
    }

    /// The columns of a task's table: the score of all items under every condition, then what else
    /// is asked of it under the true image.
    fn of_task(task: Task, metrics: &TaskMetrics) -> Vec<Self> {
        let headline = if task == Task::Vqa { "exact match" } else { "token F1" };
        let mut columns: Vec<Self> =
            metrics.conditions.iter().map(|it| Self::new(headline, it.condition)).collect();
        let Some(shown) = metrics.condition(ImageCondition::True) else { return columns };
        if task == Task::Vqa {
            for (part, scores) in [("open", shown.open), ("closed", shown.closed)] {
                if scores.is_some() {
                    let part = Some(part.to_owned());
                    columns.push(Self { part, ..Self::new(headline, ImageCondition::True) });
                }
            }
            columns.push(Self::new("token F1", ImageCondition::True));
        }
        for (metric, _) in further(shown, &shown.overall) {
            columns.push(Self::new(metric, ImageCondition::True));
        }
        columns
    }

    /// What is there for the part of the questions that the column is about.
    fn of_part<T>(&self, all: T, open: Option<T>, closed: Option<T>) -> Option<T> {
        match self.part.as_deref() {
            None => Some(all),
            Some("open") => open,
            Some(_) => closed,
        }
    }

    fn score(&self, metrics: &TaskMetrics) -> Option<Estimate> {
        let shown = metrics.condition(self.condition)?;
        let scores = self.of_part(&shown.overall, shown.open.as_ref(), shown.closed.as_ref())?;
        match self.metric.as_str() {
            "exact match" => Some(scores.exact_match),
            "token F1" => Some(scores.token_f1),
            name => further(shown, scores).find(|(known, _)| *known == name)?.1,
        }
    }

    /// `exact match, blank image`; the true image goes without saying.
    fn name(&self) -> String {
        let mut name = self.metric.clone();
        if let Some(part) = &self.part {
            let _ = write!(name, ", {part}");
        }
        if self.condition != ImageCondition::True {
            let _ = write!(name, ", {} image", self.condition.name());
        }
        name
    }
}

/// What is measured of texts beside the words that questions are scored by, in the order of columns.
fn further(
    shown: &ConditionMetrics,
    scores: &Scores,
) -> impl Iterator<Item = (&'static str, Option<Estimate>)> {
    let lexical = scores.lexical.iter().flat_map(LexicalScores::named);
    lexical.chain(shown.clinical.iter().flat_map(|scores| scores.f1.named()))
}

impl AblationTable {
    fn new(task: Task, variants: &[AblationVariant]) -> Option<Self> {
        let first = variants.first()?.metrics.first()?.task(task)?;
        let columns = AblationColumn::of_task(task, first);
        let mut rows: Vec<AblationRow> = variants
            .iter()
            .map(|variant| {
                let tasks = || variant.metrics.iter().filter_map(|metrics| metrics.task(task));
                let cell = |column: &AblationColumn| {
                    let seeds: Option<Vec<_>> = tasks().map(|it| column.score(it)).collect();
                    AblationCell::new(seeds?)
                };
                AblationRow {
                    name: variant.name.clone(),
                    trainable: Some(variant.trainable),
                    cells: columns.iter().map(cell).collect(),
                }
            })
            .collect();
        for baseline in &first.baselines {
            let cell = |column: &AblationColumn| {
                let estimate = match (column.metric.as_str(), column.condition) {
                    ("exact match", ImageCondition::True) => {
                        column.of_part(baseline.overall, baseline.open, baseline.closed)
                    }
                    _ => None,
                };
                AblationCell::new(estimate.into_iter().collect())
            };
            rows.push(AblationRow {
                name: format!("majority, {}", baseline.rule.name()),
                trainable: None,
                cells: columns.iter().map(cell).collect(),
            });
        }
        Some(Self { task, columns, rows })
    }

    /// Words of every cell under the names of their columns; the first column names the variants.
    pub fn text_rows(&self) -> Vec<Vec<String>> {
        let mut head = vec![self.task.tag().to_owned(), "trained".to_owned()];
        head.extend(self.columns.iter().map(AblationColumn::name));
        let mut rows = vec![head];
        let dash = || "–".to_owned();
        for row in &self.rows {
            let mut cells = vec![row.name.clone(), row.trainable.map_or_else(dash, thousands)];
            let words = |cell: &Option<AblationCell>| cell.as_ref().map(AblationCell::text);
            cells.extend(row.cells.iter().map(|cell| words(cell).unwrap_or_else(dash)));
            rows.push(cells);
        }
        rows
    }
}

impl Ablation {
    /// Version of the layout that this crate writes.
    pub const FORMAT: u32 = 1;
    /// Name of the file in the folder of an ablation.
    pub const FILE: &str = "ablation.json";
    /// Name of the same as tables in Markdown.
    pub const TEXT_FILE: &str = "ablation.md";

    /// Lays scores out in tables. Every variant has the scores of all seeds, in their order, on the
    /// same items.
    pub fn new(
        split: &str,
        seeds: Vec<u64>,
        stages: Vec<String>,
        variants: &[AblationVariant],
    ) -> Self {
        let first = variants.first().and_then(|variant| variant.metrics.first());
        let tables = first.iter().flat_map(|metrics| &metrics.tasks);
        Self {
            format: Self::FORMAT,
            split: split.to_owned(),
            seeds,
            stages,
            bootstrap: first.map_or_else(BootstrapOptions::default, |metrics| metrics.bootstrap),
            tables: tables.filter_map(|it| AblationTable::new(it.task, variants)).collect(),
        }
    }

    /// What a reader of the tables has to know: stages, split, and what stands behind a number.
    pub fn legend(&self) -> String {
        let mut out = String::new();
        for (index, stage) in self.stages.iter().enumerate() {
            let _ =
                write!(out, "{}stage {}: {stage}", if index == 0 { "" } else { "; " }, index + 1);
        }
        let _ = write!(out, ". Split {}. In per cent, ", self.split);
        let seeds: Vec<String> = self.seeds.iter().map(u64::to_string).collect();
        if seeds.len() > 1 {
            let _ = write!(
                out,
                "mean ± standard deviation (n − 1) of {} trainings, seeds {}.",
                seeds.len(),
                seeds.join(", ")
            );
        } else {
            let _ = write!(
                out,
                "seed {}. {}",
                seeds.join(", "),
                definitions::interval(&self.bootstrap)
            );
        }
        out
    }

    /// The tables in Markdown.
    pub fn to_markdown(&self) -> String {
        let mut out = String::new();
        for table in &self.tables {
            for (index, row) in table.text_rows().iter().enumerate() {
                let _ = writeln!(out, "| {} |", row.join(" | "));
                if index == 0 {
                    let _ = writeln!(out, "|---|{}", "---:|".repeat(row.len() - 1));
                }
            }
            out.push('\n');
        }
        out + &self.legend() + "\n"
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use pefomed_data::{Finish, Prediction};

    use super::*;
    use crate::{ScoreOptions, TrainAnswer, score};

    fn estimates(values: &[f64]) -> Vec<Estimate> {
        values.iter().map(|&value| Estimate { value, low: None, high: None }).collect()
    }

    /// Ten questions under two conditions of which `right` and `blank` are answered rightly.
    fn metrics(right: usize, blank: usize) -> Metrics {
        let conditions = [(ImageCondition::True, right), (ImageCondition::Blank, blank)];
        let line = |(condition, right): (ImageCondition, usize), index: usize| Prediction {
            id: index.to_string(),
            image: None,
            group: index.to_string(),
            task: Task::Vqa,
            question: "Is it?".to_owned(),
            prompt: String::new(),
            prediction: if index < right { "yes" } else { "no" }.to_owned(),
            reference: "yes".to_owned(),
            other_references: Vec::new(),
            labels: BTreeMap::new(),
            tokens: 1,
            finish: Finish::Stop,
            condition,
        };
        let lines: Vec<Prediction> =
            conditions.into_iter().flat_map(|it| (0..10).map(move |i| line(it, i))).collect();
        let train = vec![TrainAnswer { answer: "yes".to_owned(), labels: BTreeMap::new() }];
        score(&lines, &ScoreOptions { train, ..ScoreOptions::default() }).unwrap()
    }

    #[test]
    fn the_spread_is_that_of_numpy() {
        // numpy.mean and numpy.std(ddof=1) of [0.2, 0.4, 0.9].
        let cell = AblationCell::new(estimates(&[0.2, 0.4, 0.9])).unwrap();
        assert!((cell.mean - 0.5).abs() < 1e-12);
        assert!((cell.sd.unwrap() - 0.360_555_127_546_398_9).abs() < 1e-12);
        assert_eq!(cell.text(), "50.0 ± 36.1");
        assert_eq!(AblationCell::new(estimates(&[0.25])).unwrap().sd, None);
        assert_eq!(AblationCell::new(Vec::new()), None);
    }

    #[test]
    fn several_seeds_are_means_and_one_seed_has_its_interval() {
        let variant = |name: &str, metrics: Vec<Metrics>| AblationVariant {
            name: name.to_owned(),
            trainable: 1_234,
            metrics,
        };
        let stages = vec!["alignment".to_owned(), "vqa".to_owned()];
        let variants = [
            variant("untuned", vec![metrics(2, 1), metrics(4, 1)]),
            variant("both", vec![metrics(9, 3), metrics(9, 5)]),
        ];
        let ablation = Ablation::new("test", vec![7, 8], stages.clone(), &variants);
        let rows = ablation.tables[0].text_rows();
        let cells = |row: &[String]| row.join(" | ");
        assert_eq!(
            cells(&rows[0]),
            "vqa | trained | exact match | exact match, blank image | exact match, closed | token F1"
        );
        assert_eq!(
            cells(&rows[1]),
            "untuned | 1,234 | 30.0 ± 14.1 | 10.0 ± 0.0 | 30.0 ± 14.1 | 30.0 ± 14.1"
        );
        assert_eq!(
            cells(&rows[2]),
            "both | 1,234 | 90.0 ± 0.0 | 40.0 ± 14.1 | 90.0 ± 0.0 | 90.0 ± 0.0"
        );
        assert!(
            cells(&rows[3]).starts_with("majority, one answer | – | 100.0 [100.0, 100.0] | – |")
        );
        let text = ablation.to_markdown();
        assert!(text.contains("stage 1: alignment; stage 2: vqa. Split test."), "{text}");
        assert!(text.contains("of 2 trainings, seeds 7, 8."), "{text}");

        let alone = [variant("tuned", vec![metrics(5, 5)])];
        let ablation = Ablation::new("test", vec![7], stages, &alone);
        let cell = ablation.tables[0].rows[0].cells[0].clone().unwrap();
        let own = &alone[0].metrics[0].tasks[0].conditions[0].overall.exact_match;
        assert_eq!((cell.mean, &cell.seeds[0]), (0.5, own));
        assert!(ablation.tables[0].text_rows()[1][2].starts_with("50.0 ["));
        let json = serde_json::to_string(&ablation).unwrap();
        assert_eq!(serde_json::from_str::<Ablation>(&json).unwrap(), ablation);
    }
}
