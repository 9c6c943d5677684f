//! The tiny base inside the program, which the demo tunes. `recipes/tiny-base.toml` remakes it.

use crate::error::ModelError;

/// A vision encoder and a decoder that belong together.
pub struct EmbeddedBase {
    /// Name, as in `embedded:tiny`.
    pub name: &'static str,
    /// The vision encoder's files.
    pub vision: Part,
    /// The decoder's files.
    pub decoder: Part,
}

/// The files of one model, in Hugging Face layout.
#[derive(Debug)]
pub struct Part {
    /// For messages.
    pub name: &'static str,
    files: &'static [(&'static str, &'static [u8])],
}

impl Part {
    /// Contents of a file.
    ///
    /// # Errors
    /// [`ModelError::NoEmbedded`] when there is none of that name.
    pub fn file(&self, name: &str) -> Result<&'static [u8], ModelError> {
        let found = self.files.iter().find(|(file, _)| *file == name);
        let missing = || ModelError::NoEmbedded { name: format!("{}/{name}", self.name) };
        found.map(|(_, bytes)| *bytes).ok_or_else(missing)
    }
}

macro_rules! asset {
    ($file:literal) => {
        include_bytes!(concat!("../../../assets/tiny-base/", $file)).as_slice()
    };
}

static BASES: [EmbeddedBase; 1] = [EmbeddedBase {
    name: "tiny",
    vision: Part {
        name: "embedded:tiny/vision",
        files: &[
            ("config.json", asset!("vision/config.json")),
            ("preprocessor_config.json", asset!("vision/preprocessor_config.json")),
            ("model.safetensors", asset!("vision/model.safetensors")),
        ],
    },
    decoder: Part {
        name: "embedded:tiny/decoder",
        files: &[
            ("config.json", asset!("decoder/config.json")),
            ("tokenizer.json", asset!("decoder/tokenizer.json")),
            ("model.safetensors", asset!("decoder/model.safetensors")),
        ],
    },
}];

/// An embedded base by its name.
///
/// # Errors
/// [`ModelError::NoEmbedded`] for an unknown name.
pub fn base(name: &str) -> Result<&'static EmbeddedBase, ModelError> {
    BASES
        .iter()
        .find(|base| base.name == name)
        .ok_or_else(|| ModelError::NoEmbedded { name: name.to_owned() })
}
