//! The header of NIfTI-1 (348 bytes, either byte order) and the numbers behind it.

use super::LIMIT;
use crate::image::Trouble;

/// Bytes of the header.
pub(super) const LENGTH: usize = 348;

/// How a number is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
    Rgb,
}

impl Kind {
    fn of_code(code: i16) -> Option<Self> {
        Some(match code {
            2 => Self::U8,
            4 => Self::I16,
            8 => Self::I32,
            16 => Self::F32,
            64 => Self::F64,
            128 => Self::Rgb,
            256 => Self::I8,
            512 => Self::U16,
            768 => Self::U32,
            1024 => Self::I64,
            1280 => Self::U64,
            _ => return None,
        })
    }

    pub(super) fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::Rgb => 3,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    pub(super) fn is_colour(self) -> bool {
        self == Self::Rgb
    }
}

/// What is needed of a header.
#[derive(Clone, Debug)]
pub(super) struct Header {
    /// Columns, rows and slices as stored.
    sizes: [u32; 3],
    /// Number of volumes.
    pub(super) volumes: u32,
    pub(super) kind: Kind,
    /// Where the numbers begin.
    offset: u64,
    slope: f64,
    intercept: f64,
    /// `cal_min` and `cal_max`, when they are a window.
    pub(super) calibration: Option<(f64, f64)>,
    big_endian: bool,
    /// For each canonical axis (right, anterior, superior): the stored axis, and whether it runs the
    /// other way.
    axes: [(usize, bool); 3],
}

/// Fields of the header by their offset.
#[derive(Clone, Copy)]
struct Fields<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl Fields<'_> {
    fn take<const N: usize>(self, at: usize) -> [u8; N] {
        let mut field = [0; N];
        // The header's length was checked.
        field.copy_from_slice(&self.bytes[at..at + N]);
        if self.big_endian {
            field.reverse();
        }
        field
    }

    fn i16(self, at: usize) -> i16 {
        i16::from_le_bytes(self.take(at))
    }

    fn f32(self, at: usize) -> f64 {
        f64::from(f32::from_le_bytes(self.take(at)))
    }
}

