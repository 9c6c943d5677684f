//! What stands between an image and an encoder: one size, one mean, one deviation.
//!
//! The image is resized to exactly `size`×`size`, whatever its aspect, as PeFoMed and MiniGPT-v2
//! evaluate; nothing is cropped, so nothing at the border of a radiograph is lost, and nothing is
//! flipped or random, so the same file gives the same numbers every time. A stage of training may ask
//! for other pictures to begin with: see [`super::augment`].

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{DecodedImage, bicubic};
use crate::{DataError, files};

/// The largest side that is accepted: 16 times the largest in use.
const LIMIT: u32 = 8192;

/// Pillow's number of the bicubic filter, as `resample` has it.
const BICUBIC: u64 = 3;

/// The grey of a blank image, before normalisation.
pub const BLANK: u8 = 128;

/// How images become input of an encoder.
///
/// ```
/// use pefomed_data::image::Preprocessor;
/// let clip = Preprocessor::clip(448)?;
/// let blank = clip.blank();
/// assert_eq!((blank.height, blank.width, blank.data.len()), (448, 448, 3 * 448 * 448));
/// // (128 / 255 − 0.48145466) / 0.26862954
/// assert!((blank.data[0] - 0.076336).abs() < 1e-6);
/// # Ok::<(), pefomed_data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessor {
    /// Side of the square image, in pixels.
    pub size: u32,
    /// Mean of each channel (red, green, blue) on the scale 0 to 1.
    pub mean: [f32; 3],
    /// Standard deviation of each channel on the same scale.
    pub std: [f32; 3],
}

/// An image as an encoder reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct PixelValues {
    /// `[3, height, width]`: red, green and blue plane, each row by row from the top.
    pub data: Vec<f32>,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Preprocessor {
    /// Mean and deviation of CLIP's training images, which EVA-CLIP and so PeFoMed use.
    ///
    /// # Errors
    /// [`DataError::ImageSize`] for a side of 0 or above 8192 pixels.
    pub fn clip(size: u32) -> Result<Self, DataError> {
        Self {
            size,
            mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
            std: [0.268_629_54, 0.261_302_6, 0.275_777_1],
        }
        .checked()
    }

    /// Takes mean and deviation from a Hugging Face `preprocessor_config.json`.
    ///
    /// `size` is the recipe's and wins; without one, the file's own crop or size is used. The
    /// file's crop is otherwise ignored: images are always resized to the whole square.
    ///
    /// # Errors
    /// [`DataError::Read`] or [`DataError::Json`] for a file that is absent or not JSON,
    /// [`DataError::Preprocessor`] for missing or unusable numbers and for a scaling other than
    /// from 0…255 to 0…1 or a filter other than bicubic, [`DataError::ImageSize`] for an impossible size.
    pub fn from_file(path: &Path, size: Option<u32>) -> Result<Self, DataError> {
        Self::from_value(path, &files::read_json(path)?, size)
    }

    /// Takes mean and deviation from the contents of a `preprocessor_config.json`; `path` is for
    /// messages.
    ///
    /// # Errors
    /// As [`Preprocessor::from_file`].
    pub fn from_value(path: &Path, config: &Value, size: Option<u32>) -> Result<Self, DataError> {
        let wrong = |problem: String| DataError::Preprocessor { path: path.to_owned(), problem };
        if config.get("do_rescale").and_then(Value::as_bool) == Some(false) {
            return Err(wrong(
                "`do_rescale` is false: encoders that read 0…255 are not supported".to_owned(),
            ));
        }
        if let Some(factor) = config.get("rescale_factor") {
            let scale = factor.as_f64().map(|factor| factor * 255.0);
            if !scale.is_some_and(|scale| (scale - 1.0).abs() < 1e-4) {
                return Err(wrong(format!(
                    "`rescale_factor` is {factor}: only 1/255 is supported"
                )));
            }
        }
        let resample = config.get("resample").filter(|resample| !resample.is_null());
        if let Some(resample) = resample.filter(|resample| resample.as_u64() != Some(BICUBIC)) {
            return Err(wrong(format!(
                "`resample` is {resample}: only bicubic ({BICUBIC}) is supported"
            )));
        }
        let normalises = config.get("do_normalize").and_then(Value::as_bool) != Some(false);
        let (mean, std) = if normalises {
            (
                triple(config, "image_mean").map_err(wrong)?,
                triple(config, "image_std").map_err(wrong)?,
            )
        } else {
            ([0.0; 3], [1.0; 3])
        };
        if std.iter().any(|value| *value <= 0.0) {
            return Err(wrong(format!("`image_std` is {std:?}: it must be above 0")));
        }
        let Some(size) = size.or_else(|| published_size(config)) else {
            return Err(wrong(
                "it names no square `size` or `crop_size`: set the image size in the recipe"
                    .to_owned(),
            ));
        };
        Self { size, mean, std }.checked()
    }

    /// Checks the values, for those that did not come from a constructor (a recipe's, say).
    ///
    /// # Errors
    /// [`DataError::ImageSize`].
    pub fn checked(self) -> Result<Self, DataError> {
        if self.size == 0 || self.size > LIMIT {
            return Err(DataError::ImageSize { size: self.size, limit: LIMIT });
        }
        Ok(self)
    }

    /// Resizes and normalises an image: `(value / 255 − mean) / std` of each channel.
    pub fn apply(&self, image: &DecodedImage) -> PixelValues {
        let from = (image.width, image.height);
        let rgb = bicubic(&image.rgb, from, (self.size, self.size));
        let side = self.size as usize;
        let mut data = Vec::with_capacity(3 * side * side);
        for channel in 0..3 {
            let values = self.channel_values(channel);
            data.extend(rgb.iter().skip(channel).step_by(3).map(|pixel| values[*pixel as usize]));
        }
        PixelValues { data, height: side, width: side }
    }

    /// The control image that shows nothing: mid-grey (128 of 255) in every channel, normalised
    /// like any other. It is a picture that a file could hold, and not zeros, which would be each
    /// channel's mean colour: a tinted image of a kind that no radiograph is.
    pub fn blank(&self) -> PixelValues {
        let side = self.size as usize;
        let mut data = Vec::with_capacity(3 * side * side);
        for channel in 0..3 {
            let value = self.channel_values(channel)[usize::from(BLANK)];
            data.resize(data.len() + side * side, value);
        }
        PixelValues { data, height: side, width: side }
    }

    /// Everything that decides the numbers, as text: part of the key of cached features. It
    /// changes whenever the arithmetic does.
    pub fn identity(&self) -> String {
        format!(
            "rgb8/2 bicubic-antialias/1 size={} mean={:?} std={:?}",
            self.size, self.mean, self.std
        )
    }

    /// What each of the 256 grey levels becomes in a channel.
    fn channel_values(&self, channel: usize) -> [f32; 256] {
        let (mean, std) = (self.mean[channel], self.std[channel]);
        std::array::from_fn(|level| (level as f32 / 255.0 - mean) / std)
    }
}

