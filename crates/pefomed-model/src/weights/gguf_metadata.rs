//! The metadata of a GGUF file: a cursor that checks every step, and typed values.
//!
//! Values stay where they are in the file; the first pass only checks them and notes where each
//! one lies. A vocabulary of a hundred thousand strings is decoded when it is asked for, and a
//! hostile array cannot make the reader allocate more than the file's own size.

use super::GgufFault;

/// Arrays of arrays are read to this depth.
const NESTING: usize = 4;

/// Kinds of values, with the numbers of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    Text,
    Array,
    U64,
    I64,
    F64,
}

impl Kind {
    fn of(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::U8,
            1 => Self::I8,
            2 => Self::U16,
            3 => Self::I16,
            4 => Self::U32,
            5 => Self::I32,
            6 => Self::F32,
            7 => Self::Bool,
            8 => Self::Text,
            9 => Self::Array,
            10 => Self::U64,
            11 => Self::I64,
            12 => Self::F64,
            _ => return None,
        })
    }

    /// Bytes of a value, at least: text and arrays begin with their length.
    fn least_bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 | Self::Text => 8,
            Self::Array => 12,
        }
    }

    /// In words, for messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::U8 | Self::I8 | Self::U16 | Self::I16 | Self::U32 | Self::I32 => "an integer",
            Self::U64 | Self::I64 => "a 64-bit integer",
            Self::F32 | Self::F64 => "a real number",
            Self::Bool => "a truth value",
            Self::Text => "text",
            Self::Array => "an array",
        }
    }
}

/// A single value. Integers of every width fit the widest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scalar<'a> {
    Integer(i128),
    Real(f64),
    Bool(bool),
    Text(&'a str),
}

/// A place in the bytes of a file. Nothing is read beyond the end.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at: at.min(bytes.len()) }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn take<const N: usize>(&mut self, reading: &'static str) -> Result<[u8; N], GgufFault> {
        let Some(bytes) = self.bytes[self.at..].first_chunk::<N>() else {
            return Err(GgufFault::Cut { end: self.bytes.len(), reading });
        };
        self.at += N;
        Ok(*bytes)
    }

    pub(super) fn u32(&mut self, reading: &'static str) -> Result<u32, GgufFault> {
        self.take(reading).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, reading: &'static str) -> Result<u64, GgufFault> {
        self.take(reading).map(u64::from_le_bytes)
    }

    /// A 64-bit count of things that take at least `least` bytes each, refused when the rest of
    /// the file cannot hold them.
    pub(super) fn count(
        &mut self,
        least: usize,
        counted: &'static str,
    ) -> Result<usize, GgufFault> {
        let count = self.u64(counted)?;
        self.check_count(count, least, counted)
    }

    /// Refuses a count of things that the rest of the file cannot hold.
    pub(super) fn check_count(
        &self,
        count: u64,
        least: usize,
        counted: &'static str,
    ) -> Result<usize, GgufFault> {
        let left = self.left();
        match usize::try_from(count) {
            Ok(fitting) if fitting <= left / least => Ok(fitting),
            _ => Err(GgufFault::Count { at: self.at, count, counted, left }),
        }
    }

    pub(super) fn text(&mut self, reading: &'static str) -> Result<&'a str, GgufFault> {
        let length = self.count(1, "bytes of text")?;
        let start = self.at;
        self.at += length;
        std::str::from_utf8(&self.bytes[start..self.at])
            .map_err(|_| GgufFault::Utf8 { at: start, reading })
    }

    pub(super) fn kind(&mut self) -> Result<Kind, GgufFault> {
        let at = self.at;
        let kind = self.u32("the kind of a metadata value")?;
        Kind::of(kind).ok_or(GgufFault::ValueKind { at, kind })
    }

    /// A value of a kind that is not an array; none for an array.
    fn scalar(&mut self, kind: Kind) -> Result<Option<Scalar<'a>>, GgufFault> {
        const READING: &str = "a metadata value";
        Ok(Some(match kind {
            Kind::U8 => Scalar::Integer(u8::from_le_bytes(self.take(READING)?).into()),
            Kind::I8 => Scalar::Integer(i8::from_le_bytes(self.take(READING)?).into()),
            Kind::U16 => Scalar::Integer(u16::from_le_bytes(self.take(READING)?).into()),
            Kind::I16 => Scalar::Integer(i16::from_le_bytes(self.take(READING)?).into()),
            Kind::U32 => Scalar::Integer(u32::from_le_bytes(self.take(READING)?).into()),
            Kind::I32 => Scalar::Integer(i32::from_le_bytes(self.take(READING)?).into()),
            Kind::U64 => Scalar::Integer(u64::from_le_bytes(self.take(READING)?).into()),
            Kind::I64 => Scalar::Integer(i64::from_le_bytes(self.take(READING)?).into()),
            Kind::F32 => Scalar::Real(f32::from_le_bytes(self.take(READING)?).into()),
            Kind::F64 => Scalar::Real(f64::from_le_bytes(self.take(READING)?)),
            Kind::Bool => {
                let at = self.at;
                match self.take(READING)? {
                    [0] => Scalar::Bool(false),
                    [1] => Scalar::Bool(true),
                    [value] => return Err(GgufFault::Bool { at, value }),
                }
            }
            Kind::Text => Scalar::Text(self.text("text in the metadata")?),
            Kind::Array => return Ok(None),
        }))
    }

    /// Kind and number of an array's elements, which follow.
    fn array_head(&mut self) -> Result<(Kind, usize), GgufFault> {
        let element = self.kind()?;
        let count = self.count(element.least_bytes(), "elements of an array")?;
        Ok((element, count))
    }

    /// Checks a value and moves behind it.
    pub(super) fn skip(&mut self, kind: Kind) -> Result<(), GgufFault> {
        self.skip_nested(kind, 0)
    }

    fn skip_nested(&mut self, kind: Kind, depth: usize) -> Result<(), GgufFault> {
        if self.scalar(kind)?.is_some() {
            return Ok(());
        }
        if depth == NESTING {
            return Err(GgufFault::Nesting { at: self.at, limit: NESTING });
        }
        let (element, count) = self.array_head()?;
        (0..count).try_for_each(|_| self.skip_nested(element, depth + 1))
    }
}

/// A checked value: its kind and where it begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value {
    pub(super) kind: Kind,
    pub(super) at: usize,
}

impl Value {
    /// The value, unless it is an array.
    pub(super) fn scalar(self, bytes: &[u8]) -> Option<Scalar<'_>> {
        Cursor::new(bytes, self.at).scalar(self.kind).ok().flatten()
    }

    /// All elements through `convert`; none when this is no array, or when `convert` refuses one.
    pub(super) fn array<'a, T>(
        self,
        bytes: &'a [u8],
        convert: impl Fn(Scalar<'a>) -> Option<T>,
    ) -> Option<Vec<T>> {
        if self.kind != Kind::Array {
            return None;
        }
        let mut cursor = Cursor::new(bytes, self.at);
        let (element, count) = cursor.array_head().ok()?;
        (0..count).map(|_| cursor.scalar(element).ok().flatten().and_then(&convert)).collect()
    }

    /// In words, for messages: `text`, `an array of 5 values, each text`.
    pub(super) fn describe(self, bytes: &[u8]) -> String {
        if self.kind == Kind::Array
            && let Ok((element, count)) = Cursor::new(bytes, self.at).array_head()
        {
            return format!("an array of {count} values, each {}", element.name());
        }
        self.kind.name().to_owned()
    }
}
