//! What is true of a phantom.

use serde::{Deserialize, Serialize};

use super::draw::{Draw as _, Purpose, stream};

/// Part of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Region {
    /// Frontal radiograph, or axial slice through the heart.
    Chest,
    /// Axial slice through the ventricles.
    Head,
    /// Axial slice through liver and kidneys.
    Abdomen,
}

/// How the picture was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Modality {
    /// Radiograph.
    Xray,
    /// Computed tomography, with contrast medium in abdomen and chest.
    Ct,
    /// Magnetic resonance, T2-weighted.
    Mr,
}

/// A side of the patient; the patient's left is on the picture's right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The patient's left: the picture's right.
    Left,
    /// The patient's right: the picture's left.
    Right,
}

/// Where within its organ a finding lies. Radiographs have upper, middle and lower; slices have
/// front, middle and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Upper third.
    Upper,
    /// Front third.
    Front,
    /// Middle third.
    Middle,
    /// Lower third.
    Lower,
    /// Back third.
    Back,
}

/// One of two sizes, well apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Size {
    /// About a twelfth of the picture.
    Small,
    /// About a fifth of the picture.
    Large,
}

/// What is wrong. Each region has four kinds, all of which show in each of its modalities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// Round opacity in a lung; up to three.
    Nodule,
    /// Fluid at the bottom (radiograph) or the back (slice) of a pleural space.
    Effusion,
    /// Air beside a collapsed lung.
    Pneumothorax,
    /// A heart wider than half of the chest.
    Cardiomegaly,
    /// Fresh blood in the brain.
    Hemorrhage,
    /// Ring-enhancing tumour with oedema; up to three.
    Mass,
    /// A wedge of dead brain.
    Infarct,
    /// Wide ventricles.
    Hydrocephalus,
    /// Tumour in the liver; up to three.
    LiverLesion,
    /// Fluid-filled cyst of a kidney.
    Cyst,
    /// Stone in a kidney.
    Stone,
    /// Free fluid in the belly.
    Ascites,
}

/// What was put into the patient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// Generator under the skin of the chest with leads to the heart.
    Pacemaker,
    /// Central venous line.
    Line,
    /// Catheter from behind into a lateral ventricle.
    Shunt,
    /// Metal clip near the midline of the brain, with its artefact.
    Clip,
    /// Tube with a curl, through the flank into the belly.
    Drain,
    /// Feeding tube in the stomach.
    Tube,
}

/// One finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What it is.
    pub kind: FindingKind,
    /// The patient's side, for kinds that have one.
    pub side: Option<Side>,
    /// Place within the organ, for kinds that have one.
    pub level: Option<Level>,
    /// Size, for kinds that have one.
    pub size: Option<Size>,
}

/// One device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// What it is.
    pub kind: DeviceKind,
    /// The patient's side, for kinds that have one.
    pub side: Option<Side>,
}

/// The truth about one phantom. Seed and index also fix what is not named here: the patient's
/// shape, the view and the noise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhantomSpec {
    /// Seed of the data set.
    pub seed: u64,
    /// Number of the image.
    pub index: u64,
    /// Part of the body.
    pub region: Region,
    /// How the picture was taken.
    pub modality: Modality,
    /// What is wrong; empty in about a third of all phantoms. Several entries of one kind are
    /// several lesions, all on one side.
    pub findings: Vec<Finding>,
    /// What was put in: at most one.
    pub devices: Vec<Device>,
}

impl Region {
    /// All regions.
    pub const ALL: [Self; 3] = [Self::Chest, Self::Head, Self::Abdomen];

