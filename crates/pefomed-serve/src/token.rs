//! Secrets: what a rater's personal link holds and what is kept of it, and the key of an API.
//!
//! A token has 256 random bits, so nobody guesses one, and a plain SHA-256 of it is enough to keep:
//! slow hashes protect passwords that people choose. Who reads the store cannot make a link from it.

use std::fmt::Write as _;
use std::hint::black_box;

use pefomed_data::files;

use crate::ServeError;

/// A new token: 64 hexadecimal digits from the operating system's generator.
pub(crate) fn new() -> Result<String, ServeError> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(ServeError::Random)?;
    Ok(bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// What is kept of a token.
pub(crate) fn digest(token: &str) -> String {
    files::digest(["pefomed rater token", token])
}

/// Whether `token` is the one whose digest is kept. The time it takes depends on neither.
pub(crate) fn matches(token: &str, kept: &str) -> bool {
    let given = digest(token);
    if given.len() != kept.len() {
        return false;
    }
    let difference =
        given.bytes().zip(kept.bytes()).fold(0_u8, |all, (a, b)| black_box(all | (a ^ b)));
    difference == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_fits_its_digest_and_no_other() {
        let (one, other) = (new().unwrap(), new().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.len(), 64);
        let kept = digest(&one);
        assert!(matches(&one, &kept) && !kept.contains(&one));
        assert!(!matches(&other, &kept) && !matches("", &kept) && !matches(&kept, &kept));
        assert!(!matches(&one, "") && !matches(&one, &kept[..63]));
    }
}
