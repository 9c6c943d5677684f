//! Phantoms: the same bytes for the same seed, pictures that show what their facts say, and
//! questions that cannot be answered without them.

#![allow(clippy::print_stderr, reason = "figures are worth reading when the tests run")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pefomed_data::formats::{self, Format};
use pefomed_data::phantom::{
    AnswerType, DEFAULT_SIZE, Device, Finding, FindingKind, Level, Material, Modality,
    PhantomDataSet, PhantomSpec, QuestionAnswer, QuestionType, Region, Side, Size, data_set,
    generate, patch_targets, render, render_with_materials, soup,
};
use pefomed_data::{Split, Task};

/// Size the demo's encoder sees.
const SEEN: usize = 112;

#[test]
fn a_seed_has_one_data_set_whatever_the_number_of_threads() {
    let write = |threads: usize, folder: &Path| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| data_set(7, 9, 3).write(folder)).unwrap()
    };
    let (one, four) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let examples = write(1, one.path());
    write(4, four.path());
    let mut names = vec!["captions.jsonl".into(), "vqa.jsonl".into(), "reports.jsonl".into()];
    names.extend(data_set(7, 9, 3).images.iter().map(|image| format!("images/{}.png", image.name)));
    assert_eq!(names.len(), 15);
    for name in &names {
        let (first, second) =
            (std::fs::read(one.path().join(name)), std::fs::read(four.path().join(name)));
        assert_eq!(first.unwrap(), second.unwrap(), "{name} depends on the number of threads");
    }

    // What was written is what the reader of the neutral layout reads.
    let mut read = Vec::new();
    for name in &names[..3] {
        read.extend(formats::read(Format::Jsonl, &one.path().join(name), None).unwrap());
    }
    assert_eq!(read, examples);
    assert_eq!(examples, data_set(7, 9, 3).examples(one.path()));

    // The PNG holds the rendered pixels.
    let image = &data_set(7, 9, 3).images[4];
    let file = one.path().join(format!("images/{}.png", image.name));
    let decoded = image::open(file).unwrap().into_luma8();
    let rendered = render(&image.spec, DEFAULT_SIZE);
    assert_eq!(decoded.dimensions(), (rendered.width as u32, rendered.height as u32));
    assert_eq!(decoded.into_raw(), rendered.pixels);
}

#[test]
fn seeds_and_numbers_make_different_patients_and_splits_share_none() {
    let pictures: BTreeSet<Vec<u8>> = [(1, 0), (1, 1), (2, 0), (2, 1)]
        .map(|(seed, index)| render(&generate(seed, index), 64).pixels)
        .into_iter()
        .collect();
    assert_eq!(pictures.len(), 4);

    let set = data_set(3, 60, 30);
    let of = |split| -> BTreeSet<u64> {
        set.images.iter().filter(|i| i.split == split).map(|i| i.spec.index).collect()
    };
    assert_eq!((of(Split::Train).len(), of(Split::Test).len()), (60, 30));
    assert!(of(Split::Train).is_disjoint(&of(Split::Test)));
    // More training images leave the test images as they are.
    let larger = data_set(3, 90, 30);
    assert_eq!(set.images[60..], larger.images[90..]);
    for task in [Task::Caption, Task::Report] {
        let examples = set.examples(Path::new("x"));
        let mine: Vec<_> = examples.iter().filter(|example| example.task == task).collect();
        assert_eq!(mine.len(), 90);
        assert!(mine.iter().all(|e| e.instruction.is_empty() && !e.answer.is_empty()));
    }
}

