//! Where METEOR's word lists are: in its archive, `meteor-1.5.jar`, and the paraphrase table beside it.
//!
//! None of it is shipped here: the lists come from WordNet and from parallel corpora, under licences
//! of their own. `pip install pycocoevalcap==1.2` brings both.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use zip::ZipArchive;

use crate::EvalError;

const JAR: &str = "meteor-1.5.jar";
const PARAPHRASES: [&str; 2] = ["data/paraphrase-en.gz", "paraphrase-en.gz"];
/// No list of METEOR's is a fifth as long; an archive that claims more is not METEOR's.
const LONGEST_LIST: u64 = 64 << 20;

/// An archive or folder with METEOR's word lists.
pub(super) struct Source {
    root: PathBuf,
    archive: Option<ZipArchive<BufReader<File>>>,
    paraphrases: PathBuf,
}

impl Source {
    /// Opens the archive, the folder that holds it, or a folder it was unpacked to.
    pub(super) fn open(path: &Path) -> Result<Self, EvalError> {
        let refuse = |problem: String| EvalError::MeteorData { path: path.to_owned(), problem };
        let (jar, folder) = if path.is_dir() {
            (Some(path.join(JAR)).filter(|jar| jar.is_file()), path.to_owned())
        } else {
            let folder = path.parent().map_or_else(PathBuf::new, Path::to_owned);
            (Some(path.to_owned()), folder)
        };
        let archive = match &jar {
            None => None,
            Some(jar) => {
                let file = File::open(jar).map_err(|error| refuse(error.to_string()))?;
                let archive = ZipArchive::new(BufReader::new(file));
                Some(archive.map_err(|error| refuse(format!("not an archive: {error}")))?)
            }
        };
        let paraphrases =
            PARAPHRASES.iter().map(|name| folder.join(name)).find(|path| path.is_file());
        let Some(paraphrases) = paraphrases else {
            return Err(refuse(format!(
                "there is no `{}` in `{}`",
                PARAPHRASES[0],
                folder.display()
            )));
        };
        Ok(Self { root: path.to_owned(), archive, paraphrases })
    }

    /// A word list as text, such as `synonym/english.synsets`.
    pub(super) fn list(&mut self, name: &str) -> Result<String, EvalError> {
        let refuse = |problem: String| EvalError::MeteorData { path: self.root.clone(), problem };
        let mut bytes = Vec::new();
        match &mut self.archive {
            Some(archive) => {
                let entry = archive
                    .by_name(name)
                    .map_err(|error| refuse(format!("its `{name}` cannot be read: {error}")))?;
                entry.take(LONGEST_LIST).read_to_end(&mut bytes)
            }
            None => File::open(self.root.join(name))
                .and_then(|file| file.take(LONGEST_LIST).read_to_end(&mut bytes)),
        }
        .map_err(|error| refuse(format!("its `{name}` cannot be read: {error}")))?;
        String::from_utf8(bytes).map_err(|_| refuse(format!("its `{name}` is not UTF-8")))
    }

    /// Goes through the paraphrase table: (phrase, paraphrase), line after line.
    pub(super) fn paraphrases(&self, mut give: impl FnMut(&str, &str)) -> Result<(), EvalError> {
        let refuse =
            |problem: String| EvalError::MeteorData { path: self.paraphrases.clone(), problem };
        let file = File::open(&self.paraphrases).map_err(|error| refuse(error.to_string()))?;
        let mut lines = BufReader::with_capacity(1 << 18, GzDecoder::new(file));
        let mut entry: [String; 3] = Default::default();
        let mut number = 0;
        loop {
            for line in &mut entry {
                line.clear();
                let read = lines
                    .read_line(line)
                    .map_err(|error| refuse(format!("damaged after line {number}: {error}")))?;
                if read == 0 {
                    return if number % 3 == 0 {
                        Ok(())
                    } else {
                        Err(refuse(format!("ends within an entry, after line {number}")))
                    };
                }
                number += 1;
            }
            if entry[0].trim().parse::<f64>().is_err() {
                return Err(refuse(format!("line {} is not a probability", number - 2)));
            }
            give(entry[1].trim_end(), entry[2].trim_end());
        }
    }
}
