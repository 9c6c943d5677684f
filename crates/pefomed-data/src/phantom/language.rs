//! Captions and reports, and the phrases they share with the questions.
//!
//! Text is lower case and built from few words, because the model that reads it is tiny; the
//! order and choice of words vary, so that it cannot be learnt as one string.

use rand_chacha::ChaCha8Rng;

use super::draw::Draw as _;
use super::facts::{Device, DeviceKind, FindingKind, Level, Modality, PhantomSpec, Region};

/// A caption of one or two sentences: modality, region, findings with size, side and place,
/// devices.
pub fn captions(spec: &PhantomSpec, rng: &mut ChaCha8Rng) -> String {
    let study = study(spec, rng);
    let findings = all_findings(spec, rng);
    let device = spec.devices.first().map(|&device| device_phrase(device));
    let Some(findings) = findings else {
        let plain = match rng.below(3) {
            0 => format!("normal {study}"),
            1 => format!("{} {study} with no abnormality", article(&study)),
            _ => format!("this {study} is normal"),
        };
        return match (device, rng.below(2)) {
            (None, _) => format!("{plain}."),
            (Some(device), 0) => format!("{plain}. {device} is seen."),
            (Some(device), _) => format!("{plain}. there is {device}."),
        };
    };
    match (device, rng.below(3)) {
        (None, 0) => format!("{} {study} showing {findings}.", article(&study)),
        (None, 1) => format!("{study} with {findings}."),
        (None, _) => format!("this {study} shows {findings}."),
        (Some(device), 0) => {
            format!("{} {study} showing {findings}. {device} is seen.", article(&study))
        }
        (Some(device), 1) => format!("{study} with {findings}. there is {device}."),
        (Some(device), _) => format!("this {study} shows {findings} and {device}."),
    }
}

/// A report of three sentences: findings, devices, impression.
pub fn report(spec: &PhantomSpec, rng: &mut ChaCha8Rng) -> String {
    let organs = match spec.region {
        Region::Chest => "the heart and lungs are normal",
        Region::Head => "the brain and ventricles are normal",
        Region::Abdomen => "the liver and kidneys are normal",
    };
    let findings = match all_findings(spec, rng) {
        Some(findings) => match rng.below(2) {
            0 => format!("there is {findings}"),
            _ => format!("the {} shows {findings}", spec.region.name()),
        },
        None => organs.to_owned(),
    };
    let device = match spec.devices.first() {
        Some(&device) if rng.chance(0.5) => format!("{} is seen", device_phrase(device)),
        Some(&device) => format!("there is {}", device_phrase(device)),
        None => "no device is seen".to_owned(),
    };
    let kinds = spec.kinds();
    let impression = if kinds.is_empty() {
        "no abnormality".to_owned()
    } else {
        let named: Vec<String> = kinds
            .iter()
            .map(|&kind| {
                let side = spec.of_kind(kind).next().and_then(|finding| finding.side);
                let name = if spec.count(kind) > 1 { plural(kind) } else { kind.name() };
                match side {
                    Some(side) => format!("{} {name}", side.name()),
                    None => name.to_owned(),
                }
            })
            .collect();
        named.join(" and ")
    };
    format!("{findings}. {device}. impression: {impression}.")
}

/// "chest x-ray", "x-ray of the chest".
fn study(spec: &PhantomSpec, rng: &mut ChaCha8Rng) -> String {
    let modality = match (spec.modality, rng.below(2)) {
        (Modality::Xray, _) => "x-ray",
        (Modality::Ct, 0) => "ct",
        (Modality::Ct, _) => "ct scan",
        (Modality::Mr, 0) => "mr",
        (Modality::Mr, _) => "mr scan",
    };
    let region = spec.region.name();
    if rng.chance(0.5) {
        format!("{region} {modality}")
    } else {
        format!("{modality} of the {region}")
    }
}

fn all_findings(spec: &PhantomSpec, rng: &mut ChaCha8Rng) -> Option<String> {
    let phrases: Vec<String> =
        spec.kinds().into_iter().map(|kind| finding_phrase(spec, kind, rng)).collect();
    (!phrases.is_empty()).then(|| phrases.join(" and "))
}

/// "a large nodule in the left upper lung", "three masses in the right brain", "ascites".
fn finding_phrase(spec: &PhantomSpec, kind: FindingKind, rng: &mut ChaCha8Rng) -> String {
    let count = spec.count(kind);
    let Some(finding) = spec.of_kind(kind).next() else { return String::new() };
    let side = finding.side.map_or("", super::Side::name);
    let head = match (count, finding.size) {
        (1, Some(size)) => format!("a {} {}", size.name(), kind.name()),
        (1, None) => kind.name().to_owned(),
        (2, _) => format!("two {}", plural(kind)),
        _ => format!("three {}", plural(kind)),
    };
    let level = if count == 1 { finding.level } else { None };
    match kind {
        FindingKind::Effusion | FindingKind::Pneumothorax if rng.chance(0.5) => {
            format!("a {} {side} {}", finding.size.map_or("", super::Size::name), kind.name())
        }
        FindingKind::Effusion | FindingKind::Pneumothorax => format!("{head} on the {side}"),
        FindingKind::Nodule => format!("{head} in the {}", part("lung", side, level)),
        FindingKind::Hemorrhage | FindingKind::Mass | FindingKind::Infarct => {
            format!("{head} in the {}", part("brain", side, level))
        }
        FindingKind::LiverLesion => match level {
            Some(level) => format!("{head} in the {} part", level.name()),
            None => head,
        },
        FindingKind::Cyst | FindingKind::Stone => format!("{head} in the {side} kidney"),
        FindingKind::Cardiomegaly | FindingKind::Hydrocephalus | FindingKind::Ascites => head,
    }
}

/// "left upper lung"
fn part(organ: &str, side: &str, level: Option<Level>) -> String {
    match level {
        Some(level) => format!("{side} {} {organ}", level.name()),
        None => format!("{side} {organ}"),
    }
}

/// "a pacemaker on the left", "a feeding tube".
fn device_phrase(device: Device) -> String {
    let name = if device.kind == DeviceKind::Tube { "feeding tube" } else { device.kind.name() };
    match device.side {
        Some(side) => format!("a {name} on the {}", side.name()),
        None => format!("a {name}"),
    }
}

/// "a nodule", "cardiomegaly": how a finding stands in a question.
pub(super) fn with_article(kind: FindingKind) -> String {
    let name = kind.name();
    match kind {
        FindingKind::Cardiomegaly | FindingKind::Hydrocephalus | FindingKind::Ascites => {
            name.to_owned()
        }
        _ => format!("{} {name}", article(name)),
    }
}

/// More than one of a kind; for kinds that cannot be counted, the same word.
pub(super) fn plural(kind: FindingKind) -> &'static str {
    match kind {
        FindingKind::Nodule => "nodules",
        FindingKind::Mass => "masses",
        FindingKind::LiverLesion => "liver lesions",
        other => other.name(),
    }
}

/// "a" or "an", by how the word is spoken: an x-ray, an mr.
pub(super) fn article(word: &str) -> &'static str {
    let spoken_vowel = word.starts_with("x-ray") || word.starts_with("mr");
    if spoken_vowel || word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}