/// The answer as a person with the facts, but not the generator, would give it.
fn answer_by_hand(spec: &PhantomSpec, item: &QuestionAnswer) -> String {
    let question = item.question.as_str();
    let yes = |truth: bool| if truth { "yes" } else { "no" }.to_owned();
    let kinds: Vec<FindingKind> = Region::ALL.iter().flat_map(|region| region.kinds()).collect();
    // "masses" and "liver lesions" contain their singular; "mass" is part of no other word here.
    let kind = kinds.iter().copied().find(|kind| question.contains(kind.name()));
    let devices: Vec<_> = Region::ALL.iter().flat_map(|region| region.devices()).collect();
    let word = |name: &str| question.split(|c: char| !c.is_alphanumeric()).any(|w| w == name);
    let device = devices.iter().copied().find(|device| word(device.name()));
    match (item.question_type, item.answer_type) {
        (QuestionType::Modality, AnswerType::Open) => spec.modality.name().to_owned(),
        (QuestionType::Modality, AnswerType::Closed) => {
            let asked =
                Modality::ALL.into_iter().find(|m| question.contains(&format!(" {}?", m.name())));
            yes(asked.unwrap() == spec.modality)
        }
        (QuestionType::Organ, AnswerType::Open) => spec.region.name().to_owned(),
        (QuestionType::Organ, AnswerType::Closed) => {
            let asked = Region::ALL.into_iter().find(|region| question.contains(region.name()));
            yes(asked.unwrap() == spec.region)
        }
        (QuestionType::Pres, AnswerType::Closed) => match (kind, device) {
            (Some(kind), None) => yes(spec.findings.iter().any(|finding| finding.kind == kind)),
            (None, Some(device)) => yes(spec.devices.iter().any(|other| other.kind == device)),
            other => panic!("`{question}` names {other:?}"),
        },
        (QuestionType::Pres, AnswerType::Open) => {
            spec.devices.first().map_or("none", |device| device.kind.name()).to_owned()
        }
        (QuestionType::Abn, AnswerType::Closed) => {
            let sound = spec.findings.is_empty();
            yes(if question.ends_with(" normal?") { sound } else { !sound })
        }
        (QuestionType::Abn, AnswerType::Open) => {
            let names: BTreeSet<&str> = spec.findings.iter().map(|f| f.kind.name()).collect();
            assert!(names.len() < 2, "`{question}` has two answers");
            names.into_iter().next().unwrap_or("none").to_owned()
        }
        (QuestionType::Pos, answer_type) => {
            let side = match (kind, device) {
                (Some(kind), _) => {
                    let of_kind: Vec<&Finding> =
                        spec.findings.iter().filter(|finding| finding.kind == kind).collect();
                    if answer_type == AnswerType::Open && (word("back") || word("lower")) {
                        assert_eq!(of_kind.len(), 1, "{question}");
                        return of_kind[0].level.unwrap().name().to_owned();
                    }
                    assert!(of_kind.windows(2).all(|pair| pair[0].side == pair[1].side));
                    of_kind[0].side
                }
                (None, Some(device)) => {
                    spec.devices.iter().find(|other| other.kind == device).unwrap().side
                }
                (None, None) => panic!("`{question}` names nothing"),
            };
            let side = side.unwrap();
            match answer_type {
                AnswerType::Open => side.name().to_owned(),
                AnswerType::Closed => yes(word("left") == (side == Side::Left)),
            }
        }
        (QuestionType::Size, _) => {
            let found = spec.findings.iter().find(|f| Some(f.kind) == kind).unwrap();
            found.size.unwrap().name().to_owned()
        }
        (QuestionType::Count, _) => {
            spec.findings.iter().filter(|f| Some(f.kind) == kind).count().to_string()
        }
    }
}

fn all_questions(set: &PhantomDataSet) -> Vec<(&PhantomSpec, &QuestionAnswer)> {
    set.images.iter().flat_map(|i| i.questions.iter().map(move |q| (&i.spec, q))).collect()
}

#[test]
fn every_answer_agrees_with_the_facts() {
    let set = data_set(11, 2000, 0);
    let questions = all_questions(&set);
    for (spec, item) in &questions {
        assert_eq!(item.answer, answer_by_hand(spec, item), "{item:?} for {spec:?}");
        let closed = item.answer == "yes" || item.answer == "no";
        assert_eq!(closed, item.answer_type == AnswerType::Closed, "{item:?}");
    }
    let per_image = questions.len() as f64 / 2000.0;
    assert!((4.5..6.5).contains(&per_image), "{per_image} questions per image");
}

/// Largest count, and the sum of all.
fn majority<K: Ord>(counts: &BTreeMap<K, usize>) -> (usize, usize) {
    (counts.values().copied().max().unwrap_or(0), counts.values().sum())
}

