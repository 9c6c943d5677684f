//! From a recipe to a trained adapter.
//!
//! A [`Recipe`] says everything that decides how a training goes. Each of its stages takes the
//! questions in the order of the [`sampler`], follows the learning rate of the [`schedule`], updates
//! its numbers with [`adamw`], tells what happens as [`events`], and leaves its results in
//! a [`RunFolder`].

pub mod adamw;
pub mod answering;
pub mod augmented;
pub mod checkpoint;
pub mod device;
mod error;
pub mod events;
pub mod features;
pub mod mix;
pub mod parts;
pub mod plan;
pub mod predict;
pub mod pretrain;
pub mod questions;
pub mod recipe;
pub mod run_folder;
pub mod run_info;
pub mod sampler;
pub mod schedule;
pub mod start;
mod step;
pub mod tensorboard;
mod threads;
pub mod train;

pub use device::DeviceKind;
pub use error::{NamedSide, TrainError};
pub use events::{Event, Observer};
pub use recipe::Recipe;
pub use run_folder::RunFolder;
pub use run_info::RunInfo;
