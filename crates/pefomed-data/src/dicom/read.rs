//! Bytes to elements.

use std::borrow::Cow;
use std::io::Read as _;

use super::{DataSet, Element, LIMIT_DEPTH, LIMIT_INFLATED, Tag, TransferSyntax, Value, Vr};
use super::{PIXEL_DATA, TRANSFER_SYNTAX};

/// A length that is not known beforehand.
const UNDEFINED: u32 = u32::MAX;
const ITEM: Tag = Tag(0xFFFE, 0xE000);
const ITEM_END: Tag = Tag(0xFFFE, 0xE00D);
const SEQUENCE_END: Tag = Tag(0xFFFE, 0xE0DD);

/// A file taken apart.
#[derive(Debug)]
pub(crate) struct File<'a> {
    pub(crate) syntax: TransferSyntax,
    pub(crate) data: DataSet<'a>,
    /// Bytes behind the last element that could be read, after the pixel data.
    pub(crate) trailing: usize,
}

/// Whether bytes begin as a DICOM file does: with `DICM` behind the preamble, or, as old archives
/// wrote them, with the first element of the file meta information or of the data set.
pub(crate) fn looks_like_dicom(bytes: &[u8]) -> bool {
    bytes.get(128..132) == Some(b"DICM") || without_preamble(bytes)
}

fn without_preamble(bytes: &[u8]) -> bool {
    bytes.starts_with(&[2, 0, 0, 0, b'U', b'L', 4, 0])
        // Group length, specific character set, image type or SOP class come first; the length of
        // each is even and small.
        || (matches!(bytes, [8, 0, 0 | 5 | 8 | 0x16, 0, ..]) && plausible(bytes))
}

fn plausible(bytes: &[u8]) -> bool {
    match bytes.get(4..8) {
        Some(&[a, b, length, 0]) if Vr([a, b]).is_known() => length % 2 == 0,
        Some(&[length, 0, 0, 0]) => length % 2 == 0,
        _ => false,
    }
}

/// Where a data set begins and how it is written.
struct Head {
    syntax: TransferSyntax,
    start: usize,
}

fn head(bytes: &[u8]) -> Result<Head, String> {
    let mut start = if bytes.get(128..132) == Some(b"DICM") { 132 } else { 0 };
    let mut meta = DataSet::default();
    // The meta information is always explicit and little endian (PS3.10, 7.1).
    let mut cursor = Cursor { bytes, at: start, explicit: true, big_endian: false };
    while cursor.bytes.get(cursor.at..cursor.at + 2) == Some(&[2, 0]) {
        meta.elements.push(cursor.element(0)?);
        start = cursor.at;
    }
    let syntax = match meta.text(TRANSFER_SYNTAX) {
        Some(uid) => TransferSyntax::of_uid(uid).ok_or_else(|| {
            // What is no identifier may be anything.
            let is_plain = uid.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            format!("its transfer syntax {} is not known", if is_plain { uid } else { "" })
        })?,
        None => TransferSyntax::IMPLICIT,
    };
    Ok(Head { syntax, start })
}

/// The inflated data set of a deflated file; none for all others.
///
/// # Errors
/// The reason in words, also when there would be more than [`LIMIT_INFLATED`] bytes.
pub(crate) fn inflate(bytes: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let head = head(bytes)?;
    if !head.syntax.deflated {
        return Ok(None);
    }
    let mut data = Vec::new();
    flate2::read::DeflateDecoder::new(&bytes[head.start..])
        .take(LIMIT_INFLATED as u64 + 1)
        .read_to_end(&mut data)
        .map_err(|error| format!("its deflated part is damaged: {error}"))?;
    if data.len() > LIMIT_INFLATED {
        return Err(format!("its deflated part holds more than {} MiB", LIMIT_INFLATED >> 20));
    }
    Ok(Some(data))
}

/// Takes a file apart. `inflated` is what [`inflate`] returned for it.
///
/// # Errors
/// The reason in words: not DICOM, cut short, nested too deeply.
pub(crate) fn parse<'a>(bytes: &'a [u8], inflated: Option<&'a [u8]>) -> Result<File<'a>, String> {
    let Head { mut syntax, start } = head(bytes)?;
    let (bytes, start) = inflated.map_or((bytes, start), |data| (data, 0));
    // Files lie about this more than about anything else; the first element shows the truth.
    if !syntax.big_endian
        && let Some(&[a, b]) = bytes.get(start + 4..start + 6)
    {
        syntax.explicit = Vr([a, b]).is_known();
        if !syntax.explicit && syntax.uid == TransferSyntax::EXPLICIT.uid {
            syntax = TransferSyntax::IMPLICIT;
        } else if syntax.explicit && syntax.uid == TransferSyntax::IMPLICIT.uid {
            syntax = TransferSyntax::EXPLICIT;
        }
    }
    let TransferSyntax { explicit, big_endian, .. } = syntax;
    let mut cursor = Cursor { bytes, at: start, explicit, big_endian };
    let mut data = DataSet { elements: Vec::new(), big_endian };
    let mut trailing = 0;
    while cursor.at < bytes.len() {
        let before = cursor.at;
        match cursor.element(0) {
            Ok(element) => data.elements.push(element),
            // Behind the picture, what cannot be read is left alone.
            Err(_) if data.get(PIXEL_DATA).is_some() => {
                trailing = bytes.len() - before;
                break;
            }
            Err(problem) => return Err(problem),
        }
    }
    if data.elements.is_empty() {
        return Err("it holds no elements".to_owned());
    }
    Ok(File { syntax, data, trailing })
}

