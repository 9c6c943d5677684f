//! Jobs on all cores, with results in the order of the jobs.
//!
//! Each worker is a pool of one thread, and the tensor framework's products run inside it. A common
//! pool would not do: a job holds the framework's autodiff lock while it waits for a product, and
//! the pool would give the waiting thread another job, which wants the same lock and never gets it.
//! Nor would products gain from being split while every core has a job of its own.

use std::sync::Mutex;
use std::thread;

use rayon::ThreadPoolBuilder;

/// Runs `work` for every job on as many threads as the common pool has. The first error, in the
/// order of the jobs, is returned.
pub(crate) fn in_order<J, R, E, F>(jobs: Vec<J>, work: F) -> Result<Vec<R>, E>
where
    J: Send,
    R: Send,
    E: Send,
    F: Fn(J) -> Result<R, E> + Sync,
{
    let threads = rayon::current_num_threads().min(jobs.len());
    if threads <= 1 {
        return jobs.into_iter().map(work).collect();
    }
    let count = jobs.len();
    let queue = Mutex::new(jobs.into_iter().enumerate());
    let next = || queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
    let run = || {
        let mut done = Vec::new();
        while let Some((index, job)) = next() {
            let result = work(job);
            let failed = result.is_err();
            done.push((index, result));
            if failed {
                // Nothing after the first error is wanted: empty the queue.
                while next().is_some() {}
            }
        }
        done
    };
    let mut results: Vec<(usize, Result<R, E>)> = thread::scope(|scope| {
        let alone = || match ThreadPoolBuilder::new().num_threads(1).build() {
            Ok(pool) => pool.install(run),
            // No thread to be had for a pool: the common one then computes the products.
            Err(_) => run(),
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(alone)).collect();
        let mut results = Vec::with_capacity(count);
        for worker in workers {
            match worker.join() {
                Ok(done) => results.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results
    });
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_the_order_of_the_jobs() {
        let squares = in_order((0..1000).collect(), |n: u64| Ok::<_, ()>(n * n)).unwrap();
        assert!(squares.iter().enumerate().all(|(n, square)| *square == (n * n) as u64));
    }

    #[test]
    fn the_first_error_is_returned() {
        let failed =
            in_order((0..1000).collect(), |n: u64| if n % 7 == 6 { Err(n) } else { Ok(n) });
        assert_eq!(failed, Err(6));
    }
}
