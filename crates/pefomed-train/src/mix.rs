//! Data sets of a stage in shares of their own.
//!
//! A stage reads all rows of its data sets once a pass, so a data set has a share of the questions in
//! proportion to its size. With weights it has another one: a pass is as long as before, and of its
//! questions each data set gives a fixed number, its quota. What it gives is cut from an endless row
//! of its own shuffles, each with every question once. So no question of a data set is drawn a second
//! time before all others of it were drawn, and after any number of passes their counts differ by one
//! at most. Which part of the row belongs to a pass follows from the number of the pass: a resumed run
//! stores nothing.
//!
//! A shuffle keeps questions about the same images beside each other, so that they can share a tree.

use std::collections::BTreeMap;

use pefomed_data::random::{keyed, shuffle};

/// How the questions of a pass are divided among data sets.
#[derive(Clone, Debug)]
pub struct Mix {
    sets: Vec<Set>,
}

#[derive(Clone, Debug)]
struct Set {
    /// Questions about the same images, by group.
    groups: Vec<Vec<usize>>,
    size: usize,
    quota: usize,
}

impl Mix {
    /// Data sets that stand behind one another: `groups[i]` is the group of question `i`, `sizes[d]`
    /// the number of questions of data set `d`, and `weights[d]` its share in relation to the others.
    pub fn new(groups: &[usize], sizes: &[usize], weights: &[f64]) -> Self {
        let mut first = 0;
        let sets = sizes.iter().zip(quotas(sizes, weights)).map(|(&size, quota)| {
            let mut by_group: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
            for (question, group) in groups.iter().enumerate().skip(first).take(size) {
                by_group.entry(*group).or_default().push(question);
            }
            first += size;
            Set { groups: by_group.into_values().collect(), size, quota }
        });
        Self { sets: sets.collect() }
    }

    /// The trees of one pass, those of each data set together, of at most `tree` questions.
    pub(crate) fn trees(&self, seed: u64, pass: u64, tree: usize) -> Vec<Vec<usize>> {
        let mut trees = Vec::new();
        for (index, set) in self.sets.iter().enumerate().filter(|(_, set)| set.size > 0) {
            let size = set.size as u128;
            let mut at = u128::from(pass) * set.quota as u128;
            let end = at + set.quota as u128;
            while at < end {
                let from = (at % size) as usize;
                let count = ((end - at).min(size - from as u128)) as usize;
                let row = set.shuffled(seed, index as u64, (at / size) as u64);
                let part = &row[from..from + count];
                for run in part.chunk_by(|(a, _), (b, _)| a == b) {
                    let chunks = run.chunks(tree.max(1));
                    trees.extend(chunks.map(|chunk| chunk.iter().map(|(_, q)| *q).collect()));
                }
                at += count as u128;
            }
        }
        trees
    }
}

impl Set {
    /// Every question once, with its group: groups in random order, questions in random order within.
    fn shuffled(&self, seed: u64, index: u64, round: u64) -> Vec<(usize, usize)> {
        let mut purpose = *b"data-mix\0\0\0\0\0\0\0\0";
        purpose[8..].copy_from_slice(&index.to_le_bytes());
        let mut random = keyed(seed, round, purpose);
        let mut order: Vec<usize> = (0..self.groups.len()).collect();
        shuffle(&mut order, &mut random);
        let mut row = Vec::with_capacity(self.size);
        for group in order {
            let mut questions = self.groups[group].clone();
            shuffle(&mut questions, &mut random);
            row.extend(questions.into_iter().map(|question| (group, question)));
        }
        row
    }
}

