//! Greedy generation: cached and batched decoding against a loop that knows neither.

mod common;

use common::{hidden_states, random_features, random_model, text, values};
use pefomed_data::tree::Branch;
use pefomed_data::{Finish, Item, Message, MessageTree, PackedBatch};
use pefomed_kernels::frozen::Precision;
use pefomed_model::decoder::KnownPrompt;
use pefomed_model::generate::{Generated, generate, generate_one};
use pefomed_model::multimodal::{FeatureMap, TunedDecoder};
use pefomed_model::parameters::Placement;

const VOCABULARY: usize = 13;
const END: u32 = 2;
const LIMIT: usize = 9;

/// Questions about two images and about none, with prompts of different lengths.
fn trees() -> Vec<MessageTree> {
    let visual = |image| (0..4).map(move |index| Item::Visual { image, index });
    let branch = |key, prompt: &[u32]| Branch { key, prompt: text(prompt), answer: vec![5, END] };
    let rooted = |image, after: &[u32]| {
        let mut root = vec![Item::Token(1)];
        root.extend(visual(image));
        root.extend(text(after));
        root
    };
    let mut pictured = branch(30, &[7, 8]);
    pictured.prompt.extend(visual(1));
    pictured.prompt.push(Item::Token(9));
    vec![
        MessageTree {
            key: 10,
            root: rooted(0, &[3, 4]),
            branches: vec![
                branch(10, &[5]),
                branch(11, &[6, 7, 8, 9]),
                branch(12, &[10, 11]),
                branch(13, &[12, 3, 3]),
                branch(14, &[4, 9]),
            ],
        },
        MessageTree { key: 20, root: rooted(1, &[]), branches: vec![branch(20, &[5, 6])] },
        // Nothing shared, and an image in a question.
        MessageTree { key: 30, root: vec![], branches: vec![pictured, branch(31, &[1])] },
        MessageTree {
            key: 40,
            root: text(&[1, 11]),
            branches: vec![branch(40, &[3]), branch(41, &[12]), branch(42, &[10, 9, 8])],
        },
    ]
}

/// The whole sequence again for every token, without a cache, a root or a neighbour.
fn reference(model: &TunedDecoder, tree: &MessageTree, features: &FeatureMap) -> Generated {
    let [branch] = &tree.branches[..] else { panic!("one question") };
    let mut sequence = [&tree.root[..], &branch.prompt].concat();
    let mut tokens = Vec::new();
    loop {
        let whole = Branch { key: 0, prompt: sequence.clone(), answer: vec![] };
        let alone = MessageTree { key: 0, root: vec![], branches: vec![whole] };
        let batch = PackedBatch::new([&alone]);
        let logits = values(model.decoder.logits(hidden_states(model, &batch, features)));
        let last = &logits[logits.len() - VOCABULARY..];
        let best =
            (1..VOCABULARY).fold(0, |best, id| if last[id] > last[best] { id } else { best });
        if best as u32 == END {
            return Generated { tokens, finish: Finish::Stop };
        }
        if tokens.len() == LIMIT {
            return Generated { tokens, finish: Finish::Length };
        }
        tokens.push(best as u32);
        sequence.push(Item::Token(best as u32));
    }
}

/// The seed of a model that answers at length and briefly, as the test below asserts.
const SEED: u64 = 261;

#[test]
fn answers_do_not_depend_on_company_or_cache() {
    let features = random_features(2, 21);
    let plain = [Placement::cpu_f64(), Placement::cpu()]
        .map(|place| random_model(VOCABULARY, false, SEED, &place));
    let packed = [Precision::Float32, Precision::fastest()].map(|precision| {
        let model = random_model(VOCABULARY, false, SEED, &Placement::cpu());
        TunedDecoder { decoder: model.decoder.freeze(precision).unwrap(), ..model }
    });
    for model in plain.into_iter().chain(packed) {
        let trees = trees();
        let split: Vec<MessageTree> = trees.iter().flat_map(MessageTree::split).collect();
        let expected: Vec<Generated> =
            split.iter().map(|tree| reference(&model, tree, &features)).collect();

        let lengths: Vec<usize> = expected.iter().map(|answer| answer.tokens.len()).collect();
        let stopped = expected.iter().filter(|answer| answer.finish == Finish::Stop).count();
        let mut different = lengths.clone();
        different.sort_unstable();
        different.dedup();
        assert!(different.len() >= 4, "{lengths:?}");
        assert!(stopped >= 3 && stopped + 2 <= expected.len(), "{stopped} of {lengths:?}");

        let generate =
            |trees: &[MessageTree]| generate(&model, trees, &features, END, LIMIT).unwrap();
        let together = generate(&trees);
        let shape: Vec<usize> = together.iter().map(Vec::len).collect();
        assert_eq!(shape, [5, 1, 2, 3]);
        assert_eq!(together.concat(), expected);
        let one_by_one: Vec<Vec<Generated>> =
            trees.iter().flat_map(|tree| generate(std::slice::from_ref(tree))).collect();
        assert_eq!(one_by_one.concat(), expected);
        assert_eq!(generate(&split).concat(), expected);
        let mut reversed = trees.clone();
        reversed.reverse();
        let mut reversed = generate(&reversed);
        reversed.reverse();
        assert_eq!(reversed.concat(), expected);
    }
}