impl Header {
    pub(super) fn is_nifti(bytes: &[u8]) -> bool {
        matches!(bytes.get(344..348), Some(b"n+1\0" | b"ni1\0"))
            || (bytes.len() >= 8
                && (bytes.starts_with(&[0x1C, 2, 0, 0]) || bytes.starts_with(&[0, 0, 2, 0x1C]))
                && bytes[4..7] == *b"n+2")
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Self, Trouble> {
        let cut = || Trouble::broken("it is shorter than its header");
        if bytes.get(4..7) == Some(b"n+2") {
            return Err(Trouble::Unsupported("NIfTI-2".to_owned()));
        }
        let fields = bytes.get(..LENGTH).ok_or_else(cut)?;
        let big_endian = match fields[..4] {
            [0x5C, 1, 0, 0] => false,
            [0, 0, 1, 0x5C] => true,
            _ => return Err(Trouble::broken("its header does not say that it has 348 bytes")),
        };
        if fields[344..347] == *b"ni1" {
            return Err(Trouble::Unsupported("a header with its numbers in another file".into()));
        }
        let fields = Fields { bytes: fields, big_endian };
        let rank = fields.i16(40);
        let mut dims = [1_u32; 7];
        if !(1..=7).contains(&rank) {
            return Err(Trouble::broken(format!("it says it has {rank} dimensions")));
        }
        for (index, dim) in dims.iter_mut().enumerate().take(rank as usize) {
            let size = fields.i16(42 + 2 * index);
            *dim = u32::try_from(size)
                .ok()
                .filter(|size| *size > 0)
                .ok_or_else(|| Trouble::broken(format!("its dimension {} is {size}", index + 1)))?;
        }
        let volumes = dims[3..].iter().try_fold(1_u32, |all, dim| all.checked_mul(*dim));
        let code = fields.i16(70);
        let kind = Kind::of_code(code)
            .ok_or_else(|| Trouble::Unsupported(format!("the data type {code}")))?;
        let offset = fields.f32(108);
        if !(offset >= LENGTH as f64 && offset <= LIMIT as f64) {
            return Err(Trouble::broken(format!("its numbers begin at byte {offset}")));
        }
        let finite = |value: f64, other: f64| if value.is_finite() { value } else { other };
        let slope = finite(fields.f32(112), 0.0);
        let (slope, intercept) =
            if slope == 0.0 { (1.0, 0.0) } else { (slope, finite(fields.f32(116), 0.0)) };
        let (high, low) = (fields.f32(124), fields.f32(128));
        let calibration =
            (low.is_finite() && high.is_finite() && low < high).then_some((low, high));
        let header = Self {
            sizes: [dims[0], dims[1], dims[2]],
            volumes: volumes.ok_or_else(|| Trouble::broken("it says it has too many volumes"))?,
            kind,
            offset: offset as u64,
            slope,
            intercept,
            calibration,
            big_endian,
            axes: canonical(affine(fields)),
        };
        header.end()?;
        Ok(header)
    }

    /// Bytes of one volume.
    fn volume_bytes(&self) -> Option<u64> {
        let sizes = self.sizes.iter().map(|size| u64::from(*size));
        sizes.chain([self.kind.bytes() as u64]).try_fold(1_u64, u64::checked_mul)
    }

    /// Where the last volume ends.
    pub(super) fn end(&self) -> Result<u64, Trouble> {
        self.volume_bytes()
            .and_then(|bytes| bytes.checked_mul(u64::from(self.volumes)))
            .and_then(|bytes| bytes.checked_add(self.offset))
            .filter(|end| *end <= LIMIT)
            .ok_or_else(|| {
                Trouble::Unsupported(format!("a volume of more than {} MiB", LIMIT >> 20))
            })
    }

    /// Sizes from left to right, back to front and feet to head.
    pub(super) fn canonical_sizes(&self) -> [u32; 3] {
        self.axes.map(|(axis, _)| self.sizes[axis])
    }

    /// Where the voxel at a canonical place is stored, counted in voxels.
    pub(super) fn place(&self, canonical: [u32; 3]) -> usize {
        let mut stored = [0; 3];
        for ((axis, is_reversed), at) in self.axes.into_iter().zip(canonical) {
            stored[axis] = if is_reversed { self.sizes[axis] - 1 - at } else { at };
        }
        let [columns, rows, _] = self.sizes.map(|size| size as usize);
        let [column, row, slice] = stored.map(|at| at as usize);
        (slice * rows + row) * columns + column
    }

    /// The numbers of a volume, counted from 0.
    pub(super) fn volume<'a>(
        &'a self,
        bytes: &'a [u8],
        volume: u32,
    ) -> Result<Volume<'a>, Trouble> {
        let end = self.end()?;
        if (bytes.len() as u64) < end {
            return Err(Trouble::broken(format!(
                "it has {} bytes, and its header asks for {end}: the file is cut short",
                bytes.len()
            )));
        }
        // All of this lies before the end, which was worked out without an overflow.
        let size = self.volume_bytes().unwrap_or(0);
        let start = self.offset + size * u64::from(volume);
        Ok(Volume { header: self, bytes: &bytes[start as usize..(start + size) as usize] })
    }
}

/// One volume's bytes.
pub(super) struct Volume<'a> {
    header: &'a Header,
    bytes: &'a [u8],
}

