//! A scene: shapes of materials laid over one another, and how they are looked at.
//!
//! Slices (CT, MR) show the topmost material, as paint does. A radiograph sums instead: each
//! layer adds the attenuation of its own material less that of the material it displaces, times
//! its thickness along the ray. One list of layers serves both.

use rand_chacha::ChaCha8Rng;

use super::Modality;
use super::draw::Draw as _;
use super::material::Material;
use super::shape::Shape;

/// A shape filled with a material.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) shape: Shape,
    pub(super) material: Material,
    /// Width over which the edge fades, in scene units.
    pub(super) edge: f32,
    /// How much of what lies below is covered, 0 to 1.
    pub(super) opacity: f32,
    /// Radiographs: greatest thickness along the ray; the body is about 1.
    pub(super) depth: f32,
    /// Radiographs: the material that gave way.
    pub(super) displaces: Material,
    /// Radiographs: distance from the edge at which the full thickness is reached, as a dome; 0
    /// means the same thickness everywhere.
    pub(super) dome: f32,
}

impl Layer {
    /// An opaque layer with a crisp edge. In radiographs it is a dome of no great depth that
    /// displaces muscle.
    pub(super) fn new(material: Material, shape: Shape) -> Self {
        Self {
            shape,
            material,
            edge: 0.012,
            opacity: 1.0,
            depth: 0.1,
            displaces: Material::Muscle,
            dome: 0.0,
        }
    }

    pub(super) fn edge(mut self, edge: f32) -> Self {
        self.edge = edge;
        self
    }

    pub(super) fn opacity(mut self, opacity: f32) -> Self {
        self.opacity = opacity;
        self
    }

    pub(super) fn depth(mut self, depth: f32) -> Self {
        self.depth = depth;
        self
    }

    pub(super) fn displaces(mut self, material: Material) -> Self {
        self.displaces = material;
        self
    }

    pub(super) fn dome(mut self, dome: f32) -> Self {
        self.dome = dome;
        self
    }
}

/// Where the patient lies in the picture.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    pub(super) scale: [f32; 2],
    /// Radians, clockwise.
    pub(super) angle: f32,
    pub(super) shift: [f32; 2],
}

/// The apparatus: contrast, noise and blur.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) brightness: f32,
    pub(super) contrast: f32,
    /// Standard deviation of the grain, on the 0 to 1 scale.
    pub(super) noise: f32,
    /// 0 sharp to 1 a 3 × 3 binomial blur.
    pub(super) blur: f32,
    /// Slope of brightness across the picture: coil sensitivity, heel effect.
    pub(super) shading: [f32; 2],
    /// Darkening towards the corners.
    pub(super) vignette: f32,
    /// Key of texture and grain.
    pub(super) key: u32,
}

/// Everything the renderer needs.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub(super) modality: Modality,
    pub(super) layers: Vec<Layer>,
    pub(super) view: View,
    pub(super) look: Look,
}

impl View {
    /// A patient who lies a little off: turned by up to `turn` radians.
    pub(super) fn drawn(rng: &mut ChaCha8Rng, turn: f32) -> Self {
        let scale = rng.between(0.93, 1.04);
        Self {
            scale: [scale * rng.between(0.97, 1.03), scale],
            angle: rng.about(turn),
            shift: [rng.about(0.04), rng.about(0.04)],
        }
    }

    /// From the picture (`[-1, 1]²`) to the scene.
    pub(super) fn to_scene(self, at: [f32; 2], sin_cos: (f32, f32)) -> [f32; 2] {
        let (sin, cos) = sin_cos;
        let (dx, dy) = (at[0] - self.shift[0], at[1] - self.shift[1]);
        [(cos * dx + sin * dy) / self.scale[0], (cos * dy - sin * dx) / self.scale[1]]
    }

    /// From the scene to the picture.
    pub(super) fn to_picture(self, at: [f32; 2]) -> [f32; 2] {
        let (sin, cos) = self.angle.sin_cos();
        let (x, y) = (at[0] * self.scale[0], at[1] * self.scale[1]);
        [cos * x - sin * y + self.shift[0], sin * x + cos * y + self.shift[1]]
    }
}

impl Look {
    /// The apparatus of one modality on one day.
    pub(super) fn drawn(rng: &mut ChaCha8Rng, modality: Modality) -> Self {
        let (noise, blur, shading, vignette) = match modality {
            Modality::Xray => ([0.012, 0.03], [0.2, 1.0], 0.05, [0.05, 0.25]),
            Modality::Ct => ([0.02, 0.05], [0.3, 1.0], 0.0, [0.0, 0.0]),
            Modality::Mr => ([0.015, 0.045], [0.3, 1.0], 0.14, [0.0, 0.12]),
        };
        Self {
            brightness: rng.about(0.03),
            contrast: rng.between(0.88, 1.12),
            noise: rng.between(noise[0], noise[1]),
            blur: rng.between(blur[0], blur[1]),
            shading: [rng.about(shading), rng.about(shading)],
            vignette: rng.between(vignette[0], vignette[1] + 1e-6),
            key: (rng.unit() * 16_777_216.0) as u32,
        }
    }
}
