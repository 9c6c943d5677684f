//! `torch.save`: the archive, its pickle, and every tensor's numbers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pefomed_kernels::mapped::MappedFile;
use pefomed_model::weights::TorchFile;

fuzz_target!(|bytes: &[u8]| {
    let file = MappedFile::from_vec(bytes.to_vec());
    if let Ok(file) = TorchFile::from_mapped("fuzz.pth".to_owned(), file) {
        let _ = (file.part(), file.beside(), file.refused());
        pefomed_fuzz::weights::tensors(&file, bytes.len());
    }
});
