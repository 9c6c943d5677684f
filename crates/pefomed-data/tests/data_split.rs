//! Splits that keep groups and images apart, and the count of what published splits do not.

mod data_common;

use std::collections::{BTreeMap, HashMap};

use data_common::shared;
use pefomed_data::formats::{Format, read};
use pefomed_data::split::{SplitRule, assign, leakage, leakage_between, split_digest};
use pefomed_data::{DataError, Example, ImageSource, Split, Task};
use proptest::prelude::*;

fn example(id: usize, group: &str, images: &[&str]) -> Example {
    let image = |name: &&str| ImageSource::file(*name, *name);
    Example {
        id: id.to_string(),
        images: images.iter().map(image).collect(),
        task: Task::Vqa,
        instruction: "Is it normal?".to_owned(),
        answer: "yes".to_owned(),
        other_answers: Vec::new(),
        group: group.to_owned(),
        split: Split::Train,
        labels: BTreeMap::new(),
        row: id,
    }
}

fn hash_rule(test_percent: f64, val_percent: f64, salt: &str) -> SplitRule {
    SplitRule::GroupHash { test_percent, val_percent, salt: salt.to_owned() }
}

#[test]
fn the_usual_vqa_rad_split_leaks_and_the_hash_split_does_not() {
    let Some(path) = shared("data/vqa-rad") else {
        return;
    };
    let mut examples = read(Format::VqaRad, &path, None).unwrap();
    let published = split_digest(&examples);
    let usual = leakage(&examples);
    // The rephrasings that `trainset.json` adds are partly those of test questions, and so bring
    // the one image into training that the official release keeps out of it.
    assert_eq!((usual.test_groups, usual.shared_with_train), (203, 203));
    assert_eq!((usual.test_images, usual.images_shared_with_train), (203, 203));
    assert_eq!((usual.test_questions, usual.test_questions_on_shared), (451, 451));
    assert!(!usual.is_clean());

    assign(&mut examples, &SplitRule::Published).unwrap();
    assert_eq!(split_digest(&examples), published);
    assign(&mut examples, &hash_rule(20.0, 10.0, "")).unwrap();
    assert_ne!(split_digest(&examples), published);
    let (test, val) = (leakage(&examples), leakage_between(&examples, Split::Val, Split::Train));
    assert!(test.is_clean() && val.is_clean());
    assert!(leakage_between(&examples, Split::Test, Split::Val).is_clean());
    // 20 % and 10 % of 314 images, give or take four standard deviations.
    assert!((35..=91).contains(&test.test_groups), "{test:?}");
    assert!((11..=53).contains(&val.test_groups), "{val:?}");
}

/// Worked out with `hashlib`: the first eight bytes of SHA-256 over the length of the salt as
/// eight bytes (little-endian), the salt and the group, read big-endian, modulo 10,000.
#[test]
fn the_side_of_a_group_is_that_of_its_hash() {
    let group = "synpic54610.jpg";
    for (salt, expected) in [("", 4881_u32), ("2", 6280)] {
        for (percent, split) in [
            (f64::from(expected) / 100.0, Split::Train),
            (f64::from(expected + 1) / 100.0, Split::Test),
        ] {
            let mut examples = [example(1, group, &[group])];
            assign(&mut examples, &hash_rule(percent, 0.0, salt)).unwrap();
            assert_eq!(examples[0].split, split, "{salt} {group} {percent}");
        }
    }
}

#[test]
fn the_official_vqa_rad_split_leaks_all_but_one_image() {
    let Some(path) = shared("data/vqa-rad/vqa_rad_public.json") else {
        return;
    };
    let official = leakage(&read(Format::VqaRad, &path, None).unwrap());
    assert_eq!((official.test_images, official.images_shared_with_train), (203, 202));
    assert_eq!((official.test_groups, official.shared_with_train), (203, 202));
    // The image that is kept out has five questions.
    assert_eq!((official.test_questions, official.test_questions_on_shared), (451, 446));
}

#[test]
fn impossible_shares_are_refused() {
    for (test, val) in
        [(-1.0, 0.0), (100.0, 0.0), (60.0, 40.0), (f64::NAN, 0.0), (0.0, f64::INFINITY)]
    {
        let error = assign(&mut [], &hash_rule(test, val, "")).unwrap_err();
        assert!(matches!(error, DataError::SplitShares { .. }), "{error}");
        assert!(error.to_string().contains("below 100"), "{error}");
    }
}

#[test]
fn folds_are_disjoint_and_hold_every_group() {
    let names: Vec<String> = (0..60).map(|number| format!("p{number}")).collect();
    let fold = |fold: u64, of: u64| -> Vec<usize> {
        let mut examples: Vec<Example> =
            names.iter().enumerate().map(|(id, name)| example(id, name, &[name])).collect();
        let salt = "a".to_owned();
        assign(&mut examples, &SplitRule::Fold { fold, of, salt }).unwrap();
        let tested = examples.iter().filter(|example| example.split == Split::Test);
        tested.map(|example| example.row).collect()
    };
    let folds: Vec<Vec<usize>> = (1..=5).map(|number| fold(number, 5)).collect();
    assert!(folds.iter().all(|fold| (4..=22).contains(&fold.len())), "{folds:?}");
    let mut all = folds.concat();
    all.sort_unstable();
    assert_eq!(all, (0..60).collect::<Vec<_>>());
    assert_eq!(fold(2, 5), folds[1]);
    // The group that the test of hashes names has the hash 15,434,841,016,515,204,881: its
    // last digit, 1, puts it into the second of five folds.
    let name = "synpic54610.jpg";
    let mut examples = [example(1, name, &[name])];
    for (number, split) in [(1, Split::Train), (2, Split::Test), (3, Split::Train)] {
        let rule = SplitRule::Fold { fold: number, of: 5, salt: String::new() };
        assign(&mut examples, &rule).unwrap();
        assert_eq!(examples[0].split, split, "{number}");
    }
    for (number, of) in [(0, 5), (6, 5), (1, 1), (1, 0)] {
        let rule = SplitRule::Fold { fold: number, of, salt: String::new() };
        let error = assign(&mut [], &rule).unwrap_err();
        assert!(matches!(error, DataError::SplitFold { .. }), "{error}");
    }
}

