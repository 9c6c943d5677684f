//! Adapters: the few weights that tuning changes beside frozen ones.

mod lora;
mod peft;

pub use lora::{LoraAdapter, LoraConfig, Site};
pub use peft::{CONFIG_FILE, WEIGHTS_FILE};
pub(crate) use peft::{read_lora_config, write_peft_folder};
