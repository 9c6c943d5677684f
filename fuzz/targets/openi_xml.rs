//! The XML reports of Open-i.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pefomed_data::formats::Format;

fuzz_target!(|bytes: &[u8]| {
    pefomed_fuzz::rows(Format::OpeniXml, &pefomed_fuzz::written("1.xml", bytes));
});
