//! The samples of one frame, whatever the transfer syntax.
//!
//! The decoders of other crates are asked for a frame only after its own header was compared with
//! the file's, so that no header decides alone how much memory is taken. A panic inside one of them
//! is turned into an error: a damaged file must not end a run of a thousand.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::layout::{Layout, Photometric};
use super::{Trouble, jpeg, jpeg_ls, rle};
use crate::dicom::{Codec, DataSet, EXTENDED_OFFSETS, File, PIXEL_DATA, Value, Vr};

/// Samples of frame `frame`, counted from 0: `[rows, columns, samples]`, row by row from the top; and
/// what they mean, where the coded frame knows better than the file.
pub(super) fn frame_samples(
    file: &File<'_>,
    layout: &Layout,
    frame: u32,
) -> Result<(Vec<f32>, Photometric), Trouble> {
    let Some(element) = file.data.get(PIXEL_DATA) else {
        return Err(Trouble::broken("it has no pixel data: it may be a report or an index"));
    };
    let plain = |samples: Result<Vec<f32>, Trouble>| Ok((samples?, layout.photometric));
    match &element.value {
        Value::Bytes(bytes) => plain(native(bytes, element.vr, &file.data, layout, frame)),
        Value::Fragments { offsets, pieces } => {
            let data = frame_bytes(&file.data, layout, offsets, pieces, frame)?;
            match file.syntax.codec {
                Codec::Rle => plain(rle::samples(&data, layout)),
                Codec::Jpeg => guarded("JPEG", || jpeg::samples(&data, layout)),
                Codec::Jpeg2000 => plain(guarded("JPEG 2000", || jpeg2000(&data, layout))),
                Codec::JpegLs => plain(guarded("JPEG-LS", || jpeg_ls::samples(&data, layout))),
                Codec::Other => {
                    Err(Trouble::Unsupported(format!("the transfer syntax {}", file.syntax.name)))
                }
                Codec::Native => Err(Trouble::broken(
                    "its pixel data is in fragments, and its transfer syntax says it is not coded",
                )),
            }
        }
        Value::Items(_) => Err(Trouble::broken("its pixel data is a sequence")),
    }
}

fn guarded<T>(what: &str, decode: impl FnOnce() -> Result<T, Trouble>) -> Result<T, Trouble> {
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(Trouble::broken(format!("its {what} data breaks the decoder"))))
}

/// A frame that is not coded.
fn native(
    bytes: &[u8],
    vr: Vr,
    data: &DataSet<'_>,
    layout: &Layout,
    frame: u32,
) -> Result<Vec<f32>, Trouble> {
    let cells = if layout.halved { layout.pixels() * 2 } else { layout.pixels() * layout.samples };
    let frame = frame as usize;
    let bits = layout.bits_allocated as usize;
    let enough = cells
        .checked_mul(bits)
        .and_then(|bits| bits.checked_mul(frame + 1))
        .is_some_and(|bits| bits.div_ceil(8) <= bytes.len());
    if !enough {
        return Err(Trouble::broken(format!(
            "its pixel data has {} bytes, too few for frame {}: the file is cut short",
            bytes.len(),
            frame + 1
        )));
    }
    // Words of a big-endian file hold two 8-bit samples the other way round (PS3.5, 8.1).
    let swapped: Vec<u8>;
    let bytes = if data.big_endian && vr == Vr::OW && bits <= 8 {
        swapped = bytes.chunks(2).flat_map(|pair| pair.iter().rev().copied()).collect();
        &swapped
    } else {
        bytes
    };
    let cell = |index: usize| -> u32 {
        match bits {
            1 => {
                let bit = frame * cells + index;
                u32::from(bytes[bit / 8] >> (bit % 8)) & 1
            }
            8 => u32::from(bytes[frame * cells + index]),
            _ => {
                let width = bits / 8;
                let at = (frame * cells + index) * width;
                let bytes = &bytes[at..at + width];
                let join = |value: u32, byte: &u8| value << 8 | u32::from(*byte);
                if data.big_endian {
                    bytes.iter().fold(0, join)
                } else {
                    bytes.iter().rev().fold(0, join)
                }
            }
        }
    };
    if layout.halved {
        // Two pixels are Y1 Y2 Cb Cr (PS3.3, C.7.6.3.1.2).
        if layout.columns % 2 == 1 {
            return Err(Trouble::broken("YBR_FULL_422 needs an even number of columns"));
        }
        let pair = |pair: usize| {
            let [y1, y2, cb, cr] = [0, 1, 2, 3].map(|index| layout.number(cell(4 * pair + index)));
            [y1, cb, cr, y2, cb, cr]
        };
        return Ok((0..layout.pixels() / 2).flat_map(pair).collect());
    }
    let pixels = layout.pixels();
    let place = |index: usize| {
        if layout.planar {
            (index % layout.samples) * pixels + index / layout.samples
        } else {
            index
        }
    };
    Ok((0..cells).map(|index| layout.number(cell(place(index)))).collect())
}

