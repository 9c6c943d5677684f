//! Comparing two prediction sets on the same items.

mod common;

use common::{line, under, yes_no};
use pefomed_data::{ImageCondition, Prediction, Task};
use pefomed_eval::{CompareOptions, EvalError, ScoreOptions, compare, score};

#[test]
fn a_clear_difference_is_found_and_a_fake_one_is_not() {
    // B is right on one more question in each of 20 groups.
    let a = yes_no(20, 4, |_, question| question < 2);
    let b = yes_no(20, 4, |_, question| question < 3);
    let options = CompareOptions::default();
    let better = compare(&a, &b, &options).unwrap();
    let task = &better.tasks[0];
    assert_eq!((task.n, task.groups), (80, 20));
    assert_eq!((task.only_a_right, task.only_b_right), (0, 20));
    let exact = task.exact_match;
    assert_eq!((exact.a, exact.b, exact.difference.value), (0.5, 0.75, 0.25));
    // 2 of 2^20 sign patterns are as extreme: what is left is the resolution of 10,000 swaps.
    assert!((exact.p_value - 1.0 / 10_001.0).abs() < 1e-9, "{}", exact.p_value);

    // The same wins and losses, but balanced over groups.
    let c =
        yes_no(20, 4, |group, question| if group % 2 == 0 { question < 3 } else { question < 1 });
    let even = compare(&a, &c, &options).unwrap().tasks[0].exact_match;
    assert_eq!(even.difference.value, 0.0);
    assert_eq!(even.p_value, 1.0);
    assert!(even.difference.low.unwrap() < 0.0 && even.difference.high.unwrap() > 0.0);
}

#[test]
fn one_decisive_group_is_no_evidence_however_many_questions_it_has() {
    // 40 wins, all about one image: swapping within groups sees one observation.
    let a = yes_no(3, 40, |_, _| false);
    let b = yes_no(3, 40, |group, _| group == 0);
    let task = &compare(&a, &b, &CompareOptions::default()).unwrap().tasks[0];
    assert_eq!(task.only_b_right, 40);
    assert_eq!(task.exact_match.p_value, 1.0);
}

#[test]
fn p_values_of_equal_models_are_spread_evenly() {
    // Two models that each answer at random: about 5 % of p-values are below 0.05.
    let random = |seed: u64| {
        yes_no(30, 2, |group, question| {
            let mut x = seed
                ^ (group as u64 * 131 + question as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (x ^ (x >> 31)) & 1 == 0
        })
    };
    let options = CompareOptions { permutations: 400, ..Default::default() };
    let runs = 200;
    let low = (0..runs)
        .filter(|run| {
            let (a, b) = (random(run * 7919 + 1), random(run * 104_729 + 99_991));
            compare(&a, &b, &options).unwrap().tasks[0].exact_match.p_value < 0.05
        })
        .count();
    // Mean 10, standard deviation 3.1.
    assert!(low <= 20, "{low} of {runs}");
}

#[test]
fn items_are_paired_by_id_and_the_rest_is_listed() {
    let mut a = yes_no(4, 2, |_, _| true);
    let mut b = yes_no(5, 2, |_, _| true);
    b.reverse();
    a.push(line("void", "g0", "x", "", &[]));
    b.push(line("void", "g0", "y", "", &[]));
    a.push(line("only-a", "g0", "x", "x", &[]));
    let blank = under(&a[0], ImageCondition::Blank, "maybe");
    a.push(blank);
    let found = compare(&a, &b, &CompareOptions::default()).unwrap();
    assert_eq!(found.tasks[0].n, 8);
    assert_eq!(found.only_in_a, ["only-a"]);
    assert_eq!(found.only_in_b, ["4-0", "4-1"]);
    assert_eq!(found.unscored.len(), 1);
    assert_eq!(found, compare(&a, &b, &CompareOptions::default()).unwrap());
    let text = found.to_text();
    assert!(text.contains("left out: 2 items that only B has"), "{text}");
}

#[test]
fn sets_from_different_data_are_refused() {
    let a = [line("1", "g", "x", "left", &[])];
    let b = [line("1", "g", "x", "right", &[])];
    let error = compare(&a, &b, &CompareOptions::default()).unwrap_err();
    let EvalError::DifferentItem(mismatch) = &error else { panic!("{error}") };
    assert_eq!((mismatch.field, mismatch.in_b.as_str()), ("reference", "right"));
    assert!(error.to_string().contains("id `1`"), "{error}");
    let c = [line("2", "g", "x", "left", &[])];
    let error = compare(&a, &c, &CompareOptions::default()).unwrap_err();
    assert!(matches!(error, EvalError::NothingInCommon { in_a: 1, in_b: 1, .. }), "{error}");
    let twice = [a[0].clone(), a[0].clone()];
    assert!(matches!(
        compare(&twice, &a, &CompareOptions::default()),
        Err(EvalError::DuplicateId { .. })
    ));
    let never = CompareOptions { permutations: 0, ..Default::default() };
    assert!(matches!(compare(&a, &a, &never), Err(EvalError::Option { .. })));
}

/// Reports of which the second set has more right words and findings, group by group.
fn reports() -> (Vec<Prediction>, Vec<Prediction>) {
    // The side tells the reports apart, so that some words are rarer than others.
    let sides = |i: usize| if i % 4 < 2 { "left" } else { "right" };
    let effusion = |i: usize| format!("There is a small {} pleural effusion", sides(i));
    let write = |says: &dyn Fn(usize) -> Option<&'static str>| {
        let report = |i: usize| {
            let said = says(i).map_or("Clear.".to_owned(), |more| effusion(i) + more);
            let reference = effusion(i) + " with adjacent atelectasis.";
            let mut one = line(&format!("{i}"), &format!("g{}", i / 2), &said, &reference, &[]);
            one.task = Task::Report;
            one
        };
        (0..24).map(report).collect()
    };
    let a = write(&|i| (i % 3 == 0).then_some("."));
    let b = write(&|i| (i % 6 != 1).then_some(" with atelectasis."));
    (a, b)
}

