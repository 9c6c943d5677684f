//! Models by their name on the Hugging Face hub: an optional feature, and never behind a user's back.

use std::path::PathBuf;

use crate::error::ModelError;

/// Folder with the files of `owner/name`, fetched unless they are in the cache already.
#[cfg(feature = "hub")]
pub(crate) fn fetch(name: &str) -> Result<PathBuf, ModelError> {
    let failed = |problem: String| ModelError::Hub { name: name.to_owned(), problem };
    let (owner, repository) =
        name.split_once('/').ok_or_else(|| failed("a name has the form owner/name".to_owned()))?;
    let offline = std::env::var("HF_HUB_OFFLINE").is_ok_and(|value| !matches!(&*value, "" | "0"));
    let patterns = ["*.json", "*.safetensors", "*.gguf", "tokenizer.model"];
    let client = hf_hub::HFClientSync::new().map_err(|error| failed(error.to_string()))?;
    client
        .model(owner, repository)
        .snapshot_download()
        .allow_patterns(patterns.map(str::to_owned).to_vec())
        .local_files_only(offline)
        .send()
        .map_err(|error| {
            let state = if offline { "HF_HUB_OFFLINE is set" } else { "is there a network?" };
            failed(format!("{error} ({state}); download it elsewhere and name the folder instead"))
        })
}

/// Without the feature there is no hub.
#[cfg(not(feature = "hub"))]
pub(crate) fn fetch(name: &str) -> Result<PathBuf, ModelError> {
    Err(ModelError::Hub {
        name: name.to_owned(),
        problem: "this program was built without the `hub` feature; download the model and name \
                  its folder instead, or build with `--features hub`"
            .to_owned(),
    })
}