#[test]
fn questions_cannot_be_answered_without_the_picture() {
    let set = data_set(23, 2000, 0);
    let questions = all_questions(&set);
    let mut table: BTreeMap<(QuestionType, AnswerType), BTreeMap<&str, usize>> = BTreeMap::new();
    for (_, item) in &questions {
        *table
            .entry((item.question_type, item.answer_type))
            .or_default()
            .entry(&item.answer)
            .or_default() += 1;
    }
    eprintln!("{} questions about 2000 images", questions.len());
    let (mut right, mut all) = (0, 0);
    for ((question_type, answer_type), answers) in &table {
        let (most, sum) = majority(answers);
        right += most;
        all += sum;
        let share = most as f64 / sum as f64;
        eprintln!("{question_type:>9} {answer_type:>7} {sum:>5}  majority {share:.3}  {answers:?}");
        if *answer_type == AnswerType::Closed {
            // Four standard deviations of an even coin.
            let bound = 0.5 + 2.0 / (sum as f64).sqrt();
            assert!(share < bound, "{question_type} {answer_type}: {share}");
        } else {
            let bound = match question_type {
                QuestionType::Size => 0.5 + 2.0 / (sum as f64).sqrt(),
                QuestionType::Pos => 0.42,
                QuestionType::Abn | QuestionType::Pres => 0.2,
                _ => 0.4,
            };
            assert!(share < bound, "{question_type} {answer_type}: {share}");
        }
    }
    let blind = right as f64 / all as f64;
    eprintln!("blind, majority answer of the type: {blind:.3}");
    assert!(blind < 0.45, "{blind}");

    // A stronger guesser learns the commonest answer to each wording, and is tried on others.
    let (learn, test) = questions.split_at(questions.len() * 3 / 4);
    let mut by_wording: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for (_, item) in learn {
        *by_wording.entry(&item.question).or_default().entry(&item.answer).or_default() += 1;
    }
    let guess = |question: &str| {
        by_wording.get(question).and_then(|answers| {
            answers.iter().max_by_key(|(_, count)| **count).map(|(answer, _)| *answer)
        })
    };
    let hits = test.iter().filter(|(_, item)| guess(&item.question) == Some(&item.answer)).count();
    let blind = hits as f64 / test.len() as f64;
    eprintln!("blind, majority answer of the wording, held out: {blind:.3}");
    assert!(blind < 0.48, "{blind}");

    // No finding, device, modality, region or side has a usual answer of its own.
    let mut by_thing: BTreeMap<String, [usize; 2]> = BTreeMap::new();
    for (_, item) in &questions {
        if item.answer_type == AnswerType::Closed && item.question_type != QuestionType::Abn {
            let words = item.question.trim_end_matches('?').split(' ');
            let dull =
                ["is", "are", "was", "a", "an", "the", "there", "this", "image", "does", "of"];
            let dull2 = ["show", "shown", "seen", "present", "in", "on", "by", "taken", "side"];
            let thing: Vec<&str> =
                words.filter(|w| !dull.contains(w) && !dull2.contains(w)).collect();
            by_thing.entry(thing.join(" ")).or_default()[usize::from(item.answer == "yes")] += 1;
        }
    }
    for (thing, [no, yes]) in by_thing {
        let share = yes as f64 / (yes + no) as f64;
        eprintln!("{thing:>24} {:>4} times, yes {share:.3}", yes + no);
        // Four standard deviations, and a little for odds that are only nearly even.
        let slack = 0.04 + 2.0 / ((yes + no) as f64).sqrt();
        assert!((share - 0.5).abs() < slack, "{thing}: yes {share}");
    }
}

#[test]
fn facts_are_spread_as_the_documentation_says() {
    let specs: Vec<PhantomSpec> = (0..3000).map(|index| generate(5, index)).collect();
    let share = |test: &dyn Fn(&PhantomSpec) -> bool| {
        specs.iter().filter(|spec| test(spec)).count() as f64 / 3000.0
    };
    for region in Region::ALL {
        assert_eq!(share(&|spec| spec.region == region), 1.0 / 3.0);
    }
    for modality in Modality::ALL {
        let part = share(&|spec| spec.modality == modality);
        assert!((0.25..0.42).contains(&part), "{modality:?} {part}");
    }
    let normal = share(&PhantomSpec::is_normal);
    assert!((0.30..0.40).contains(&normal), "{normal}");
    for spec in &specs {
        assert!(spec.devices.len() <= 1 && spec.kinds().len() <= 2);
        for Finding { kind, side, level, size } in &spec.findings {
            assert!(spec.region.kinds().contains(kind));
            assert_eq!(side.is_some(), kind.has_side());
            assert_eq!(level.is_some(), kind.has_level());
            assert_eq!(size.is_some(), kind.has_size());
            assert!(spec.count(*kind) == 1 || (kind.is_countable() && *size == Some(Size::Small)));
        }
        let mut levels: Vec<(FindingKind, Option<Level>)> =
            spec.findings.iter().map(|f| (f.kind, f.level)).collect();
        levels.sort();
        levels.dedup();
        assert_eq!(levels.len(), spec.findings.len(), "two lesions in one place");
    }
}