#[test]
fn texts_are_compared_in_scores_that_are_no_means() {
    let (a, b) = reports();
    let found = compare(&a, &b, &CompareOptions::default()).unwrap();
    let task = &found.tasks[0];
    let names: Vec<&str> = task.others.iter().map(|other| other.name.as_str()).collect();
    let expected = [
        "BLEU-1",
        "BLEU-2",
        "BLEU-3",
        "BLEU-4",
        "ROUGE-L",
        "METEOR (exact and stem only)",
        "CIDEr",
        "F1-14 micro",
        "F1-14 macro",
        "F1-5 micro",
        "F1-5 macro",
    ];
    assert_eq!(names, expected);
    // Each side is what scoring it alone gives.
    for (set, side) in [(&a, 0), (&b, 1)] {
        let metrics = score(set, &ScoreOptions::default()).unwrap();
        let condition = &metrics.tasks[0].conditions[0];
        let lexical = condition.overall.lexical.unwrap();
        let clinical = condition.clinical.as_ref().unwrap().f1;
        let alone = lexical.named().into_iter().chain(clinical.named());
        for (other, (name, estimate)) in task.others.iter().zip(alone) {
            let value = if side == 0 { other.difference.a } else { other.difference.b };
            assert!((value - estimate.unwrap().value).abs() < 1e-12, "{name}");
        }
    }
    for other in &task.others {
        let difference = &other.difference;
        assert!((difference.b - difference.a - difference.difference.value).abs() < 1e-12);
        // CIDEr punishes the longer texts of B nearly as much as it rewards them.
        if other.name != "CIDEr" {
            assert!(difference.difference.low.unwrap() > 0.0, "{other:?}");
            assert!(difference.p_value < 0.01, "{other:?}");
        }
    }
    let text = found.to_text();
    assert!(text.contains("BLEU-4") && text.contains("F1-5 micro"), "{text}");
    // The other way round all is reversed, and against itself nothing is found.
    let back = compare(&b, &a, &CompareOptions::default()).unwrap();
    for (there, back) in task.others.iter().zip(&back.tasks[0].others) {
        assert_eq!(there.difference.difference.value, -back.difference.difference.value);
        assert_eq!(there.difference.p_value, back.difference.p_value);
    }
    let same = compare(&a, &a, &CompareOptions::default()).unwrap();
    assert!(same.tasks[0].others.iter().all(|other| other.difference.p_value == 1.0));
}

#[test]
fn questions_are_compared_in_bleu_1_and_labels_can_be_left_out() {
    let a = yes_no(6, 4, |_, question| question < 2);
    let b = yes_no(6, 4, |_, question| question < 3);
    let task = &compare(&a, &b, &CompareOptions::default()).unwrap().tasks[0];
    let names: Vec<&str> = task.others.iter().map(|other| other.name.as_str()).collect();
    assert_eq!(names, ["BLEU-1"]);
    let (a, b) = reports();
    let options = CompareOptions { clinical: Some(false), ..CompareOptions::default() };
    assert_eq!(compare(&a, &b, &options).unwrap().tasks[0].others.len(), 7);
}
