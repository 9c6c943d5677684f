//! PNG and JPEG: a picture, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pefomed_fuzz::picture("fuzz.png", bytes));
