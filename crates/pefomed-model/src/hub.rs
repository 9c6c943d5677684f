//! Models by their name on the Hugging Face hub: an optional feature, and never behind a user's back.
//!
//! What is in the hub's cache may be a part of a model: a download that was cut, or a single file that
//! another program wanted. Such a part is refused with the name of what it lacks.

use std::path::PathBuf;

use crate::error::ModelError;

/// Folder with the files of `owner/name`, fetched unless they are in the cache already. When the hub
/// does not answer, a whole model in the cache is taken.
#[cfg(feature = "hub")]
pub(crate) fn fetch(name: &str) -> Result<PathBuf, ModelError> {
    let failed = |problem: String| ModelError::Hub { name: name.to_owned(), problem };
    let (owner, repository) =
        name.split_once('/').ok_or_else(|| failed("a name has the form owner/name".to_owned()))?;
    let is_offline =
        std::env::var("HF_HUB_OFFLINE").is_ok_and(|value| !matches!(&*value, "" | "0"));
    let patterns = ["*.json", "*.safetensors", "tokenizer.model"];
    // Trying again helps against a busy hub and not against none.
    let client = hf_hub::HFClientBuilder::new().retry_max_attempts(1).build_sync();
    let client = client.map_err(|error| failed(reason(&error)))?;
    let model = client.model(owner, repository);
    let files = |local| {
        let patterns = patterns.map(str::to_owned).to_vec();
        let files = model.snapshot_download().allow_patterns(patterns).local_files_only(local);
        files.send().map_err(|error| reason(&error))
    };
    let way_on = "download the model elsewhere and name its folder instead";
    let fetched = if is_offline {
        Err("HF_HUB_OFFLINE is set".to_owned())
    } else {
        answers(&client, owner, repository).and_then(|()| files(false))
    };
    let problem = match fetched {
        Ok(folder) => return Ok(folder),
        Err(problem) => problem,
    };
    let Ok(folder) = files(true) else {
        return Err(failed(format!("{problem}, and it is not in the cache; {way_on}")));
    };
    match lacking(&folder) {
        None => Ok(folder),
        Some(file) => {
            let folder = folder.display();
            Err(failed(format!("{problem}, and the cache lacks `{file}` in `{folder}`; {way_on}")))
        }
    }
}

/// Whether the hub answers at all, within a time that a person waits: behind a firewall that says
/// nothing, a connection takes minutes to fail.
#[cfg(feature = "hub")]
fn answers(client: &hf_hub::HFClientSync, owner: &str, repository: &str) -> Result<(), String> {
    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);
    let (sender, receiver) = std::sync::mpsc::channel();
    let model = client.model(owner, repository);
    std::thread::spawn(move || sender.send(model.exists().send().map_err(|error| reason(&error))));
    match receiver.recv_timeout(PATIENCE) {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err("the hub has no such model, or hides it: set HF_TOKEN".to_owned()),
        Ok(Err(problem)) => Err(problem),
        Err(_) => Err(format!("the hub did not answer within {} s", PATIENCE.as_secs())),
    }
}

/// An error with what caused it, in one line.
#[cfg(feature = "hub")]
fn reason(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let text = next.to_string();
        if !said.contains(&text) {
            said.push_str(": ");
            said.push_str(&text);
        }
        cause = next.source();
    }
    said
}

/// The first file that a folder of a model lacks: its configuration, its weights, a shard of them.
/// What only encoders or only decoders have is told when it is read.
#[cfg(any(feature = "hub", test))]
fn lacking(folder: &std::path::Path) -> Option<String> {
    let has = |file: &str| folder.join(file).is_file();
    let (config, weights) = ("config.json", "model.safetensors");
    let index = format!("{weights}.index.json");
    if !has(config) {
        return Some(config.to_owned());
    }
    if !has(&index) {
        return (!has(weights)).then(|| weights.to_owned());
    }
    let map: serde_json::Value = pefomed_data::files::read_json(&folder.join(&index)).ok()?;
    let mut shards = map.get("weight_map")?.as_object()?.values().filter_map(|it| it.as_str());
    shards.find(|shard| !has(shard)).map(str::to_owned)
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

#[cfg(test)]
mod tests {
    use super::lacking;

    #[test]
    fn a_part_of_a_model_is_not_taken_for_the_whole() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |file: &str, text: &str| std::fs::write(folder.path().join(file), text).unwrap();
        let lacks = || lacking(folder.path());
        assert_eq!(lacks().as_deref(), Some("config.json"));
        write("config.json", "{}");
        assert_eq!(lacks().as_deref(), Some("model.safetensors"));
        write("model.safetensors", "");
        assert_eq!(lacks(), None);
        let map = r#"{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}"#;
        write("model.safetensors.index.json", map);
        write("model-1.safetensors", "");
        assert_eq!(lacks().as_deref(), Some("model-2.safetensors"));
        write("model-2.safetensors", "");
        assert_eq!(lacks(), None);
    }
}
