//! Elements and data sets, with the few conversions of values that are needed.

use std::borrow::Cow;
use std::fmt;

use dicom_core::dictionary::{DataDictionary as _, DataDictionaryEntry as _, VirtualVr};
use dicom_dictionary_std::StandardDataDictionary;

/// A tag: group and element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Tag(pub(crate) u16, pub(crate) u16);

impl Tag {
    /// Whether the attribute is a manufacturer's own: its group is odd.
    pub(crate) fn is_private(self) -> bool {
        self.0 % 2 == 1
    }

    /// What the dictionary says of the value; `UN` for unknown and private tags.
    pub(crate) fn vr(self) -> Vr {
        if self.1 == 0 {
            return Vr::UL;
        }
        let known = StandardDataDictionary.by_tag(dicom_core::Tag(self.0, self.1));
        match known.map(dicom_core::dictionary::DataDictionaryEntryRef::vr) {
            Some(VirtualVr::Exact(vr)) => Vr(vr.to_bytes()),
            Some(VirtualVr::Xs) => Vr::US,
            Some(VirtualVr::Ox | VirtualVr::Px | VirtualVr::Lt) => Vr::OW,
            // The private creator of a block.
            None if self.is_private() && (0x10..0x100).contains(&self.1) => Vr(*b"LO"),
            _ => Vr::UN,
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({:04X},{:04X})", self.0, self.1)
    }
}

/// A value representation, as its two letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vr(pub(crate) [u8; 2]);

impl Vr {
    pub(crate) const UL: Self = Self(*b"UL");
    pub(crate) const US: Self = Self(*b"US");
    pub(crate) const SS: Self = Self(*b"SS");
    pub(crate) const OW: Self = Self(*b"OW");
    pub(crate) const UN: Self = Self(*b"UN");
    pub(crate) const SQ: Self = Self(*b"SQ");

    /// Whether the letters are those of the standard (PS3.5, table 6.2-1).
    pub(crate) fn is_known(self) -> bool {
        dicom_core::VR::from_binary(self.0).is_some()
    }

    /// Whether an explicit header has a length of four bytes behind two reserved ones (PS3.5,
    /// 7.1.2). Unknown letters are treated so, as the standard asks of representations to come.
    pub(crate) fn is_long(self) -> bool {
        const SHORT: [&[u8; 2]; 21] = [
            b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT",
            b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US",
        ];
        !SHORT.contains(&&self.0)
    }

    /// Whether the value is text.
    pub(crate) fn is_text(self) -> bool {
        matches!(
            &self.0,
            b"AE"
                | b"AS"
                | b"CS"
                | b"DA"
                | b"DS"
                | b"DT"
                | b"IS"
                | b"LO"
                | b"LT"
                | b"PN"
                | b"SH"
                | b"ST"
                | b"TM"
                | b"UC"
                | b"UI"
                | b"UR"
                | b"UT"
        )
    }
}

impl fmt::Display for Vr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", String::from_utf8_lossy(&self.0))
    }
}

/// What an element holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    /// A value of known length, in the file's byte order.
    Bytes(Cow<'a, [u8]>),
    /// The items of a sequence.
    Items(Vec<DataSet<'a>>),
    /// Encapsulated pixel data: the basic offset table and the fragments (PS3.5, A.4).
    Fragments {
        /// Offsets of the frames' first fragments, 32 bits each; may be empty.
        offsets: &'a [u8],
        /// Coded pieces.
        pieces: Vec<&'a [u8]>,
    },
}

/// One element.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Element<'a> {
    pub(crate) tag: Tag,
    pub(crate) vr: Vr,
    pub(crate) value: Value<'a>,
}

/// Elements in the order of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct DataSet<'a> {
    pub(crate) elements: Vec<Element<'a>>,
    /// The byte order of numbers.
    pub(crate) big_endian: bool,
}

impl<'a> DataSet<'a> {
    pub(crate) fn get(&self, tag: Tag) -> Option<&Element<'a>> {
        self.elements.iter().find(|element| element.tag == tag)
    }

    /// The bytes of a value; none when it is absent, empty, or a sequence.
    pub(crate) fn bytes(&self, tag: Tag) -> Option<&[u8]> {
        match &self.get(tag)?.value {
            Value::Bytes(bytes) if !bytes.is_empty() => Some(bytes),
            _ => None,
        }
    }

    /// The items of a sequence; none when it is absent.
    pub(crate) fn items(&self, tag: Tag) -> &[DataSet<'a>] {
        match self.get(tag).map(|element| &element.value) {
            Some(Value::Items(items)) => items,
            _ => &[],
        }
    }

    /// A text of Latin letters, without its padding: code strings, identifiers, numbers as text.
    pub(crate) fn text(&self, tag: Tag) -> Option<&str> {
        let text = std::str::from_utf8(self.bytes(tag)?).ok()?;
        let text = text.trim_matches([' ', '\0']);
        (!text.is_empty()).then_some(text)
    }

    /// The first of the numbers that text holds (DS, IS); an error when it is none.
    pub(crate) fn decimal(&self, tag: Tag) -> Result<Option<f64>, Tag> {
        let Some(bytes) = self.bytes(tag) else { return Ok(None) };
        let text = std::str::from_utf8(bytes).map_err(|_| tag)?;
        let first = text.split('\\').next().unwrap_or_default().trim_matches([' ', '\0']);
        if first.is_empty() {
            return Ok(None);
        }
        match first.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Some(number)),
            _ => Err(tag),
        }
    }

    /// A value as 16-bit words in the file's byte order; a single odd byte at the end is dropped.
    pub(crate) fn words(&self, tag: Tag) -> Option<Vec<u16>> {
        let word = |pair: &[u8]| {
            let pair = [pair[0], pair[1]];
            if self.big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }
        };
        Some(self.bytes(tag)?.chunks_exact(2).map(word).collect())
    }

    /// The first 16-bit word of a value.
    pub(crate) fn word(&self, tag: Tag) -> Option<u16> {
        self.words(tag)?.first().copied()
    }
}
