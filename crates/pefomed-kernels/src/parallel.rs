//! How rows are dealt out to threads.
//!
//! Every kernel computes a row in the same way whatever it is computed with, so the cut decides the
//! time and never the result. Threads are those of the pool that the caller runs in.

#![allow(unsafe_code)]

use rayon::prelude::*;

/// Numbers that one thread is through with before another has woken up.
const WORTH_A_THREAD: usize = 1 << 16;

/// Rows for each thread, of `rows` that take `numbers` each: all of them when they are few.
pub(crate) fn share(rows: usize, numbers: usize) -> usize {
    let threads = rayon::current_num_threads();
    if threads == 1 || rows * numbers < WORTH_A_THREAD {
        return rows.max(1);
    }
    rows.div_ceil(threads)
}

/// A copy, made on all threads.
pub(crate) fn copied(values: &[f32]) -> Vec<f32> {
    let mut copy = Vec::with_capacity(values.len());
    let share = share(values.len(), 1);
    let spare = &mut copy.spare_capacity_mut()[..values.len()];
    spare.par_chunks_mut(share).zip(values.par_chunks(share)).for_each(|(to, from)| {
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
