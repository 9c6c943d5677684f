//! How the pixels of a file lie: size, samples, bits (PS3.3, C.7.6.3).

use super::Trouble;
use crate::dicom::{
    BITS_ALLOCATED, BITS_STORED, COLUMNS, DataSet, FRAMES, HIGH_BIT, PHOTOMETRIC,
    PIXEL_REPRESENTATION, PLANAR, ROWS, SAMPLES_PER_PIXEL,
};

/// What samples mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Photometric {
    Monochrome { inverted: bool },
    Palette,
    Rgb,
    Ybr,
}

/// The checked image pixel attributes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Layout {
    pub(super) rows: u32,
    pub(super) columns: u32,
    pub(super) frames: u32,
    /// Samples of a pixel: 1 or 3.
    pub(super) samples: usize,
    pub(super) photometric: Photometric,
    /// Whether each colour has a plane of its own.
    pub(super) planar: bool,
    /// Whether an uncompressed frame has two colour differences for two pixels.
    pub(super) halved: bool,
    /// 1, 8, 16 or 32.
    pub(super) bits_allocated: u32,
    pub(super) bits_stored: u32,
    pub(super) high_bit: u32,
    pub(super) signed: bool,
}

impl Layout {
    pub(super) fn of(data: &DataSet<'_>) -> Result<Self, Trouble> {
        let required = |tag, what: &str| {
            data.word(tag).ok_or_else(|| Trouble::broken(format!("it has no {what} {tag}")))
        };
        let rows = u32::from(required(ROWS, "Rows")?);
        let columns = u32::from(required(COLUMNS, "Columns")?);
        if rows == 0 || columns == 0 {
            return Err(Trouble::broken(format!("it has {columns}×{rows} pixels")));
        }
        Trouble::check_pixels(columns, rows)?;
        let frames = match data.decimal(FRAMES) {
            Ok(None) => 1.0,
            Ok(Some(frames)) if frames.fract() == 0.0 && (0.0..1e9).contains(&frames) => {
                frames.max(1.0)
            }
            _ => return Err(Trouble::broken("its Number of Frames is no whole number")),
        };
        let samples = usize::from(data.word(SAMPLES_PER_PIXEL).unwrap_or(1));
        let name = data.text(PHOTOMETRIC).unwrap_or_default();
        let photometric = match name {
            "MONOCHROME1" => Photometric::Monochrome { inverted: true },
            "MONOCHROME2" => Photometric::Monochrome { inverted: false },
            "PALETTE COLOR" => Photometric::Palette,
            // The decoder of JPEG 2000 turns its own two transformations back.
            "RGB" | "YBR_RCT" | "YBR_ICT" => Photometric::Rgb,
            "YBR_FULL" | "YBR_FULL_422" => Photometric::Ybr,
            "" => return Err(Trouble::broken("it has no Photometric Interpretation")),
            "CMYK" | "ARGB" | "HSV" | "YBR_PARTIAL_420" | "YBR_PARTIAL_422" | "XYB" => {
                return Err(Trouble::Unsupported(format!("the colour model {name}")));
            }
            _ => return Err(Trouble::broken("its colour model is not one of the standard")),
        };
        let expected = match photometric {
            Photometric::Monochrome { .. } | Photometric::Palette => 1,
            Photometric::Rgb | Photometric::Ybr => 3,
        };
        if samples != expected {
            return Err(Trouble::broken(format!(
                "{name} has {expected} samples a pixel, and it says {samples}"
            )));
        }
        let bits_allocated = u32::from(required(BITS_ALLOCATED, "Bits Allocated")?);
        if !matches!(bits_allocated, 1 | 8 | 16 | 32) {
            return Err(Trouble::Unsupported(format!(
                "{bits_allocated} bits allocated to a sample"
            )));
        }
        let bits_stored = data.word(BITS_STORED).map_or(bits_allocated, u32::from);
        let high_bit = data.word(HIGH_BIT).map_or(bits_stored.wrapping_sub(1), u32::from);
        if bits_stored == 0
            || bits_stored > bits_allocated
            || high_bit >= bits_allocated
            || high_bit + 1 < bits_stored
        {
            return Err(Trouble::broken(format!(
                "{bits_stored} bits stored below bit {high_bit} do not fit into {bits_allocated}"
            )));
        }
        Ok(Self {
            rows,
            columns,
            frames: frames as u32,
            samples,
            photometric,
            planar: samples > 1 && data.word(PLANAR) == Some(1),
            halved: name == "YBR_FULL_422",
            bits_allocated,
            bits_stored,
            high_bit,
            signed: data.word(PIXEL_REPRESENTATION) == Some(1),
        })
    }

    pub(super) fn pixels(&self) -> usize {
        self.rows as usize * self.columns as usize
    }

    /// A stored cell as a number: the stored bits alone, with their sign.
    pub(super) fn number(&self, cell: u32) -> f32 {
        self.low_bits(cell >> (self.high_bit + 1 - self.bits_stored))
    }

    /// The number in the lowest stored bits, as codecs deliver it.
    pub(super) fn low_bits(&self, cell: u32) -> f32 {
        let unused = 32 - self.bits_stored;
        if self.signed {
            (((cell << unused) as i32) >> unused) as f32
        } else {
            ((cell << unused) >> unused) as f32
        }
    }

    /// The largest unsigned number that the stored bits hold.
    pub(super) fn full(&self) -> f64 {
        2_f64.powi(self.bits_stored as i32) - 1.0
    }
}
