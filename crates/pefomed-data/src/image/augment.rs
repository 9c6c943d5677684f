//! Changes to training images that leave what they show: a part of the picture, and its mirror image.
//!
//! They are applied to the decoded 8-bit pixels, before resizing and normalising:
//!
//! 1. A share `a` of the area is drawn evenly from `crop` to 1. The part is `√a` times as wide and
//!    as high as the picture, each rounded to whole pixels and at least one, so that it keeps the
//!    picture's aspect: the encoder squeezes it into a square as it does the whole. Its corner is
//!    drawn evenly among all places where it fits.
//! 2. With the probability `flip`, left and right are exchanged.
//!
//! What is drawn follows from (seed, round, name of the image) alone: not from the order of the
//! images, the number of threads, or what was drawn before.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng as _;
use serde::{Deserialize, Serialize};

use super::DecodedImage;
use crate::files;
use crate::random::keyed;

/// How training images are changed. The default changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augmentation {
    /// The smallest share of the area that a part may have, above 0 and at most 1.
    pub crop: f64,
    /// The probability that left and right are exchanged, from 0 to 1.
    pub flip: f64,
}

impl Default for Augmentation {
    fn default() -> Self {
        Self { crop: 1.0, flip: 0.0 }
    }
}

/// What was drawn for one image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drawn {
    /// Share of each side, `√a`.
    side: f64,
    /// Where the part lies among its places from left to right and from top to bottom, 0 to below 1.
    place: [f64; 2],
    /// Whether left and right are exchanged.
    flip: bool,
}

impl Augmentation {
    /// Whether every image stays as it is.
    pub fn is_neutral(&self) -> bool {
        self.crop >= 1.0 && self.flip <= 0.0
    }

    /// What becomes of the image of that name in that round of a run.
    pub fn draw(&self, seed: u64, round: u64, name: &str) -> Drawn {
        let mut purpose = *b"augment:        ";
        let digest = files::digest([name]);
        let number = u64::from_str_radix(&digest[..16], 16).unwrap_or_default();
        purpose[8..].copy_from_slice(&number.to_le_bytes());
        let mut random = keyed(seed, round, purpose);
        let area = self.crop + (1.0 - self.crop) * even(&mut random);
        let place = [even(&mut random), even(&mut random)];
        Drawn { side: area.sqrt(), place, flip: even(&mut random) < self.flip }
    }
}

/// Evenly from 0 to below 1, in steps of 2⁻⁵³.
fn even(random: &mut ChaCha8Rng) -> f64 {
    (random.next_u64() >> 11) as f64 * 2.0_f64.powi(-53)
}

impl Drawn {
    /// The changed picture; its size is that of the part.
    #[must_use]
    pub fn apply(&self, image: &DecodedImage) -> DecodedImage {
        let (left, width) = self.span(image.width, self.place[0]);
        let (top, height) = self.span(image.height, self.place[1]);
        let mut rgb = Vec::with_capacity(3 * width as usize * height as usize);
        let line = 3 * image.width as usize;
        for row in image.rgb.chunks_exact(line).skip(top as usize).take(height as usize) {
            let part = &row[3 * left as usize..3 * (left + width) as usize];
            if self.flip {
                rgb.extend(part.as_chunks::<3>().0.iter().rev().flatten());
            } else {
                rgb.extend_from_slice(part);
            }
        }
        DecodedImage { width, height, rgb, source: image.source, rendering: image.rendering }
    }

    /// Where the part begins on a side of so many pixels, and how many it has.
    fn span(&self, pixels: u32, place: f64) -> (u32, u32) {
        let length = ((f64::from(pixels) * self.side).round() as u32).clamp(1, pixels);
        let places = pixels - length + 1;
        // The product can round up to the number of places.
        let start = ((place * f64::from(places)) as u32).min(places - 1);
        (start, length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::PixelSource;

    /// Red counts the columns, green the rows.
    fn picture(width: u32, height: u32) -> DecodedImage {
        let pixel = |index: u32| [(index % width) as u8, (index / width) as u8, 7];
        DecodedImage {
            width,
            height,
            rgb: (0..width * height).flat_map(pixel).collect(),
            source: PixelSource {
                bits: 8,
                channels: 3,
                alpha: false,
                oriented: false,
                brightest: 9,
            },
            rendering: None,
        }
    }

    #[test]
    fn the_default_changes_nothing() {
        let neutral = Augmentation::default();
        assert!(neutral.is_neutral());
        let image = picture(13, 7);
        for round in 0..50 {
            assert_eq!(neutral.draw(3, round, "a.png").apply(&image), image);
        }
    }

    #[test]
    fn a_part_is_a_part_of_the_picture_with_its_aspect_and_area() {
        let image = picture(120, 60);
        let augmentation = Augmentation { crop: 0.25, flip: 0.0 };
        let (mut smallest, mut lefts) = (1.0_f64, Vec::new());
        for round in 0..400 {
            let part = augmentation.draw(1, round, "a.png").apply(&image);
            assert_eq!(part.rgb.len(), 3 * (part.width * part.height) as usize);
            let (left, top) = (u32::from(part.rgb[0]), u32::from(part.rgb[1]));
            assert!(left + part.width <= 120 && top + part.height <= 60);
            for (index, pixel) in part.rgb.chunks_exact(3).enumerate() {
                let (x, y) = (left + index as u32 % part.width, top + index as u32 / part.width);
                assert_eq!(pixel, [x as u8, y as u8, 7]);
            }
            assert!(part.width.abs_diff(2 * part.height) <= 2, "{}×{}", part.width, part.height);
            smallest = smallest.min(f64::from(part.width * part.height) / 7200.0);
            lefts.push(left);
        }
        // A side of half the length is the smallest: 60 × 30 pixels.
        assert!((0.25..0.3).contains(&smallest), "{smallest}");
        assert!(lefts.contains(&0) && lefts.iter().any(|left| *left > 45), "{lefts:?}");
    }

    #[test]
    fn flipping_exchanges_left_and_right_as_often_as_asked() {
        let image = picture(5, 2);
        let always = Augmentation { crop: 1.0, flip: 1.0 }.draw(0, 0, "a.png").apply(&image);
        let reds: Vec<u8> = always.rgb.iter().step_by(3).copied().collect();
        assert_eq!(reds, [4, 3, 2, 1, 0, 4, 3, 2, 1, 0]);
        assert_eq!((always.rgb[1], always.rgb[16]), (0, 1));
        let third = Augmentation { crop: 1.0, flip: 0.3 };
        let flipped = (0..2000).filter(|round| third.draw(9, *round, "a.png").flip).count();
        // 600, and five standard deviations of 20.5.
        assert!((498..=702).contains(&flipped), "{flipped}");
    }

    #[test]
    fn seed_round_and_name_decide_and_nothing_else() {
        let augmentation = Augmentation { crop: 0.5, flip: 0.5 };
        let drawn = augmentation.draw(7, 11, "a.png");
        assert_eq!(drawn, augmentation.draw(7, 11, "a.png"));
        for other in [
            augmentation.draw(8, 11, "a.png"),
            augmentation.draw(7, 12, "a.png"),
            augmentation.draw(7, 11, "b.png"),
        ] {
            assert_ne!(drawn, other);
        }
    }

    #[test]
    fn the_smallest_picture_survives() {
        let image = picture(1, 1);
        let drawn = Augmentation { crop: 1e-9, flip: 1.0 }.draw(1, 1, "a");
        assert_eq!(drawn.apply(&image), image);
    }
}
