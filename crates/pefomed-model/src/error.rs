//! Every way that reading or writing a model can fail.

use std::io;
use std::path::PathBuf;

use pefomed_data::DataError;
use pefomed_kernels::frozen::Precision;

use crate::weights::{GgufFault, StoredType, TorchFault};

/// An error of this crate; each names the file, the tensor or key, and the remedy where there is
/// one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A file could not be opened or mapped.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The processor lacks the instructions for a precision.
    #[error(
        "this processor has no instructions for {precision}: write `precision = \"float32\"` under \
         [model], or `\"auto\"` for the best it has"
    )]
    Precision {
        /// What was asked for.
        precision: &'static str,
    },
    /// A file could not be read or written; the error names it.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A folder holds no weights in a known layout.
    #[error(
        "`{}` holds neither `model.safetensors` nor `pytorch_model.bin`, and no \
         `.index.json` of theirs; name the weight file itself if it is called otherwise",
        folder.display()
    )]
    NoWeights {
        /// The folder.
        folder: PathBuf,
    },
    /// The header of a safetensors file is wrong, or does not fit its data.
    #[error("`{origin}` is not a valid safetensors file: {source}; fetch or write it again")]
    Safetensors {
        /// The file.
        origin: String,
        /// What is wrong with it.
        source: safetensors::SafeTensorError,
    },
    /// The list of shards names a file outside its own folder.
    #[error(
        "`{}` places tensors in `{shard}`, which is not the plain name of a file beside it; \
         do not use weights from this source", index.display()
    )]
    ShardOutside {
        /// The list of shards.
        index: PathBuf,
        /// The name it gives.
        shard: String,
    },
    /// A shard that the list names is not there.
    #[error("`{}` names the shard `{shard}`, which is missing; fetch it again", index.display())]
    ShardMissing {
        /// The list of shards.
        index: PathBuf,
        /// The missing file.
        shard: String,
    },
    /// The list of shards places a tensor in a file that does not hold it.
    #[error(
        "`{}` places tensor `{tensor}` in `{shard}`, which does not hold it; \
         the list and the shards come from different downloads", index.display()
    )]
    NotInShard {
        /// The list of shards.
        index: PathBuf,
        /// The tensor.
        tensor: String,
        /// The file it should be in.
        shard: String,
    },
    /// A GGUF file is cut, damaged or of an unknown version.
    #[error("`{origin}` is not a readable GGUF file: {fault}")]
    Gguf {
        /// The file.
        origin: String,
        /// What is wrong with it.
        fault: GgufFault,
    },
    /// A file of `torch.save` is damaged, hostile, or holds something else than tensors.
    #[error("`{origin}` cannot be read as weights that PyTorch saved: {fault}")]
    Torch {
        /// The file.
        origin: String,
        /// What is wrong with it.
        fault: TorchFault,
    },
    /// A metadata key is not in the file.
    #[error("`{origin}` has no metadata key `{key}`")]
    MetadataMissing {
        /// The file.
        origin: String,
        /// The key.
        key: String,
    },
    /// A metadata key holds another kind of value than the model needs.
    #[error("`{origin}`: metadata key `{key}` holds {found}, but {wanted} is needed")]
    MetadataKind {
        /// The file.
        origin: String,
        /// The key.
        key: String,
        /// What was asked for.
        wanted: &'static str,
        /// What the file holds.
        found: String,
    },
    /// A tensor is stored in a type that the reader asked for cannot represent.
    #[error("`{origin}`: tensor `{name}` is stored as {stored}, which cannot be read as {wanted}")]
    TensorType {
        /// The file.
        origin: String,
        /// The tensor.
        name: String,
        /// How it is stored.
        stored: StoredType,
        /// What was asked for.
        wanted: &'static str,
    },
    /// A tensor that cannot be used in the form in which it is stored.
    #[error(
        "`{origin}`: tensor `{name}` cannot be left as it is stored; use safetensors or GGUF, or another \
         `precision`"
    )]
    NotStored {
        /// The file.
        origin: String,
        /// The tensor.
        name: String,
    },
    /// A tensor that the model needs is not in the file.
    #[error("`{origin}` has no tensor `{name}`{}", nearest_note(nearest))]
    TensorMissing {
        /// The file.
        origin: String,
        /// The tensor asked for.
        name: String,
        /// The names that resemble it most, the closest first.
        nearest: Vec<String>,
    },
    /// A tensor has another shape than the model's configuration says.
    #[error(
        "`{origin}`: tensor `{name}` has shape {found:?}, but the configuration asks for \
         {expected:?}; configuration and weights belong to different models"
    )]
    TensorShape {
        /// The file.
        origin: String,
        /// The tensor.
        name: String,
        /// The shape the model asks for, row-major.
        expected: Vec<usize>,
        /// The shape in the file, row-major.
        found: Vec<usize>,
    },
    /// The file holds tensors that the model has no place for.
    #[error(
        "`{origin}` holds {count} tensor(s) that this model has no place for: {}{}; \
         loading it would lose them", names.join(", "), if *count > names.len() { ", …" } else { "" }
    )]
    TensorsLeftOver {
        /// The file.
        origin: String,
        /// How many there are.
        count: usize,
        /// The first of them, in alphabetical order.
        names: Vec<String>,
    },
    /// The tensors of an adapter or checkpoint are not a whole set.
    #[error(
        "`{origin}` is no whole set of projector and LoRA tensors: {}{}",
        listed("missing", missing),
        listed("without a place here", unknown)
    )]
    AdapterKeys {
        /// The file or folder.
        origin: String,
        /// Names that should be there.
        missing: Vec<String>,
        /// Names that are there and have no place.
        unknown: Vec<String>,
    },
    /// The matrices of an adapter or checkpoint do not belong together.
    #[error("`{origin}`: tensor `{name}` has shape {found:?}, but {problem}")]
    AdapterShape {
        /// The file or folder.
        origin: String,
        /// The tensor.
        name: String,
        /// Its shape, row-major.
        found: Vec<usize>,
        /// What it should be, and why.
        problem: String,
    },
    /// A value is too large for the type it should be written in.
    #[error(
        "tensor `{name}` has a value beyond the range of {dtype}: write bfloat16 or float32 instead"
    )]
    TooLarge {
        /// The tensor.
        name: String,
        /// The type.
        dtype: &'static str,
    },
    /// A result would overwrite something.
    #[error("`{}` is there already: remove it, or choose another name", path.display())]
    Exists {
        /// The file or folder.
        path: PathBuf,
    },
    /// A tensor to be written has more or fewer values than its shape says.
    #[error("cannot write tensor `{name}`: shape {shape:?} does not hold {values} values")]
    WriteShape {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// The number of values given.
        values: usize,
    },
    /// A tensor to be written has a name that the format reserves, or another one has it too.
    #[error("cannot write a tensor named `{name}`: the name is {problem}")]
    WriteName {
        /// The name.
        name: String,
        /// `reserved` or `used twice`.
        problem: &'static str,
    },
    /// A model or adapter asks for something that is not implemented.
    #[error("`{origin}` asks for {what}, which is not supported")]
    Unsupported {
        /// The file.
        origin: String,
        /// What it asks for, and what is supported instead.
        what: String,
    },
    /// An image does not divide into patches.
    #[error(
        "an image of {width} × {height} pixels does not divide into patches of {patch}: \
         choose an image size that is a multiple of {patch}"
    )]
    ImageSize {
        /// Rows of pixels.
        height: usize,
        /// Columns of pixels.
        width: usize,
        /// Side of a patch.
        patch: usize,
    },
    /// A row of patches does not divide into joined tokens.
    #[error("{patches} patches in a row do not divide into groups of {merge}: change `merge`")]
    MergeWidth {
        /// Patches in a row.
        patches: usize,
        /// Tokens to be joined.
        merge: usize,
    },
    /// The class token would be joined with patches.
    #[error(
        "the class token is kept, and {merge} tokens are joined into one: set `merge = 1` or \
         `vision_cls = false`"
    )]
    MergeClass {
        /// Tokens to be joined.
        merge: usize,
    },
    /// A batch refers to an image whose features were not given.
    #[error("a batch refers to image {image}, whose features are missing")]
    FeaturesMissing {
        /// The number of the image.
        image: u32,
    },
    /// A token is not in the vocabulary of the decoder.
    #[error(
        "token {token} is not below the vocabulary size {vocabulary}: \
         tokenizer and decoder belong to different models"
    )]
    TokenRange {
        /// The token.
        token: u32,
        /// The size of the vocabulary.
        vocabulary: u32,
    },
    /// There is no model at a path.
    #[error(
        "there is no model at `{}`: name a folder in Hugging Face layout or a GGUF file", path.display()
    )]
    NoModel {
        /// The path.
        path: PathBuf,
    },
    /// A model of the hub cannot be had.
    #[error("cannot get `{name}` from the hub: {problem}")]
    Hub {
        /// The repository.
        name: String,
        /// What went wrong and what to do instead.
        problem: String,
    },
    /// Nothing of that name is inside the program.
    #[error("nothing called `{name}` is embedded in this program; `embedded:tiny` is")]
    NoEmbedded {
        /// The name.
        name: String,
    },
    /// A batch to be trained on holds no answer.
    #[error("a batch holds no answer to learn from")]
    NoTargets,
}

/// `2 missing: a, b; `, the first ten names at most.
fn listed(what: &str, names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let more = if names.len() > 10 { ", …" } else { "" };
    let shown: Vec<&str> = names.iter().take(10).map(String::as_str).collect();
    format!("{} {what}: {}{more}; ", names.len(), shown.join(", "))
}

fn nearest_note(nearest: &[String]) -> String {
    if nearest.is_empty() {
        return ", nor any other".to_owned();
    }
    let names: Vec<String> = nearest.iter().map(|name| format!("`{name}`")).collect();
    format!("; the nearest names are {}", names.join(", "))
}

impl ModelError {
    /// Passes a precision that this processor has the instructions for.
    pub(crate) fn unless_available(precision: Precision) -> Result<(), Self> {
        let lacking = || Self::Precision { precision: precision.name() };
        precision.is_available().then_some(()).ok_or_else(lacking)
    }
}
