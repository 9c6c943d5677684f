//! The order in which questions are learned from: random, complete, and known in advance.
//!
//! Questions about the same image stand in one tree, so that the image's tokens pass the decoder
//! once for all of them. One pass shuffles the questions of each image, cuts them into trees,
//! shuffles the trees, and deals them out into steps of exactly `batch` questions; only the last
//! step of a pass may have fewer. The next tree that fits into the rest of a step is taken, of as many as
//! one looks ahead; where none does, the next one is split at the boundary: its image is then read twice,
//! but a step always weighs the same number of questions. A tree waits for one step at most.
//!
//! Data sets may have shares of their own in a stage instead of those of their sizes: see [`mix`](crate::mix).
//!
//! A pass is a function of (seed, number of the pass) alone, so a resumed run works out where it
//! stood instead of storing it. The shuffle is the project's own, over ChaCha8's stream, so that no
//! new version of a library deals the questions differently under an old checkpoint.

use std::collections::{BTreeMap, VecDeque};

use pefomed_data::random::{keyed, shuffle};
use rand_chacha::ChaCha8Rng;

use crate::mix::Mix;

/// The questions of one optimizer step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Indices of the questions of each tree; all questions of a tree are of one group.
    pub trees: Vec<Vec<usize>>,
}

impl Step {
    /// How many questions the step has.
    pub fn questions(&self) -> usize {
        self.trees.iter().map(Vec::len).sum()
    }
}

/// Deals questions into steps.
#[derive(Clone, Debug)]
pub struct Sampler {
    /// Questions of each group, in the order of the data.
    groups: Vec<Vec<usize>>,
    questions: usize,
    seed: u64,
    batch: usize,
    tree: usize,
    trees_ahead: usize,
    mix: Option<Mix>,
    cached: Option<(u64, Vec<Step>)>,
}

impl Sampler {
    /// A sampler over questions given by their groups: `groups[i]` is a number that question `i`
    /// has in common with the questions about the same images. `batch` questions make a step, at
    /// most `max_questions_per_tree` a tree, or one when images are not shared; 0 counts as 1.
    pub fn new(
        groups: &[usize],
        seed: u64,
        batch: usize,
        max_questions_per_tree: usize,
        share: bool,
    ) -> Self {
        let mut by_group: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (question, group) in groups.iter().enumerate() {
            by_group.entry(*group).or_default().push(question);
        }
        Self {
            groups: by_group.into_values().collect(),
            questions: groups.len(),
            seed,
            batch: batch.max(1),
            tree: if share { max_questions_per_tree.max(1) } else { 1 },
            trees_ahead: 1,
            mix: None,
            cached: None,
        }
    }

    /// Draws data sets in the shares of a mix. A pass keeps its length.
    #[must_use]
    pub fn mixed(self, mix: Option<Mix>) -> Self {
        Self { mix, cached: None, ..self }
    }

    /// Looks at so many trees for one that fits into the rest of a step; at one, the next, when not set.
    #[must_use]
    pub fn looking_ahead(self, trees: usize) -> Self {
        Self { trees_ahead: trees.max(1), cached: None, ..self }
    }

    /// Steps of one pass: ⌈questions / batch⌉.
    pub fn steps_per_pass(&self) -> usize {
        self.questions.div_ceil(self.batch)
    }

    /// All steps of one pass; unless data sets have shares of their own, every question occurs in
    /// exactly one of them.
    pub fn pass(&self, epoch: u64) -> Vec<Step> {
        let mut random = self.random(epoch);
        let mut trees = Vec::new();
        if let Some(mix) = &self.mix {
            trees = mix.trees(self.seed, epoch, self.tree);
        } else {
            for group in &self.groups {
                let mut group = group.clone();
                shuffle(&mut group, &mut random);
                trees.extend(group.chunks(self.tree).map(<[usize]>::to_vec));
            }
        }
        shuffle(&mut trees, &mut random);

        let mut steps = Vec::with_capacity(self.steps_per_pass());
        let mut step = Step::default();
        let mut room = self.batch;
        let mut trees = VecDeque::from(trees);
        loop {
            let mut ahead = trees.iter().take(self.trees_ahead);
            let next = ahead.position(|tree| tree.len() <= room).unwrap_or(0);
            let Some(mut tree) = trees.remove(next) else { break };
            if tree.len() > room {
                trees.push_front(tree.split_off(room));
            }
            room -= tree.len();
            step.trees.push(tree);
            if room == 0 {
                steps.push(std::mem::take(&mut step));
                room = self.batch;
            }
        }
        if !step.trees.is_empty() {
            steps.push(step);
        }
        steps
    }

    /// One step of an endless row of passes, counted from 0; none without questions. The pass it
    /// belongs to is kept, so going through the steps in order deals each pass once.
    pub fn step(&mut self, step: usize) -> Option<&Step> {
        let per_pass = self.steps_per_pass();
        if per_pass == 0 {
            return None;
        }
        let epoch = (step / per_pass) as u64;
        if self.cached.as_ref().is_none_or(|(cached, _)| *cached != epoch) {
            self.cached = Some((epoch, self.pass(epoch)));
        }
        self.cached.as_ref()?.1.get(step % per_pass)
    }