#[test]
fn the_language_has_few_words() {
    let set = data_set(31, 3000, 0);
    let mut words: BTreeMap<String, usize> = BTreeMap::new();
    let mut longest = 0;
    for image in &set.images {
        let texts = image.questions.iter().flat_map(|q| [&q.question, &q.answer]);
        for text in texts.chain([&image.caption, &image.report]) {
            assert_eq!(*text, text.to_lowercase());
            assert!(!text.contains("  ") && text.trim() == text, "`{text}`");
            longest = longest.max(text.split(' ').count());
            for word in text.split([' ', '.', '?', ',', ':']).filter(|word| !word.is_empty()) {
                *words.entry(word.to_owned()).or_default() += 1;
            }
        }
    }
    eprintln!("{} words, longest text {longest} words: {:?}", words.len(), words.keys());
    assert!((60..=200).contains(&words.len()), "{} words", words.len());
    assert!(longest <= 45);
    // Each of them is seen often enough to be learnt from a few hundred images.
    assert!(words.values().all(|&count| count >= 30), "{words:?}");
}

#[test]
fn captions_and_reports_name_every_fact() {
    for image in data_set(37, 600, 0).images {
        let spec = &image.spec;
        for text in [&image.caption, &image.report] {
            for finding in &spec.findings {
                assert!(text.contains(finding.kind.name()), "{text} {spec:?}");
                assert!(finding.side.is_none_or(|side| text.contains(side.name())), "{text}");
            }
            for kind in Region::ALL.iter().flat_map(|region| region.kinds()) {
                assert_eq!(text.contains(kind.name()), spec.count(kind) > 0, "{text}");
            }
            for Device { kind, side } in &spec.devices {
                assert!(text.contains(kind.name()), "{text}");
                assert!(side.is_none_or(|side| text.contains(side.name())), "{text}");
            }
        }
        assert!(image.caption.contains(spec.region.name()), "{}", image.caption);
        assert!(image.caption.contains(spec.modality.name()), "{}", image.caption);
    }
}

/// How much each pixel changes when something is taken out of a patient.
fn changes(with: &PhantomSpec, without: &PhantomSpec, size: usize) -> Vec<f32> {
    let pair = (render(with, size), render(without, size));
    pair.0.pixels.iter().zip(&pair.1.pixels).map(|(a, b)| f32::from(a.abs_diff(*b))).collect()
}

/// Part of the change that lies in the half of the picture where the patient's left is.
fn share_on_pictures_right(changes: &[f32], size: usize) -> f32 {
    let right: f32 = changes
        .iter()
        .enumerate()
        .filter(|(index, _)| index % size >= size / 2)
        .map(|(_, change)| change)
        .sum();
    right / changes.iter().sum::<f32>()
}

/// A patient with a single finding or device, and the same without.
fn pair_with(seed: u64, index: u64, modality: Modality, finding: Finding) -> [PhantomSpec; 2] {
    let plain = PhantomSpec {
        modality,
        region: Region::ALL.into_iter().find(|r| r.kinds().contains(&finding.kind)).unwrap(),
        findings: Vec::new(),
        devices: Vec::new(),
        ..generate(seed, index)
    };
    [PhantomSpec { findings: vec![finding], ..plain.clone() }, plain]
}

fn modalities(region: Region) -> [Modality; 2] {
    match region {
        Region::Chest => [Modality::Xray, Modality::Ct],
        Region::Head | Region::Abdomen => [Modality::Ct, Modality::Mr],
    }
}

