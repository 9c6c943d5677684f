//! What the integration tests share: fixtures with their float64 values, comparisons, and small
//! random models.
#![allow(dead_code, reason = "each test file uses a part of this module")]
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "tests say what they measured")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Gradients, Tensor};
use pefomed_data::image::PixelValues;
use pefomed_data::{Item, Message, MessageTree, PackedBatch};
use pefomed_kernels::frozen::Precision;
use pefomed_kernels::mapped::MappedFile;
use pefomed_model::adapter::{LoraAdapter, LoraConfig, Site};
use pefomed_model::config::{FeatureSelection, LlamaConfig, VisionConfig};
use pefomed_model::decoder::LlamaDecoder;
use pefomed_model::multimodal::{FeatureMap, TunedDecoder, VisualFeatures};
use pefomed_model::parameters::{Parameter, Placement, Trainable};
use pefomed_model::projector::Projector;
use pefomed_model::random::Normal;
use pefomed_model::vision::VisionEncoder;
use pefomed_model::weights::{Loader, SafetensorsFile, TensorSource as _};
use safetensors::{Dtype, SafeTensors};
use serde::de::DeserializeOwned;

/// A file of `tests/fixtures`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A file that only the developers' machines have; says so when it is absent.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("PEFOMED_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    // Past the test harness, which would swallow a print.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {} absent", path.display());
    None
}

/// Hidden states `[T, C]` of all positions of a batch.
pub(crate) fn hidden_states(
    model: &TunedDecoder,
    batch: &PackedBatch,
    features: &FeatureMap,
) -> Tensor<2> {
    let embedded = model.embed(batch, features).unwrap();
    let layout = model.decoder.batch(batch, None);
    model.decoder.forward(embedded, &layout, Some(&model.adapter), None)
}

/// A fixture: weights for a model, and expected results in whatever precision they are stored.
pub(crate) struct Golden {
    bytes: Vec<u8>,
    /// The file as models read it.
    pub(crate) file: SafetensorsFile,
}

impl Golden {
    pub(crate) fn open(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let mapped = MappedFile::from_vec(bytes.clone());
        let file = SafetensorsFile::from_mapped(path.display().to_string(), mapped).unwrap();
        Self { bytes, file }
    }

    /// Values of a tensor without loss.
    pub(crate) fn reals(&self, name: &str) -> Vec<f64> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let tensor = file.tensor(name).unwrap();
        match tensor.dtype() {
            Dtype::F64 => tensor
                .data()
                .chunks_exact(8)
                .map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap()))
                .collect(),
            _ => self.file.read_f32(name).unwrap().into_iter().map(f64::from).collect(),
        }
    }

    pub(crate) fn integers(&self, name: &str) -> Vec<i64> {
        self.file.read_i64(name).unwrap()
    }

    pub(crate) fn tokens(&self, name: &str) -> Vec<u32> {
        self.integers(name).into_iter().map(|id| u32::try_from(id).unwrap()).collect()
    }

    /// What the generating script recorded under `key`.
    pub(crate) fn fact<T: DeserializeOwned>(&self, key: &str) -> T {
        let facts: serde_json::Value =
            serde_json::from_str(&self.file.metadata()["pefomed"]).unwrap();
        serde_json::from_value(facts[key].clone()).unwrap()
    }

    /// The decoder of the file; every tensor that is no expected result must find its place.
    pub(crate) fn decoder(&self, place: &Placement) -> LlamaDecoder {
        let mut loader = Loader::new(&self.file);
        let config: LlamaConfig = self.fact("config");
        let decoder = LlamaDecoder::from_hugging_face(config, &mut loader, place).unwrap();
        loader.finish(&is_result).unwrap();
        decoder
    }
}

impl Golden {
    /// The vision encoder of the file; every tensor that is no expected result must find its place.
    pub(crate) fn encoder(&self, selection: FeatureSelection, place: &Placement) -> VisionEncoder {
        let config = VisionConfig::from_value(Path::new("fixture"), self.fact("config")).unwrap();
        let mut loader = Loader::new(&self.file);
        let encoder = VisionEncoder::load(config, selection, &mut loader, place).unwrap();
        loader.finish(&|name| is_result(name) || encoder.ignorable(name)).unwrap();
        encoder
    }

    /// Pixels stored as `[1, 3, height, width]`.
    pub(crate) fn pixels(&self, name: &str) -> PixelValues {
        let [1, 3, height, width] = self.file.shape(name).unwrap()[..] else { panic!("{name}") };
        PixelValues { data: self.file.read_f32(name).unwrap(), height, width }
    }
}

