//! DICOM files without the patient: the Basic Application Level Confidentiality Profile of PS3.15,
//! annex E, in the edition 2026c (`basic_profile.tsv` is its table E.1-1).
//!
//! What goes beyond the table, always towards less: private and unknown attributes, curves,
//! overlays and what stands behind the pixel data are removed; dates and person names that the
//! table does not list are emptied; the preamble is zeroed and the meta information written anew.
//! Where the table leaves a choice, an attribute that a file may need keeps a dummy value.
//!
//! Identifiers and patients get pseudonyms from a secret salt, so that the files of one patient
//! still belong together, in runs years apart, and nobody without the salt can tell whose they are.
//! Errors and reports hold no value of a file and no file name: hospitals put names into both.
//!
//! Pixels are copied as they are. Files whose pixels may show names are refused, unless the caller
//! says that they were looked at.

mod action;
mod dates;
mod folder;
mod salt;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

pub use action::EDITION;
pub use folder::{FolderReport, Progress, RefusedFile, deidentify_folder};
pub use salt::Salt;

use self::action::{Action, action};
use crate::dicom::{
    BURNED_IN, CONVERSION_TYPE, DEIDENTIFICATION_METHOD, DEIDENTIFICATION_METHOD_CODES, DataSet,
    Element, File, IMAGE_TYPE, LONGITUDINAL, MODALITY, PATIENT_ID, PATIENT_IDENTITY_REMOVED,
    PIXEL_DATA, SOP_CLASS, SOP_INSTANCE, TRANSFER_SYNTAX, Tag, Value, Vr, inflate, parse, write,
};

/// What becomes of dates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dates {
    /// They are emptied, or replaced by a dummy where a file needs one.
    #[default]
    Remove,
    /// All dates of a patient go back by the same secret number of days, so that intervals stay
    /// (Retain Longitudinal Temporal Information with Modified Dates); times of day stay as they
    /// are. The date of birth goes all the same.
    Shift,
}

/// How files are de-identified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Options {
    /// What becomes of dates.
    pub dates: Dates,
    /// Take files whose pixels may show names: somebody has looked at them.
    pub allow_burned_in: bool,
}

/// Why a file is not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "why")]
pub enum Refusal {
    /// Not a DICOM file.
    #[error("it is not a DICOM file")]
    NotDicom,
    /// A damaged file.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// Pixels that show, or may show, names.
    #[error("{0}, so its pixels may show names: look at it, then use --allow-burned-in")]
    BurnedIn(&'static str),
    /// A document inside.
    #[error("it holds a document, whose text cannot be cleaned")]
    Document,
    /// No identifier to name it by.
    #[error("it has no SOP Instance UID")]
    Nameless,
}

/// How many attributes had what done to them; by action, and by keyword or tag.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Attributes by what was done.
    pub actions: BTreeMap<&'static str, usize>,
    /// Attributes of the table by keyword (tag, where it has none). No values.
    pub attributes: BTreeMap<String, usize>,
}

impl Counts {
    fn note(&mut self, what: &'static str, tag: Option<Tag>) {
        *self.actions.entry(what).or_insert(0) += 1;
        if let Some(tag) = tag {
            *self.attributes.entry(action::keyword(tag)).or_insert(0) += 1;
        }
    }

    fn add(&mut self, other: Self) {
        for (what, count) in other.actions {
            *self.actions.entry(what).or_insert(0) += count;
        }
        for (attribute, count) in other.attributes {
            *self.attributes.entry(attribute).or_insert(0) += count;
        }
    }
}

/// A file without its patient.
#[derive(Clone, Debug)]
pub struct Deidentified {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// Its new SOP Instance UID.
    pub instance: String,
    /// The patient's pseudonym.
    pub patient: String,
    /// What was done.
    pub counts: Counts,
}

/// Takes the patient out of one file.
///
/// # Errors
/// A [`Refusal`], which holds nothing of the file's values.
pub fn deidentify(bytes: &[u8], salt: &Salt, options: Options) -> Result<Deidentified, Refusal> {
    if !crate::dicom::looks_like_dicom(bytes) {
        return Err(Refusal::NotDicom);
    }
    let inflated = inflate(bytes).map_err(Refusal::Unreadable)?;
    let File { syntax, data, trailing, .. } =
        parse(bytes, inflated.as_deref()).map_err(Refusal::Unreadable)?;
    refuse_text(&data, options)?;
    let patient = salt.pseudonym(data.text(PATIENT_ID).unwrap_or_default());
    let mut cleaner = Cleaner {
        salt,
        options,
        days: salt.days(data.text(PATIENT_ID).unwrap_or_default()),
        patient: &patient,
        counts: Counts::default(),
    };
    if trailing > 0 {
        cleaner.counts.note("trailing bytes removed", None);
    }
    let mut data = cleaner.data_set(data, false);
    let counts = cleaner.counts;
    // It becomes a file name.
    let is_one = |uid: &&str| uid.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let instance = data.text(SOP_INSTANCE).filter(is_one).ok_or(Refusal::Nameless)?.to_owned();
    let class = data.bytes(SOP_CLASS).unwrap_or_default().to_vec();
    mark(&mut data, options);
    let meta = meta(class, &instance, syntax.uid);
    let bytes = write(&meta, &data, syntax).map_err(Refusal::Unreadable)?;
    Ok(Deidentified { bytes, instance, patient, counts })
}

