//! Every image file once: is it there, does it decode, what was it before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use serde::Serialize;

use super::similar::{self, Print, perceptual_hash};
use super::{CheckOptions, Problem, ProblemKind, RowRef};
use crate::files::digest_bytes;
use crate::image::PixelSource;
use crate::{Example, ImagePlace, ImageSource, Split};

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
    Decoded { width: u32, height: u32, source: PixelSource, print: Print },
}

/// Looks at every distinct file, in parallel; problems are added in the order of the paths.
pub(super) fn check_images(
    examples: &[Example],
    options: &CheckOptions<'_>,
    problems: &mut Vec<Problem>,
) -> ImageSummary {
    let mut users: BTreeMap<&ImagePlace, (&ImageSource, Vec<&Example>)> = BTreeMap::new();
    for example in examples {
        for image in &example.images {
            let (_, rows) = users.entry(&image.place).or_insert((image, Vec::new()));
            // An example may show one image twice.
            if rows.last().is_none_or(|last| !std::ptr::eq(*last, example)) {
                rows.push(example);
            }
        }
    }
    let files: Vec<(&ImageSource, &[&Example])> =
        users.values().map(|(image, rows)| (*image, rows.as_slice())).collect();
    let done = AtomicUsize::new(0);
    let outcomes: Vec<Outcome> = files
        .par_iter()
        .map(|(image, _)| {
            let outcome = look_at(image, options);
            if let Some(progress) = options.progress {
                progress(done.fetch_add(1, Ordering::Relaxed) + 1, files.len());
            }
            outcome
        })
        .collect();
    let mut summary = ImageSummary { files: files.len(), ..ImageSummary::default() };
    let mut prints: Vec<Option<Print>> = vec![None; files.len()];
    for (((image, rows), outcome), kept) in files.iter().zip(outcomes).zip(&mut prints) {
        let name = &image.name;
        let mut report = |kind, detail| {
            let rows = rows.iter().map(|example| RowRef::new(example)).collect();
            problems.push(Problem::new(kind, detail, rows));
        };
        match outcome {
            Outcome::Present => {}
            Outcome::Missing => {
                summary.missing += 1;
                report(ProblemKind::MissingImage, image.location());
            }
            Outcome::Unreadable(reason) => {
                summary.unreadable += 1;
                report(ProblemKind::UnreadableImage, reason);
            }
            Outcome::Decoded { width, height, source, print } => {
                *kept = Some(print);
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
    compare(&files, &prints, problems);
    summary
}

fn look_at(image: &ImageSource, options: &CheckOptions<'_>) -> Outcome {
    if !image.path().is_file() {
        return Outcome::Missing;
    }
    if !options.decode_images {
        return Outcome::Present;
    }
    let decoded =
        image.read().and_then(|file| Ok((digest_bytes(&file.identity()), file.decode()?)));
    match decoded {
        Ok((digest, decoded)) => {
            let hash = options.similar_images.then(|| perceptual_hash(&decoded)).flatten();
            Outcome::Decoded {
                width: decoded.width,
                height: decoded.height,
                source: decoded.source,
                print: Print { digest, hash },
            }
        }
        Err(error) => Outcome::Unreadable(error.to_string()),
    }
}

/// Reports pictures that are there more than once.
fn compare(
    files: &[(&ImageSource, &[&Example])],
    prints: &[Option<Print>],
    problems: &mut Vec<Problem>,
) {
    let splits: Vec<BTreeSet<Split>> =
        files.iter().map(|(_, rows)| rows.iter().map(|example| example.split).collect()).collect();
    let mut report = |kind, numbers: &[usize], detail: String| {
        let rows = numbers.iter().flat_map(|number| files[*number].1);
        let rows = rows.map(|example| RowRef::new(example)).collect();
        problems.push(Problem::new(kind, detail, rows));
    };
    for group in similar::identical(prints) {
        let mut names: Vec<&str> =
            group.iter().map(|number| files[*number].0.name.as_str()).collect();
        names.dedup();
        if names.len() < 2 {
            // One name in two places, as when a folder was copied: the name shows it.
            continue;
        }
        let is_shared = group.iter().enumerate().any(|(index, a)| {
            group[index + 1..].iter().any(|b| similar::apart(&splits[*a], &splits[*b]))
        });
        let kind =
            if is_shared { ProblemKind::SharedImageFile } else { ProblemKind::RepeatedImageFile };
        report(kind, &group, names.join(" = "));
    }
    for (a, b, distance) in similar::similar_between_splits(prints, &splits) {
        let (first, second) = (&files[a].0.name, &files[b].0.name);
        let bits = if distance == 1 { "bit" } else { "bits" };
        let detail = format!("{first} ~ {second}: their hashes differ in {distance} {bits} of 63");
        report(ProblemKind::SimilarImages, &[a, b], detail);
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
