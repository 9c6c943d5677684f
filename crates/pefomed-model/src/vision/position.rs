//! Resizing a learned position table to another grid.
//!
//! Bicubic with `a = −0.75`, samples at pixel centres, edges repeated and no antialiasing: what
//! PyTorch's `interpolate(mode="bicubic", align_corners=False)` computes.

/// Resizes a table `[rows · columns, width]` to `[new_rows · new_columns, width]`, in double
/// precision: it costs nothing beside the encoder, and lets tests of exactness be exact.
pub(super) fn resize_table(
    table: &[f32],
    (rows, columns): (usize, usize),
    (new_rows, new_columns): (usize, usize),
    width: usize,
) -> Vec<f64> {
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

/// For each new sample the four old ones it is made of, with their weights.
fn taps(old: usize, new: usize) -> Vec<[(usize, f64); 4]> {
    let scale = old as f64 / new as f64;
    (0..new)
        .map(|index| {
            let centre = (index as f64 + 0.5) * scale - 0.5;
            let floor = centre.floor();
            let t = centre - floor;
            [-1.0, 0.0, 1.0, 2.0].map(|offset| {
                let place = (floor + offset).clamp(0.0, (old - 1) as f64) as usize;
                (place, cubic((t - offset).abs()))
            })
        })
        .collect()
}

/// The cubic convolution kernel of Keys (1981) with `a = −0.75`.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.75;
    if x <= 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A
    } else {
        0.0
    }
}
