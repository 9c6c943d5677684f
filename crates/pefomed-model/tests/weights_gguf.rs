//! Reading GGUF: against a file and values of the reference implementation, and against files that
//! somebody broke, by accident or on purpose.

use std::path::{Path, PathBuf};

use pefomed_kernels::mapped::MappedFile;
use pefomed_model::ModelError;
use pefomed_model::weights::{
    GgufFault, GgufFile, SafetensorsFile, StoredType, TensorSource as _, rotary_pairs_to_halves,
};
use proptest::prelude::*;

/// This many cases; a failing one is printed whole, so no file needs to keep it.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn read(bytes: &[u8]) -> Result<GgufFile, ModelError> {
    GgufFile::from_mapped("hostile.gguf".into(), MappedFile::from_vec(bytes.into()))
}

fn fault(bytes: &[u8]) -> GgufFault {
    match read(bytes) {
        Err(ModelError::Gguf { origin, fault }) => {
            assert_eq!(origin, "hostile.gguf");
            fault
        }
        other => panic!("expected a fault, got {other:?}"),
    }
}

/// A file written by hand, so that each of its numbers can be made wrong.
#[derive(Clone)]
struct Written {
    version: u32,
    tensors: Option<u64>,
    pairs: Option<u64>,
    metadata: Vec<Vec<u8>>,
    descriptions: Vec<Vec<u8>>,
    alignment: usize,
    data: usize,
}

impl Written {
    fn new() -> Self {
        let (metadata, descriptions) = (Vec::new(), Vec::new());
        let (tensors, pairs) = (None, None);
        Self { version: 3, tensors, pairs, metadata, descriptions, alignment: 32, data: 0 }
    }

    /// A metadata pair whose value is given as bytes.
    fn pair(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
        let mut bytes = text(key);
        bytes.extend(kind.to_le_bytes());
        bytes.extend(value);
        self.metadata.push(bytes);
        self
    }

    /// A tensor, dimensions as in the file: the innermost first.
    fn tensor(mut self, name: &str, sizes: &[u64], kind: u32, offset: u64) -> Self {
        let mut bytes = text(name);
        bytes.extend((sizes.len() as u32).to_le_bytes());
        bytes.extend(sizes.iter().flat_map(|size| size.to_le_bytes()));
        bytes.extend(kind.to_le_bytes());
        bytes.extend(offset.to_le_bytes());
        self.descriptions.push(bytes);
        self
    }

