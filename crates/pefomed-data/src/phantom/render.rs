//! From scenes to pixels.
//!
//! Every pixel is computed by the same sequence of single-precision operations whatever the
//! number of threads, and noise is a hash of the pixel's place; so a scene has one picture.

use super::Modality;
use super::draw::{grain, smooth_noise};
use super::material::Material;
use super::scene::{Layer, Scene};
use crate::image::encode::encode;

/// A grey picture, row by row from the top, 0 black to 255 white.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrayPicture {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `height × width` values.
    pub pixels: Vec<u8>,
}

impl GrayPicture {
    /// The picture as a PNG file.
    pub fn to_png(&self) -> Vec<u8> {
        let size = (self.width as u32, self.height as u32);
        // Writing to memory fails only for a buffer that does not fit its dimensions, and the
        // renderer made both.
        let written = encode(&self.pixels, size, ::image::ExtendedColorType::L8);
        debug_assert!(written.is_ok(), "{written:?}");
        written.unwrap_or_default()
    }
}

/// Which material each pixel shows, row by row. For a radiograph, which sums along the ray, it is
/// the layer drawn last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaterialMap {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `height × width` materials.
    pub materials: Vec<Material>,
}

/// Renders a scene at `size × size` pixels (at least one), with the material of every pixel.
pub(super) fn render_scene(scene: &Scene, size: usize) -> (GrayPicture, MaterialMap) {
    let size = size.max(1);
    let summed = scene.modality == Modality::Xray;
    let air = if summed { 0.0 } else { brightness(Material::Air, scene.modality) };
    let mut canvas = Canvas {
        scene,
        size,
        values: vec![air; size * size],
        materials: vec![Material::Air; size * size],
        texture: if summed { Vec::new() } else { texture(scene, size) },
    };
    for layer in &scene.layers {
        canvas.paint(layer);
    }
    let Canvas { mut values, materials, .. } = canvas;
    if summed {
        for value in &mut values {
            *value = film(*value);
        }
    }
    let pixels = develop(scene, size, values);
    (
        GrayPicture { width: size, height: size, pixels },
        MaterialMap { width: size, height: size, materials },
    )
}

fn brightness(material: Material, modality: Modality) -> f32 {
    match modality {
        Modality::Xray => material.attenuation(),
        Modality::Ct => material.on_ct(),
        Modality::Mr => material.on_mr(),
    }
}

/// The film's answer to attenuation: steep where the lungs are, shallow where bone and metal are,
/// continuous in value and nearly so in slope.
fn film(attenuation: f32) -> f32 {
    let a = attenuation.max(0.0);
    if a < 1.0 {
        0.03 + a * (0.38 + 0.27 * a)
    } else {
        0.68 + 0.30 * (1.0 - 1.0 / (1.0 + 1.6 * (a - 1.0)))
    }
}

/// Sides of the largest and smallest squares that are tested as a whole, in pixels.
const TILES: [usize; 2] = [16, 4];

/// A layer about to be painted.
struct Brush<'a> {
    layer: &'a Layer,
    /// Sine and cosine of the view.
    turn: (f32, f32),
    /// Width of the soft edge.
    edge: f32,
}

/// What layers share while a scene is painted.
struct Canvas<'a> {
    scene: &'a Scene,
    size: usize,
    values: Vec<f32>,
    materials: Vec<Material>,
    /// Texture, the same for all layers; a material scales it.
    texture: Vec<f32>,
}

