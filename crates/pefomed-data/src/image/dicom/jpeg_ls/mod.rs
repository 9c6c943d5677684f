//! JPEG-LS frames, lossless and nearly so (ITU-T T.87, the same as ISO/IEC 14495-1).
//!
//! ```text
//! segments: size, parameters ─► scan: lines of samples ◄─ contexts ◄─ bits
//!            mod                      scan                model       bits
//! ```
//!
//! Read are 2 to 16 bits, one component or three, by plane, by line or by pixel, with parameters of the
//! stream's own. Restart intervals, mapping tables, point transforms and the colour transforms of HP's
//! encoder are refused by name: DICOM files have none of them, and there is nothing to test them with.

mod bits;
mod model;
mod scan;

use super::Trouble;
use super::codec::{check_size, complete};
use super::layout::Layout;
use bits::Bits;
use model::{Model, Parameters};

/// The frame header.
#[derive(Debug, PartialEq, Eq)]
struct Frame {
    bits: u32,
    rows: u32,
    columns: u32,
    /// Identifiers of the components.
    components: Vec<u8>,
}

/// The order of the samples in a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// One component alone.
    Plane,
    /// A line of each component in turn.
    Line,
    /// A pixel of all components in turn.
    Pixel,
}

/// What a scan header says.
#[derive(Debug, PartialEq, Eq)]
struct Scan {
    /// Places of its components in the frame header.
    components: Vec<usize>,
    near: i32,
    order: Order,
}

/// The samples of a frame, `[rows, columns, samples]`.
pub(super) fn samples(data: &[u8], layout: &Layout) -> Result<Vec<f32>, Trouble> {
    let cells = decode(data, |frame| {
        check_size(layout, frame.columns, frame.rows, frame.components.len())
    })?;
    complete(cells.into_iter().map(|cell| layout.low_bits(u32::from(cell))).collect(), layout)
}

fn cut_short() -> Trouble {
    Trouble::broken("its JPEG-LS data ends before the end of the image")
}

fn unsupported(what: &str) -> Trouble {
    Trouble::Unsupported(format!("JPEG-LS with {what}"))
}

fn word(body: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*body.get(at)?, *body.get(at + 1)?]))
}

/// Decodes a stream whose frame header `accept` does not refuse.
fn decode(
    data: &[u8],
    accept: impl FnOnce(&Frame) -> Result<(), Trouble>,
) -> Result<Vec<u16>, Trouble> {
    let mut accept = Some(accept);
    let mut frame: Option<Frame> = None;
    let mut parameters = Parameters::default();
    let mut cells = Vec::new();
    let mut done: Vec<usize> = Vec::new();
    if !data.starts_with(&[0xFF, 0xD8]) {
        return Err(Trouble::broken("it holds no JPEG-LS stream"));
    }
    let mut at = 2;
    loop {
        // A marker may be preceded by any number of bytes 0xFF.
        let (Some(0xFF), Some(&marker)) = (data.get(at), data.get(at + 1)) else {
            let ended = data.get(at).is_none() || data.get(at + 1).is_none();
            let lost = || Trouble::broken("its JPEG-LS data has no marker where one should be");
            return Err(if ended { cut_short() } else { lost() });
        };
        if marker == 0xFF {
            at += 1;
            continue;
        }
        if marker == 0xD9 {
            return Err(cut_short());
        }
        let length = word(data, at + 2).map(usize::from).ok_or_else(cut_short)?;
        let body = data.get(at + 4..at + 2 + length).ok_or_else(cut_short)?;
        at += 2 + length;
        match (marker, &frame) {
            (0xF7, None) => {
                let found = frame_header(body)?;
                if let Some(accept) = accept.take() {
                    accept(&found)?;
                }
                // Each line of each scan takes a bit at the least: no memory for a bare header.
                if found.rows as usize > 8 * data.len() {
                    return Err(cut_short());
                }
                let pixels = found.rows as usize * found.columns as usize;
                cells = vec![0; pixels * found.components.len()];
                frame = Some(found);
            }
            (0xF7, Some(_)) => return Err(Trouble::broken("its JPEG-LS data has two frames")),
            (0xF8, _) => parameters.read(body)?,
            (0xDD, _) if body.iter().any(|byte| *byte != 0) => {
                return Err(unsupported("restart intervals"));
            }
            (0xE8, _) if body.starts_with(b"mrfx") && body.get(4) != Some(&0) => {
                return Err(unsupported("a colour transform of HP's encoder"));
            }
            (0xDA, Some(frame)) => {
                let scan = scan_header(body, frame)?;
                if scan.components.iter().any(|component| done.contains(component)) {
                    return Err(Trouble::broken("its JPEG-LS data has a component twice"));
                }
                let model = Model::new(frame.bits, scan.near, &parameters)?;
                let mut bits = Bits::new(&data[at..]);
                scan::decode(&scan, frame, model, &mut bits, &mut cells)?;
                at += bits.end();
                done.extend(scan.components);
                if done.len() == frame.components.len() {
                    return Ok(cells);
                }
            }
            (0xDA, None) => return Err(Trouble::broken("its JPEG-LS data has no frame header")),
            (0xC0..=0xCF, _) => {
                return Err(Trouble::broken("its data is JPEG of another kind, not JPEG-LS"));
            }
            _ => {}
        }
    }
}

fn frame_header(body: &[u8]) -> Result<Frame, Trouble> {
    let broken = || Trouble::broken("its JPEG-LS frame header is not one");
    let (Some(&bits), Some(rows), Some(columns), Some(&count)) =
        (body.first(), word(body, 1), word(body, 3), body.get(5))
    else {
        return Err(broken());
    };
    let parts = &body[6..];
    if parts.len() != 3 * usize::from(count) || count == 0 || !(2..=16).contains(&bits) {
        return Err(broken());
    }
    let (parts, _) = parts.as_chunks::<3>();
    if parts.iter().any(|[_, sampling, _]| *sampling != 0x11) {
        return Err(unsupported("components of different sizes"));
    }
    let components: Vec<u8> = parts.iter().map(|[identifier, ..]| *identifier).collect();
    let (rows, columns) = (u32::from(rows), u32::from(columns));
    Ok(Frame { bits: u32::from(bits), rows, columns, components })
}

fn scan_header(body: &[u8], frame: &Frame) -> Result<Scan, Trouble> {
    let broken = || Trouble::broken("its JPEG-LS scan header is not one");
    let count = usize::from(*body.first().ok_or_else(broken)?);
    let (parts, rest) = body[1..].split_at_checked(2 * count).ok_or_else(broken)?;
    let &[near, order, point] = rest else { return Err(broken()) };
    let mut components = Vec::with_capacity(count);
    for &[identifier, table] in parts.as_chunks::<2>().0 {
        if table != 0 {
            return Err(unsupported("a mapping table"));
        }
        let place = frame.components.iter().position(|known| *known == identifier);
        match place {
            Some(place) if !components.contains(&place) => components.push(place),
            _ => return Err(broken()),
        }
    }
    if point != 0 {
        return Err(unsupported("a point transform"));
    }
    let order = match (order, count) {
        (_, 1) => Order::Plane,
        (1, 2..) => Order::Line,
        (2, 2..) => Order::Pixel,
        _ => return Err(broken()),
    };
    Ok(Scan { components, near: i32::from(near), order })
}
