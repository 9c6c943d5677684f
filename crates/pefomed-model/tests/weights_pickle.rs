//! Reading what `torch.save` writes: against files and values of PyTorch, and against files that
//! somebody broke, by accident or on purpose.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use pefomed_kernels::mapped::MappedFile;
use pefomed_model::ModelError;
use pefomed_model::weights::{self, SafetensorsFile, StoredType, TensorSource, TorchFile};
use proptest::prelude::*;

/// This many cases; a failing one is printed whole, so no file needs to keep it.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn tests(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

fn golden(name: &str) -> PathBuf {
    tests("fixtures/torch").join(name)
}

fn hostile(name: &str) -> Result<TorchFile, ModelError> {
    TorchFile::open(&tests("hostile/pickle").join(format!("{name}.pth")))
}

fn read(bytes: Vec<u8>) -> Result<TorchFile, ModelError> {
    TorchFile::from_mapped("hostile.pth".into(), MappedFile::from_vec(bytes))
}

#[test]
fn tensors_of_every_type_and_layout_are_those_of_pytorch() {
    let found = TorchFile::open(&golden("plain.pth")).unwrap();
    let expected = SafetensorsFile::open(&golden("plain.safetensors")).unwrap();
    assert_eq!(found.names(), expected.names());
    assert_eq!((found.part(), found.beside().len(), found.refused().len()), (None, 0, 0));
    let mut compared = 0;
    for name in expected.names() {
        assert_eq!(found.shape(name), expected.shape(name), "{name}");
        if let StoredType::Other(_) = found.dtype(name).unwrap() {
            let message = found.read_f32(name).unwrap_err().to_string();
            assert!(message.contains("cannot be read as real numbers"), "{message}");
        } else {
            let (found, expected) = (found.read_f32(name), expected.read_f32(name));
            assert_eq!(found.unwrap(), expected.unwrap(), "{name}");
            compared += 1;
        }
    }
    assert_eq!(compared, 15);
    for (name, stored) in [
        ("float64", StoredType::F64),
        ("float16", StoredType::F16),
        ("bfloat16", StoredType::BF16),
        ("transposed", StoredType::F32),
    ] {
        assert_eq!(found.dtype(name), Some(stored), "{name}");
    }
    assert!(matches!(found.read_f32("float"), Err(ModelError::TensorMissing { .. })));
    // The digest is that of the file, whatever its name.
    let bytes = fs::read(golden("plain.pth")).unwrap();
    assert_eq!(read(bytes).unwrap().digest(), found.digest());
}

#[test]
fn the_model_is_found_in_a_checkpoint() {
    let found = TorchFile::open(&golden("nested.pth")).unwrap();
    let expected = SafetensorsFile::open(&golden("nested.safetensors")).unwrap();
    assert_eq!(found.part(), Some("model"));
    assert_eq!(found.names(), ["bias", "weight"]);
    for name in found.names() {
        assert_eq!(found.read_f32(name).unwrap(), expected.read_f32(name).unwrap(), "{name}");
    }
    let beside: Vec<_> = found.beside().iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(beside, ["optimizer", "config", "scaler", "epoch"]);
    assert_eq!(found.beside()[3].1, "the integer 4");
    assert!(found.beside()[1].1.contains("`argparse.Namespace`, which is not built"));
    assert!(found.refused().contains(&"argparse.Namespace".to_owned()), "{:?}", found.refused());
}