impl Volume<'_> {
    /// The value at a stored place.
    pub(super) fn value(&self, place: usize) -> f64 {
        self.header.slope * self.number(place) + self.header.intercept
    }

    pub(super) fn colour(&self, place: usize) -> [u8; 3] {
        [0, 1, 2].map(|channel| self.bytes[3 * place + channel])
    }

    /// Lowest and highest value; none when no value is finite.
    pub(super) fn range(&self) -> Option<(f64, f64)> {
        let count = self.bytes.len() / self.header.kind.bytes();
        let values = (0..count).map(|place| self.value(place)).filter(|value| value.is_finite());
        values.fold(None, |range, value| {
            let (low, high) = range.unwrap_or((value, value));
            Some((low.min(value), high.max(value)))
        })
    }

    fn number(&self, place: usize) -> f64 {
        match self.header.kind {
            Kind::U8 | Kind::Rgb => f64::from(self.bytes[place]),
            Kind::I8 => f64::from(self.bytes[place] as i8),
            Kind::U16 => f64::from(u16::from_le_bytes(self.field(place))),
            Kind::I16 => f64::from(i16::from_le_bytes(self.field(place))),
            Kind::U32 => f64::from(u32::from_le_bytes(self.field(place))),
            Kind::I32 => f64::from(i32::from_le_bytes(self.field(place))),
            Kind::U64 => u64::from_le_bytes(self.field(place)) as f64,
            Kind::I64 => i64::from_le_bytes(self.field(place)) as f64,
            Kind::F32 => f64::from(f32::from_le_bytes(self.field(place))),
            Kind::F64 => f64::from_le_bytes(self.field(place)),
        }
    }

    fn field<const N: usize>(&self, place: usize) -> [u8; N] {
        let mut field = [0; N];
        field.copy_from_slice(&self.bytes[N * place..N * (place + 1)]);
        if self.header.big_endian {
            field.reverse();
        }
        field
    }
}

/// The columns of the map from voxels to millimetres: where each stored axis points.
fn affine(fields: Fields<'_>) -> [[f64; 3]; 3] {
    let sizes = [fields.f32(80), fields.f32(84), fields.f32(88)];
    if fields.i16(254) > 0 {
        return [0, 1, 2].map(|axis| [0, 1, 2].map(|row| fields.f32(280 + 16 * row + 4 * axis)));
    }
    if fields.i16(252) > 0 {
        // The quaternion's first part follows from the other three.
        let [b, c, d] = [256, 260, 264].map(|at| fields.f32(at));
        let a = (1.0 - (b * b + c * c + d * d)).max(0.0).sqrt();
        let handed = if fields.f32(76) < 0.0 { -1.0 } else { 1.0 };
        let columns = [
            [a * a + b * b - c * c - d * d, 2.0 * (b * c + a * d), 2.0 * (b * d - a * c)],
            [2.0 * (b * c - a * d), a * a + c * c - b * b - d * d, 2.0 * (c * d + a * b)],
            [2.0 * (b * d + a * c), 2.0 * (c * d - a * b), a * a + d * d - b * b - c * c],
        ];
        let signs = [1.0, 1.0, handed];
        return [0, 1, 2].map(|axis| columns[axis].map(|part| part * sizes[axis] * signs[axis]));
    }
    [[-sizes[0], 0.0, 0.0], [0.0, sizes[1], 0.0], [0.0, 0.0, sizes[2]]]
}

/// For each of right, anterior and superior: the stored axis nearest to it, and whether it runs the
/// other way. Of the six ways to pair the axes, the one with the largest sum of cosines.
fn canonical(columns: [[f64; 3]; 3]) -> [(usize, bool); 3] {
    const ORDERS: [[usize; 3]; 6] =
        [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let unit = columns.map(|column| {
        let length = column.iter().map(|part| part * part).sum::<f64>().sqrt();
        column.map(|part| if length > 0.0 && length.is_finite() { part / length } else { 0.0 })
    });
    let fit = |order: &[usize; 3]| {
        let cosines = order.iter().enumerate().map(|(world, stored)| unit[*stored][world].abs());
        cosines.sum::<f64>()
    };
    // The first wins a tie, so that an empty map leaves the axes as they are.
    let best = ORDERS
        .iter()
        .fold(&ORDERS[0], |best, order| if fit(order) > fit(best) + 1e-12 { order } else { best });
    [0, 1, 2].map(|world| (best[world], unit[best[world]][world] < 0.0))
}
