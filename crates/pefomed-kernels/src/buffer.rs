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
    /// Where in the stock it belongs.
    width: usize,
}

/// Memory that nobody uses, by the width of the rows that lay in it. The same widths come again with every
/// layer and every batch, with other numbers of rows; so there is soon memory for the largest batch, and
/// never more than was in use at one time.
struct Stock(BTreeMap<usize, Vec<Vec<f32>>>);

static STOCK: Mutex<Stock> = Mutex::new(Stock(BTreeMap::new()));

impl Stock {
    /// The smallest memory that so many numbers fit into. Where none does, the largest is given up.
    fn take(&mut self, count: usize, width: usize) -> Option<Vec<f32>> {
        let all = self.0.get_mut(&width)?;
        let lengths = || all.iter().map(Vec::len).enumerate();
        let fitting = lengths().filter(|(_, length)| *length >= count);
        if let Some((smallest, _)) = fitting.min_by_key(|(_, length)| *length) {
            return Some(all.swap_remove(smallest));
        }
        let (largest, _) = lengths().max_by_key(|(_, length)| *length)?;
        drop(all.swap_remove(largest));
        None
    }

    fn put(&mut self, numbers: Vec<f32>, width: usize) {
        if !numbers.is_empty() {
            self.0.entry(width).or_default().push(numbers);
        }
    }
}

/// Changes the common stock. A panic elsewhere leaves it whole: it only ever loses or gains whole
/// vectors.
fn stock<R>(change: impl FnOnce(&mut Stock) -> R) -> R {
    change(&mut STOCK.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Buffer {
    /// `[rows, width]` numbers, which may be anything until they are written.
    pub(crate) fn unwritten(rows: usize, width: usize) -> Self {
        let count = rows * width;
        let found = stock(|stock| stock.take(count, width));
        Self { numbers: found.unwrap_or_else(|| vec![0.0; count]), count, width }
    }

    /// `[rows, width]` zeros.
    pub(crate) fn zeros(rows: usize, width: usize) -> Self {
        let mut this = Self::unwritten(rows, width);
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
        stock(|stock| stock.put(numbers, self.width));
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
    fn memory_is_used_again_by_rows_of_its_width() {
        let mut stock = Stock(BTreeMap::new());
        for (length, width) in [(0, 10), (100, 10), (200, 10), (400, 10), (999, 9)] {
            stock.put(vec![7.0; length], width);
        }
        assert_eq!(stock.take(150, 10).unwrap(), [7.0; 200]);
        assert_eq!(stock.take(0, 10).unwrap(), [7.0; 100]);
        // What is left is too little, and is given up.
        assert!(stock.take(500, 10).is_none());
        assert!(stock.0[&10].is_empty());
        assert!(stock.take(1, 10).is_none());
        assert!(stock.take(1, 8).is_none());
        assert_eq!(stock.0[&9].len(), 1);
    }

    #[test]
    fn a_buffer_counts_as_many_numbers_as_were_asked_for() {
        drop(Buffer::unwritten(1000, 3));
        let mut buffer = Buffer::zeros(900, 3);
        assert_eq!(*buffer, [0.0; 2700]);
        buffer[2699] = 1.0;
        assert_eq!(buffer.into_vec().len(), 2700);
        assert!(Buffer::unwritten(0, 3).is_empty());
        assert!(Buffer::unwritten(3, 0).is_empty());
    }
}
