//! Finding the data that only developers have.

use std::path::{Path, PathBuf};

/// Shared data for development, or a loud note that the test is skipped.
#[expect(clippy::print_stderr, reason = "a skipped test must not look like a passed one")]
pub(crate) fn shared(part: &str) -> Option<PathBuf> {
    let root = std::env::var_os("PEFOMED_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let path = root.join(part);
    if !path.exists() {
        eprintln!("SKIPPED: {} absent", path.display());
        return None;
    }
    Some(path)
}
