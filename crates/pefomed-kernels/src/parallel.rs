//! How rows are dealt out to threads.
//!
//! Every kernel computes a row in the same way whatever it is computed with, so the cut decides the
//! time and never the result. Threads are those of the pool that the caller runs in.

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