/// A place in the bytes.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    explicit: bool,
    big_endian: bool,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let Some(end) = end else {
            return Err(format!(
                "it ends {} bytes before the value that begins at byte {}",
                length - (self.bytes.len() - self.at),
                self.at
            ));
        };
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, String> {
        let bytes = self.take(2)?;
        let pair = [bytes[0], bytes[1]];
        Ok(if self.big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) })
    }

    fn u32(&mut self) -> Result<u32, String> {
        let bytes = self.take(4)?;
        let four = [bytes[0], bytes[1], bytes[2], bytes[3]];
        Ok(if self.big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) })
    }

    fn tag(&mut self) -> Result<Tag, String> {
        Ok(Tag(self.u16()?, self.u16()?))
    }

    fn element(&mut self, depth: usize) -> Result<Element<'a>, String> {
        let tag = self.tag()?;
        if tag.0 == ITEM.0 {
            return Err(format!("{tag} at byte {} is outside of a sequence", self.at - 4));
        }
        let (vr, length) = if self.explicit {
            let letters = self.take(2)?;
            let vr = Vr([letters[0], letters[1]]);
            if !letters.iter().all(u8::is_ascii_uppercase) {
                return Err(format!("{tag} at byte {} has no value representation", self.at - 6));
            }
            if vr.is_long() {
                self.take(2)?;
                (vr, self.u32()?)
            } else {
                (vr, u32::from(self.u16()?))
            }
        } else {
            (tag.vr(), self.u32()?)
        };
        let value = if vr == Vr::SQ {
            Value::Items(self.items(length, depth)?)
        } else if length != UNDEFINED {
            Value::Bytes(Cow::Borrowed(self.take(length as usize)?))
        } else if tag == PIXEL_DATA {
            self.fragments()?
        } else if vr == Vr::UN {
            // A sequence whose meaning the writer did not know is implicit (PS3.5, 6.2.2).
            let explicit = std::mem::replace(&mut self.explicit, false);
            let items = self.items(length, depth);
            self.explicit = explicit;
            Value::Items(items?)
        } else {
            return Err(format!("{tag} has no length"));
        };
        let vr = if matches!(value, Value::Items(_)) { Vr::SQ } else { vr };
        Ok(Element { tag, vr, value })
    }

    fn items(&mut self, length: u32, depth: usize) -> Result<Vec<DataSet<'a>>, String> {
        if depth >= LIMIT_DEPTH {
            return Err(format!("its sequences are nested more than {LIMIT_DEPTH} deep"));
        }
        let end = self.end(length)?;
        let mut items = Vec::new();
        while self.at < end {
            match (self.tag()?, self.u32()?) {
                (SEQUENCE_END, _) => return Ok(items),
                (ITEM, length) => items.push(self.item(length, depth)?),
                (tag, _) => {
                    return Err(format!("{tag} at byte {} is no item", self.at - 8));
                }
            }
        }
        if length == UNDEFINED {
            return Err("it ends within a sequence".to_owned());
        }
        Ok(items)
    }

    fn item(&mut self, length: u32, depth: usize) -> Result<DataSet<'a>, String> {
        let end = self.end(length)?;
        let mut data = DataSet { elements: Vec::new(), big_endian: self.big_endian };
        while self.at < end {
            let before = self.at;
            if self.tag()? == ITEM_END {
                self.u32()?;
                return Ok(data);
            }
            self.at = before;
            data.elements.push(self.element(depth + 1)?);
        }
        if length == UNDEFINED || self.at > end {
            return Err("it ends within an item, or an item's length is wrong".to_owned());
        }
        Ok(data)
    }

    /// Where something of that length ends.
    fn end(&self, length: u32) -> Result<usize, String> {
        if length == UNDEFINED {
            return Ok(self.bytes.len());
        }
        self.at.checked_add(length as usize).filter(|end| *end <= self.bytes.len()).ok_or_else(
            || format!("it ends before the sequence or item that begins at byte {}", self.at),
        )
    }

    fn fragments(&mut self) -> Result<Value<'a>, String> {
        let mut pieces = Vec::new();
        let mut offsets = None;
        loop {
            match (self.tag()?, self.u32()?) {
                (SEQUENCE_END, _) => break,
                (ITEM, length) if length != UNDEFINED => {
                    let piece = self.take(length as usize)?;
                    if offsets.is_none() { offsets = Some(piece) } else { pieces.push(piece) }
                }
                (tag, _) => return Err(format!("{tag} stands between fragments of pixel data")),
            }
        }
        Ok(Value::Fragments { offsets: offsets.unwrap_or_default(), pieces })
    }
}
