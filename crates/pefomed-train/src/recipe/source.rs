//! Where the weights of a model come from, in one word of a recipe.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The origin of a model's weights.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ModelSource {
    /// A file, or a folder in Hugging Face layout.
    Path(PathBuf),
    /// `hub:owner/name`: a repository of the Hugging Face hub, here `owner/name`.
    Hub(String),
    /// `embedded:name`: weights inside the program, here `name`.
    Embedded(String),
}

impl ModelSource {
    /// Whether a text names a file or folder rather than one of the other origins.
    pub(super) fn is_path(text: &str) -> bool {
        !text.starts_with("hub:") && !text.starts_with("embedded:")
    }
}

impl FromStr for ModelSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(name) = text.strip_prefix("embedded:") {
            return if name.is_empty() {
                Err("`embedded:` needs a name, as in `embedded:tiny`".to_owned())
            } else {
                Ok(Self::Embedded(name.to_owned()))
            };
        }
        if let Some(name) = text.strip_prefix("hub:") {
            let parts: Vec<&str> = name.split('/').collect();
            return if parts.len() == 2 && parts.iter().all(|part| is_hub_name(part)) {
                Ok(Self::Hub(name.to_owned()))
            } else {
                Err(format!("`{text}` is no repository: write `hub:owner/name`"))
            };
        }
        if text.is_empty() {
            return Err("a model needs a path, `hub:owner/name` or `embedded:name`".to_owned());
        }
        Ok(Self::Path(PathBuf::from(text)))
    }
}

/// Letters, digits and `._-`, and not only dots: nothing that could leave the cache folder.
fn is_hub_name(part: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    part.chars().all(allowed) && part.chars().any(|c| c.is_ascii_alphanumeric())
}

impl fmt::Display for ModelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Hub(name) => write!(f, "hub:{name}"),
            Self::Embedded(name) => write!(f, "embedded:{name}"),
        }
    }
}

impl TryFrom<String> for ModelSource {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ModelSource> for String {
    fn from(source: ModelSource) -> Self {
        source.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_origins_go_there_and_back() {
        let cases = [
            ("../models/dinov2-small", ModelSource::Path("../models/dinov2-small".into())),
            ("hub:facebook/dinov2-small", ModelSource::Hub("facebook/dinov2-small".to_owned())),
            ("embedded:tiny", ModelSource::Embedded("tiny".to_owned())),
        ];
        for (text, source) in cases {
            assert_eq!(text.parse::<ModelSource>().unwrap(), source);
            assert_eq!(source.to_string(), text);
        }
    }

    #[test]
    fn half_written_and_hostile_origins_are_refused() {
        for text in ["", "hub:", "hub:owner", "hub:a/b/c", "hub:../..", "hub:a/..", "embedded:"] {
            assert!(text.parse::<ModelSource>().is_err(), "`{text}` was accepted");
        }
    }
}
