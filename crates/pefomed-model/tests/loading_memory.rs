//! What loading a decoder costs in memory. One test, for the peak is that of the whole process.
#![allow(clippy::print_stdout, reason = "tests say what they measured")]

mod common;

use std::fs;

use common::shared;
use pefomed_data::prompt::Template;
use pefomed_kernels::frozen::Precision;
use pefomed_model::base::{self, ModelFiles};
use pefomed_model::parameters::Placement;

/// A line of the system's account of this process, in bytes; none where there is no such account.
fn account(key: &str) -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    Some(line.split_whitespace().nth(1)?.parse::<usize>().ok()? << 10)
}

#[test]
fn the_peak_of_loading_smollm2_is_known() {
    let Some(models) = shared("models/smollm2-135m-instruct") else { return };
    let path = models.join("SmolLM2-135M-Instruct.Q4_1.gguf");
    let bytes = fs::metadata(&path).unwrap().len() as f64;
    let files = ModelFiles::at(&path).unwrap();
    let values = base::decoder_config(&files).unwrap().parameter_count() as f64;
    let Some(before) = account("VmRSS") else { return };
    let place = Placement::cpu();
    let precision = Precision::fastest();
    let packed = base::load_packed_decoder(&files, None, Template::Chatml, &place, precision);
    let packed = packed.unwrap().decoder.packed_bytes().unwrap() as f64;
    let peak = (account("VmHWM").unwrap() - before) as f64;
    println!(
        "bytes a weight: file {:.2}; packed {:.2}; peak of loading {:.2} with the mapped file",
        bytes / values,
        packed / values,
        peak / values
    );
    // The packed layers and head, the mapped file, the embedding table (a fifth of this small model),
    // and while the head is packed the table twice more.
    assert!(peak < packed + bytes + 3.5 * values, "{peak}");
}
