//! Adapters: the few weights that tuning changes beside frozen ones.

mod lora;
mod peft;

pub use lora::{LoraAdapter, LoraConfig, Site};
pub(crate) use peft::{read_lora_config, write_peft_folder};
