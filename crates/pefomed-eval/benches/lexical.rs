//! How long the metrics of texts take on one core, step by step: lexical, clinical, a bootstrap over
//! their sums and a comparison of two systems.
//!
//! ```text
//! cargo bench -p pefomed-eval --bench lexical                        # 10,000 drawn pairs of reports
//! cargo bench -p pefomed-eval --bench lexical -- --write pairs.csv   # the same pairs for a peer
//! cargo bench -p pefomed-eval --bench lexical -- pairs.csv           # pairs of one's own
//! ```
//! `tools/bench_pycocoevalcap.py pairs.csv` times pycocoevalcap on the same file.
#![allow(clippy::print_stdout, missing_docs, reason = "a program that reports to a terminal")]

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use pefomed_data::prediction::read_results;
use pefomed_data::{Finish, ImageCondition, Prediction, Task};
use pefomed_eval::clinical::label;
use pefomed_eval::lexical::{Pair, Reader, bleu, cider, measure, meteor, rouge_l};
use pefomed_eval::{BootstrapOptions, CompareOptions, ScoreOptions, Scoring, compare};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

const WORDS: &str = "the heart is normal in size and contour lungs are clear without focal \
    consolidation pleural effusion or pneumothorax there no evidence of acute small right left upper \
    lower lobe opacity measuring 3.5 cm unchanged compared to prior examination dated XXXX bony \
    abnormality degenerative changes thoracic spine mild cardiomegaly mediastinal silhouette within \
    limits X-ray T2-weighted at 10:30 (arrow) Dr. Smith, stable; interval increase atelectasis";

/// Sentences that no radiologist wrote; candidates share about half of them with their references.
fn draw(count: usize) -> Vec<(String, String)> {
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut below = move |n: usize| rng.next_u32() as usize % n;
    let mut pairs = Vec::new();
    for _ in 0..count {
        let (mut candidate, mut reference) = (String::new(), String::new());
        for _ in 0..2 + below(4) {
            let length = 6 + below(9);
            let mut sentence = String::new();
            for word in 0..length {
                let mark = if word + 1 == length { ". " } else { " " };
                let _ = write!(sentence, "{}{mark}", words[below(words.len())]);
            }
            match below(4) {
                0 => candidate += &sentence,
                1 => reference += &sentence,
                _ => {
                    candidate += &sentence;
                    reference += &sentence;
                }
            }
        }
        pairs.push((candidate, reference + "Clear lungs."));
    }
    pairs
}

fn predictions(pairs: &[(String, String)]) -> Vec<Prediction> {
    let line = |(at, (candidate, reference)): (usize, &(String, String))| Prediction {
        id: at.to_string(),
        image: None,
        // Three reports a patient.
        group: (at / 3).to_string(),
        task: Task::Report,
        question: String::new(),
        prompt: String::new(),
        prediction: candidate.clone(),
        reference: reference.clone(),
        other_references: Vec::new(),
        labels: std::collections::BTreeMap::default(),
        tokens: 0,
        finish: Finish::Stop,
        condition: ImageCondition::True,
    };
    pairs.iter().enumerate().map(line).collect()
}

/// Seconds of processor that the program has used, where the system tells (Linux); it does not count
/// the time that other programs had.
fn processor() -> Option<f64> {
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    let nanoseconds = tasks.filter_map(|task| {
        let spent = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        spent.split_whitespace().next()?.parse::<f64>().ok()
    });
    Some(nanoseconds.sum::<f64>() / 1e9)
}

fn time<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let (begin, before) = (Instant::now(), processor());
    let made = work();
    said(what, begin, before);
    made
}

fn said(what: &str, begin: Instant, before: Option<f64>) {
    let wall = begin.elapsed().as_secs_f64();
    match before.zip(processor()) {
        Some((before, after)) => {
            println!("{what:<40} {wall:>8.3} s, of processor {:>8.3} s", after - before);
        }
        None => println!("{what:<40} {wall:>8.3} s"),
    }
}

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let pairs = match &arguments[..] {
        [] => draw(10_000),
        [write, path] if write == "--write" => {
            let mut text = String::from("reference,prediction\n");
            for (candidate, reference) in draw(10_000) {
                let _ = writeln!(text, "\"{reference}\",\"{candidate}\"");
            }
            std::fs::write(path, text).unwrap();
            return;
        }
        [path] => read_results(Path::new(path), None)
            .unwrap()
            .into_iter()
            .map(|line| (line.prediction, line.reference))
            .collect(),
        _ => panic!("name one file, or --write and one file"),
    };
    let characters: usize = pairs.iter().map(|(a, b)| a.len() + b.len()).sum();
    println!("{} pairs, {characters} characters, one thread", pairs.len());
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().unwrap();

    let (begin, before) = (Instant::now(), processor());
    let mut reader = Reader::new();
    let tokenized: Vec<Pair> =
        time("tokens", || pairs.iter().map(|(a, b)| reader.pair(a, b)).collect());
    time("BLEU, ROUGE-L, CIDEr, METEOR*", || measure(&reader, &tokenized, None).unwrap());
    said("all", begin, before);
    println!("of which, each with n-grams of its own:");
    time("  BLEU", || bleu(&tokenized));
    time("  ROUGE-L", || {
        tokenized.iter().map(|pair| rouge_l(&pair.candidate, &pair.references)).sum::<f64>()
    });
    time("  CIDEr", || cider(&tokenized));
    time("  METEOR*", || meteor(&reader, &tokenized, None).unwrap());
    println!("* exact and stem only");
    let clinical =
        || pairs.iter().map(|(a, b)| label(a).mentioned().count() + label(b).mentioned().count());
    time("clinical labels of candidates and references", || clinical().sum::<usize>());

    let lines = predictions(&pairs[..pairs.len().min(3_000)]);
    let options = ScoreOptions {
        bootstrap: BootstrapOptions { resamples: 10_000, ..BootstrapOptions::default() },
        ..ScoreOptions::default()
    };
    let scoring = time("3,000 items scored", || Scoring::new(&lines, &options).unwrap());
    time("10,000 resamples of all their metrics", || scoring.metrics());
    // The second system says what the first says of the next item.
    let mut others = lines.clone();
    let said: Vec<String> = lines.iter().map(|line| line.prediction.clone()).collect();
    for (other, said) in others.iter_mut().zip(said.into_iter().cycle().skip(1)) {
        other.prediction = said;
    }
    let few = |count: usize| CompareOptions {
        bootstrap: BootstrapOptions { resamples: count, ..BootstrapOptions::default() },
        permutations: count,
        clinical: Some(false),
        ..CompareOptions::default()
    };
    time("two systems on 3,000 items, 2 resamples", || compare(&lines, &others, &few(2)).unwrap());
    let many = few(10_000);
    time("  10,000 resamples and swaps, lexical", || compare(&lines, &others, &many).unwrap());
    let clinical = CompareOptions { clinical: None, ..many.clone() };
    time("  the same with clinical", || compare(&lines, &others, &clinical).unwrap());
}
