//! Adapters: the few weights that tuning changes beside frozen ones.

mod lora;
mod peft;

pub use lora::{LoraAdapter, LoraConfig, Site};
