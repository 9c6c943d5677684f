//! Parquet files: rows, and the images inside.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pefomed_data::formats::Format;

fuzz_target!(init: pefomed_fuzz::allow_foreign_panics(), |bytes: &[u8]| {
    pefomed_fuzz::rows(Format::Parquet, &pefomed_fuzz::written("train.parquet", bytes));
});