/// Three numbers under `key`.
fn triple(config: &Value, key: &str) -> Result<[f32; 3], String> {
    let Some(value) = config.get(key) else {
        return Err(format!(
            "`{key}` is missing: add the three numbers the encoder was trained with"
        ));
    };
    let numbers = value.as_array().map(|list| {
        list.iter().filter_map(Value::as_f64).map(|number| number as f32).collect::<Vec<_>>()
    });
    numbers
        .and_then(|numbers| <[f32; 3]>::try_from(numbers).ok())
        .filter(|numbers| numbers.iter().all(|number| number.is_finite()))
        .ok_or_else(|| format!("`{key}` is {value}: give three numbers (red, green, blue)"))
}

/// The side of the image that the published preprocessing ends with, when it is square.
fn published_size(config: &Value) -> Option<u32> {
    let side = |value: &Value| {
        let side = match (value.get("height"), value.get("width")) {
            (Some(height), Some(width)) if height == width => height.as_u64(),
            (None, None) => value.get("shortest_edge").unwrap_or(value).as_u64(),
            _ => None,
        };
        side.and_then(|side| u32::try_from(side).ok())
    };
    let crops = config.get("do_center_crop").and_then(Value::as_bool) != Some(false);
    let crop = config.get("crop_size").filter(|_| crops).and_then(side);
    crop.or_else(|| config.get("size").and_then(side))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::PixelSource;

    fn config(text: &str, size: Option<u32>) -> Result<Preprocessor, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("preprocessor_config.json");
        files::write_bytes(&path, text.as_bytes()).unwrap();
        Preprocessor::from_file(&path, size)
    }

    const MEAN: &str = r#""image_mean": [0.5, 0.25, 0.0], "image_std": [0.5, 0.25, 1.0]"#;

    #[test]
    fn the_recipe_decides_the_size_and_the_file_the_rest() {
        let text = format!("{{{MEAN}, \"size\": {{\"height\": 224, \"width\": 224}}}}");
        let expected = Preprocessor { size: 32, mean: [0.5, 0.25, 0.0], std: [0.5, 0.25, 1.0] };
        assert_eq!(config(&text, Some(32)).unwrap(), expected);
        assert_eq!(config(&text, None).unwrap().size, 224);
        let text = format!("{{{MEAN}, \"crop_size\": 336, \"size\": {{\"shortest_edge\": 256}}}}");
        assert_eq!(config(&text, None).unwrap().size, 336);
        let text = format!("{{{MEAN}, \"size\": {{\"height\": 20, \"width\": 30}}}}");
        let message = config(&text, None).unwrap_err().to_string();
        assert!(message.contains("set the image size in the recipe"), "{message}");
    }

    #[test]
    fn unusable_files_are_refused_with_a_reason() {
        for (text, part) in [
            ("{}", "`image_mean` is missing"),
            (r#"{"image_mean": [0.5, 0.5], "image_std": [1, 1, 1]}"#, "give three numbers"),
            (r#"{"image_mean": [0.5, 0.5, "0.5"], "image_std": [1, 1, 1]}"#, "give three numbers"),
            (r#"{"image_mean": [0.5, 0.5, 1e99], "image_std": [1, 1, 1]}"#, "give three numbers"),
            (r#"{"image_mean": [0, 0, 0], "image_std": [1, 0, 1]}"#, "must be above 0"),
            (r#"{"rescale_factor": 1}"#, "only 1/255"),
            (r#"{"resample": 2}"#, "`resample` is 2"),
            (r#"{"do_rescale": false}"#, "`do_rescale` is false"),
            ("[", "not valid JSON"),
        ] {
            let message = config(text, Some(8)).unwrap_err().to_string();
            assert!(message.contains(part) && message.contains("preprocessor_config"), "{message}");
        }
        for size in [0, 9000] {
            assert!(matches!(Preprocessor::clip(size), Err(DataError::ImageSize { .. })));
        }
    }

    #[test]
    fn planes_come_out_in_order_and_normalised() {
        let source =
            PixelSource { bits: 8, channels: 3, alpha: false, oriented: false, brightest: 255 };
        let rgb = vec![0, 51, 102, 255, 204, 153, 255, 0, 0, 0, 255, 0];
        let image = DecodedImage { width: 2, height: 2, rgb, source, rendering: None };
        let preprocessor = Preprocessor { size: 2, mean: [0.0, 0.2, 0.4], std: [1.0, 0.5, 0.25] };
        let values = preprocessor.apply(&image);
        let expected = [0.0, 1.0, 1.0, 0.0, 0.0, 1.2, -0.4, 1.6, 0.0, 0.8, -1.6, -1.6];
        assert_eq!((values.height, values.width), (2, 2));
        for (value, expected) in values.data.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-6, "{value} is not {expected}");
        }
    }

    #[test]
    fn the_blank_image_is_a_grey_image() {
        let preprocessor = Preprocessor::clip(6).unwrap();
        let source =
            PixelSource { bits: 8, channels: 1, alpha: false, oriented: false, brightest: 128 };
        let grey = DecodedImage {
            width: 9,
            height: 4,
            rgb: vec![128; 9 * 4 * 3],
            source,
            rendering: None,
        };
        assert_eq!(preprocessor.blank(), preprocessor.apply(&grey));
    }

    #[test]
    fn the_identity_tells_every_setting_apart_and_survives_serde() {
        let clip = Preprocessor::clip(448).unwrap();
        let mut others = vec![clip.clone(); 3];
        others[0].size = 224;
        others[1].mean[2] += 1e-6;
        others[2].std[0] += 1e-6;
        for other in others {
            assert_ne!(other.identity(), clip.identity());
        }
        let text = serde_json::to_string(&clip).unwrap();
        let back: Preprocessor = serde_json::from_str(&text).unwrap();
        assert_eq!(back.identity(), clip.identity());
    }
}
