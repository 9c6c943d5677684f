//! Scans of coefficients: sequential (T.81, F.2) and progressive (G.1 and G.2).

use std::ops::RangeInclusive;

use super::bits::Bits;
use super::frame::{Frame, Scan};
use super::head::Tables;
use super::huffman::Huffman;
use super::{Trouble, idct};

/// Where the coefficients lie that are coded one after the other (T.81, figure A.6), by rows.
pub(super) const ZIGZAG: [usize; 64] = zigzag();

const fn zigzag() -> [usize; 64] {
    let mut order = [0; 64];
    let (mut x, mut y, mut at) = (0, 0, 0);
    while at < 64 {
        order[at] = 8 * y + x;
        at += 1;
        // Up to the right where the diagonal's number is even, otherwise down to the left.
        if (x + y) % 2 == 0 {
            if x == 7 {
                y += 1;
            } else {
                x += 1;
                y = if y > 0 { y - 1 } else { 0 };
            }
        } else if y == 7 {
            x += 1;
        } else {
            y += 1;
            x = if x > 0 { x - 1 } else { 0 };
        }
    }
    order
}

pub(super) fn lacks_table() -> Trouble {
    Trouble::broken("its JPEG data lacks a Huffman table")
}

fn too_many() -> Trouble {
    Trouble::broken("a block of its JPEG data has more than 64 coefficients")
}

/// What a scan remembers from block to block, until the next restart marker.
#[derive(Default)]
struct Memory {
    /// The last first coefficient of each part.
    first: [i32; 4],
    /// Blocks still to come that bring nothing new.
    empty: u32,
}

/// Reads the blocks of a scan.
pub(super) fn read(
    frame: &mut Frame,
    scan: &Scan,
    tables: &Tables,
    bits: &mut Bits<'_>,
) -> Result<(), Trouble> {
    let mut memory = Memory::default();
    for unit in 0..scan.across * scan.down {
        if tables.restart > 0 && unit > 0 && unit.is_multiple_of(tables.restart) {
            bits.restart()?;
            memory = Memory::default();
        }
        for (index, part) in scan.parts.iter().enumerate() {
            let layer = &mut frame.layers[part.layer];
            for inner in 0..part.h * part.v {
                let x = unit % scan.across * part.h + inner % part.h;
                let y = unit / scan.across * part.v + inner / part.h;
                let dc = || tables.dc[part.dc].as_ref().ok_or_else(lacks_table);
                let ac = || tables.ac[part.ac].as_ref().ok_or_else(lacks_table);
                if !frame.is_progressive {
                    let mut block = [0; 64];
                    block[0] = first(&mut memory.first[index], dc()?, bits)? as i16;
                    // In sequential scans no other block ends with this one.
                    spectrum(&mut block, 1..=63, 0, ac()?, bits)?;
                    let steps = layer.steps.as_ref().unwrap_or(&[1; 64]);
                    let out = &mut layer.samples[8 * (y * layer.stride + x)..];
                    idct::block(&block, steps, frame.bits, out, layer.stride);
                    continue;
                }
                let block = &mut layer.coefficients[y * layer.across + x];
                match (scan.first, scan.high) {
                    (0, 0) => {
                        let value = first(&mut memory.first[index], dc()?, bits)?;
                        block[0] = (value << scan.low) as i16;
                    }
                    (0, _) => block[0] |= i16::from(bits.bit()?) << scan.low,
                    (_, 0) if memory.empty > 0 => memory.empty -= 1,
                    (_, 0) => {
                        let range = scan.first..=scan.last;
                        if let Some(width) = spectrum(block, range, scan.low, ac()?, bits)? {
                            memory.empty = run(width, bits)? - 1;
                        }
                    }
                    (_, _) => refinement(block, scan, ac()?, &mut memory.empty, bits)?,
                }
            }
        }
    }
    Ok(())
}

/// The first coefficient of a block, from that of the block before it.
fn first(before: &mut i32, dc: &Huffman, bits: &mut Bits<'_>) -> Result<i32, Trouble> {
    let magnitude = dc.decode(bits)?;
    *before = before.wrapping_add(bits.signed(u32::from(magnitude))?);
    Ok(*before)
}

/// How many blocks, this one among them, bring nothing more (T.81, G.1.2.2).
fn run(width: u32, bits: &mut Bits<'_>) -> Result<u32, Trouble> {
    Ok((1 << width) + bits.read(width)? as u32)
}

/// Other coefficients of a block, without the bits below `low`. Where an end stands before the last of
/// them, the width of the number behind it that progressive scans have.
fn spectrum(
    block: &mut [i16; 64],
    range: RangeInclusive<usize>,
    low: u8,
    ac: &Huffman,
    bits: &mut Bits<'_>,
) -> Result<Option<u32>, Trouble> {
    let (mut at, last) = range.into_inner();
    while at <= last {
        let code = ac.decode(bits)?;
        let (zeros, magnitude) = (code >> 4, u32::from(code & 15));
        match (zeros, magnitude) {
            (15, 0) => at += 16,
            (_, 0) => return Ok(Some(zeros.into())),
            _ => {
                at += usize::from(zeros);
                if at > last {
                    return Err(too_many());
                }
                block[ZIGZAG[at]] = (bits.signed(magnitude)? << low) as i16;
                at += 1;
            }
        }
    }
    Ok(None)
}

/// One more bit of some coefficients: those that are not 0 have it where they are passed, and between
/// them stand the ones that become 1 or −1.
fn refinement(
    block: &mut [i16; 64],
    scan: &Scan,
    ac: &Huffman,
    empty: &mut u32,
    bits: &mut Bits<'_>,
) -> Result<(), Trouble> {
    let one = 1_i16 << scan.low;
    let refine = |value: &mut i16, bits: &mut Bits<'_>| -> Result<(), Trouble> {
        if bits.bit()? && *value & one == 0 {
            *value = value.wrapping_add(if *value > 0 { one } else { -one });
        }
        Ok(())
    };
    let mut at = scan.first;
    while *empty == 0 && at <= scan.last {
        let code = ac.decode(bits)?;
        let (mut zeros, magnitude) = (usize::from(code >> 4), code & 15);
        let mut new = 0;
        match magnitude {
            0 if zeros < 15 => {
                // This block counts, and is gone through below.
                *empty = run(zeros as u32, bits)?;
                break;
            }
            0 => {}
            1 => new = if bits.bit()? { one } else { -one },
            _ => {
                return Err(Trouble::broken("a refined coefficient of its JPEG data has two bits"));
            }
        }
        while at <= scan.last {
            let value = &mut block[ZIGZAG[at]];
            at += 1;
            if *value != 0 {
                refine(value, bits)?;
            } else if zeros == 0 {
                *value = new;
                break;
            } else {
                zeros -= 1;
            }
        }
    }
    if *empty > 0 {
        for place in &ZIGZAG[at..=scan.last] {
            if block[*place] != 0 {
                refine(&mut block[*place], bits)?;
            }
        }
        *empty -= 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::ZIGZAG;

    #[test]
    fn the_zigzag_visits_every_coefficient() {
        assert_eq!(ZIGZAG[..12], [0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25]);
        assert_eq!(ZIGZAG[58..], [61, 54, 47, 55, 62, 63]);
        let mut sorted = ZIGZAG;
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..64));
    }
}
