//! Loops that are compiled for several generations of processors and chosen at run time.
//!
//! The compiler turns a plain loop into vector instructions when it may assume they are there.
//! [`widest`] runs an expression in a copy that may assume what this processor has.

#![expect(
    clippy::inline_always,
    reason = "a loop is compiled for wide vectors only where it is inlined"
)]

use std::sync::LazyLock;

static ARCH: LazyLock<pulp::Arch> = LazyLock::new(pulp::Arch::new);

/// Runs an expression compiled for the widest vectors of this processor. What it calls must be inlined.
///
/// A macro, for a closure that is handed to [`on_widest`] without `#[inline(always)]` stays a function of its
/// own, which is compiled for the narrowest.
macro_rules! widest {
    ($work:expr) => {
        $crate::simd::on_widest(
            #[inline(always)]
            || $work,
        )
    };
}
pub(crate) use widest;

/// See [`widest`].
#[inline]
pub(crate) fn on_widest<R>(work: impl FnOnce() -> R) -> R {
    ARCH.dispatch(work)
}

/// Sums that run beside each other, so that a loop over them needs no order of additions.
const LANES: usize = 16;

/// `Σ f(aᵢ, bᵢ)`, always in the same order.
#[inline(always)]
pub(crate) fn sum2(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let (a_wide, a_rest) = a.as_chunks::<LANES>();
    let (b_wide, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_wide.iter().zip(b_wide) {
        for lane in 0..LANES {
            lanes[lane] += f(a[lane], b[lane]);
        }
    }
    let mut sum = 0.0;
    for (a, b) in a_rest.iter().zip(b_rest) {
        sum += f(*a, *b);
    }
    sum + lanes.iter().sum::<f32>()
}

/// `a · b + c`; where `FUSED`, in one instruction and one rounding. That is for loops which are compiled for
/// processors that have it: elsewhere it would call a function for each number.
#[inline(always)]
fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// `eˣ` within two units in the last place, for a loop that vectorizes. Beyond ±87 it stays at the value
/// there.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    exp_within::<false>(x.clamp(-87.0, 87.0))
}

/// `eˣ` for `x` within ±87; anything elsewhere. `2ⁿ · p(r)` with `x = n · ln 2 + r`; the polynomial is that
/// of Cephes' `expf`. `FUSED` as in [`multiply_add`].
#[inline(always)]
pub(crate) fn exp_within<const FUSED: bool>(x: f32) -> f32 {
    // 1.5 · 2²³: adding it rounds to a whole number, which then stands in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let shifted = multiply_add::<FUSED>(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = multiply_add::<FUSED>(n, -0.693_359_4, x);
    let r = multiply_add::<FUSED>(n, 2.121_944_4e-4, r);
    let mut p = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5] {
        p = multiply_add::<FUSED>(p, r, coefficient);
    }
    let p = multiply_add::<FUSED>(p * r, r, r) + 1.0;
    f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// `x / (1 + e⁻ˣ)`.
#[inline(always)]
pub(crate) fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// The gradient of `x` for that of `silu(x)`, with `sigmoid` of `x`.
#[inline(always)]
pub(crate) fn silu_backward(g: f32, x: f32, sigmoid: f32) -> f32 {
    g * sigmoid * (1.0 + x * (1.0 - sigmoid))
}

/// `1 / (1 + e⁻ˣ)`.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `x·Φ(x)`; the error function is that of Abramowitz and Stegun, 7.1.26, within 1.5e-7. `FUSED` as in
/// [`multiply_add`].
#[inline(always)]
pub(crate) fn gelu<const FUSED: bool>(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / multiply_add::<FUSED>(0.327_591_1, z, 1.0);
    let mut p = 1.061_405_4;
    for coefficient in [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
        p = multiply_add::<FUSED>(p, t, coefficient);
    }
    // 1 − erf(z), which is what is left of Φ on the far side.
    let rest = 0.5 * p * t * exp_within::<FUSED>((-z * z).max(-87.0));
    x * if x < 0.0 { rest } else { 1.0 - rest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_that_of_float64_to_the_last_places() {
        let mut worst = 0.0_f64;
        for i in -860_000..860_000 {
            let x = i as f32 * 1e-4;
            let want = f64::from(x).exp();
            for found in [exp(x), exp_within::<true>(x)] {
                worst = worst.max((f64::from(found) - want).abs() / want);
            }
        }
        assert!(worst < 2.5e-7, "{worst:e}");
        assert!(exp(f32::NEG_INFINITY) < 2e-38);
    }

    #[test]
    fn gelu_is_that_of_known_values() {
        // x·Φ(x) with the normal distribution's tables to ten places.
        for (x, want) in [
            (-3.0, -0.004_049_694),
            (-1.0, -0.158_655_254),
            (-0.1, -0.046_017_216),
            (0.0, 0.0),
            (0.5, 0.345_731_231),
            (2.0, 1.954_499_736),
            (6.0, 5.999_999_994),
            (40.0, 40.0),
        ] {
            for found in [gelu::<false>(x), gelu::<true>(x)] {
                assert!((f64::from(found) - want).abs() < 1e-6, "{x}: {found} {want}");
            }
        }
    }

    #[test]
    fn a_sum_takes_every_element() {
        let a: Vec<f32> = (1..=37).map(|i| i as f32).collect();
        assert_eq!(widest!(sum2(&a, &a, |a, b| a + b)), 2.0 * 37.0 * 19.0);
    }
}
