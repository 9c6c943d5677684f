//! Judging by a model, and answers of an untuned model, through any OpenAI-compatible endpoint.
//!
//! Exact match calls "left lung" wrong where the reference says "the lung on the left"; a model that
//! reads both does not. What it says is an opinion, and an opinion counts only when one can see who
//! was asked what, in which words, and whether the same question would be answered the same again.
//! So every reply is kept with the digest of its prompt, the model and the sampling parameters;
//! what cannot be read is counted and never scored; and questions can be repeated.
//!
//! ```text
//! predictions ─► JudgedItem ─► Judge::plan ─► Judge::run ─► judgements.jsonl ─► Summary, Grade
//!                                  │              │
//!                          prompt, sampling   Transport (HTTP, retries, concurrency)
//! ```
//!
//! Nothing is sent to another machine unless that was allowed ([`http::Endpoint::guard`]), and
//! interrupted work goes on where it was ([`journal::Journal`]).

pub mod answer;
pub mod chat;
mod error;
pub mod grades;
#[cfg(feature = "http")]
pub mod http;
pub mod journal;
pub mod kind;
pub mod parse;
pub mod plan;
pub mod prompt;
pub mod retry;
mod run;
mod sampling;
mod schedule;
pub mod summary;
pub mod transport;
pub mod verdict;

pub use error::JudgeError;
pub use kind::{ErrorCounts, Kind};
pub use parse::Outcome;
pub use plan::{ItemName, Judge, Plan};
pub use prompt::Prompt;
pub use retry::Patience;
pub use run::{Asking, FailedItem, Halt, Judged};
pub use sampling::Sampling;
pub use summary::Summary;
pub use transport::Transport;
pub use verdict::{JudgedItem, Verdict};
