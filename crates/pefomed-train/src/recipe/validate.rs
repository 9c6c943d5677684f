//! Values of the right type that still make no sense, told before a weight is loaded.

use std::collections::BTreeSet;
use std::path::Path;

use pefomed_data::prompt::Template;
use pefomed_data::{DataError, ImageCondition, names, split};
use toml::de::DeTable;

use super::{Length, ModelSource, Recipe, Stage, schema};

/// A value that makes no sense, and where it stands.
#[derive(Debug)]
pub(super) struct Complaint {
    /// Dotted path, such as `stage.0.batch`.
    path: String,
    pub(super) problem: String,
}

impl Complaint {
    fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into() }
    }

    /// The line in the text, unless the value was set on the command line; for a value that is
    /// absent, the line of the table it is missed in.
    pub(super) fn line(
        &self,
        text: &str,
        document: &DeTable<'_>,
        changed: &[String],
    ) -> Option<usize> {
        let set_by = |path: &str| changed.iter().any(|set| is_within(path, set));
        let mut path = self.path.as_str();
        loop {
            if set_by(path) {
                return None;
            }
            if let Some(span) = schema::span_of(document, path) {
                return Some(schema::line_of(text, span.start));
            }
            path = path.rsplit_once('.')?.0;
        }
    }
}

