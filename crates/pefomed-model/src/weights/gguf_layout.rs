//! Where everything lies in a GGUF file: magic, version, numbers of tensors and of key-value pairs,
//! the pairs, the tensors (name, dimensions, type, offset), padding to the alignment, data.
//!
//! Files are written by many tools and fetched from many places; every count, length, offset and
//! product is checked against the size of the file before it is used. Dimensions are stored with
//! the innermost first and are turned around here.

use std::collections::BTreeMap;
use std::ops::Range;

use super::gguf_metadata::{Cursor, Scalar, Value};
use super::{GgufFault, StoredType};

/// The first bytes of every file.
pub(super) const MAGIC: &[u8] = b"GGUF";
const ALIGNMENT_KEY: &str = "general.alignment";
const DEFAULT_ALIGNMENT: u64 = 32;
const MOST_DIMENSIONS: u32 = 4;

#[derive(Debug)]
pub(super) struct Place {
    pub(super) stored: StoredType,
    /// Outermost first.
    pub(super) shape: Vec<usize>,
    /// Where the data lies in the file.
    pub(super) bytes: Range<usize>,
}

/// A tensor's description as the file gives it; its offset counts from the start of the data.
struct Description {
    name: String,
    stored: StoredType,
    shape: Vec<usize>,
    offset: u64,
    bytes: usize,
}

pub(super) type Contents = (BTreeMap<String, Value>, BTreeMap<String, Place>);

/// Finds and checks all metadata and tensors.
pub(super) fn parse(bytes: &[u8]) -> Result<Contents, GgufFault> {
    if !bytes.starts_with(MAGIC) {
        return Err(GgufFault::Magic);
    }
    let mut cursor = Cursor::new(bytes, MAGIC.len());
    match cursor.u32("the version")? {
        2 | 3 => {}
        version if (1..=3).contains(&version.swap_bytes()) => return Err(GgufFault::BigEndian),
        version => return Err(GgufFault::Version { version }),
    }
    let tensor_count = cursor.u64("the number of tensors")?;
    // A pair takes at least the length of its key, its kind and one byte of value.
    let pair_count = cursor.count(13, "metadata pairs")?;
    let mut metadata = BTreeMap::new();
    for _ in 0..pair_count {
        let key = cursor.text("a metadata key")?.to_owned();
        let kind = cursor.kind()?;
        let value = Value { kind, at: cursor.at() };
        cursor.skip(kind)?;
        if metadata.contains_key(&key) {
            return Err(GgufFault::DuplicateKey { key });
        }
        metadata.insert(key, value);
    }
    let alignment = alignment(&metadata, bytes)?;
    // A tensor takes at least the length of its name, the number of dimensions, type and offset.
    let tensor_count = cursor.check_count(tensor_count, 24, "tensors")?;
    let descriptions = (0..tensor_count)
        .map(|_| description(&mut cursor))
        .collect::<Result<Vec<Description>, _>>()?;
    let data_start = (cursor.at() as u64)
        .checked_next_multiple_of(alignment)
        .map_or(bytes.len(), |start| usize::try_from(start).unwrap_or(usize::MAX))
        .min(bytes.len());
    let tensors = place_all(descriptions, alignment, data_start, bytes.len())?;
    Ok((metadata, tensors))
}

fn alignment(metadata: &BTreeMap<String, Value>, bytes: &[u8]) -> Result<u64, GgufFault> {
    let Some(value) = metadata.get(ALIGNMENT_KEY) else {
        return Ok(DEFAULT_ALIGNMENT);
    };
    let alignment = match value.scalar(bytes) {
        Some(Scalar::Integer(integer)) => u64::try_from(integer).unwrap_or(0),
        _ => 0,
    };
    if alignment.is_power_of_two() {
        Ok(alignment)
    } else {
        Err(GgufFault::Alignment { alignment })
    }
}

fn description(cursor: &mut Cursor<'_>) -> Result<Description, GgufFault> {
    const READING: &str = "the description of a tensor";
    let name = cursor.text("the name of a tensor")?.to_owned();
    let count = cursor.u32(READING)?;
    if count > MOST_DIMENSIONS {
        return Err(GgufFault::Dimensions { tensor: name, count, limit: MOST_DIMENSIONS });
    }
    let mut sizes = (0..count).map(|_| cursor.u64(READING)).collect::<Result<Vec<u64>, _>>()?;
    sizes.reverse();
    let number = cursor.u32(READING)?;
    let offset = cursor.u64(READING)?;
    let Some(stored) = StoredType::of_gguf(number) else {
        return Err(GgufFault::TensorType { tensor: name, name: type_name(number), number });
    };
    let (values, bytes) = stored.block();
    let too_large =
        |name: &str| GgufFault::TensorSize { tensor: name.into(), shape: sizes.clone() };
    let shape = sizes
        .iter()
        .map(|&size| usize::try_from(size))
        .collect::<Result<Vec<usize>, _>>()
        .map_err(|_| too_large(&name))?;
    let row = shape.last().copied().unwrap_or(1);
    if row % values != 0 {
        return Err(GgufFault::Blocks { tensor: name, row, stored });
    }
    let (rest, blocks) = (&shape[..shape.len().saturating_sub(1)], row / values);
    let product = |least: usize| {
        rest.iter()
            .chain([&blocks, &bytes])
            .try_fold(1_usize, |product, &size| product.checked_mul(size.max(least)))
    };
    // An empty dimension must not hide that the others overflow for whoever multiplies them.
    let Some(bytes) = product(1).and(product(0)) else {
        return Err(too_large(&name));
    };
    Ok(Description { name, stored, shape, offset, bytes })
}

/// Checks that all tensors are aligned, lie within the data and do not overlap.
fn place_all(
    mut descriptions: Vec<Description>,
    alignment: u64,
    data_start: usize,
    file_end: usize,
) -> Result<BTreeMap<String, Place>, GgufFault> {
    let data = file_end - data_start;
    let mut tensors = BTreeMap::new();
    descriptions.sort_by_key(|tensor| tensor.offset);
    let mut last: Option<(String, usize)> = None;
    for Description { name, stored, shape, offset, bytes } in descriptions {
        if offset % alignment != 0 {
            return Err(GgufFault::Unaligned { tensor: name, offset, alignment });
        }
        let place = usize::try_from(offset)
            .ok()
            .and_then(|start| Some(start..start.checked_add(bytes)?))
            .filter(|place| place.end <= data);
        let Some(place) = place else {
            return Err(GgufFault::OutsideFile { tensor: name, offset, bytes, data });
        };
        if let Some((first, end)) = last
            && place.start < end
        {
            return Err(GgufFault::Overlap { first, second: name });
        }
        last = Some((name.clone(), place.end));
        let place =
            Place { stored, shape, bytes: data_start + place.start..data_start + place.end };
        if tensors.contains_key(&name) {
            return Err(GgufFault::DuplicateTensor { tensor: name });
        }
        tensors.insert(name, place);
    }
    Ok(tensors)
}

/// Names of the types in `enum ggml_type` that are not decoded.
fn type_name(number: u32) -> &'static str {
    match number {
        9 => "Q8_1",
        10 => "Q2_K",
        11 => "Q3_K",
        15 => "Q8_K",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        29 => "IQ1_M",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        _ => "an unknown type",
    }
}
