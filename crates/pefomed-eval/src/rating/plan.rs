//! Who grades what, and in which order.
//!
//! **Sharing out.** Everybody grades the core. Every other case goes to the raters who have the
//! fewest candidates so far, ties broken at random: loads stay within one case of each other, and all
//! pairs of raters meet, which a fixed rotation would not give.
//!
//! **Order.** Each rater goes through the cases in rounds. In every round a case comes up once, with
//! another of its candidates, and each round has an order of its own. So the texts of several systems
//! about one item lie far apart, all systems are seen early and late alike, and a rater who stops
//! half way has graded something of every system.
//!
//! Both follow from the seed and the raters' names alone, through ChaCha8 and SHA-256.

use pefomed_data::random::shuffle;
use serde::Serialize;

use super::random::generator;
use super::{Items, Rater, RatingError};

/// How items are shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanOptions {
    /// Another seed gives another plan.
    pub seed: u64,
    /// Raters of each case outside the core.
    pub per_item: usize,
    /// Cases that everybody grades.
    pub core: usize,
}

/// A plan: which candidates each rater sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Indices of the cases in the core, ascending.
    pub core: Vec<usize>,
    /// For each rater, indices of candidates in the order they are shown.
    pub orders: Vec<Vec<usize>>,
}

/// Makes the plan for some raters.
///
/// # Errors
/// [`RatingError::PerItem`] when an item should get more raters than there are, or none;
/// [`RatingError::Core`] when the core is larger than the number of cases.
pub fn plan(items: &Items, raters: &[Rater], options: PlanOptions) -> Result<Plan, RatingError> {
    if options.per_item == 0 || options.per_item > raters.len() {
        let (per_item, raters) = (options.per_item, raters.len());
        return Err(RatingError::PerItem { per_item, raters });
    }
    if options.core > items.cases.len() {
        return Err(RatingError::Core { core: options.core, cases: items.cases.len() });
    }
    let seed = options.seed.to_string();
    let names = raters.iter().map(|rater| rater.name.as_str());
    let mut random = generator(["pefomed rating plan", &seed].into_iter().chain(names));
    let mut shuffled: Vec<usize> = (0..items.cases.len()).collect();
    shuffle(&mut shuffled, &mut random);
    let (core, others) = shuffled.split_at(options.core);

    let sizes = candidates_by_case(items);
    let mut cases: Vec<Vec<usize>> = raters.iter().map(|_| core.to_vec()).collect();
    let mut loads = vec![0_usize; raters.len()];
    let mut turn: Vec<usize> = (0..raters.len()).collect();
    for case in others {
        shuffle(&mut turn, &mut random);
        // A stable sort: the shuffle decides among equals.
        turn.sort_by_key(|rater| loads[*rater]);
        for rater in &turn[..options.per_item] {
            cases[*rater].push(*case);
            loads[*rater] += sizes[*case].len();
        }
    }
    let order = |(rater, cases): (&Rater, Vec<usize>)| order(&sizes, cases, &rater.name, &seed);
    let orders = raters.iter().zip(cases).map(order).collect();
    let mut core = core.to_vec();
    core.sort_unstable();
    Ok(Plan { core, orders })
}

/// What a rater who joins later gets: the core, and as many other cases as the others have on
/// average, those with the fewest raters first.
pub(super) fn join(
    items: &Items,
    core: &[usize],
    orders: &[Vec<usize>],
    name: &str,
    seed: u64,
) -> Vec<usize> {
    let seed = seed.to_string();
    let mut random = generator(["pefomed rating newcomer", &seed, name]);
    let mut raters_of = vec![0_usize; items.cases.len()];
    for order in orders {
        for case in cases_of(items, order) {
            raters_of[case] += 1;
        }
    }
    let mut others: Vec<usize> =
        (0..items.cases.len()).filter(|case| core.binary_search(case).is_err()).collect();
    let given: usize = others.iter().map(|case| raters_of[*case]).sum();
    let share = given.div_ceil(orders.len().max(1));
    shuffle(&mut others, &mut random);
    others.sort_by_key(|case| raters_of[*case]);
    others.truncate(share);
    let cases = [core, &others].concat();
    order(&candidates_by_case(items), cases, name, &seed)
}

/// Indices of the candidates of each case.
fn candidates_by_case(items: &Items) -> Vec<Vec<usize>> {
    let mut by_case = vec![Vec::new(); items.cases.len()];
    for (index, candidate) in items.candidates.iter().enumerate() {
        by_case[candidate.case].push(index);
    }
    by_case
}

