//! Memory for the numbers of one operation, used again by the next.
//!
//! Operations write a result of some megabytes for another to read. Fresh memory must be zeroed
//! before safe code may write to it; memory of a buffer that was dropped need not.

use std::collections::BTreeMap;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// Numbers whose memory goes back to a common stock when they are dropped.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    /// All of the memory.
    numbers: Vec<f32>,
    /// How much of it counts.
    count: usize,
}

/// Memory that nobody uses, by its length.
static STOCK: Mutex<BTreeMap<usize, Vec<Vec<f32>>>> = Mutex::new(BTreeMap::new());

/// Changes the stock. A panic elsewhere leaves it whole: it only ever loses or gains whole vectors.
fn stock<R>(change: impl FnOnce(&mut BTreeMap<usize, Vec<Vec<f32>>>) -> R) -> R {
    change(&mut STOCK.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Takes a vector of the given length out of the stock.
fn take(stock: &mut BTreeMap<usize, Vec<Vec<f32>>>, length: usize) -> Option<Vec<f32>> {
    let all = stock.get_mut(&length)?;
    let one = all.pop();
    if all.is_empty() {
        stock.remove(&length);
    }
    one
}

impl Buffer {
    /// So many numbers, which may be anything until they are written.
    pub(crate) fn unwritten(count: usize) -> Self {
        // One that is a quarter too large will do. Where there is none, one that is too small makes
        // room, so that the stock does not grow with every new size.
        let found = stock(|stock| {
            let fit = stock.range(count..=count + count / 4).next().map(|(length, _)| *length);
            if let Some(length) = fit {
                return take(stock, length);
            }
            let small = stock.range(..count).next_back().map(|(length, _)| *length);
            drop(small.and_then(|length| take(stock, length)));
            None
        });
        Self { numbers: found.unwrap_or_else(|| vec![0.0; count]), count }
    }

    /// So many zeros.
    pub(crate) fn zeros(count: usize) -> Self {
        let mut this = Self::unwritten(count);
        this.fill(0.0);
        this
    }

    /// The numbers, whose memory does not go back.
    pub(crate) fn into_vec(mut self) -> Vec<f32> {
        let mut numbers = mem::take(&mut self.numbers);
        numbers.truncate(self.count);
        numbers
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let numbers = mem::take(&mut self.numbers);
        if !numbers.is_empty() {
            stock(|stock| stock.entry(numbers.len()).or_default().push(numbers));
        }
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.numbers[..self.count]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.numbers[..self.count]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_by_what_is_no_larger_and_not_much_smaller() {
        // Sizes that no other test has.
        let mut buffer = Buffer::unwritten(1_000_003);
        buffer.fill(7.0);
        let at = buffer.as_ptr();
        drop(buffer);
        let small = Buffer::unwritten(500_001);
        assert_ne!(small.as_ptr(), at);
        let again = Buffer::unwritten(900_001);
        assert_eq!((again.as_ptr(), again.len(), again[0]), (at, 900_001, 7.0));
        drop(again);
        let zeros = Buffer::zeros(1_000_003);
        assert_eq!(zeros.as_ptr(), at);
        assert!(zeros.iter().all(|number| *number == 0.0));
        assert_eq!(zeros.into_vec().len(), 1_000_003);
    }
}
