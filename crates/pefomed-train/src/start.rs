//! Where the first stage starts: from drawn weights, or from the adapter of another run.
//!
//! PeFoMed's second stage is one model for each data set, all from the same first stage. A recipe
//! names that first stage's adapter folder as `[adapter] start`, and a run writes down the digest of
//! what it found there. `pefomed convert` makes such a folder from a checkpoint of PeFoMed or
//! MiniGPT-v2. What the folder holds must be what the recipe describes: an adapter of another rank
//! would train, and be another experiment than the recipe says.

use std::path::{Path, PathBuf};

use pefomed_data::files;
use pefomed_model::adapter::{CONFIG_FILE as CONFIG, LoraConfig, WEIGHTS_FILE};
use pefomed_model::multimodal::TunedDecoder;
use pefomed_model::projector;

use crate::TrainError;
use crate::parts::{Parts, lora_config};
use crate::recipe::Recipe;

/// The files that an adapter folder has, the settings first.
const FILES: [&str; 3] = [CONFIG, WEIGHTS_FILE, projector::FILE];

/// The folder that a recipe starts from, when there is none yet: before the first stage was trained.
pub fn missing(recipe: &Recipe) -> Option<&Path> {
    recipe.adapter.start.as_deref().filter(|folder| !folder.join(CONFIG).is_file())
}

/// Makes sure that what a recipe starts from is there, without reading it.
///
/// # Errors
/// [`TrainError::StartAdapter`] when the folder is no adapter.
pub fn check(recipe: &Recipe) -> Result<(), TrainError> {
    recipe.adapter.start.as_deref().map_or(Ok(()), check_files)
}

/// Names the weights that a recipe starts from; none when they are drawn from its seed.
///
/// # Errors
/// [`TrainError::StartAdapter`] when the folder is no adapter.
pub fn digest(recipe: &Recipe) -> Result<Option<String>, TrainError> {
    recipe.adapter.start.as_deref().map(digest_of).transpose()
}

/// Names the weights in the folder of an adapter.
///
/// # Errors
/// [`TrainError::StartAdapter`] when the folder is no adapter.
pub fn digest_of(folder: &Path) -> Result<String, TrainError> {
    check_files(folder)?;
    let digests = FILES.iter().map(|file| files::digest_file(&folder.join(file)));
    Ok(files::digest(digests.collect::<Result<Vec<_>, _>>()?))
}

fn check_files(folder: &Path) -> Result<(), TrainError> {
    match FILES.iter().find(|file| !folder.join(file).is_file()) {
        Some(absent) => Err(no_adapter(folder, absent)),
        None => Ok(()),
    }
}

/// The model that the first stage starts from.
///
/// # Errors
/// [`TrainError::StartAdapter`] when the folder is no adapter or another one than the recipe
/// describes; [`TrainError::Model`] for a tensor that is missing, misshapen or left over.
pub fn model(parts: &Parts, recipe: &Recipe) -> Result<TunedDecoder, TrainError> {
    let Some(folder) = &recipe.adapter.start else { return parts.untuned(recipe) };
    check_files(folder)?;
    let mut model = parts.tuned(folder)?;
    let wanted = lora_config(&recipe.adapter)?;
    let problem = difference(&wanted, model.adapter.config()).or_else(|| {
        let (wanted, found) = (recipe.model.projector, model.projector.kind());
        (wanted != found).then(|| {
            format!(
                "its projector is {found:?}, [model] `projector` is {wanted:?}: make them equal"
            )
        })
    });
    if let Some(problem) = problem {
        return Err(TrainError::StartAdapter { path: folder.clone(), problem });
    }
    model.adapter = model.adapter.with_dropout(wanted.dropout);
    Ok(model)
}

/// What the adapter of a folder has otherwise than a recipe. Dropout belongs to the training that is
/// to come and may differ.
fn difference(wanted: &LoraConfig, found: &LoraConfig) -> Option<String> {
    let names = |config: &LoraConfig| {
        config.targets.iter().map(|site| site.name()).collect::<Vec<_>>().join(", ")
    };
    let settings = [
        ("rank", wanted.rank.to_string(), found.rank.to_string()),
        ("alpha", wanted.alpha.to_string(), found.alpha.to_string()),
        ("targets", names(wanted), names(found)),
    ];
    let (key, wanted, found) = settings.into_iter().find(|(_, wanted, found)| wanted != found)?;
    Some(format!("its {key} is {found}, [adapter] `{key}` is {wanted}: make them equal"))
}

fn no_adapter(folder: &Path, absent: &str) -> TrainError {
    let within: PathBuf = folder.join("adapter");
    let problem = if within.join(CONFIG).is_file() {
        format!("is a run; name its adapter, `{}`", within.display())
    } else if folder.is_dir() {
        format!("has no `{absent}`, so it is no adapter folder of a run or of `pefomed convert`")
    } else {
        "is not there: train the recipe it comes from, name another folder, or leave `start` out to \
         begin with drawn weights"
            .to_owned()
    };
    TrainError::StartAdapter { path: folder.to_owned(), problem }
}

#[cfg(test)]
mod tests {
    use pefomed_model::adapter::Site;

    use super::*;

    fn recipe(start: &Path) -> Recipe {
        let text = format!(
            "[model]\nvision = 'embedded:tiny'\ndecoder = 'embedded:tiny'\n[adapter]\nstart = '{}'",
            start.display()
        );
        Recipe::from_str(&text, Path::new("/nowhere")).unwrap()
    }

    #[test]
    fn a_start_that_is_no_adapter_says_what_it_lacks() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let told = |start: &Path| digest(&recipe(start)).unwrap_err().to_string();
        let absent = at.join("absent");
        assert!(told(&absent).contains("train the recipe it comes from"), "{}", told(&absent));
        assert_eq!(missing(&recipe(&absent)), Some(absent.as_path()));
        assert!(told(at).contains("has no `adapter_config.json`"), "{}", told(at));
        let adapter = at.join("adapter");
        std::fs::create_dir(&adapter).unwrap();
        std::fs::write(adapter.join(CONFIG), "{}").unwrap();
        assert!(told(at).contains("is a run; name its adapter"), "{}", told(at));
        assert!(told(&adapter).contains("has no `adapter_model.safetensors`"));
        for file in &FILES[1..] {
            std::fs::write(adapter.join(file), "1").unwrap();
        }
        let first = digest(&recipe(&adapter)).unwrap();
        assert_eq!(missing(&recipe(&adapter)), None);
        std::fs::write(adapter.join(FILES[2]), "2").unwrap();
        assert_ne!(digest(&recipe(&adapter)).unwrap(), first);
    }

    #[test]
    fn another_adapter_than_the_recipes_is_told_by_its_key() {
        let wanted =
            LoraConfig { rank: 8, alpha: 16.0, dropout: 0.1, targets: vec![Site::Q, Site::V] };
        assert_eq!(difference(&wanted, &LoraConfig { dropout: 0.0, ..wanted.clone() }), None);
        let told = |found: LoraConfig| difference(&wanted, &found).unwrap();
        assert!(told(LoraConfig { rank: 4, ..wanted.clone() }).contains("rank is 4"));
        assert!(told(LoraConfig { alpha: 8.0, ..wanted.clone() }).contains("alpha is 8"));
        let targets = vec![Site::Q];
        assert!(told(LoraConfig { targets, ..wanted.clone() }).contains("targets is q_proj,"));
    }
}
