//! `pefomed rate plan`: who would grade what.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use pefomed_data::readable::thousands;
use pefomed_eval::rating::{Items, Plan, PlanOptions, PlanSummary, Rater, Settings, plan};
use serde_json::{Value, json};

use super::study::Study;
use crate::context::Context;
use crate::failure::Usage;
use crate::table::{row, table};

/// Show who would grade what; makes no store and starts no server.
#[derive(Args, Debug)]
#[command(after_help = "With --json the whole plan is told, item by item.

Example:
  pefomed rate plan base=a.jsonl tuned=b.jsonl --rater Ada --rater Bo --per-item 1 --core 40")]
pub(super) struct PlanArguments {
    #[command(flatten)]
    study: Study,
}

pub(super) fn run(
    PlanArguments { study }: &PlanArguments,
    context: &Context,
) -> anyhow::Result<ExitCode> {
    let Some(items) = study.items()? else {
        let problem = "name the prediction files that the plan is for";
        return Err(Usage(problem.to_owned()).into());
    };
    let request = study.request();
    let raters = request.new_raters()?;
    let settings = request.settings(&items, raters.len())?;
    let Settings { seed, per_item, core, .. } = settings;
    let plan = plan(&items, &raters, PlanOptions { seed, per_item, core })?;
    let summary = plan.summary(&items, &raters, &[]);
    let orders = orders_json(&items, &raters, &plan);
    let value = json!({ "settings": settings, "summary": summary, "orders": orders });
    context.output.result(&plan_text(&summary, &settings), &value)?;
    Ok(ExitCode::SUCCESS)
}

/// Each rater's order, by id and systems.
fn orders_json(items: &Items, raters: &[Rater], plan: &Plan) -> Vec<Value> {
    let order = |order: &[usize]| -> Vec<Value> {
        order
            .iter()
            .map(|candidate| {
                let candidate = &items.candidates[*candidate];
                let in_core = plan.core.binary_search(&candidate.case).is_ok();
                let id = &items.cases[candidate.case].id;
                json!({ "id": id, "systems": candidate.systems, "core": in_core })
            })
            .collect()
    };
    raters
        .iter()
        .zip(&plan.orders)
        .map(|(rater, candidates)| json!({ "rater": rater.name, "order": order(candidates) }))
        .collect()
}

/// Items, raters and their loads, for a person.
pub(super) fn plan_text(summary: &PlanSummary, settings: &Settings) -> String {
    let systems = if summary.systems.len() == 1 { "system" } else { "systems" };
    let mut out = format!(
        "{} items, {} texts to grade, {systems} {}\nscale {}, seed {}\n",
        thousands(summary.items),
        thousands(summary.candidates),
        summary.systems.join(", "),
        settings.kind,
        settings.seed,
    );
    let raters = match (summary.fewest_raters, summary.most_raters) {
        (1, 1) => "each item has one rater".to_owned(),
        (fewest, most) if fewest == most => format!("each item has {most} raters"),
        (fewest, most) => format!(
            "{} items have all {most} raters, the others {fewest} each",
            thousands(summary.core)
        ),
    };
    let _ = writeln!(out, "{raters}; {} grades in all", thousands(summary.grades));
    if let Some(shared) = summary.fewest_shared {
        let _ = writeln!(out, "any two raters have at least {} items in common", thousands(shared));
        if shared == 0 {
            out.push_str("note: agreement needs items in common: give --core N or --per-item N\n");
        }
    }
    let mut rows = vec![row(["rater", "items", "texts", "graded", "kind"])];
    for load in &summary.raters {
        let numbers = [load.items, load.candidates, load.graded].map(thousands);
        let kind = if load.rater.synthetic { "synthetic" } else { "human" };
        rows.push(
            [vec![load.rater.name.clone()], numbers.to_vec(), vec![kind.to_owned()]].concat(),
        );
    }
    out.push('\n');
    out.push_str(&table(&rows));
    out
}
