//! JSON and JSON lines of data sets and predictions, by every layout that reads them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pefomed_data::formats::Format;

fuzz_target!(|bytes: &[u8]| {
    let file = pefomed_fuzz::written("train.en.json", bytes);
    for format in [
        Format::VqaRad,
        Format::Slake,
        Format::Pathvqa,
        Format::IuXray,
        Format::Medicat,
        Format::MimicCxr,
        Format::Medexpqa,
        Format::MediqaM3g,
        Format::Llava,
        Format::Sharegpt,
        Format::Messages,
        Format::Jsonl,
    ] {
        pefomed_fuzz::rows(format, &file);
    }
    let _ = pefomed_data::prediction::read_results(&file, None);
    let _ = pefomed_data::prediction::read_predictions(&file);
});
