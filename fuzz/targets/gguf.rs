//! GGUF: metadata, the vocabulary in it, and every tensor's numbers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pefomed_kernels::mapped::MappedFile;
use pefomed_model::weights::GgufFile;

fuzz_target!(|bytes: &[u8]| {
    let file = MappedFile::from_vec(bytes.to_vec());
    let Ok(file) = GgufFile::from_mapped("fuzz.gguf".to_owned(), file) else { return };
    let keys: Vec<String> = file.keys().map(str::to_owned).collect();
    for key in keys.iter().take(64) {
        let _ = (file.describe(key), file.str(key), file.u64(key), file.f64(key), file.bool(key));
        let _ = (file.string_array(key), file.i32_array(key), file.f32_array(key));
    }
    pefomed_fuzz::weights::tensors(&file, bytes.len());
});
