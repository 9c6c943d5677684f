//! A recipe: everything that decides how a training goes, in one TOML file.
//!
//! A run is only as repeatable as its settings are complete, so every value has one place, every
//! default is written out when the recipe is saved beside its results ([`Recipe::to_toml`]), and
//! nothing is read from the environment. A key that nothing reads is an error with its line and the
//! nearest key there is: a mistyped `learning_rate` that silently left the default in force would
//! cost a night.
//!
//! Paths are relative to the recipe's own folder and absolute once read; `key=value` on the command
//! line changes single values (`stage.alignment.steps=10`).

mod overrides;
mod schema;
mod source;
mod stage;
mod validate;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use pefomed_data::compat::Compat;
use pefomed_data::formats::{Columns, Format, Language, ReadOptions, Sections, Views};
use pefomed_data::prompt::Template;
use pefomed_data::split::SplitRule;
use pefomed_data::{ImageCondition, Split, Task, files};
use pefomed_kernels::frozen::Precision;
use pefomed_model::config::FeatureSelection;
use pefomed_model::projector::ProjectorKind;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::de::DeTable;

use crate::{DeviceKind, TrainError};

pub use source::ModelSource;
pub use stage::{Length, Stage};

/// A whole recipe, with every default filled in and every path absolute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// A name for people: the heading of the report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Decides the order of the questions, the first adapter weights and dropout.
    #[serde(default)]
    pub seed: u64,
    /// The run folder when the command line names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<PathBuf>,
    /// The frozen parts and how they are joined.
    pub model: Model,
    /// What is trained inside the decoder.
    #[serde(default)]
    pub adapter: Adapter,
    /// Data sets by the names that stages and evaluation call them.
    #[serde(default)]
    pub data: BTreeMap<String, DataSet>,
    /// The stages in their order; each starts from what the one before it has learned.
    #[serde(default, rename = "stage")]
    pub stages: Vec<Stage>,
    /// What is predicted and scored in the end, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<Evaluation>,
}

/// `[model]`: the frozen vision encoder and decoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The vision encoder: a folder in Hugging Face layout, or one of the other origins.
    pub vision: ModelSource,
    /// The decoder: a `.gguf` file, a folder in Hugging Face layout, or one of the other origins.
    pub decoder: ModelSource,
    /// `tokenizer.json`, when it does not lie with the decoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<PathBuf>,
    /// The turns around an instruction.
    #[serde(default)]
    pub template: Template,
    /// Whose prompts are written, for weights that were trained on them; this project's when not
    /// given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compat: Option<Compat>,
    /// Side of the square image the encoder sees, in pixels; PeFoMed's 448 when not given.
    #[serde(default = "Model::default_image_size")]
    pub image_size: u32,
    /// Adjacent visual tokens joined into one before the projector; PeFoMed's 4 when not given.
    #[serde(default = "Model::default_merge")]
    pub merge: usize,
    /// The layer after which the encoder's tokens are taken, from the end when negative, without the
    /// final norm; each encoder's own choice when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vision_layer: Option<i32>,
    /// Whether the encoder's class token is a visual token too, before the patches.
    #[serde(default)]
    pub vision_cls: bool,
    /// How joined visual tokens are mapped to the decoder's width.
    #[serde(default)]
    pub projector: ProjectorKind,
    /// What the decoder's frozen weights are multiplied in.
    #[serde(default)]
    pub precision: WeightPrecision,
    /// Whether the decoder's layers keep their inputs alone in training, and are computed once more in
    /// the backward pass: less memory for a third more arithmetic.
    #[serde(default)]
    pub activation_checkpointing: bool,
}

/// What frozen weights are kept and multiplied in on the processor; a GPU computes in float32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WeightPrecision {
    /// The fastest that the processor has. A run writes down which one that was.
    #[default]
    Auto,
    /// Weights and their inputs rounded to bfloat16, sums in float32.
    Bf16,
    /// Nothing rounded.
    Float32,
    /// Weights left in the bytes of their file (quantized, if they are quantized there), and turned
    /// into numbers of the fastest precision while they are multiplied: the least memory.
    Stored,
}

