//! The bits of an entropy-coded segment (T.81, B.1.1.5): a byte 0xFF is followed by a 0x00 that says
//! nothing, or begins a marker.

use super::{Trouble, cut_short};

/// Reads bits up to the next marker.
pub(super) struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    /// The next bits, the first of them topmost; those below `count` are 0.
    held: u64,
    count: u32,
    /// The number that the next restart marker has to have.
    restarts: u8,
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8], at: usize) -> Self {
        Self { data, at, held: 0, count: 0, restarts: 0 }
    }

    /// Where the bytes lie that were not taken in.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Holds as many bits as there is room or data for.
    fn fill(&mut self) {
        while self.count <= 56 {
            let Some(&byte) = self.data.get(self.at) else { return };
            if byte == 0xFF {
                if self.data.get(self.at + 1) != Some(&0) {
                    return;
                }
                self.at += 1;
            }
            self.at += 1;
            self.held |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    /// The next 16 bits, with zeros behind the last.
    pub(super) fn peek16(&mut self) -> u32 {
        if self.count < 16 {
            self.fill();
        }
        (self.held >> 48) as u32
    }

    /// Passes over bits that were looked at, 16 at most.
    pub(super) fn skip(&mut self, width: u32) -> Result<(), Trouble> {
        if width > self.count {
            return Err(cut_short());
        }
        self.held <<= width;
        self.count -= width;
        Ok(())
    }

    /// The next bits as a number; `width` is at most 16.
    pub(super) fn read(&mut self, width: u32) -> Result<i32, Trouble> {
        if width == 0 {
            return Ok(0);
        }
        let value = self.peek16() >> (16 - width);
        self.skip(width)?;
        Ok(value as i32)
    }

    pub(super) fn bit(&mut self) -> Result<bool, Trouble> {
        Ok(self.read(1)? == 1)
    }

    /// A number of some magnitude, at most 15, with its sign (T.81, F.2.2.1).
    pub(super) fn signed(&mut self, magnitude: u32) -> Result<i32, Trouble> {
        if magnitude == 0 {
            return Ok(0);
        }
        let value = self.read(magnitude)?;
        let is_positive = value >> (magnitude - 1) == 1;
        Ok(if is_positive { value } else { value + 1 - (1 << magnitude) })
    }

    /// Goes behind the restart marker that is due.
    pub(super) fn restart(&mut self) -> Result<(), Trouble> {
        (self.held, self.count) = (0, 0);
        while self.data.get(self.at) == Some(&0xFF) && self.data.get(self.at + 1) == Some(&0xFF) {
            self.at += 1;
        }
        let expected = [0xFF, 0xD0 + self.restarts];
        if self.data.get(self.at..self.at + 2) != Some(&expected) {
            return Err(Trouble::broken("a restart marker of its JPEG data is missing"));
        }
        self.at += 2;
        self.restarts = (self.restarts + 1) % 8;
        Ok(())
    }
}
