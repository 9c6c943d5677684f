//! What is served over HTTP: for now the pages on which people rate texts.
//!
//! The server holds no state of its own. Whatever it says comes from a
//! [store](pefomed_eval::rating::Store), and whatever it is told is in the store, on the disk, before
//! it is acknowledged; so it can be stopped, killed and started again at any time.

mod error;
pub mod rating;

pub use error::ServeError;
pub use rating::{Link, RatingServer, ServeOptions};
