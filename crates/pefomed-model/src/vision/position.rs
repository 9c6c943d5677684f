//! Resizing a learned position table to another grid.
//!
//! Two ways, both of PyTorch's `interpolate(mode="bicubic", align_corners=False)` with samples at
//! pixel centres. Without antialiasing the cubic has `a = −0.75` and edges are repeated. With it
//! (`antialias=True`, which DINOv2 with registers was published with) the cubic has `a = −0.5`, is
//! widened by the scale when shrinking, and weights that fall off the table are left out and the
//! others scaled up.

/// Resizes a table `[rows · columns, width]` to `[new_rows · new_columns, width]`, in double
/// precision: it costs nothing beside the encoder, and lets tests of exactness be exact.
pub(super) fn resize_table(
    table: &[f32],
    (rows, columns): (usize, usize),
    (new_rows, new_columns): (usize, usize),
    width: usize,
    antialias: bool,
) -> Vec<f64> {
    let taps = if antialias { wide_taps } else { taps };
    if (rows, columns) == (new_rows, new_columns) {
        return table.iter().map(|&value| f64::from(value)).collect();
    }
    let (vertical, horizontal) = (taps(rows, new_rows), taps(columns, new_columns));
    let mut resized = Vec::with_capacity(new_rows * new_columns * width);
    for vertical in &vertical {
        for horizontal in &horizontal {
            let start = resized.len();
            resized.resize(start + width, 0.0);
            for &(row, row_weight) in vertical {
                for &(column, column_weight) in horizontal {
                    let weight = row_weight * column_weight;
                    let from = (row * columns + column) * width;
                    for (sum, value) in resized[start..].iter_mut().zip(&table[from..from + width])
                    {
                        *sum += weight * f64::from(*value);
                    }
                }
            }
        }
    }
    resized
}

/// For each new sample the old ones it is made of, with their weights.
type Taps = Vec<Vec<(usize, f64)>>;

/// The four nearest, edges repeated.
fn taps(old: usize, new: usize) -> Taps {
    let scale = old as f64 / new as f64;
    let taps = |index: usize| {
        let centre = (index as f64 + 0.5) * scale - 0.5;
        let floor = centre.floor();
        let t = centre - floor;
        let tap = |offset: f64| {
            let place = (floor + offset).clamp(0.0, (old - 1) as f64) as usize;
            (place, cubic((t - offset).abs(), -0.75))
        };
        [-1.0, 0.0, 1.0, 2.0].map(tap).to_vec()
    };
    (0..new).map(taps).collect()
}

/// All within two samples of the coarser of the two grids, as far as the table goes.
fn wide_taps(old: usize, new: usize) -> Taps {
    let scale = old as f64 / new as f64;
    let stretch = scale.max(1.0);
    let taps = |index: usize| {
        let centre = (index as f64 + 0.5) * scale;
        // Casts cut negatives to 0.
        let first = (centre - 2.0 * stretch + 0.5) as usize;
        let end = ((centre + 2.0 * stretch + 0.5) as usize).min(old);
        let weight = |place: usize| cubic(((place as f64 + 0.5 - centre) / stretch).abs(), -0.5);
        let sum: f64 = (first..end).map(weight).sum();
        (first..end).map(|place| (place, weight(place) / sum)).collect()
    };
    (0..new).map(taps).collect()
}

/// The cubic convolution kernel of Keys (1981).
fn cubic(x: f64, a: f64) -> f64 {
    if x <= 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    } else {
        0.0
    }
}
