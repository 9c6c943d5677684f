//! Some threads, a list of jobs, and a flag that ends both.
//!
//! A question waits for the network and not for the processor, so plain threads are enough: as many
//! as questions may be on their way at once.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

/// Works on jobs in their order, at most `at_once` at a time, until all are done, `stop` is set or
/// `take` breaks off. `take` hears of each job that was worked on as it ends, on the calling thread;
/// jobs that were begun are always finished and heard of.
pub(crate) fn run<J: Sync, R: Send>(
    jobs: &[J],
    at_once: NonZeroUsize,
    stop: &AtomicBool,
    work: impl Fn(&J) -> R + Sync,
    mut take: impl FnMut(usize, R) -> ControlFlow<()>,
) {
    let next = AtomicUsize::new(0);
    let halted = AtomicBool::new(false);
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..at_once.get().min(jobs.len()) {
            let sender = sender.clone();
            scope.spawn(|| {
                let sender = sender;
                while !stop.load(Ordering::SeqCst) && !halted.load(Ordering::SeqCst) {
                    let index = next.fetch_add(1, Ordering::SeqCst);
                    let Some(job) = jobs.get(index) else { break };
                    if sender.send((index, work(job))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for (index, result) in receiver {
            if take(index, result).is_break() {
                halted.store(true, Ordering::SeqCst);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn no_more_than_allowed_are_on_their_way() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let jobs: Vec<usize> = (0..40).collect();
        let work = |job: &usize| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(3));
            now.fetch_sub(1, Ordering::SeqCst);
            job * 2
        };
        let mut seen = vec![0; 40];
        let at_once = NonZeroUsize::new(3).unwrap();
        run(&jobs, at_once, &AtomicBool::new(false), work, |index, result| {
            assert_eq!(result, index * 2);
            seen[index] += 1;
            ControlFlow::Continue(())
        });
        assert_eq!((most.load(Ordering::SeqCst), seen), (3, vec![1; 40]));
    }

    #[test]
    fn begun_jobs_are_heard_of_and_no_others_are_begun() {
        let begun = AtomicUsize::new(0);
        let jobs = [(); 1_000];
        let mut heard = 0;
        let work = |(): &()| {
            begun.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(1));
        };
        let at_once = NonZeroUsize::new(4).unwrap();
        run(&jobs, at_once, &AtomicBool::new(false), work, |_, ()| {
            heard += 1;
            if heard < 5 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        assert_eq!(begun.load(Ordering::SeqCst), heard);
        assert!((5..50).contains(&heard), "{heard}");
    }
}
