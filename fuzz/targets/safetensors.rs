//! Safetensors: the header, and every tensor's numbers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pefomed_kernels::mapped::MappedFile;
use pefomed_model::weights::SafetensorsFile;

fuzz_target!(|bytes: &[u8]| {
    let file = MappedFile::from_vec(bytes.to_vec());
    if let Ok(file) = SafetensorsFile::from_mapped("fuzz.safetensors".to_owned(), file) {
        pefomed_fuzz::weights::tensors(&file, bytes.len());
    }
});
