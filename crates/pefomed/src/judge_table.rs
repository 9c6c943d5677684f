//! What a judge said, as tables for the terminal.

use std::fmt::Write as _;

use pefomed_data::readable::thousands;
use pefomed_eval::Estimate;
use pefomed_eval::agreement::LikertRange;
use pefomed_eval::judge::summary::{Numbers, Results};
use pefomed_eval::judge::{ErrorCounts, ItemName, Kind, Summary};

use crate::metrics_table::{interval, percent};
use crate::table::{row, table};

/// Ids that a list shows before it is cut.
const SHOWN: usize = 20;

/// The whole summary as text.
pub(crate) fn text(summary: &Summary) -> String {
    let mut out = format!(
        "judge {}, temperature {}, at most {} tokens, seed {}\n",
        summary.model,
        summary.sampling.temperature,
        summary.sampling.max_tokens,
        summary.sampling.seed
    );
    for (kind, sha256) in &summary.prompts {
        let _ = writeln!(out, "prompt of {kind}: SHA-256 {sha256}");
    }
    for kind in summary.prompts.keys() {
        let of_kind: Vec<&Results> =
            summary.results.iter().filter(|results| results.kind == *kind).collect();
        let _ = write!(out, "\n{}", kind_text(*kind, &of_kind));
    }
    stability(&mut out, &summary.results);
    lists(&mut out, summary);
    let _ = writeln!(
        out,
        "\nSquare brackets hold {} % intervals from {} resamples of whole groups (images or \
         patients); repeats of an item stay together.",
        summary.bootstrap.level * 100.0,
        thousands(summary.bootstrap.resamples)
    );
    out
}

fn kind_text(kind: Kind, results: &[&Results]) -> String {
    let mut head = vec![kind.to_string(), "items".to_owned(), "verdicts".to_owned()];
    let mut note = String::new();
    match kind {
        Kind::Vqa => head.push("judged right, %".to_owned()),
        Kind::Likert => {
            head.extend(row(["0", "1", "2", "3", "4"]));
            let scale = results.iter().find_map(|results| match &results.numbers {
                Some(Numbers::Likert { scale, .. }) => Some(*scale),
                _ => None,
            });
            let scale = scale.unwrap_or_default();
            head.push(format!("weighted average ({scale})"));
            "Weighted average: Σ s·n / Σ n over the levels s with their counts n"
                .clone_into(&mut note);
            note.push_str(match scale {
                LikertRange::ZeroToFour => ", 0 (worst) to 4.\n",
                LikertRange::OneToFive => ", with 1 added to each level: 1 (worst) to 5.\n",
                LikertRange::Percent => ", 25 for each level: 0 (worst) to 100.\n",
            });
        }
        Kind::Errors => head.extend(row(["significant a report", "all a report"])),
    }
    let mut rows = vec![head];
    for results in results {
        let name = format!("{}, {} image", results.system, results.condition.name());
        let mut cells = vec![name, thousands(results.items), thousands(results.verdicts)];
        match &results.numbers {
            None => cells.push("no verdict".to_owned()),
            Some(Numbers::Vqa { accuracy }) => cells.push(percent(accuracy)),
            Some(Numbers::Likert { counts, weighted_average, .. }) => {
                cells.extend(counts.iter().map(thousands));
                cells.push(two_decimals(weighted_average));
            }
            Some(Numbers::Errors { significant, all, .. }) => {
                cells.extend([two_decimals(significant), two_decimals(all)]);
            }
        }
        rows.push(cells);
    }
    let mut out = table(&rows);
    if kind == Kind::Errors {
        let _ = write!(out, "\n{}", by_type(results));
    }
    out + &note
}

/// Sums over all verdicts, one column a system.
fn by_type(results: &[&Results]) -> String {
    let mut rows = vec![row(["significant / all errors"])];
    rows[0].extend(
        results
            .iter()
            .map(|results| format!("{}, {} image", results.system, results.condition.name())),
    );
    for name in ErrorCounts::TYPES {
        let mut cells = row([name.replace('_', " ")]);
        for results in results {
            cells.push(match &results.numbers {
                Some(Numbers::Errors { by_type, .. }) => {
                    let [significant, other] = by_type.get(name).copied().unwrap_or_default();
                    format!("{} / {}", thousands(significant), thousands(significant + other))
                }
                _ => "no verdict".to_owned(),
            });
        }
        rows.push(cells);
    }
    table(&rows)
}

fn two_decimals(estimate: &Estimate) -> String {
    interval(estimate, |number| format!("{number:.2}"))
}

fn stability(out: &mut String, results: &[Results]) {
    let mut rows =
        vec![row(["asked again", "kind", "items", "that vary", "same pairs, %", "mean spread"])];
    let mut worst = Vec::new();
    for results in results {
        let Some(stability) = &results.stability else { continue };
        rows.push(vec![
            format!("{}, {} image", results.system, results.condition.name()),
            results.kind.to_string(),
            thousands(stability.items),
            thousands(stability.varying),
            format!("{:.1}", stability.agreement * 100.0),
            format!("{:.3}", stability.mean_spread),
        ]);
        worst.extend(stability.unstable.iter().take(5).map(|item| {
            let values: Vec<String> = item.values.iter().map(f64::to_string).collect();
            format!(
                "  {} of {}: {} (mean {:.2}, spread {}, {} flips)",
                item.id,
                results.system,
                values.join(" "),
                item.mean,
                item.spread,
                item.flips
            )
        }));
    }
    if rows.len() > 1 {
        let _ = write!(out, "\n{}", table(&rows));
        for line in worst {
            let _ = writeln!(out, "{line}");
        }
    }
}

fn lists(out: &mut String, summary: &Summary) {
    let named = |name: &ItemName| {
        let mut text = format!("{} of {}", name.id, name.system);
        if name.condition != pefomed_data::ImageCondition::True {
            let _ = write!(text, ", {} image", name.condition.name());
        }
        if summary.prompts.len() > 1 {
            let _ = write!(text, ", {}", name.kind);
        }
        if summary.repeats > 1 {
            let _ = write!(text, ", repeat {}", name.repeat);
        }
        text
    };
    let unread: Vec<String> = summary
        .unparsable
        .iter()
        .map(|unread| format!("{}: {}", named(&unread.name), unread.reason))
        .collect();
    list(out, "Could not be read, asked twice, in no number above", &unread);
    let cannot: Vec<String> = summary.cannot_judge.iter().map(named).collect();
    list(out, "The judge said that it cannot judge, in no number above", &cannot);
    let failed: Vec<String> = summary
        .failed
        .iter()
        .map(|failed| format!("{}: {}", named(&failed.name), failed.problem))
        .collect();
    list(out, "No reply", &failed);
    if summary.not_asked > 0 {
        let _ = writeln!(out, "\nNot asked ({})", thousands(summary.not_asked));
    }
    let without: Vec<String> = summary
        .without_reference
        .iter()
        .map(|(system, _, id)| format!("{id} of {system}"))
        .collect();
    list(out, "No reference to judge by, not asked", &without);
    if summary.other_task > 0 {
        let _ = writeln!(
            out,
            "\nOf a task that fits none of the kinds ({})",
            thousands(summary.other_task)
        );
    }
}

fn list(out: &mut String, what: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{what} ({}):", thousands(lines.len()));
    for line in lines.iter().take(SHOWN) {
        let _ = writeln!(out, "  {line}");
    }
    if lines.len() > SHOWN {
        let _ = writeln!(out, "  and {} more: all of them with --json", lines.len() - SHOWN);
    }
}
