//! CSV, TSV and lines with tabs: data sets and the results of other programs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pefomed_data::formats::Format;

fuzz_target!(|bytes: &[u8]| {
    for name in ["train.csv", "train.tsv", "captions.txt"] {
        let file = pefomed_fuzz::written(name, bytes);
        for format in [Format::Csv, Format::Roco, Format::Imageclef, Format::MimicCxr] {
            pefomed_fuzz::rows(format, &file);
        }
        let _ = pefomed_data::prediction::read_results(&file, None);
    }
});
