//! The pickle of `torch.save` without the archive around it, whose checksums keep a mutation out.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pefomed_kernels::mapped::MappedFile;
use pefomed_model::weights::TorchFile;

fuzz_target!(|pickle: &[u8]| {
    let bytes = pefomed_fuzz::weights::torch_archive(pickle);
    let length = bytes.len();
    if let Ok(file) = TorchFile::from_mapped("fuzz.pth".to_owned(), MappedFile::from_vec(bytes)) {
        pefomed_fuzz::weights::tensors(&file, length);
    }
});
