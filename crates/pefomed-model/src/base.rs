//! Finding and loading the frozen parts: a folder in Hugging Face layout, a GGUF file, a repository
//! of the hub, or the tiny base inside the program.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use pefomed_data::image::Preprocessor;
use pefomed_data::prompt::Template;
use pefomed_data::sentencepiece::SentencePieceVocabulary;
use pefomed_data::tokenizer::{BpeVocabulary, Tokenizer};
use pefomed_data::{DataError, files};
use pefomed_kernels::frozen::Precision;
use pefomed_kernels::mapped::MappedFile;
use serde::de::DeserializeOwned;

use crate::config::{EvaConfig, FeatureSelection, LlamaConfig, VisionConfig};
use crate::decoder::{KeyStyle, LlamaDecoder};
use crate::embedded;
use crate::error::ModelError;
use crate::parameters::Placement;
use crate::vision::VisionEncoder;
use crate::weights::{self, GgufFile, Loader, SafetensorsFile, TensorSource};

/// Where the files of a model are.
#[derive(Clone, Debug)]
pub enum ModelFiles {
    /// A folder in Hugging Face layout.
    Folder(PathBuf),
    /// A single GGUF file.
    Gguf(PathBuf),
    /// Inside the program: the part (`vision` or `decoder`) of an embedded base.
    Embedded(&'static embedded::Part),
}

impl ModelFiles {
    /// Files at a path: a folder, or a GGUF file.
    ///
    /// # Errors
    /// [`ModelError::NoModel`] when there is nothing, or a file of another kind.
    pub fn at(path: &Path) -> Result<Self, ModelError> {
        if path.is_dir() {
            return Ok(Self::Folder(path.to_owned()));
        }
        if path.is_file() {
            return Ok(Self::Gguf(path.to_owned()));
        }
        Err(ModelError::NoModel { path: path.to_owned() })
    }

    /// A repository of the Hugging Face hub, as `owner/name`: fetched into the hub's cache unless it
    /// is there. `HF_HUB_OFFLINE=1` forbids fetching.
    ///
    /// # Errors
    /// [`ModelError::Hub`] when this build has no hub support, or the repository cannot be had.
    pub fn from_hub(name: &str) -> Result<Self, ModelError> {
        crate::hub::fetch(name).map(Self::Folder)
    }

    /// The encoder of an embedded base.
    ///
    /// # Errors
    /// [`ModelError::NoEmbedded`] for an unknown name.
    pub fn embedded_vision(name: &str) -> Result<Self, ModelError> {
        Ok(Self::Embedded(&embedded::base(name)?.vision))
    }

    /// The decoder of an embedded base.
    ///
    /// # Errors
    /// [`ModelError::NoEmbedded`] for an unknown name.
    pub fn embedded_decoder(name: &str) -> Result<Self, ModelError> {
        Ok(Self::Embedded(&embedded::base(name)?.decoder))
    }

    /// For messages: the path, or the name of what is embedded.
    pub fn origin(&self) -> String {
        match self {
            Self::Folder(path) | Self::Gguf(path) => path.display().to_string(),
            Self::Embedded(part) => part.name.to_owned(),
        }
    }

    fn bytes(&self, file: &str) -> Result<Cow<'static, [u8]>, ModelError> {
        match self {
            Self::Folder(folder) => Ok(Cow::Owned(files::read_bytes(&folder.join(file))?)),
            Self::Embedded(part) => part.file(file).map(Cow::Borrowed),
            Self::Gguf(path) => Err(ModelError::NoModel { path: path.join(file) }),
        }
    }

    pub(crate) fn json<T: DeserializeOwned>(&self, file: &str) -> Result<T, ModelError> {
        let bytes = self.bytes(file)?;
        serde_json::from_slice(&bytes).map_err(|source| {
            DataError::Json { path: Path::new(&self.origin()).join(file), source }.into()
        })
    }

    /// Whether there is such a file beside the weights.
    pub fn has(&self, file: &str) -> bool {
        match self {
            Self::Folder(folder) => folder.join(file).is_file(),
            Self::Embedded(part) => part.file(file).is_ok(),
            Self::Gguf(_) => false,
        }
    }

    /// Whether this is EVA-CLIP's file, or a folder with nothing but it.
    fn is_bare_eva(&self) -> bool {
        match self {
            Self::Folder(_) => self.has(EVA_FILE) && !self.has("config.json"),
            Self::Gguf(path) => path.file_name().is_some_and(|name| name == EVA_FILE),
            Self::Embedded(_) => false,
        }
    }

