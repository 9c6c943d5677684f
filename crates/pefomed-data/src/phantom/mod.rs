//! Medical-looking pictures from nothing: a data set for machines without data or network.
//!
//! A phantom is a scene whose truth is known because it was drawn from it: region, modality,
//! findings with side, place and size, devices. The demo learns from these pictures, so each fact
//! that is asked about must be seen, and seen at 112 × 112 pixels; and no question may be
//! answered well without the picture, so answers are balanced within each kind of question. The
//! pictures are cartoons of anatomy. A score on them says that the machinery works, and nothing
//! about medicine.
//!
//! # Sides
//! Pictures follow the radiological convention: the patient faces the viewer (radiographs) or is
//! seen from the feet (slices), so **the patient's left is on the picture's right**. [`Side`] is
//! always the patient's.
//!
//! # Sameness
//! [`generate`] and [`render`] depend on their arguments alone: not on time, on the number of
//! threads, or on what was generated before. Each image has separate streams of random numbers
//! for its facts, anatomy, findings, devices and noise; so a [`PhantomSpec`] whose findings were
//! taken out renders the same patient without them.

mod anatomy_abdomen;
mod anatomy_chest;
mod anatomy_chest_slice;
mod anatomy_head;
mod data_set;
mod draw;
mod facts;
mod language;
mod material;
mod questions;
mod render;
mod scene;
mod shape;
mod soup;

pub use data_set::{PhantomDataSet, PhantomImage, data_set};
pub use facts::{
    Device, DeviceKind, Finding, FindingKind, Level, Modality, PhantomSpec, Region, Side, Size,
    generate,
};
pub use language::{captions, report};
pub use material::Material;
pub use questions::{AnswerType, QuestionAnswer, QuestionType, questions};
pub use render::{GrayPicture, MaterialMap};
pub use soup::{Soup, patch_targets, soup};

use draw::{Purpose, stream};
use rand_chacha::ChaCha8Rng;
use scene::{Look, Scene, View};

/// The size pictures of a data set have, in pixels.
pub const DEFAULT_SIZE: usize = 160;

/// The streams that shapes are drawn from.
struct Draws {
    anatomy: ChaCha8Rng,
    findings: ChaCha8Rng,
    devices: ChaCha8Rng,
}

/// Renders a phantom as `size × size` grey pixels. The same scene is drawn at every size; only
/// the grain of the noise belongs to the pixels.
pub fn render(spec: &PhantomSpec, size: usize) -> GrayPicture {
    render_with_materials(spec, size).0
}

/// Renders a phantom, with the material of every pixel.
pub fn render_with_materials(spec: &PhantomSpec, size: usize) -> (GrayPicture, MaterialMap) {
    render::render_scene(&scene_of(spec), size)
}

fn scene_of(spec: &PhantomSpec) -> Scene {
    let of = |purpose| stream(spec.seed, spec.index, purpose);
    let mut draws = Draws {
        anatomy: of(Purpose::Anatomy),
        findings: of(Purpose::Findings),
        devices: of(Purpose::Devices),
    };
    let layers = match (spec.region, spec.modality) {
        (Region::Chest, Modality::Xray) => anatomy_chest::layers(spec, &mut draws),
        (Region::Chest, _) => anatomy_chest_slice::layers(spec, &mut draws),
        (Region::Head, _) => anatomy_head::layers(spec, &mut draws),
        (Region::Abdomen, _) => anatomy_abdomen::layers(spec, &mut draws),
    };
    let mut look = of(Purpose::Look);
    let turn = if spec.region == Region::Head { 0.13 } else { 0.07 };
    Scene {
        modality: spec.modality,
        layers,
        view: View::drawn(&mut look, turn),
        look: Look::drawn(&mut look, spec.modality),
    }
}
