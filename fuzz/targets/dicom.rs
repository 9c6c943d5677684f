//! DICOM: a picture in every window, and the same file without its patient.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pefomed_data::deidentify::{Dates, Options, Salt, deidentify};

fuzz_target!(init: pefomed_fuzz::allow_foreign_panics(), |bytes: &[u8]| {
    pefomed_fuzz::picture("fuzz.dcm", bytes);
    let salt = Salt::new(&[7; 32]).expect("a salt of 32 bytes is long enough");
    for dates in [Dates::Remove, Dates::Shift] {
        let options = Options { dates, allow_burned_in: true };
        if let Ok(clean) = deidentify(bytes, &salt, options) {
            // What is written must be readable, by the same rules.
            let again = deidentify(&clean.bytes, &salt, options);
            assert!(again.is_ok(), "a file that was written is refused: {:?}", again.err());
        }
    }
});
