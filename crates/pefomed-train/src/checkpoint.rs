//! Checkpoints: everything that a run needs to go on as if it had never stopped.
//!
//! A checkpoint is a folder with the trained weights (in the layout of the final adapter), the
//! moments of the optimizer, and where the run stands. It is written under a temporary name and
//! renamed when complete, so a folder that has the final name is whole.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use pefomed_data::{DataError, files};
use pefomed_model::ModelError;
use pefomed_model::multimodal::TunedDecoder;
use pefomed_model::parameters::Trainable as _;
use pefomed_model::weights::{Loader, SafetensorsFile, TensorValues, write_safetensors};
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::adamw::Moments;
use crate::run_folder::RunFolder;

/// Checkpoints that are kept: the newest, and the one before in case the newest is lost.
const KEPT: usize = 2;

/// Where a run stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Index of the stage in the recipe.
    pub stage: usize,
    /// Optimizer steps taken in it.
    pub step: usize,
    /// Optimizer steps taken in all stages.
    pub total: usize,
    /// Digest of the recipe, data and frozen weights: a run goes on only with the same.
    pub identity: String,
}

/// Writes the trained weights into a folder: the adapter in PEFT's layout, the projector beside it.
///
/// # Errors
/// [`TrainError::Model`] when a file cannot be written.
pub fn write_adapter(
    folder: &Path,
    model: &mut TunedDecoder,
    decoder: &str,
) -> Result<(), TrainError> {
    model.adapter.write_peft(folder, decoder)?;
    model.projector.write(folder)?;
    Ok(())
}

/// Writes a checkpoint and removes old ones. Returns its folder.
///
/// # Errors
/// When a file cannot be written; the previous checkpoint stays.
pub fn write(
    run: &RunFolder,
    position: &Position,
    model: &mut TunedDecoder,
    moments: &[Moments],
    decoder: &str,
) -> Result<PathBuf, TrainError> {
    let path = run.checkpoint(position.total);
    let unfinished = path.with_extension("writing");
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| TrainError::from(DataError::Write { path, source })
    };
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(failed(&unfinished))?;
    }
    write_adapter(&unfinished, model, decoder)?;
    let names: Vec<String> = model.parameters().into_iter().map(|(name, _)| name).collect();
    let mut tensors = Vec::with_capacity(2 * names.len());
    for (name, moments) in names.iter().zip(moments) {
        for (which, values) in [("first", &moments.first), ("second", &moments.second)] {
            let values = TensorValues::F32(values.clone());
            tensors.push((format!("{which}.{name}"), vec![values.len()], values));
        }
    }
    write_safetensors(&unfinished.join("optimizer.safetensors"), &tensors, &BTreeMap::new())?;
    files::write_json(&unfinished.join("position.json"), position)?;
    if path.exists() {
        fs::remove_dir_all(&path).map_err(failed(&path))?;
    }
    fs::rename(&unfinished, &path).map_err(failed(&path))?;
    let all = list(run)?;
    for (_, old) in all.iter().rev().skip(KEPT) {
        fs::remove_dir_all(old).map_err(failed(old))?;
    }
    Ok(path)
}

/// Complete checkpoints of a run, the oldest first.
fn list(run: &RunFolder) -> Result<Vec<(usize, PathBuf)>, TrainError> {
    let folder = run.checkpoints();
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(DataError::Read { path: folder, source }.into()),
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let step = name.to_str().and_then(|name| name.strip_prefix("step-")?.parse().ok());
        if let Some(step) = step {
            found.push((step, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

/// Goes back to the newest checkpoint: sets the model's weights and returns where it stood, with
/// the optimizer's moments. None when there is no checkpoint.
///
/// # Errors
/// [`TrainError::OtherRun`] when recipe, data or frozen weights have changed since; whatever is
/// wrong with the checkpoint's files.
pub fn restore(
    run: &RunFolder,
    identity: &str,
    model: &mut TunedDecoder,
) -> Result<Option<(Position, Vec<Moments>)>, TrainError> {
    let Some((_, path)) = list(run)?.pop() else { return Ok(None) };
    let position: Position = files::read_json(&path.join("position.json"))?;
    if position.identity != identity {
        return Err(TrainError::OtherRun { path });
    }
    let (place, config) = (model.decoder.place().clone(), model.decoder.config().clone());
    model.adapter = pefomed_model::adapter::LoraAdapter::read_peft(&path, &config, &place)?;
    let [output, input] = model.projector.shape();
    model.projector = pefomed_model::projector::Projector::read(&path, input, output, &place)?;
    let file = SafetensorsFile::open(&path.join("optimizer.safetensors"))?;
    let mut loader = Loader::new(&file);
    let parameters = model.parameters();
    let moments = parameters.iter().map(|(name, parameter)| {
        let length = [parameter.len()];
        Ok::<_, ModelError>(Moments {
            first: loader.take(&format!("first.{name}"), &length)?,
            second: loader.take(&format!("second.{name}"), &length)?,
        })
    });
    let moments = moments.collect::<Result<Vec<_>, _>>()?;
    loader.finish(&|_| false)?;
    Ok(Some((position, moments)))
}
