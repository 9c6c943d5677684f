//! Blind ratings by people: what is rated, by whom, in which order, and where the answers are kept.
//!
//! A metric can be computed again; an hour of a radiologist cannot. So this module is careful in
//! four ways:
//!
//! - **Blind.** A rater is shown candidates ([`Items`]) under running numbers. Which system wrote
//!   one is in the store and in the export, nowhere else. Equal texts of two systems about one item
//!   are one candidate: they are graded once, and the grade counts for both.
//! - **Planned.** Who grades what, and in which order, follows from a seed ([`Plan`]): a core that
//!   everybody grades, so that agreement can be computed, and every other item by as many raters as
//!   asked for. A rater who grades an item grades it for all systems, so that systems are compared
//!   within raters and a severe rater is severe to all of them.
//! - **Durable.** An answer is on the disk before it is acknowledged ([`Store`]), and nothing is ever
//!   changed or removed: a second thought is another row, and so is an undo.
//! - **Open.** Everything comes out again as CSV, JSON lines, or [grades](crate::Grade)
//!   ([`mod@export`]).
//!
//! No server is needed for any of it; the pages are in `pefomed-serve`.

mod answer;
mod checks;
mod error;
pub mod export;
mod items;
mod ledger;
pub mod levels;
mod plan;
mod random;
mod schema;
mod store;
mod study;

pub use answer::{ErrorKind, ErrorMarks, Given, MAX_COMMENT, MarkCount, Rating, Undone};
pub use error::RatingError;
pub use items::{Candidate, Case, Items, System};
pub use levels::RatingKind;
pub use plan::{Plan, PlanOptions, PlanSummary, RaterLoad, plan};
pub use store::Store;
pub use study::{Rater, Settings, StudyRequest};
