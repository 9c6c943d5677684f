//! The planes and coefficients of a picture, and which tables a scan fills them with.

use super::Trouble;
use super::bits::Bits;
use super::head::{Component, Head, Tables};
use super::idct;
use super::upsample::Plane;
use super::{lossless, scan};

/// A component as it is filled.
pub(super) struct Layer {
    component: Component,
    /// Blocks in each direction, with those that only fill up a unit of several components.
    pub(super) across: usize,
    pub(super) down: usize,
    /// Blocks in each direction that hold a sample of the picture.
    own_across: usize,
    own_down: usize,
    /// Samples, for a lossless picture without those of padding.
    pub(super) samples: Vec<u16>,
    pub(super) stride: usize,
    /// Coefficients in the order of rows, of progressive pictures.
    pub(super) coefficients: Vec<[i16; 64]>,
    /// The steps that coefficients are counted in: those in force at the component's first scan.
    pub(super) steps: Option<[u16; 64]>,
    /// How far samples coded without losses were shifted down.
    shift: u8,
    is_seen: bool,
}

pub(super) struct Frame {
    pub(super) bits: u8,
    pub(super) columns: usize,
    pub(super) rows: usize,
    is_lossless: bool,
    pub(super) is_progressive: bool,
    h_most: usize,
    v_most: usize,
    pub(super) layers: Vec<Layer>,
}

/// A component of a scan: its number, and those of its tables.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) layer: usize,
    pub(super) dc: usize,
    pub(super) ac: usize,
    /// Blocks of a unit in each direction.
    pub(super) h: usize,
    pub(super) v: usize,
}

/// The head of a scan (T.81, B.2.3).
pub(super) struct Scan {
    pub(super) parts: Vec<Part>,
    /// First and last coefficient, or the predictor.
    pub(super) first: usize,
    pub(super) last: usize,
    /// Bits below the ones that are known from earlier scans, and below the ones it brings.
    pub(super) high: u8,
    pub(super) low: u8,
    /// Units in each direction.
    pub(super) across: usize,
    pub(super) down: usize,
}

impl Frame {
    pub(super) fn new(head: &Head) -> Result<Self, Trouble> {
        let (columns, rows) = (usize::from(head.columns), usize::from(head.rows));
        let most = |of: fn(&Component) -> usize| head.components.iter().map(of).max().unwrap_or(1);
        let (h_most, v_most) = (most(|c| c.h), most(|c| c.v));
        let mut layers = Vec::with_capacity(head.components.len());
        for component in &head.components {
            if !h_most.is_multiple_of(component.h) || !v_most.is_multiple_of(component.v) {
                let what = "JPEG with sampling factors that do not divide each other";
                return Err(Trouble::Unsupported(what.to_owned()));
            }
            let mut layer = Layer {
                component: *component,
                across: columns.div_ceil(8 * h_most) * component.h,
                down: rows.div_ceil(8 * v_most) * component.v,
                own_across: (columns * component.h).div_ceil(8 * h_most),
                own_down: (rows * component.v).div_ceil(8 * v_most),
                samples: Vec::new(),
                stride: 0,
                coefficients: Vec::new(),
                steps: None,
                shift: 0,
                is_seen: false,
            };
            if head.is_lossless() {
                if (h_most, v_most) != (1, 1) && head.components.len() > 1 {
                    let what = "lossless JPEG with components of several sizes";
                    return Err(Trouble::Unsupported(what.to_owned()));
                }
                layer.stride = columns;
                layer.samples = vec![0; columns * rows];
            } else {
                layer.stride = 8 * layer.across;
                layer.samples = vec![0; layer.stride * 8 * layer.down];
                if head.is_progressive() {
                    layer.coefficients = vec![[0; 64]; layer.across * layer.down];
                }
            }
            layers.push(layer);
        }
        Ok(Self {
            bits: head.bits,
            columns,
            rows,
            is_lossless: head.is_lossless(),
            is_progressive: head.is_progressive(),
            h_most,
            v_most,
            layers,
        })
    }

