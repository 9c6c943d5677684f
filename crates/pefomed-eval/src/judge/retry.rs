//! Waiting before another try: longer each time, never at the same moment as everybody else, and
//! as long as the endpoint asks for.

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// Pieces a wait is made of, so that it can be cut short.
const NAP: Duration = Duration::from_millis(20);

/// How often and how patiently a request is repeated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Patience {
    /// Further tries after the first.
    pub retries: u32,
    /// Wait before the second try; it doubles with each try.
    pub first_wait: Duration,
    /// No wait of our own is longer.
    pub longest_wait: Duration,
    /// An endpoint that asks for a longer wait is not waited for.
    pub longest_asked: Duration,
    /// Seed of the jitter.
    pub seed: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            retries: 5,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_mins(1),
            longest_asked: Duration::from_mins(10),
            seed: 0,
        }
    }
}

impl Patience {
    /// The wait after failed try number `failed` (from 0) of the request that `key` names: between
    /// half and the whole of `first_wait` · 2^failed, at most `longest_wait`. The same key, try and
    /// seed give the same wait, whichever thread asks.
    pub fn wait(&self, key: &str, failed: u32) -> Duration {
        let doubled = self.first_wait.saturating_mul(2_u32.saturating_pow(failed));
        let whole = doubled.min(self.longest_wait);
        let mut seed = [0_u8; 32];
        let parts = [key.as_bytes(), &self.seed.to_le_bytes(), &failed.to_le_bytes()];
        for (byte, digit) in seed.iter_mut().zip(pefomed_data::files::digest(parts).bytes()) {
            *byte = digit;
        }
        let share = f64::from(ChaCha8Rng::from_seed(seed).next_u32()) / f64::from(u32::MAX);
        whole.mul_f64(f64::midpoint(1.0, share))
    }
}

/// The wait that a `Retry-After` header asks for: seconds, or a date in any of the three forms of
/// RFC 9110. A date that has passed asks for none; what is neither is passed over.
pub fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    if !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number holds ask for longer than anybody waits.
        return Some(Duration::from_secs(header.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(header).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// A door that an endpoint's `Retry-After` shuts for all requests, not only for the one that heard it.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    shut_until: Mutex<Option<Instant>>,
}

impl Gate {
    pub(crate) fn shut_for(&self, wait: Duration) {
        let Some(until) = Instant::now().checked_add(wait) else { return };
        let mut shut = self.shut_until.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *shut = Some(shut.map_or(until, |already| already.max(until)));
    }

    /// Waits until the door is open; false when it was stopped before.
    pub(crate) fn pass(&self, ended: &dyn Fn() -> bool) -> bool {
        loop {
            let shut = *self.shut_until.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let left = shut
                .map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
            if ended() {
                return false;
            }
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(NAP));
        }
    }
}

/// Sleeps; false when it was stopped before the end.
pub(crate) fn sleep(wait: Duration, ended: &dyn Fn() -> bool) -> bool {
    let Some(end) = Instant::now().checked_add(wait) else { return false };
    while !ended() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(NAP));
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_within_their_jitter_and_repeat_with_the_seed() {
        let patience = Patience::default();
        let mut distinct = std::collections::BTreeSet::new();
        for failed in 0..12 {
            let whole = Duration::from_secs(1_u64 << failed).min(Duration::from_mins(1));
            for key in ["a", "b", "c"] {
                let wait = patience.wait(key, failed);
                assert!(whole / 2 <= wait && wait <= whole, "{failed}: {wait:?}");
                assert_eq!(wait, patience.wait(key, failed));
                distinct.insert(wait.as_nanos() * (1 << 20) / whole.as_nanos());
            }
        }
        assert_eq!(distinct.len(), 36, "no two requests come back at the same share of the wait");
        assert_ne!(patience.wait("a", 0), Patience { seed: 1, ..patience }.wait("a", 0));
        assert_eq!(
            Patience { first_wait: Duration::ZERO, ..patience }.wait("a", 31),
            Duration::ZERO
        );
    }

    #[test]
    fn retry_after_is_read_in_every_form_of_the_standard() {
        // RFC 9110, 5.6.7: the same moment in three forms, 784,111,777 seconds after 1970.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777 - 90);
        for header in [
            "90",
            " 90 ",
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(retry_after(header, now), Some(Duration::from_secs(90)), "{header}");
        }
        let past = now + Duration::from_hours(1);
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", past), Some(Duration::ZERO));
        assert_eq!(retry_after(&"9".repeat(30), now), Some(Duration::from_secs(u64::MAX)));
        for header in ["", "soon", "-3", "1.5", "Sun, 31 Foo 1994 08:49:37 GMT"] {
            assert_eq!(retry_after(header, now), None, "{header}");
        }
    }

    #[test]
    fn a_shut_gate_holds_and_a_stop_opens_nothing() {
        let (gate, go, stop) = (Gate::default(), || false, || true);
        assert!(gate.pass(&go));
        gate.shut_for(Duration::from_millis(80));
        gate.shut_for(Duration::from_millis(1));
        let begin = Instant::now();
        assert!(!gate.pass(&stop));
        assert!(gate.pass(&go));
        assert!(begin.elapsed() >= Duration::from_millis(70), "{:?}", begin.elapsed());
        assert!(!sleep(Duration::MAX, &go) && !sleep(Duration::from_hours(1), &stop));
    }
}
