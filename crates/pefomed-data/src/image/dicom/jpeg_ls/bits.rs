//! The bits of a scan (T.87, A.1): after a byte 0xFF the next one has seven.

use super::super::Trouble;
use super::cut_short;

/// Reads bits from the first of a scan to the marker that ends it.
pub(super) struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    /// The next bits, the first of them topmost; those below `count` are 0.
    held: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, held: 0, count: 0 }
    }

    /// Holds as many bits as there is room or data for.
    fn fill(&mut self) {
        while self.count <= 56 {
            let Some(&byte) = self.data.get(self.at) else { return };
            let is_stuffed = self.at > 0 && self.data[self.at - 1] == 0xFF;
            // 0xFF and a byte with its top bit set are a marker.
            if byte == 0xFF && self.data.get(self.at + 1).is_none_or(|next| *next >= 0x80) {
                return;
            }
            let width = if is_stuffed { 7 } else { 8 };
            self.held |= u64::from(byte) << (64 - width) >> self.count;
            self.count += width;
            self.at += 1;
        }
    }

    fn drop_bits(&mut self, width: u32) {
        self.held = if width == 64 { 0 } else { self.held << width };
        self.count -= width;
    }

    /// The next bits as a number; `width` is at most 32.
    pub(super) fn read(&mut self, width: u32) -> Result<u32, Trouble> {
        if width == 0 {
            return Ok(0);
        }
        if self.count < width {
            self.fill();
            if self.count < width {
                return Err(cut_short());
            }
        }
        let value = (self.held >> (64 - width)) as u32;
        self.drop_bits(width);
        Ok(value)
    }

    /// How many bits 0 there are before the next 1, which is read as well; `None` for more than
    /// `most`.
    pub(super) fn zeros(&mut self, most: u32) -> Result<Option<u32>, Trouble> {
        let mut zeros = 0;
        loop {
            if self.count == 0 {
                self.fill();
                if self.count == 0 {
                    return Err(cut_short());
                }
            }
            let found = self.held.leading_zeros().min(self.count);
            zeros += found;
            if zeros > most {
                return Ok(None);
            }
            if found < self.count {
                self.drop_bits(found + 1);
                return Ok(Some(zeros));
            }
            self.drop_bits(found);
        }
    }

    /// Where the marker behind the scan stands.
    pub(super) fn end(&self) -> usize {
        let mut at = self.at;
        // What is held belongs to this scan, or is padding; a marker is never held.
        while at < self.data.len() {
            if self.data[at] == 0xFF && self.data.get(at + 1).is_none_or(|next| *next >= 0x80) {
                break;
            }
            at += 1;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_after_ff_has_seven_bits_and_a_marker_ends_the_scan() {
        // 1111_1111 [0]101_0101 0000_0001, then the end of the image.
        let mut bits = Bits::new(&[0xFF, 0x55, 0x01, 0xFF, 0xD9]);
        assert_eq!(bits.read(9).unwrap(), 0b1_1111_1111);
        assert_eq!(bits.read(6).unwrap(), 0b01_0101);
        assert_eq!(bits.zeros(20).unwrap(), Some(7));
        assert!(bits.read(1).is_err() && bits.zeros(1).is_err());
        assert_eq!(bits.end(), 3);
    }

    #[test]
    fn zeros_go_over_the_edge_of_what_is_held() {
        let mut data = vec![0; 20];
        data.push(0x40);
        let mut bits = Bits::new(&data);
        assert_eq!(bits.read(3).unwrap(), 0);
        assert_eq!(bits.zeros(158).unwrap(), Some(158));
        assert_eq!(bits.read(6).unwrap(), 0);
        let mut bits = Bits::new(&data);
        assert_eq!(bits.zeros(100).unwrap(), None);
    }
}