#[test]
fn formats_are_told_by_their_content() {
    let folder = tempfile::tempdir().unwrap();
    let misnamed = folder.path().join("model.safetensors");
    fs::copy(golden("plain.pth"), &misnamed).unwrap();
    assert_eq!(weights::open(&misnamed).unwrap().names().len(), 17);

    let shards = weights::open(&golden("sharded")).unwrap();
    assert_eq!(shards.names(), ["bfloat16", "float16", "float32", "transposed"]);
    let whole = weights::open(&golden("plain.pth")).unwrap();
    for name in shards.names() {
        assert_eq!(shards.read_f32(name).unwrap(), whole.read_f32(name).unwrap(), "{name}");
    }
    let message = weights::open(&golden("legacy.pth")).err().unwrap().to_string();
    assert!(message.contains("before 1.6; load it with a newer one"), "{message}");

    // Safetensors come first where both are.
    let both = tempfile::tempdir().unwrap();
    fs::copy(golden("plain.pth"), both.path().join("pytorch_model.bin")).unwrap();
    assert_eq!(weights::open(both.path()).unwrap().names().len(), 17);
    fs::copy(golden("nested.safetensors"), both.path().join("model.safetensors")).unwrap();
    assert_eq!(weights::open(both.path()).unwrap().names().len(), 2);
}

#[test]
fn lists_of_shards_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let index = folder.path().join("pytorch_model.bin.index.json");
    let error = |map: &str| {
        fs::write(&index, format!("{{\"weight_map\": {{{map}}}}}")).unwrap();
        TorchFile::open(folder.path()).unwrap_err()
    };
    fs::copy(golden("plain.pth"), folder.path().join("a.bin")).unwrap();
    assert!(matches!(error("\"x\": \"../a.bin\""), ModelError::ShardOutside { .. }));
    assert!(matches!(error("\"x\": \"b.bin\""), ModelError::ShardMissing { .. }));
    assert!(matches!(error("\"x\": \"a.bin\""), ModelError::NotInShard { .. }));
    fs::copy(tests("hostile/pickle/cut.pth"), folder.path().join("a.bin")).unwrap();
    let message = error("\"x\": \"a.bin\"").to_string();
    assert!(message.contains("a.bin` cannot be read"), "{message}");
}

/// Every file of the folder, and what is said of it.
const HOSTILE: [(&str, &str); 51] = [
    ("bare-pickle", "before 1.6"),
    ("big-endian", "big-endian"),
    ("bytes-after-the-end", "6 bytes follow the end"),
    ("call-of-text", "a call cannot act on text"),
    ("class-as-tensor", "`bias` among its tensors is an object of `subprocess.Popen`"),
    ("compressed-pickle", "`archive/data.pkl` of its archive is compressed"),
    ("cut", "not a readable archive"),
    ("dictionary-in-itself", "`model` among its tensors is a dictionary"),
    ("eval-as-key", "is an object of `builtins.eval`"),
    ("frame-of-8-exabytes", "operation 0x95"),
    ("getattr-chain", "an object of `builtins.getattr`"),
    ("hundred-dimensions", "`torch._utils._rebuild_tensor_v2` is not called as"),
    ("key-is-a-number", "the integer 7 and not text"),
    ("list-in-itself", "a list of 1"),
    ("memo-bomb", "a list of 2"),
    ("name-twice", "tensor `weight` occurs twice"),
    ("name-with-escapes", r"`\u{1b}[2J.\u{7}`"),
    ("name-without-end", "more than 256 bytes in the name of a class"),
    ("nested-marks", "more than 256 levels of nesting"),
    ("no-model", "`optimizer`: a dictionary of 1, `epoch`: the integer 3"),
    ("no-pickle", "no `NAME/data.pkl`"),
    ("nothing-to-take", "takes a value that is not there"),
    ("number-among-tensors", "`steps` among its tensors is the integer 3"),
    ("odd-number-of-items", "takes a value that is not there"),
    ("offset-huge", "reaches beyond the storage `0`"),
    ("offset-negative", "is not called as PyTorch calls it"),
    ("offset-outside", "reaches beyond the storage `0`"),
    ("overlapping-storages", "share names or bytes"),
    ("protocol-4", "protocol 4"),
    ("quantized-storage", "an object of `torch.QInt8Storage`"),
    ("reference-to-nothing", "takes a value that is not there"),
    ("shape-of-text", "is not called as PyTorch calls it"),
    ("shape-overflows", "reaches beyond the storage"),
    ("shape-overflows-behind-zero", "reaches beyond the storage"),
    ("shape-without-strides", "is not called as PyTorch calls it"),
    ("storage-absent", "`../../etc/passwd`, which the archive does not hold"),
    ("storage-too-long", "reaches beyond the storage"),
    ("storage-too-short", "of 20 bytes, but it has 16"),
    ("stride-huge", "reaches beyond the storage"),
    ("stride-negative", "is not called as PyTorch calls it"),
    ("stride-outside", "reaches beyond the storage"),
    ("stride-zero", "an expanded view"),
    ("system-among-tensors", "`bias` among its tensors is an object of `posix.system`"),
    ("system-as-root", "but an object of `posix.system`, which is not built"),
    ("take-below-mark", "takes a value that is not there"),
    ("text-of-4-gigabytes", "in the middle of text"),
    ("text-that-is-latin", "not valid UTF-8"),
    ("two-models", "several models: model, state_dict"),
    ("two-pickles", "more than one `data.pkl`"),
    ("zip-bomb", "`archive/data/1` of its archive is compressed"),
    // Read, because nothing hostile is in the part that is asked for, and nothing was run.
    ("system-beside-tensors", ""),
];

