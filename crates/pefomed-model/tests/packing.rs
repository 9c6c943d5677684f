//! The contract of packing: loss and gradients of a packed batch are those of its questions run one
//! by one, whatever the trees look like, with dropout too.

mod common;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use burn::tensor::{Tensor, TensorData};
use common::{
    FEATURE_TOKENS, distance, gradients, hidden_states, largest, random_features, random_model,
    values,
};
use pefomed_data::tree::Branch;
use pefomed_data::{Item, MessageTree, PackedBatch};
use pefomed_model::multimodal::{FeatureMap, TunedDecoder};
use pefomed_model::parameters::{Parameter, Placement, Trainable as _};
use proptest::prelude::*;
use proptest::sample::Index;

const VOCABULARY: u32 = 41;
const IMAGES: u32 = 3;

/// This many cases; a failing one is printed whole, so no file needs to keep it.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Items of which a run, maybe an empty one, shows an image.
fn items(lengths: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = Vec<Item>> {
    let tokens = proptest::collection::vec(0..VOCABULARY, lengths);
    (tokens, 0..IMAGES, any::<Index>(), 0..=FEATURE_TOKENS).prop_map(
        |(tokens, image, start, shown)| {
            let mut items = common::text(&tokens);
            let start = start.index(items.len() + 1);
            for (index, item) in items[start..].iter_mut().take(shown).enumerate() {
                *item = Item::Visual { image, index: index as u32 };
            }
            items
        },
    )
}

fn answer() -> impl Strategy<Value = Vec<u32>> {
    proptest::collection::vec(0..VOCABULARY, 1..=5)
}

/// Trees of `branches` branches each, with keys that name every branch.
fn trees(branches: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = Vec<MessageTree>> {
    // Images are in the root as a rule, and sometimes in a question.
    let prompt = prop_oneof![3 => items(1..=6).prop_map(|items| {
        let token = |item: Item| match item {
            Item::Token(token) => Item::Token(token),
            Item::Visual { index, .. } => Item::Token(index),
        };
        items.into_iter().map(token).collect()
    }), 1 => items(1..=6)];
    let branch = (prompt, answer());
    let tree = (items(0..=12), proptest::collection::vec(branch, branches));
    proptest::collection::vec(tree, 1..=4).prop_map(|trees| {
        let tree = |(number, (root, branches)): (usize, (Vec<Item>, Vec<_>))| {
            let key = 100 * number as u64;
            let branches = branches
                .into_iter()
                .zip(key..)
                .map(|((prompt, answer), key)| Branch { key, prompt, answer })
                .collect();
            MessageTree { key, root, branches }
        };
        trees.into_iter().enumerate().map(tree).collect()
    })
}

type Named = BTreeMap<String, Vec<f64>>;

/// Summed loss and its gradients over batches run one after the other.
fn run<'a>(
    model: &mut TunedDecoder,
    features: &FeatureMap,
    batches: impl IntoIterator<Item = &'a [MessageTree]>,
    dropout: Option<(f64, u64)>,
) -> (f64, Named) {
    let mut loss = 0.0;
    let mut sums = Named::new();
    for trees in batches {
        let batch = PackedBatch::new(trees);
        let (sum, count) = model.loss_sum(&batch, features, dropout).unwrap();
        assert_eq!(count, trees.iter().map(MessageTree::targets).sum::<usize>());
        loss += values(sum.clone())[0];
        for (name, gradient) in gradients(model, &sum.backward()) {
            let total = sums.entry(name).or_insert_with(|| vec![0.0; gradient.len()]);
            total.iter_mut().zip(gradient).for_each(|(total, value)| *total += value);
        }
    }
    (loss, sums)
}

/// A model to be trained, in a precision, and the relative difference that rounding may cause.
fn models() -> [(TunedDecoder, f64); 2] {
    [(Placement::cpu_f64(), 1e-10), (Placement::cpu(), 2e-5)].map(|(place, tolerance)| {
        let mut model = random_model(VOCABULARY as usize, true, 11, &place);
        model.set_trainable(true);
        (model, tolerance)
    })
}

/// Asserts equal losses, and equal gradients in relation to the largest of all.
fn assert_equal(
    (loss, found): &(f64, Named),
    (expected_loss, expected): &(f64, Named),
    tolerance: f64,
) -> Result<(), TestCaseError> {
    let difference = (loss - expected_loss).abs() / expected_loss;
    prop_assert!(difference <= tolerance, "loss: {difference:e}");
    let names = |named: &Named| named.keys().cloned().collect::<Vec<_>>();
    prop_assert_eq!(names(found), names(expected));
    let scale = expected.values().fold(0.0, |scale: f64, values| scale.max(largest(values)));
    prop_assert!(scale > 0.0);
    for (name, gradient) in found {
        let difference = distance(gradient, &expected[name]) / scale;
        prop_assert!(difference <= tolerance, "{name}: {difference:e}");
        // Exactness shows in small tensors only in relation to themselves. Where the gradient
        // itself is rounding (a query that sees one key), there is nothing to compare.
        let own = largest(&expected[name]);
        if tolerance < 1e-8 && own > 1e-5 * scale {
            let difference = distance(gradient, &expected[name]) / own;
            prop_assert!(difference <= tolerance, "{name} by itself: {difference:e}");
        }
    }
    Ok(())
}

fn one_by_one(trees: &[MessageTree]) -> Vec<MessageTree> {
    trees.iter().flat_map(MessageTree::split).collect()
}

#[test]
fn a_packed_batch_learns_what_its_questions_learn_one_by_one() {
    let models = RefCell::new(models());
    let features = random_features(IMAGES, 3);
    let with_images = Cell::new(0);
    proptest!(cases(64), |(trees in trees(1..=5))| {
        for (model, tolerance) in models.borrow_mut().iter_mut() {
            let packed = run(model, &features, [&trees[..]], None);
            let alone = run(model, &features, one_by_one(&trees).chunks(1), None);
            assert_equal(&packed, &alone, *tolerance)?;
            with_images.set(with_images.get() + usize::from(packed.1.contains_key("llama_proj.weight")));
        }
    });
    assert!(with_images.get() > 10, "{} runs had images", with_images.get());
}

/// With feature `wgpu` alone a software driver will do; with `vulkan`, `lavapipe` crashes at the framework's
/// matrix products and SwiftShader makes zeros of them.
#[cfg(feature = "wgpu")]
#[test]
fn a_vulkan_device_packs_as_the_processor_does() {
    use burn::tensor::Device;
    use burn::tensor::wgpu::WgpuBackend;

    let options = Device::wgpu_options().graphics_api(WgpuBackend::Vulkan);
    let (device, setup) = options.init_with_setup().unwrap();
    eprintln!("{:?}", setup.adapter.get_info());
    let place = Placement::float32(device);
    let mut model = random_model(VOCABULARY as usize, true, 11, &place);
    model.set_trainable(true);
    let [(mut exact, _), (_, tolerance)] = models();
    let features = random_features(IMAGES, 3);
    let trees = worked_trees();
    for dropout in [None, Some((0.3, 5))] {
        let packed = run(&mut model, &features, [&trees[..]], dropout);
        let alone = run(&mut model, &features, one_by_one(&trees).chunks(1), dropout);
        assert_equal(&packed, &alone, tolerance).unwrap();
        let expected = run(&mut exact, &features, [&trees[..]], dropout);
        assert_equal(&packed, &expected, tolerance).unwrap();
    }
}

#[test]
fn dropout_draws_the_same_for_a_question_in_any_company() {
    let models = RefCell::new(models());
    let features = random_features(IMAGES, 4);
    let dropout = Some((0.3, 99));
    proptest!(cases(24), |(trees in trees(1..=1), cut in any::<Index>())| {
        for (model, tolerance) in models.borrow_mut().iter_mut() {
            let together = run(model, &features, [&trees[..]], dropout);
            let alone = run(model, &features, trees.chunks(1), dropout);
            assert_equal(&together, &alone, *tolerance)?;
            // In two batches, the first of them in reverse.
            let cut = cut.index(trees.len());
            let (first, second) = trees.split_at(cut);
            let mut first = first.to_vec();
            first.reverse();
            let parts = [&first[..], second];
            let parts = parts.into_iter().filter(|part| !part.is_empty());
            assert_equal(&run(model, &features, parts, dropout), &alone, *tolerance)?;
            // It does draw, and another seed draws otherwise.
            let without = run(model, &features, trees.chunks(1), None);
            let other = run(model, &features, trees.chunks(1), Some((0.3, 100)));
            prop_assert_ne!(without.0, alone.0);
            prop_assert_ne!(other.0, alone.0);
        }
    });
}

#[test]
fn a_root_draws_once_for_all_its_branches() {
    let models = RefCell::new(models());
    let features = random_features(IMAGES, 5);
    let dropout = Some((0.3, 7));
    proptest!(cases(16), |(trees in trees(2..=4))| {
        for (model, tolerance) in models.borrow_mut().iter_mut() {
            let packed = run(model, &features, [&trees[..]], dropout);
            // Split trees keep the key of their root.
            let alone = run(model, &features, one_by_one(&trees).chunks(1), dropout);
            assert_equal(&packed, &alone, *tolerance)?;
        }
    });
}

#[test]
fn the_order_of_trees_and_branches_does_not_matter() {
    let models = RefCell::new(models());
    let features = random_features(IMAGES, 6);
    proptest!(cases(16), |(trees in trees(1..=4), turn in any::<Index>())| {
        let mut turned = trees.clone();
        turned.rotate_left(turn.index(trees.len()));
        for tree in &mut turned {
            tree.branches.reverse();
        }
        for (model, tolerance) in models.borrow_mut().iter_mut() {
            let one = run(model, &features, [&trees[..]], None);
            let other = run(model, &features, [&turned[..]], None);
            assert_equal(&one, &other, *tolerance)?;
        }
    });
}

/// Two trees with an image and four questions.
fn worked_trees() -> Vec<MessageTree> {
    let visual = |image, index| Item::Visual { image, index };
    let mut root = common::text(&[1, 17]);
    root.extend((0..4).map(|index| visual(1, index)));
    root.push(Item::Token(9));
    let branch = |key, prompt: &[u32], answer: &[u32]| Branch {
        key,
        prompt: common::text(prompt),
        answer: answer.to_vec(),
    };
    let first = MessageTree {
        key: 1,
        root,
        branches: vec![
            branch(1, &[5, 6, 7], &[20, 21, 2]),
            branch(2, &[8], &[22, 2]),
            branch(3, &[30, 31], &[23, 24, 25, 2]),
        ],
    };
    let root = vec![Item::Token(1), visual(0, 0), visual(0, 1)];
    vec![first, MessageTree { key: 4, root, branches: vec![branch(4, &[3, 4], &[39, 2])] }]
}

/// Adds `step` to one value of a parameter, in its own precision.
fn nudge(parameter: &mut Parameter<'_>, entry: usize, step: f64) {
    fn nudged<const D: usize>(tensor: &Tensor<D>, entry: usize, step: f64) -> Tensor<D> {
        let mut all = values(tensor.clone());
        all[entry] += step;
        let device = tensor.device().without_autodiff();
        Tensor::from_data(TensorData::new(all, tensor.dims()), (&device, tensor.dtype()))
    }
    match parameter {
        Parameter::Vector(tensor) => **tensor = nudged(tensor, entry, step),
        Parameter::Matrix(tensor) => **tensor = nudged(tensor, entry, step),
    }
}

#[test]
fn gradients_are_the_slopes_of_the_loss() {
    let features = random_features(IMAGES, 8);
    let trees = worked_trees();
    let batch = PackedBatch::new(&trees);
    let frozen = random_model(VOCABULARY as usize, true, 11, &Placement::cpu_f64());
    for dropout in [None, Some((0.3, 5))] {
        let mut model = frozen.clone();
        model.set_trainable(true);
        let (_, expected) = run(&mut model, &features, [&trees[..]], dropout);
        // Projector, and A and B on seven projections of two layers.
        assert_eq!(expected.len(), 2 + 2 * 7 * 2);
        let loss = |number: usize, entry: usize, step: f64| {
            let mut moved = frozen.clone();
            nudge(&mut moved.parameters()[number].1, entry, step);
            values(moved.loss_sum(&batch, &features, dropout).unwrap().0)[0]
        };
        let mut model = frozen.clone();
        for (number, (name, parameter)) in model.parameters().iter().enumerate() {
            let gradient = &expected[name];
            let scale = largest(gradient);
            assert!(scale > 0.0, "{name}");
            let step = 1e-4;
            for entry in [0, parameter.len() / 2, parameter.len() - 1] {
                let slope = (loss(number, entry, step) - loss(number, entry, -step)) / (2.0 * step);
                let difference = (slope - gradient[entry]).abs() / scale;
                assert!(difference < 1e-6, "{name}[{entry}] {dropout:?}: {difference:e}");
            }
        }
    }
}

#[test]
fn a_branch_does_not_see_its_neighbours() {
    // Changing the first question's text changes the hidden states of its own branch alone.
    let model = random_model(VOCABULARY as usize, true, 11, &Placement::cpu_f64());
    let features = random_features(IMAGES, 8);
    let hidden =
        |trees: &[MessageTree]| values(hidden_states(&model, &PackedBatch::new(trees), &features));
    let trees = worked_trees();
    let mut changed = trees.clone();
    changed[0].branches[0].prompt[0] = Item::Token(40);
    let (before, after) = (hidden(&trees), hidden(&changed));
    let width = model.decoder.config().hidden_size;
    let moved: Vec<usize> = before
        .chunks(width)
        .zip(after.chunks(width))
        .enumerate()
        .filter(|(_, (before, after))| before != after)
        .map(|(position, _)| position)
        .collect();
    // The root is positions 0 to 6; the branch takes 3 + 2 more.
    assert_eq!(moved, [7, 8, 9, 10, 11]);
}

#[test]
fn a_batch_of_images_alone_takes_the_visual_tokens_it_names() {
    let model = random_model(VOCABULARY as usize, true, 11, &Placement::cpu_f64());
    let features = random_features(IMAGES, 8);
    let embed = |items: Vec<Item>| {
        let tree = common::single(1, items, &[2]);
        values(model.embed(&PackedBatch::new([&tree]), &features).unwrap())
    };
    let visual = [(2, 0), (2, 3), (0, 0)].map(|(image, index)| Item::Visual { image, index });
    let with_text = [&[Item::Token(5)], &visual[..]].concat();
    let width = model.decoder.config().hidden_size;
    let alone = embed(visual.to_vec());
    assert_eq!(alone.len(), 3 * width);
    assert_eq!(alone, embed(with_text)[width..]);
    assert_ne!(alone[..width], alone[width..2 * width]);
}
