//! Huffman codes (T.81, annex C and F.2.2.3).

use super::Trouble;
use super::bits::Bits;

/// Bits of a code that one look decides about.
const FAST: u32 = 9;

/// A code of up to 16 bits for up to 256 values.
pub(super) struct Huffman {
    /// By the next [`FAST`] bits: value and length of the code; length 0 where it is longer.
    fast: Vec<(u8, u8)>,
    /// For each length, the first number of 16 bits above its codes.
    above: [u32; 17],
    /// For each length, what is added to a code to give the place of its value.
    offset: [i32; 17],
    values: Vec<u8>,
}

impl Huffman {
    /// The code with `counts` codes of 1 to 16 bits; none where these are more than there are.
    pub(super) fn new(counts: &[u8; 16], values: &[u8]) -> Option<Self> {
        let mut table = Self {
            fast: vec![(0, 0); 1 << FAST],
            above: [0; 17],
            offset: [0; 17],
            values: values.to_vec(),
        };
        let (mut code, mut place) = (0_u32, 0_usize);
        for length in 1..=16_u32 {
            table.offset[length as usize] = place as i32 - code as i32;
            for _ in 0..counts[length as usize - 1] {
                // The standard leaves the code of all ones unused, and some encoders use it.
                if code >= 1 << length {
                    return None;
                }
                if length <= FAST {
                    let first = (code << (FAST - length)) as usize;
                    let entry = (*values.get(place)?, length as u8);
                    table.fast[first..first + (1 << (FAST - length))].fill(entry);
                }
                code += 1;
                place += 1;
            }
            table.above[length as usize] = code << (16 - length);
            code <<= 1;
        }
        (place == values.len()).then_some(table)
    }

    /// The next value.
    pub(super) fn decode(&self, bits: &mut Bits<'_>) -> Result<u8, Trouble> {
        let next = bits.peek16();
        let (value, length) = self.fast[(next >> (16 - FAST)) as usize];
        if length > 0 {
            bits.skip(u32::from(length))?;
            return Ok(value);
        }
        for length in FAST + 1..=16 {
            if next < self.above[length as usize] {
                bits.skip(length)?;
                let place = (next >> (16 - length)) as i32 + self.offset[length as usize];
                if let Some(value) = usize::try_from(place).ok().and_then(|at| self.values.get(at))
                {
                    return Ok(*value);
                }
                break;
            }
        }
        Err(Trouble::broken("its JPEG data holds a code that stands for nothing"))
    }
}
