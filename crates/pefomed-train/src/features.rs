//! Visual features, computed once.
//!
//! The encoder is frozen, so what it says of an image never changes, unless a stage changes the image
//! (see [`augmented`](crate::augmented)).
//! Features are computed in a pass of their own, on all cores, before the first step. Small sets
//! stay in memory; large ones go to files named by the digest of (image bytes, preprocessing,
//! encoder weights and their precision, selection and joining of tokens), which later runs find again. A file that is cut or damaged
//! does not parse, and is computed anew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use pefomed_data::{ImageSource, files};
use pefomed_kernels::frozen::Precision;
use pefomed_model::multimodal::{FeatureMap, VisualFeatures};
use pefomed_model::weights::{SafetensorsFile, TensorSource as _, TensorValues, write_safetensors};

use crate::TrainError;
use crate::parts::Parts;
use crate::threads;

/// Sets whose features take no more bytes than this stay in memory.
pub(crate) const MEMORY_LIMIT: usize = 256 << 20;
/// The tensor's name in a feature file.
const TENSOR: &str = "features";

/// The number of the blank image, which no file has.
pub const BLANK_IMAGE: u32 = u32::MAX;

/// Features of a run's images, by the images' numbers.
pub enum Features {
    /// All of them in memory.
    Memory(FeatureMap),
    /// In files, read when needed.
    Files {
        /// File of each image.
        paths: Vec<PathBuf>,
        /// The blank image's.
        blank: VisualFeatures,
    },
}

/// Bytes that the features of `images` images take.
pub fn bytes_of(parts: &Parts, images: usize) -> usize {
    images * parts.visual_tokens * parts.vision.width() * std::mem::size_of::<f32>()
}

impl Features {
    /// Computes what is not there yet. `progress` hears how many of how many images are done.
    ///
    /// # Errors
    /// An image that cannot be read or decoded, by name; a full disk.
    pub fn compute(
        parts: &Parts,
        images: &[ImageSource],
        cache: &Path,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Self, TrainError> {
        let blank = parts.vision.encode(&parts.preprocessor.blank())?;
        let done = AtomicUsize::new(0);
        let count = || progress(done.fetch_add(1, Ordering::Relaxed) + 1, images.len());
        if bytes_of(parts, images.len()) <= MEMORY_LIMIT {
            let encode = |(index, image): (usize, &ImageSource)| {
                let pixels = parts.preprocessor.apply(&image.decode()?);
                let features = parts.vision.encode(&pixels)?;
                count();
                Ok::<_, TrainError>((index as u32, features))
            };
            let encoded = threads::in_order(images.iter().enumerate().collect(), encode)?;
            let mut map: FeatureMap = encoded.into_iter().collect();
            map.insert(BLANK_IMAGE, blank);
            return Ok(Self::Memory(map));
        }
        let file = |image: &ImageSource| {
            let file = image.read()?;
            let path = cache.join(format!("{}.safetensors", digest(parts, &file.identity())));
            if load(parts, &path).is_none() {
                let decoded = file.decode()?;
                store(&path, &parts.vision.encode(&parts.preprocessor.apply(&decoded))?)?;
            }
            count();
            Ok::<_, TrainError>(path)
        };
        let paths = threads::in_order(images.iter().collect(), file)?;
        Ok(Self::Files { paths, blank })
    }

    /// Features of some images.
    ///
    /// # Errors
    /// [`TrainError::FeatureFile`] when a file has gone or was damaged since the pass.
    pub fn get(&self, parts: &Parts, images: &[u32]) -> Result<FeatureMap, TrainError> {
        let mut found = FeatureMap::new();
        for &image in images {
            let features = match self {
                Self::Memory(map) => map.get(&image).cloned(),
                Self::Files { blank, .. } if image == BLANK_IMAGE => Some(blank.clone()),
                Self::Files { paths, .. } => {
                    let Some(path) = paths.get(image as usize) else { continue };
                    let loaded = load(parts, path);
                    Some(loaded.ok_or_else(|| TrainError::FeatureFile { path: path.clone() })?)
                }
            };
            // An image that is not there is reported by the model, with its number.
            if let Some(features) = features {
                found.insert(image, features);
            }
        }
        Ok(found)
    }
}

fn digest(parts: &Parts, image: &[u8]) -> String {
    let encoder = &parts.vision.encoder;
    let precision = encoder.precision().map_or("", Precision::name);
    let merge = format!("{}{}{precision}", parts.vision.merge, encoder.selection());
    let identity = parts.preprocessor.identity();
    files::digest([image, identity.as_bytes(), parts.vision_digest.as_bytes(), merge.as_bytes()])
}

fn store(path: &Path, features: &VisualFeatures) -> Result<(), TrainError> {
    let shape = vec![features.tokens, features.width];
    let values = TensorValues::F32(features.values.clone());
    write_safetensors(path, &[(TENSOR.to_owned(), shape, values)], &BTreeMap::new())?;
    Ok(())
}

/// None when the file is absent, damaged or of another shape.
fn load(parts: &Parts, path: &Path) -> Option<VisualFeatures> {
    let file = SafetensorsFile::open(path).ok()?;
    let (tokens, width) = (parts.visual_tokens, parts.vision.width());
    if file.shape(TENSOR)? != [tokens, width] {
        return None;
    }
    Some(VisualFeatures { tokens, width, values: file.read_f32(TENSOR).ok()? })
}
