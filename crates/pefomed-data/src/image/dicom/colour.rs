//! Colours: palettes and luminance with colour differences (PS3.3, C.7.6.3.1.2 and C.7.9).

use super::Trouble;
use super::layout::Layout;
use crate::dicom::{DataSet, PALETTE_DATA, PALETTE_DESCRIPTORS, PALETTE_SEGMENTS};

/// Colours as they are, scaled to 8 bits by their full range.
pub(super) fn rgb(samples: &[f32], layout: &Layout) -> Vec<u8> {
    let full = layout.full();
    samples.iter().map(|sample| scaled(f64::from(*sample), full)).collect()
}

fn scaled(value: f64, full: f64) -> u8 {
    if full == 255.0 { value as u8 } else { (value * 255.0 / full + 0.5) as u8 }
}

/// Luminance and colour differences to RGB: ITU-R BT.601 over the full range.
pub(super) fn ybr(samples: &[f32], layout: &Layout) -> Vec<u8> {
    let full = layout.full();
    let middle = 2_f64.powi(layout.bits_stored as i32 - 1);
    let mut out = Vec::with_capacity(samples.len());
    for pixel in samples.chunks_exact(3) {
        let (y, cb, cr) =
            (f64::from(pixel[0]), f64::from(pixel[1]) - middle, f64::from(pixel[2]) - middle);
        let red = y + 1.402 * cr;
        let green = y - (0.114 * 1.772 / 0.587) * cb - (0.299 * 1.402 / 0.587) * cr;
        let blue = y + 1.772 * cb;
        out.extend([red, green, blue].map(|colour| {
            let whole = (colour + 0.5).floor().clamp(0.0, full);
            scaled(whole, full)
        }));
    }
    out
}

/// Numbers of a palette to its colours; numbers outside of it take its first or last colour.
pub(super) fn palette(
    data: &DataSet<'_>,
    layout: &Layout,
    samples: &[f32],
) -> Result<Vec<u8>, Trouble> {
    if data.get(PALETTE_DATA[0]).is_none() && data.get(PALETTE_SEGMENTS[0]).is_some() {
        return Err(Trouble::Unsupported("a palette in segments".to_owned()));
    }
    let mut tables = Vec::with_capacity(3);
    let mut first = 0_i64;
    for (descriptor, table) in PALETTE_DESCRIPTORS.into_iter().zip(PALETTE_DATA) {
        let words = data.words(descriptor).filter(|words| words.len() >= 3);
        let Some(&[entries, start, bits]) = words.as_deref().map(|words| &words[..3]) else {
            return Err(Trouble::broken("its palette has no descriptor"));
        };
        let entries = if entries == 0 { 1 << 16 } else { usize::from(entries) };
        first = if layout.signed { i64::from(start as i16) } else { i64::from(start) };
        let bytes = data.bytes(table).unwrap_or_default();
        let colours: Vec<u8> = match bits {
            // Of an odd number of bytes, the last is padding.
            8 if bytes.len() == entries.next_multiple_of(2) => bytes[..entries].to_vec(),
            8 => {
                let words = data.words(table).unwrap_or_default();
                words.iter().take(entries).map(|word| *word as u8).collect()
            }
            16 => {
                let words = data.words(table).unwrap_or_default();
                let narrow = |word: &u16| scaled(f64::from(*word), 65535.0);
                words.iter().take(entries).map(narrow).collect()
            }
            _ => return Err(Trouble::Unsupported(format!("a palette of {bits} bits"))),
        };
        if colours.len() != entries {
            return Err(Trouble::broken("its palette has fewer colours than it says"));
        }
        tables.push(colours);
    }
    let mut out = Vec::with_capacity(samples.len() * 3);
    for sample in samples {
        let place = (*sample as i64 - first).max(0) as usize;
        for table in &tables {
            out.push(table[place.min(table.len() - 1)]);
        }
    }
    Ok(out)
}
