//! Two systems before the same grader: by how much do they differ, and could that be chance?

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::side::{Graded, Side, is_panel};
use super::table::Table;
use crate::bootstrap::BootstrapOptions;
use crate::compare::{Difference, paired_difference};

/// Two systems on the items that a grader graded of both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SystemDifference {
    /// Name of the first system.
    pub a: String,
    /// Name of the second.
    pub b: String,
    /// Who graded: a metric, a judge, a panel, or one of its graders.
    pub grader: Side,
    /// Items that were graded of both.
    pub n: usize,
    /// Groups they belong to.
    pub groups: usize,
    /// Both means, their paired difference, and its p-value by swapping systems within groups.
    pub difference: Difference,
}

/// All pairs of systems before every side, and before each grader of a panel of several.
pub(crate) fn differences(
    table: &Table,
    sides: &[Graded<'_>],
    options: &BootstrapOptions,
    permutations: usize,
) -> Vec<SystemDifference> {
    let mut graders: Vec<Graded<'_>> = Vec::new();
    for graded in sides {
        graders.push(graded.clone());
        if !is_panel(graded.side.kind) || graded.columns.len() < 2 {
            continue;
        }
        graders.extend(graded.columns.iter().map(|column| Graded {
            side: Side {
                name: column.name.clone(),
                kind: column.kind,
                scale: column.scale,
                graders: 1,
                panel: false,
            },
            values: column.values.clone(),
            columns: vec![column],
        }));
    }
    let systems = table.systems.len();
    let pairs: Vec<(usize, usize, &Graded<'_>)> = (0..systems)
        .flat_map(|a| (a + 1..systems).map(move |b| (a, b)))
        .flat_map(|(a, b)| graders.iter().map(move |grader| (a, b, grader)))
        .collect();
    pairs
        .into_par_iter()
        .filter_map(|(a, b, grader)| one(table, (a, b), grader, options, permutations))
        .collect()
}

fn one(
    table: &Table,
    (a, b): (usize, usize),
    grader: &Graded<'_>,
    options: &BootstrapOptions,
    permutations: usize,
) -> Option<SystemDifference> {
    let of = |system: usize| {
        // Items are sorted by system, then id.
        let start = table.items.partition_point(|item| item.system < system);
        let end = table.items.partition_point(|item| item.system <= system);
        start..end
    };
    let second = of(b);
    let pairs: Vec<(String, f64, f64)> = of(a)
        .filter_map(|item| {
            let id = table.items[item].id.as_str();
            let at =
                table.items[second.clone()].binary_search_by(|other| other.id.as_str().cmp(id));
            let other = second.start + at.ok()?;
            Some((table.items[item].cluster(), grader.values[item]?, grader.values[other]?))
        })
        .collect();
    let items = pairs.iter().map(|(group, a, b)| (group.as_str(), *a, *b));
    let (difference, groups) = paired_difference(items, options, permutations)?;
    Some(SystemDifference {
        a: table.systems[a].clone(),
        b: table.systems[b].clone(),
        grader: grader.side.clone(),
        n: pairs.len(),
        groups,
        difference,
    })
}
