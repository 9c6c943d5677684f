//! Bicubic resizing with antialiasing, to the last bit as Pillow does it.
//!
//! Published vision encoders were trained on images that Pillow resized. Interpolators differ
//! visibly between libraries: without antialiasing a shrunken radiograph gains noise that the
//! encoder has never seen. So the arithmetic of Pillow's `Image.resize(…, BICUBIC)` is followed
//! exactly: the cubic convolution of Keys (1981) with a = −1/2, widened by the scale when
//! shrinking; first along rows, then along columns; weights as integers of 22 fractional bits; and
//! 8-bit rounding after each of the two passes.

/// Fractional bits of a weight: 32 bits less 8 for the pixel and 2 for sign and overshoot.
const PRECISION: u32 = 32 - 8 - 2;

/// The weights of all output positions along one axis.
struct Weights {
    /// For each output position, the first input position and its range in `values`.
    spans: Vec<(usize, std::ops::Range<usize>)>,
    values: Vec<i32>,
}

/// Keys' cubic convolution kernel with a = −1/2.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

impl Weights {
    /// Weights that bring `from` positions to `to`.
    fn new(from: usize, to: usize) -> Self {
        let scale = from as f64 / to as f64;
        // Enlarging interpolates between neighbours; shrinking averages over all that falls on a
        // pixel.
        let stretch = scale.max(1.0);
        let support = 2.0 * stretch;
        let mut spans = Vec::with_capacity(to);
        let mut values = Vec::new();
        for position in 0..to {
            let center = (position as f64 + 0.5) * scale;
            // Casts cut towards zero and clamp negatives to 0, as the rounding here means to.
            let first = (center - support + 0.5) as usize;
            let end = ((center + support + 0.5) as usize).min(from);
            let weights: Vec<f64> =
                (first..end).map(|x| cubic((x as f64 - center + 0.5) * (1.0 / stretch))).collect();
            let sum: f64 = weights.iter().sum();
            let start = values.len();
            values.extend(weights.iter().map(|weight| {
                let weight = if sum == 0.0 { *weight } else { weight / sum };
                let fixed = weight * f64::from(1 << PRECISION);
                (fixed + if weight < 0.0 { -0.5 } else { 0.5 }) as i32
            }));
            spans.push((first, start..values.len()));
        }
        Self { spans, values }
    }

    /// First input position and weights of each output position, in order.
    fn iter(&self) -> impl Iterator<Item = (usize, &[i32])> {
        self.spans.iter().map(|(first, range)| (*first, &self.values[range.clone()]))
    }
}

/// Drops the fractional bits of a sum that began at one half, and clamps to 8 bits.
fn to_pixel(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

const HALF: i32 = 1 << (PRECISION - 1);

/// Resizes 8-bit RGB of shape `[height, width, 3]` to `[new_height, new_width, 3]`.
///
/// A side that keeps its length is not touched. The cost is one multiplication for each weight:
/// about `4 · width · height` of them when shrinking.
///
/// # Panics
/// When `rgb` is not `width · height · 3` bytes long or a side is 0; a
/// [`DecodedImage`](super::DecodedImage) and a [`Preprocessor`](super::Preprocessor) never are.
pub fn bicubic(
    rgb: &[u8],
    (width, height): (u32, u32),
    (new_width, new_height): (u32, u32),
) -> Vec<u8> {
    let [width, height, new_width, new_height] =
        [width, height, new_width, new_height].map(|side| side as usize);
    assert!(width > 0 && height > 0 && new_width > 0 && new_height > 0, "a side is 0");
    assert_eq!(rgb.len(), width * height * 3, "not {width}×{height} RGB pixels");
    let narrowed = if width == new_width {
        None
    } else {
        Some(along_rows(rgb, width, &Weights::new(width, new_width)))
    };
    let rows = narrowed.as_deref().unwrap_or(rgb);
    if height == new_height {
        return rows.to_vec();
    }
    along_columns(rows, new_width * 3, &Weights::new(height, new_height))
}

fn along_rows(rgb: &[u8], width: usize, weights: &Weights) -> Vec<u8> {
    let mut out = Vec::with_capacity(rgb.len() / width * weights.spans.len());
    for row in rgb.chunks_exact(width * 3) {
        for (first, weights) in weights.iter() {
            let mut sums = [HALF; 3];
            for (pixel, weight) in row[first * 3..].chunks_exact(3).zip(weights) {
                for (sum, value) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(*value) * weight;
                }
            }
            out.extend(sums.map(to_pixel));
        }
    }
    out
}

/// Sums whole rows at a time, so that memory is read in order.
fn along_columns(rgb: &[u8], row_length: usize, weights: &Weights) -> Vec<u8> {
    let mut out = Vec::with_capacity(row_length * weights.spans.len());
    let mut sums = vec![HALF; row_length];
    for (first, weights) in weights.iter() {
        sums.fill(HALF);
        for (row, weight) in rgb[first * row_length..].chunks_exact(row_length).zip(weights) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += i32::from(*value) * weight;
            }
        }
        out.extend(sums.iter().map(|sum| to_pixel(*sum)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_passes_through_its_published_points() {
        assert_eq!([0.0, 1.0, 2.0, 3.0].map(cubic), [1.0, 0.0, 0.0, 0.0]);
        // Keys (1981), equation 15 at x = 1/2 and 3/2.
        assert_eq!([0.5, -0.5, 1.5, -1.5].map(cubic), [0.5625, 0.5625, -0.0625, -0.0625]);
    }

    #[test]
    fn weights_of_every_position_add_up_to_one() {
        for (from, to) in [(1, 7), (7, 1), (5, 5), (640, 224), (3, 448), (1000, 3)] {
            let weights = Weights::new(from, to);
            assert_eq!(weights.spans.len(), to);
            for (first, values) in weights.iter() {
                let sum: i32 = values.iter().sum();
                assert!((sum - (1 << PRECISION)).unsigned_abs() as usize <= values.len());
                assert!(!values.is_empty() && first + values.len() <= from);
            }
        }
    }

    #[test]
    fn uniform_images_stay_uniform_at_any_size() {
        for value in [0, 1, 127, 255] {
            let image = vec![value; 13 * 7 * 3];
            for size in [(1, 1), (5, 29), (64, 3)] {
                assert!(bicubic(&image, (13, 7), size).iter().all(|pixel| *pixel == value));
            }
        }
    }
}