    pub(crate) fn tensors(&self) -> Result<Box<dyn TensorSource>, ModelError> {
        match self {
            Self::Folder(folder) if self.has(EVA_FILE) => weights::open(&folder.join(EVA_FILE)),
            Self::Folder(path) | Self::Gguf(path) => weights::open(path),
            Self::Embedded(part) => {
                let bytes = part.file("model.safetensors")?;
                let mapped = MappedFile::from_static(bytes);
                Ok(Box::new(SafetensorsFile::from_mapped(part.name.to_owned(), mapped)?))
            }
        }
    }
}

/// A loaded vision encoder.
pub struct Vision {
    /// The encoder, frozen.
    pub encoder: VisionEncoder,
    /// How images become its input.
    pub preprocessor: Preprocessor,
    /// Digest of its weights.
    pub digest: String,
}

/// The file of EVA-CLIP's ViT-g/14 as it is passed around, without any configuration beside it.
const EVA_FILE: &str = "eva_vit_g.pth";

/// Reads only the configuration of a vision encoder. EVA-CLIP's file needs none.
///
/// # Errors
/// As [`VisionConfig::read`].
pub fn vision_config(files: &ModelFiles) -> Result<VisionConfig, ModelError> {
    if files.is_bare_eva() {
        return Ok(VisionConfig::Eva(EvaConfig::default()));
    }
    let path = Path::new(&files.origin()).join("config.json");
    VisionConfig::from_value(&path, files.json("config.json")?)
}

/// Loads a vision encoder for square images of `size` pixels.
///
/// # Errors
/// Whatever is wrong with its files, with the name of the file, key or tensor.
pub fn load_vision(
    files: &ModelFiles,
    size: u32,
    selection: FeatureSelection,
    place: &Placement,
) -> Result<Vision, ModelError> {
    let config = vision_config(files)?;
    let is_eva = matches!(config, VisionConfig::Eva(_));
    let source = files.tensors()?;
    let mut loader = Loader::new(source.as_ref());
    let encoder = VisionEncoder::load(config, selection, &mut loader, place)?;
    loader.finish(&|name| encoder.ignorable(name))?;
    let name = "preprocessor_config.json";
    let preprocessor = if is_eva && !files.has(name) {
        Preprocessor::clip(size)?
    } else {
        let path = Path::new(&files.origin()).join(name);
        Preprocessor::from_value(&path, &files.json(name)?, Some(size))?
    };
    Ok(Vision { encoder, preprocessor, digest: source.digest() })
}

/// A loaded decoder.
pub struct Decoder {
    /// The decoder, frozen.
    pub decoder: LlamaDecoder,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Digest of its weights.
    pub digest: String,
}

/// Reads only the configuration of a decoder.
///
/// # Errors
/// As [`LlamaConfig::read`] and [`LlamaConfig::from_gguf`].
pub fn decoder_config(files: &ModelFiles) -> Result<LlamaConfig, ModelError> {
    if let ModelFiles::Gguf(path) = files {
        let file = GgufFile::open(path)?;
        let tied = file.shape("output.weight").is_none();
        return LlamaConfig::from_gguf(&file, &files.origin(), tied);
    }
    let config: LlamaConfig = files.json("config.json")?;
    config.check(&files.origin())?;
    Ok(config)
}

/// Reads only the tokenizer of a decoder: `tokenizer`, if named, or the decoder's own, which in a
/// folder is `tokenizer.json` or else `tokenizer.model`.
///
/// # Errors
/// [`ModelError::Data`] for a vocabulary that cannot be used.
pub fn load_tokenizer(
    files: &ModelFiles,
    tokenizer: Option<&Path>,
    template: Template,
) -> Result<Tokenizer, ModelError> {
    let (begin, end) = (template.begin(), template.end());
    if let Some(path) = tokenizer {
        return Ok(Tokenizer::from_file(path, begin, end)?);
    }
    let origin = files.origin();
    if let ModelFiles::Gguf(path) = files {
        let json = gguf_tokenizer_json(&GgufFile::open(path)?)?;
        return Ok(Tokenizer::from_json(&origin, json.to_string().as_bytes(), begin, end)?);
    }
    if let ModelFiles::Folder(folder) = files
        && !folder.join("tokenizer.json").exists()
        && folder.join("tokenizer.model").exists()
    {
        return Ok(Tokenizer::from_file(&folder.join("tokenizer.model"), begin, end)?);
    }
    let json = files.bytes("tokenizer.json")?;
    Ok(Tokenizer::from_json(&origin, &json, begin, end)?)
}

/// Loads a decoder. The end token of the template must be in its vocabulary.
///
/// # Errors
/// Whatever is wrong with its files, with the name of the file, key or tensor.
pub fn load_decoder(
    files: &ModelFiles,
    tokenizer: Option<&Path>,
    template: Template,
    place: &Placement,
) -> Result<Decoder, ModelError> {
    load_decoder_by(files, tokenizer, template, |config, loader, style| {
        LlamaDecoder::plain(config, loader, place, style)
    })
}

