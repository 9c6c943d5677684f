//! JPEG frames: sequential and progressive with 8 bits, and lossless with up to 16 (ITU-T T.81).
//!
//! Two decoders, because neither does both: `zune-jpeg`, which also decodes ordinary JPEG files here,
//! and `jpeg-decoder` for the lossless process. Both are asked for the samples as coded. Whether these
//! are luminance and colour differences is said in three places that often disagree: an Adobe marker
//! or component names in the stream win, then a JFIF marker, then the file's own attribute.

use std::ops::Range;

use jpeg_decoder::{ColorTransform, PixelFormat};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::super::decode::jpeg_is_whole;
use super::Trouble;
use super::codec::{check_size, complete};
use super::layout::{Layout, Photometric};

/// What the head of a stream says.
#[derive(Debug, Default)]
struct Head {
    /// The start-of-frame marker: 0xC0 baseline, 0xC1 extended, 0xC2 progressive, 0xC3 lossless.
    process: u8,
    bits: u8,
    rows: u16,
    columns: u16,
    /// Identifiers of the components.
    components: Vec<u8>,
    has_jfif: bool,
    /// The colour transformation of an Adobe marker.
    adobe: Option<u8>,
    /// Where segments lie that decode nothing: application data and comments.
    notes: Vec<Range<usize>>,
}

impl Head {
    /// Reads the segments up to the frame header; none when there is no frame header.
    fn of(data: &[u8]) -> Option<Self> {
        let mut head = Self::default();
        let mut at = 2;
        loop {
            let (&first, &marker) = (data.get(at)?, data.get(at + 1)?);
            if first != 0xFF {
                return None;
            }
            if marker == 0xFF {
                at += 1;
                continue;
            }
            let length = usize::from(u16::from_be_bytes([*data.get(at + 2)?, *data.get(at + 3)?]));
            let body = data.get(at + 4..at + 2 + length)?;
            if matches!(marker, 0xE0..=0xEF | 0xFE) {
                head.notes.push(at..at + 2 + length);
            }
            match marker {
                0xE0 => head.has_jfif |= body.starts_with(b"JFIF\0"),
                0xEE if body.starts_with(b"Adobe") => head.adobe = body.get(11).copied(),
                0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => {
                    let [bits, r1, r0, c1, c0, count, parts @ ..] = body else { return None };
                    head.process = marker;
                    head.bits = *bits;
                    head.rows = u16::from_be_bytes([*r1, *r0]);
                    head.columns = u16::from_be_bytes([*c1, *c0]);
                    head.components = parts.chunks_exact(3).map(|part| part[0]).collect();
                    return (head.components.len() == usize::from(*count)).then_some(head);
                }
                _ => {}
            }
            at += 2 + length;
        }
    }

    /// What three components are.
    fn photometric(&self, layout: &Layout) -> Photometric {
        if self.components.len() != 3 || self.process == 0xC3 {
            return layout.photometric;
        }
        match self.adobe {
            Some(0) => Photometric::Rgb,
            Some(_) => Photometric::Ybr,
            None if self.components == *b"RGB" => Photometric::Rgb,
            None if self.has_jfif => Photometric::Ybr,
            None => layout.photometric,
        }
    }
}

/// The samples of a frame, `[rows, columns, samples]`, and what they mean.
pub(super) fn samples(data: &[u8], layout: &Layout) -> Result<(Vec<f32>, Photometric), Trouble> {
    let head = Head::of(data).ok_or_else(|| Trouble::broken("its JPEG data has no frame"))?;
    let (columns, rows) = (u32::from(head.columns), u32::from(head.rows));
    check_size(layout, columns, rows, head.components.len())?;
    if !jpeg_is_whole(data) {
        return Err(Trouble::broken("its JPEG data ends before the end of the image"));
    }
    let cells = match (head.process, head.bits) {
        (0xC0..=0xC2, 8) => {
            let bytes = sequential(data, layout, &head)?;
            bytes.into_iter().map(|byte| layout.low_bits(u32::from(byte))).collect()
        }
        (0xC3, 2..=16) => lossless(data, layout)?,
        (0xC0..=0xC2, bits) => {
            return Err(Trouble::Unsupported(format!("JPEG of {bits} bits with losses")));
        }
        _ => return Err(Trouble::Unsupported("this process of JPEG".to_owned())),
    };
    Ok((complete(cells, layout)?, head.photometric(layout)))
}

fn sequential(data: &[u8], layout: &Layout, head: &Head) -> Result<Vec<u8>, Trouble> {
    let failed = |error: zune_jpeg::errors::DecodeErrors| Trouble::broken(error.to_string());
    // Markers about colours were read above; damaged ones, which occur, are no reason to refuse.
    let mut stream = Vec::with_capacity(data.len());
    let mut from = 0;
    for note in &head.notes {
        stream.extend_from_slice(&data[from..note.start]);
        from = note.end;
    }
    stream.extend_from_slice(&data[from..]);
    // The colours that the decoder will find are asked for, so that it converts nothing.
    let found = if layout.samples == 1 {
        ColorSpace::Luma
    } else if head.components == *b"RGB" {
        ColorSpace::RGB
    } else {
        ColorSpace::YCbCr
    };
    let options = DecoderOptions::default()
        .set_max_width(layout.columns as usize)
        .set_max_height(layout.rows as usize)
        .jpeg_set_out_colorspace(found);
    JpegDecoder::new_with_options(ZCursor::new(stream), options).decode().map_err(failed)
}

fn lossless(data: &[u8], layout: &Layout) -> Result<Vec<f32>, Trouble> {
    let failed = |error: jpeg_decoder::Error| Trouble::broken(error.to_string());
    let mut decoder = jpeg_decoder::Decoder::new(data);
    decoder.read_info().map_err(failed)?;
    let info = decoder.info().ok_or_else(|| Trouble::broken("its JPEG data has no frame"))?;
    decoder.set_color_transform(ColorTransform::None);
    decoder.set_max_decoding_buffer_size(layout.pixels() * layout.samples * 2);
    let bytes = decoder.decode().map_err(failed)?;
    Ok(if info.pixel_format == PixelFormat::L16 {
        let (pairs, _) = bytes.as_chunks::<2>();
        pairs.iter().map(|pair| layout.low_bits(u32::from(u16::from_ne_bytes(*pair)))).collect()
    } else {
        bytes.iter().map(|byte| layout.low_bits(u32::from(*byte))).collect()
    })
}
