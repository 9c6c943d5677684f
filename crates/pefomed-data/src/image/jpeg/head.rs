//! Marker segments (T.81, annex B): what a picture is, and the tables its scans are read with.

use std::ops::Range;

use super::huffman::Huffman;
use super::{Trouble, cut_short};

/// The marker that ends a picture.
pub(super) const END: u8 = 0xD9;

/// A marker and what stands behind it.
pub(super) struct Segment<'a> {
    pub(super) marker: u8,
    /// Empty for markers that stand alone.
    pub(super) body: &'a [u8],
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The next segment; bytes in front of it that belong to none, and restart markers, are passed over.
pub(super) fn next_segment(data: &[u8], mut at: usize) -> Result<Segment<'_>, Trouble> {
    loop {
        let (Some(&first), Some(&marker)) = (data.get(at), data.get(at + 1)) else {
            return Err(cut_short());
        };
        match (first, marker) {
            (0xFF, END) => return Ok(Segment { marker, body: &[], start: at, end: at + 2 }),
            (0xFF, 0x00 | 0x01 | 0xD0..=0xD8) => at += 2,
            (0xFF, 0x02..=0xFE) => break,
            _ => at += 1,
        }
    }
    let body = data.get(at + 2..at + 4).and_then(|length| {
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        data.get(at + 4..at + 2 + length)
    });
    let body = body.ok_or_else(cut_short)?;
    Ok(Segment { marker: data[at + 1], body, start: at, end: at + 4 + body.len() })
}

/// A component of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Component {
    pub(super) id: u8,
    /// Sampling factors, 1 to 4.
    pub(super) h: usize,
    pub(super) v: usize,
    /// Number of its quantization table, 0 to 3.
    pub(super) table: usize,
}

/// What the components of a picture mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::image) enum Colours {
    Grey,
    Rgb,
    /// Luminance and colour differences.
    Ybr,
    /// The four inks, written upside down as Adobe does.
    Cmyk,
    /// Three inks as luminance and colour differences, and black.
    Ycck,
}

/// What the segments up to the frame header say.
#[derive(Debug, Default)]
pub(in crate::image) struct Head {
    /// The start-of-frame marker: 0xC0 baseline, 0xC1 extended, 0xC2 progressive, 0xC3 lossless.
    process: u8,
    /// Bits of a sample.
    pub(in crate::image) bits: u8,
    pub(in crate::image) rows: u16,
    pub(in crate::image) columns: u16,
    pub(super) components: Vec<Component>,
    has_jfif: bool,
    /// The colour transformation of an Adobe marker.
    adobe: Option<u8>,
    /// Where the EXIF data lies.
    exif: Option<Range<usize>>,
    /// Where the frame header lies.
    pub(super) at: usize,
}

impl Head {
    /// Reads the segments up to the frame header.
    pub(in crate::image) fn of(data: &[u8]) -> Result<Self, Trouble> {
        let mut head = Self::default();
        let mut at = 2;
        loop {
            let segment = next_segment(data, at)?;
            at = segment.end;
            let body = segment.body;
            match segment.marker {
                0xE0 => head.has_jfif |= body.starts_with(b"JFIF\0"),
                0xE1 if body.starts_with(b"Exif\0\0") && head.exif.is_none() => {
                    head.exif = Some(at - body.len() + 6..at);
                }
                0xEE if body.starts_with(b"Adobe") => head.adobe = body.get(11).copied(),
                process @ 0xC0..=0xCF if !matches!(process, 0xC4 | 0xC8 | 0xCC) => {
                    head.at = segment.start;
                    head.read_frame(process, body)?;
                    return Ok(head);
                }
                0xDA | END => return Err(Trouble::broken("its JPEG data has no frame")),
                _ => {}
            }
        }
    }

    fn read_frame(&mut self, process: u8, body: &[u8]) -> Result<(), Trouble> {
        let broken = || Trouble::broken("the head of its JPEG frame contradicts itself");
        let [bits, r1, r0, c1, c0, count, parts @ ..] = body else { return Err(broken()) };
        let (triples, rest) = parts.as_chunks::<3>();
        if triples.len() != usize::from(*count) || !rest.is_empty() || triples.is_empty() {
            return Err(broken());
        }
        self.process = process;
        self.bits = *bits;
        self.rows = u16::from_be_bytes([*r1, *r0]);
        self.columns = u16::from_be_bytes([*c1, *c0]);
        for [id, sampling, table] in triples {
            let (h, v) = (usize::from(sampling >> 4), usize::from(sampling & 15));
            if !(1..=4).contains(&h) || !(1..=4).contains(&v) || *table > 3 {
                return Err(broken());
            }
            self.components.push(Component { id: *id, h, v, table: usize::from(*table) });
        }
        match (process, bits) {
            (0xC0, 8) | (0xC1 | 0xC2, 8 | 12) | (0xC3, 2..=16) => {}
            (0xC0..=0xC2, bits) => {
                return Err(Trouble::Unsupported(format!("JPEG of {bits} bits with losses")));
            }
            (0xC9..=0xCF, _) => {
                return Err(Trouble::Unsupported("JPEG with arithmetic coding".to_owned()));
            }
            _ => return Err(Trouble::Unsupported("this process of JPEG".to_owned())),
        }
        if self.rows == 0 {
            return Err(Trouble::Unsupported("JPEG with a height that follows it".to_owned()));
        }
        if self.columns == 0 || self.components.len() > 4 {
            return Err(broken());
        }
        Ok(())
    }

