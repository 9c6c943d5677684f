//! The lines of a scan: samples one by one, and runs of equal ones (T.87, A.7 and annex B).

use super::super::Trouble;
use super::bits::Bits;
use super::model::{Model, RUN_POWERS};
use super::{Frame, Order, Scan};

/// A component's last line and the one that is decoded, with a sample more at each end; and the place
/// in the table of run lengths.
struct Component {
    above: Vec<i32>,
    line: Vec<i32>,
    run: usize,
}

impl Component {
    fn new(columns: usize) -> Self {
        Self { above: vec![0; columns + 2], line: vec![0; columns + 2], run: 0 }
    }

    /// Goes to the next line. What stands beside its ends is as A.2.1 has it: to the left the first
    /// sample above, to the right of the line above its last sample once more.
    fn begin(&mut self) {
        std::mem::swap(&mut self.above, &mut self.line);
        let columns = self.above.len() - 2;
        self.above[columns + 1] = self.above[columns];
        self.line[0] = self.above[1];
    }

    /// The samples to the left, above, above to the left and above to the right.
    fn around(&self, place: usize) -> [i32; 4] {
        [self.line[place - 1], self.above[place], self.above[place - 1], self.above[place + 1]]
    }
}

/// Decodes a scan into `cells`, `[rows, columns, components]`.
pub(super) fn decode(
    scan: &Scan,
    frame: &Frame,
    mut model: Model,
    bits: &mut Bits<'_>,
    cells: &mut [u16],
) -> Result<(), Trouble> {
    let columns = frame.columns as usize;
    let all = frame.components.len();
    let mut parts: Vec<Component> =
        scan.components.iter().map(|_| Component::new(columns)).collect();
    for row in cells.chunks_exact_mut((columns * all).max(1)) {
        parts.iter_mut().for_each(Component::begin);
        if scan.order == Order::Pixel {
            pixels(&mut parts, &mut model, bits)?;
        } else {
            for part in &mut parts {
                line(part, &mut model, bits)?;
            }
        }
        for (part, place) in parts.iter().zip(&scan.components) {
            for (pixel, sample) in row.chunks_exact_mut(all).zip(&part.line[1..]) {
                // The model keeps samples between 0 and the largest of at most 16 bits.
                pixel[*place] = *sample as u16;
            }
        }
    }
    Ok(())
}

/// A line of one component.
fn line(part: &mut Component, model: &mut Model, bits: &mut Bits<'_>) -> Result<(), Trouble> {
    let columns = part.line.len() - 2;
    let mut place = 1;
    while place <= columns {
        let around = part.around(place);
        let surrounding = model.surrounding(around);
        if surrounding != 0 {
            part.line[place] = model.sample(bits, surrounding, around)?;
            place += 1;
            continue;
        }
        let length = run_length(bits, &mut part.run, columns + 1 - place)?;
        part.line[place..place + length].fill(around[0]);
        place += length;
        if place <= columns {
            let ends = [around[0], part.above[place]];
            part.line[place] = model.run_end(bits, ends, true, RUN_POWERS[part.run])?;
            part.run = part.run.saturating_sub(1);
            place += 1;
        }
    }
    Ok(())
}

/// A line of pixels of several components, which are in a run together or not at all.
fn pixels(parts: &mut [Component], model: &mut Model, bits: &mut Bits<'_>) -> Result<(), Trouble> {
    let columns = parts[0].line.len() - 2;
    let mut run = parts[0].run;
    let mut place = 1;
    while place <= columns {
        if parts.iter().any(|part| model.surrounding(part.around(place)) != 0) {
            for part in &mut *parts {
                let around = part.around(place);
                part.line[place] = model.sample(bits, model.surrounding(around), around)?;
            }
            place += 1;
            continue;
        }
        let length = run_length(bits, &mut run, columns + 1 - place)?;
        for part in &mut *parts {
            let value = part.line[place - 1];
            part.line[place..place + length].fill(value);
        }
        place += length;
        if place <= columns {
            for part in &mut *parts {
                let ends = [part.line[place - 1], part.above[place]];
                part.line[place] = model.run_end(bits, ends, false, RUN_POWERS[run])?;
            }
            run = run.saturating_sub(1);
            place += 1;
        }
    }
    parts[0].run = run;
    Ok(())
}

/// How long a run is, where `room` samples are left in the line (A.7.1.2).
fn run_length(bits: &mut Bits<'_>, run: &mut usize, room: usize) -> Result<usize, Trouble> {
    let mut length = 0;
    while bits.read(1)? == 1 {
        let whole = 1 << RUN_POWERS[*run];
        if whole > room - length {
            return Ok(room);
        }
        length += whole;
        *run = (*run + 1).min(RUN_POWERS.len() - 1);
        if length == room {
            return Ok(room);
        }
    }
    length += bits.read(RUN_POWERS[*run])? as usize;
    if length >= room {
        return Err(Trouble::broken("its JPEG-LS data has a run that leaves its line"));
    }
    Ok(length)
}