/// Whether `path` is `table` or lies below it.
fn is_within(path: &str, table: &str) -> bool {
    path.strip_prefix(table).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

type Checked = Result<(), Complaint>;

impl Recipe {
    /// Checks what types cannot say. A recipe that was read has passed.
    pub(super) fn validate(&self) -> Checked {
        if self.output.as_deref().is_some_and(is_empty) {
            return Err(Complaint::new(
                "output",
                "`output` is empty: name a folder or leave it out",
            ));
        }
        self.validate_model()?;
        self.validate_adapter()?;
        for (name, data) in &self.data {
            let path = |key: &str| format!("data.{name}.{key}");
            if !is_word(name) {
                return Err(Complaint::new(
                    format!("data.{name}"),
                    format!("[data.\"{name}\"]: a name has letters, digits, `-` and `_` only"),
                ));
            }
            let folders = [("path", Some(&data.path)), ("images", data.images.as_ref())];
            for (key, folder) in folders {
                if folder.is_some_and(|folder| is_empty(folder)) {
                    return Err(Complaint::new(
                        path(key),
                        format!("[data.{name}] `{key}` is empty"),
                    ));
                }
            }
            if data.train_groups == Some(0) {
                return Err(Complaint::new(
                    path("train_groups"),
                    format!("[data.{name}] `train_groups` is 0: nothing would be left to learn"),
                ));
            }
            data.options().check(data.format).map_err(|error| {
                let key = match &error {
                    DataError::Option { option, .. } => option.clone(),
                    _ => "format".to_owned(),
                };
                Complaint::new(path(&key), format!("[data.{name}]: {error}"))
            })?;
            split::assign(&mut [], &data.split).map_err(|error| {
                Complaint::new(path("split"), format!("[data.{name}] `split`: {error}"))
            })?;
        }
        let mut seen = BTreeSet::new();
        for (index, stage) in self.stages.iter().enumerate() {
            self.validate_stage(index, stage)?;
            if !seen.insert(&stage.name) {
                return Err(Complaint::new(
                    format!("stage.{index}.name"),
                    format!("two stages are called `{}`: give each its own name", stage.name),
                ));
            }
        }
        self.validate_evaluation()
    }

    fn validate_model(&self) -> Checked {
        let model = &self.model;
        let wrong = |key: &str, problem: String| {
            Err(Complaint::new(format!("model.{key}"), format!("[model] `{key}` {problem}")))
        };
        if model.tokenizer.as_deref().is_some_and(is_empty) {
            return wrong("tokenizer", "is empty: name a `tokenizer.json`".to_owned());
        }
        for (key, source) in [("vision", &model.vision), ("decoder", &model.decoder)] {
            if matches!(source, ModelSource::Path(path) if is_empty(path)) {
                return wrong(key, "is empty: name a file or folder".to_owned());
            }
        }
        if model.compat.is_some() && model.template != Template::Inst {
            return wrong(
                "compat",
                "has the turns of LLaMA-2: set `template = \"inst\"`".to_owned(),
            );
        }
        if model.image_size == 0 {
            return wrong("image_size", "must be at least 1 pixel".to_owned());
        }
        if model.merge == 0 {
            return wrong("merge", "must be at least 1: 1 joins nothing".to_owned());
        }
        if model.vision_cls && model.merge > 1 {
            return wrong(
                "vision_cls",
                "is true, but the class token cannot be joined with patches: set `merge = 1`"
                    .to_owned(),
            );
        }
        Ok(())
    }

    fn validate_adapter(&self) -> Checked {
        let adapter = &self.adapter;
        let wrong = |key: &str, problem: String| {
            Err(Complaint::new(format!("adapter.{key}"), format!("[adapter] `{key}` {problem}")))
        };
        if adapter.rank == 0 {
            return wrong("rank", "must be at least 1".to_owned());
        }
        if !is_positive(adapter.alpha) {
            return wrong("alpha", format!("must be above 0, not {}", adapter.alpha));
        }
        if !(0.0..1.0).contains(&adapter.dropout) {
            return wrong(
                "dropout",
                format!("must be 0 or more and below 1, not {}", adapter.dropout),
            );
        }
        if adapter.start.as_deref().is_some_and(is_empty) {
            return wrong("start", "is empty: name a folder, or leave the key out".to_owned());
        }
        if adapter.targets.is_empty() {
            return wrong("targets", "is empty: name a layer, such as \"q_proj\"".to_owned());
        }
        match repeated(&adapter.targets) {
            Some(target) => wrong("targets", format!("names `{target}` twice")),
            None => Ok(()),
        }
    }

    fn validate_stage(&self, index: usize, stage: &Stage) -> Checked {
        let name = &stage.name;
        let wrong = |key: &str, problem: String| {
            Err(Complaint::new(
                format!("stage.{index}.{key}"),
                format!("[[stage]] `{name}`: `{key}` {problem}"),
            ))
        };
        // A name of digits alone could not be told from a number in an override.
        if !is_word(name) || name.bytes().all(|byte| byte.is_ascii_digit()) {
            return wrong(
                "name",
                "must have letters, digits, `-` and `_` only, and not digits alone".to_owned(),
            );
        }
        if stage.data.is_empty() {
            return wrong("data", "names no data set".to_owned());
        }
        for data in &stage.data {
            if let Some(problem) = self.no_such_data(data) {
                return wrong("data", problem);
            }
        }
        if let Some(data) = repeated(&stage.data) {
            return wrong("data", format!("names `{data}` twice"));
        }
        let mut weights = stage.weights.iter().flatten();
        if let Some(weight) = weights.find(|weight| !is_positive(**weight)) {
            return wrong("data", format!("has a weight of {weight}: weights must be above 0"));
        }
        match stage.length {
            Length::Epochs(epochs) if !is_positive(epochs) => {
                return wrong("epochs", format!("must be above 0, not {epochs}"));
            }
            Length::Steps(0) => return wrong("steps", "must be at least 1".to_owned()),
            _ => {}
        }
        let counts = [
            ("batch", stage.batch),
            ("token_budget", stage.token_budget),
            ("max_questions_per_tree", stage.max_questions_per_tree),
            ("trees_ahead", stage.trees_ahead),
            ("cosine_every", stage.cosine_every),
        ];
        if let Some((key, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return wrong(key, "must be at least 1".to_owned());
        }
        for (key, number) in [("learning_rate", stage.learning_rate), ("epsilon", stage.epsilon)] {
            if !is_positive(number) {
                return wrong(key, format!("must be above 0, not {number}"));
            }
        }
        let peak = stage.learning_rate;
        let ends = [
            ("final_learning_rate", stage.final_learning_rate),
            ("warmup_learning_rate", stage.warmup_learning_rate),
        ];
        for (key, rate) in ends {
            if !(0.0..=peak).contains(&rate) {
                return wrong(
                    key,
                    format!("must lie between 0 and the `learning_rate` of {peak}, not at {rate}"),
                );
            }
        }
        if !(stage.weight_decay >= 0.0 && stage.weight_decay.is_finite()) {
            return wrong("weight_decay", format!("must be 0 or more, not {}", stage.weight_decay));
        }
        for (key, beta) in [("beta1", stage.beta1), ("beta2", stage.beta2)] {
            if !(0.0..1.0).contains(&beta) {
                return wrong(key, format!("must be 0 or more and below 1, not {beta}"));
            }
        }
        let augment = &stage.augment;
        if !(augment.crop > 0.0 && augment.crop <= 1.0) {
            return wrong(
                "augment.crop",
                format!(
                    "is the smallest share of the area that is kept: above 0 and at most 1, not {}",
                    augment.crop
                ),
            );
        }
        if !(0.0..=1.0).contains(&augment.flip) {
            return wrong(
                "augment.flip",
                format!("is a probability: from 0 to 1, not {}", augment.flip),
            );
        }
        if !stage.train_projector && !stage.train_adapter {
            return wrong(
                "train_adapter",
                "and `train_projector` are both false, so nothing would learn".to_owned(),
            );
        }
        Ok(())
    }

    fn validate_evaluation(&self) -> Checked {
        let Some(evaluation) = &self.evaluation else { return Ok(()) };
        let wrong = |key: &str, problem: String| {
            Err(Complaint::new(
                format!("evaluation.{key}"),
                format!("[evaluation] `{key}` {problem}"),
            ))
        };
        if evaluation.data.is_empty() {
            return wrong("data", "names no data set".to_owned());
        }
        for name in &evaluation.data {
            if let Some(problem) = self.no_such_data(name) {
                return wrong("data", problem);
            }
        }
        if let Some(name) = repeated(&evaluation.data) {
            return wrong("data", format!("names `{name}` twice"));
        }
        for (key, count) in
            [("max_new_tokens", evaluation.max_new_tokens), ("rows", evaluation.rows)]
        {
            if count == 0 {
                return wrong(key, "must be at least 1".to_owned());
            }
        }
        if evaluation.controls.contains(&ImageCondition::True) {
            return wrong(
                "controls",
                "names `true`: the true images are predicted in any case".to_owned(),
            );
        }
        match repeated(&evaluation.controls) {
            Some(control) => wrong("controls", format!("names `{}` twice", control.name())),
            None => Ok(()),
        }
    }

    /// What to say about a name under which no data set stands.
    fn no_such_data(&self, name: &str) -> Option<String> {
        if self.data.contains_key(name) {
            return None;
        }
        let known = self.data.keys().map(String::as_str);
        let suggestion = names::suggestion(name, known);
        Some(format!("names `{name}`, but there is no [data.{name}]{suggestion}"))
    }
}

fn is_positive(number: f64) -> bool {
    number > 0.0 && number.is_finite()
}

fn is_empty(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

/// Fit for a file name and for one part of a dotted key.
fn is_word(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// The first entry that occurred before.
fn repeated<T: Ord>(entries: &[T]) -> Option<&T> {
    let mut seen = BTreeSet::new();
    entries.iter().find(|entry| !seen.insert(*entry))
}
