//! The ways in which a GGUF file can be wrong, one variant each.

use super::StoredType;

/// What is wrong with a GGUF file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GgufFault {
    /// The first four bytes are not `GGUF`.
    #[error("it does not begin with `GGUF`")]
    Magic,
    /// A version this reader does not know.
    #[error("version {version} is not supported, only 2 and 3; convert it again with a newer tool")]
    Version {
        /// The number in the file.
        version: u32,
    },
    /// The number of the version is in the other byte order.
    #[error("it was written for big-endian machines; only little-endian files are supported")]
    BigEndian,
    /// The file ends before what it announced.
    #[error("it ends at byte {end} in the middle of {reading}; fetch it again")]
    Cut {
        /// Length of the file.
        end: usize,
        /// What was being read.
        reading: &'static str,
    },
    /// A count or length that the rest of the file cannot hold.
    #[error("at byte {at}: {count} {counted} cannot fit in the {left} bytes that are left")]
    Count {
        /// Position in the file.
        at: usize,
        /// The count in the file.
        count: u64,
        /// What is counted.
        counted: &'static str,
        /// Bytes after it.
        left: usize,
    },
    /// Text that is not UTF-8.
    #[error("at byte {at}: {reading} is not valid UTF-8")]
    Utf8 {
        /// Position in the file.
        at: usize,
        /// What was being read.
        reading: &'static str,
    },
    /// A kind of metadata value that the format does not define.
    #[error("at byte {at}: metadata values of kind {kind} are not defined")]
    ValueKind {
        /// Position in the file.
        at: usize,
        /// The number in the file.
        kind: u32,
    },
    /// Arrays of arrays of arrays…
    #[error("at byte {at}: arrays are nested more than {limit} deep")]
    Nesting {
        /// Position in the file.
        at: usize,
        /// The deepest that is read.
        limit: usize,
    },
    /// A truth value that is neither 0 nor 1.
    #[error("at byte {at}: {value} is not a truth value")]
    Bool {
        /// Position in the file.
        at: usize,
        /// The byte in the file.
        value: u8,
    },
    /// A metadata key occurs twice.
    #[error("metadata key `{key}` occurs twice")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// A tensor's name occurs twice.
    #[error("tensor `{tensor}` occurs twice")]
    DuplicateTensor {
        /// The tensor.
        tensor: String,
    },
    /// The alignment of tensors is not a power of two.
    #[error("`general.alignment` is {alignment}, which is not a power of two")]
    Alignment {
        /// The number in the file.
        alignment: u64,
    },
    /// More dimensions than the format allows.
    #[error("tensor `{tensor}` has {count} dimensions; the format allows {limit}")]
    Dimensions {
        /// The tensor.
        tensor: String,
        /// The number in the file.
        count: u32,
        /// The most that is allowed.
        limit: u32,
    },
    /// A type of storage that cannot be decoded.
    #[error(
        "tensor `{tensor}` is stored as {name} (type {number}), which is not supported; \
         use a file in F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K or Q6_K"
    )]
    TensorType {
        /// The tensor.
        tensor: String,
        /// Its name in ggml, or `an unknown type`.
        name: &'static str,
        /// The number in the file.
        number: u32,
    },
    /// The product of a tensor's dimensions is too large for this machine.
    #[error("tensor `{tensor}` of shape {shape:?} is larger than any file")]
    TensorSize {
        /// The tensor.
        tensor: String,
        /// Dimensions, outermost first.
        shape: Vec<u64>,
    },
    /// The rows of a block-quantized tensor do not consist of whole blocks.
    #[error(
        "tensor `{tensor}` has rows of {row} values, not a multiple of the {} values of a {stored} \
         block", stored.block().0
    )]
    Blocks {
        /// The tensor.
        tensor: String,
        /// Length of a row.
        row: usize,
        /// How it is stored.
        stored: StoredType,
    },
    /// A tensor does not start at a multiple of the alignment.
    #[error("tensor `{tensor}` starts at {offset}, not a multiple of the alignment {alignment}")]
    Unaligned {
        /// The tensor.
        tensor: String,
        /// Its start, counted from the start of the data.
        offset: u64,
        /// The alignment of the file.
        alignment: u64,
    },
    /// A tensor does not lie within the file.
    #[error(
        "tensor `{tensor}` needs {bytes} bytes from {offset} of the data on, \
         but the file holds {data} bytes of data; fetch it again"
    )]
    OutsideFile {
        /// The tensor.
        tensor: String,
        /// Its start, counted from the start of the data.
        offset: u64,
        /// Its size in bytes.
        bytes: usize,
        /// Bytes of data in the file.
        data: usize,
    },
    /// Two tensors share bytes.
    #[error("tensors `{first}` and `{second}` overlap")]
    Overlap {
        /// The one that starts first.
        first: String,
        /// The one that starts before the first has ended.
        second: String,
    },
}
