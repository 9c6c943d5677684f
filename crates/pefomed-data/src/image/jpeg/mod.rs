//! JPEG (ITU-T T.81): sequential and progressive with 8 and 12 bits, and lossless with 2 to 16.
//!
//! The standard leaves the rounding of the inverse transform, of enlarged colour planes and of colours
//! to the decoder. Here they are those of libjpeg-turbo, bit for bit: what Pillow, OpenCV and with them
//! nearly every published model were fed with. Files whose data ends early or contradicts itself are
//! refused rather than filled up with grey, which a model would take for tissue.
//!
//! ```text
//! head ─► scans (huffman, scan | lossless) ─► blocks (idct) ─► planes ─► rows (upsample) ─► colours
//! ```
//!
//! Not read: arithmetic coding, hierarchical frames, a height that follows the picture (DNL), and
//! sampling factors that do not divide each other.

mod bits;
mod colour;
mod frame;
mod head;
mod huffman;
mod idct;
mod lossless;
mod scan;
mod upsample;

use self::frame::Frame;
pub(super) use self::head::{Colours, Head};
use super::Trouble;

/// Entropy-coded segments of one picture at most. Encoders write about ten; without a bound, a small
/// file could make a large picture be walked over for hours.
const MOST_SCANS: usize = 500;

/// A decoded picture: its components at their own resolutions.
pub(super) struct Picture {
    head: Head,
    planes: Vec<upsample::Plane>,
}

impl Picture {
    /// Decodes a stream whose head was read, and whose size found small enough.
    pub(super) fn decode(head: Head, data: &[u8]) -> Result<Self, Trouble> {
        let mut frame = Frame::new(&head)?;
        let mut tables = head::Tables::default();
        let mut at = 2;
        let mut scans = 0;
        loop {
            let segment = head::next_segment(data, at)?;
            at = segment.end;
            match segment.marker {
                head::END => break,
                0xC4 => tables.read_huffman(segment.body, head.is_lossless())?,
                0xDB => tables.read_quantization(segment.body)?,
                0xDD => tables.read_restart(segment.body)?,
                0xDA => {
                    scans += 1;
                    if scans > MOST_SCANS {
                        return Err(Trouble::broken("its JPEG data has more than 500 scans"));
                    }
                    at = frame.read_scan(&tables, segment.body, data, at)?;
                }
                0xDC => {
                    return Err(Trouble::Unsupported("JPEG with a height that follows it".into()));
                }
                0xCC => return Err(Trouble::Unsupported("JPEG with arithmetic coding".into())),
                // A second frame, of a thumbnail or a hierarchy.
                0xC0..=0xCF if segment.start != head.at => {
                    return Err(Trouble::Unsupported("JPEG with several frames".into()));
                }
                _ => {}
            }
        }
        let planes = frame.finish()?;
        Ok(Self { head, planes })
    }

    /// Its samples as they were coded, enlarged to the whole picture: `[rows, columns, components]`.
    pub(super) fn samples(&self) -> Vec<u16> {
        let mut all = Vec::with_capacity(self.head.pixels() * self.planes.len());
        self.each_row(|rows| {
            for x in 0..usize::from(self.head.columns) {
                all.extend(rows.iter().map(|row| row[x]));
            }
        });
        all
    }

    /// As 8-bit grey, `[rows, columns]`, or RGB, `[rows, columns, 3]`. Its samples must have 8 bits.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let colours = self.head.colours();
        let channels = if colours == Colours::Grey { 1 } else { 3 };
        let mut all = Vec::with_capacity(self.head.pixels() * channels);
        self.each_row(|rows| colour::append(colours, rows, &mut all));
        all
    }

    fn each_row(&self, mut take: impl FnMut(&[Vec<u16>])) {
        let mut rows = vec![vec![0; usize::from(self.head.columns)]; self.planes.len()];
        for y in 0..usize::from(self.head.rows) {
            for (plane, row) in self.planes.iter().zip(&mut rows) {
                plane.enlarge_row(y, row);
            }
            take(&rows);
        }
    }
}

fn cut_short() -> Trouble {
    Trouble::broken("its JPEG data ends before the end of the image: the file is cut short")
}
