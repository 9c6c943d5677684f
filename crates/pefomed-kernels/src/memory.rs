//! What happens to memory that tensors have left.
//!
//! Every operation allocates its result and frees it soon after. An allocator that hands freed
//! blocks back to the system has them mapped and zeroed again for the next operation, and a step of
//! training spends up to half of its time on that (`docs/log.md`, 2026-11-25).
#![allow(unsafe_code)]

use libmimalloc_sys::{mi_option_set, mi_option_t};

/// `mi_option_purge_delay` of mimalloc 3, which its Rust bindings do not name.
const PURGE_DELAY: mi_option_t = 15;
/// Never.
const NEVER: std::ffi::c_long = -1;

/// Tells mimalloc to keep freed memory for the next allocation instead of giving it back to the
/// system. Peak memory stays what it was; memory in use no longer falls after a peak. Has no effect
/// in a program whose global allocator is another one.
pub fn keep_freed_memory() {
    // SAFETY: `mi_option_set` stores a number in a table of options; it may be called at any time,
    // from any thread, and checks the range of the option itself.
    unsafe { mi_option_set(PURGE_DELAY, NEVER) };
}
