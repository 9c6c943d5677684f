//! Reading and writing safetensors: against files of the reference implementation, in shards, and
//! against files that somebody broke, by accident or on purpose.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use half::f16;
use pefomed_kernels::mapped::MappedFile;
use pefomed_model::ModelError;
use pefomed_model::weights::{
    SafetensorsFile, StoredType, TensorSource as _, TensorValues, write_safetensors,
};
use proptest::prelude::*;

/// This many cases; a failing one is printed whole, so no file needs to keep it.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The tensors of `mixed.safetensors`, in an order that is not the file's.
fn mixed() -> Vec<(String, Vec<usize>, TensorValues)> {
    let half = [0.1, 65504.0, -6e-8].map(f16::from_f64).to_vec();
    let weight = vec![-0.5, -0.25, 0.0, 0.25, 0.5, 0.75];
    vec![
        ("state".into(), vec![3], TensorValues::U8(vec![0, 127, 255])),
        ("half".into(), vec![1, 3], TensorValues::F16(half)),
        ("weight".into(), vec![2, 3], TensorValues::F32(weight)),
        ("step".into(), vec![2], TensorValues::I64(vec![-1, 1 << 40])),
        ("bias".into(), vec![2], TensorValues::F32(vec![1.5, -0.25])),
    ]
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn ones(name: &str, count: usize) -> (String, Vec<usize>, TensorValues) {
    (name.to_owned(), vec![count], TensorValues::F32(vec![1.0; count]))
}

/// A file with this header and as many zero bytes of data.
fn file_with(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

fn read(bytes: &[u8]) -> Result<SafetensorsFile, ModelError> {
    SafetensorsFile::from_mapped("hostile.safetensors".into(), MappedFile::from_vec(bytes.into()))
}

/// Reads everything there is to read; errors are fine, a panic is not.
fn read_all(file: &SafetensorsFile) {
    for name in file.names() {
        let count: usize = file.shape(name).unwrap().iter().product();
        if let Ok(values) = file.read_f32(name) {
            assert_eq!(values.len(), count, "{name}");
        }
        let _ = file.read_i64(name);
        let _ = file.read_u8(name);
    }
}

#[test]
fn a_file_of_the_reference_writer_is_read() {
    let file = SafetensorsFile::open(&fixture("mixed.safetensors")).unwrap();
    assert_eq!(file.names(), ["bias", "half", "state", "step", "weight"]);
    assert_eq!(file.shape("weight"), Some([2, 3].as_slice()));
    assert_eq!(file.shape("absent"), None);
    assert_eq!(file.dtype("half"), Some(StoredType::F16));
    assert_eq!(file.dtype("step").unwrap().to_string(), "I64");
    assert_eq!(file.read_f32("weight").unwrap(), [-0.5, -0.25, 0.0, 0.25, 0.5, 0.75]);
    // 0.1 and -6e-8 as half precision holds them: 1638.0/2^14 and one unit of 2^-24.
    let half = [1638.0 / 16384.0, 65504.0, -(2.0_f32.powi(-24))];
    assert_eq!(file.read_f32("half").unwrap(), half);
    assert_eq!(file.read_i64("step").unwrap(), [-1, 1 << 40]);
    assert_eq!(file.read_u8("state").unwrap(), [0, 127, 255]);
    assert_eq!(file.metadata(), &pairs(&[("format", "pt")]));
}

#[test]
fn types_that_do_not_fit_are_refused_by_name() {
    let file = SafetensorsFile::open(&fixture("mixed.safetensors")).unwrap();
    let message = file.read_f32("step").unwrap_err().to_string();
    assert!(message.contains("`step` is stored as I64"), "{message}");
    let message = file.read_i64("weight").unwrap_err().to_string();
    assert!(message.contains("`weight` is stored as F32"), "{message}");
    assert!(matches!(file.read_u8("weights"), Err(ModelError::TensorMissing { .. })));
}

#[test]
fn bf16_and_f64_widen_to_f32() {
    let header = r#"{"b":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]},
        "d":{"dtype":"F64","shape":[1],"data_offsets":[4,12]}}"#;
    let mut bytes = file_with(header, 0);
    // bf16 is the upper half of an f32: 1.0 = 3f80, -2.5 = c020.
    bytes.extend_from_slice(&[0x80, 0x3f, 0x20, 0xc0]);
    bytes.extend_from_slice(&0.1_f64.to_le_bytes());
    let file = read(&bytes).unwrap();
    assert_eq!(file.read_f32("b").unwrap(), [1.0, -2.5]);
    assert_eq!(file.read_f32("d").unwrap(), [0.1_f32]);
}

#[test]
fn writing_gives_the_bytes_of_the_reference_writer_in_any_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mixed.safetensors");
    let expected = std::fs::read(fixture("mixed.safetensors")).unwrap();
    let mut tensors = mixed();
    for _ in 0..tensors.len() {
        write_safetensors(&path, &tensors, &pairs(&[("format", "pt")])).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), expected);
        tensors.rotate_left(1);
    }
}