    /// The word used in text.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chest => "chest",
            Self::Head => "head",
            Self::Abdomen => "abdomen",
        }
    }

    /// The value of the label `organ`, as VQA-RAD writes it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Chest => "CHEST",
            Self::Head => "HEAD",
            Self::Abdomen => "ABD",
        }
    }

    /// What can be wrong here.
    pub fn kinds(self) -> [FindingKind; 4] {
        use FindingKind as K;
        match self {
            Self::Chest => [K::Nodule, K::Effusion, K::Pneumothorax, K::Cardiomegaly],
            Self::Head => [K::Hemorrhage, K::Mass, K::Infarct, K::Hydrocephalus],
            Self::Abdomen => [K::LiverLesion, K::Cyst, K::Stone, K::Ascites],
        }
    }

    /// What can be put in here.
    pub fn devices(self) -> [DeviceKind; 2] {
        match self {
            Self::Chest => [DeviceKind::Pacemaker, DeviceKind::Line],
            Self::Head => [DeviceKind::Shunt, DeviceKind::Clip],
            Self::Abdomen => [DeviceKind::Drain, DeviceKind::Tube],
        }
    }
}

impl Modality {
    /// All modalities.
    pub const ALL: [Self; 3] = [Self::Xray, Self::Ct, Self::Mr];

    /// The word used in text.
    pub fn name(self) -> &'static str {
        match self {
            Self::Xray => "x-ray",
            Self::Ct => "ct",
            Self::Mr => "mr",
        }
    }
}

impl Side {
    /// Both sides.
    pub const ALL: [Self; 2] = [Self::Left, Self::Right];

    /// The word used in text.
    pub fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
        }
    }

    /// The other side.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }

    /// Direction in the picture: +1 towards its right, where the patient's left is.
    pub(super) fn sign(self) -> f32 {
        match self {
            Self::Left => 1.0,
            Self::Right => -1.0,
        }
    }
}

impl Level {
    /// The three levels of a modality.
    pub fn of(modality: Modality) -> [Self; 3] {
        match modality {
            Modality::Xray => [Self::Upper, Self::Middle, Self::Lower],
            Modality::Ct | Modality::Mr => [Self::Front, Self::Middle, Self::Back],
        }
    }

    /// The word used in text.
    pub fn name(self) -> &'static str {
        match self {
            Self::Upper => "upper",
            Self::Front => "front",
            Self::Middle => "middle",
            Self::Lower => "lower",
            Self::Back => "back",
        }
    }

    /// 0 for the top of the picture, 1 for the middle, 2 for the bottom.
    pub(super) fn row(self) -> usize {
        match self {
            Self::Upper | Self::Front => 0,
            Self::Middle => 1,
            Self::Lower | Self::Back => 2,
        }
    }
}

impl Size {
    /// Both sizes.
    pub const ALL: [Self; 2] = [Self::Small, Self::Large];

    /// The word used in text.
    pub fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Large => "large",
        }
    }

    /// The one or the other.
    pub(super) fn choose<T>(self, small: T, large: T) -> T {
        match self {
            Self::Small => small,
            Self::Large => large,
        }
    }
}

impl FindingKind {
    /// The word used in text.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nodule => "nodule",
            Self::Effusion => "effusion",
            Self::Pneumothorax => "pneumothorax",
            Self::Cardiomegaly => "cardiomegaly",
            Self::Hemorrhage => "hemorrhage",
            Self::Mass => "mass",
            Self::Infarct => "infarct",
            Self::Hydrocephalus => "hydrocephalus",
            Self::LiverLesion => "liver lesion",
            Self::Cyst => "cyst",
            Self::Stone => "stone",
            Self::Ascites => "ascites",
        }
    }

    /// Whether it lies on one side of the body, which may be either.
    pub fn has_side(self) -> bool {
        !matches!(
            self,
            Self::Cardiomegaly | Self::Hydrocephalus | Self::LiverLesion | Self::Ascites
        )
    }

    /// Whether it lies in one third of its organ.
    pub fn has_level(self) -> bool {
        matches!(
            self,
            Self::Nodule | Self::Hemorrhage | Self::Mass | Self::Infarct | Self::LiverLesion
        )
    }

    /// Whether it comes in two sizes.
    pub fn has_size(self) -> bool {
        !matches!(self, Self::Cardiomegaly | Self::Hydrocephalus | Self::Ascites)
    }

    /// Whether there can be up to three of it.
    pub fn is_countable(self) -> bool {
        matches!(self, Self::Nodule | Self::Mass | Self::LiverLesion)
    }
}

