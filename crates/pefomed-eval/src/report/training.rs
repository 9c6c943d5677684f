//! How the run was trained: stages, loss curves, parameters.

use std::fmt::Write as _;

use super::charts::loss_curve;
use super::events::Stage;
use super::html::{Page, escape, head, row};
use super::run::{Info, Run};
use crate::number::trimmed;
use pefomed_data::readable::thousands;

/// Appends stages with loss curves, and the parameter table.
pub(super) fn section(page: &mut Page, run: &Run) {
    let stages = run.log.as_ref().map_or(&[][..], |log| log.stages.as_slice());
    let counted = run
        .info
        .as_ref()
        .is_some_and(|info| info.has("trainable_parameters") || info.has("frozen_parameters"));
    if stages.is_empty() {
        page.left_out.push(
            "Loss curves: the folder has no <code>events.jsonl</code>, or it has no step.".into(),
        );
    }
    if !counted {
        page.left_out
            .push("Parameters: there is no <code>run.json</code> that counts them.".into());
    }
    if stages.is_empty() && !counted {
        return;
    }
    page.push("<section><h2>Training</h2>");
    if let Some(info) = run.info.as_ref().filter(|_| counted) {
        parameters(page, info);
    }
    if !stages.is_empty() {
        stage_table(page, stages);
        curves(page, stages);
    }
    let unreadable = run.log.as_ref().map_or(0, |log| log.unreadable);
    if unreadable > 0 {
        page.paragraph(&format!(
            "{unreadable} lines of <code>events.jsonl</code> could not be read and are left out."
        ));
    }
    page.push("</section>");
}

fn parameters(page: &mut Page, info: &Info) {
    let trained = info.counts("trainable_parameters");
    let frozen = info.counts("frozen_parameters");
    let sum =
        |counts: &[(&str, u64)]| counts.iter().fold(0_u64, |sum, (_, n)| sum.saturating_add(*n));
    let (trained_sum, frozen_sum) = (sum(&trained), sum(&frozen));
    let total = trained_sum.saturating_add(frozen_sum);
    let mut body = String::new();
    let rows =
        trained.iter().map(|one| (one, "trained")).chain(frozen.iter().map(|one| (one, "frozen")));
    for ((name, count), state) in rows {
        body.push_str(&row(
            &escape(name),
            &[state.to_owned(), thousands(*count), share(*count, total)],
        ));
    }
    let _ = write!(
        body,
        "<tr class=\"sum\"><th scope=\"row\">Trained in all</th><td></td><td>{}</td><td>{}</td></tr>",
        thousands(trained_sum),
        share(trained_sum, total)
    );
    let columns = ["", "state", "Parameters", "% of all"];
    page.table("narrow", "Parameters by component.", &head(&columns), &body);
}

fn share(count: u64, total: u64) -> String {
    if total == 0 {
        "–".to_owned()
    } else {
        format!("{:.2}", count as f64 / total as f64 * 100.0)
    }
}

fn stage_table(page: &mut Page, stages: &[Stage]) {
    let mut body = String::new();
    for stage in stages {
        let losses = stage.losses();
        let average = |part: &[(f64, f64)]| {
            (!part.is_empty())
                .then(|| part.iter().map(|point| point.1).sum::<f64>() / part.len() as f64)
        };
        let tenth = losses.len().div_ceil(10);
        let (first, last) = (average(&losses[..tenth]), average(&losses[losses.len() - tenth..]));
        let done = stage.log.len() as u64;
        let steps = match stage.steps {
            Some(planned) if planned != done => {
                format!("{} of {}", thousands(done), thousands(planned))
            }
            _ => thousands(done),
        };
        let questions: u64 = stage.log.values().map(|step| step.questions).sum();
        let cells = [
            Some(steps),
            stage.examples.map(thousands),
            (questions > 0).then(|| thousands(questions)),
            stage.trainable.map(thousands),
            first.map(|loss| format!("{loss:.3}")),
            last.map(|loss| format!("{loss:.3}")),
            stage.tokens_per_second().map(|rate| thousands(rate.round() as u64)),
            stage.seconds.map(duration),
            stage.peak_memory_bytes.map(bytes),
        ];
        let cells: Vec<String> =
            cells.into_iter().map(|cell| cell.unwrap_or_else(|| "–".to_owned())).collect();
        body.push_str(&row(&escape(&stage.name), &cells));
    }
    page.table(
        "scores dense",
        "Training stages. The losses are means over the first and the last tenth of the logged steps.",
        &head(&[
            "Stage", "Steps", "Examples", "Items seen", "Trainable", "First loss", "Last loss", "Tokens/s", "Time",
            "Peak memory",
        ]),
        &body,
    );
}

fn curves(page: &mut Page, stages: &[Stage]) {
    let mut content = String::from("<div class=\"curves\">");
    let mut drawn = 0;
    for stage in stages {
        if let Some(svg) = loss_curve(&stage.name, &stage.losses()) {
            let _ = write!(content, "<div><p>{}</p>{svg}</div>", escape(&stage.name));
            drawn += 1;
        }
    }
    content.push_str("</div>");
    if drawn > 0 {
        page.figure(
            "wide",
            &content,
            "Training loss (mean over the answer tokens of a step) by stage: each step faint, and the \
             centred moving average over a twentieth of the steps.",
        );
    }
}

/// `48 s`, `12 min 05 s`, `3 h 07 min`.
pub(super) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "–".to_owned();
    }
    if seconds < 10.0 {
        return format!("{} s", trimmed(seconds, 1));
    }
    let whole = seconds.round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, min, s) => format!("{min} min {s:02} s"),
        (h, min, _) => format!("{} h {min:02} min", thousands(h)),
    }
}

/// Bytes in powers of 1,024 with one decimal.
pub(super) fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return format!("{} {unit}", trimmed(value, 1));
        }
        value /= 1024.0;
    }
    format!("{} TiB", trimmed(value, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_read_well() {
        assert_eq!(duration(0.84), "0.8 s");
        assert_eq!(duration(59.6), "1 min 00 s");
        assert_eq!(duration(11_249.0), "3 h 07 min");
        assert_eq!(duration(f64::NAN), "–");
        assert_eq!(bytes(719_323_136), "686 MiB");
        assert_eq!(bytes(1_800_000_000), "1.7 GiB");
    }
}
