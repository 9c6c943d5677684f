//! How rows are dealt out to threads.
//!
//! Every kernel computes a row in the same way whatever it is computed with, so the cut decides the
//! time and never the result. Threads are those of the pool that the caller runs in.

#![allow(unsafe_code)]

use rayon::prelude::*;

/// Numbers that one thread is through with before another has woken up.
const WORTH_A_THREAD: usize = 1 << 16;
/// Parts for each thread: cores are not equally fast, least of all where others use them too.
pub(crate) const PARTS: usize = 4;

/// Rows for each part of a loop over `rows` that take `numbers` each, to be dealt out one by one: all of
/// them when they are few.
pub(crate) fn share(rows: usize, numbers: usize) -> usize {
    let threads = rayon::current_num_threads();
    let most = if threads == 1 { 1 } else { PARTS * threads };
    rows.div_ceil((rows * numbers / WORTH_A_THREAD).clamp(1, most)).max(1)
}

/// A copy, made on all threads.
pub(crate) fn copied(values: &[f32]) -> Vec<f32> {
    let mut copy = Vec::with_capacity(values.len());
    let share = share(values.len(), 1);
    let spare = &mut copy.spare_capacity_mut()[..values.len()];
    let parts = spare.par_chunks_mut(share).zip(values.par_chunks(share)).with_max_len(1);
    parts.for_each(|(to, from)| {
        to.write_copy_of_slice(from);
    });
    // SAFETY: the loop has written as many values as there are.
    unsafe { copy.set_len(values.len()) };
    copy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_whole() {
        for count in [0, 1, 100_003] {
            let values: Vec<f32> = (0..count).map(|i| i as f32).collect();
            assert_eq!(copied(&values), values);
        }
    }
}