    fn random(&self, epoch: u64) -> ChaCha8Rng {
        keyed(self.seed, epoch, *b"question-sampler")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The orders that `tools/goldens/sampler_order.py` works out with its own ChaCha8.
    #[test]
    fn the_order_is_that_of_a_second_implementation() {
        let groups = [0, 0, 1, 0, 2, 1, 0, 2, 0, 3];
        let sampler = Sampler::new(&groups, 7, 4, 3, true);
        let trees = |sampler: &Sampler, pass: u64| -> Vec<_> {
            sampler.pass(pass).into_iter().map(|step| step.trees).collect()
        };
        let expected = [
            vec![vec![9], vec![4, 7], vec![2]],
            vec![vec![5], vec![0, 6], vec![8]],
            vec![vec![3, 1]],
        ];
        assert_eq!(trees(&sampler, 2), expected);
        let expected =
            [vec![vec![8, 1, 6], vec![9]], vec![vec![5, 2], vec![0, 3]], vec![vec![7, 4]]];
        assert_eq!(trees(&sampler.looking_ahead(3), 10), expected);
    }

    #[test]
    fn a_tree_is_split_where_a_step_is_full() {
        let sampler = Sampler::new(&[5; 7], 1, 4, 7, true);
        let steps = sampler.pass(0);
        let sizes: Vec<Vec<usize>> =
            steps.iter().map(|step| step.trees.iter().map(Vec::len).collect()).collect();
        assert_eq!(sizes, [vec![4], vec![3]]);
    }

    #[test]
    fn a_tree_that_fits_is_taken_before_one_is_split() {
        // Two trees of four questions and two of two, four a step.
        let groups = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3];
        let trees = |seed: u64, ahead: usize| -> usize {
            let sampler = Sampler::new(&groups, seed, 4, 4, true).looking_ahead(ahead);
            sampler.pass(0).iter().map(|step| step.trees.len()).sum()
        };
        assert!((0..20).all(|seed| trees(seed, 4) == 4));
        assert!((0..20).any(|seed| trees(seed, 1) > 4));
    }

    #[test]
    fn nothing_to_learn_from_is_no_step() {
        let mut sampler = Sampler::new(&[], 1, 8, 8, true);
        assert_eq!(sampler.pass(0), []);
        assert_eq!(sampler.step(3), None);
    }

    #[test]
    fn a_mix_keeps_the_steps_and_changes_the_shares() {
        // 20 questions of one data set and 4 of another, half of each a pass.
        let groups: Vec<usize> = (0..24).collect();
        let (sizes, weights) = ([20, 4], [1.0, 1.0]);
        let mix = || Some(Mix::new(&groups, &sizes, &weights));
        let mut sampler = Sampler::new(&groups, 5, 5, 2, true).mixed(mix());
        let steps = sampler.pass(3);
        let questions: Vec<usize> = steps.iter().map(Step::questions).collect();
        assert_eq!((questions, sampler.steps_per_pass()), (vec![5, 5, 5, 5, 4], 5));
        let drawn: Vec<usize> = steps.iter().flat_map(|step| step.trees.concat()).collect();
        assert_eq!(drawn.iter().filter(|question| **question < 20).count(), 12);
        // Any step again from nothing, as a resumed run finds it.
        let step = Sampler::new(&groups, 5, 5, 2, true).mixed(mix()).step(17).cloned();
        assert_eq!(step.as_ref(), sampler.step(17));
        assert_eq!(step.as_ref(), steps.get(2));
    }

    #[test]
    fn every_place_is_equally_likely() {
        // 4 questions over 4,000 passes: each should come first about 1,000 times; five standard
        // deviations are 137.
        let sampler = Sampler::new(&[0, 1, 2, 3], 3, 1, 1, true);
        let mut first = [0_i32; 4];
        for epoch in 0..4000 {
            first[sampler.pass(epoch)[0].trees[0][0]] += 1;
        }
        assert!(first.iter().all(|count| (count - 1000).abs() < 137), "{first:?}");
    }

    proptest! {
        #[test]
        fn a_pass_deals_every_question_once(
            groups in prop::collection::vec(0_usize..12, 0..120),
            seed: u64,
            batch in 1_usize..20,
            tree in 1_usize..12,
            ahead in 1_usize..9,
            share: bool,
            epoch in 0_u64..1000,
        ) {
            let new = || Sampler::new(&groups, seed, batch, tree, share).looking_ahead(ahead);
            let mut sampler = new();
            let steps = sampler.pass(epoch);
            let mut dealt: Vec<usize> =
                steps.iter().flat_map(|step| step.trees.iter().flatten().copied()).collect();
            dealt.sort_unstable();
            prop_assert_eq!(dealt, (0..groups.len()).collect::<Vec<_>>());
            prop_assert_eq!(steps.len(), sampler.steps_per_pass());
            for (index, step) in steps.iter().enumerate() {
                let full = index + 1 < steps.len() || groups.len() % batch == 0;
                let expected = if full { batch } else { groups.len() % batch };
                prop_assert_eq!(step.questions(), expected);
                for questions in &step.trees {
                    prop_assert!(!questions.is_empty());
                    let most = if share { tree } else { 1 };
                    prop_assert!(questions.len() <= most);
                    prop_assert!(questions.iter().all(|q| groups[*q] == groups[questions[0]]));
                }
            }
            // The same again, from scratch and through the cache, going backwards.
            prop_assert_eq!(&new().pass(epoch), &steps);
            for (index, step) in steps.iter().enumerate().rev() {
                let at = epoch as usize * steps.len() + index;
                prop_assert_eq!(sampler.step(at), Some(step));
            }
        }

        #[test]
        fn passes_and_seeds_differ(seed: u64, epoch in 0_u64..1000) {
            let groups: Vec<usize> = (0..60).map(|question| question / 3).collect();
            let sampler = Sampler::new(&groups, seed, 8, 4, true);
            prop_assert_ne!(sampler.pass(epoch), sampler.pass(epoch + 1));
            let other = Sampler::new(&groups, seed.wrapping_add(1), 8, 4, true);
            prop_assert_ne!(sampler.pass(epoch), other.pass(epoch));
        }
    }
}
