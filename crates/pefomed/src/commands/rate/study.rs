//! The options that say what is rated, and by whom.

use clap::Args;
use pefomed_eval::rating::{Items, RatingKind, StudyRequest, System};

use crate::system::system;

/// What is rated, and by whom.
#[derive(Args, Debug)]
pub(super) struct Study {
    /// Prediction files, one for each system; its name in exports is NAME, or that of
    /// the run folder or file. An
    /// existing store knows its items: the files may then be left out.
    #[arg(value_name = "[NAME=]FILE")]
    files: Vec<String>,
    /// The name of a rater; give the option once for each.
    #[arg(long, value_name = "NAME")]
    rater: Vec<String>,
    /// The name of a stand-in for a rater, whose grades are kept apart as synthetic.
    #[arg(long, value_name = "NAME")]
    synthetic: Vec<String>,
    /// Raters of each item outside the core; all by default.
    #[arg(long, value_name = "N")]
    per_item: Option<usize>,
    /// Items that every rater grades, for their agreement; none by default.
    #[arg(long, value_name = "N")]
    core: Option<usize>,
    /// Decides who gets which items, and their order; 1 by default.
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Scale: correct (0 or 1) or likert (0 to 4). By default correct for questions, likert for
    /// captions and reports.
    #[arg(long, value_name = "KIND")]
    kind: Option<RatingKind>,
    /// Also count errors: six types, each significant or minor.
    #[arg(long)]
    error_marks: bool,
    /// Do not show the reference: raters judge by the image alone.
    #[arg(long)]
    hide_reference: bool,
}

impl Study {
    /// The items of the named files; none without a file.
    pub(super) fn items(&self) -> anyhow::Result<Option<Items>> {
        let systems: Vec<System> = self
            .files
            .iter()
            .map(|word| {
                let (name, path) = system(word);
                System { name, path }
            })
            .collect();
        if systems.is_empty() { Ok(None) } else { Ok(Some(Items::read(&systems)?)) }
    }

    /// What was asked for.
    pub(super) fn request(&self) -> StudyRequest {
        let mut raters: Vec<(String, bool)> =
            self.rater.iter().map(|name| (name.clone(), false)).collect();
        for name in &self.synthetic {
            match raters.iter_mut().find(|(known, _)| known == name) {
                Some((_, synthetic)) => *synthetic = true,
                None => raters.push((name.clone(), true)),
            }
        }
        StudyRequest {
            kind: self.kind,
            error_marks: self.error_marks.then_some(true),
            show_reference: self.hide_reference.then_some(false),
            seed: self.seed,
            per_item: self.per_item,
            core: self.core,
            raters,
        }
    }
}