#[test]
fn hostile_files_are_refused_with_the_reason() {
    let readme = fs::read_to_string(tests("hostile/pickle/README.md")).unwrap();
    let mut wrong = Vec::new();
    for (name, said) in HOSTILE.iter().filter(|(_, said)| !said.is_empty()) {
        let message = match hostile(name) {
            Ok(_) => panic!("{name} was read"),
            Err(error) => error.to_string(),
        };
        let named = message.contains(&format!("{name}.pth`"));
        if !named || !message.contains(said) || message.chars().any(char::is_control) {
            wrong.push(format!("{name}: {message:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let beside = hostile("system-beside-tensors").unwrap();
    assert_eq!(beside.read_f32("weight").unwrap(), [0.0; 4]);
    assert_eq!(beside.refused(), ["posix.system"]);
    assert_eq!(hostile("good").unwrap().names(), ["weight"]);
    // No file is forgotten, here or in the description.
    let known: BTreeSet<_> = HOSTILE.iter().map(|(name, _)| *name).chain(["good"]).collect();
    for entry in fs::read_dir(tests("hostile/pickle")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(name == "README" || known.contains(name), "{name} is not in the table");
        assert!(name == "README" || readme.contains(&format!("`{name}`")), "README lacks {name}");
    }
}

/// Reads everything that was not refused.
fn read_all(file: &TorchFile) {
    for name in file.names() {
        let _ = file.read_f32(name);
    }
}

/// Positions of the pickle within a file.
fn pickle_of(bytes: &[u8]) -> std::ops::Range<usize> {
    let start = bytes.windows(2).position(|pair| pair == b"\x80\x02").unwrap();
    let length = bytes[start..].windows(4).position(|four| four == b"PK\x03\x04").unwrap();
    start..start + length
}

#[test]
fn every_truncation_is_refused() {
    let bytes = fs::read(tests("hostile/pickle/good.pth")).unwrap();
    for end in 0..bytes.len() {
        assert!(read(bytes[..end].to_vec()).is_err(), "cut at {end}");
    }
}

proptest! {
    #![proptest_config(cases(4000))]

    #[test]
    fn flipped_bits_never_panic(flips in prop::collection::vec((any::<usize>(), 0_u8..8), 1..6)) {
        let mut bytes = fs::read(golden("nested.pth")).unwrap();
        for (at, bit) in flips {
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
        }
        if let Ok(file) = read(bytes) {
            read_all(&file);
        }
    }

    #[test]
    fn pickles_with_other_bytes_never_panic(
        which in 0_usize..2,
        changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..8),
    ) {
        let name = ["nested.pth", "plain.pth"][which];
        let mut bytes = fs::read(golden(name)).unwrap();
        let pickle = pickle_of(&bytes);
        for (at, byte) in changes {
            bytes[pickle.start + at % pickle.len()] = byte;
        }
        if let Ok(file) = read(bytes) {
            read_all(&file);
        }
    }
}
