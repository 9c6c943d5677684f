//! Colours of 8-bit pictures, with libjpeg's sixteen fractional bits.

use super::head::Colours;

/// `factor` times the distance of a colour difference from its middle.
const fn scaled(factor: f64, difference: i32) -> i32 {
    (factor * 65536.0 + 0.5) as i32 * (difference - 128)
}

const HALF: i32 = 1 << 15;

fn byte(value: i32) -> u8 {
    value.clamp(0, 255) as u8
}

/// ITU-R BT.601 over the full range.
fn rgb(y: u16, cb: u16, cr: u16) -> [u8; 3] {
    let (y, cb, cr) = (i32::from(y), i32::from(cb), i32::from(cr));
    [
        byte(y + ((scaled(1.40200, cr) + HALF) >> 16)),
        byte(y + ((HALF - scaled(0.34414, cb) - scaled(0.71414, cr)) >> 16)),
        byte(y + ((scaled(1.77200, cb) + HALF) >> 16)),
    ]
}

/// What is left of white under an ink and black, each 255 where there is none of it, as Pillow mixes them.
fn under_ink(free: u8, white: u8) -> u8 {
    let product = u32::from(255 - free) * u32::from(white) + 128;
    white - ((product + (product >> 8)) >> 8) as u8
}

/// Appends the pixels of a row, whose components are given one by one.
pub(super) fn append(colours: Colours, rows: &[Vec<u16>], out: &mut Vec<u8>) {
    match (colours, rows) {
        (Colours::Rgb, [r, g, b, ..]) => {
            out.extend(
                r.iter().zip(g).zip(b).flat_map(|((r, g), b)| [*r as u8, *g as u8, *b as u8]),
            );
        }
        (Colours::Ybr, [y, cb, cr, ..]) => {
            out.extend(y.iter().zip(cb).zip(cr).flat_map(|((y, cb), cr)| rgb(*y, *cb, *cr)));
        }
        (Colours::Cmyk | Colours::Ycck, [a, b, c, k]) => {
            for (((a, b), c), k) in a.iter().zip(b).zip(c).zip(k) {
                let free = match colours {
                    Colours::Ycck => rgb(*a, *b, *c).map(|colour| 255 - colour),
                    _ => [*a as u8, *b as u8, *c as u8],
                };
                out.extend(free.map(|free| under_ink(free, *k as u8)));
            }
        }
        (_, [grey, ..]) => out.extend(grey.iter().map(|grey| *grey as u8)),
        (_, []) => {}
    }
}