#[test]
fn metadata_is_written_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let metadata = pairs(&[("b", "2"), ("a", "\"1\"\n"), ("c", "ü")]);
    write_safetensors(&path, &[ones("x", 1)], &metadata).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let order = ["\"a\":", "\"b\":", "\"c\":"].map(|key| text.find(key).unwrap());
    assert!(order.is_sorted(), "{text}");
    assert_eq!(SafetensorsFile::open(&path).unwrap().metadata(), &metadata);
}

#[test]
fn tensors_that_cannot_be_written_leave_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let write = |tensors: &[_]| write_safetensors(&path, tensors, &BTreeMap::new()).unwrap_err();
    let short = ("x".to_owned(), vec![2, 2], TensorValues::F32(vec![0.0; 3]));
    assert!(write(&[short]).to_string().contains("[2, 2] does not hold 3 values"));
    let huge = ("x".to_owned(), vec![usize::MAX, 2], TensorValues::U8(vec![]));
    assert!(matches!(write(&[huge]), ModelError::WriteShape { .. }));
    assert!(write(&[ones("x", 1), ones("x", 2)]).to_string().contains("used twice"));
    assert!(write(&[ones("__metadata__", 1)]).to_string().contains("reserved"));
    assert!(!path.exists());
}

#[test]
fn the_digest_depends_on_the_bytes_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("elsewhere.safetensors");
    let bytes = std::fs::read(fixture("mixed.safetensors")).unwrap();
    std::fs::write(&path, &bytes).unwrap();
    let digest = SafetensorsFile::open(&path).unwrap().digest();
    assert_eq!(digest, SafetensorsFile::open(&fixture("mixed.safetensors")).unwrap().digest());
    assert_eq!(digest, read(&bytes).unwrap().digest());
    let mut changed = bytes;
    *changed.last_mut().unwrap() ^= 1;
    assert_ne!(digest, read(&changed).unwrap().digest());
}