/// Whether a tensor of a fixture is an expected result and no weight.
pub(crate) fn is_result(name: &str) -> bool {
    name.starts_with("golden.") || name.starts_with("splice.")
}

/// Values of a tensor without loss.
pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    let data = tensor.without_autodiff().into_data().convert_dtype(DType::F64);
    data.try_into_vec().unwrap()
}

/// Gradients of all parameters that the loss depends on, by name and without loss of precision.
pub(crate) fn gradients(
    model: &mut impl Trainable,
    found: &Gradients,
) -> BTreeMap<String, Vec<f64>> {
    let of = |parameter: &Parameter<'_>| match parameter {
        Parameter::Vector(tensor) => tensor.grad(found).map(values),
        Parameter::Matrix(tensor) => tensor.grad(found).map(values),
    };
    let parameters = model.parameters();
    parameters.iter().filter_map(|(name, p)| Some((name.clone(), of(p)?))).collect()
}

/// The largest magnitude.
pub(crate) fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |largest, value| largest.max(value.abs()))
}

/// The largest difference.
pub(crate) fn distance(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let differences: Vec<f64> = found.iter().zip(expected).map(|(a, b)| a - b).collect();
    assert!(differences.iter().all(|difference| difference.is_finite()));
    largest(&differences)
}

/// Asserts that `found` differs nowhere by more than `tolerance` times the largest expected value.
pub(crate) fn assert_close(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    let relative = distance(found, expected) / largest(expected);
    println!("{what}: {relative:.2e}");
    assert!(relative <= tolerance, "{what}: {relative:.3e} is above {tolerance:.0e}");
}

/// An encoder packed in every precision of this processor, with the relative difference that each may show.
pub(crate) fn frozen(encoder: &VisionEncoder) -> Vec<(VisionEncoder, f64)> {
    [(Precision::Float32, 1e-5), (Precision::Bf16, 3e-2)]
        .into_iter()
        .filter(|(precision, _)| precision.is_available())
        .map(|(precision, tolerance)| (encoder.clone().freeze(precision).unwrap(), tolerance))
        .collect()
}

/// Items that are all tokens.
pub(crate) fn text(tokens: &[u32]) -> Vec<Item> {
    tokens.iter().map(|&token| Item::Token(token)).collect()
}

/// A tree of one question.
pub(crate) fn single(key: u64, prompt: Vec<Item>, answer: &[u32]) -> MessageTree {
    MessageTree::new(vec![Message { key, prompt, answer: answer.to_vec() }]).unwrap()
}

/// Width of the visual features of the small random model.
pub(crate) const FEATURE_WIDTH: usize = 10;

/// Visual tokens of each of its images.
pub(crate) const FEATURE_TOKENS: usize = 5;

/// A small decoder with grouped queries and random weights, an adapter on every projection whose
/// `B` is not zero, and a projector. The same seed gives the same weights in every precision.
pub(crate) fn random_model(
    vocabulary: usize,
    tied: bool,
    seed: u64,
    place: &Placement,
) -> TunedDecoder {
    let config: LlamaConfig = serde_json::from_value(serde_json::json!({
        "model_type": "llama",
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 6,
        "vocab_size": vocabulary,
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": tied,
    }))
    .unwrap();
    let lora = LoraConfig { rank: 3, alpha: 6.0, dropout: 0.0, targets: Site::ALL.to_vec() };
    let mut adapter = LoraAdapter::new(lora, &config, seed + 1, place);
    let mut normal = Normal::new(seed + 2);
    for (name, mut parameter) in adapter.parameters() {
        if name.ends_with("lora_B.weight") {
            parameter.set(normal.draw(parameter.len(), 0.2), false);
        }
    }
    let projector = Projector::new(FEATURE_WIDTH, config.hidden_size, seed + 3, place);
    TunedDecoder { decoder: LlamaDecoder::random(config, seed, place), projector, adapter }
}

/// Features of images `0..images`.
pub(crate) fn random_features(images: u32, seed: u64) -> FeatureMap {
    let mut normal = Normal::new(seed);
    let (tokens, width) = (FEATURE_TOKENS, FEATURE_WIDTH);
    let mut features =
        || VisualFeatures { tokens, width, values: normal.draw(tokens * width, 1.0) };
    (0..images).map(|image| (image, features())).collect()
}
