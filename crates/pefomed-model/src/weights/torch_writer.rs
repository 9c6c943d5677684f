//! Writing what `torch.load` reads, with its `weights_only` safety on.
//!
//! The archive holds a pickle, a note of the byte order, and one entry of plain bytes for each
//! tensor, aligned so that the file can be mapped. The same tensors give the same bytes.

use std::io::{self, Write as _};
use std::path::Path;

use pefomed_data::files;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::TensorValues;
use crate::error::ModelError;

/// What PyTorch aligns entries to.
const ALIGNMENT: u16 = 64;

/// Writes `{part: {name: tensor, …}}`, whole or not at all, in the order given.
///
/// # Errors
/// [`ModelError::WriteShape`] when shape and values disagree, [`ModelError::Data`] when the file
/// cannot be written.
pub fn write_torch(
    path: &Path,
    part: &str,
    tensors: &[(String, Vec<usize>, TensorValues)],
) -> Result<(), ModelError> {
    for (name, shape, values) in tensors {
        let count = shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
        if count != Some(values.len()) {
            let (name, shape, values) = (name.clone(), shape.clone(), values.len());
            return Err(ModelError::WriteShape { name, shape, values });
        }
    }
    let mut pickle = b"\x80\x02}".to_vec();
    text(&mut pickle, part);
    pickle.extend(b"}(");
    for (key, (name, shape, values)) in tensors.iter().enumerate() {
        text(&mut pickle, name);
        tensor(&mut pickle, key, shape, values);
    }
    pickle.extend(b"us.");
    files::write_atomically(path, |out| {
        let mut archive = ZipWriter::new(out);
        let mut entry = |name: &str, bytes: &[u8]| -> io::Result<()> {
            let options = SimpleFileOptions::default()
                .compression_method(CompressionMethod::Stored)
                .last_modified_time(DateTime::default())
                .large_file(u32::try_from(bytes.len()).is_err())
                .with_alignment(ALIGNMENT);
            archive.start_file(format!("archive/{name}"), options)?;
            archive.write_all(bytes)
        };
        entry("data.pkl", &pickle)?;
        entry("byteorder", b"little")?;
        for (key, (_, _, values)) in tensors.iter().enumerate() {
            entry(&format!("data/{key}"), &values.bytes())?;
        }
        entry("version", b"3\n")?;
        archive.finish()?;
        Ok(())
    })?;
    Ok(())
}

/// `torch._utils._rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict())`.
fn tensor(out: &mut Vec<u8>, key: usize, shape: &[usize], values: &TensorValues) {
    let class = match values {
        TensorValues::F32(_) => "FloatStorage",
        TensorValues::F16(_) => "HalfStorage",
        TensorValues::I64(_) => "LongStorage",
        TensorValues::U8(_) => "ByteStorage",
    };
    let mut strides = vec![1_usize; shape.len()];
    for dimension in (1..shape.len()).rev() {
        strides[dimension - 1] = strides[dimension].saturating_mul(shape[dimension].max(1));
    }
    out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
    text(out, "storage");
    out.extend(format!("ctorch\n{class}\n").as_bytes());
    text(out, &key.to_string());
    text(out, "cpu");
    integer(out, values.len());
    out.extend(b"tQ");
    integer(out, 0);
    for sizes in [shape, &strides] {
        out.push(b'(');
        for &size in sizes {
            integer(out, size);
        }
        out.push(b't');
    }
    out.extend(b"\x89ccollections\nOrderedDict\n)RtR");
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

fn integer(out: &mut Vec<u8>, value: usize) {
    if let Ok(value) = i32::try_from(value) {
        out.push(b'J');
        out.extend(value.to_le_bytes());
    } else {
        out.extend([0x8a, 8]);
        out.extend((value as u64).to_le_bytes());
    }
}
