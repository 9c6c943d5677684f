//! What a JPEG-LS decoder expects of a sample from those around it, and how it learns (T.87, annex A).

use super::super::Trouble;
use super::bits::Bits;
use super::{unsupported, word};

/// Contexts of single samples; numbers 1 to 364 are those of A.3.4, number 0 is for pixels of which
/// another component is not in a run.
const REGULAR: usize = 365;

/// Lengths of runs, as powers of two (A.2.1, variable J).
pub(super) const RUN_POWERS: [u32; 32] = [
    0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13,
    14, 15,
];

/// No difference in a stream of 16 bits is larger.
const LARGEST_ERROR: i64 = 0xFFFF;

/// Parameters of the stream's own; 0 where the standard's default holds (C.2.4.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters {
    largest: i32,
    thresholds: [i32; 3],
    reset: i32,
}

impl Parameters {
    /// Takes those of a parameter segment.
    pub(super) fn read(&mut self, body: &[u8]) -> Result<(), Trouble> {
        match body.first() {
            Some(1) if body.len() == 11 => {
                let word = |at: usize| word(body, at).map_or(0, i32::from);
                self.largest = word(1);
                self.thresholds = [word(3), word(5), word(7)];
                self.reset = word(9);
                Ok(())
            }
            Some(2 | 3) => Err(unsupported("a mapping table")),
            _ => Err(Trouble::broken("its JPEG-LS parameters are of no known kind")),
        }
    }
}

/// What was seen in one surrounding: errors as a sum of sizes and as a sum, how many, and the
/// correction of the prediction that follows. For runs, how many errors were below 0.
#[derive(Clone, Copy, Debug)]
struct Context {
    sizes: i64,
    sum: i64,
    count: i64,
    correction: i64,
    negative: i64,
}

/// Decodes samples and learns from them.
pub(super) struct Model {
    largest: i64,
    near: i64,
    thresholds: [i64; 3],
    reset: i64,
    /// Numbers that errors are counted in (A.2.1, RANGE), and the bits of one.
    range: i64,
    range_bits: u32,
    /// Most bits of a code.
    limit: u32,
    regular: Vec<Context>,
    /// Behind runs: where the samples to the left and above differ, and where they are alike.
    run: [Context; 2],
}

impl Model {
    /// A model that has seen nothing.
    pub(super) fn new(bits: u32, near: i32, parameters: &Parameters) -> Result<Self, Trouble> {
        let wrong = || Trouble::broken("its JPEG-LS parameters contradict one another");
        let full = (1_i32 << bits) - 1;
        let largest = if parameters.largest == 0 { full } else { parameters.largest };
        if largest > full || near > (largest / 2).min(255) {
            return Err(wrong());
        }
        let thresholds = thresholds(largest, near, parameters.thresholds).ok_or_else(wrong)?;
        let reset = if parameters.reset == 0 { 64 } else { parameters.reset };
        if !(3..=largest.max(255)).contains(&reset) {
            return Err(wrong());
        }
        let range = (largest + 2 * near) / (2 * near + 1) + 1;
        let bits_of = |numbers: i32| (numbers - 1).max(1).ilog2() + 1;
        let sample_bits = bits_of(largest + 1).max(2);
        let fresh = Context {
            sizes: i64::from(((range + 32) / 64).max(2)),
            sum: 0,
            count: 1,
            correction: 0,
            negative: 0,
        };
        Ok(Self {
            largest: i64::from(largest),
            near: i64::from(near),
            thresholds: thresholds.map(i64::from),
            reset: i64::from(reset),
            range: i64::from(range),
            range_bits: bits_of(range),
            limit: 2 * (sample_bits + sample_bits.max(8)),
            regular: vec![fresh; REGULAR],
            run: [fresh; 2],
        })
    }

    /// The surrounding of a sample as a number, with the sign that it is mirrored by (A.3.3, A.3.4); 0
    /// where nothing changes and a run begins. Samples to the left, above, above to the left and to
    /// the right.
    pub(super) fn surrounding(&self, [a, b, c, d]: [i32; 4]) -> i32 {
        81 * self.step(d - b) + 9 * self.step(b - c) + self.step(c - a)
    }

