//! Run lengths: PackBits in one segment for each byte of a sample (PS3.5, annex G).

use super::Trouble;
use super::layout::Layout;

/// The samples of a frame, `[rows, columns, samples]`.
pub(super) fn samples(data: &[u8], layout: &Layout) -> Result<Vec<f32>, Trouble> {
    let broken = || Trouble::broken("its run lengths are damaged or cut short");
    let (head, _) = data.as_chunks::<4>();
    let head: Vec<usize> =
        head.iter().take(16).map(|bytes| u32::from_le_bytes(*bytes) as usize).collect();
    let width = layout.bits_allocated as usize / 8;
    let segments = layout.samples * width;
    if width == 0 || head.len() < 16 || head[0] != segments || segments > 15 {
        return Err(Trouble::broken(format!(
            "its run lengths should have {segments} segments, and their head says otherwise"
        )));
    }
    let pixels = layout.pixels();
    let mut cells = vec![0_u32; pixels * layout.samples];
    let mut plane = Vec::with_capacity(pixels);
    for segment in 0..segments {
        let start = head[1 + segment];
        let end = if segment + 1 < segments { head[2 + segment] } else { data.len() };
        let coded = data.get(start..end).ok_or_else(broken)?;
        plane.clear();
        unpack(coded, pixels, &mut plane);
        if plane.len() != pixels {
            return Err(broken());
        }
        // The most significant byte comes first; samples follow one another.
        let (sample, byte) = (segment / width, segment % width);
        let shift = 8 * (width - 1 - byte);
        for (pixel, value) in plane.iter().enumerate() {
            cells[pixel * layout.samples + sample] |= u32::from(*value) << shift;
        }
    }
    Ok(cells.into_iter().map(|cell| layout.number(cell)).collect())
}

/// Unpacks until `limit` bytes are there or the input ends.
fn unpack(mut coded: &[u8], limit: usize, out: &mut Vec<u8>) {
    while out.len() < limit
        && let [head, rest @ ..] = coded
    {
        let count = usize::from(*head);
        let room = limit - out.len();
        match head {
            0..=127 => {
                let literal = &rest[..(count + 1).min(rest.len())];
                out.extend_from_slice(&literal[..literal.len().min(room)]);
                coded = &rest[literal.len()..];
            }
            128 => coded = rest,
            129.. => {
                let [value, rest @ ..] = rest else { return };
                out.extend(std::iter::repeat_n(*value, (257 - count).min(room)));
                coded = rest;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_literals() {
        let mut out = Vec::new();
        unpack(&[2, 7, 8, 9, 0xFE, 5, 128, 0, 1, 200], 100, &mut out);
        assert_eq!(out, [7, 8, 9, 5, 5, 5, 1]);
        out.clear();
        unpack(&[0x81, 3, 5, 1, 2], 10, &mut out);
        assert_eq!(out, [3; 10]);
    }
}
