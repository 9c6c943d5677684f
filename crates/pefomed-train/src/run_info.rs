//! `run.json`: the facts about a run that a reader of its results asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use pefomed_data::{DataError, ImagePlace, ImageSource, files};
use pefomed_model::multimodal::TunedDecoder;
use pefomed_model::parameters::Trainable as _;
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::parts::Parts;
use crate::recipe::Recipe;
use crate::run_folder::RunFolder;

/// The contents of `run.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Version of the program.
    pub version: String,
    /// The kind of device.
    pub device: String,
    /// Threads the CPU parts ran on; they decide the time and nothing else.
    pub threads: usize,
    /// The recipe's seed.
    pub seed: u64,
    /// Numbers that were trained, by part: `projector`, `lora`. Empty when nothing was.
    pub trainable_parameters: BTreeMap<String, usize>,
    /// Numbers that were not, by part: `vision`, `decoder`.
    pub frozen_parameters: BTreeMap<String, usize>,
    /// Digests of everything that decides the result.
    pub digests: BTreeMap<String, String>,
    /// Folders that the image names of predictions are relative to, and parquet files that images are
    /// inside of; those inside the run are relative to it.
    pub images_dir: Vec<PathBuf>,
    /// Wall seconds of all optimizer steps; absent until the run is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Wall seconds of encoding the training images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding_seconds: Option<f64>,
    /// Most memory the process had resident, in bytes, where the system tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<u64>,
}

impl RunInfo {
    /// What is known before the first step. `model` is counted, `data_digest` names the training
    /// rows, and `examples` are those whose images a report may show.
    pub fn new(
        recipe: &Recipe,
        parts: &Parts,
        model: &mut TunedDecoder,
        data_digest: &str,
        device: &str,
    ) -> Self {
        let mut digests = parts.digests(recipe);
        digests.insert("data split".to_owned(), data_digest.to_owned());
        let trains = |which: fn(&crate::recipe::Stage) -> bool| recipe.stages.iter().any(which);
        let mut trainable = BTreeMap::new();
        if trains(|stage| stage.train_projector) {
            trainable.insert("projector".to_owned(), model.projector.parameter_count());
        }
        if trains(|stage| stage.train_adapter) {
            trainable.insert("lora".to_owned(), model.adapter.parameter_count());
        }
        let frozen = BTreeMap::from([
            ("vision".to_owned(), parts.vision.encoder.config().parameter_count()),
            ("decoder".to_owned(), parts.decoder.config().parameter_count()),
        ]);
        Self {
            title: recipe.title.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            device: device.to_owned(),
            threads: rayon::current_num_threads(),
            seed: recipe.seed,
            trainable_parameters: trainable,
            frozen_parameters: frozen,
            digests,
            ..Self::default()
        }
    }

    /// Notes the folders of some images, and the parquet files that images are inside of.
    pub fn add_images<'a>(
        &mut self,
        run: &RunFolder,
        images: impl IntoIterator<Item = &'a ImageSource>,
    ) {
        let mut folders: BTreeSet<PathBuf> = self.images_dir.drain(..).collect();
        let root = std::path::absolute(run.root()).unwrap_or_else(|_| run.root().to_owned());
        for image in images {
            let place = match &image.place {
                ImagePlace::File(file) => folder_of(file, &image.name),
                ImagePlace::Parquet(cell) => Some(cell.path.to_path_buf()),
            };
            let Some(folder) = place else { continue };
            let folder = std::path::absolute(&folder).unwrap_or(folder);
            folders.insert(folder.strip_prefix(&root).map_or(folder.clone(), Path::to_owned));
        }
        self.images_dir = folders.into_iter().collect();
    }

    /// Writes `run.json`.
    ///
    /// # Errors
    /// [`DataError::Write`].
    pub fn write(&self, run: &RunFolder) -> Result<(), DataError> {
        files::write_json(&run.run_json(), self)
    }

    /// Reads `run.json`.
    ///
    /// # Errors
    /// [`DataError::Read`] or [`DataError::Json`].
    pub fn read(run: &RunFolder) -> Result<Self, DataError> {
        files::read_json(&run.run_json())
    }

    /// Writes the resolved recipe, with the digests of what it names in its head comment: a recipe
    /// says where the data and weights lie, a digest which they were.
    ///
    /// # Errors
    /// [`TrainError::RecipeWrite`], [`DataError::Write`].
    pub fn write_recipe(&self, recipe: &Recipe, run: &RunFolder) -> Result<(), TrainError> {
        let mut text = format!(
            "# Resolved by pefomed {}: every default is written out, every path is absolute.\n\
             # It ran on:\n",
            self.version
        );
        for (what, digest) in &self.digests {
            let _ = writeln!(text, "#   {what:<16} sha256 {digest}");
        }
        text.push('\n');
        text.push_str(&recipe.to_toml()?);
        files::write_bytes(&run.recipe(), text.as_bytes())?;
        Ok(())
    }
}

/// The folder that `name` is relative to when it leads to `path`.
fn folder_of(path: &Path, name: &str) -> Option<PathBuf> {
    if !path.ends_with(name) {
        return path.parent().map(Path::to_owned);
    }
    path.ancestors().nth(Path::new(name).components().count()).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_what_the_name_is_relative_to() {
        let folder = |path: &str, name: &str| folder_of(Path::new(path), name);
        assert_eq!(folder("/d/images/a.png", "a.png"), Some("/d/images".into()));
        assert_eq!(folder("/d/images/x/a.png", "x/a.png"), Some("/d/images".into()));
        assert_eq!(folder("/d/images/b.png", "a.png"), Some("/d/images".into()));
    }
}
