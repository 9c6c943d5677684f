//! Tokens and lexical scores against pycocoevalcap 1.2, which `tools/goldens/lexical.py` asked.

mod common;

use std::path::{Path, PathBuf};

use pefomed_eval::EvalError;
use pefomed_eval::lexical::{
    BleuStatistics, MeteorStatistics, Pair, Reader, Tokenizer, bleu, cider, measure, meteor,
    rouge_l,
};
use proptest::prelude::*;
use serde_json::Value;

fn fixture(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap()
}

#[test]
fn tokens_are_those_of_the_reference() {
    let rows = fixture("lexical_pairs.json");
    let rows = rows.as_array().unwrap();
    assert!(rows.len() >= 500, "{} pairs", rows.len());
    let mut tokenizer = Tokenizer::new();
    let mut wrong = Vec::new();
    for row in rows {
        for side in ["candidate", "reference"] {
            let found = tokenizer.tokens(text(row, side)).join(" ");
            let expected = text(row, &format!("{side}_tokens"));
            if found != expected {
                wrong.push(format!("{:?}\n  found    {found}\n  expected {expected}", row[side]));
            }
        }
    }
    assert!(wrong.is_empty(), "{} texts\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn lines_are_those_that_the_reference_prints() {
    let golden = fixture("lexical_lines.json");
    let found = Tokenizer::new().lines(text(&golden, "text"));
    let expected = golden["tokens"].as_array().unwrap();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.join(" "), expected.as_str().unwrap());
    }
}

fn pairs(reader: &mut Reader) -> Vec<Pair> {
    let rows = fixture("lexical_pairs.json");
    let rows = rows.as_array().unwrap();
    rows.iter().map(|row| reader.pair(text(row, "candidate"), text(row, "reference"))).collect()
}

/// The items that `lexical_scores_3.json` scores, with three references each.
fn with_three_references(reader: &mut Reader) -> Vec<Pair> {
    let all = pairs(reader);
    let several = |at: usize| Pair {
        candidate: all[at].candidate.clone(),
        references: (at..at + 3).flat_map(|at| all[at].references.clone()).collect(),
    };
    (60..120).map(several).collect()
}

fn compare(metric: &str, golden: &Value, items: &[f64], all: f64, tolerance: f64) {
    let expected = golden[metric]["items"].as_array().unwrap();
    assert_eq!(items.len(), expected.len(), "{metric}");
    let wrong: Vec<String> = items
        .iter()
        .zip(expected)
        .enumerate()
        .map(|(at, (found, expected))| (at, *found, expected.as_f64().unwrap()))
        .filter(|(_, found, expected)| (found - expected).abs() > tolerance)
        .map(|(at, found, expected)| format!("item {at}: {found}, expected {expected}"))
        .collect();
    assert!(
        wrong.is_empty(),
        "{metric}, {} items: {:#?}",
        wrong.len(),
        &wrong[..wrong.len().min(9)]
    );
    let expected = golden[metric]["all"].as_f64().unwrap();
    assert!((all - expected).abs() <= tolerance, "{metric}: {all}, expected {expected}");
}

fn mean(items: &[f64]) -> f64 {
    items.iter().sum::<f64>() / items.len() as f64
}

fn compare_all(pairs: &[Pair], golden: &Value) {
    let items = bleu(pairs);
    let mut all = BleuStatistics::default();
    for item in &items {
        all += *item;
    }
    for order in 0..4 {
        let metric = format!("bleu_{}", order + 1);
        let items: Vec<f64> = items.iter().map(|item| item.scores()[order]).collect();
        compare(&metric, golden, &items, all.scores()[order], 1e-9);
    }
    let items: Vec<f64> =
        pairs.iter().map(|pair| rouge_l(&pair.candidate, &pair.references)).collect();
    compare("rouge_l", golden, &items, mean(&items), 1e-9);
    let items = cider(pairs);
    compare("cider", golden, &items, mean(&items), 1e-9);
}

fn compare_meteor(
    reader: &Reader,
    pairs: &[Pair],
    golden: &Value,
    metric: &str,
    data: Option<&Path>,
) {
    let items = meteor(reader, pairs, data).unwrap();
    let mut all = MeteorStatistics::default();
    for item in &items {
        all += *item;
    }
    let scores: Vec<f64> = items.iter().map(MeteorStatistics::score).collect();
    compare(metric, golden, &scores, all.score(), 1e-6);
}

#[test]
fn scores_are_those_of_pycocoevalcap() {
    let mut reader = Reader::new();
    compare_all(&pairs(&mut reader), &fixture("lexical_scores.json"));
    let mut reader = Reader::new();
    compare_all(&with_three_references(&mut reader), &fixture("lexical_scores_3.json"));
}

/// METEOR's data is not shipped: the folder with `meteor-1.5.jar` and `data/paraphrase-en.gz` is
/// looked for in `PEFOMED_METEOR`, then beside the checkout.
fn meteor_data() -> Option<PathBuf> {
    match std::env::var_os("PEFOMED_METEOR") {
        Some(folder) => Some(PathBuf::from(folder)),
        None => common::shared("meteor"),
    }
}

fn invented() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/meteor")
}

