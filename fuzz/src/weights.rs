//! What the targets for weights share.

use std::io::{Cursor, Write as _};

use pefomed_model::weights::TensorSource;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Reads every tensor. Formats without a compressed type hold no more than eight values a byte.
pub fn tensors(source: &dyn TensorSource, bytes: usize) {
    for name in source.names() {
        let shape = source.shape(name).expect("a name that is listed has a shape");
        let dtype = source.dtype(name).expect("a name that is listed has a type");
        let values: u128 = shape.iter().map(|&side| side as u128).product();
        // Strides of zero may show one value many times; reading it would only take memory.
        if values > 8 * bytes as u128 + 4096 {
            continue;
        }
        if let Ok(read) = source.read_f32(name) {
            assert_eq!(read.len() as u128, values, "{name} {shape:?} {dtype:?}");
        }
        if let Some(stored) = source.stored(name) {
            assert_eq!(values, shape.iter().map(|&side| side as u128).product::<u128>());
            drop(stored);
        }
    }
    let _ = source.digest();
}

/// What `torch.save` makes of a pickle: an archive, here with storages `0` to `3` of 64 bytes.
pub fn torch_archive(pickle: &[u8]) -> Vec<u8> {
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let mut add = |name: &str, bytes: &[u8]| {
        archive.start_file(name, stored).expect("the archive is in memory");
        archive.write_all(bytes).expect("the archive is in memory");
    };
    add("archive/data.pkl", pickle);
    add("archive/byteorder", b"little");
    for storage in ["0", "1", "2", "3"] {
        add(&format!("archive/data/{storage}"), &[1; 64]);
    }
    add("archive/version", b"3\n");
    archive.finish().expect("the archive is in memory").into_inner()
}
