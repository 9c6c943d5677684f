//! Every way that planning and running a training can fail.

use pefomed_data::DataError;

/// An error of this crate; each names the file, the line or key, and the remedy where there is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// Data could not be read or a file not written; the error names it.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A recipe is not TOML.
    #[error("`{origin}`{} is not valid TOML: {problem}", at(*line))]
    RecipeSyntax {
        /// The file.
        origin: String,
        /// Line, counted from 1.
        line: Option<usize>,
        /// What the parser met.
        problem: String,
    },
    /// A recipe has a key that nothing reads: most often a slip of the keyboard, which would
    /// otherwise leave the default in force without a word.
    #[error("`{origin}`: unknown key `{key}` in {table} (line {line}): {hint}")]
    UnknownKey {
        /// The file.
        origin: String,
        /// The key as written.
        key: String,
        /// The table it stands in, as a header would write it.
        table: String,
        /// Line, counted from 1.
        line: usize,
        /// The nearest known key, or all of them.
        hint: String,
    },
    /// A recipe lacks a value, or has one that is of the wrong type or makes no sense.
    #[error("`{origin}`{}: {problem}", at(*line))]
    RecipeValue {
        /// The file.
        origin: String,
        /// Line, counted from 1; none when the value is absent or was set on the command line.
        line: Option<usize>,
        /// Table, key, what is wrong and what is allowed.
        problem: String,
    },
    /// A `key=value` on the command line that fits no key of the recipe.
    #[error("cannot apply `{assignment}`: {problem}")]
    Override {
        /// The argument as given.
        assignment: String,
        /// What is wrong and what is allowed.
        problem: String,
    },
    /// A recipe that cannot be written as TOML.
    #[error("cannot write the recipe as TOML: {problem}")]
    RecipeWrite {
        /// The value that does not fit.
        problem: String,
    },
}

/// `, line 31`, or nothing.
fn at(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!(", line {line}"))
}
