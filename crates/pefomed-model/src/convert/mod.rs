//! A tuned model from PeFoMed's or MiniGPT-v2's checkpoint (`.pth`) to this project's adapter folder,
//! and back.
//!
//! Such a checkpoint holds under `model` what was trained: the projector and the low-rank matrices.
//! An adapter folder holds the matrices in PEFT's layout and `projector.safetensors` beside them.
//! Values are copied, widened to float32. What a checkpoint does not hold is the scaling of the
//! update, `α`: a wrong one gives wrong answers and no error, so the report says where it is from.

mod keys;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::Serialize;

use self::keys::{PEFT, Part, Tensors, WRAPPED};
use crate::adapter::{self, LoraConfig, read_lora_config, write_peft_folder};
use crate::error::ModelError;
use crate::projector;
use crate::weights::{
    SafetensorsFile, TensorSource, TensorValues, TorchFile, write_safetensors, write_torch,
};

/// `α` of the paper.
const ALPHA: f64 = 16.0;
/// Where a checkpoint keeps the model.
const MODEL: &str = "model";

/// How a checkpoint names the low-rank matrices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Spelling {
    /// `.lora_A.default.weight`, as PEFT names them in a live model from version 0.3 on.
    #[default]
    Default,
    /// `.lora_A.weight`, as PEFT 0.2 did, which MiniGPT-v2 was published with.
    Plain,
}

impl FromStr for Spelling {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "default" => Ok(Self::Default),
            "plain" => Ok(Self::Plain),
            _ => Err(format!("no spelling is called `{name}`: there are default and plain")),
        }
    }
}

impl fmt::Display for Spelling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::Plain => "plain",
        })
    }
}

/// What the files themselves do not say.
#[derive(Clone, Debug, Default)]
pub struct ConvertOptions {
    /// `α` of a checkpoint; the paper's 16 if none.
    pub alpha: Option<f64>,
    /// Names of a checkpoint to be written.
    pub spelling: Spelling,
    /// Which decoder an adapter folder is said to belong to.
    pub base: String,
}

/// What was converted.
#[derive(Clone, Debug, Serialize)]
pub struct Converted {
    /// `adapter` or `checkpoint`: what was written.
    pub written: &'static str,
    /// Decoder layers that are adapted.
    pub layers: usize,
    /// Projections that are adapted in each.
    pub targets: Vec<&'static str>,
    /// Rank of the update.
    pub rank: usize,
    /// `α`; the update is scaled by `α / rank`.
    pub alpha: f64,
    /// Whether `α` is the paper's because none was given.
    pub alpha_assumed: bool,
    /// Output and input width of the projector.
    pub projector: [usize; 2],
    /// Number of values.
    pub values: usize,
    /// How the checkpoint names the matrices.
    pub spelling: Spelling,
    /// Every tensor: the projector, all `A`, all `B`.
    pub tensors: Vec<Renamed>,
    /// Keys beside the model in a checkpoint, and what they hold; they are not converted.
    pub beside: Vec<(String, String)>,
    /// Classes and functions that a checkpoint asks for; none was looked up.
    pub refused: Vec<String>,
}

/// A tensor with its old and new name.
#[derive(Clone, Debug, Serialize)]
pub struct Renamed {
    /// Name in the source.
    pub from: String,
    /// Name in what was written.
    pub to: String,
    /// Row-major shape.
    pub shape: Vec<usize>,
}

/// Converts a checkpoint to an adapter folder, or an adapter folder to a checkpoint; which of them
/// `input` is decides. Nothing is overwritten.
///
/// # Errors
/// [`ModelError::Exists`]; [`ModelError::AdapterKeys`] or [`ModelError::AdapterShape`] for anything
/// missing, left over or misshapen; [`ModelError::Torch`] or [`ModelError::Safetensors`] for a file
/// that cannot be read; [`ModelError::Unsupported`] for another kind of adapter.
pub fn convert(
    input: &Path,
    output: &Path,
    options: &ConvertOptions,
) -> Result<Converted, ModelError> {
    if output.exists() && (output.is_file() || output.join(adapter::CONFIG_FILE).exists()) {
        return Err(ModelError::Exists { path: output.to_owned() });
    }
    if input.is_dir() {
        to_checkpoint(input, output, options.spelling)
    } else {
        to_adapter(input, output, options)
    }
}

