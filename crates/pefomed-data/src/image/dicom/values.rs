//! Stored numbers to measured values, and values to grey (PS3.3, C.11.1 and C.11.2).

use super::super::view::WindowChoice;
use super::super::window::{Curve, Window, WindowOrigin, to_byte};
use super::Trouble;
use super::layout::Layout;
use crate::dicom::{
    DataSet, FRAME_GROUPS, FRAME_TRANSFORMATION, FRAME_VOI, LUT_DATA, LUT_DESCRIPTOR, MODALITY,
    MODALITY_LUTS, PADDING_LIMIT, PADDING_VALUE, RESCALE_INTERCEPT, RESCALE_SLOPE, SHARED_GROUPS,
    Tag, VOI_FUNCTION, VOI_LUTS, Vr, WINDOW_CENTER, WINDOW_WIDTH,
};

/// A drawn frame.
pub(super) struct Grey {
    pub(super) bytes: Vec<u8>,
    pub(super) window: Window,
    /// Lowest and highest value of the frame, padding left out.
    pub(super) range: (f64, f64),
}

/// A lookup table: entries from the number `first` on.
struct Table {
    first: i64,
    entries: Vec<u16>,
    bits: u16,
}

impl Table {
    fn at(&self, number: f64) -> f64 {
        let place = (number.floor() as i64).saturating_sub(self.first).max(0) as usize;
        f64::from(self.entries[place.min(self.entries.len() - 1)])
    }

    /// The first table of a sequence; `signed` tells whether numbers it is asked for may be.
    fn of(data: &DataSet<'_>, sequence: Tag, signed: bool) -> Result<Option<Self>, Trouble> {
        let Some(item) = data.items(sequence).first() else { return Ok(None) };
        let words = item.words(LUT_DESCRIPTOR).filter(|words| words.len() >= 3);
        let Some(&[count, first, bits]) = words.as_deref().map(|words| &words[..3]) else {
            return Err(Trouble::broken("a lookup table has no descriptor"));
        };
        let count = if count == 0 { 1 << 16 } else { usize::from(count) };
        let explicit = item.get(LUT_DESCRIPTOR).map(|element| element.vr);
        let signed = explicit == Some(Vr::SS) || (explicit == Some(Vr::US) && signed);
        let first = if signed { i64::from(first as i16) } else { i64::from(first) };
        if !(1..=16).contains(&bits) {
            return Err(Trouble::Unsupported(format!("a lookup table of {bits} bits")));
        }
        let bytes = item.bytes(LUT_DATA).unwrap_or_default();
        let entries: Vec<u16> = if bits <= 8 && bytes.len() == count.next_multiple_of(2) {
            bytes[..count].iter().map(|byte| u16::from(*byte)).collect()
        } else {
            item.words(LUT_DATA).unwrap_or_default().into_iter().take(count).collect()
        };
        if entries.len() != count {
            return Err(Trouble::broken("a lookup table has fewer entries than it says"));
        }
        Ok(Some(Self { first, entries, bits }))
    }
}

/// From stored numbers to values.
enum Modality {
    Linear { slope: f64, intercept: f64 },
    Table(Table),
}

impl Modality {
    fn value(&self, number: f32) -> f64 {
        match self {
            Self::Linear { slope, intercept } => f64::from(number) * slope + intercept,
            Self::Table(table) => table.at(f64::from(number)),
        }
    }

    fn is_identity(&self) -> bool {
        matches!(self, Self::Linear { slope, intercept } if *slope == 1.0 && *intercept == 0.0)
    }
}

/// From values to grey.
enum Shading {
    Window(Window),
    Table(Table),
}

/// Whether values are Hounsfield units.
pub(super) fn is_hounsfield(data: &DataSet<'_>) -> bool {
    data.text(MODALITY) == Some("CT")
}

/// Draws the samples of a frame, counted from 0.
pub(super) fn draw(
    data: &DataSet<'_>,
    layout: &Layout,
    frame: u32,
    samples: &[f32],
    choice: WindowChoice,
) -> Result<Grey, Trouble> {
    let modality = modality(data, layout, frame)?;
    let range = range(data, layout, samples, &modality);
    let shading = shading(data, layout, frame, choice, &modality, range)?;
    let shade = |value: f64| match &shading {
        Shading::Window(window) => to_byte(window.shade(value)),
        Shading::Table(table) => {
            to_byte(table.at(value) / (2_f64.powi(i32::from(table.bits)) - 1.0))
        }
    };
    // Whole numbers of few bits repeat: each is worked out once.
    let (low, high) = samples
        .iter()
        .fold((f32::MAX, f32::MIN), |(low, high), sample| (low.min(*sample), high.max(*sample)));
    let bytes = if high - low <= 65_535.0 {
        let table: Vec<u8> = (0..=(high - low) as u32)
            .map(|step| shade(modality.value(low + step as f32)))
            .collect();
        samples.iter().map(|sample| table[(sample - low) as usize]).collect()
    } else {
        samples.iter().map(|sample| shade(modality.value(*sample))).collect()
    };
    let window = match shading {
        Shading::Window(window) => window,
        Shading::Table(table) => {
            let low = table.first as f64;
            let high = low + table.entries.len() as f64 - 1.0;
            Window::between(low, high, WindowOrigin::LookupTable)
        }
    };
    Ok(Grey { bytes, window, range })
}