impl WeightPrecision {
    /// What weights are packed in; none when they stay as they are stored.
    pub fn kernel(self) -> Option<Precision> {
        match self {
            Self::Auto => Some(Precision::fastest()),
            Self::Bf16 => Some(Precision::Bf16),
            Self::Float32 => Some(Precision::Float32),
            Self::Stored => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Bf16 => "bf16",
            Self::Float32 => "float32",
            Self::Stored => "stored",
        }
    }
}

impl Model {
    fn default_image_size() -> u32 {
        448
    }

    fn default_merge() -> usize {
        4
    }

    /// Which of the encoder's hidden states become visual tokens.
    pub fn selection(&self) -> FeatureSelection {
        FeatureSelection { layer: self.vision_layer, keep_class: self.vision_cls }
    }
}

/// `[adapter]`: what is trained inside the decoder. The default is PeFoMed's LoRA.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Adapter {
    /// The method.
    pub kind: AdapterKind,
    /// Rows of A and columns of B.
    pub rank: usize,
    /// The update is scaled by `alpha / rank`.
    pub alpha: f64,
    /// Probability that an input of A is dropped in training, 0 or more and below 1.
    pub dropout: f64,
    /// Names of the linear layers of the decoder that get one, such as `q_proj`.
    pub targets: Vec<String>,
    /// A folder with the adapter and projector that the first stage starts from, such as another
    /// run's `adapter`; drawn from the seed when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<PathBuf>,
}

impl Default for Adapter {
    fn default() -> Self {
        Self {
            kind: AdapterKind::Lora,
            rank: 64,
            alpha: 16.0,
            dropout: 0.05,
            targets: vec!["q_proj".to_owned(), "v_proj".to_owned()],
            start: None,
        }
    }
}

/// A method of parameter-efficient fine-tuning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdapterKind {
    /// Low-rank adaptation (Hu et al. 2021): W·x + (alpha/rank)·B·A·x.
    #[default]
    Lora,
}

/// `[data.NAME]`: one data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSet {
    /// Its layout.
    pub format: Format,
    /// The file, or for some layouts the folder.
    pub path: PathBuf,
    /// The folder image names are relative to; each layout has its own default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<PathBuf>,
    /// The language of the rows that are read, for data sets with several; all when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// Which images of a study are shown: `all` or `first`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub views: Option<Views>,
    /// Which sections of a report are the answer: `findings`, `impression` or `both`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sections: Option<Sections>,
    /// Names of the columns, where they are not the usual ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Columns>,
    /// What the rows ask, where the layout leaves it open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// Whether the first row that cannot be used is an error. Otherwise such rows are left out, and
    /// the run says how many and which.
    #[serde(default = "DataSet::default_strict")]
    pub strict: bool,
    /// What decides which examples are for training: `"published"`, or a table with a `rule`.
    #[serde(default, deserialize_with = "read_split", serialize_with = "write_split")]
    pub split: SplitRule,
    /// Groups (images or patients) of the training split to learn from, the first in the data; all
    /// when not given. For learning curves, and for a little of one kind of data beside much of
    /// another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_groups: Option<usize>,
}

impl DataSet {
    /// A data set as its authors publish it, all of it.
    pub fn new(format: Format, path: PathBuf) -> Self {
        Self {
            format,
            path,
            images: None,
            language: None,
            views: None,
            sections: None,
            columns: None,
            task: None,
            strict: Self::default_strict(),
            split: SplitRule::Published,
            train_groups: None,
        }
    }

    fn default_strict() -> bool {
        true
    }

