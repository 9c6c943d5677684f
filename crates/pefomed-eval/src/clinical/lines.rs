//! Labels of single items as JSON lines, for scripts and for a look at what the rules made of a text.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use pefomed_data::{DataError, Prediction, files};
use serde::Serialize;

use super::finding::{Finding, Labels};
use super::scores::LabelledPair;

/// Labels of one item.
#[derive(Clone, Debug, Serialize)]
pub struct LabelLine {
    /// Whose text it is.
    pub system: String,
    /// Id of the item.
    pub id: String,
    /// Image or patient.
    pub group: String,
    /// Which image was shown.
    pub condition: &'static str,
    /// What made the labels, with its version.
    pub labeller: &'static str,
    /// Findings that the reference mentions.
    pub reference: Labels,
    /// Findings that the text mentions.
    pub prediction: Labels,
    /// Label columns of the prediction file that are named as findings, as they came: they are neither
    /// used nor changed.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub given: BTreeMap<String, String>,
}

impl LabelLine {
    pub(crate) fn new(system: &str, item: &Prediction, pair: LabelledPair) -> Self {
        let named = item
            .labels
            .iter()
            .filter(|(name, _)| Finding::named(&name.replace('_', " ")).is_some());
        Self {
            system: system.to_owned(),
            id: item.id.clone(),
            group: item.group.clone(),
            condition: item.condition.name(),
            labeller: super::LABELLER,
            reference: pair.reference,
            prediction: pair.candidate,
            given: named.map(|(name, value)| (name.clone(), value.clone())).collect(),
        }
    }
}

/// Writes labels as JSON lines, whole or not at all.
///
/// # Errors
/// [`DataError::Write`] when the file cannot be written.
pub fn write_labels(path: &Path, lines: &[LabelLine]) -> Result<(), DataError> {
    files::write_atomically(path, |out| {
        for line in lines {
            serde_json::to_writer(&mut *out, line)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    })
}
