//! The inverse discrete cosine transform of a block of 8 × 8, in whole numbers.
//!
//! The factorisation of Loeffler, Ligtenberg and Moschytz (ICASSP 1989), with constants of 13 fractional
//! bits, columns first, and rounding after each of the two passes: the "slow" transform of libjpeg, which
//! all decoders built on it use unless told otherwise.

/// Fractional bits of the constants.
const FRACTION: u32 = 13;

const fn constant(value: f64) -> i64 {
    (value * (1 << FRACTION) as f64 + 0.5) as i64
}

/// Eight values from eight coefficients, scaled by √8 · 2^13.
#[inline]
fn transform(c: [i64; 8]) -> [i64; 8] {
    // The even coefficients: a rotation by π/8 of 2 and 6, sum and difference of 0 and 4.
    let turned = (c[2] + c[6]) * const { constant(0.541_196_100) };
    let low = turned - c[6] * const { constant(1.847_759_065) };
    let high = turned + c[2] * const { constant(0.765_366_865) };
    let (sum, difference) = ((c[0] + c[4]) << FRACTION, (c[0] - c[4]) << FRACTION);
    let even = [sum + high, difference + low, difference - low, sum - high];
    // The odd ones: sums that two outputs share are multiplied once.
    let shared = (c[7] + c[3] + c[5] + c[1]) * const { constant(1.175_875_602) };
    let a = shared - (c[7] + c[3]) * const { constant(1.961_570_560) };
    let b = shared - (c[5] + c[1]) * const { constant(0.390_180_644) };
    let outer = (c[7] + c[1]) * const { constant(0.899_976_223) };
    let inner = (c[5] + c[3]) * const { constant(2.562_915_447) };
    let odd = [
        c[1] * const { constant(1.501_321_110) } - outer + b,
        c[3] * const { constant(3.072_711_026) } - inner + a,
        c[5] * const { constant(2.053_119_869) } - inner + b,
        c[7] * const { constant(0.298_631_336) } - outer + a,
    ];
    let mut out = [0; 8];
    for index in 0..4 {
        out[index] = even[index] + odd[index];
        out[7 - index] = even[index] - odd[index];
    }
    out
}

#[inline]
fn rounded(value: i64, bits: u32) -> i64 {
    (value + (1 << (bits - 1))) >> bits
}

/// The samples of a block, each of `bits` bits, from coefficients and the steps they are counted in,
/// both in the order of rows, into the rows of a plane.
pub(super) fn block(
    coefficients: &[i16; 64],
    steps: &[u16; 64],
    bits: u8,
    out: &mut [u16],
    stride: usize,
) {
    // Fractional bits that are kept between the passes.
    let kept = if bits == 8 { 2 } else { 1 };
    let middle = 1_i64 << (bits - 1);
    let full = 2 * middle - 1;
    let at = |place: usize| i64::from(coefficients[place]) * i64::from(steps[place]);
    let sample = |value: i64| (value + middle).clamp(0, full) as u16;
    if coefficients[1..].iter().all(|value| *value == 0) {
        let flat = sample(rounded(at(0) << kept, kept + 3));
        for row in out.chunks_mut(stride).take(8) {
            row[..8].fill(flat);
        }
        return;
    }
    let mut columns = [[0; 8]; 8];
    for (x, column) in columns.iter_mut().enumerate() {
        let values = transform(std::array::from_fn(|y| at(8 * y + x)));
        *column = values.map(|value| rounded(value, FRACTION - kept));
    }
    for (y, row) in out.chunks_mut(stride).take(8).enumerate() {
        let values = transform(std::array::from_fn(|x| columns[x][y]));
        for (place, value) in row[..8].iter_mut().zip(values) {
            *place = sample(rounded(value, FRACTION + kept + 3));
        }
    }
}
