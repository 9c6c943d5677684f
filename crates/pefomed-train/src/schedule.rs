//! The learning rate over a stage: a linear warm-up, then half a cosine.
//!
//! The shape is that of `linear_warmup_cosine_lr`, which MiniGPT-v2 and PeFoMed train with. The
//! cosine is counted from the first step of the stage, not from the end of the warm-up, as it is
//! there: where the warm-up hands over, the rate is already a little below its peak (after 1,000
//! of 5,000 steps 9.14e-6 of 1e-5), and it comes to rest at the final rate just after the last
//! step. MiniGPT-v2's cosine falls with every step. That of PeFoMed's code takes the number of the
//! epoch and stays for all of it, so its last epoch ends above the final rate; [`Schedule::hold`] is
//! the length of such an epoch. With it, curves of both can be laid over one of this project.
//!
//! Theirs begins a warm-up that is longer than an epoch anew in the next; here it goes on. The paper
//! has no such stage.

use std::f64::consts::PI;

/// A linear warm-up and half a cosine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The rate the warm-up leads to and the cosine starts from.
    pub peak: f64,
    /// The rate the cosine ends at.
    pub last: f64,
    /// The rate of step 0, when there is a warm-up.
    pub first: f64,
    /// Steps of the warm-up; with as many as the stage has, there is no cosine.
    pub warmup_steps: usize,
    /// Optimizer steps of the stage.
    pub steps: usize,
    /// Steps for which the cosine keeps its value, an epoch for PeFoMed; 0 counts as 1.
    pub hold: usize,
}

impl Schedule {
    /// The rate of one optimizer step, counted from 0; at and after the end, the final rate.
    ///
    /// ```
    /// # use pefomed_train::schedule::Schedule;
    /// let schedule = Schedule {
    ///     peak: 1e-5, last: 1e-6, first: 1e-6, warmup_steps: 1000, steps: 5000, hold: 1,
    /// };
    /// assert_eq!(schedule.at(0), 1e-6);
    /// assert!((schedule.at(500) - 5.5e-6).abs() < 1e-18);
    /// ```
    pub fn at(&self, step: usize) -> f64 {
        if step < self.warmup_steps {
            let share = step as f64 / self.warmup_steps as f64;
            return (self.first + (self.peak - self.first) * share).min(self.peak);
        }
        if step >= self.steps {
            return self.last;
        }
        let held = step - step % self.hold.max(1);
        let share = held as f64 / self.steps as f64;
        (self.peak - self.last) * 0.5 * (1.0 + (PI * share).cos()) + self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(actual: f64, expected: f64) {
        assert!((actual - expected).abs() <= 1e-12 * expected.abs(), "{actual} is not {expected}");
    }

    /// Stage 1 of PeFoMed: 5 × 1,000 steps, 1e-6 → 1e-5 over 1,000, then down to 1e-6.
    #[test]
    fn the_first_stage_of_pefomed() {
        let schedule = Schedule {
            peak: 1e-5,
            last: 1e-6,
            first: 1e-6,
            warmup_steps: 1000,
            steps: 5000,
            hold: 1,
        };
        close(schedule.at(0), 1e-6);
        close(schedule.at(1), 1.009e-6);
        close(schedule.at(500), 5.5e-6);
        close(schedule.at(999), 9.991e-6);
        // cos 36° = (1 + √5)/4, so 1e-6 + 4.5e-6 · (1 + 0.809…).
        close(schedule.at(1000), 1e-6 + 4.5e-6 * (1.0 + (1.0 + 5.0_f64.sqrt()) / 4.0));
        // Half-way: cos 90° = 0.
        close(schedule.at(2500), 5.5e-6);
        // cos 120° = −1/2 does not fall on a step; cos 144° = −(1 + √5)/4 does.
        close(schedule.at(4000), 1e-6 + 4.5e-6 * (1.0 - (1.0 + 5.0_f64.sqrt()) / 4.0));
        assert!(schedule.at(4999) - 1e-6 < 1e-12);
        close(schedule.at(5000), 1e-6);
    }

    /// Report generation: 3e-5 → 1e-5 from 1e-6, 4 × 100 steps, 100 of warm-up.
    #[test]
    fn the_report_stage_of_pefomed() {
        let schedule = Schedule {
            peak: 3e-5,
            last: 1e-5,
            first: 1e-6,
            warmup_steps: 100,
            steps: 400,
            hold: 1,
        };
        close(schedule.at(50), 1.55e-5);
        // cos 45° = √½.
        close(schedule.at(100), 2e-5 + 1e-5 * 0.5_f64.sqrt());
        close(schedule.at(200), 2e-5);
    }

    /// The stages of the shipped recipes against the rates that `tools/goldens/schedule.py` works out.
    #[test]
    fn the_recipes_of_the_paper_have_its_curves() {
        #[derive(serde::Deserialize)]
        struct Golden {
            recipe: String,
            steps: usize,
            rates: Vec<(usize, f64, f64)>,
        }
        let golden: Vec<Golden> =
            serde_json::from_str(include_str!("../tests/fixtures/schedule.json")).unwrap();
        assert_eq!(golden.len(), 5);
        let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../recipes"));
        for golden in golden {
            let path = folder.join(format!("pefomed-llama2-7b-{}.toml", golden.recipe));
            let stage = crate::Recipe::read(&path, &[]).unwrap().stages.remove(0);
            // Counted in steps, whatever the size of the data.
            assert_eq!(stage.steps(1), golden.steps);
            let held = stage.schedule(golden.steps);
            let smooth = Schedule { hold: 1, ..held };
            for (step, by_step, by_epoch) in golden.rates {
                close(smooth.at(step), by_step);
                close(held.at(step), by_epoch);
            }
        }
    }

    #[test]
    fn without_a_warm_up_the_peak_comes_first() {
        let schedule =
            Schedule { peak: 1e-3, last: 1e-4, first: 1e-5, warmup_steps: 0, steps: 3, hold: 1 };
        close(schedule.at(0), 1e-3);
        // cos 60° = ½ and cos 120° = −½.
        close(schedule.at(1), 7.75e-4);
        close(schedule.at(2), 3.25e-4);
        close(schedule.at(3), 1e-4);
    }

    #[test]
    fn a_warm_up_longer_than_the_stage_never_reaches_the_peak() {
        let schedule =
            Schedule { peak: 1.0, last: 0.1, first: 0.0, warmup_steps: 10, steps: 5, hold: 1 };
        close(schedule.at(4), 0.4);
        close(schedule.at(9), 0.9);
    }
}
