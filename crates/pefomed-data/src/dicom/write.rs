//! Elements to bytes.
//!
//! Sequences and items get the lengths they have, which every reader understands; encapsulated
//! pixel data has no length, as the standard wants.

use super::{DataSet, Element, Tag, TransferSyntax, Value, Vr};

/// Writes a file: an empty preamble, the meta information with its length, the data set.
///
/// # Errors
/// A value that is too long for its header, by tag.
pub(crate) fn write(
    meta: &DataSet<'_>,
    data: &DataSet<'_>,
    syntax: TransferSyntax,
) -> Result<Vec<u8>, String> {
    let mut head = Writer { out: Vec::new(), syntax: TransferSyntax::EXPLICIT };
    for element in &meta.elements {
        head.element(element)?;
    }
    let mut writer = Writer { out: vec![0; 128], syntax };
    writer.out.extend_from_slice(b"DICM");
    writer.out.extend_from_slice(&[2, 0, 0, 0, b'U', b'L', 4, 0]);
    writer.out.extend_from_slice(&(head.out.len() as u32).to_le_bytes());
    writer.out.append(&mut head.out);
    let start = writer.out.len();
    for element in &data.elements {
        writer.element(element)?;
    }
    if syntax.deflated {
        let mut deflated = Vec::new();
        let mut encoder =
            flate2::read::DeflateEncoder::new(&writer.out[start..], flate2::Compression::default());
        std::io::Read::read_to_end(&mut encoder, &mut deflated)
            .map_err(|error| error.to_string())?;
        // The file must have an even length (PS3.5, A.5).
        deflated.resize(deflated.len().next_multiple_of(2), 0);
        writer.out.truncate(start);
        writer.out.append(&mut deflated);
    }
    Ok(writer.out)
}

struct Writer {
    out: Vec<u8>,
    syntax: TransferSyntax,
}

impl Writer {
    fn u16(&mut self, value: u16) {
        let bytes = if self.syntax.big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
        self.out.extend_from_slice(&bytes);
    }

    fn u32(&mut self, value: u32) {
        let bytes = if self.syntax.big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
        self.out.extend_from_slice(&bytes);
    }

    fn tag(&mut self, tag: Tag) {
        self.u16(tag.0);
        self.u16(tag.1);
    }

    fn length(&mut self, tag: Tag, vr: Vr, length: Option<usize>) -> Result<(), String> {
        let value = match length {
            None => u32::MAX,
            Some(length) => u32::try_from(length)
                .ok()
                .filter(|length| *length != u32::MAX)
                .ok_or_else(|| format!("{tag} is too long for a file"))?,
        };
        self.tag(tag);
        if !self.syntax.explicit {
            self.u32(value);
            return Ok(());
        }
        self.out.extend_from_slice(&vr.0);
        if vr.is_long() {
            self.out.extend_from_slice(&[0, 0]);
            self.u32(value);
        } else {
            let short = u16::try_from(value)
                .map_err(|_| format!("{tag} is too long for its representation {vr}"))?;
            self.u16(short);
        }
        Ok(())
    }

    fn element(&mut self, element: &Element<'_>) -> Result<(), String> {
        let Element { tag, vr, value } = element;
        match value {
            Value::Bytes(bytes) => {
                self.length(*tag, *vr, Some(bytes.len().next_multiple_of(2)))?;
                self.out.extend_from_slice(bytes);
                if bytes.len() % 2 == 1 {
                    let pad = if vr.is_text() && vr.0 != *b"UI" { b' ' } else { 0 };
                    self.out.push(pad);
                }
            }
            Value::Items(items) => {
                let mut inner = Self { out: Vec::new(), syntax: self.syntax };
                for item in items {
                    inner.item(item)?;
                }
                self.length(*tag, *vr, Some(inner.out.len()))?;
                self.out.append(&mut inner.out);
            }
            Value::Fragments { offsets, pieces } => {
                self.length(*tag, *vr, None)?;
                for piece in std::iter::once(offsets).chain(pieces) {
                    self.tag(Tag(0xFFFE, 0xE000));
                    self.u32(piece.len() as u32);
                    self.out.extend_from_slice(piece);
                }
                self.tag(Tag(0xFFFE, 0xE0DD));
                self.u32(0);
            }
        }
        Ok(())
    }

    fn item(&mut self, item: &DataSet<'_>) -> Result<(), String> {
        let mut inner = Self { out: Vec::new(), syntax: self.syntax };
        for element in &item.elements {
            inner.element(element)?;
        }
        let length = u32::try_from(inner.out.len())
            .map_err(|_| "an item is too long for a file".to_owned())?;
        self.tag(Tag(0xFFFE, 0xE000));
        self.u32(length);
        self.out.append(&mut inner.out);
        Ok(())
    }
}
