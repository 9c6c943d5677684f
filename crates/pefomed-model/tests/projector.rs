//! Both projectors: gradients against slopes, files, and names of other projects' files.

mod common;

use std::collections::BTreeMap;

use burn::tensor::{Tensor, TensorData};
use common::{distance, gradients, largest, values};
use pefomed_kernels::frozen::Precision;
use pefomed_model::parameters::{Parameter, Placement, Trainable as _};
use pefomed_model::projector::{Projector, ProjectorKind};
use pefomed_model::random::Normal;
use pefomed_model::weights::{SafetensorsFile, TensorSource as _, TensorValues, write_safetensors};

const INPUT: usize = 6;
const OUTPUT: usize = 5;
const ROWS: usize = 4;
const KINDS: [ProjectorKind; 2] = [ProjectorKind::Linear, ProjectorKind::Mlp];

fn features(place: &Placement) -> Tensor<2> {
    place.tensor(Normal::new(3).draw(ROWS * INPUT, 1.0), [ROWS, INPUT])
}

/// A number that depends on every output, and not linearly.
fn loss(projector: &Projector, place: &Placement) -> Tensor<1> {
    loss_in(projector, place, None)
}

fn loss_in(projector: &Projector, place: &Placement, precision: Option<Precision>) -> Tensor<1> {
    let weights = place.tensor(Normal::new(4).draw(ROWS * OUTPUT, 1.0), [ROWS, OUTPUT]);
    (projector.forward_in(features(place), precision).square() * weights).sum()
}

#[test]
fn kernels_give_the_loss_and_the_gradients_of_the_framework() {
    let place = Placement::cpu();
    for kind in KINDS {
        let mut model = Projector::draw(kind, INPUT, OUTPUT, 1, &place);
        model.set_trainable(true);
        let of = |precision| {
            let loss = loss_in(&model, &place, precision);
            let found = gradients(&mut model.clone(), &loss.backward());
            (values(loss)[0], found)
        };
        let (loss, expected) = of(None);
        for (precision, tolerance) in [(Precision::Float32, 1e-5), (Precision::fastest(), 2e-2)] {
            let (found, gradients) = of(Some(precision));
            assert!((found - loss).abs() < tolerance * loss.abs(), "{precision} {found} {loss}");
            for (name, expected) in &expected {
                let far = distance(&gradients[name], expected) / largest(expected);
                assert!(far < tolerance, "{kind:?} {precision} {name} {far:e}");
            }
        }
    }
}

#[test]
fn gradients_are_the_slopes_of_the_loss() {
    let place = Placement::cpu_f64();
    for kind in KINDS {
        let frozen = Projector::draw(kind, INPUT, OUTPUT, 1, &place);
        assert_eq!((frozen.kind(), frozen.shape()), (kind, [OUTPUT, INPUT]));
        let mut model = frozen.clone();
        model.set_trainable(true);
        let found = gradients(&mut model.clone(), &loss(&model, &place).backward());
        assert_eq!(model.parameter_count(), kind.count(INPUT, OUTPUT));
        for (number, (name, parameter)) in model.parameters().iter().enumerate() {
            let gradient = &found[name];
            assert!(largest(gradient) > 0.0, "{name}");
            for (entry, expected) in gradient.iter().enumerate().take(parameter.len()) {
                let at = |step: f64| {
                    let mut moved = frozen.clone();
                    nudge(&mut moved.parameters()[number].1, entry, step);
                    values(loss(&moved, &place))[0]
                };
                let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
                let difference = (slope - expected).abs() / largest(gradient);
                assert!(difference < 1e-6, "{kind:?} {name}[{entry}]: {difference:e}");
            }
        }
    }
}

/// Adds `step` to one value of a parameter, in its own precision.
fn nudge(parameter: &mut Parameter<'_>, entry: usize, step: f64) {
    fn nudged<const D: usize>(tensor: &Tensor<D>, entry: usize, step: f64) -> Tensor<D> {
        let mut all = values(tensor.clone());
        all[entry] += step;
        Tensor::from_data(TensorData::new(all, tensor.dims()), (&tensor.device(), tensor.dtype()))
    }
    match parameter {
        Parameter::Vector(tensor) => **tensor = nudged(tensor, entry, step),
        Parameter::Matrix(tensor) => **tensor = nudged(tensor, entry, step),
    }
}

