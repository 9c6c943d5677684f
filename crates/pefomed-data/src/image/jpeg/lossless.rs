//! Scans of samples, each coded as the difference from what its neighbours suggest (T.81, annex H).

use super::Trouble;
use super::bits::Bits;
use super::frame::{Frame, Scan};
use super::head::Tables;
use super::scan::lacks_table;

/// Reads the samples of a scan.
pub(super) fn read(
    frame: &mut Frame,
    scan: &Scan,
    tables: &Tables,
    bits: &mut Bits<'_>,
) -> Result<(), Trouble> {
    let columns = frame.columns;
    if !tables.restart.is_multiple_of(columns) {
        return Err(Trouble::broken("the restart interval of its JPEG data is not of whole lines"));
    }
    let lines = tables.restart / columns;
    let middle = 1_u16 << (frame.bits - scan.low - 1);
    for y in 0..frame.rows {
        let begins = y == 0 || (lines > 0 && y.is_multiple_of(lines));
        if begins && y > 0 {
            bits.restart()?;
        }
        for x in 0..columns {
            for part in &scan.parts {
                let samples = &mut frame.layers[part.layer].samples;
                let at = y * columns + x;
                let expected = match (begins, x) {
                    (true, 0) => middle,
                    (true, _) => samples[at - 1],
                    (false, 0) => samples[at - columns],
                    _ => {
                        let [left, above, corner] = [at - 1, at - columns, at - columns - 1]
                            .map(|at| i32::from(samples[at]));
                        prediction(scan.first, left, above, corner) as u16
                    }
                };
                let table = tables.dc[part.dc].as_ref().ok_or_else(lacks_table)?;
                let difference = match table.decode(bits)? {
                    16 => 1 << 15,
                    magnitude => bits.signed(u32::from(magnitude))?,
                };
                samples[at] = expected.wrapping_add(difference as u16);
            }
        }
    }
    Ok(())
}

/// The predictors of T.81, table H.1.
fn prediction(predictor: usize, left: i32, above: i32, corner: i32) -> i32 {
    match predictor {
        1 => left,
        2 => above,
        3 => corner,
        4 => left + above - corner,
        5 => left + ((above - corner) >> 1),
        6 => above + ((left - corner) >> 1),
        _ => (left + above) >> 1,
    }
}
