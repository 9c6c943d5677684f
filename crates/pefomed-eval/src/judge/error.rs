//! Every way that asking a model can fail before or beside the asking itself.
//!
//! What an endpoint does wrong while it is asked is no error of the whole work: it is listed with
//! the item it happened to, and everything else is kept.

use std::path::PathBuf;

use pefomed_data::{DataError, ImageCondition};

use crate::EvalError;

/// An error of this module; each says what to do about it. None holds a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JudgeError {
    /// A file could not be read or written, or is not what it should be.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The summary cannot be made.
    #[error(transparent)]
    Eval(#[from] EvalError),
    /// An endpoint's address that cannot be used.
    #[error("endpoint `{url}`: {problem}")]
    Endpoint {
        /// The address, without a password.
        url: String,
        /// What is wrong and what to do about it.
        problem: &'static str,
    },
    /// The endpoint is not on this machine, and nobody allowed that.
    #[error(
        "`{host}` is not this machine ({found}), so {what} would leave it: use an endpoint on a \
         loopback address such as http://127.0.0.1:8000/v1, or pass --allow-remote if you may send them"
    )]
    Remote {
        /// Host of the endpoint.
        host: String,
        /// What its name stands for.
        found: String,
        /// What would be sent.
        what: &'static str,
    },
    /// The key in the environment cannot be used.
    #[error("the key in the environment variable `{name}` {problem}")]
    Key {
        /// Name of the variable.
        name: String,
        /// What is wrong and what to do about it; never the key.
        problem: &'static str,
    },
    /// A prompt that lacks a placeholder, or has one that nothing fills.
    #[error("prompt `{origin}`: {problem}")]
    Prompt {
        /// The file, or the default prompt's name.
        origin: String,
        /// What is wrong and what to do about it.
        problem: String,
    },
    /// An option has a value that makes no sense.
    #[error("option `{option}` is {value}: {remedy}")]
    Option {
        /// Name of the option.
        option: &'static str,
        /// The value that was given.
        value: String,
        /// What values are possible.
        remedy: &'static str,
    },
    /// Two lines have the same system, id and condition.
    #[error(
        "`{system}` has id `{id}` twice under the {} image: pass each prediction file once, or name \
         the systems apart with NAME=FILE",
        condition.name()
    )]
    DuplicateItem {
        /// The system.
        system: String,
        /// Id of the item.
        id: String,
        /// Which image was shown.
        condition: ImageCondition,
    },
    /// There is nothing to ask about.
    #[error("nothing to ask: {problem}")]
    NothingToAsk {
        /// Why, and what to do about it.
        problem: String,
    },
    /// Another process writes to the same file.
    #[error(
        "`{}` is being written by another process: wait for it, or choose another file with --out",
        path.display()
    )]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// An earlier line could not be written, and nothing may follow half a line.
    #[error("`{}` takes no more lines: writing to it failed before", path.display())]
    Closed {
        /// The file.
        path: PathBuf,
    },
}