    /// What its reader is told.
    pub fn options(&self) -> ReadOptions {
        ReadOptions {
            images: self.images.clone(),
            language: self.language,
            views: self.views,
            sections: self.sections,
            columns: self.columns.clone(),
            task: self.task,
        }
    }
}

/// `[evaluation]`: what is predicted after training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// Names of one or more data sets, each task scored on its own. A single name may stand
    /// without brackets.
    #[serde(deserialize_with = "one_or_more")]
    pub data: Vec<String>,
    /// The split to predict.
    #[serde(default = "Evaluation::default_split")]
    pub split: Split,
    /// Generation ends after so many tokens when the model writes no end token before.
    #[serde(default = "Evaluation::default_max_new_tokens")]
    pub max_new_tokens: usize,
    /// Branches decoded at a time: speed for memory. A group with more is cut, which may round its sums
    /// differently.
    #[serde(default = "Evaluation::default_rows")]
    pub rows: usize,
    /// Controls to predict beside the true images: `blank`, `shuffled`.
    #[serde(default)]
    pub controls: Vec<ImageCondition>,
}

/// Reads `data = "vqa"` and `data = ["vqa", "captions"]` alike.
fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Names;
    impl<'de> Visitor<'de> for Names {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the name of a data set or a list of names")
        }

        fn visit_str<E: de::Error>(self, name: &str) -> Result<Vec<String>, E> {
            Ok(vec![name.to_owned()])
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, mut names: A) -> Result<Vec<String>, A::Error> {
            let mut all = Vec::new();
            while let Some(name) = names.next_element()? {
                all.push(name);
            }
            Ok(all)
        }
    }
    deserializer.deserialize_any(Names)
}

impl Evaluation {
    fn default_split() -> Split {
        Split::Test
    }

    fn default_max_new_tokens() -> usize {
        32
    }

    fn default_rows() -> usize {
        64
    }
}

impl Recipe {
    /// Puts in the place of `auto` what it means on a device, so that a run repeats what it did.
    ///
    /// # Errors
    /// [`TrainError::RecipeValue`] for bfloat16 or stored weights on a device that has no kernels for
    /// them.
    pub fn settle(&mut self, device: DeviceKind) -> Result<(), TrainError> {
        let settled = &mut self.model.precision;
        match (device, *settled) {
            (DeviceKind::Cpu, WeightPrecision::Auto) => {
                *settled = match Precision::fastest() {
                    Precision::Bf16 => WeightPrecision::Bf16,
                    Precision::Float32 => WeightPrecision::Float32,
                };
            }
            (DeviceKind::Cpu, _) => {}
            (_, precision @ (WeightPrecision::Bf16 | WeightPrecision::Stored)) => {
                return Err(TrainError::RecipeValue {
                    origin: "recipe".to_owned(),
                    line: None,
                    problem: format!(
                        "[model] `precision` is {}, which the device {} does not have: write \
                         \"auto\" or \"float32\"",
                        precision.name(),
                        device.name()
                    ),
                });
            }
            (_, _) => *settled = WeightPrecision::Float32,
        }
        Ok(())
    }

    /// Reads a recipe file and applies `key=value` overrides to it, in their order; a later one
    /// wins. Relative paths in the file start at its folder, relative paths in an override at the
    /// working directory.
    ///
    /// # Errors
    /// [`TrainError::Data`] when the file cannot be read; those of [`parse`](Self::parse).
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, TrainError> {
        let text = files::read_text(path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, &path.display().to_string(), folder, overrides)
    }

    /// Reads a recipe from a text, such as the one inside the program; relative paths start at
    /// `base_dir`.
    ///
    /// # Errors
    /// Those of [`parse`](Self::parse).
    pub fn from_str(text: &str, base_dir: &Path) -> Result<Self, TrainError> {
        Self::parse(text, "recipe", base_dir, &[])
    }