/// An attribute's data set: the frame's own group, the group that all frames share, or the file
/// itself (PS3.3, C.7.6.16).
fn nearest<'a, 'b>(data: &'a DataSet<'b>, frame: u32, group: Tag, tag: Tag) -> &'a DataSet<'b> {
    let own = data.items(FRAME_GROUPS).get(frame as usize);
    let shared = data.items(SHARED_GROUPS).first();
    own.into_iter()
        .chain(shared)
        .filter_map(|groups| groups.items(group).first())
        .find(|item| item.get(tag).is_some())
        .unwrap_or(data)
}

fn modality(data: &DataSet<'_>, layout: &Layout, frame: u32) -> Result<Modality, Trouble> {
    if let Some(table) = Table::of(data, MODALITY_LUTS, layout.signed)? {
        return Ok(Modality::Table(table));
    }
    let place = nearest(data, frame, FRAME_TRANSFORMATION, RESCALE_SLOPE);
    let number = |tag| {
        place.decimal(tag).map_err(|tag| Trouble::broken(format!("its {tag} is not a number")))
    };
    Ok(match (number(RESCALE_SLOPE)?, number(RESCALE_INTERCEPT)?) {
        (Some(slope), Some(intercept)) => Modality::Linear { slope, intercept },
        _ => Modality::Linear { slope: 1.0, intercept: 0.0 },
    })
}

/// Lowest and highest value; those of all pixels when padding leaves none.
fn range(data: &DataSet<'_>, layout: &Layout, samples: &[f32], modality: &Modality) -> (f64, f64) {
    let number = |tag| {
        data.word(tag).map(
            |word| {
                if layout.signed { f32::from(word as i16) } else { f32::from(word) }
            },
        )
    };
    let padding = number(PADDING_VALUE).map(|value| {
        let limit = number(PADDING_LIMIT).unwrap_or(value);
        (value.min(limit), value.max(limit))
    });
    let is_padding =
        |sample: &f32| padding.is_some_and(|(low, high)| (low..=high).contains(sample));
    let ends = |pixels: &mut dyn Iterator<Item = &f32>| {
        // A table may turn the order round: values are compared, and not numbers.
        pixels.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), sample| {
            let value = modality.value(*sample);
            (low.min(value), high.max(value))
        })
    };
    let inner = ends(&mut samples.iter().filter(|sample| !is_padding(sample)));
    if inner.0 <= inner.1 { inner } else { ends(&mut samples.iter()) }
}

fn shading(
    data: &DataSet<'_>,
    layout: &Layout,
    frame: u32,
    choice: WindowChoice,
    modality: &Modality,
    range: (f64, f64),
) -> Result<Shading, Trouble> {
    let given = |center: f64, width: f64, origin| {
        let curve = if width < 1.0 { Curve::LinearExact } else { Curve::Linear };
        Ok(Shading::Window(Window { center, width, curve, origin }))
    };
    let stretched = || Shading::Window(Window::between(range.0, range.1, WindowOrigin::Range));
    match choice {
        WindowChoice::Given { center, width } => given(center, width, WindowOrigin::Given),
        WindowChoice::Preset(preset) if is_hounsfield(data) => {
            given(preset.center, preset.width, WindowOrigin::Preset)
        }
        WindowChoice::Preset(preset) => Err(Trouble::View(format!(
            "the window `{}` is in Hounsfield units, which only CT has: give window=CENTRE,WIDTH \
             or window=range",
            preset.name
        ))),
        WindowChoice::Range => Ok(stretched()),
        WindowChoice::File => {
            let signed = match modality {
                Modality::Linear { intercept, .. } => layout.signed || *intercept < 0.0,
                Modality::Table(_) => false,
            };
            let place = nearest(data, frame, FRAME_VOI, VOI_LUTS);
            if let Some(table) = Table::of(place, VOI_LUTS, signed)? {
                return Ok(Shading::Table(table));
            }
            if let Some(window) = file_window(data, frame) {
                return Ok(Shading::Window(window));
            }
            if layout.bits_stored <= 8 && !layout.signed && modality.is_identity() {
                let window = Window::between(0.0, layout.full(), WindowOrigin::Bits);
                return Ok(Shading::Window(window));
            }
            Ok(stretched())
        }
    }
}

/// The first window of the file; none when it has none that can be used.
fn file_window(data: &DataSet<'_>, frame: u32) -> Option<Window> {
    let place = nearest(data, frame, FRAME_VOI, WINDOW_CENTER);
    let center = place.decimal(WINDOW_CENTER).ok()??;
    let width = place.decimal(WINDOW_WIDTH).ok()??;
    let curve = match place.text(VOI_FUNCTION) {
        Some("LINEAR_EXACT") => Curve::LinearExact,
        Some("SIGMOID") => Curve::Sigmoid,
        _ => Curve::Linear,
    };
    Some(Window { center, width, curve, origin: WindowOrigin::File }).filter(Window::is_usable)
}
