//! The 14 findings and what a report can say of one.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// Number of findings.
pub const FINDINGS: usize = 14;

/// A finding of chest radiography as CheXpert names them (Irvin et al. 2019, table 1), in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Finding {
    /// Nothing is wrong; devices may be there.
    #[serde(rename = "No Finding")]
    NoFinding,
    /// A wide mediastinum, the heart's outline apart.
    #[serde(rename = "Enlarged Cardiomediastinum")]
    EnlargedCardiomediastinum,
    /// A large heart.
    Cardiomegaly,
    /// Nodule, mass, cavity, tumour.
    #[serde(rename = "Lung Lesion")]
    LungLesion,
    /// Opacity, infiltrate, interstitial markings, scars.
    #[serde(rename = "Lung Opacity")]
    LungOpacity,
    /// Pulmonary oedema, congestion, heart failure.
    Edema,
    /// Consolidation.
    Consolidation,
    /// Pneumonia, infection.
    Pneumonia,
    /// Atelectasis, collapse.
    Atelectasis,
    /// Pneumothorax.
    Pneumothorax,
    /// Pleural effusion.
    #[serde(rename = "Pleural Effusion")]
    PleuralEffusion,
    /// Pleural thickening, plaques, scars.
    #[serde(rename = "Pleural Other")]
    PleuralOther,
    /// Fracture of a rib, a vertebra or another bone.
    Fracture,
    /// Tubes, lines, pacemakers, clips, wires, valves.
    #[serde(rename = "Support Devices")]
    SupportDevices,
}

impl Finding {
    /// All findings, in CheXpert's order.
    pub const ALL: [Self; FINDINGS] = [
        Self::NoFinding,
        Self::EnlargedCardiomediastinum,
        Self::Cardiomegaly,
        Self::LungLesion,
        Self::LungOpacity,
        Self::Edema,
        Self::Consolidation,
        Self::Pneumonia,
        Self::Atelectasis,
        Self::Pneumothorax,
        Self::PleuralEffusion,
        Self::PleuralOther,
        Self::Fracture,
        Self::SupportDevices,
    ];

    /// The five that CheXpert's competition is about: F1-5.
    pub const FIVE: [Self; 5] = [
        Self::Cardiomegaly,
        Self::Edema,
        Self::Consolidation,
        Self::Atelectasis,
        Self::PleuralEffusion,
    ];

    /// Its name, as CheXpert's tables have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoFinding => "No Finding",
            Self::EnlargedCardiomediastinum => "Enlarged Cardiomediastinum",
            Self::Cardiomegaly => "Cardiomegaly",
            Self::LungLesion => "Lung Lesion",
            Self::LungOpacity => "Lung Opacity",
            Self::Edema => "Edema",
            Self::Consolidation => "Consolidation",
            Self::Pneumonia => "Pneumonia",
            Self::Atelectasis => "Atelectasis",
            Self::Pneumothorax => "Pneumothorax",
            Self::PleuralEffusion => "Pleural Effusion",
            Self::PleuralOther => "Pleural Other",
            Self::Fracture => "Fracture",
            Self::SupportDevices => "Support Devices",
        }
    }

    /// The finding of that name, whatever its case.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|finding| finding.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a report says of a finding that it mentions; the order is that in which mentions are summed
/// up: one that is positive outweighs any that are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Label {
    /// It is not there.
    Negative,
    /// It may be there.
    Uncertain,
    /// It is there.
    Positive,
}

/// What a report says of every finding; none for one that it does not mention.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Labels([Option<Label>; FINDINGS]);

impl Labels {
    /// What is said of one finding.
    pub fn of(&self, finding: Finding) -> Option<Label> {
        self.0[finding as usize]
    }

    /// All findings that are mentioned, in CheXpert's order.
    pub fn mentioned(&self) -> impl Iterator<Item = (Finding, Label)> + '_ {
        Finding::ALL.into_iter().filter_map(|finding| Some((finding, self.of(finding)?)))
    }

    /// Counts one more mention.
    pub(super) fn mention(&mut self, finding: Finding, label: Label) {
        let known = &mut self.0[finding as usize];
        *known = (*known).max(Some(label));
    }
}

impl Serialize for Labels {
    /// As a map from the findings that are mentioned to what is said of them.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.mentioned())
    }
}
