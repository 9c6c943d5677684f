//! What is served over HTTP: the pages on which people rate texts ([`rating`]), and a tuned model behind the
//! OpenAI-compatible API ([`chat`]).
//!
//! The rating server holds no state of its own. Whatever it says comes from a
//! [store](pefomed_eval::rating::Store), and whatever it is told is in the store, on the disk, before
//! it is acknowledged; so it can be stopped, killed and started again at any time. The chat server keeps
//! nothing of what it is asked.

pub mod chat;
mod error;
mod guard;
mod listening;
pub mod rating;
mod shared_page;
mod token;

pub use chat::{ChatOptions, ChatServer};
pub use error::ServeError;
pub use rating::{Link, RatingServer, ServeOptions};