    fn scan(&self, header: &[u8]) -> Option<Scan> {
        let (count, rest) = header.split_first()?;
        let (names, rest) = rest.split_at_checked(2 * usize::from(*count))?;
        let [first, last, bits] = *rest else { return None };
        let is_alone = *count == 1;
        let mut parts = Vec::<Part>::new();
        for name in names.chunks_exact(2) {
            let layer = self.layers.iter().position(|layer| layer.component.id == name[0])?;
            if parts.iter().any(|part| part.layer == layer) {
                return None;
            }
            let component = self.layers[layer].component;
            let (h, v) = if is_alone { (1, 1) } else { (component.h, component.v) };
            let (dc, ac) = (usize::from(name[1] >> 4), usize::from(name[1] & 15));
            if dc > 3 || ac > 3 {
                return None;
            }
            parts.push(Part { layer, dc, ac, h, v });
        }
        let layer = &self.layers[parts.first()?.layer];
        let (across, down) = if is_alone {
            (layer.own_across, layer.own_down)
        } else {
            (layer.across / layer.component.h, layer.down / layer.component.v)
        };
        let (first, last) = (usize::from(first), usize::from(last));
        let (high, low) = (bits >> 4, bits & 15);
        let is_right = if self.is_lossless {
            (1..=7).contains(&first) && u32::from(low) < u32::from(self.bits)
        } else if self.is_progressive {
            let spectrum =
                if first == 0 { last == 0 } else { is_alone && last >= first && last <= 63 };
            spectrum && low <= 13 && (high == 0 || high == low + 1)
        } else {
            true
        };
        is_right.then_some(Scan { parts, first, last, high, low, across, down })
    }

    /// Reads a scan, whose data begins at `at`; returns where it ends.
    pub(super) fn read_scan(
        &mut self,
        tables: &Tables,
        header: &[u8],
        data: &[u8],
        at: usize,
    ) -> Result<usize, Trouble> {
        let broken = || Trouble::broken("the head of a JPEG scan contradicts its frame");
        let scan = self.scan(header).ok_or_else(broken)?;
        for part in &scan.parts {
            let layer = &mut self.layers[part.layer];
            layer.is_seen |= scan.first == 0 || !self.is_progressive;
            if self.is_lossless {
                layer.shift = scan.low;
            } else if layer.steps.is_none() {
                layer.steps = tables.quantization[layer.component.table];
                if layer.steps.is_none() {
                    return Err(Trouble::broken("its JPEG data lacks a quantization table"));
                }
            }
        }
        let mut bits = Bits::new(data, at);
        if self.is_lossless {
            lossless::read(self, &scan, tables, &mut bits)?;
        } else {
            scan::read(self, &scan, tables, &mut bits)?;
        }
        Ok(bits.at())
    }

    /// The planes, once all scans were read.
    pub(super) fn finish(self) -> Result<Vec<Plane>, Trouble> {
        if self.layers.iter().any(|layer| !layer.is_seen) {
            return Err(Trouble::broken("its JPEG data lacks a component of the picture"));
        }
        let (columns, rows) = (self.columns, self.rows);
        let planes = self.layers.into_iter().map(|mut layer| {
            let steps = layer.steps.unwrap_or([1; 64]);
            for (place, block) in layer.coefficients.iter().enumerate() {
                let (x, y) = (place % layer.across, place / layer.across);
                let out = &mut layer.samples[8 * (y * layer.stride + x)..];
                idct::block(block, &steps, self.bits, out, layer.stride);
            }
            if self.is_lossless {
                // Damaged differences lead beyond the bits of a sample.
                let full = u16::MAX >> (16 - self.bits);
                for sample in &mut layer.samples {
                    *sample = (*sample << layer.shift) & full;
                }
            }
            let Component { h, v, .. } = layer.component;
            Plane {
                samples: layer.samples,
                stride: layer.stride,
                width: (columns * h).div_ceil(self.h_most),
                height: (rows * v).div_ceil(self.v_most),
                across: self.h_most / h,
                down: self.v_most / v,
            }
        });
        Ok(planes.collect())
    }
}