impl DeviceKind {
    /// The word used in text.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pacemaker => "pacemaker",
            Self::Line => "line",
            Self::Shunt => "shunt",
            Self::Clip => "clip",
            Self::Drain => "drain",
            Self::Tube => "tube",
        }
    }

    /// Whether it may lie on either side. A stomach is always on the left.
    pub fn has_side(self) -> bool {
        self != Self::Tube
    }
}

impl PhantomSpec {
    /// Whether nothing is wrong; devices do not count.
    pub fn is_normal(&self) -> bool {
        self.findings.is_empty()
    }

    /// The kinds of findings, each once, in the order they were drawn.
    pub fn kinds(&self) -> Vec<FindingKind> {
        let mut kinds = Vec::new();
        for finding in &self.findings {
            if !kinds.contains(&finding.kind) {
                kinds.push(finding.kind);
            }
        }
        kinds
    }

    /// How many findings of a kind there are.
    pub fn count(&self, kind: FindingKind) -> usize {
        self.findings.iter().filter(|finding| finding.kind == kind).count()
    }

    /// The findings of one kind.
    pub fn of_kind(&self, kind: FindingKind) -> impl Iterator<Item = Finding> {
        self.findings.iter().copied().filter(move |finding| finding.kind == kind)
    }
}

/// Part of phantoms in which nothing is wrong.
const NORMAL: f32 = 0.35;
/// Part of the others that have a second kind of finding.
const SECOND: f32 = 0.2;
/// Part of phantoms with a device.
const DEVICE: f32 = 0.5;

/// The facts of image `index` of the data set `seed`. The three regions come in turn, in a random
/// order within each three; everything else is independent of other images.
pub fn generate(seed: u64, index: u64) -> PhantomSpec {
    let mut order = Region::ALL;
    let mut turns = stream(seed, index / 3, Purpose::Region);
    order.swap(0, turns.below(3));
    order.swap(1, 1 + turns.below(2));
    let region = order[(index % 3) as usize];

    let mut rng = stream(seed, index, Purpose::Facts);
    // A radiograph is the usual picture of a chest; so the three modalities come out about equally
    // often over all regions.
    let modality = match region {
        Region::Chest if rng.chance(0.85) => Modality::Xray,
        Region::Chest => Modality::Ct,
        Region::Head | Region::Abdomen if rng.chance(0.45) => Modality::Ct,
        Region::Head | Region::Abdomen => Modality::Mr,
    };
    let mut spec =
        PhantomSpec { seed, index, region, modality, findings: Vec::new(), devices: Vec::new() };
    let side = rng.pick(&Side::ALL);
    let mut kinds = region.kinds().to_vec();
    if !rng.chance(NORMAL) {
        let first = kinds.swap_remove(rng.below(kinds.len()));
        add_finding(&mut spec, first, side, &mut rng);
        if rng.chance(SECOND) {
            let second = kinds.swap_remove(rng.below(kinds.len()));
            // Two one-sided findings share no side, so neither hides the other.
            add_finding(&mut spec, second, side.other(), &mut rng);
        }
    }
    if rng.chance(DEVICE) {
        let kind = rng.pick(&region.devices());
        let side = rng.pick(&Side::ALL);
        spec.devices.push(Device { kind, side: kind.has_side().then_some(side) });
    }
    spec
}

fn add_finding(
    spec: &mut PhantomSpec,
    kind: FindingKind,
    side: Side,
    rng: &mut rand_chacha::ChaCha8Rng,
) {
    let count = if kind.is_countable() { rng.pick(&[1, 1, 1, 2, 2, 3, 3]) } else { 1 };
    let size = rng.pick(&Size::ALL);
    let mut levels = Level::of(spec.modality);
    levels.swap(0, rng.below(3));
    levels.swap(1, 1 + rng.below(2));
    for level in levels.into_iter().take(count) {
        spec.findings.push(Finding {
            kind,
            side: kind.has_side().then_some(side),
            level: kind.has_level().then_some(level),
            // Several large lesions would run into one.
            size: kind.has_size().then_some(if count == 1 { size } else { Size::Small }),
        });
    }
}
