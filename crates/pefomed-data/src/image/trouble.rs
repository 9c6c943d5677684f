//! Why a picture cannot be decoded, before the file has a name.

use super::decode::LIMIT_MEGAPIXELS;
use crate::DataError;

/// Why a file cannot be shown: words for the message that names the file.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It is damaged, cut short or contradicts itself.
    Broken(String),
    /// It holds something that is not read here.
    Unsupported(String),
    /// It asks for too much memory.
    Huge(u32, u32),
    /// What was asked for is not there.
    View(String),
}

impl Trouble {
    pub(crate) fn broken(reason: impl Into<String>) -> Self {
        Self::Broken(reason.into())
    }

    /// That a picture is small enough to be decoded.
    pub(crate) fn check_pixels(columns: u32, rows: u32) -> Result<(), Self> {
        let is_huge = u64::from(columns) * u64::from(rows) > LIMIT_MEGAPIXELS * 1_000_000;
        if is_huge { Err(Self::Huge(columns, rows)) } else { Ok(()) }
    }

    /// The error that names the file; `remedy` is for what is not read here.
    pub(crate) fn named(self, name: &str, remedy: &'static str) -> DataError {
        let name = name.to_owned();
        match self {
            Self::Broken(reason) => DataError::BrokenImage { name, reason },
            Self::Unsupported(what) => DataError::Unsupported { name, what, remedy },
            Self::Huge(width, height) => {
                DataError::HugeImage { name, width, height, limit: LIMIT_MEGAPIXELS }
            }
            Self::View(problem) => DataError::View { name, problem },
        }
    }
}
