//! From measured values to grey: window centre and width, the usual presets, and the shape of the
//! curve between black and white (DICOM PS3.3, C.11.2.1.2 and C.11.2.1.3).

use std::fmt;

use serde::Serialize;

/// Windows by name, on the Hounsfield scale, as radiology departments commonly use them.
pub const PRESETS: [Preset; 11] = [
    Preset::new("soft-tissue", 40.0, 400.0),
    Preset::new("lung", -600.0, 1500.0),
    Preset::new("mediastinum", 50.0, 350.0),
    Preset::new("bone", 400.0, 1800.0),
    Preset::new("brain", 40.0, 80.0),
    Preset::new("stroke", 32.0, 8.0),
    Preset::new("subdural", 75.0, 215.0),
    Preset::new("temporal-bone", 600.0, 2800.0),
    Preset::new("liver", 60.0, 160.0),
    Preset::new("angiography", 300.0, 600.0),
    Preset::new("abdomen", 60.0, 400.0),
];

/// A window with a name.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Preset {
    /// Lower case, words joined by `-`.
    pub name: &'static str,
    /// Middle of the window in Hounsfield units.
    pub center: f64,
    /// Its width in Hounsfield units.
    pub width: f64,
}

impl Preset {
    const fn new(name: &'static str, center: f64, width: f64) -> Self {
        Self { name, center, width }
    }

    /// The preset of that name.
    pub fn named(name: &str) -> Option<Self> {
        PRESETS.into_iter().find(|preset| preset.name == name)
    }
}

/// The shape between black and white.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Curve {
    /// `(x − (c − ½)) / (w − 1) + ½`, cut off at both ends: DICOM's default.
    #[default]
    Linear,
    /// `(x − c) / w + ½`, cut off at both ends.
    LinearExact,
    /// `1 / (1 + exp(−4 (x − c) / w))`.
    Sigmoid,
}

/// Where a window came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WindowOrigin {
    /// The file's first window.
    File,
    /// The file's first lookup table; centre and width are those of the values it tells apart.
    LookupTable,
    /// The caller, by name.
    Preset,
    /// The caller, in numbers.
    Given,
    /// The lowest and highest value of the picture, because nothing else was there or it was asked
    /// for.
    Range,
    /// All values the bits can hold: display-ready pictures of at most 8 bits.
    Bits,
}

/// The window a picture was drawn with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Window {
    /// Middle, in the units of the values (Hounsfield for CT).
    pub center: f64,
    /// Width in the same units, at least 1 for [`Curve::Linear`], otherwise above 0.
    pub width: f64,
    /// Shape.
    pub curve: Curve,
    /// Source.
    pub origin: WindowOrigin,
}

impl Window {
    /// The window from one value, which becomes black, to another, which becomes white.
    pub(crate) fn between(low: f64, high: f64, origin: WindowOrigin) -> Self {
        let width = if high > low { high - low } else { 1.0 };
        let center = low + width / 2.0;
        Self { center, width, curve: Curve::LinearExact, origin }
    }

    /// Whether centre and width are numbers that the curve is defined for.
    pub(crate) fn is_usable(&self) -> bool {
        let least = if self.curve == Curve::Linear { 1.0 } else { f64::MIN_POSITIVE };
        self.center.is_finite() && self.width.is_finite() && self.width >= least
    }

    /// Grey from 0 (black) to 1 (white).
    pub(crate) fn shade(&self, value: f64) -> f64 {
        let (center, width) = match self.curve {
            Curve::Linear => (self.center - 0.5, self.width - 1.0),
            Curve::LinearExact => (self.center, self.width),
            Curve::Sigmoid => {
                return 1.0 / (1.0 + (-4.0 * (value - self.center) / self.width).exp());
            }
        };
        if value <= center - width / 2.0 {
            0.0
        } else if value > center + width / 2.0 {
            1.0
        } else {
            // Above the lower end and not above the upper, the width is not 0.
            (value - center) / width + 0.5
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "centre {}, width {}", self.center, self.width)
    }
}

/// A grey from 0 to 1 as 8 bits, rounded to the nearest.
pub(crate) fn to_byte(shade: f64) -> u8 {
    // The conversion stops at 0 and 255, and makes 0 of what is not a number.
    (shade * 255.0 + 0.5) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_worked_example() {
        // PS3.3, C.11.2.1.2.1: centre 2048 and width 4096 map 0 to 0 and 4095 to 1; centre 2048
        // and width 1 make 0 of everything up to 2047, 1 of the rest.
        let window = |center, width| Window {
            center,
            width,
            curve: Curve::Linear,
            origin: WindowOrigin::Given,
        };
        assert_eq!(window(2048.0, 4096.0).shade(0.0), 0.0);
        assert_eq!(window(2048.0, 4096.0).shade(4095.0), 1.0);
        assert_eq!(window(2048.0, 1.0).shade(2047.0), 0.0);
        assert_eq!(window(2048.0, 1.0).shade(2048.0), 1.0);
        // Centre 0 and width 100: -50 or less is 0, above 49 is 1.
        assert_eq!(window(0.0, 100.0).shade(-50.0), 0.0);
        assert_eq!(window(0.0, 100.0).shade(49.5), 1.0);
        let exact = Window { curve: Curve::LinearExact, ..window(2048.0, 4096.0) };
        assert_eq!(exact.shade(4096.0), 1.0);
        assert!(exact.shade(4095.0) < 1.0);
        let sigmoid = Window { curve: Curve::Sigmoid, ..window(10.0, 4.0) };
        assert_eq!(sigmoid.shade(10.0), 0.5);
        assert!((sigmoid.shade(11.0) - 0.731_058_578_630_004_9).abs() < 1e-15);
    }

    #[test]
    fn a_flat_picture_has_a_window_too() {
        let window = Window::between(7.0, 7.0, WindowOrigin::Range);
        assert!(window.is_usable());
        assert_eq!(to_byte(window.shade(7.0)), 0);
        assert_eq!(to_byte(f64::NAN), 0);
    }
}