/// The cases behind some candidates, ascending and each once.
fn cases_of(items: &Items, candidates: &[usize]) -> Vec<usize> {
    let mut cases: Vec<usize> =
        candidates.iter().map(|candidate| items.candidates[*candidate].case).collect();
    cases.sort_unstable();
    cases.dedup();
    cases
}

/// One rater's order: rounds of cases, each with another candidate.
fn order(sizes: &[Vec<usize>], mut cases: Vec<usize>, name: &str, seed: &str) -> Vec<usize> {
    cases.sort_unstable();
    let mut random = generator(["pefomed rating order", seed, name]);
    let mut left: Vec<Vec<usize>> = cases.iter().map(|case| sizes[*case].clone()).collect();
    for candidates in &mut left {
        shuffle(candidates, &mut random);
    }
    let mut order = Vec::new();
    loop {
        let mut round: Vec<usize> = left.iter_mut().filter_map(Vec::pop).collect();
        if round.is_empty() {
            return order;
        }
        shuffle(&mut round, &mut random);
        order.append(&mut round);
    }
}

/// What a plan amounts to, for the start-up summary and `pefomed rate plan`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlanSummary {
    /// Names of the systems.
    pub systems: Vec<String>,
    /// Items.
    pub items: usize,
    /// Texts to be graded; equal texts about one item are one.
    pub candidates: usize,
    /// Items that everybody grades.
    pub core: usize,
    /// Grades to be given in all.
    pub grades: usize,
    /// The fewest raters an item has.
    pub fewest_raters: usize,
    /// The most raters an item has.
    pub most_raters: usize,
    /// The fewest items that two raters have in common; none with one rater.
    pub fewest_shared: Option<usize>,
    /// What each rater gets.
    pub raters: Vec<RaterLoad>,
}

/// What one rater gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RaterLoad {
    /// Who.
    #[serde(flatten)]
    pub rater: Rater,
    /// Items.
    pub items: usize,
    /// Texts to be graded.
    pub candidates: usize,
    /// Grades given so far.
    pub graded: usize,
}