/// A folder with two shards: `a` and `b` in the first, `c` in the second.
fn shards(weight_map: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let none = BTreeMap::new();
    write_safetensors(&at("one.safetensors"), &[ones("a", 1), ones("b", 2)], &none).unwrap();
    write_safetensors(&at("two.safetensors"), &[ones("c", 3)], &none).unwrap();
    let index = format!(r#"{{"metadata":{{"total_size":24}},"weight_map":{weight_map}}}"#);
    std::fs::write(at("model.safetensors.index.json"), index).unwrap();
    folder
}

#[test]
fn shards_are_one_model() {
    let map = r#"{"c":"two.safetensors","a":"one.safetensors","b":"one.safetensors"}"#;
    let folder = shards(map);
    let file = SafetensorsFile::open(folder.path()).unwrap();
    assert_eq!(file.names(), ["a", "b", "c"]);
    assert_eq!(file.read_f32("b").unwrap(), [1.0; 2]);
    assert_eq!(file.read_f32("c").unwrap(), [1.0; 3]);
    assert!(file.origin().ends_with("model.safetensors.index.json"));
    let list = folder.path().join("model.safetensors.index.json");
    assert_eq!(SafetensorsFile::open(&list).unwrap().digest(), file.digest());
    // A whole file beside the list wins.
    let whole = folder.path().join("model.safetensors");
    write_safetensors(&whole, &[ones("only", 1)], &BTreeMap::new()).unwrap();
    assert_eq!(SafetensorsFile::open(folder.path()).unwrap().names(), ["only"]);
}

#[test]
fn lists_of_shards_that_lie_are_refused() {
    let refused = |map: &str| SafetensorsFile::open(shards(map).path()).unwrap_err();
    let message = refused(r#"{"a":"three.safetensors"}"#).to_string();
    assert!(message.contains("`three.safetensors`, which is missing"), "{message}");
    let message = refused(r#"{"c":"one.safetensors"}"#).to_string();
    assert!(message.contains("`c` in `one.safetensors`, which does not hold it"), "{message}");
    assert!(message.contains("model.safetensors.index.json"), "{message}");
    for outside in [
        "../one.safetensors",
        "/etc/passwd",
        "..",
        ".",
        "",
        "sub/one.safetensors",
        "./one.safetensors",
        "..\\\\one.safetensors",
        "C:one.safetensors",
        "one.safetensors\\u0000",
    ] {
        let error = refused(&format!(r#"{{"a":"{outside}"}}"#));
        assert!(matches!(error, ModelError::ShardOutside { .. }), "{outside:?}: {error}");
    }
    for garbage in ["[]", "{\"a\":1}", "{\"a\":[\"one.safetensors\"]}", "{", "null"] {
        let error = refused(garbage);
        assert!(matches!(error, ModelError::Data(_)), "{garbage}: {error}");
        assert!(error.to_string().contains("index.json"), "{error}");
    }
}

#[test]
fn folders_and_files_that_are_not_there_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let message = SafetensorsFile::open(folder.path()).unwrap_err().to_string();
    assert!(message.contains("holds neither `model.safetensors`"), "{message}");
    let missing = folder.path().join("absent.safetensors");
    let message = SafetensorsFile::open(&missing).unwrap_err().to_string();
    assert!(message.contains("absent.safetensors"), "{message}");
}

#[test]
fn every_truncation_is_refused() {
    let bytes = std::fs::read(fixture("mixed.safetensors")).unwrap();
    for end in 0..bytes.len() {
        let error = read(&bytes[..end]).unwrap_err();
        assert!(matches!(error, ModelError::Safetensors { .. }), "cut at {end}: {error}");
    }
    let longer: Vec<u8> = bytes.iter().copied().chain([0]).collect();
    assert!(read(&longer).is_err(), "bytes after the end belong to no tensor");
}

#[test]
fn headers_that_lie_are_refused() {
    let entry = |shape: &str, offsets: &str| {
        format!(r#""x":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}"#)
    };
    let with_y = |offsets: &str| {
        let x = entry("[2]", "[0,8]");
        format!(r#"{{{x},"y":{{"dtype":"F32","shape":[1],"data_offsets":{offsets}}}}}"#)
    };
    let cases = [
        ("overlap", with_y("[4,8]"), 8),
        ("gap", with_y("[12,16]"), 16),
        ("same bytes", with_y("[0,8]"), 8),
        ("beyond the end", format!("{{{}}}", entry("[4]", "[0,16]")), 8),
        ("backwards", format!("{{{}}}", entry("[1]", "[4,0]")), 4),
        ("shape and offsets differ", format!("{{{}}}", entry("[3]", "[0,8]")), 8),
        ("overflow", format!("{{{}}}", entry("[4294967296,4294967296,4]", "[0,0]")), 0),
        ("negative", format!("{{{}}}", entry("[-1]", "[0,4]")), 4),
        ("unknown type", r#"{"x":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}}"#.into(), 4),
        ("no offsets", r#"{"x":{"dtype":"F32","shape":[1]}}"#.into(), 4),
        ("no object", "[1,2,3]".into(), 0),
        ("garbage", "<html>404</html>".into(), 0),
        ("deeply nested", "[".repeat(100_000), 0),
        ("metadata that is no text", r#"{"__metadata__":{"a":1}}"#.into(), 0),
    ];
    for (attack, header, data) in cases {
        let error = read(&file_with(&header, data)).unwrap_err();
        assert!(matches!(error, ModelError::Safetensors { .. }), "{attack}: {error}");
        assert!(error.to_string().contains("hostile.safetensors"), "{attack}: {error}");
    }
    for length in [0, 1, 99_999_999, 100_000_001, u64::MAX - 8, u64::MAX] {
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend_from_slice(b"{}");
        assert!(read(&bytes).is_err(), "header of {length} bytes");
    }
    let mut bytes = file_with("{}  ", 0);
    bytes[9] = 0xff;
    assert!(read(&bytes).is_err(), "not UTF-8");
}

fn any_tensor() -> impl Strategy<Value = (Vec<usize>, TensorValues)> {
    prop::collection::vec(0_usize..4, 0..4).prop_flat_map(|shape| {
        let count = shape.iter().product::<usize>();
        let values = prop_oneof![
            prop::collection::vec(any::<f32>(), count).prop_map(TensorValues::F32),
            prop::collection::vec(any::<i64>(), count).prop_map(TensorValues::I64),
            prop::collection::vec(any::<u8>(), count).prop_map(TensorValues::U8),
        ];
        (Just(shape), values)
    })
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn what_is_written_is_read(tensors in prop::collection::btree_map(".{0,12}", any_tensor(), 0..6)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let list: Vec<_> = tensors
            .iter()
            .map(|(name, (shape, values))| (name.clone(), shape.clone(), values.clone()))
            .collect();
        write_safetensors(&path, &list, &BTreeMap::new()).unwrap();
        let file = SafetensorsFile::open(folder.path()).unwrap();
        prop_assert_eq!(file.names(), tensors.keys().map(String::as_str).collect::<Vec<_>>());
        for (name, (shape, values)) in &tensors {
            prop_assert_eq!(file.shape(name), Some(shape.as_slice()));
            match values {
                TensorValues::F32(values) => {
                    let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                    prop_assert_eq!(bits(&file.read_f32(name).unwrap()), bits(values));
                }
                TensorValues::I64(values) => prop_assert_eq!(&file.read_i64(name).unwrap(), values),
                TensorValues::U8(values) => prop_assert_eq!(&file.read_u8(name).unwrap(), values),
                TensorValues::F16(_) => unreachable!("not generated"),
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(4000))]

    #[test]
    fn flipped_bits_never_panic(flips in prop::collection::vec((0_usize..393, 0_u8..8), 1..6)) {
        let mut bytes = std::fs::read(fixture("mixed.safetensors")).unwrap();
        for (at, bit) in flips {
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
        }
        if let Ok(file) = read(&bytes) {
            read_all(&file);
        }
    }
}
