//! Pictures of materials without anatomy: what a tiny vision encoder is pre-trained on.
//!
//! An encoder that learned on phantoms would have seen the demo's answers. So it learns something
//! else with the same means: random shapes, filled with the same materials, drawn by the same
//! renderer, noise and all; the task is to say of each patch how much of which material it shows.
//! That takes contrast, texture, edges and a guess at the modality, which phantoms need as well.

use rand_chacha::ChaCha8Rng;

use super::draw::{Draw as _, Purpose, stream};
use super::facts::Modality;
use super::material::Material;
use super::render::{GrayPicture, MaterialMap, render_scene};
use super::scene::{Layer, Look, Scene, View};
use super::shape::{Point, Shape, curve};

/// A picture of random shapes and the material of every pixel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Soup {
    /// What the encoder sees.
    pub picture: GrayPicture,
    /// What it has to tell.
    pub materials: MaterialMap,
}

/// Soup number `index` of `seed`, `size × size` pixels.
pub fn soup(seed: u64, index: u64, size: usize) -> Soup {
    let mut rng = stream(seed, index, Purpose::Soup);
    let modality = rng.pick(&Modality::ALL);
    let mut layers = Vec::new();
    // A large body most of the time; then things within and over it, the small ones last.
    if rng.chance(0.85) {
        let base = rng.pick(&[Material::Muscle, Material::Fat, Material::Organ, Material::Brain]);
        let radii = [rng.between(0.6, 1.3), rng.between(0.6, 1.3)];
        let center = [rng.about(0.3), rng.about(0.3)];
        let body = Shape::blob(center, radii, rng.about(1.5), 0.06, &mut rng);
        layers.push(
            Layer::new(base, body)
                .displaces(Material::Air)
                .depth(rng.between(0.7, 1.1))
                .dome(rng.between(0.2, 0.6))
                .edge(0.02),
        );
    }
    let count = 14 + rng.below(20);
    for number in 0..count {
        let grade = 1.0 - number as f32 / count as f32;
        let reach = 0.07 + (0.08 + 0.5 * rng.unit()) * grade;
        let shape = any_shape(reach, &mut rng);
        layers.push(fill(shape, reach, &mut rng));
    }
    let scene = Scene {
        modality,
        layers,
        view: View::drawn(&mut rng, 3.1),
        look: Look::drawn(&mut rng, modality),
    };
    let (picture, materials) = render_scene(&scene, size);
    Soup { picture, materials }
}

fn any_shape(reach: f32, rng: &mut ChaCha8Rng) -> Shape {
    let center: Point = [rng.about(1.0), rng.about(1.0)];
    let radii = [reach * rng.between(0.5, 1.0), reach * rng.between(0.5, 1.0)];
    let angle = rng.about(1.57);
    match rng.below(6) {
        0 => Shape::Ellipse { center, radii, angle },
        1 => Shape::blob(center, radii, angle, 0.14, rng),
        2 => {
            let ring = Shape::blob(center, radii, angle, 0.05, rng);
            ring.shell(rng.between(0.012, 0.05))
        }
        3 => {
            let ends = 3 + rng.below(3);
            let mut at = center;
            let points: Vec<Point> = (0..ends)
                .map(|_| {
                    at = [at[0] + rng.about(0.5), at[1] + rng.about(0.5)];
                    at
                })
                .collect();
            let width = rng.between(0.012, 0.05);
            let radii = [width, width * rng.between(0.4, 1.0)];
            Shape::tapered(curve(&points, false, 5), radii)
        }
        4 => {
            // A wedge: a slice of a disc.
            let disc = Shape::disc(center, reach * 1.2);
            let half = |turn: f32| {
                let (sin, cos) = turn.sin_cos();
                Shape::Half { through: center, towards: [cos, sin] }
            };
            let opening = rng.between(1.2, 2.4);
            disc.and(&half(angle)).and(&half(angle + opening))
        }
        _ => {
            let corners = 3 + rng.below(4);
            let points = (0..corners)
                .map(|corner| {
                    let turn = angle + std::f32::consts::TAU * corner as f32 / corners as f32;
                    let far = rng.between(0.6, 1.1);
                    [
                        center[0] + radii[0] * far * turn.cos(),
                        center[1] + radii[1] * far * turn.sin(),
                    ]
                })
                .collect();
            Shape::polygon(points)
        }
    }
}

fn fill(shape: Shape, reach: f32, rng: &mut ChaCha8Rng) -> Layer {
    let material = rng.pick(&Material::ALL);
    let displaces = rng.pick(&[Material::Muscle, Material::Lung, Material::Air]);
    let gain = (material.attenuation() - displaces.attenuation()).abs();
    // A radiograph should neither saturate nor hide a layer.
    let depth = rng.between(0.12, 0.6) / gain.max(0.4);
    Layer::new(material, shape)
        .displaces(displaces)
        .depth(depth)
        .dome(if rng.chance(0.5) { rng.between(0.02, reach) } else { 0.0 })
        .edge(rng.between(0.012, 0.06))
}

/// The part of each patch that each material covers, `[patches, Material::COUNT]`, patches row by
/// row. Pixels that do not fill a whole patch at the right and lower edges are left out. A patch
/// size of 0, or larger than the picture, gives no patches.
pub fn patch_targets(soup: &Soup, patch: usize) -> Vec<f32> {
    let map = &soup.materials;
    let (Some(columns), Some(rows)) = (map.width.checked_div(patch), map.height.checked_div(patch))
    else {
        return Vec::new();
    };
    let mut targets = vec![0.0; rows * columns * Material::COUNT];
    let share = 1.0 / (patch * patch) as f32;
    for y in 0..rows * patch {
        for x in 0..columns * patch {
            let place = (y / patch) * columns + x / patch;
            let material = map.materials[y * map.width + x].index();
            targets[place * Material::COUNT + material] += share;
        }
    }
    targets
}