/// Kinds of images that often have names drawn into their pixels, by modality.
const SHOW_TEXT: [&str; 8] = ["US", "IVUS", "SC", "OT", "XC", "ES", "DOC", "SM"];

fn refuse_text(data: &DataSet<'_>, options: Options) -> Result<(), Refusal> {
    let class = data.text(SOP_CLASS).unwrap_or_default();
    if class.starts_with("1.2.840.10008.5.1.4.1.1.104.") {
        return Err(Refusal::Document);
    }
    if options.allow_burned_in {
        return Ok(());
    }
    let why = if data.text(BURNED_IN) == Some("YES") {
        "it says that its pixels hold annotations"
    } else if class.starts_with("1.2.840.10008.5.1.4.1.1.7") {
        "it is a secondary capture"
    } else if matches!(class, "1.2.840.10008.5.1.4.1.1.6.1" | "1.2.840.10008.5.1.4.1.1.3.1") {
        "it is an ultrasound image"
    } else if data.text(MODALITY).is_some_and(|modality| SHOW_TEXT.contains(&modality)) {
        "its modality often has text in its pixels"
    } else if data.get(CONVERSION_TYPE).is_some() {
        "it was captured from a screen or a film"
    } else if data.text(IMAGE_TYPE).is_some_and(|kind| kind.contains("SCREEN")) {
        "it is a picture of a screen"
    } else {
        return Ok(());
    };
    Err(Refusal::BurnedIn(why))
}

/// Goes through data sets and the items in them.
struct Cleaner<'a> {
    salt: &'a Salt,
    options: Options,
    days: i64,
    patient: &'a str,
    counts: Counts,
}

impl Cleaner<'_> {
    /// With `strict`, all text is replaced: the items of a sequence that is itself to be replaced.
    fn data_set<'b>(&mut self, data: DataSet<'b>, strict: bool) -> DataSet<'b> {
        let big_endian = data.big_endian;
        let cleaned = data.elements.into_iter().filter_map(|element| self.element(element, strict));
        let mut elements: Vec<Element<'b>> = cleaned.collect();
        elements.sort_by_key(|element| element.tag);
        DataSet { elements, big_endian }
    }

    /// The element as it may stay; none when it may not.
    fn element<'b>(&mut self, mut element: Element<'b>, strict: bool) -> Option<Element<'b>> {
        let tag = element.tag;
        if tag.is_private() {
            self.counts.note("private removed", None);
            return None;
        }
        if tag.1 == 0 || tag == Tag(0xFFFC, 0xFFFC) {
            // Group lengths would be wrong, and padding may hold anything.
            return None;
        }
        if tag.0 & 0xFF00 == 0x6000 || tag.0 & 0xFF00 == 0x5000 {
            self.counts.note("overlays and curves removed", None);
            return None;
        }
        let known = tag.vr();
        let listed = action(tag);
        if known == Vr::UN && listed.is_none() && tag != PIXEL_DATA {
            self.counts.note("unknown removed", None);
            return None;
        }
        // What an attribute is decides, and not what the file says it is.
        let is_date = matches!(&known.0, b"DA" | b"DT");
        let may_shift = self.options.dates == Dates::Shift && tag.0 != 0x0010;
        if may_shift && known == Vr(*b"TM") && listed.is_some() {
            self.counts.note("time kept", Some(tag));
            return Some(element);
        }
        if may_shift && is_date {
            return self.shifted(element);
        }
        let listed = match listed {
            None if is_date || known == Vr(*b"PN") => Action::Empty,
            // Code strings are words of the standard, and identifiers have rows of their own.
            None if strict && known.is_text() && !matches!(&known.0, b"CS" | b"UI") => {
                Action::Replace
            }
            None => Action::Keep,
            Some(action) => action,
        };
        match listed {
            Action::Keep => {}
            Action::Remove => {
                self.counts.note("removed", Some(tag));
                return None;
            }
            Action::Empty => {
                self.counts.note("emptied", Some(tag));
                element.value = if element.vr == Vr::SQ {
                    Value::Items(Vec::new())
                } else {
                    Value::Bytes(Cow::Borrowed(b""))
                };
                return Some(element);
            }
            Action::Pseudonym => {
                self.counts.note("replaced", Some(tag));
                return Some(with_bytes(element, self.patient.as_bytes().to_vec()));
            }
            Action::Uid if element.vr != Vr::SQ => {
                self.counts.note("identifier replaced", Some(tag));
                return Some(self.mapped(element));
            }
            Action::Uid => self.counts.note("cleaned inside", Some(tag)),
            Action::Replace if element.vr == Vr::SQ => {
                self.counts.note("cleaned inside", Some(tag));
            }
            Action::Replace => {
                self.counts.note("replaced", Some(tag).filter(|tag| action(*tag).is_some()));
                let dummy = dummy(element.vr).to_vec();
                return Some(with_bytes(element, dummy));
            }
        }
        match element.value {
            Value::Items(items) => {
                // Down from such a sequence, everything is in it.
                let strict = strict || listed != Action::Keep;
                let items = items.into_iter().map(|item| self.data_set(item, strict)).collect();
                Some(Element { value: Value::Items(items), ..element })
            }
            // A sequence in a file whose writer did not know that it is one.
            _ if known == Vr::SQ => {
                self.counts.note("unknown removed", None);
                None
            }
            _ => Some(element),
        }
    }

    fn mapped<'b>(&mut self, element: Element<'b>) -> Element<'b> {
        let Value::Bytes(bytes) = &element.value else { return element };
        let text = String::from_utf8_lossy(bytes);
        let uids = text.split('\\').map(|uid| self.salt.uid(uid.trim_matches([' ', '\0'])));
        let joined = uids.collect::<Vec<_>>().join("\\");
        with_bytes(element, joined.into_bytes())
    }

    fn shifted<'b>(&mut self, element: Element<'b>) -> Option<Element<'b>> {
        self.counts.note("date shifted", Some(element.tag));
        let Value::Bytes(bytes) = &element.value else { return None };
        let text = String::from_utf8_lossy(bytes);
        let values = text.split('\\').map(|value| {
            dates::back(value.trim_matches([' ', '\0']), self.days).unwrap_or_default()
        });
        let joined = values.collect::<Vec<_>>().join("\\");
        Some(with_bytes(element, joined.into_bytes()))
    }
}