    pub(in crate::image) fn is_lossless(&self) -> bool {
        self.process == 0xC3
    }

    pub(super) fn is_progressive(&self) -> bool {
        self.process == 0xC2
    }

    pub(in crate::image) fn pixels(&self) -> usize {
        usize::from(self.rows) * usize::from(self.columns)
    }

    /// How many components it has, 1 to 4.
    pub(in crate::image) fn planes(&self) -> usize {
        self.components.len()
    }

    /// The EXIF data, of the stream that the head was read from.
    pub(in crate::image) fn exif<'a>(&self, data: &'a [u8]) -> Option<&'a [u8]> {
        data.get(self.exif.clone()?)
    }

    /// What three components are, where the stream says so by an Adobe marker, the names of the
    /// components or a JFIF marker.
    pub(in crate::image) fn stated_colours(&self) -> Option<Colours> {
        let ids = self.components.iter().map(|component| component.id);
        match self.adobe {
            Some(0) => Some(Colours::Rgb),
            Some(_) => Some(Colours::Ybr),
            None if ids.eq(*b"RGB") => Some(Colours::Rgb),
            None => self.has_jfif.then_some(Colours::Ybr),
        }
    }

    /// What the components are, as libjpeg guesses where the stream does not say.
    pub(in crate::image) fn colours(&self) -> Colours {
        match (self.components.len(), self.adobe) {
            (4, Some(2)) => Colours::Ycck,
            (4, _) => Colours::Cmyk,
            (3, _) if self.has_jfif => Colours::Ybr,
            // Lossless streams are not transformed unless they say so.
            (3, None) if self.is_lossless() => Colours::Rgb,
            (3, _) => self.stated_colours().unwrap_or(Colours::Ybr),
            _ => Colours::Grey,
        }
    }
}

/// The tables in force.
#[derive(Default)]
pub(super) struct Tables {
    /// In the order of rows.
    pub(super) quantization: [Option<[u16; 64]>; 4],
    pub(super) dc: [Option<Huffman>; 4],
    pub(super) ac: [Option<Huffman>; 4],
    /// Units between two restart markers; 0 for none.
    pub(super) restart: usize,
}

impl Tables {
    pub(super) fn read_huffman(&mut self, mut body: &[u8], lossless: bool) -> Result<(), Trouble> {
        let broken = || Trouble::broken("a Huffman table of its JPEG data is damaged");
        while let [kind, rest @ ..] = body {
            let (counts, rest) = rest.split_first_chunk::<16>().ok_or_else(broken)?;
            let total = counts.iter().map(|count| usize::from(*count)).sum();
            let (values, rest) = rest.split_at_checked(total).ok_or_else(broken)?;
            let table = Huffman::new(counts, values).ok_or_else(broken)?;
            let class = if kind >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            let most = if lossless { 16 } else { 15 };
            if kind >> 4 > 1 || (kind >> 4 == 0 && values.iter().any(|value| *value > most)) {
                return Err(broken());
            }
            *class.get_mut(usize::from(kind & 15)).ok_or_else(broken)? = Some(table);
            body = rest;
        }
        Ok(())
    }

    pub(super) fn read_quantization(&mut self, mut body: &[u8]) -> Result<(), Trouble> {
        let broken = || Trouble::broken("a quantization table of its JPEG data is damaged");
        while let [kind, rest @ ..] = body {
            let wide = match kind >> 4 {
                0 => false,
                1 => true,
                _ => return Err(broken()),
            };
            let (values, rest) =
                rest.split_at_checked(if wide { 128 } else { 64 }).ok_or_else(broken)?;
            let mut table = [0; 64];
            for (index, place) in super::scan::ZIGZAG.into_iter().enumerate() {
                table[place] = if wide {
                    u16::from_be_bytes([values[2 * index], values[2 * index + 1]])
                } else {
                    u16::from(values[index])
                };
            }
            *self.quantization.get_mut(usize::from(kind & 15)).ok_or_else(broken)? = Some(table);
            body = rest;
        }
        Ok(())
    }

    pub(super) fn read_restart(&mut self, body: &[u8]) -> Result<(), Trouble> {
        let [high, low] = body else {
            return Err(Trouble::broken("the restart interval of its JPEG data is damaged"));
        };
        self.restart = usize::from(u16::from_be_bytes([*high, *low]));
        Ok(())
    }
}
