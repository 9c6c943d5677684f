//! Verdicts as grades, for whoever compares graders.

use pefomed_data::ImageCondition;

use super::kind::Kind;
use super::parse::Outcome;
use super::run::Judged;
use super::verdict::Verdict;
use crate::{Grade, GraderKind, Scale};

/// Grades of everything that was judged, in the order of the plan.
///
/// The grader is `grader`; counts of errors give two grades, of all errors under `grader (errors)`
/// and of the significant ones under `grader (significant errors)`. A verdict that says it cannot
/// judge, and a reply that could not be read, are grades without a value. Answers to a control image
/// belong to a system of their own: `name (blank image)`. A question without a reply has no grade.
pub fn grades(judged: &Judged, grader: &str) -> Vec<Grade> {
    judged.verdicts().flat_map(|verdict| of_verdict(verdict, grader)).collect()
}

fn of_verdict(verdict: &Verdict, grader: &str) -> Vec<Grade> {
    let system = match verdict.condition {
        ImageCondition::True => verdict.system.clone(),
        control => format!("{} ({} image)", verdict.system, control.name()),
    };
    let grade = |grader: String, scale: Scale, value: Option<f64>| Grade {
        system: system.clone(),
        id: verdict.id.clone(),
        group: verdict.group.clone(),
        grader,
        kind: GraderKind::Judge,
        scale,
        repeat: verdict.repeat,
        value,
    };
    let scale = verdict.kind.scale();
    if verdict.kind != Kind::Errors {
        return vec![grade(grader.to_owned(), scale, verdict.outcome.value())];
    }
    let significant = match &verdict.outcome {
        Outcome::Errors(counts) => Some(f64::from(counts.significant())),
        _ => None,
    };
    vec![
        grade(format!("{grader} (errors)"), scale, verdict.outcome.value()),
        grade(format!("{grader} (significant errors)"), scale, significant),
    ]
}