fn with_bytes(mut element: Element<'_>, bytes: Vec<u8>) -> Element<'_> {
    element.value = Value::Bytes(Cow::Owned(bytes));
    element
}

/// A value that fits a representation and says nothing.
fn dummy(vr: Vr) -> &'static [u8] {
    match &vr.0 {
        b"DA" => b"19000101",
        b"DT" => b"19000101000000",
        b"TM" => b"000000",
        b"AS" => b"000Y",
        b"DS" | b"IS" => b"0",
        b"US" | b"SS" | b"OW" | b"OB" => &[0; 2],
        b"UL" | b"SL" | b"FL" | b"AT" | b"OF" | b"OL" => &[0; 4],
        b"FD" | b"SV" | b"UV" | b"OD" | b"OV" => &[0; 8],
        b"UN" => b"",
        _ => b"REMOVED",
    }
}

/// Says in the file what was done to it (PS3.15, E.1.1).
fn mark(data: &mut DataSet<'_>, options: Options) {
    let text = |tag, vr: &[u8; 2], text: &str| {
        let value = Value::Bytes(Cow::Owned(text.as_bytes().to_vec()));
        Element { tag, vr: Vr(*vr), value }
    };
    let code = |value: &str, meaning: &str| DataSet {
        elements: vec![
            text(Tag(0x0008, 0x0100), b"SH", value),
            text(Tag(0x0008, 0x0102), b"SH", "DCM"),
            text(Tag(0x0008, 0x0104), b"LO", meaning),
        ],
        big_endian: data.big_endian,
    };
    let mut codes = vec![code("113100", "Basic Application Confidentiality Profile")];
    if options.dates == Dates::Shift {
        let meaning = "Retain Longitudinal Temporal Information Modified Dates Option";
        codes.push(code("113107", meaning));
    }
    let longitudinal = if options.dates == Dates::Shift { "MODIFIED" } else { "REMOVED" };
    let method = format!("pefomed {}, PS3.15 {EDITION}", env!("CARGO_PKG_VERSION"));
    let new = [
        text(PATIENT_IDENTITY_REMOVED, b"CS", "YES"),
        text(DEIDENTIFICATION_METHOD, b"LO", &method),
        Element { tag: DEIDENTIFICATION_METHOD_CODES, vr: Vr::SQ, value: Value::Items(codes) },
        text(LONGITUDINAL, b"CS", longitudinal),
    ];
    data.elements.retain(|element| new.iter().all(|new| new.tag != element.tag));
    data.elements.extend(new);
    data.elements.sort_by_key(|element| element.tag);
}

/// Meta information that names this program and nobody else's (PS3.10, 7.1).
fn meta(class: Vec<u8>, instance: &str, syntax: &'static str) -> DataSet<'static> {
    let element = |number, vr: &[u8; 2], bytes: Vec<u8>| Element {
        tag: Tag(0x0002, number),
        vr: Vr(*vr),
        value: Value::Bytes(Cow::Owned(bytes)),
    };
    let elements = vec![
        element(1, b"OB", vec![0, 1]),
        element(2, b"UI", class),
        element(3, b"UI", instance.as_bytes().to_vec()),
        element(TRANSFER_SYNTAX.1, b"UI", syntax.as_bytes().to_vec()),
        element(0x12, b"UI", b"2.25.211893725480275417205236474217318416421".to_vec()),
        element(0x13, b"SH", b"PEFOMED".to_vec()),
    ];
    DataSet { elements, big_endian: false }
}