#[test]
fn the_mlp_is_two_layers_with_an_exact_gelu_between() {
    let folder = tempfile::tempdir().unwrap();
    let place = Placement::cpu_f64();
    let tensor = |name: &str, shape: &[usize], values: &[f32]| {
        (name.to_owned(), shape.to_vec(), TensorValues::F32(values.to_vec()))
    };
    let tensors = [
        tensor("0.weight", &[1, 1], &[2.0]),
        tensor("0.bias", &[1], &[-1.0]),
        tensor("2.weight", &[1, 1], &[3.0]),
        tensor("2.bias", &[1], &[0.5]),
    ];
    let path = folder.path().join("projector.safetensors");
    write_safetensors(&path, &tensors, &BTreeMap::new()).unwrap();
    let projector = Projector::read(folder.path(), 1, 1, &place).unwrap();
    let found = values(projector.forward(place.tensor(vec![1.0, 0.0], [2, 1])));
    // gelu(1) = Φ(1), gelu(−1) = −Φ(−1).
    let (above, below) = (0.841_344_746_068_542_9, -0.158_655_253_931_457_05);
    for (found, expected) in found.iter().zip([3.0 * above + 0.5, 3.0 * below + 0.5]) {
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }
}

#[test]
fn both_kinds_survive_their_file_and_other_spellings() {
    let place = Placement::cpu();
    for (kind, prefixes) in [
        (ProjectorKind::Linear, &["llama_proj", "mm_projector"][..]),
        (ProjectorKind::Mlp, &["model.mm_projector.0", "mm_projector.0", "0"][..]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut written = Projector::draw(kind, INPUT, OUTPUT, 9, &place);
        written.write(folder.path()).unwrap();
        let path = folder.path().join("projector.safetensors");
        let all = |projector: &mut Projector| -> Vec<(String, Vec<f32>)> {
            projector.parameters().into_iter().map(|(name, p)| (name, p.values())).collect()
        };
        let expected = all(&mut written);
        let own = prefixes[0].trim_end_matches('0');
        for prefix in prefixes {
            let file = SafetensorsFile::open(&path).unwrap();
            let renamed: Vec<(String, Vec<usize>, TensorValues)> = file
                .names()
                .into_iter()
                .map(|name| {
                    let values = TensorValues::F32(file.read_f32(name).unwrap());
                    let other = name.replacen(own, prefix.trim_end_matches('0'), 1);
                    (other, file.shape(name).unwrap().to_vec(), values)
                })
                .collect();
            let other = tempfile::tempdir().unwrap();
            let path = other.path().join("projector.safetensors");
            write_safetensors(&path, &renamed, &BTreeMap::new()).unwrap();
            let mut read = Projector::read(other.path(), INPUT, OUTPUT, &place).unwrap();
            assert_eq!((read.kind(), all(&mut read)), (kind, expected.clone()));
            let message =
                Projector::read(other.path(), INPUT + 1, OUTPUT, &place).unwrap_err().to_string();
            assert!(message.contains("[5, 7]"), "{message}");
        }
    }
}

#[test]
fn a_file_of_something_else_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("projector.safetensors");
    let value = || TensorValues::F32(vec![0.0]);
    write_safetensors(&path, &[("x".to_owned(), vec![1], value())], &BTreeMap::new()).unwrap();
    let read = || Projector::read(folder.path(), 1, 1, &Placement::cpu()).unwrap_err().to_string();
    assert!(read().contains("no tensor `llama_proj.weight`"), "{}", read());
    let names = ["0.weight", "0.bias", "2.weight", "2.bias", "4.weight"];
    let tensors = names.map(|name| {
        let shape = if name.ends_with("weight") { vec![1, 1] } else { vec![1] };
        (name.to_owned(), shape, value())
    });
    write_safetensors(&path, &tensors, &BTreeMap::new()).unwrap();
    assert!(read().contains("4.weight"), "{}", read());
}
