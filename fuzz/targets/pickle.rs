//! The pickles of PathVQA.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pefomed_data::formats::Format;

fuzz_target!(|bytes: &[u8]| {
    pefomed_fuzz::rows(Format::Pathvqa, &pefomed_fuzz::written("train_qa.pkl", bytes));
});