/// Loads a decoder and packs it as it is read: see [`LlamaDecoder::freeze`].
///
/// # Errors
/// As [`load_decoder`]; [`ModelError::Precision`] when this processor lacks the instructions.
pub fn load_packed_decoder(
    files: &ModelFiles,
    tokenizer: Option<&Path>,
    template: Template,
    place: &Placement,
    precision: Precision,
) -> Result<Decoder, ModelError> {
    load_decoder_by(files, tokenizer, template, |config, loader, style| {
        LlamaDecoder::packed(config, loader, place, style, precision)
    })
}

/// Loads a decoder whose weights stay as they are stored, on the processor.
///
/// # Errors
/// As [`load_decoder`]; [`ModelError::NotStored`] and [`ModelError::Unsupported`] for files and
/// decoders that cannot be used so.
pub fn load_stored_decoder(
    files: &ModelFiles,
    tokenizer: Option<&Path>,
    template: Template,
    place: &Placement,
) -> Result<Decoder, ModelError> {
    load_decoder_by(files, tokenizer, template, |config, loader, style| {
        LlamaDecoder::stored(config, loader, place, style)
    })
}

fn load_decoder_by(
    files: &ModelFiles,
    tokenizer: Option<&Path>,
    template: Template,
    take: impl FnOnce(LlamaConfig, &mut Loader<'_>, KeyStyle) -> Result<LlamaDecoder, ModelError>,
) -> Result<Decoder, ModelError> {
    let config = decoder_config(files)?;
    let tokenizer = load_tokenizer(files, tokenizer, template)?;
    if tokenizer.len() > config.vocab_size {
        return Err(ModelError::TokenRange {
            token: tokenizer.len() as u32 - 1,
            vocabulary: config.vocab_size as u32,
        });
    }
    let source = files.tensors()?;
    let decoder =
        take_decoder(files, source.as_ref(), |loader, style| take(config, loader, style))?;
    Ok(Decoder { decoder, tokenizer, digest: source.digest() })
}

/// Takes a decoder out of the tensors of its files; one that is left over is an error.
pub(crate) fn take_decoder(
    files: &ModelFiles,
    source: &dyn TensorSource,
    take: impl FnOnce(&mut Loader<'_>, KeyStyle) -> Result<LlamaDecoder, ModelError>,
) -> Result<LlamaDecoder, ModelError> {
    let mut loader = Loader::new(source);
    let is_gguf = matches!(files, ModelFiles::Gguf(_));
    let style = if is_gguf { KeyStyle::Gguf } else { KeyStyle::HuggingFace };
    let decoder = take(&mut loader, style)?;
    loader.finish(&LlamaDecoder::ignorable)?;
    Ok(decoder)
}

/// The vocabulary of a GGUF file as the contents of a `tokenizer.json`: byte-level (kind `gpt2`) or
/// SentencePiece's (kind `llama`).
///
/// # Errors
/// [`ModelError::Unsupported`] for a vocabulary of another kind, [`ModelError::MetadataMissing`],
/// [`ModelError::Data`] for one that contradicts itself.
pub fn gguf_tokenizer_json(file: &GgufFile) -> Result<serde_json::Value, ModelError> {
    let strings = |key: &str| {
        let list = file.string_array(key)?;
        Ok::<_, ModelError>(list.into_iter().map(str::to_owned).collect())
    };
    let tokens = strings("tokenizer.ggml.tokens")?;
    let kinds = file.i32_array("tokenizer.ggml.token_type")?;
    let json = match file.str("tokenizer.ggml.model")? {
        "gpt2" => {
            let pre = "tokenizer.ggml.pre";
            let pre_tokenizer =
                if file.has_key(pre) { file.str(pre)?.to_owned() } else { "default".into() };
            let merges = strings("tokenizer.ggml.merges")?;
            BpeVocabulary { tokens, merges, kinds, pre_tokenizer }.to_tokenizer_json(file.origin())
        }
        "llama" => {
            let prefix = "tokenizer.ggml.add_space_prefix";
            let dummy_prefix = !file.has_key(prefix) || file.bool(prefix)?;
            let scores = file.f32_array("tokenizer.ggml.scores")?;
            SentencePieceVocabulary { pieces: tokens, scores, kinds, dummy_prefix }
                .to_tokenizer_json(file.origin())
        }
        model => {
            return Err(ModelError::Unsupported {
                origin: file.origin().to_owned(),
                what: format!(
                    "a vocabulary of kind `{model}`; name a tokenizer.json in the recipe"
                ),
            });
        }
    };
    Ok(json?)
}
