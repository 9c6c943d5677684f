//! The secret that pseudonyms are made from.

use std::fmt;
use std::path::Path;

use crate::{DataError, files};

/// Fewest bytes of a salt.
const LEAST: usize = 16;
/// Dates go back by 1 to this many days.
const DAYS: u128 = 3650;

/// A secret. Whoever has it can tell whether a pseudonym is that of a known patient.
#[derive(Clone)]
pub struct Salt(Vec<u8>);

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(secret)")
    }
}

impl Salt {
    /// A salt of at least 16 bytes; none for less, which could be guessed.
    pub fn new(secret: &[u8]) -> Option<Self> {
        (secret.len() >= LEAST).then(|| Self(secret.to_vec()))
    }

    /// Reads a salt from a file; blanks and line ends around it do not count. A file that does not
    /// exist is made, with 256 random bits, for its owner alone.
    ///
    /// # Errors
    /// [`DataError::Read`], [`DataError::Write`]; [`DataError::Layout`] for a salt that is too short.
    pub fn of_file(path: &Path) -> Result<Self, DataError> {
        if !path.exists() {
            let mut secret = [0; 32];
            getrandom::fill(&mut secret).map_err(|error| DataError::Write {
                path: path.to_owned(),
                source: std::io::Error::other(error.to_string()),
            })?;
            files::write_bytes(path, files::digest([secret]).as_bytes())?;
            keep_private(path)?;
        }
        let bytes = files::read_bytes(path)?;
        Self::new(bytes.trim_ascii()).ok_or_else(|| DataError::Layout {
            path: path.to_owned(),
            problem: format!("a salt has at least {LEAST} bytes: use longer random text"),
        })
    }

    /// A number of 128 bits that stands for a value used for some purpose.
    fn number(&self, purpose: &str, value: &str) -> u128 {
        let digest = files::digest([&self.0, purpose.as_bytes(), value.as_bytes()]);
        // Hexadecimal digits of a SHA-256 are a number.
        u128::from_str_radix(&digest[..32], 16).unwrap_or_default()
    }

    /// The identifier that replaces one: always the same. Those of the standard itself stay.
    pub(super) fn uid(&self, uid: &str) -> String {
        let is_plain = uid.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if uid.is_empty() || (is_plain && uid.len() <= 64 && uid.starts_with("1.2.840.10008.")) {
            return uid.to_owned();
        }
        // PS3.5, B.2: any number of 128 bits below the root 2.25.
        format!("2.25.{}", self.number("uid", uid))
    }

    /// What a patient is called from now on.
    pub(super) fn pseudonym(&self, patient: &str) -> String {
        format!("P{:016X}", self.number("patient", patient) >> 64)
    }

    /// How many days the dates of a patient go back.
    pub(super) fn days(&self, patient: &str) -> i64 {
        1 + (self.number("days", patient) % DAYS) as i64
    }

    /// Tells salts apart without telling what they are.
    pub(super) fn fingerprint(&self) -> String {
        format!("{:016x}", self.number("fingerprint", "") >> 64)
    }
}

#[cfg(unix)]
fn keep_private(path: &Path) -> Result<(), DataError> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
        .map_err(|source| DataError::Write { path: path.to_owned(), source })
}

#[cfg(not(unix))]
fn keep_private(_path: &Path) -> Result<(), DataError> {
    Ok(())
}