#[test]
fn leakage_counts_groups_images_and_questions() {
    let mut examples = vec![
        example(1, "p1", &["a"]),
        example(2, "p1", &["b"]),
        example(3, "p2", &["c"]),
        example(4, "p1", &["d"]),
        example(5, "p3", &["c", "e"]),
        example(6, "p4", &["f"]),
        example(7, "p4", &["b"]),
    ];
    examples[6].instruction = " is it  NORMAL".to_owned();
    for example in &mut examples[3..] {
        example.split = Split::Test;
    }
    let found = leakage(&examples);
    // p1 of p1, p3, p4; b and c of b, c, d, e, f; rows 4 (group), 5 and 7 (image); row 7 repeats 2.
    assert_eq!((found.test_groups, found.shared_with_train), (3, 1));
    assert_eq!((found.test_images, found.images_shared_with_train), (5, 2));
    assert_eq!((found.test_questions, found.test_questions_on_shared), (4, 3));
    assert_eq!(found.test_questions_repeated, 1);
}

#[test]
fn the_digest_sees_every_part_and_no_order() {
    let examples = vec![example(1, "p1", &["a"]), example(2, "p2", &["b", "c"])];
    let digest = split_digest(&examples);
    let reversed: Vec<Example> = examples.iter().rev().cloned().collect();
    assert_eq!(split_digest(&reversed), digest);
    let changes: [fn(&mut Example); 5] = [
        |example| example.split = Split::Val,
        |example| example.id.push('0'),
        |example| example.images[0].name.push('0'),
        |example| example.instruction.push('0'),
        |example| example.answer.push('0'),
    ];
    for change in changes {
        let mut changed = examples.clone();
        change(&mut changed[1]);
        assert_ne!(split_digest(&changed), digest);
    }
    assert_ne!(split_digest(&examples[..1]), digest);
}

#[test]
fn rules_are_written_as_recipes_have_them() {
    let rule: SplitRule =
        serde_json::from_str(r#"{"rule": "group-hash", "test_percent": 20}"#).unwrap();
    assert_eq!(rule, hash_rule(20.0, 0.0, ""));
    let rule: SplitRule = serde_json::from_str(r#"{"rule": "published"}"#).unwrap();
    assert_eq!(rule, SplitRule::Published);
}

prop_compose! {
    /// Rows over a few groups and images, so that groups often share an image.
    fn rows()(
        rows in prop::collection::vec((0..12_usize, prop::collection::vec(0..20_usize, 0..3)), 1..40)
    ) -> Vec<Example> {
        rows.iter()
            .enumerate()
            .map(|(id, (group, images))| {
                let images: Vec<String> = images.iter().map(|image| format!("i{image}")).collect();
                let images: Vec<&str> = images.iter().map(String::as_str).collect();
                example(id, &format!("g{group}"), &images)
            })
            .collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_group_and_no_image_is_on_two_sides(
        mut examples in rows(), test in 0.0..60.0, val in 0.0..39.0, salt in "[a-z]{0,4}"
    ) {
        assign(&mut examples, &hash_rule(test, val, &salt)).unwrap();
        let mut sides: HashMap<String, Split> = HashMap::new();
        for example in &examples {
            let images = example.images.iter().map(|image| image.name.clone());
            for name in images.chain([example.group.clone()]) {
                prop_assert_eq!(*sides.entry(name).or_insert(example.split), example.split);
            }
        }
    }

    #[test]
    fn the_order_of_rows_does_not_matter(
        (examples, mut shuffled) in rows().prop_flat_map(|rows| {
            (Just(rows.clone()), Just(rows).prop_shuffle())
        }),
    ) {
        let rule = hash_rule(30.0, 20.0, "");
        let mut examples = examples;
        assign(&mut examples, &rule).unwrap();
        assign(&mut shuffled, &rule).unwrap();
        shuffled.sort_by_key(|example| example.row);
        prop_assert_eq!(examples, shuffled);
    }
}

#[test]
fn shares_are_met_over_many_groups() {
    let mut examples: Vec<Example> =
        (0..20_000).map(|id| example(id, &format!("patient {id}"), &[])).collect();
    assign(&mut examples, &hash_rule(20.0, 7.5, "")).unwrap();
    let count = |split| examples.iter().filter(|example| example.split == split).count();
    // Four standard deviations of a binomial: 226 and 149.
    assert!(count(Split::Test).abs_diff(4000) < 226, "{}", count(Split::Test));
    assert!(count(Split::Val).abs_diff(1500) < 149, "{}", count(Split::Val));
}
