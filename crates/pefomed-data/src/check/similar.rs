//! Pictures that are in two splits under two names: byte for byte, or to the eye.
//!
//! A copy under another name leaks as much as the file itself, and no list of names shows it. Equal
//! files are found by SHA-256. Pictures that were scaled or compressed anew are found by a perceptual
//! hash: the picture is averaged to 32×32 grey values; of their discrete cosine transform the 63
//! lowest frequencies but the mean are kept, a bit each for above or below their median (after the
//! pHash of Zauner 2010). Two hashes that differ in at most [`THRESHOLD`] bits are called similar.
//!
//! It is a hint and no proof: radiographs of one view are alike, and a hash knows no anatomy.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::Split;
use crate::image::DecodedImage;

/// Side of the averaged picture, and of the block of frequencies that is kept.
const SIDE: usize = 32;
const KEPT: usize = 8;
/// Bits in which the hashes of similar pictures may differ, of 63.
pub const THRESHOLD: u32 = 4;

/// What is known of a picture for the comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Print {
    /// SHA-256 of the file.
    pub(super) digest: String,
    /// The perceptual hash; a picture without contrast has none.
    pub(super) hash: Option<u64>,
}

/// The perceptual hash; `None` for a picture without contrast, which would resemble any other.
pub(super) fn perceptual_hash(image: &DecodedImage) -> Option<u64> {
    let small = averaged(image);
    let waves: Vec<[f32; SIDE]> = (0..KEPT)
        .map(|frequency| {
            std::array::from_fn(|place| {
                let angle = (2 * place + 1) as f32 * frequency as f32 / (2 * SIDE) as f32;
                (angle * std::f32::consts::PI).cos()
            })
        })
        .collect();
    // Rows first, then columns: the transform is separable.
    let mut rows = [[0.0_f32; KEPT]; SIDE];
    for (row, values) in rows.iter_mut().zip(small.chunks_exact(SIDE)) {
        for (out, wave) in row.iter_mut().zip(&waves) {
            *out = values.iter().zip(wave).map(|(value, wave)| value * wave).sum();
        }
    }
    let mut kept = Vec::with_capacity(KEPT * KEPT);
    for wave in &waves {
        for column in 0..KEPT {
            kept.push(rows.iter().zip(wave).map(|(row, wave)| row[column] * wave).sum::<f32>());
        }
    }
    let kept = &kept[1..];
    // A grey level over the whole picture gives a coefficient of this size.
    let largest = kept.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    if largest < (SIDE * SIDE) as f32 {
        return None;
    }
    let mut sorted = kept.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let median = sorted[sorted.len() / 2];
    Some(kept.iter().fold(0, |hash, value| hash << 1 | u64::from(*value > median)))
}

/// Mean grey values of 32×32 boxes, in grey levels.
fn averaged(image: &DecodedImage) -> Vec<f32> {
    let (width, height) = (image.width as usize, image.height as usize);
    let edges = |length: usize| -> Vec<(usize, usize)> {
        (0..SIDE)
            .map(|place| {
                let start = place * length / SIDE;
                (start, ((place + 1) * length / SIDE).max(start + 1))
            })
            .collect()
    };
    let columns = edges(width);
    let mut small = Vec::with_capacity(SIDE * SIDE);
    for (top, bottom) in edges(height) {
        for &(left, right) in &columns {
            let mut sum = 0_u64;
            for row in top..bottom {
                let line = &image.rgb[3 * (row * width + left)..3 * (row * width + right)];
                sum += line.iter().map(|value| u64::from(*value)).sum::<u64>();
            }
            let count = 3 * (bottom - top) * (right - left);
            small.push(sum as f32 / count as f32);
        }
    }
    small
}

/// Groups of pictures with equal files, by their numbers.
pub(super) fn identical(prints: &[Option<Print>]) -> Vec<Vec<usize>> {
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (number, print) in prints.iter().enumerate() {
        if let Some(print) = print {
            groups.entry(&print.digest).or_default().push(number);
        }
    }
    let mut groups: Vec<Vec<usize>> = groups.into_values().filter(|all| all.len() > 1).collect();
    groups.sort_unstable();
    groups
}

