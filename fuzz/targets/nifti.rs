//! NIfTI, packed with gzip or not: slices along every axis.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pefomed_fuzz::picture("fuzz.nii", bytes));