/// Questions that each data set gives to a pass, as many in all as there are: the weights' shares,
/// what rounding leaves over to the largest remainders, and one at least of a data set that has any.
pub fn quotas(sizes: &[usize], weights: &[f64]) -> Vec<usize> {
    let total: usize = sizes.iter().sum();
    let weight = |index: usize| if sizes[index] > 0 { weights[index] } else { 0.0 };
    let sets = 0..sizes.len().min(weights.len());
    let sum: f64 = sets.clone().map(weight).sum();
    if sum <= 0.0 || !sum.is_finite() {
        return sizes.to_vec();
    }
    let exact: Vec<f64> = sets.clone().map(|set| total as f64 * weight(set) / sum).collect();
    let mut quotas: Vec<usize> = exact.iter().map(|share| share.floor() as usize).collect();
    let mut by_rest: Vec<usize> = sets.clone().filter(|set| sizes[*set] > 0).collect();
    by_rest.sort_by(|a, b| exact[*b].fract().total_cmp(&exact[*a].fract()).then(a.cmp(b)));
    let left = total.saturating_sub(quotas.iter().sum());
    for set in by_rest.iter().cycle().take(left) {
        quotas[*set] += 1;
    }
    for set in sets.filter(|set| sizes[*set] > 0) {
        if quotas[set] == 0 {
            // There are no more data sets with questions than questions, so one has two.
            if let Some(most) = quotas.iter_mut().max() {
                *most -= 1;
            }
            quotas[set] = 1;
        }
    }
    quotas
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quotas_are_the_shares_of_the_weights() {
        // The stage 1 of PeFoMed's public code: 60, 60, 20 and 60 parts of 200.
        assert_eq!(quotas(&[70, 10, 15, 5], &[60.0, 60.0, 20.0, 60.0]), [30, 30, 10, 30]);
        assert_eq!(quotas(&[3, 3, 3], &[1.0, 1.0, 1.0]), [3, 3, 3]);
        // 10 in three parts: the first has the remainder.
        assert_eq!(quotas(&[4, 3, 3], &[1.0, 1.0, 1.0]), [4, 3, 3]);
        assert_eq!(quotas(&[8, 1, 1], &[1000.0, 1.0, 1.0]), [8, 1, 1]);
        assert_eq!(quotas(&[4, 0], &[1.0, 9.0]), [4, 0]);
    }

    proptest! {
        #[test]
        fn every_question_of_a_data_set_is_drawn_equally_often(
            sizes in prop::collection::vec(1_usize..30, 1..4),
            weights in prop::collection::vec(0.05_f64..20.0, 4),
            seed: u64,
            passes in 1_u64..12,
            tree in 1_usize..5,
        ) {
            let total: usize = sizes.iter().sum();
            let groups: Vec<usize> = (0..total).map(|question| question / 3).collect();
            let weights = &weights[..sizes.len()];
            let quotas = quotas(&sizes, weights);
            prop_assert_eq!(quotas.iter().sum::<usize>(), total);
            prop_assert!(quotas.iter().all(|quota| *quota > 0));
            let mix = Mix::new(&groups, &sizes, weights);
            let mut drawn = vec![0_usize; total];
            for pass in 0..passes {
                let trees = mix.trees(seed, pass, tree);
                prop_assert_eq!(&trees, &Mix::new(&groups, &sizes, weights).trees(seed, pass, tree));
                for questions in &trees {
                    prop_assert!((1..=tree).contains(&questions.len()));
                    prop_assert!(questions.iter().all(|q| groups[*q] == groups[questions[0]]));
                    let mut once = questions.clone();
                    once.sort_unstable();
                    once.dedup();
                    prop_assert_eq!(once.len(), questions.len());
                    for question in questions {
                        drawn[*question] += 1;
                    }
                }
            }
            let mut first = 0;
            for (size, quota) in sizes.iter().zip(quotas) {
                let counts = &drawn[first..first + size];
                prop_assert_eq!(counts.iter().sum::<usize>(), quota * passes as usize);
                let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
                prop_assert!(most - least <= 1, "{:?}", counts);
                first += size;
            }
        }
    }

    #[test]
    fn far_passes_and_other_seeds_are_other_draws() {
        let groups: Vec<usize> = (0..40).collect();
        let mix = Mix::new(&groups, &[30, 10], &[1.0, 1.0]);
        let far = mix.trees(1, u64::MAX, 1);
        assert_eq!(far.len(), 40);
        assert_ne!(far, mix.trees(1, 0, 1));
        assert_ne!(mix.trees(2, 0, 1), mix.trees(1, 0, 1));
    }
}