/// Pairs of pictures with similar hashes and different files that lie in different splits, with the
/// bits they differ in.
///
/// Hashes that differ in at most t bits agree in at least one of t + 1 pieces, so that only pictures
/// with an equal piece are compared.
pub(super) fn similar_between_splits(
    prints: &[Option<Print>],
    splits: &[BTreeSet<Split>],
) -> Vec<(usize, usize, u32)> {
    let hashed: Vec<(usize, u64, &Print)> = prints
        .iter()
        .enumerate()
        .filter_map(|(number, print)| {
            let print = print.as_ref()?;
            Some((number, print.hash?, print))
        })
        .collect();
    let pieces = THRESHOLD + 1;
    let bits = 63_u32.div_ceil(pieces);
    let mut found = BTreeSet::new();
    for piece in 0..pieces {
        let mut buckets: HashMap<u64, Vec<usize>> = HashMap::new();
        for (place, (_, hash, _)) in hashed.iter().enumerate() {
            let key = hash >> (piece * bits) & ((1 << bits) - 1);
            buckets.entry(key).or_default().push(place);
        }
        for bucket in buckets.values() {
            for (index, &a) in bucket.iter().enumerate() {
                for &b in &bucket[index + 1..] {
                    let ((a, hash_a, print_a), (b, hash_b, print_b)) = (hashed[a], hashed[b]);
                    let distance = (hash_a ^ hash_b).count_ones();
                    if distance <= THRESHOLD
                        && print_a.digest != print_b.digest
                        && apart(&splits[a], &splits[b])
                    {
                        found.insert((a, b, distance));
                    }
                }
            }
        }
    }
    found.into_iter().collect()
}

/// Whether a row of one and a row of the other can be in two splits.
pub(super) fn apart(a: &BTreeSet<Split>, b: &BTreeSet<Split>) -> bool {
    a.iter().any(|split| b.iter().any(|other| other != split))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::decode_bytes;

    fn picture(width: u32, height: u32, grey: impl Fn(f32, f32) -> f32) -> DecodedImage {
        let image = ::image::GrayImage::from_fn(width, height, |x, y| {
            let (x, y) = (x as f32 / width as f32, y as f32 / height as f32);
            ::image::Luma([(grey(x, y) * 255.0) as u8])
        });
        let mut bytes = Vec::new();
        let mut out = std::io::Cursor::new(&mut bytes);
        image.write_to(&mut out, ::image::ImageFormat::Png).unwrap();
        decode_bytes("test", &bytes).unwrap()
    }

    /// 8×8 tiles of mixed greys: a picture with something at every frequency.
    fn tiles(x: f32, y: f32) -> f32 {
        let number = (x * 8.0) as u32 * 37 + (y * 8.0) as u32 * 101;
        0.1 + 0.8 * (number.wrapping_mul(2_654_435_761) >> 24) as f32 / 255.0
    }

    #[test]
    fn another_size_and_brightness_hardly_change_the_hash_and_another_picture_does() {
        let hash = |image: &DecodedImage| perceptual_hash(image).unwrap();
        let first = hash(&picture(256, 192, tiles));
        let scaled = hash(&picture(64, 64, |x, y| 0.8 * tiles(x, y) + 0.1));
        let turned = hash(&picture(256, 192, |x, y| tiles((0.999 - x).max(0.0), y)));
        assert!((first ^ scaled).count_ones() <= THRESHOLD, "{first:x} {scaled:x}");
        assert!((first ^ turned).count_ones() > 4 * THRESHOLD, "{first:x} {turned:x}");
        assert_eq!(perceptual_hash(&picture(50, 50, |_, _| 0.5)), None);
        assert!(perceptual_hash(&picture(3, 2, |x, _| x)).is_some());
    }

    #[test]
    fn only_pairs_in_two_splits_are_found_and_equal_files_apart_from_them() {
        let print =
            |digest: &str, hash: u64| Some(Print { digest: digest.to_owned(), hash: Some(hash) });
        let prints = [print("a", 0), print("b", 0b1111), print("c", 0b11111), print("a", 0), None];
        let (train, test) = ([Split::Train].into(), [Split::Test].into());
        let splits = [
            train,
            test,
            BTreeSet::from([Split::Test]),
            BTreeSet::from([Split::Test]),
            BTreeSet::from([Split::Test]),
        ];
        assert_eq!(similar_between_splits(&prints, &splits), [(0, 1, 4)]);
        assert_eq!(identical(&prints), [[0, 3]]);
    }
}