    fn data(mut self, bytes: usize) -> Self {
        self.data = bytes;
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(self.version.to_le_bytes());
        let tensors = self.tensors.unwrap_or(self.descriptions.len() as u64);
        bytes.extend(tensors.to_le_bytes());
        bytes.extend(self.pairs.unwrap_or(self.metadata.len() as u64).to_le_bytes());
        bytes.extend(self.metadata.concat());
        bytes.extend(self.descriptions.concat());
        bytes.resize(bytes.len().next_multiple_of(self.alignment), 0);
        bytes.extend((0..self.data).map(|i| (i * 37 % 251) as u8));
        bytes
    }
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

/// Kind and count of an array, whose elements follow.
fn array_head(kind: u32, count: u64) -> Vec<u8> {
    [kind.to_le_bytes().as_slice(), count.to_le_bytes().as_slice()].concat()
}

const U32: u32 = 4;
const TEXT: u32 = 8;
const ARRAY: u32 = 9;

/// A small valid file with every part the format has.
fn small() -> Written {
    Written::new()
        .pair("general.architecture", TEXT, &text("llama"))
        .pair("count", U32, &7_u32.to_le_bytes())
        .pair("words", ARRAY, &[array_head(TEXT, 2), text("a"), text("bc")].concat())
        .pair("deep", ARRAY, &[array_head(ARRAY, 1), array_head(0, 3), vec![1, 2, 3]].concat())
        .tensor("q", &[32, 2], 3, 0)
        .tensor("f", &[3], 0, 64)
        .data(76)
}

/// Reads everything there is to read; errors are fine, a panic is not.
fn read_all(file: &GgufFile) {
    for name in file.names() {
        let count: usize = file.shape(name).unwrap().iter().product();
        if let Ok(values) = file.read_f32(name) {
            assert_eq!(values.len(), count, "{name}");
        }
    }
    for key in file.keys() {
        let _ = (file.str(key), file.u64(key), file.f64(key), file.bool(key));
        let _ = (file.string_array(key), file.i32_array(key), file.f32_array(key));
        file.describe(key).unwrap();
    }
}

#[test]
fn dequantized_values_are_those_of_the_reference_to_the_bit() {
    let file = GgufFile::open(&fixture("dequant.gguf")).unwrap();
    let expected = SafetensorsFile::open(&fixture("dequant.safetensors")).unwrap();
    assert_eq!(file.names(), expected.names());
    assert_eq!(file.names().len(), 12);
    for name in file.names() {
        let stored = file.dtype(name).unwrap().to_string();
        assert_eq!(name.rsplit('.').next(), Some(stored.as_str()));
        assert_eq!(file.shape(name), expected.shape(name), "{name}");
        let values = file.read_f32(name).unwrap();
        let reference = expected.read_f32(name).unwrap();
        assert!(values.iter().any(|&value| value != 0.0), "{name} is all zero");
        assert_eq!(values.len(), reference.len(), "{name}");
        for (i, (value, reference)) in values.iter().zip(&reference).enumerate() {
            // Equal as numbers, not as bits: the sign of a zero is nobody's business.
            assert!(value == reference, "{name}, value {i}: {value} instead of {reference}");
        }
    }
}

#[test]
fn metadata_of_every_kind_is_read() {
    let file = GgufFile::open(&fixture("dequant.gguf")).unwrap();
    assert_eq!(file.str("general.architecture").unwrap(), "llama");
    assert_eq!(file.str("kind.text").unwrap(), "Größe ▁");
    assert_eq!(file.u64("kind.u8").unwrap(), 200);
    assert_eq!(file.u64("kind.u16").unwrap(), 60_000);
    assert_eq!(file.u64("kind.u32").unwrap(), 4_000_000_000);
    assert_eq!(file.u64("kind.u64").unwrap(), u64::MAX);
    assert_eq!(file.f64("kind.f32").unwrap(), f64::from(1e-5_f32));
    assert_eq!(file.f64("kind.f64").unwrap(), 1e-300);
    assert!(file.bool("kind.true").unwrap());
    assert!(!file.bool("kind.false").unwrap());
    assert_eq!(file.string_array("kind.texts").unwrap(), ["", "Ġthe", "▁Lunge"]);
    assert_eq!(file.i32_array("kind.i32s").unwrap(), [3, -1, i32::MAX]);
    assert_eq!(file.f32_array("kind.f32s").unwrap(), [0.5, -1e-3]);
    assert_eq!(file.describe("kind.nested").unwrap(), "an array of 2 values, each an array");
    assert!(file.has_key("kind.nested") && !file.has_key("kind.none"));
}

#[test]
fn metadata_of_the_wrong_kind_is_named() {
    let file = GgufFile::open(&fixture("dequant.gguf")).unwrap();
    let message = |error: ModelError| error.to_string();
    let negative = message(file.u64("kind.i8").unwrap_err());
    assert!(negative.contains("`kind.i8` holds the integer -100"), "{negative}");
    let lowest = message(file.u64("kind.i64").unwrap_err());
    assert!(lowest.contains("-9223372036854775808"), "{lowest}");
    let number = message(file.str("kind.f64").unwrap_err());
    assert!(number.contains("`kind.f64` holds a real number, but text is needed"), "{number}");
    let words = message(file.i32_array("kind.texts").unwrap_err());
    assert!(words.contains("an array of 3 values, each text"), "{words}");
    assert!(file.string_array("kind.text").is_err());
    assert!(file.str("kind.texts").is_err());
    assert!(file.i32_array("kind.nested").is_err());
    let missing = message(file.u64("llama.block_count").unwrap_err());
    assert!(missing.contains("dequant.gguf` has no metadata key `llama.block_count`"), "{missing}");
}

#[test]
fn shapes_are_turned_around_and_both_versions_read() {
    for version in [2, 3] {
        let file = read(&Written { version, ..small() }.bytes()).unwrap();
        assert_eq!(file.shape("q"), Some([2, 32].as_slice()));
        assert_eq!(file.dtype("q"), Some(StoredType::Q4_1));
        assert_eq!(file.string_array("words").unwrap(), ["a", "bc"]);
        // Bytes 64 to 76 of the data.
        let byte = |i: usize| (i * 37 % 251) as u8;
        let f = [64, 68, 72].map(|i| f32::from_le_bytes([0, 1, 2, 3].map(|j| byte(i + j))));
        assert_eq!(file.read_f32("f").unwrap(), f);
        assert!(matches!(file.read_f32("g"), Err(ModelError::TensorMissing { .. })));
    }
}

#[test]
fn the_alignment_of_the_file_is_kept() {
    let aligned = |said: u32, kept: usize| {
        let mut written = Written::new()
            .pair("general.alignment", U32, &said.to_le_bytes())
            .pair("pad", U32, &[0; 4])
            .tensor("a", &[1], 0, 0)
            .tensor("b", &[1], 0, 8)
            .data(12);
        written.alignment = kept;
        let mut bytes = written.bytes();
        let end = bytes.len();
        bytes[end - 4..].copy_from_slice(&2.5_f32.to_le_bytes());
        bytes
    };
    // With 32 the data would start elsewhere, or the test would prove nothing.
    assert_ne!((aligned(8, 8).len() - 12) % 32, 0);
    assert_eq!(read(&aligned(8, 8)).unwrap().read_f32("b").unwrap(), [2.5]);
    assert!(matches!(fault(&aligned(32, 32)), GgufFault::Unaligned { offset: 8, .. }));
    assert!(matches!(fault(&aligned(0, 8)), GgufFault::Alignment { alignment: 0 }));
    assert!(matches!(fault(&aligned(12, 8)), GgufFault::Alignment { alignment: 12 }));
    // An alignment beyond the end of the file leaves no data.
    assert!(matches!(fault(&aligned(1 << 31, 8)), GgufFault::OutsideFile { data: 0, .. }));
}

#[test]
fn rotary_rows_move_half_a_head_apart() {
    // Two heads of four rows, one column: pairs (0,1) (2,3) become (0,2) (1,3).
    let weight: Vec<f32> = [0.0, 1.0, 2.0, 3.0, 10.0, 11.0, 12.0, 13.0].to_vec();
    let halves = rotary_pairs_to_halves(&weight, 8, 2).unwrap();
    assert_eq!(halves, [0.0, 2.0, 1.0, 3.0, 10.0, 12.0, 11.0, 13.0]);
    let wide: Vec<f32> = (0..8).map(|i| i as f32).collect();
    let halves = rotary_pairs_to_halves(&wide, 4, 1).unwrap();
    assert_eq!(halves, [0.0, 1.0, 4.0, 5.0, 2.0, 3.0, 6.0, 7.0]);
    for (rows, heads) in [(8, 0), (8, 3), (6, 2), (0, 1), (3, 1)] {
        assert_eq!(
            rotary_pairs_to_halves(&weight, rows, heads),
            None,
            "{rows} rows, {heads} heads"
        );
    }
}

#[test]
fn every_truncation_is_refused() {
    let bytes = small().bytes();
    read(&bytes).unwrap();
    for end in 0..bytes.len() {
        let error = read(&bytes[..end]).unwrap_err();
        assert!(matches!(error, ModelError::Gguf { .. }), "cut at {end}: {error}");
    }
}

#[test]
fn beginnings_that_are_not_gguf_are_refused() {
    assert!(matches!(fault(b""), GgufFault::Magic));
    assert!(matches!(fault(b"GGU"), GgufFault::Magic));
    assert!(matches!(fault(b"<html>404</html>"), GgufFault::Magic));
    for version in [0, 1, 4, u32::MAX] {
        let found = fault(&Written { version, ..small() }.bytes());
        assert!(matches!(found, GgufFault::Version { version: v } if v == version), "{found}");
    }
    let swapped = Written { version: 3_u32.swap_bytes(), ..small() };
    assert!(matches!(fault(&swapped.bytes()), GgufFault::BigEndian));
}

#[test]
fn counts_that_the_file_cannot_hold_are_refused() {
    for count in [1 << 20, 1 << 32, u64::MAX / 8, u64::MAX] {
        let refused = |written: Written, what: &str| {
            let found = fault(&written.bytes());
            let right = matches!(found, GgufFault::Count { counted, count: c, .. }
                if counted == what && c == count);
            assert!(right, "{what}: {found}");
        };
        refused(Written { tensors: Some(count), ..small() }, "tensors");
        refused(Written { pairs: Some(count), ..small() }, "metadata pairs");
        refused(small().pair("long", TEXT, &count.to_le_bytes()), "bytes of text");
        for kind in [0, 6, TEXT, ARRAY, 12] {
            let many = small().pair("many", ARRAY, &array_head(kind, count));
            refused(many, "elements of an array");
        }
    }
    // One too many is enough.
    for more in [Written { tensors: Some(3), ..small() }, Written { pairs: Some(5), ..small() }] {
        assert!(read(&more.bytes()).is_err());
    }
}

#[test]
fn metadata_that_lies_is_refused() {
    let twice = small().pair("count", U32, &[0; 4]);
    assert!(matches!(fault(&twice.bytes()), GgufFault::DuplicateKey { key } if key == "count"));
    let kind = small().pair("odd", 13, &[0; 8]);
    assert!(matches!(fault(&kind.bytes()), GgufFault::ValueKind { kind: 13, .. }));
    let element = small().pair("odd", ARRAY, &array_head(99, 1));
    assert!(matches!(fault(&element.bytes()), GgufFault::ValueKind { kind: 99, .. }));
    let truth = small().pair("odd", 7, &[2]);
    assert!(matches!(fault(&truth.bytes()), GgufFault::Bool { value: 2, .. }));
    let latin = small().pair("odd", TEXT, &[2, 0, 0, 0, 0, 0, 0, 0, b'a', 0xe4]);
    assert!(matches!(fault(&latin.bytes()), GgufFault::Utf8 { .. }));
    // A million arrays, each the only element of the one before: no recursion without a limit.
    let nested = small().pair("deep2", ARRAY, &array_head(ARRAY, 1).repeat(1_000_000));
    assert!(matches!(fault(&nested.bytes()), GgufFault::Nesting { .. }));
}

#[test]
fn tensors_that_lie_are_refused() {
    let found = |written: Written| fault(&written.bytes());
    let overlap = found(small().tensor("o", &[4], 0, 32));
    let message = overlap.to_string();
    assert_eq!(message, "tensors `q` and `o` overlap");
    let same = found(small().tensor("o", &[4], 0, 0));
    assert!(matches!(same, GgufFault::Overlap { .. }), "{same}");
    let twice = found(small().tensor("q", &[1], 0, 96).data(100));
    assert!(matches!(twice, GgufFault::DuplicateTensor { ref tensor } if tensor == "q"), "{twice}");
    for offset in [96, 1 << 40, u64::MAX - 31] {
        let outside = found(small().tensor("o", &[1], 0, offset));
        assert!(matches!(outside, GgufFault::OutsideFile { ref tensor, .. } if tensor == "o"));
    }
    let uneven = found(small().tensor("o", &[1], 0, 97));
    assert!(matches!(uneven, GgufFault::Unaligned { offset: 97, .. }), "{uneven}");
    let rows = found(small().tensor("o", &[33, 2], 3, 96));
    assert!(rows.to_string().contains("rows of 33 values, not a multiple of the 32"), "{rows}");
    let many = found(small().tensor("o", &[1; 5], 0, 96));
    assert!(matches!(many, GgufFault::Dimensions { count: 5, .. }), "{many}");
    for sizes in [
        [1 << 32, 1 << 32, 1, 1],
        [u64::MAX, 1, 1, 1],
        [1 << 62, 1, 1, 1],
        // A zero somewhere must not hide it.
        [0, 1 << 32, 1 << 32, 1],
        [1 << 32, 1 << 32, 0, 1],
    ] {
        let large = found(small().tensor("o", &sizes, 0, 96));
        assert!(matches!(large, GgufFault::TensorSize { .. }), "{sizes:?}: {large}");
    }
}

#[test]
fn types_that_cannot_be_decoded_are_named() {
    let known = fault(&small().tensor("blk.0.ffn_up.weight", &[256], 10, 96).bytes()).to_string();
    assert!(known.contains("`blk.0.ffn_up.weight` is stored as Q2_K (type 10)"), "{known}");
    let unknown = fault(&small().tensor("x", &[256], 4_000_000, 96).bytes()).to_string();
    assert!(unknown.contains("`x` is stored as an unknown type (type 4000000)"), "{unknown}");
    // Integers can be stored and skipped, but not read as real numbers.
    let integers = read(&small().tensor("ids", &[2], 27, 96).data(112).bytes()).unwrap();
    let message = integers.read_f32("ids").unwrap_err().to_string();
    assert!(message.contains("`ids` is stored as I64"), "{message}");
}

#[test]
fn empty_and_scalar_tensors_are_read() {
    let file = read(
        &Written::new()
            .tensor("scalar", &[], 0, 0)
            .tensor("empty", &[0, 5], 0, 32)
            .data(32)
            .bytes(),
    )
    .unwrap();
    assert_eq!(file.shape("scalar"), Some([].as_slice()));
    assert_eq!(file.read_f32("scalar").unwrap().len(), 1);
    assert_eq!(file.shape("empty"), Some([5, 0].as_slice()));
    assert_eq!(file.read_f32("empty").unwrap(), [0.0; 0]);
    assert!(read(&Written::new().bytes()).unwrap().names().is_empty());
}

proptest! {
    #![proptest_config(cases(8000))]

    #[test]
    fn flipped_bits_never_panic(flips in prop::collection::vec((any::<usize>(), 0_u8..8), 1..6)) {
        let mut bytes = small().bytes();
        for (at, bit) in flips {
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
        }
        if let Ok(file) = read(&bytes) {
            read_all(&file);
        }
    }

    #[test]
    fn numbers_replaced_by_extremes_never_panic(
        at in any::<usize>(),
        number in prop_oneof![Just(u64::MAX), Just(1 << 63), Just(1 << 32), Just(0), any::<u64>()],
    ) {
        let mut bytes = small().bytes();
        let at = at % (bytes.len() - 8);
        bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
        if let Ok(file) = read(&bytes) {
            read_all(&file);
        }
    }
}