    fn step(&self, difference: i32) -> i32 {
        let size = i64::from(difference.abs());
        let [t1, t2, t3] = self.thresholds;
        let step = if size <= self.near {
            0
        } else if size < t1 {
            1
        } else if size < t2 {
            2
        } else if size < t3 {
            3
        } else {
            4
        };
        step * difference.signum()
    }

    /// A sample in a surrounding (A.4 to A.6).
    pub(super) fn sample(
        &mut self,
        bits: &mut Bits<'_>,
        surrounding: i32,
        [a, b, c, _]: [i32; 4],
    ) -> Result<i32, Trouble> {
        let sign = if surrounding < 0 { -1 } else { 1 };
        let context = self.regular[surrounding.unsigned_abs() as usize];
        let edge = if c >= a.max(b) {
            a.min(b)
        } else if c <= a.min(b) {
            a.max(b)
        } else {
            a + b - c
        };
        let expected = (i64::from(edge) + sign * context.correction).clamp(0, self.largest);
        let width = width(context.count, context.sizes);
        let code = self.code(bits, width, self.limit)?;
        // Where errors lean below 0, codes are dealt out the other way round (A.5.2).
        let leans = self.near == 0 && width == 0 && 2 * context.sum <= -context.count;
        let code = if leans { code ^ 1 } else { code };
        let error = if code % 2 == 0 { code / 2 } else { -(code + 1) / 2 };
        if error.abs() > LARGEST_ERROR {
            return Err(impossible());
        }
        self.learn(surrounding.unsigned_abs() as usize, error);
        Ok(self.restored(expected, sign * error))
    }

    /// The sample that ends a run: `a` is the run's value, `b` what stands above (A.7.2). With
    /// `alike` unset the two are taken as different, as they are for pixels of several components.
    pub(super) fn run_end(
        &mut self,
        bits: &mut Bits<'_>,
        [a, b]: [i32; 2],
        may_be_alike: bool,
        run_power: u32,
    ) -> Result<i32, Trouble> {
        let alike = may_be_alike && i64::from((a - b).abs()) <= self.near;
        let kind = usize::from(alike);
        let context = self.run[kind];
        let sizes = if alike { context.sizes + context.count / 2 } else { context.sizes };
        let width = width(context.count, sizes);
        let code = self.code(bits, width, self.limit - run_power - 1)?;
        let twice = code + i64::from(alike);
        let odd = twice % 2;
        // Half, rounded up.
        let size = twice / 2 + odd;
        if size > LARGEST_ERROR {
            return Err(impossible());
        }
        let leans = width != 0 || 2 * context.negative >= context.count;
        let error = if leans == (odd == 1) { -size } else { size };
        let context = &mut self.run[kind];
        context.negative += i64::from(error < 0);
        context.sizes += (code + 1 - i64::from(alike)) / 2;
        if context.count == self.reset {
            context.sizes /= 2;
            context.count /= 2;
            context.negative /= 2;
        }
        context.count += 1;
        let (expected, sign) = if alike { (a, 1) } else { (b, if a > b { -1 } else { 1 }) };
        Ok(self.restored(i64::from(expected), sign * error))
    }

    /// A number in the code of Golomb with a limit (A.5.3): above it, the number as it is.
    fn code(&self, bits: &mut Bits<'_>, width: u32, limit: u32) -> Result<i64, Trouble> {
        let longest = limit - self.range_bits - 1;
        let zeros = bits.zeros(longest)?.ok_or_else(impossible)?;
        if zeros < longest {
            return Ok((i64::from(zeros) << width) + i64::from(bits.read(width)?));
        }
        Ok(i64::from(bits.read(self.range_bits)?) + 1)
    }