/// The coded bytes of a frame, put together from its fragments (PS3.5, A.4).
fn frame_bytes<'a>(
    data: &DataSet<'_>,
    layout: &Layout,
    offsets: &[u8],
    pieces: &[&'a [u8]],
    frame: u32,
) -> Result<Cow<'a, [u8]>, Trouble> {
    let frame = frame as usize;
    let frames = layout.frames as usize;
    let (start, end) = if frames == 1 {
        (0, pieces.len())
    } else if frames == pieces.len() {
        (frame, frame + 1)
    } else {
        // Each piece with the offset that tables name it by, counted from the first item.
        let mut end = 0;
        let starts: Vec<u64> = pieces
            .iter()
            .map(|piece| {
                let start = end;
                end += piece.len() as u64 + 8;
                start
            })
            .collect();
        let table: Vec<u64> = match data.bytes(EXTENDED_OFFSETS) {
            Some(bytes) => {
                let (eights, _) = bytes.as_chunks::<8>();
                eights.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect()
            }
            None if !offsets.is_empty() => {
                let (fours, _) = offsets.as_chunks::<4>();
                fours.iter().map(|bytes| u64::from(u32::from_le_bytes(*bytes))).collect()
            }
            // Without a table, a frame begins where a stream does: JPEG's start of image,
            // JPEG 2000's start of codestream.
            None => {
                let begins = |piece: &[u8]| {
                    piece.starts_with(&[0xFF, 0xD8, 0xFF]) || piece.starts_with(&[0xFF, 0x4F, 0xFF])
                };
                let places = pieces.iter().zip(&starts);
                places.filter(|(piece, _)| begins(piece)).map(|(_, start)| *start).collect()
            }
        };
        let piece = |frame: usize| {
            table.get(frame).and_then(|offset| starts.iter().position(|start| start == offset))
        };
        let start = piece(frame);
        let end = if frame + 1 == frames { Some(pieces.len()) } else { piece(frame + 1) };
        match (start, end) {
            (Some(start), Some(end)) if start < end => (start, end),
            _ => {
                return Err(Trouble::broken(format!(
                    "frame {} of {frames} is not to be found in its {} fragments",
                    frame + 1,
                    pieces.len()
                )));
            }
        }
    };
    match &pieces[start..end] {
        [] => Err(Trouble::broken("its pixel data has no fragment")),
        [piece] => Ok(Cow::Borrowed(piece)),
        pieces => Ok(Cow::Owned(pieces.concat())),
    }
}

/// That a coded frame is what the file says of it.
pub(super) fn check_size(
    layout: &Layout,
    columns: u32,
    rows: u32,
    samples: usize,
) -> Result<(), Trouble> {
    if (columns, rows, samples) == (layout.columns, layout.rows, layout.samples) {
        return Ok(());
    }
    Err(Trouble::broken(format!(
        "its frame is {columns}×{rows} with {samples} samples a pixel, and the file says {}×{} \
         with {}",
        layout.columns, layout.rows, layout.samples
    )))
}

fn jpeg2000(data: &[u8], layout: &Layout) -> Result<Vec<f32>, Trouble> {
    use hayro_jpeg2000::{DecodeSettings, DecoderContext, Image};
    // Some writers put a whole JP2 file into the fragment; what its boxes say of colours is not asked.
    let start = codestream(data).ok_or_else(|| Trouble::broken("it holds no JPEG 2000 stream"))?;
    let data = &data[start..];
    let settings =
        DecodeSettings { resolve_palette_indices: false, strict: true, target_resolution: None };
    let image = Image::new(data, &settings).map_err(|error| Trouble::broken(error.to_string()))?;
    let planes = usize::from(image.color_space().num_channels()) + usize::from(image.has_alpha());
    check_size(layout, image.width(), image.height(), planes)?;
    let signed = codestream_is_signed(data);
    let mut context = DecoderContext::default();
    let decoded = image.decode(&mut context).map_err(|error| Trouble::broken(error.to_string()))?;
    let planes = decoded.components();
    if planes.len() != layout.samples
        || planes.iter().any(|plane| plane.samples().len() != layout.pixels())
    {
        return Err(Trouble::broken("its JPEG 2000 planes have another size than the file says"));
    }
    let mut cells = Vec::with_capacity(layout.pixels() * layout.samples);
    for pixel in 0..layout.pixels() {
        for plane in planes {
            // The decoder moves signed samples up by half of their range, like unsigned ones.
            let shift = if signed { 1_i64 << (plane.bit_depth() - 1) } else { 0 };
            let sample = plane.samples()[pixel].round() as i64 - shift;
            cells.push(layout.low_bits(sample as u32));
        }
    }
    complete(cells, layout)
}

/// Where a JPEG 2000 codestream begins: its first two markers.
fn codestream(data: &[u8]) -> Option<usize> {
    data.windows(4).position(|four| four == [0xFF, 0x4F, 0xFF, 0x51])
}

/// Whether the first component of a JPEG 2000 codestream is signed: the top bit of its `Ssiz`
/// (T.800, A.5.1), 42 bytes behind its beginning.
fn codestream_is_signed(data: &[u8]) -> bool {
    data.get(42).is_some_and(|ssiz| ssiz & 0x80 != 0)
}

pub(super) fn complete(cells: Vec<f32>, layout: &Layout) -> Result<Vec<f32>, Trouble> {
    if cells.len() == layout.pixels() * layout.samples {
        return Ok(cells);
    }
    Err(Trouble::broken(format!("its frame has {} samples, not as many as it says", cells.len())))
}
