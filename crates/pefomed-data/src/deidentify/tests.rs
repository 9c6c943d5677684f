//! No value goes in and comes out again.

use std::borrow::Cow;

use proptest::prelude::*;

use super::action::tags;
use super::*;
use crate::dicom::{TransferSyntax, parse, write};

const SALT: &[u8] = b"a secret of more than sixteen bytes";
const CT: &str = "1.2.840.10008.5.1.4.1.1.2";

fn salt() -> Salt {
    Salt::new(SALT).unwrap()
}

fn element(tag: Tag, vr: Vr, bytes: &[u8]) -> Element<'static> {
    Element { tag, vr, value: Value::Bytes(Cow::Owned(bytes.to_vec())) }
}

/// A file with these elements, a class, an instance and a picture.
fn file(elements: Vec<Element<'static>>, syntax: TransferSyntax) -> Vec<u8> {
    let ui = Vr(*b"UI");
    let mut all = vec![element(PIXEL_DATA, Vr::OW, &[7; 32])];
    let defaults = [(SOP_CLASS, CT), (SOP_INSTANCE, "1.2.3.4")];
    for (tag, value) in defaults {
        if elements.iter().all(|element| element.tag != tag) {
            all.push(element(tag, ui, value.as_bytes()));
        }
    }
    all.extend(elements);
    all.sort_by_key(|element| element.tag);
    let data = DataSet { elements: all, big_endian: syntax.big_endian };
    let syntax_uid = element(TRANSFER_SYNTAX, ui, syntax.uid.as_bytes());
    let source = element(Tag(2, 0x16), Vr(*b"AE"), b"DOEHOSPITAL");
    let meta = DataSet { elements: vec![syntax_uid, source], big_endian: false };
    let mut bytes = write(&meta, &data, syntax).unwrap();
    bytes[..8].copy_from_slice(b"DOE^JANE");
    bytes
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// A value of a representation with letters in it that occur nowhere else; digits for those that
/// hold digits alone.
fn value(vr: Vr, letters: &str, digits: u64) -> Vec<u8> {
    match &vr.0 {
        b"DA" => format!("19{:02}0{}1{}", digits % 70, digits % 9 + 1, digits % 9),
        b"TM" => format!("1{:01}3{:01}2{:01}.{digits}", digits % 9, digits % 9, digits % 9),
        b"DT" => format!(
            "19{:02}0{}1{}101530.{}",
            digits % 70,
            digits % 9 + 1,
            digits % 9,
            digits % 999_999
        ),
        b"UI" => format!("1.2.826.{digits}"),
        b"AS" => format!("{:03}Y", digits % 119 + 1),
        b"DS" | b"IS" => format!("{digits}"),
        _ => letters.to_owned(),
    }
    .into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every attribute of the table, in the file and in an item of a sequence that stays, in three
    /// transfer syntaxes: no value's bytes are in the output.
    #[test]
    fn no_value_of_the_table_survives(
        letters in "[A-Z]{6}\\^[a-z]{8}",
        digits in 100_000_000_000_u64..999_999_999_999,
        syntax in prop::sample::select(vec![
            TransferSyntax::EXPLICIT,
            TransferSyntax::IMPLICIT,
            TransferSyntax::of_uid("1.2.840.10008.1.2.2").unwrap(),
        ]),
        shift in any::<bool>(),
    ) {
        let mut elements = Vec::new();
        let mut planted: Vec<Vec<u8>> = vec![b"DOE^JANE".to_vec(), b"DOEHOSPITAL".to_vec()];
        for (index, tag) in tags().into_iter().enumerate() {
            let vr = tag.vr();
            let bytes = value(vr, &format!("{letters}{index:03}"), digits + index as u64);
            let items = |bytes: &[u8]| {
                // A name that the item should not have, and a note that every item may have.
                let inner = vec![
                    element(Tag(0x0010, 0x0010), Vr(*b"PN"), bytes),
                    element(Tag(0x0040, 0xA160), Vr(*b"UT"), bytes),
                ];
                Value::Items(vec![DataSet { elements: inner, big_endian: syntax.big_endian }])
            };
            if vr == Vr::SQ {
                elements.push(Element { tag, vr, value: items(&bytes) });
                planted.push(bytes);
                continue;
            }
            // Binary numbers hold no letters; their bytes may stand anywhere by chance.
            if vr.is_text() || vr == Vr::UN {
                planted.push(bytes.clone());
            }
            elements.push(element(tag, vr, &bytes));
        }
        elements.push(element(Tag(0x0009, 0x0010), Vr(*b"LO"), b"DOEHOSPITAL"));
        elements.push(element(Tag(0x0009, 0x1001), Vr(*b"LO"), letters.as_bytes()));
        elements.push(element(Tag(0x6000, 0x3000), Vr::OW, letters.as_bytes()));
        elements.push(element(Tag(0x5000, 0x3000), Vr::OW, letters.as_bytes()));
        // Not in the table, not in the dictionary, or not what it should be.
        elements.push(element(Tag(0x0010, 0x9999), Vr(*b"LO"), letters.as_bytes()));
        elements.push(element(Tag(0xFFFC, 0xFFFC), Vr(*b"OB"), letters.as_bytes()));
        planted.push(letters.clone().into_bytes());

        let options = Options {
            dates: if shift { Dates::Shift } else { Dates::Remove },
            allow_burned_in: true,
        };
        let bytes = file(elements, syntax);
        let clean = deidentify(&bytes, &salt(), options).unwrap();
        for value in planted {
            let text = String::from_utf8(value.clone()).unwrap();
            // Times stay with the other option; short ages and dates may occur by chance, and are
            // looked at below.
            if text.len() < 9 || (shift && text.contains('.') && !text.starts_with("1.2.826")) {
                continue;
            }
            let place = text.trim_start_matches(&letters).parse().ok();
            let tag = place.and_then(|place: usize| tags().get(place).copied());
            prop_assert!(!has(&clean.bytes, &value), "{text} of {tag:?}");
        }
        let parsed = parse(&clean.bytes, None).unwrap();
        let before = parse(&bytes, None).unwrap();
        for element in &parsed.data.elements {
            if matches!(&element.tag.vr().0, b"DA" | b"DT" | b"AS") {
                let old = before.data.bytes(element.tag);
                prop_assert!(parsed.data.bytes(element.tag).is_none_or(|new| Some(new) != old), "{}", element.tag);
            }
        }
        prop_assert_eq!(parsed.data.bytes(PIXEL_DATA), Some(&[7; 32][..]));
        prop_assert_eq!(parsed.data.text(PATIENT_IDENTITY_REMOVED), Some("YES"));
        let report = serde_json::to_string(&clean.counts).unwrap();
        prop_assert!(!report.contains(&letters));
        // Another reader finds a well-formed file.
        let object = dicom_object::from_reader(&clean.bytes[..]).unwrap();
        let instance = object.element(dicom_object::Tag(8, 0x18)).unwrap().to_str().unwrap().into_owned();
        prop_assert_eq!(instance.trim_end_matches('\0'), &clean.instance);
    }
}

#[test]
fn pseudonyms_are_the_same_every_time_and_differ_by_salt() {
    let person = |id: &str| {
        let id = element(PATIENT_ID, Vr(*b"LO"), id.as_bytes());
        let series = element(Tag(0x0020, 0x000E), Vr(*b"UI"), b"1.2.3");
        let study = element(Tag(0x0008, 0x0020), Vr(*b"DA"), b"20240305");
        file(vec![id, series, study], TransferSyntax::EXPLICIT)
    };
    let options = Options { dates: Dates::Shift, allow_burned_in: false };
    let clean = |id: &str, salt: &Salt| deidentify(&person(id), salt, options).unwrap();
    let (a, again, b) = (clean("17", &salt()), clean("17", &salt()), clean("18", &salt()));
    assert_eq!(a.bytes, again.bytes);
    assert_eq!(a.instance, b.instance);
    assert_ne!(a.patient, b.patient);
    let other = clean("17", &Salt::new(b"another secret of many bytes").unwrap());
    assert_ne!((a.patient, a.instance.clone()), (other.patient, other.instance));
    let parsed = parse(&a.bytes, None).unwrap();
    let series = parsed.data.text(Tag(0x0020, 0x000E)).unwrap();
    assert!(series.starts_with("2.25.") && series.len() <= 64, "{series}");
    let date = parsed.data.text(Tag(0x0008, 0x0020)).unwrap();
    assert_eq!(Some(date.to_owned()), dates::back("20240305", salt().days("17")));
    assert_eq!(parsed.data.text(LONGITUDINAL), Some("MODIFIED"));
}

#[test]
fn pictures_that_may_show_names_are_refused() {
    let with = |tag, vr: &[u8; 2], value: &str| {
        let bytes = file(vec![element(tag, Vr(*vr), value.as_bytes())], TransferSyntax::EXPLICIT);
        let open = Options { allow_burned_in: true, ..Options::default() };
        (deidentify(&bytes, &salt(), Options::default()), deidentify(&bytes, &salt(), open).is_ok())
    };
    for (tag, vr, value) in [
        (BURNED_IN, b"CS", "YES"),
        (MODALITY, b"CS", "US"),
        (SOP_CLASS, b"UI", "1.2.840.10008.5.1.4.1.1.7"),
        (SOP_CLASS, b"UI", "1.2.840.10008.5.1.4.1.1.6.1"),
        (CONVERSION_TYPE, b"CS", "WSD"),
        (IMAGE_TYPE, b"CS", "DERIVED\\SECONDARY\\SCREEN SAVE"),
    ] {
        let (refused, allowed) = with(tag, vr, value);
        assert!(matches!(refused, Err(Refusal::BurnedIn(_))), "{tag}");
        assert!(allowed, "{tag}");
    }
    assert!(with(MODALITY, b"CS", "CT").0.is_ok());
    let (document, allowed) = with(SOP_CLASS, b"UI", "1.2.840.10008.5.1.4.1.1.104.1");
    assert_eq!((document.unwrap_err(), allowed), (Refusal::Document, false));
}

#[test]
fn an_identifier_is_no_way_out_of_the_folder() {
    let evil = b"1.2.840.10008./../../../etc/x";
    let bytes = file(vec![element(SOP_INSTANCE, Vr(*b"UI"), evil)], TransferSyntax::EXPLICIT);
    let clean = deidentify(&bytes, &salt(), Options::default()).unwrap();
    assert!(clean.instance.starts_with("2.25."), "{}", clean.instance);
    let two = file(vec![element(SOP_INSTANCE, Vr(*b"UI"), b"1.2\\1.3")], TransferSyntax::EXPLICIT);
    assert_eq!(deidentify(&two, &salt(), Options::default()).unwrap_err(), Refusal::Nameless);
}

#[test]
fn a_folder_goes_on_where_it_stopped() {
    let root = tempfile::tempdir().unwrap();
    let (input, output) = (root.path().join("DOE^JANE"), root.path().join("out"));
    std::fs::create_dir_all(input.join("study")).unwrap();
    for number in 1..=3 {
        let instance = element(SOP_INSTANCE, Vr(*b"UI"), format!("1.2.{number}").as_bytes());
        let name = element(Tag(0x0010, 0x0010), Vr(*b"PN"), b"DOE^JANE");
        let bytes = file(vec![instance, name], TransferSyntax::EXPLICIT);
        std::fs::write(input.join(format!("study/DOE{number}.dcm")), bytes).unwrap();
    }
    std::fs::copy(input.join("study/DOE1.dcm"), input.join("copy.dcm")).unwrap();
    std::fs::write(input.join("notes.txt"), "DOE").unwrap();
    let us = file(vec![element(MODALITY, Vr(*b"CS"), b"US")], TransferSyntax::EXPLICIT);
    std::fs::write(input.join("study/us.dcm"), us).unwrap();
    let run = |options: Options| deidentify_folder(&input, &output, &salt(), options, None);
    let first = run(Options::default()).unwrap();
    assert_eq!((first.files, first.written, first.repeated, first.not_dicom), (6, 3, 1, 1));
    assert_eq!((first.refused.len(), first.refused[0].number, first.patients), (1, 6, 1));
    let report = std::fs::read_to_string(output.join("deidentify.json")).unwrap();
    assert!(!report.contains("DOE") && report.contains("PatientName"), "{report}");
    let folder = std::fs::read_dir(&output).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        path.is_dir().then_some(path)
    });
    let gone = std::fs::read_dir(folder.unwrap()).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_file(gone).unwrap();
    let second = run(Options::default()).unwrap();
    assert_eq!((second.written, second.already_there), (1, 2));
    let other = run(Options { dates: Dates::Shift, ..Options::default() }).unwrap_err();
    assert!(other.to_string().contains("choose an empty folder"), "{other}");
    let inside = deidentify_folder(&input, &input.join("out"), &salt(), Options::default(), None);
    assert!(inside.unwrap_err().to_string().contains("outside of it"));
}

#[test]
fn a_salt_is_made_once_and_kept_private() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("salt");
    let first = Salt::of_file(&path).unwrap();
    assert_eq!(first.uid("1.2.3"), Salt::of_file(&path).unwrap().uid("1.2.3"));
    assert_eq!(first.uid("1.2.840.10008.1.2"), "1.2.840.10008.1.2");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o77, 0);
    }
    std::fs::write(&path, "short").unwrap();
    assert!(Salt::of_file(&path).unwrap_err().to_string().contains("at least 16 bytes"));
}