#[test]
fn findings_lie_on_the_side_the_convention_says() {
    for region in Region::ALL {
        for kind in region.kinds().into_iter().filter(|kind| kind.has_side()) {
            for modality in modalities(region) {
                for (index, level) in (0..6).zip(Level::of(modality).into_iter().cycle()) {
                    for side in Side::ALL {
                        let finding = Finding {
                            kind,
                            side: Some(side),
                            level: kind.has_level().then_some(level),
                            size: Some(Size::ALL[index as usize % 2]),
                        };
                        let [with, without] = pair_with(41, index, modality, finding);
                        let share = share_on_pictures_right(&changes(&with, &without, 96), 96);
                        let there = if side == Side::Left { share } else { 1.0 - share };
                        assert!(there > 0.93, "{kind:?} {side:?} {modality:?}: {there}");
                    }
                }
            }
        }
        for kind in region.devices().into_iter().filter(|kind| kind.has_side()) {
            for modality in modalities(region) {
                let mut worst = 1.0_f32;
                for index in 0..6 {
                    for side in Side::ALL {
                        let plain = PhantomSpec {
                            modality,
                            region,
                            findings: Vec::new(),
                            devices: Vec::new(),
                            ..generate(43, index)
                        };
                        let devices = vec![Device { kind, side: Some(side) }];
                        let with = PhantomSpec { devices, ..plain.clone() };
                        let share = share_on_pictures_right(&changes(&with, &plain, 96), 96);
                        worst = worst.min(if side == Side::Left { share } else { 1.0 - share });
                    }
                }
                // Leads and artefacts cross the midline; the bulk does not.
                assert!(worst > 0.55, "{kind:?} {modality:?}: {worst}");
            }
        }
    }
}

/// Pixels that a finding changes clearly, at the size that the encoder sees. The size of a
/// pneumothorax is that of its air, which is darker than lung; the rest of the lung changes too.
fn visible_area(with: &PhantomSpec, without: &PhantomSpec, kind: FindingKind) -> usize {
    let pair = (render(with, SEEN), render(without, SEEN));
    let clear = |(with, without): (&u8, &u8)| {
        let brighter = f32::from(*with) - f32::from(*without);
        brighter < -15.0 || (brighter > 15.0 && kind != FindingKind::Pneumothorax)
    };
    pair.0.pixels.iter().zip(&pair.1.pixels).filter(|pair| clear(*pair)).count()
}

