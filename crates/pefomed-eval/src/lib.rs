//! Metrics with intervals, controls and the report.
//!
//! Everything here starts from prediction lines ([`pefomed_data::Prediction`]), whoever wrote
//! them: no model and no tensor framework is needed to score, compare or report.
//!
//! ```
//! use pefomed_data::{Finish, ImageCondition, Prediction, Task};
//! use pefomed_eval::{ScoreOptions, score};
//!
//! let line = |id: &str, group: &str, prediction: &str, reference: &str| Prediction {
//!     id: id.to_owned(),
//!     image: Some(format!("{group}.png")),
//!     group: group.to_owned(),
//!     task: Task::Vqa,
//!     question: "Which organ?".to_owned(),
//!     prompt: String::new(),
//!     prediction: prediction.to_owned(),
//!     reference: reference.to_owned(),
//!     other_references: Vec::new(),
//!     labels: Default::default(),
//!     tokens: 1,
//!     finish: Finish::Stop,
//!     condition: ImageCondition::True,
//! };
//! let lines = [
//!     line("1", "a", "The liver.", "liver"),
//!     line("2", "a", "no", "yes"),
//!     line("3", "b", "chest x-ray", "X ray"),
//!     line("4", "b", "two", "2"),
//! ];
//! let metrics = score(&lines, &ScoreOptions::default())?;
//! let scores = metrics.tasks[0].conditions[0].overall;
//! assert_eq!((scores.n, scores.groups, scores.exact_match.value), (4, 2, 0.5));
//! # Ok::<(), pefomed_eval::EvalError>(())
//! ```

mod ablation;
pub mod agreement;
mod baseline;
mod bootstrap;
pub mod clinical;
pub mod compare;
pub mod definitions;
mod error;
pub mod external;
pub mod grade;
mod item;
pub mod judge;
pub mod lexical;
pub mod metrics;
mod number;
mod paired;
#[cfg(feature = "rating")]
pub mod rating;
pub mod report;
pub mod score;
mod text;
mod versioned;
pub mod vqa;

pub use ablation::{
    Ablation, AblationCell, AblationColumn, AblationRow, AblationTable, AblationVariant,
};
pub use agreement::{AgreeOptions, Agreement, agree};
pub use baseline::TrainAnswer;
pub use bootstrap::{BootstrapOptions, Estimate};
pub use compare::{CompareOptions, Comparison, compare};
pub use error::{EvalError, ItemMismatch};
pub use external::{ExternalError, ExternalScorer};
pub use grade::{Grade, GraderKind, Scale};
pub use metrics::{Leakage, Metrics};
pub use report::{write_agreement_report, write_report};
pub use score::{ScoreOptions, Scoring, score};
