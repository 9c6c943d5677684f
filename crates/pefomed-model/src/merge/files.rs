//! What stands beside the weights of a merged model: its configuration, its tokenizer, and the
//! projector of the adapter it came from.

use std::path::Path;

use pefomed_data::prompt::Template;
use pefomed_data::{Tokenizer, files};
use serde_json::{Value, json};

use super::MergedType;
use crate::base::{self, ModelFiles, gguf_tokenizer_json};
use crate::config::LlamaConfig;
use crate::error::ModelError;
use crate::projector;
use crate::weights::GgufFile;

/// Files of a base that are taken over as they are, if it has them.
const COPIED: [&str; 7] = [
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "generation_config.json",
];

/// The tokenizer of a base, with the template whose turns its vocabulary has.
pub(super) fn tokenizer(base: &ModelFiles) -> Result<Tokenizer, ModelError> {
    base::load_tokenizer(base, None, Template::Inst)
        .or_else(|first| base::load_tokenizer(base, None, Template::Chatml).map_err(|_| first))
}

/// Writes configuration and tokenizer, and gives the names of the files.
pub(super) fn write_settings(
    base: &ModelFiles,
    config: &LlamaConfig,
    out: &Path,
    dtype: MergedType,
) -> Result<Vec<String>, ModelError> {
    let mut names = vec!["config.json".to_owned()];
    let mut settings = match base {
        ModelFiles::Gguf(_) => json!(config),
        _ => base.json("config.json")?,
    };
    let mut tokens: Vec<(&str, Value)> = Vec::new();
    match base {
        ModelFiles::Folder(folder) => {
            for name in COPIED.into_iter().filter(|name| folder.join(name).is_file()) {
                files::write_bytes(&out.join(name), &files::read_bytes(&folder.join(name))?)?;
                names.push(name.to_owned());
            }
        }
        ModelFiles::Embedded(part) => {
            files::write_bytes(&out.join("tokenizer.json"), part.file("tokenizer.json")?)?;
            let tokenizer = tokenizer(base)?;
            let begin = tokenizer.begin.map(|id| ("bos_token_id", json!(id)));
            tokens.extend(begin.into_iter().chain([("eos_token_id", json!(tokenizer.end))]));
        }
        ModelFiles::Gguf(path) => {
            let file = GgufFile::open(path)?;
            files::write_json(&out.join("tokenizer.json"), &gguf_tokenizer_json(&file)?)?;
            for (key, stored) in [
                ("bos_token_id", "tokenizer.ggml.bos_token_id"),
                ("eos_token_id", "tokenizer.ggml.eos_token_id"),
            ] {
                if file.has_key(stored) {
                    tokens.push((key, json!(file.u64(stored)?)));
                }
            }
        }
    }
    if !matches!(base, ModelFiles::Folder(_)) {
        let class = json!({"tokenizer_class": "PreTrainedTokenizerFast"});
        files::write_json(&out.join("tokenizer_config.json"), &class)?;
        names.extend(["tokenizer.json".to_owned(), "tokenizer_config.json".to_owned()]);
    }
    if let Some(settings) = settings.as_object_mut() {
        settings.retain(|_, value| !value.is_null());
        let classes = settings.entry("architectures").or_insert(json!(["LlamaForCausalLM"]));
        if !classes.is_array() {
            *classes = json!(["LlamaForCausalLM"]);
        }
        // Newer programs read `dtype`, older ones `torch_dtype`.
        settings.shift_remove("quantization_config");
        settings.insert("torch_dtype".to_owned(), json!(dtype.name()));
        if settings.contains_key("dtype") {
            settings.insert("dtype".to_owned(), json!(dtype.name()));
        }
        for (key, id) in tokens {
            settings.insert(key.to_owned(), id);
        }
    }
    files::write_json(&out.join("config.json"), &settings)?;
    Ok(names)
}

/// Takes the projector over, for it is no part of a decoder and would be lost.
pub(super) fn copy_projector(adapter: &Path, out: &Path) -> Result<Option<String>, ModelError> {
    let path = adapter.join(projector::FILE);
    if !path.is_file() {
        return Ok(None);
    }
    files::write_bytes(&out.join(projector::FILE), &files::read_bytes(&path)?)?;
    Ok(Some(projector::FILE.to_owned()))
}