impl Plan {
    /// Counts for a person; `graded` is how many grades each rater has given.
    pub fn summary(&self, items: &Items, raters: &[Rater], graded: &[usize]) -> PlanSummary {
        let cases: Vec<Vec<usize>> =
            self.orders.iter().map(|order| cases_of(items, order)).collect();
        let mut raters_of = vec![0_usize; items.cases.len()];
        for case in cases.iter().flatten() {
            raters_of[*case] += 1;
        }
        let shared = |a: &[usize], b: &[usize]| {
            a.iter().filter(|case| b.binary_search(case).is_ok()).count()
        };
        let pairs = cases
            .iter()
            .enumerate()
            .flat_map(|(index, a)| cases[..index].iter().map(move |b| shared(a, b)));
        let load = |(index, rater): (usize, &Rater)| RaterLoad {
            rater: rater.clone(),
            items: cases[index].len(),
            candidates: self.orders[index].len(),
            graded: graded.get(index).copied().unwrap_or(0),
        };
        PlanSummary {
            systems: items.systems().into_iter().map(str::to_owned).collect(),
            items: items.cases.len(),
            candidates: items.candidates.len(),
            core: self.core.len(),
            grades: self.orders.iter().map(Vec::len).sum(),
            fewest_raters: raters_of.iter().copied().min().unwrap_or(0),
            most_raters: raters_of.iter().copied().max().unwrap_or(0),
            fewest_shared: pairs.min(),
            raters: raters.iter().enumerate().map(load).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use pefomed_data::Task;
    use proptest::prelude::*;

    use super::super::{Candidate, Case};
    use super::*;

    /// `sizes[i]` candidates about case i.
    fn items(sizes: &[usize]) -> Items {
        let case = |index: usize| Case {
            id: index.to_string(),
            group: String::new(),
            task: Task::Vqa,
            question: String::new(),
            reference: String::new(),
            images: Vec::new(),
        };
        let mut items = Items::default();
        for (index, size) in sizes.iter().enumerate() {
            items.cases.push(case(index));
            for text in 0..*size {
                let (text, systems) = (text.to_string(), vec![format!("s{text}")]);
                items.candidates.push(Candidate { case: index, text, systems });
            }
        }
        items
    }

    fn raters(count: usize) -> Vec<Rater> {
        let rater = |number| Rater { number, name: format!("r{number}"), synthetic: false };
        (1..=count).map(rater).collect()
    }

    proptest! {
        #[test]
        fn every_plan_keeps_its_word(
            sizes in prop::collection::vec(1_usize..4, 1..40),
            people in 1_usize..7,
            wanted in 1_usize..7,
            core in 0_usize..40,
            seed in any::<u64>(),
        ) {
            let (items, people) = (items(&sizes), raters(people));
            let per_item = wanted.min(people.len());
            let core = core.min(sizes.len());
            let options = PlanOptions { seed, per_item, core };
            let made = plan(&items, &people, options).unwrap();
            prop_assert_eq!(&made, &plan(&items, &people, options).unwrap());
            prop_assert_eq!(made.core.len(), core);
            // Whoever grades a case grades all of its candidates, each once.
            let mut raters_of = vec![0; sizes.len()];
            for order in &made.orders {
                let mut seen = order.clone();
                seen.sort_unstable();
                seen.dedup();
                prop_assert_eq!(seen.len(), order.len());
                let cases = cases_of(&items, order);
                prop_assert_eq!(cases.iter().map(|case| sizes[*case]).sum::<usize>(), order.len());
                for case in &cases {
                    raters_of[*case] += 1;
                }
                // The first round has every case once.
                prop_assert_eq!(&cases_of(&items, &order[..cases.len()]), &cases);
            }
            for (case, raters) in raters_of.iter().enumerate() {
                let in_core = made.core.contains(&case);
                prop_assert_eq!(*raters, if in_core { people.len() } else { per_item });
            }
            // Loads differ by no more than the largest case.
            let loads: Vec<usize> = made.orders.iter().map(Vec::len).collect();
            let spread = loads.iter().max().unwrap() - loads.iter().min().unwrap();
            prop_assert!(spread <= 3, "{:?}", loads);
        }
    }

    #[test]
    fn seed_and_name_decide_the_order() {
        let items = items(&[2; 30]);
        let people = raters(2);
        let options = PlanOptions { seed: 1, per_item: 2, core: 0 };
        let first = plan(&items, &people, options).unwrap();
        assert_ne!(first.orders[0], first.orders[1]);
        let other = plan(&items, &people, PlanOptions { seed: 2, ..options }).unwrap();
        assert_ne!(first.orders[0], other.orders[0]);
    }

    #[test]
    fn all_pairs_of_raters_meet() {
        let (items, people) = (items(&[1; 300]), raters(5));
        let options = PlanOptions { seed: 4, per_item: 2, core: 10 };
        let summary = plan(&items, &people, options).unwrap().summary(&items, &people, &[]);
        assert_eq!((summary.fewest_raters, summary.most_raters, summary.core), (2, 5, 10));
        assert_eq!(summary.grades, 50 + 290 * 2);
        // 29 of the 290 fall to each of the ten pairs on average.
        assert!(summary.fewest_shared.unwrap() > 10 + 12, "{summary:?}");
        let loads: Vec<usize> = summary.raters.iter().map(|load| load.candidates).collect();
        assert_eq!(loads, [126; 5]);
    }

    #[test]
    fn a_newcomer_gets_the_core_and_what_was_graded_least() {
        let (items, people) = (items(&[1; 40]), raters(3));
        let made = plan(&items, &people, PlanOptions { seed: 1, per_item: 1, core: 4 }).unwrap();
        // Two of the three leave no trace: their cases have no rater.
        let orders = vec![made.orders[0].clone()];
        let order = join(&items, &made.core, &orders, "late", 1);
        assert_eq!(order.len(), 4 + 12);
        let cases = cases_of(&items, &order);
        assert!(made.core.iter().all(|case| cases.contains(case)));
        let known = cases_of(&items, &orders[0]);
        assert_eq!(cases.iter().filter(|case| known.contains(case)).count(), 4);
    }

    #[test]
    fn impossible_plans_say_what_is_possible() {
        let items = items(&[1; 5]);
        let refused = |per_item, core| {
            let options = PlanOptions { seed: 1, per_item, core };
            plan(&items, &raters(2), options).unwrap_err().to_string()
        };
        assert!(refused(3, 0).contains("between 1 and 2"), "{}", refused(3, 0));
        assert!(refused(0, 0).contains("between 1 and 2"));
        assert!(refused(1, 6).contains("at most 5"));
    }
}
