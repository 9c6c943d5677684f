//! What a system is called: one rule for every command, so that the grades of metrics, judges and
//! raters are about the same systems.

use std::path::{Path, PathBuf};

use pefomed_data::ImageCondition;

/// The name before `=`, if there is one, and the path. A path that exists is never cut.
pub(crate) fn named(text: &str) -> (Option<String>, PathBuf) {
    let has_name = |(name, _): &(&str, &str)| {
        !name.trim().is_empty() && !name.contains(['/', '\\']) && !Path::new(text).exists()
    };
    match text.split_once('=').filter(has_name) {
        Some((name, path)) => (Some(name.trim().to_owned()), PathBuf::from(path)),
        None => (None, PathBuf::from(text)),
    }
}

/// [`named`], with the name of a nameless system: that of the run folder, for the folder and for the
/// prediction files in it, else the file's without ending and control.
pub(crate) fn system(text: &str) -> (String, PathBuf) {
    let (name, path) = named(text);
    (name.unwrap_or_else(|| name_of(&path)), path)
}

/// See [`system`].
pub(crate) fn name_of(path: &Path) -> String {
    let last = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    if path.is_dir() {
        let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        return last(&whole).unwrap_or_else(|| "predictions".to_owned());
    }
    let stem =
        path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let folder = path.parent().and_then(last).filter(|_| stem.starts_with("predictions-"));
    folder.unwrap_or_else(|| {
        let control = ImageCondition::ALL
            .iter()
            .find_map(|condition| stem.strip_suffix(&format!(".{}", condition.name())));
        control.unwrap_or(&stem).to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_is_called_alike_whoever_asks() {
        let of = |text: &str| {
            let (name, path) = system(text);
            (name, path.display().to_string())
        };
        let pair = |name: &str, path: &str| (name.to_owned(), path.to_owned());
        assert_eq!(of("runs/a/predictions-test.jsonl"), pair("a", "runs/a/predictions-test.jsonl"));
        assert_eq!(of("runs/a/predictions-test.blank.jsonl").0, "a");
        assert_eq!(of("predictions-test.jsonl").0, "predictions-test");
        assert_eq!(of("runs/a/other.csv").0, "other");
        assert_eq!(of("other.shuffled.jsonl").0, "other");
        assert_eq!(of("both stages=runs/x=y.jsonl"), pair("both stages", "runs/x=y.jsonl"));
        assert_eq!(of("runs/lr=1e-3/p.jsonl"), pair("p", "runs/lr=1e-3/p.jsonl"));
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("tuned");
        std::fs::create_dir(&run).unwrap();
        assert_eq!(of(&run.join("../tuned").display().to_string()).0, "tuned");
    }
}
