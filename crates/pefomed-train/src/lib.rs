//! From a recipe to a trained adapter.
//!
//! A [`Recipe`] says everything that decides how a training goes. Each of its stages takes the
//! questions in the order of the [`sampler`], follows the learning rate of the [`schedule`], updates
//! its numbers with [`adamw`], tells what happens as [`events`], and leaves its results in
//! a [`RunFolder`].

pub mod adamw;
pub mod checkpoint;
mod error;
pub mod events;
pub mod features;
pub mod parts;
pub mod predict;
pub mod questions;
pub mod recipe;
pub mod run_folder;
pub mod sampler;
pub mod schedule;
pub mod tensorboard;
pub mod train;

pub use error::TrainError;
pub use events::{Event, Observer};
pub use recipe::Recipe;
pub use run_folder::RunFolder;
