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
struct Stock(BTreeMap<usize, Vec<Vec<f32>>>);

static STOCK: Mutex<Stock> = Mutex::new(Stock(BTreeMap::new()));

impl Stock {
    /// Memory for so many numbers, and at most half as many again. Where there is none, as much as
    /// will be taken anew is given up: batches differ in size, and the stock must not grow with each.
    fn take(&mut self, count: usize) -> Option<Vec<f32>> {
        if let Some((&length, _)) = self.0.range(count..=count + count / 2).next() {
            return self.remove(length);
        }
        let mut given_up = 0;
        while given_up < count {
            let larger = self.0.range(count..).next();
            let Some((&length, _)) = larger.or_else(|| self.0.last_key_value()) else { break };
            given_up += length;
            drop(self.remove(length));
        }
        None
    }

    fn remove(&mut self, length: usize) -> Option<Vec<f32>> {
        let all = self.0.get_mut(&length)?;
        let one = all.pop();
        if all.is_empty() {
            self.0.remove(&length);
        }
        one
    }

    fn put(&mut self, numbers: Vec<f32>) {
        if !numbers.is_empty() {
            self.0.entry(numbers.len()).or_default().push(numbers);
        }
    }
}

/// Changes the common stock. A panic elsewhere leaves it whole: it only ever loses or gains whole
/// vectors.
fn stock<R>(change: impl FnOnce(&mut Stock) -> R) -> R {
    change(&mut STOCK.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Buffer {
    /// So many numbers, which may be anything until they are written.
    pub(crate) fn unwritten(count: usize) -> Self {
        let found = stock(|stock| stock.take(count));
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
        stock(|stock| stock.put(numbers));
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
        let mut stock = Stock(BTreeMap::new());
        for length in [0, 100, 200, 200, 400] {
            stock.put(vec![7.0; length]);
        }
        assert_eq!(stock.take(150).unwrap(), [7.0; 200]);
        assert_eq!(stock.take(200).unwrap(), [7.0; 200]);
        assert!(stock.take(0).is_none());
        // 400 is too much for 200, and what is left is too little: the larger is given up.
        assert!(stock.take(200).is_none());
        assert_eq!(stock.0.keys().copied().collect::<Vec<_>>(), [100]);
        // More than there is: all is given up.
        assert!(stock.take(1000).is_none());
        assert!(stock.0.is_empty());
    }

    #[test]
    fn a_buffer_counts_as_many_numbers_as_were_asked_for() {
        drop(Buffer::unwritten(1000));
        let mut buffer = Buffer::zeros(900);
        assert_eq!(*buffer, [0.0; 900]);
        buffer[899] = 1.0;
        assert_eq!(buffer.into_vec().len(), 900);
        assert!(Buffer::unwritten(0).is_empty());
    }
}