    /// What [`read`](Self::read) does once it has the text; `origin` is the name that errors give
    /// the text.
    ///
    /// # Errors
    /// [`TrainError::RecipeSyntax`], [`TrainError::UnknownKey`] and [`TrainError::RecipeValue`]
    /// with the line; [`TrainError::Override`] with the argument.
    pub fn parse(
        text: &str,
        origin: &str,
        base_dir: &Path,
        overrides: &[String],
    ) -> Result<Self, TrainError> {
        let syntax = |error: toml::de::Error| TrainError::RecipeSyntax {
            origin: origin.to_owned(),
            line: error.span().map(|span| schema::line_of(text, span.start)),
            problem: error.message().to_owned(),
        };
        let document = DeTable::parse(text).map_err(syntax)?;
        if let Some(unknown) = schema::unknown_key(document.get_ref()) {
            return Err(TrainError::UnknownKey {
                origin: origin.to_owned(),
                key: unknown.key,
                table: unknown.table,
                line: schema::line_of(text, unknown.span.start),
                hint: unknown.hint,
            });
        }
        let mut value = toml::Value::Table(toml::from_str(text).map_err(syntax)?);
        schema::resolve_paths(&mut value, &schema::RECIPE, &absolute(base_dir));
        let here = absolute(Path::new(""));
        let changed = overrides
            .iter()
            .map(|assignment| overrides::apply(&mut value, assignment, &here))
            .collect::<Result<Vec<String>, TrainError>>()?;
        let recipe = Self::deserialize(value).map_err(|error| TrainError::RecipeValue {
            origin: origin.to_owned(),
            line: line_of_type_error(text, &error),
            problem: one_line(&error),
        })?;
        recipe.validate().map_err(|complaint| TrainError::RecipeValue {
            origin: origin.to_owned(),
            line: complaint.line(text, document.get_ref(), &changed),
            problem: complaint.problem,
        })?;
        Ok(recipe)
    }

    /// The recipe as TOML, every default written out: reading it back gives the same recipe.
    ///
    /// # Errors
    /// [`TrainError::RecipeWrite`] for a value TOML cannot hold: a seed of 2⁶³ or more, or a path
    /// that is not UTF-8.
    pub fn to_toml(&self) -> Result<String, TrainError> {
        toml::to_string(self)
            .map_err(|error| TrainError::RecipeWrite { problem: error.to_string() })
    }
}

/// The folder from the root of the file system, without asking whether it exists.
fn absolute(folder: &Path) -> Cow<'_, Path> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    std::path::absolute(folder).map_or(Cow::Borrowed(folder), Cow::Owned)
}

/// Values lose their place in the text when overrides are merged in. An error that the text alone
/// gives as well is the text's, and has a line.
fn line_of_type_error(text: &str, error: &toml::de::Error) -> Option<usize> {
    let own = toml::from_str::<Recipe>(text).err()?;
    let span = own.span().filter(|_| own.message() == error.message())?;
    Some(schema::line_of(text, span.start))
}

/// The parser writes the key on a line of its own.
fn one_line(error: &toml::de::Error) -> String {
    error.to_string().lines().map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// `"published"`, or a table with a `rule`.
fn read_split<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SplitRule, D::Error> {
    struct Either;

    impl<'de> Visitor<'de> for Either {
        type Value = SplitRule;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("\"published\", or a table such as { rule = \"group-hash\", … }")
        }

        fn visit_str<E: de::Error>(self, word: &str) -> Result<SplitRule, E> {
            match word {
                "published" => Ok(SplitRule::Published),
                _ => Err(E::invalid_value(de::Unexpected::Str(word), &self)),
            }
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SplitRule, A::Error> {
            SplitRule::deserialize(MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_any(Either)
}

fn write_split<S: Serializer>(split: &SplitRule, serializer: S) -> Result<S::Ok, S::Error> {
    match split {
        SplitRule::Published => serializer.serialize_str("published"),
        rule @ (SplitRule::GroupHash { .. } | SplitRule::Fold { .. }) => rule.serialize(serializer),
    }
}