#[test]
fn meteor_is_that_of_the_archive() {
    for name in ["lexical_scores.json", "lexical_scores_3.json"] {
        let golden = fixture(name);
        let mut reader = Reader::new();
        let pairs = if name.contains('3') {
            with_three_references(&mut reader)
        } else {
            pairs(&mut reader)
        };
        compare_meteor(&reader, &pairs, &golden, "meteor_exact_and_stem", None);
        compare_meteor(&reader, &pairs, &golden, "meteor_invented", Some(&invented()));
        if let Some(data) = meteor_data() {
            compare_meteor(&reader, &pairs, &golden, "meteor", Some(&data));
        }
    }
}

#[test]
fn meteor_data_that_is_missing_or_broken_is_named() {
    let mut reader = Reader::new();
    let pairs = [reader.pair("a mass", "a tumor")];
    let folder = tempfile::tempdir().unwrap();
    let fails = |path: &Path, said: &str| {
        let error = meteor(&reader, &pairs, Some(path)).unwrap_err();
        assert!(matches!(error, EvalError::MeteorData { .. }), "{error}");
        let error = error.to_string();
        assert!(error.contains(said) && error.contains("pycocoevalcap"), "{error}");
    };
    fails(&folder.path().join("nowhere.jar"), "No such file");
    fails(folder.path(), "there is no `data/paraphrase-en.gz`");
    let jar = folder.path().join("meteor-1.5.jar");
    std::fs::write(&jar, "no archive").unwrap();
    fails(folder.path(), "not an archive");
    fails(&jar, "not an archive");
    std::fs::remove_file(&jar).unwrap();
    let table = folder.path().join("paraphrase-en.gz");
    std::fs::copy(invented().join("paraphrase-en.gz"), &table).unwrap();
    fails(folder.path(), "`synonym/english.synsets` cannot be read");
    std::fs::create_dir(folder.path().join("synonym")).unwrap();
    for list in ["english.synsets", "english.exceptions"] {
        let list = format!("synonym/{list}");
        std::fs::copy(invented().join(&list), folder.path().join(&list)).unwrap();
    }
    let bytes = std::fs::read(&table).unwrap();
    std::fs::write(&table, &bytes[..bytes.len() / 2]).unwrap();
    fails(folder.path(), "damaged after line");
    std::fs::write(&table, "not compressed").unwrap();
    fails(folder.path(), "damaged after line 0");
}

#[test]
fn a_text_against_itself_has_all_and_against_another_nothing() {
    let mut reader = Reader::new();
    let same = "Stable 3-mm nodule in the right lower lobe, no effusion.";
    let pairs = [reader.pair(same, same), reader.pair("Heart enlarged.", "clear lungs")];
    let items = measure(&reader, &pairs, None).unwrap();
    let [one, two, three, four, rouge, meteor, cider] = items[0].scores();
    for score in [one, two, three, four, rouge, meteor] {
        assert!((score - 1.0).abs() < 1e-9, "{:?}", items[0].scores());
    }
    assert!((cider - 10.0).abs() < 1e-9, "{cider}");
    for score in items[1].scores() {
        assert!(score < 1e-6, "{:?}", items[1].scores());
    }
    // A text without a word gets no score, whatever stands against it.
    let pairs = [reader.pair("", "clear"), reader.pair("clear", "..."), reader.pair("clear", "x")];
    for item in measure(&reader, &pairs, None).unwrap() {
        assert!(item.scores().iter().all(|score| score.abs() < 1e-6), "{:?}", item.scores());
    }
}

#[test]
fn a_model_that_repeats_one_word_is_scored_in_time() {
    let mut reader = Reader::new();
    let pairs = [reader.pair(&"the ".repeat(3_000), &"the lungs are the ".repeat(60))];
    let [item] = measure(&reader, &pairs, None).unwrap()[..] else { panic!() };
    // 120 of 3,000 words are right.
    assert!((item.bleu.scores()[0] - 0.04).abs() < 1e-9);
    assert!(item.meteor.score() > 0.0 && item.meteor.score() < 0.2, "{}", item.meteor.score());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_text_is_tokenized_and_scored(a in "\\PC{0,40}", b in "[ -~\u{80}-\u{3000}\n]{0,40}") {
        let mut tokenizer = Tokenizer::new();
        for text in [&a, &b] {
            for token in tokenizer.tokens(text) {
                prop_assert!(!token.is_empty() && !token.contains([' ', '\n']), "{token:?}");
            }
        }
        let mut reader = Reader::new();
        let pairs = [reader.pair(&a, &b), reader.pair("no effusion", "no pleural effusion")];
        for item in measure(&reader, &pairs, None).unwrap() {
            let scores = item.scores();
            prop_assert!(scores[..6].iter().all(|x| (0.0..=1.0 + 1e-9).contains(x)), "{scores:?}");
            prop_assert!((0.0..=10.0 + 1e-9).contains(&scores[6]), "{scores:?}");
        }
    }

    #[test]
    fn the_order_of_the_items_changes_no_score(
        words in prop::collection::vec("(no |the |left |lung |mass |clear |stage D. |etc. ){1,9}", 6)
    ) {
        let scored = |order: [usize; 3]| {
            let mut reader = Reader::new();
            let pairs = order.map(|at| reader.pair(&words[2 * at], &words[2 * at + 1]));
            let items = measure(&reader, &pairs, None).unwrap();
            order.iter().zip(items).map(|(at, item)| (*at, item.scores())).collect::<Vec<_>>()
        };
        let (there, mut back) = (scored([0, 1, 2]), scored([2, 0, 1]));
        back.sort_by_key(|(at, _)| *at);
        for ((_, a), (_, b)) in there.iter().zip(&back) {
            prop_assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12), "{a:?} {b:?}");
        }
    }
}
