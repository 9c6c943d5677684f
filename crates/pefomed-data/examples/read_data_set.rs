//! How long a data set takes to read, and how much memory.
//!
//! ```console
//! $ cargo run --release -p pefomed-data --example read_data_set -- csv reports.csv keep
//! $ cargo run --release -p pefomed-data --example read_data_set -- vqa-rad data/vqa-rad similar
//! ```
//!
//! The last word says what is done with the examples: `keep` them all, `drop` each, or look for
//! `similar` images in different splits.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use pefomed_data::check::{CheckOptions, ProblemKind, check};
use pefomed_data::formats::{self, Format, Problems, ReadOptions};
use pefomed_data::split::{SplitRule, assign, leakage};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [format, path, what] = arguments.as_slice() else {
        return Err("give a format, a path, and `keep`, `drop` or `similar`".into());
    };
    let format: Format = format.parse()?;
    let started = Instant::now();
    let (mut count, mut examples) = (0_usize, Vec::new());
    let mut problems = Problems::lenient();
    let options = ReadOptions::default();
    formats::visit(format, Path::new(path), &options, &mut problems, &mut |example| {
        count += 1;
        if what != "drop" {
            examples.push(example);
        }
        Ok(())
    })?;
    println!(
        "{count} examples, {} rows left out, {} notes; {:.2} s, {}",
        problems.skipped.len(),
        problems.notes.len(),
        started.elapsed().as_secs_f64(),
        peak_memory().unwrap_or_default()
    );
    if what == "similar" {
        if leakage(&examples).test_questions == 0 {
            // By image, so that pictures that are alike fall on two sides every other time.
            let salt = String::new();
            let rule = SplitRule::GroupHash { test_percent: 50.0, val_percent: 0.0, salt };
            assign(&mut examples, &rule)?;
        }
        let started = Instant::now();
        let options = CheckOptions { similar_images: true, ..CheckOptions::default() };
        let report = check(&examples, &options);
        for problem in &report.problems {
            if matches!(
                problem.kind,
                ProblemKind::SimilarImages
                    | ProblemKind::SharedImageFile
                    | ProblemKind::RepeatedImageFile
            ) {
                println!("{}", problem.detail);
            }
        }
        println!("{} images; {:.2} s", report.images.files, started.elapsed().as_secs_f64());
    }
    Ok(())
}

/// The most memory the process has had, where the system tells.
fn peak_memory() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().collect::<Vec<_>>().join(" "))
}
