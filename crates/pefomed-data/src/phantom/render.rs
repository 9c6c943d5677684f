//! From scenes to pixels.
//!
//! Every pixel is computed by the same sequence of single-precision operations whatever the
//! number of threads, and noise is a hash of the pixel's place; so a scene has one picture.

use super::Modality;
use super::draw::{grain, smooth_noise};
use super::material::Material;
use super::scene::{Layer, Scene};

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
        let mut bytes = Vec::new();
        let encoder = image::codecs::png::PngEncoder::new_with_quality(
            &mut bytes,
            image::codecs::png::CompressionType::Fast,
            image::codecs::png::FilterType::Adaptive,
        );
        // Writing to memory fails only for a buffer that does not fit its dimensions, and the
        // renderer made both.
        let written = image::ImageEncoder::write_image(
            encoder,
            &self.pixels,
            self.width as u32,
            self.height as u32,
            image::ExtendedColorType::L8,
        );
        debug_assert!(written.is_ok(), "{written:?}");
        bytes
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

/// Renders a scene at `size × size` pixels, with the material of every pixel.
pub(super) fn render_scene(scene: &Scene, size: usize) -> (GrayPicture, MaterialMap) {
    let mut values = vec![0.0_f32; size * size];
    let mut materials = vec![Material::Air; size * size];
    if scene.modality != Modality::Xray {
        values.fill(brightness(Material::Air, scene.modality));
    }
    for layer in &scene.layers {
        paint(scene, layer, size, &mut values, &mut materials);
    }
    if scene.modality == Modality::Xray {
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
    if a < 1.0 { 0.03 + a * (0.38 + 0.27 * a) } else { 0.68 + 0.30 * (1.0 - 1.0 / (1.0 + 1.6 * (a - 1.0))) }
}

fn paint(
    scene: &Scene,
    layer: &Layer,
    size: usize,
    values: &mut [f32],
    materials: &mut [Material],
) {
    let (view, pixel) = (scene.view, 2.0 / size as f32);
    // Nothing is sharper than a pixel.
    let edge = layer.edge.max(pixel / view.scale[1]);
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
            low[axis] = low[axis].min(corner[axis] - edge);
            high[axis] = high[axis].max(corner[axis] + edge);
        }
    }
    let cell = |place: f32| (((place + 1.0) / pixel).clamp(0.0, size as f32)) as usize;
    let (columns, rows) = (cell(low[0])..cell(high[0] + pixel), cell(low[1])..cell(high[1] + pixel));
    let turn = view.angle.sin_cos();
    let summed = scene.modality == Modality::Xray;
    let level = if summed {
        layer.depth * (layer.material.attenuation() - layer.displaces.attenuation())
    } else {
        brightness(layer.material, scene.modality)
    };
    let wander = if summed { 0.0 } else { layer.material.texture() };
    // Materials have their own textures: the same place differs between them.
    let key = scene.look.key ^ (layer.material.index() as u32) << 24;
    for row in rows {
        for column in columns.clone() {
            let place = [(column as f32 + 0.5) * pixel - 1.0, (row as f32 + 0.5) * pixel - 1.0];
            let at = view.to_scene(place, turn);
            let distance = layer.shape.distance(at);
            if distance >= 0.5 * edge {
                continue;
            }
            let t = (0.5 - distance / edge).clamp(0.0, 1.0);
            let cover = layer.opacity * t * t * (3.0 - 2.0 * t);
            let index = row * size + column;
            if summed {
                values[index] += cover * level * thickness(distance, layer.dome);
            } else {
                let mut shade = level;
                if wander > 0.0 {
                    let coarse = smooth_noise(at[0] * 7.0, at[1] * 7.0, key);
                    let fine = smooth_noise(at[0] * 19.0, at[1] * 19.0, key);
                    shade += wander * (0.6 * coarse + 0.7 * fine);
                }
                values[index] += cover * (shade - values[index]);
            }
            if cover > 0.5 {
                materials[index] = layer.material;
            }
        }
    }
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
