//! The block-quantized types of ggml, one block at a time.
//!
//! A value is `scale · q` or `scale · q + minimum` for a small integer q. The order in which the
//! integers lie in a block is what makes each type: nibbles hold values that are 16 or 32 apart,
//! not neighbours, and bits beyond the fourth are kept in a plane of their own. Arithmetic is plain
//! `f32` in the order of the reference implementation, so that results agree to the last bit.

use half::f16;

/// Decodes whole blocks; a rest shorter than a block is left out.
pub(super) fn each_block<const BYTES: usize, const VALUES: usize>(
    bytes: &[u8],
    decode: impl Fn(&[u8; BYTES], &mut [f32; VALUES]),
    out: &mut [f32],
) {
    for (block, out) in bytes.as_chunks::<BYTES>().0.iter().zip(out.as_chunks_mut::<VALUES>().0) {
        decode(block, out);
    }
}

/// Scale, then 16 bytes whose low nibbles are the first half of the values.
pub(super) fn q4_0(block: &[u8; 18], out: &mut [f32; 32]) {
    let scale = half_at(block, 0);
    for (j, &byte) in block[2..].iter().enumerate() {
        out[j] = scale * (f32::from(byte & 15) - 8.0);
        out[j + 16] = scale * (f32::from(byte >> 4) - 8.0);
    }
}

/// As [`q4_0`], with a minimum after the scale instead of the fixed −8.
pub(super) fn q4_1(block: &[u8; 20], out: &mut [f32; 32]) {
    let (scale, minimum) = (half_at(block, 0), half_at(block, 2));
    for (j, &byte) in block[4..].iter().enumerate() {
        out[j] = scale * f32::from(byte & 15) + minimum;
        out[j + 16] = scale * f32::from(byte >> 4) + minimum;
    }
}

/// Scale, the fifth bits of all values as one 32-bit number, then nibbles.
pub(super) fn q5_0(block: &[u8; 22], out: &mut [f32; 32]) {
    let scale = half_at(block, 0);
    let fifths = u32::from_le_bytes([block[2], block[3], block[4], block[5]]);
    for (j, &byte) in block[6..].iter().enumerate() {
        let (low, high) = five_bits(byte, fifths, j);
        out[j] = scale * (low - 16.0);
        out[j + 16] = scale * (high - 16.0);
    }
}

/// As [`q5_0`], with a minimum after the scale instead of the fixed −16.
pub(super) fn q5_1(block: &[u8; 24], out: &mut [f32; 32]) {
    let (scale, minimum) = (half_at(block, 0), half_at(block, 2));
    let fifths = u32::from_le_bytes([block[4], block[5], block[6], block[7]]);
    for (j, &byte) in block[8..].iter().enumerate() {
        let (low, high) = five_bits(byte, fifths, j);
        out[j] = scale * low + minimum;
        out[j + 16] = scale * high + minimum;
    }
}

/// Scale, then 32 signed bytes.
pub(super) fn q8_0(block: &[u8; 34], out: &mut [f32; 32]) {
    let scale = half_at(block, 0);
    for (value, &byte) in out.iter_mut().zip(&block[2..]) {
        *value = scale * f32::from(byte.cast_signed());
    }
}

/// Scale of the scales, scale of the minimums, 12 bytes with 8 of each, then 128 bytes: each 32
/// bytes hold one group of 32 in their low nibbles and the next in their high ones.
pub(super) fn q4_k(block: &[u8; 144], out: &mut [f32; 256]) {
    let groups = group_scales(block);
    let nibbles = &block[16..];
    for (group, values) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (scale, minimum) = groups[group];
        let bytes = &nibbles[group / 2 * 32..][..32];
        for (value, byte) in values.iter_mut().zip(bytes) {
            let q = byte >> (group % 2 * 4) & 15;
            *value = scale * f32::from(q) - minimum;
        }
    }
}

/// As [`q4_k`], with 32 bytes before the nibbles that hold the fifth bit of group g in bit g.
pub(super) fn q5_k(block: &[u8; 176], out: &mut [f32; 256]) {
    let groups = group_scales(block);
    let (fifths, nibbles) = block[16..].split_at(32);
    for (group, values) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (scale, minimum) = groups[group];
        let bytes = &nibbles[group / 2 * 32..][..32];
        for ((value, byte), fifth) in values.iter_mut().zip(bytes).zip(fifths) {
            let q = (byte >> (group % 2 * 4) & 15) | (fifth >> group & 1) << 4;
            *value = scale * f32::from(q) - minimum;
        }
    }
}

/// 128 bytes of low nibbles, 64 bytes of upper bit pairs, 16 signed scales, scale of the scales.
/// Each half of the block holds four rows of 32 values: rows 0 and 1 in the low nibbles of 64
/// bytes, rows 2 and 3 in the high ones, the bit pair of row r at bit 2r of 32 bytes. A scale is
/// shared by 16 values.
pub(super) fn q6_k(block: &[u8; 210], out: &mut [f32; 256]) {
    let scale = half_at(block, 208);
    let (low, upper, scales) = (&block[..128], &block[128..192], &block[192..208]);
    for (i, value) in out.iter_mut().enumerate() {
        let (half, row, column) = (i / 128, i / 32 % 4, i % 32);
        let nibble = low[half * 64 + row % 2 * 32 + column] >> (row / 2 * 4) & 15;
        let pair = upper[half * 32 + column] >> (row * 2) & 3;
        let q = f32::from(nibble | pair << 4) - 32.0;
        *value = scale * f32::from(scales[i / 16].cast_signed()) * q;
    }
}

/// Scale and minimum of the 8 groups of [`q4_k`] and [`q5_k`]. Their 6-bit numbers are packed into
/// 12 bytes: the first four of each as the low bits of bytes 0–3 and 4–7, the last four as nibbles
/// of bytes 8–11 with their upper two bits on top of the earlier bytes.
fn group_scales(block: &[u8]) -> [(f32, f32); 8] {
    let (scale, minimum) = (half_at(block, 0), half_at(block, 2));
    let packed = &block[4..16];
    std::array::from_fn(|group| {
        let (s, m) = if group < 4 {
            (packed[group] & 63, packed[group + 4] & 63)
        } else {
            let nibbles = packed[group + 4];
            (
                (nibbles & 15) | (packed[group - 4] >> 6) << 4,
                (nibbles >> 4) | (packed[group] >> 6) << 4,
            )
        };
        (scale * f32::from(s), minimum * f32::from(m))
    })
}

/// The values j and j + 16 of a block with a plane of fifth bits.
fn five_bits(byte: u8, fifths: u32, j: usize) -> (f32, f32) {
    let fifth = |position: usize| ((fifths >> position & 1) << 4) as u8;
    (f32::from(byte & 15 | fifth(j)), f32::from(byte >> 4 | fifth(j + 16)))
}

fn half_at(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}
