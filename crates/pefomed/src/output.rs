//! Results on standard output, as text or as JSON.

use std::io::{self, Write as _};

use serde::Serialize;

/// Standard output. A reader that goes away (`pefomed … | head`) is an error of kind
/// [`io::ErrorKind::BrokenPipe`], which ends the program quietly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether results are printed as JSON.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Prints a result: `text` for a person, `value` for a script.
    pub(crate) fn result<T: Serialize>(self, text: &str, value: &T) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            serde_json::to_writer_pretty(&mut out, value)?;
            writeln!(out)?;
        } else {
            writeln!(out, "{}", text.trim_end())?;
        }
        out.flush()
    }
}
