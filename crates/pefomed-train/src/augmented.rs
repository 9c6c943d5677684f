//! Visual features of images that a stage changes anew in every step.
//!
//! There is nothing to keep of such an image: it is decoded, changed and encoded in the step that
//! needs it. All questions of a step about an image see it changed alike, in one tree or in several.
//! What is drawn follows from the recipe's seed, the stage, the step and the image's name, so that a
//! resumed run and any number of threads see the same pixels.

use std::collections::BTreeSet;

use pefomed_data::image::Augmentation;
use pefomed_data::{ImageSource, Item, MessageTree};
use pefomed_model::multimodal::FeatureMap;

use crate::TrainError;
use crate::features::Features;
use crate::parts::Parts;
use crate::threads;

/// Which step of a run the images are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// The recipe's seed.
    pub seed: u64,
    /// The stage, from 0.
    pub stage: usize,
    /// Its step, from 0.
    pub step: usize,
}

/// Features of the images of some trees, each changed as the round has it. `sources` are the images
/// by their numbers.
///
/// # Errors
/// An image that cannot be read, decoded or encoded, by name.
pub fn features(
    parts: &Parts,
    sources: &[ImageSource],
    trees: &[MessageTree],
    augmentation: &Augmentation,
    round: Round,
) -> Result<Features, TrainError> {
    // No two stages of a run draw alike, nor does a stage draw like its sampler's neighbour.
    let seed = round.seed.wrapping_add((round.stage as u64 + 1) << 32);
    let encode = |number: u32| {
        let Some(source) = sources.get(number as usize) else { return Ok(None) };
        let drawn = augmentation.draw(seed, round.step as u64, &source.name);
        let pixels = parts.preprocessor.apply(&drawn.apply(&source.decode()?));
        Ok::<_, TrainError>(Some((number, parts.vision.encode(&pixels)?)))
    };
    let encoded = threads::in_order(images(trees).into_iter().collect(), encode)?;
    // An image that is not there is reported by the model, with its number.
    Ok(Features::Memory(encoded.into_iter().flatten().collect::<FeatureMap>()))
}

/// Numbers of the images that trees show.
pub(crate) fn images(trees: &[MessageTree]) -> BTreeSet<u32> {
    let branches = trees.iter().flat_map(|tree| &tree.branches).flat_map(|branch| &branch.prompt);
    let items = trees.iter().flat_map(|tree| &tree.root).chain(branches);
    items
        .filter_map(|item| match item {
            Item::Visual { image, .. } => Some(*image),
            Item::Token(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use pefomed_data::Message;
    use pefomed_data::image::png;
    use pefomed_data::image::{DecodedImage, PixelSource};
    use pefomed_model::multimodal::VisualFeatures;

    use super::*;
    use crate::Recipe;
    use crate::device::DeviceKind;

    const RECIPE: &str = "[model]\nvision = 'embedded:tiny'\ndecoder = 'embedded:tiny'\n\
                          template = 'inst'\nimage_size = 112\n";

    fn source(folder: &std::path::Path, name: &str, slope: u32) -> ImageSource {
        let pixel = |index: u32| [(index * slope) as u8, (index / 90) as u8, 40];
        let image = DecodedImage {
            width: 90,
            height: 70,
            rgb: (0..90 * 70).flat_map(pixel).collect(),
            source: PixelSource {
                bits: 8,
                channels: 3,
                alpha: false,
                oriented: false,
                brightest: 255,
            },
            rendering: None,
        };
        std::fs::write(folder.join(name), png(name, &image).unwrap()).unwrap();
        ImageSource::file(name, folder.join(name))
    }

    /// A tree that shows one image.
    fn tree(image: u32) -> MessageTree {
        let prompt = vec![Item::Visual { image, index: 0 }, Item::Token(1)];
        MessageTree::new(vec![Message { key: 1, prompt, answer: vec![2] }]).unwrap()
    }

    #[test]
    fn features_are_those_of_the_cache_when_nothing_changes_and_repeat_when_something_does() {
        let folder = tempfile::tempdir().unwrap();
        let recipe = Recipe::from_str(RECIPE, folder.path()).unwrap();
        let parts = Parts::load(&recipe, &DeviceKind::Cpu.placement().unwrap()).unwrap();
        let sources = [source(folder.path(), "a.png", 3), source(folder.path(), "b.png", 5)];
        let cached = Features::compute(&parts, &sources, folder.path(), &|_, _| ()).unwrap();
        let of = |augmentation: &Augmentation, trees: &[u32], step: usize| {
            let trees: Vec<MessageTree> = trees.iter().map(|image| tree(*image)).collect();
            let round = Round { seed: 4, stage: 1, step };
            features(&parts, &sources, &trees, augmentation, round).unwrap()
        };
        let values = |features: &Features, image: u32| -> VisualFeatures {
            features.get(&parts, &[image]).unwrap().remove(&image).unwrap()
        };
        let neutral = of(&Augmentation::default(), &[0, 1], 3);
        for image in [0, 1] {
            assert_eq!(values(&neutral, image).values, values(&cached, image).values);
        }
        let crop = Augmentation { crop: 0.3, flip: 0.0 };
        let both = of(&crop, &[0, 1, 1], 3);
        // The same, whichever other images the step has: a function of seed, step and name.
        assert_eq!(values(&both, 1).values, values(&of(&crop, &[1], 3), 1).values);
        assert_ne!(values(&both, 1).values, values(&cached, 1).values);
        assert_ne!(values(&both, 1).values, values(&of(&crop, &[1], 4), 1).values);
    }
}