#[test]
fn an_answer_does_not_depend_on_what_is_known_of_its_prompt() {
    let features = random_features(2, 21);
    let plain = random_model(VOCABULARY, false, SEED, &Placement::cpu());
    let packed = [Precision::Float32, Precision::fastest()].map(|precision| {
        let model = random_model(VOCABULARY, false, SEED, &Placement::cpu());
        TunedDecoder { decoder: model.decoder.freeze(precision).unwrap(), ..model }
    });
    // The second time round all but the last positions are known, and then those of another question.
    let trees: Vec<MessageTree> = trees().iter().flat_map(MessageTree::split).collect();
    for (model, learns) in [plain].into_iter().zip([false]).chain(packed.into_iter().zip([true; 2]))
    {
        let mut known = KnownPrompt::default();
        let (mut shared, mut all) = (0, 0);
        for tree in trees.iter().chain(&trees).chain(trees.iter().rev()) {
            let [branch] = &tree.branches[..] else { panic!("one question") };
            let prompt = [&tree.root[..], &branch.prompt].concat();
            shared += known.shared(&prompt);
            all += prompt.len();
            // Nothing but what the rest of the prompt shows needs to be there.
            let mut shown = features.clone();
            let rest = pefomed_data::pack::images(&prompt[known.shared(&prompt)..]);
            shown.retain(|image, _| rest.contains(image));
            let mut told = Vec::new();
            let mut tell = |token| {
                told.push(token);
                true
            };
            let until = (END, LIMIT);
            let answer = generate_one(&model, &prompt, &shown, &mut known, until, &mut tell);
            let answer = answer.unwrap().unwrap();
            let alone = MessageTree::new(vec![Message { key: 0, prompt, answer: Vec::new() }]);
            let expected = generate(&model, alone.as_slice(), &features, END, LIMIT).unwrap();
            assert_eq!(answer, expected[0][0]);
            assert_eq!(told, answer.tokens);
            assert_eq!(known.is_empty(), !learns);
        }
        assert_eq!(shared > all / 3, learns, "{shared} of {all}");
    }
    assert_eq!(
        generate_one(
            &random_model(VOCABULARY, false, SEED, &Placement::cpu()),
            &[],
            &features,
            &mut KnownPrompt::default(),
            (END, LIMIT),
            &mut |_| true
        )
        .unwrap(),
        None
    );
}

#[test]
fn a_limit_cuts_answers_and_nothing_else() {
    let features = random_features(2, 21);
    let model = random_model(VOCABULARY, false, SEED, &Placement::cpu());
    let trees = trees();
    let whole = generate(&model, &trees, &features, END, LIMIT).unwrap().concat();
    for limit in 0..LIMIT {
        let cut = generate(&model, &trees, &features, END, limit).unwrap().concat();
        for (cut, whole) in cut.iter().zip(&whole) {
            let fits = whole.finish == Finish::Stop && whole.tokens.len() <= limit;
            assert_eq!(cut.finish, if fits { Finish::Stop } else { Finish::Length });
            assert_eq!(cut.tokens, whole.tokens[..limit.min(whole.tokens.len())]);
        }
    }
    assert_eq!(generate(&model, &[], &features, END, LIMIT).unwrap(), Vec::<Vec<_>>::new());
}

#[test]
fn what_a_batch_refers_to_must_exist() {
    let model = random_model(VOCABULARY, false, SEED, &Placement::cpu());
    let refused = |trees: &[MessageTree], features: &FeatureMap| {
        generate(&model, trees, features, END, LIMIT).unwrap_err().to_string()
    };
    let message = refused(&trees(), &random_features(1, 21));
    assert!(message.contains("image 1"), "{message}");
    let mut strange = trees();
    strange[0].branches[0].prompt[0] = Item::Token(13);
    let message = refused(&strange, &random_features(2, 21));
    assert!(message.contains("token 13") && message.contains("size 13"), "{message}");
    let mut beyond = trees();
    beyond[0].root[4] = Item::Visual { image: 0, index: 5 };
    assert!(generate(&model, &beyond, &random_features(2, 21), END, LIMIT).is_err());
}