fn to_adapter(
    input: &Path,
    output: &Path,
    options: &ConvertOptions,
) -> Result<Converted, ModelError> {
    let file = TorchFile::open(input)?;
    // The wrapper's name and PEFT's stand before the decoder's own.
    let strip = |name| match str::strip_prefix(name, WRAPPED) {
        Some(rest) => rest.strip_prefix(PEFT),
        None => Some(name).filter(|name| name.starts_with("llama_proj.")),
    };
    let found = Tensors::of(file.origin(), &[&file], strip)?;
    let (mut adapter, mut projector) = (Vec::new(), Vec::new());
    let name = |part: Part| part.name(false);
    let renamed = rename(&found, name, |part, name, to, shape| {
        let tensors = if part.is_projector() { &mut projector } else { &mut adapter };
        tensors.push((to, shape, TensorValues::F32(file.read_f32(name)?)));
        Ok(())
    })?;
    let alpha = options.alpha.unwrap_or(ALPHA);
    let targets = found.sites.clone();
    let config = LoraConfig { rank: found.rank, alpha, dropout: 0.0, targets };
    // The configuration comes last: a folder without one is no adapter.
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    write_safetensors(&output.join(projector::FILE), &projector, &metadata)?;
    write_peft_folder(output, &options.base, &config, &adapter)?;
    let spelling = if found.live { Spelling::Default } else { Spelling::Plain };
    let mut converted = report("adapter", &found, &config, spelling, renamed);
    converted.alpha_assumed = options.alpha.is_none();
    converted.beside = file.beside().to_vec();
    converted.refused = file.refused().to_vec();
    Ok(converted)
}

fn to_checkpoint(input: &Path, output: &Path, spelling: Spelling) -> Result<Converted, ModelError> {
    let config = read_lora_config(input)?;
    let adapter = SafetensorsFile::open(&input.join(adapter::WEIGHTS_FILE))?;
    let projector = SafetensorsFile::open(&input.join(projector::FILE))?;
    let strip = |name| match str::strip_prefix(name, PEFT) {
        Some(rest) => Some(rest),
        None => Some(name).filter(|name| name.starts_with("llama_proj.")),
    };
    let origin = input.display().to_string();
    let found = Tensors::of(&origin, &[&projector, &adapter], strip)?;
    if (found.rank, &found.sites) != (config.rank, &config.targets) {
        let names = |sites: &[crate::adapter::Site]| {
            sites.iter().map(|site| site.name()).collect::<Vec<_>>().join(", ")
        };
        return Err(ModelError::Unsupported {
            origin,
            what: format!(
                "rank {} on {}, but its tensors have rank {} on {}",
                config.rank,
                names(&config.targets),
                found.rank,
                names(&found.sites)
            ),
        });
    }
    let live = spelling == Spelling::Default;
    let name = |part: Part| {
        let name = part.name(live);
        if part.is_projector() { name } else { format!("{WRAPPED}{name}") }
    };
    let mut tensors = Vec::new();
    let renamed = rename(&found, name, |part, name, to, shape| {
        let source = if part.is_projector() { &projector } else { &adapter };
        tensors.push((to, shape, TensorValues::F32(source.read_f32(name)?)));
        Ok(())
    })?;
    write_torch(output, MODEL, &tensors)?;
    Ok(report("checkpoint", &found, &config, spelling, renamed))
}

/// Gives every tensor its new name and hands it to `take`.
fn rename(
    found: &Tensors,
    name: impl Fn(Part) -> String,
    mut take: impl FnMut(Part, &str, String, Vec<usize>) -> Result<(), ModelError>,
) -> Result<Vec<Renamed>, ModelError> {
    let parts = found.names.iter().zip(found.shapes.values());
    parts
        .map(|((&part, from), shape)| {
            let to = name(part);
            take(part, from, to.clone(), shape.clone())?;
            Ok(Renamed { from: from.clone(), to, shape: shape.clone() })
        })
        .collect()
}

fn report(
    written: &'static str,
    found: &Tensors,
    config: &LoraConfig,
    spelling: Spelling,
    tensors: Vec<Renamed>,
) -> Converted {
    let projector = found.shapes.get(&Part::ProjectorWeight);
    let projector = projector.and_then(|shape| shape.first_chunk()).copied().unwrap_or_default();
    Converted {
        written,
        layers: found.layers,
        targets: found.sites.iter().map(|site| site.name()).collect(),
        rank: config.rank,
        alpha: config.alpha,
        alpha_assumed: false,
        projector,
        values: tensors.iter().map(|tensor| tensor.shape.iter().product::<usize>()).sum(),
        spelling,
        tensors,
        beside: Vec::new(),
        refused: Vec::new(),
    }
}

impl Converted {
    /// The report in words.
    pub fn to_text(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        let [output, input] = self.projector;
        let assumed = match (self.written, self.alpha_assumed) {
            ("checkpoint", _) => " (a checkpoint does not hold it: note it down)",
            (_, true) => " (the paper's, since none was given)",
            _ => "",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{} tensors used, none missing, none left over: {} values\n\
             projector {input} → {output}\n\
             LoRA rank {} on {} of {} layers, alpha {}{assumed}\n\
             names in the checkpoint: {}",
            self.tensors.len(),
            self.values,
            self.rank,
            self.targets.join(", "),
            self.layers,
            self.alpha,
            match self.spelling {
                Spelling::Default => "`….lora_A.default.weight`",
                Spelling::Plain => "`….lora_A.weight`",
            },
        );
        for Renamed { from, to, shape } in &self.tensors {
            let _ = writeln!(text, "  {from} {shape:?}\n    → {to}");
        }
        for (key, what) in &self.beside {
            let _ = writeln!(text, "not converted: `{key}`, {what}");
        }
        if !self.refused.is_empty() {
            let _ = writeln!(text, "named in the file and not run: {}", self.refused.join(", "));
        }
        text
    }
}
