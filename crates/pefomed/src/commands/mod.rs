//! One file for each command.

pub(crate) mod ablate;
pub(crate) mod agree;
pub(crate) mod compare;
pub(crate) mod convert;
pub(crate) mod data_check;
pub(crate) mod data_deidentify;
pub(crate) mod demo;
pub(crate) mod judge;
pub(crate) mod merge;
pub(crate) mod plan;
pub(crate) mod predict;
pub(crate) mod pretrain;
pub(crate) mod rate;
pub(crate) mod report;
pub(crate) mod score;
pub(crate) mod serve;
pub(crate) mod train;