#[test]
fn findings_can_be_seen_and_their_size_and_level_told_apart() {
    for region in Region::ALL {
        for kind in region.kinds() {
            for modality in modalities(region) {
                let mut areas = [Vec::new(), Vec::new()];
                let mut heights = [Vec::new(), Vec::new(), Vec::new()];
                for index in 0..12 {
                    let level = Level::of(modality)[(index % 3) as usize];
                    for (size, areas) in Size::ALL.into_iter().zip(&mut areas) {
                        let finding = Finding {
                            kind,
                            side: kind.has_side().then_some(Side::ALL[(index / 3 % 2) as usize]),
                            level: kind.has_level().then_some(level),
                            size: kind.has_size().then_some(size),
                        };
                        let [with, without] = pair_with(47, index, modality, finding);
                        let changes = changes(&with, &without, SEEN);
                        areas.push(visible_area(&with, &without, kind));
                        let (mut sum, mut moment) = (0.0, 0.0);
                        for (index, change) in changes.iter().enumerate() {
                            sum += change;
                            moment += change * (index / SEEN) as f32;
                        }
                        heights[(index % 3) as usize].push(moment / sum);
                    }
                }
                let [small, large] = areas.map(|list| {
                    let least = list.iter().min().copied().unwrap_or(0);
                    (least, list.iter().sum::<usize>() as f32 / list.len() as f32)
                });
                eprintln!(
                    "{:>14} {:>5} visible pixels of {SEEN} x {SEEN}: small {:.0} (least {}), large {:.0} (least {})",
                    kind.name(),
                    modality.name(),
                    small.1,
                    small.0,
                    large.1,
                    large.0
                );
                // About ten pixels across.
                assert!(small.0 >= 60, "{kind:?} {modality:?}: only {} pixels", small.0);
                if kind.has_size() {
                    assert!(large.1 > 1.5 * small.1, "{kind:?} {modality:?}: {small:?} {large:?}");
                }
                if kind.has_level() {
                    let range = |list: &[f32]| {
                        list.iter().fold((f32::MAX, 0.0_f32), |(low, high), &height| {
                            (low.min(height), high.max(height))
                        })
                    };
                    let [first, middle, last] = [0, 1, 2].map(|row| range(&heights[row]));
                    assert!(
                        first.1 + 3.0 < middle.0 && middle.1 + 3.0 < last.0,
                        "{kind:?} {modality:?}: {first:?} {middle:?} {last:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_scene_is_the_same_at_every_size() {
    for index in 0..6 {
        let spec = generate(53, index);
        let (small, large) =
            (render_with_materials(&spec, 160).1, render_with_materials(&spec, 480).1);
        // The centre of a pixel of the small picture is the centre of one of the large.
        let same = (0..160 * 160)
            .filter(|place| {
                let (x, y) = (place % 160, place / 160);
                small.materials[*place] == large.materials[(3 * y + 1) * 480 + 3 * x + 1]
            })
            .count();
        let share = same as f32 / (160.0 * 160.0);
        assert!(share > 0.98, "only {share} of the places are of the same material");
    }
}

#[test]
fn materials_follow_the_picture() {
    for index in 0..30 {
        let spec = generate(59, index);
        let (picture, map) = render_with_materials(&spec, 128);
        assert_eq!(picture, render(&spec, 128));
        assert_eq!(map.materials.len(), picture.pixels.len());
        // In slices, bone is brighter than air on CT and darker than fat on MR.
        let mean = |material: Material| {
            let values: Vec<f32> = map
                .materials
                .iter()
                .zip(&picture.pixels)
                .filter(|(of, _)| **of == material)
                .map(|(_, value)| f32::from(*value))
                .collect();
            values.iter().sum::<f32>() / values.len().max(1) as f32
        };
        match spec.modality {
            Modality::Ct => assert!(mean(Material::Bone) > mean(Material::Muscle) + 60.0),
            Modality::Mr => assert!(mean(Material::Bone) < mean(Material::Fat) - 60.0),
            Modality::Xray => assert!(mean(Material::Lung) < mean(Material::Muscle) - 20.0),
        }
    }
}

#[test]
fn soups_are_reproducible_and_their_targets_are_parts_of_one() {
    let mut seen = BTreeSet::new();
    let mut shares = [0.0_f64; Material::COUNT];
    for index in 0..60 {
        let one = soup(61, index, SEEN);
        if index < 3 {
            assert_eq!(one, soup(61, index, SEEN));
        }
        let targets = patch_targets(&one, 14);
        assert_eq!(targets.len(), 64 * Material::COUNT);
        for patch in targets.chunks_exact(Material::COUNT) {
            assert!((patch.iter().sum::<f32>() - 1.0).abs() < 1e-4);
            for (share, part) in shares.iter_mut().zip(patch) {
                *share += f64::from(*part) / (64.0 * 60.0);
            }
        }
        // Patch 9 is row 1, column 1: counted by hand.
        let bone = (14..28)
            .flat_map(|y| (14..28).map(move |x| y * SEEN + x))
            .filter(|&pixel| one.materials.materials[pixel] == Material::Bone)
            .count();
        let target = targets[9 * Material::COUNT + Material::Bone.index()];
        assert!((target - bone as f32 / 196.0).abs() < 1e-5);
        seen.insert(one.picture.pixels);
    }
    assert_eq!(seen.len(), 60);
    eprintln!("share of each material: {shares:.3?}");
    assert!(shares.iter().all(|&share| share > 0.008), "a material is hardly ever seen");
    assert!(patch_targets(&soup(61, 0, 20), 0).is_empty());
    assert_eq!(soup(61, 0, 0).picture.pixels.len(), 1);
    assert!(patch_targets(&soup(61, 0, 20), 21).is_empty());
}

#[test]
fn rendering_takes_this_long() {
    let set = data_set(67, 60, 0);
    let start = std::time::Instant::now();
    let total: usize = set.images.iter().map(|i| render(&i.spec, DEFAULT_SIZE).pixels.len()).sum();
    let each = start.elapsed().as_secs_f64() * 1e3 / 60.0;
    assert_eq!(total, 60 * DEFAULT_SIZE * DEFAULT_SIZE);
    eprintln!("{each:.2} ms for one picture of {DEFAULT_SIZE} x {DEFAULT_SIZE} on one thread");
}
