//! Components of lower resolution, enlarged to the size of the picture.
//!
//! Halved ones are weighted 3 to 1 between the two nearest samples in each direction, as libjpeg does
//! ("fancy upsampling"), with roundings that alternate so that no level is favoured; other ratios, and
//! components of one or two columns, repeat their samples.

/// A component: its samples, and how many of the picture's pixels each stands for.
pub(super) struct Plane {
    /// Row by row, `stride` apart.
    pub(super) samples: Vec<u16>,
    pub(super) stride: usize,
    /// Samples of a row, and rows, that belong to the picture.
    pub(super) width: usize,
    pub(super) height: usize,
    /// Pixels to a sample, sideways and up and down.
    pub(super) across: usize,
    pub(super) down: usize,
}

impl Plane {
    fn row(&self, y: usize) -> &[u16] {
        &self.samples[y * self.stride..][..self.width]
    }

    /// Row `y` of the picture.
    pub(super) fn enlarge_row(&self, y: usize, out: &mut [u16]) {
        let near = self.row(y / self.down);
        let is_smooth = self.width > 2;
        match (self.across, self.down) {
            (1, 1) => out.copy_from_slice(&near[..out.len()]),
            (1, 2) => {
                let bias = 1 + (y % 2) as u32;
                for (out, (near, far)) in out.iter_mut().zip(near.iter().zip(self.far_row(y))) {
                    *out = ((3 * u32::from(*near) + u32::from(*far) + bias) >> 2) as u16;
                }
            }
            (2, 1) if is_smooth => widen(out, self.width, 2, [1, 2], |x| u32::from(near[x])),
            (2, 2) if is_smooth => {
                let far = self.far_row(y);
                let sum = |x: usize| 3 * u32::from(near[x]) + u32::from(far[x]);
                widen(out, self.width, 4, [8, 7], sum);
            }
            _ => {
                for (x, out) in out.iter_mut().enumerate() {
                    *out = near[x / self.across];
                }
            }
        }
    }

    /// The row on the other side of row `y` of the picture, of a component of half its height.
    fn far_row(&self, y: usize) -> &[u16] {
        let near = y / 2;
        self.row(if y.is_multiple_of(2) {
            near.saturating_sub(1)
        } else {
            (near + 1).min(self.height - 1)
        })
    }
}

/// Twice as many columns. `of` gives the `width` columns, whose weighted sums of four are
/// shifted by `shift` after `bias` was added on the left and on the right of a column's middle.
fn widen(out: &mut [u16], width: usize, shift: u32, bias: [u32; 2], of: impl Fn(usize) -> u32) {
    for (x, out) in out.iter_mut().enumerate() {
        let near = x / 2;
        // The outermost columns have no neighbour, and count four times.
        let far =
            if x.is_multiple_of(2) { near.saturating_sub(1) } else { (near + 1).min(width - 1) };
        *out = ((3 * of(near) + of(far) + bias[x % 2]) >> shift) as u16;
    }
}
