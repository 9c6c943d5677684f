//! Finding the data that only developers have.

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Shared data for development, or a loud note that the test is skipped.
pub(crate) fn shared(part: &str) -> Option<PathBuf> {
    let root = std::env::var_os("PEFOMED_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let path = root.join(part);
    if !path.exists() {
        // Past the test harness, which would swallow a print.
        let _ = writeln!(std::io::stderr(), "SKIPPED: {} absent", path.display());
        return None;
    }
    Some(path)
}
