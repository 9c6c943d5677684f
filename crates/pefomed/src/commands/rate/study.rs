//! The options that say what is rated, and by whom.

use std::path::PathBuf;

use clap::Args;
use pefomed_eval::rating::{Items, RatingKind, StudyRequest, System};

/// What is rated, and by whom.
#[derive(Args, Debug)]
pub(super) struct Study {
    /// Prediction files, one for each system; its name in exports is NAME, or that of the file. An
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
        let systems: Vec<System> = self.files.iter().map(|word| system(word)).collect();
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

/// `NAME=FILE`, or a file whose name, without its ending, is the system's.
fn system(word: &str) -> System {
    match word.split_once('=') {
        Some((name, path)) if !name.is_empty() && !name.contains(['/', '\\']) => {
            System { name: name.to_owned(), path: PathBuf::from(path) }
        }
        _ => {
            let path = PathBuf::from(word);
            let name = path.file_stem().map_or(word.into(), |stem| stem.to_string_lossy());
            System { name: name.into_owned(), path }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_are_named_by_the_user_or_by_their_file() {
        let of = |word: &str| {
            let System { name, path } = system(word);
            (name, path.display().to_string())
        };
        assert_eq!(of("tuned=runs/a.jsonl"), ("tuned".to_owned(), "runs/a.jsonl".to_owned()));
        let plain = ("predictions-test".to_owned(), "a/predictions-test.jsonl".to_owned());
        assert_eq!(of("a/predictions-test.jsonl"), plain);
        assert_eq!(of("runs/lr=1e-3/p.jsonl"), ("p".to_owned(), "runs/lr=1e-3/p.jsonl".to_owned()));
    }
}
