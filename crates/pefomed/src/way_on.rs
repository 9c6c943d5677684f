//! A command that was stopped tells the command that goes on with it.

use std::path::Path;

use pefomed_train::TrainError;

/// Adds `to go on: pefomed COMMAND RECIPE CHANGES… --out OUT OPTIONS --resume` to the error of a
/// training that was stopped.
pub(crate) fn told(
    error: anyhow::Error,
    command: &str,
    recipe: &Path,
    changes: &[String],
    out: &Path,
    options: &[String],
) -> anyhow::Error {
    if !matches!(error.downcast_ref(), Some(TrainError::Stopped { .. })) {
        return error;
    }
    let mut words = vec![format!("pefomed {command}"), quoted(&recipe.to_string_lossy())];
    words.extend(changes.iter().map(|change| quoted(change)));
    words.push(format!("--out {}", quoted(&out.to_string_lossy())));
    words.extend(options.iter().map(|option| quoted(option)));
    words.push("--resume".to_owned());
    let stopped = error.to_string();
    error.context(format!("{stopped}\nto go on: {}", words.join(" ")))
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_a_shell() {
        assert_eq!(quoted("runs/a-1"), "runs/a-1");
        assert_eq!(quoted("stage.vqa.epochs=3"), "stage.vqa.epochs=3");
        assert_eq!(quoted("my runs"), "'my runs'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }

    #[test]
    fn only_what_was_stopped_goes_on() {
        let told = |error: anyhow::Error| {
            let options = ["--seeds".to_owned(), "1,2".to_owned()];
            let (recipe, out) = (Path::new("r.toml"), Path::new("my out"));
            told(error, "ablate", recipe, &["seed=3".to_owned()], out, &options).to_string()
        };
        let stopped = TrainError::Stopped { stage: "vqa".to_owned(), step: 3 };
        let way = "to go on: pefomed ablate r.toml seed=3 --out 'my out' --seeds 1,2 --resume";
        assert!(told(stopped.into()).ends_with(way));
        assert_eq!(told(anyhow::anyhow!("no space left")), "no space left");
    }
}
