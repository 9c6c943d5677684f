//! A look at metadata before the underlying reader parses it.
//!
//! Parquet's footer and page heads are structures of Thrift's compact protocol. The underlying reader passes
//! over fields that it does not know, and takes no bytes for the elements of a list of booleans: six bytes of a
//! file can keep it busy for two thousand million steps. Such lists are found here.

use std::io::{self, Read};

/// How deeply values may lie in one another; the underlying reader gives up no later.
const DEEPEST: usize = 130;

/// Whether the structure at the beginning of `source` holds more elements without bytes than `room`. One that
/// is damaged in another way is left to the reader that needs it.
pub(super) fn is_excessive(source: impl Read, room: u64) -> bool {
    let mut walk = Walk { source, room, is_excessive: false };
    let _ = walk.structure(0);
    walk.is_excessive
}

struct Walk<R> {
    source: R,
    /// Elements without bytes that may still come.
    room: u64,
    is_excessive: bool,
}

impl<R: Read> Walk<R> {
    fn byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        self.source.read_exact(&mut byte).ok()?;
        Some(byte[0])
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn skip(&mut self, count: u64) -> Option<()> {
        let skipped = io::copy(&mut self.source.by_ref().take(count), &mut io::sink()).ok()?;
        (skipped == count).then_some(())
    }

    fn structure(&mut self, depth: usize) -> Option<()> {
        loop {
            let head = self.byte()?;
            let kind = head & 15;
            if kind == 0 {
                return Some(());
            }
            // A number of a field that does not follow from the one before it stands apart.
            if head >> 4 == 0 {
                self.number()?;
            }
            self.value(kind, depth + 1)?;
        }
    }

    fn value(&mut self, kind: u8, depth: usize) -> Option<()> {
        if depth > DEEPEST {
            return None;
        }
        match kind {
            1 | 2 => Some(()),
            3 => self.skip(1),
            4..=6 => self.number().map(drop),
            7 => self.skip(8),
            8 => {
                let length = self.number()?;
                self.skip(length)
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = if head >> 4 == 15 { self.number()? } else { u64::from(head >> 4) };
                self.elements(count, &[head & 15], depth)
            }
            11 => {
                let count = self.number()?;
                let kinds = if count > 0 { self.byte()? } else { 0 };
                self.elements(count, &[kinds >> 4, kinds & 15], depth)
            }
            12 => self.structure(depth),
            13 => self.skip(16),
            _ => None,
        }
    }

    fn elements(&mut self, count: u64, kinds: &[u8], depth: usize) -> Option<()> {
        if kinds.iter().all(|kind| matches!(kind, 1 | 2)) {
            let room = self.room.checked_sub(count);
            self.is_excessive |= room.is_none();
            self.room = room?;
            return Some(());
        }
        for _ in 0..count {
            for kind in kinds {
                self.value(*kind, depth + 1)?;
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_without_bytes_are_counted() {
        // Field 1: a list of 2^31 − 1 booleans.
        let many = [0x19, 0xF1, 0xFF, 0xFF, 0xFF, 0xFF, 0x07, 0];
        assert!(is_excessive(&many[..], 1 << 20));
        assert!(!is_excessive(&many[..], 1 << 31));
        // Behind other fields: an i32, a string, a map from byte to double, and inside a list of structures.
        let mut hidden =
            vec![0x15, 2, 0x18, 2, b'h', b'i', 0x1B, 1, 0x37, 9, 0, 0, 0, 0, 0, 0, 0, 0];
        hidden.extend([0x19, 0x1C]);
        hidden.extend(many);
        hidden.push(0);
        assert!(is_excessive(&hidden[..], 1 << 20));
        // Lists that cost one another's room.
        let some = [0x19, 0xA1, 0x19, 0xA1, 0];
        assert!(!is_excessive(&some[..], 20));
        assert!(is_excessive(&some[..], 19));
        // What ends early, or nests without end, is for the reader.
        assert!(!is_excessive(&many[..4], 1));
        assert!(!is_excessive(&[0x1C; 5000][..], 1));
    }
}