    /// Takes an error into account (A.6).
    fn learn(&mut self, number: usize, error: i64) {
        let context = &mut self.regular[number];
        context.sum += error * (2 * self.near + 1);
        context.sizes += error.abs();
        if context.count == self.reset {
            context.sizes >>= 1;
            context.sum >>= 1;
            context.count >>= 1;
        }
        context.count += 1;
        if context.sum <= -context.count {
            context.sum = (context.sum + context.count).max(1 - context.count);
            context.correction = (context.correction - 1).max(-128);
        } else if context.sum > 0 {
            context.sum = (context.sum - context.count).min(0);
            context.correction = (context.correction + 1).min(127);
        }
    }

    /// The sample that differs from what was expected by an error, around the end of the range
    /// where it is passed (A.4.4, A.4.5).
    fn restored(&self, expected: i64, error: i64) -> i32 {
        let step = 2 * self.near + 1;
        let mut sample = expected + error * step;
        if sample < -self.near {
            sample += self.range * step;
        } else if sample > self.largest + self.near {
            sample -= self.range * step;
        }
        sample.clamp(0, self.largest) as i32
    }
}

fn impossible() -> Trouble {
    Trouble::broken("its JPEG-LS data holds a code that no sample has")
}

/// Bits of the lower part of a code (A.5.1); at most 32, since sizes stay below 2³².
fn width(count: i64, sizes: i64) -> u32 {
    let mut width = 0;
    while width < 32 && count << width < sizes {
        width += 1;
    }
    width
}

/// Thresholds of differences (C.2.4.1.1.1), the standard's where none are given; none for those that
/// are not in order.
fn thresholds(largest: i32, near: i32, given: [i32; 3]) -> Option<[i32; 3]> {
    let basic = [3, 7, 21];
    let (mut found, mut least) = ([0; 3], near + 1);
    for (index, place) in found.iter_mut().enumerate() {
        let floor = index as i32 + 2;
        let shift = (3 + 2 * index as i32) * near;
        let usual = if largest >= 128 {
            let factor = (largest.min(4095) + 128) / 256;
            factor * (basic[index] - floor) + floor + shift
        } else {
            let factor = 256 / (largest + 1);
            (basic[index] / factor + shift).max(floor)
        };
        let usual = if usual > largest || usual < least { least } else { usual };
        *place = if given[index] == 0 { usual } else { given[index] };
        if !(least..=largest).contains(place) {
            return None;
        }
        least = *place;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_those_of_the_standard() {
        // T.87, table C.3, and twelve bits after its formula.
        assert_eq!(thresholds(255, 0, [0; 3]), Some([3, 7, 21]));
        assert_eq!(thresholds(4095, 0, [0; 3]), Some([18, 67, 276]));
        assert_eq!(thresholds(65535, 0, [0; 3]), Some([18, 67, 276]));
        assert_eq!(thresholds(3, 0, [0; 3]), Some([2, 3, 3]));
        assert_eq!(thresholds(255, 2, [0; 3]), Some([9, 17, 35]));
        assert_eq!(thresholds(255, 0, [5, 4, 9]), None);
        assert_eq!(thresholds(255, 3, [3, 9, 9]), None);
    }

    #[test]
    fn parameters_that_contradict_are_refused() {
        let parameters = |largest: u16, reset: u16| {
            let mut body = vec![1];
            for word in [largest, 0, 0, 0, reset] {
                body.extend(word.to_be_bytes());
            }
            let mut parameters = Parameters::default();
            parameters.read(&body).unwrap();
            parameters
        };
        assert!(Model::new(8, 0, &parameters(255, 64)).is_ok());
        assert!(Model::new(8, 0, &parameters(256, 64)).is_err());
        assert!(Model::new(8, 0, &parameters(255, 2)).is_err());
        assert!(Model::new(8, 128, &parameters(255, 64)).is_err());
        assert!(Model::new(2, 1, &parameters(1, 64)).is_err());
        for bits in 2..=16 {
            for near in [0, 1, 255] {
                let model = Model::new(bits, near, &Parameters::default());
                assert_eq!(model.is_ok(), near <= ((1 << bits) - 1) / 2, "{bits} {near}");
            }
        }
    }
}
