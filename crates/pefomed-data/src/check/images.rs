//! Every image file once: is it there, does it decode, what was it before.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use serde::Serialize;

use super::{CheckOptions, Problem, ProblemKind, RowRef};
use crate::Example;
use crate::image::view::file_of;
use crate::image::{PixelSource, decode};

/// The image files of a data set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImageSummary {
    /// Distinct files.
    pub files: usize,
    /// Those that do not exist.
    pub missing: usize,
    /// Those that were decoded without error; 0 when decoding was not asked for.
    pub decoded: usize,
    /// Those that exist and could not be decoded.
    pub unreadable: usize,
    /// Decoded images with grey values only in the file.
    pub grey: usize,
    /// Decoded images with 16 bits a channel.
    pub sixteen_bit: usize,
    /// Decoded images with transparency.
    pub transparent: usize,
    /// Decoded images that were turned as their camera noted.
    pub oriented: usize,
    /// Columns and rows of the decoded image with the fewest pixels.
    pub smallest: Option<(u32, u32)>,
    /// Columns and rows of the decoded image with the most pixels.
    pub largest: Option<(u32, u32)>,
}

/// What became of one file.
enum Outcome {
    Missing,
    Unreadable(String),
    Present,
    Decoded { width: u32, height: u32, source: PixelSource },
}

/// Looks at every distinct file, in parallel; problems are added in the order of the paths.
pub(super) fn check_images(
    examples: &[Example],
    options: &CheckOptions<'_>,
    problems: &mut Vec<Problem>,
) -> ImageSummary {
    let mut users: BTreeMap<&Path, (&str, Vec<&Example>)> = BTreeMap::new();
    for example in examples {
        for image in &example.images {
            let (_, rows) = users.entry(&image.path).or_insert((&image.name, Vec::new()));
            // An example may show one image twice.
            if rows.last().is_none_or(|last| !std::ptr::eq(*last, example)) {
                rows.push(example);
            }
        }
    }
    let files: Vec<(&Path, &str, &[&Example])> =
        users.iter().map(|(path, (name, rows))| (*path, *name, rows.as_slice())).collect();
    let done = AtomicUsize::new(0);
    let outcomes: Vec<Outcome> = files
        .par_iter()
        .map(|(path, _, _)| {
            let outcome = look_at(path, options.decode_images);
            if let Some(progress) = options.progress {
                progress(done.fetch_add(1, Ordering::Relaxed) + 1, files.len());
            }
            outcome
        })
        .collect();
    let mut summary = ImageSummary { files: files.len(), ..ImageSummary::default() };
    for ((path, name, rows), outcome) in files.iter().zip(outcomes) {
        let mut report = |kind, detail| {
            let rows = rows.iter().map(|example| RowRef::new(example)).collect();
            problems.push(Problem::new(kind, detail, rows));
        };
        match outcome {
            Outcome::Present => {}
            Outcome::Missing => {
                summary.missing += 1;
                report(ProblemKind::MissingImage, path.display().to_string());
            }
            Outcome::Unreadable(reason) => {
                summary.unreadable += 1;
                report(ProblemKind::UnreadableImage, reason);
            }
            Outcome::Decoded { width, height, source } => {
                summary.add(width, height, source);
                if source.is_dim() {
                    let brightest = source.brightest;
                    report(
                        ProblemKind::DimImage,
                        format!("{name}: its brightest value is {brightest} of 65535; rescale it"),
                    );
                } else if source.bits == 16 || source.alpha {
                    let bits = source.bits;
                    let alpha = if source.alpha { ", transparent" } else { "" };
                    let detail = format!("{name}: {bits} bits{alpha}");
                    report(ProblemKind::ConvertedImage, detail);
                }
            }
        }
    }
    summary
}

fn look_at(path: &Path, decode_images: bool) -> Outcome {
    if !file_of(path).is_file() {
        return Outcome::Missing;
    }
    if !decode_images {
        return Outcome::Present;
    }
    match decode(path) {
        Ok(image) => {
            Outcome::Decoded { width: image.width, height: image.height, source: image.source }
        }
        Err(error) => Outcome::Unreadable(error.to_string()),
    }
}

impl ImageSummary {
    fn add(&mut self, width: u32, height: u32, source: PixelSource) {
        self.decoded += 1;
        self.grey += usize::from(source.channels == 1);
        self.sixteen_bit += usize::from(source.bits == 16);
        self.transparent += usize::from(source.alpha);
        self.oriented += usize::from(source.oriented);
        let pixels = |(width, height): (u32, u32)| u64::from(width) * u64::from(height);
        let this = (width, height);
        if self.smallest.is_none_or(|smallest| pixels(this) < pixels(smallest)) {
            self.smallest = Some(this);
        }
        if self.largest.is_none_or(|largest| pixels(this) > pixels(largest)) {
            self.largest = Some(this);
        }
    }
}