impl Canvas<'_> {
    fn pixel(&self) -> f32 {
        2.0 / self.size as f32
    }

    /// Paints one layer.
    fn paint(&mut self, layer: &Layer) {
        let (view, pixel, size) = (self.scene.view, self.pixel(), self.size);
        let brush = Brush {
            layer,
            turn: view.angle.sin_cos(),
            // Nothing is sharper than a pixel.
            edge: layer.edge.max(pixel / view.scale[1]),
        };
        let bounds = layer.shape.bounds();
        let (mut low, mut high) = ([f32::INFINITY; 2], [f32::NEG_INFINITY; 2]);
        for corner in [
            bounds.low,
            bounds.high,
            [bounds.low[0], bounds.high[1]],
            [bounds.high[0], bounds.low[1]],
        ] {
            let corner = view.to_picture(corner);
            for axis in 0..2 {
                low[axis] = low[axis].min(corner[axis] - brush.edge);
                high[axis] = high[axis].max(corner[axis] + brush.edge);
            }
        }
        let cell = |place: f32| (((place + 1.0) / pixel).clamp(0.0, size as f32)) as usize;
        let columns = cell(low[0])..cell(high[0] + pixel);
        let rows = cell(low[1])..cell(high[1] + pixel);
        for top in rows.clone().step_by(TILES[0]) {
            for left in columns.clone().step_by(TILES[0]) {
                self.tile(&brush, [left, top], TILES[0], [columns.end, rows.end]);
            }
        }
    }

    /// Distance of a place in the picture, in pixels, from the edge of a layer.
    fn distance(&self, brush: &Brush, x: f32, y: f32) -> f32 {
        let pixel = self.pixel();
        let place = [x * pixel - 1.0, y * pixel - 1.0];
        brush.layer.shape.distance(self.scene.view.to_scene(place, brush.turn))
    }

    /// Paints a square of `side` pixels. A distance changes no faster than the point moves, so
    /// one distance settles most squares: far outside there is nothing to do, deep inside the
    /// distance matters little and is interpolated; the others are split.
    fn tile(&mut self, brush: &Brush, [left, top]: [usize; 2], side: usize, end: [usize; 2]) {
        if left >= end[0] || top >= end[1] {
            return;
        }
        let (x, y, width) = (left as f32, top as f32, side as f32);
        let scale = self.scene.view.scale;
        let middle = self.distance(brush, x + width * 0.5, y + width * 0.5);
        // Half the diagonal, and a margin because distances to ellipses are approximate.
        let reach = 1.5 * 0.71 * width * self.pixel() / scale[0].min(scale[1]);
        if middle > reach + brush.edge {
            return;
        }
        let inside = middle < -(reach + brush.edge);
        if !inside && side > TILES[1] {
            let half = side / 2;
            for corner in [[0, 0], [half, 0], [0, half], [half, half]] {
                self.tile(brush, [left + corner[0], top + corner[1]], half, end);
            }
            return;
        }
        let dome = inside && middle > -(reach + brush.layer.dome);
        let corners = if dome {
            [[x, y], [x + width, y], [x, y + width], [x + width, y + width]]
                .map(|[x, y]| self.distance(brush, x, y))
        } else {
            [middle; 4]
        };
        for row in top..(top + side).min(end[1]) {
            for column in left..(left + side).min(end[0]) {
                let (u, v) = (column as f32 + 0.5, row as f32 + 0.5);
                let distance = if inside {
                    let (s, t) = ((u - x) / width, (v - y) / width);
                    let above = corners[0] + (corners[1] - corners[0]) * s;
                    let below = corners[2] + (corners[3] - corners[2]) * s;
                    above + (below - above) * t
                } else {
                    self.distance(brush, u, v)
                };
                if distance < 0.5 * brush.edge {
                    let index = row * self.size + column;
                    self.cover(brush.layer, index, distance, brush.edge);
                }
            }
        }
    }

    /// Lays one layer over one pixel whose centre lies this far from the layer's edge.
    fn cover(&mut self, layer: &Layer, index: usize, distance: f32, edge: f32) {
        let t = (0.5 - distance / edge).clamp(0.0, 1.0);
        let cover = layer.opacity * t * t * (3.0 - 2.0 * t);
        if self.scene.modality == Modality::Xray {
            let level =
                layer.depth * (layer.material.attenuation() - layer.displaces.attenuation());
            self.values[index] += cover * level * thickness(distance, layer.dome);
        } else {
            let shade = brightness(layer.material, self.scene.modality)
                + layer.material.texture() * self.texture[index];
            self.values[index] += cover * (shade - self.values[index]);
        }
        if cover > 0.5 {
            self.materials[index] = layer.material;
        }
    }
}

/// Brightness that wanders over the scene, at two scales; about -1 to 1.
fn texture(scene: &Scene, size: usize) -> Vec<f32> {
    let (turn, pixel, key) = (scene.view.angle.sin_cos(), 2.0 / size as f32, scene.look.key);
    let mut plane = Vec::with_capacity(size * size);
    for row in 0..size {
        for column in 0..size {
            let place = [(column as f32 + 0.5) * pixel - 1.0, (row as f32 + 0.5) * pixel - 1.0];
            let at = scene.view.to_scene(place, turn);
            let coarse = smooth_noise(at[0] * 7.0, at[1] * 7.0, key);
            let fine = smooth_noise(at[0] * 19.0, at[1] * 19.0, key ^ 1);
            plane.push(0.6 * coarse + 0.7 * fine);
        }
    }
    plane
}

/// Thickness of a dome at some distance inside its edge, as a part of the greatest.
fn thickness(distance: f32, dome: f32) -> f32 {
    if dome <= 0.0 {
        return 1.0;
    }
    let missing = 1.0 - (-distance / dome).clamp(0.0, 1.0);
    (1.0 - missing * missing).sqrt()
}

/// Grain, blur, shading, window: from brightness to bytes.
fn develop(scene: &Scene, size: usize, mut values: Vec<f32>) -> Vec<u8> {
    let look = scene.look;
    for (index, value) in values.iter_mut().enumerate() {
        let (x, y) = ((index % size) as u32, (index / size) as u32);
        // The blur below takes more than half of the grain away.
        *value += look.noise * (1.0 + look.blur) * grain(x, y, look.key);
    }
    let soft = blurred(&values, size);
    let mut pixels = Vec::with_capacity(size * size);
    for (index, (sharp, soft)) in values.into_iter().zip(soft).enumerate() {
        let mut value = sharp + look.blur * (soft - sharp);
        let u = ((index % size) as f32 + 0.5) / size as f32 * 2.0 - 1.0;
        let v = ((index / size) as f32 + 0.5) / size as f32 * 2.0 - 1.0;
        value *= 1.0 + look.shading[0] * u + look.shading[1] * v;
        value *= 1.0 - look.vignette * 0.5 * (u * u + v * v) * 0.5 * (u * u + v * v);
        // Contrast turns about a dark grey, so that air stays black.
        value = (value - 0.25) * look.contrast + 0.25 + look.brightness;
        pixels.push((value * 255.0 + 0.5).clamp(0.0, 255.0) as u8);
    }
    pixels
}

/// A 3 × 3 binomial blur; the border repeats.
fn blurred(values: &[f32], size: usize) -> Vec<f32> {
    let neighbours = |index: usize| (index.saturating_sub(1), (index + 1).min(size - 1));
    let mut across = Vec::with_capacity(values.len());
    for row in values.chunks_exact(size) {
        for (x, value) in row.iter().enumerate() {
            let (left, right) = neighbours(x);
            across.push(0.25 * (row[left] + row[right]) + 0.5 * value);
        }
    }
    let mut both = Vec::with_capacity(values.len());
    for y in 0..size {
        let (above, below) = neighbours(y);
        for x in 0..size {
            both.push(
                0.25 * (across[above * size + x] + across[below * size + x])
                    + 0.5 * across[y * size + x],
            );
        }
    }
    both
}
