//! An axial slice through the head at the level of the lateral ventricles, seen from the feet.

use rand_chacha::ChaCha8Rng;

use super::anatomy_chest_slice::streaks;
use super::draw::Draw as _;
use super::facts::{DeviceKind, Finding, FindingKind, Modality, PhantomSpec, Side};
use super::material::Material;
use super::scene::Layer;
use super::shape::{Point, Shape, curve};
use super::{Draws, Size};

pub(super) fn layers(spec: &PhantomSpec, draws: &mut Draws) -> Vec<Layer> {
    let mut layers = Vec::with_capacity(90);
    let brain = skull_and_brain(&mut layers, &mut draws.anatomy);
    // Dead tissue lies below the ventricles in the list: it does not fill them.
    for finding in spec.of_kind(FindingKind::Infarct) {
        infarct(&mut layers, &brain, finding, &mut draws.findings);
    }
    ventricles(&mut layers, &mut draws.anatomy, spec.count(FindingKind::Hydrocephalus) > 0);
    for &finding in &spec.findings {
        match finding.kind {
            FindingKind::Hemorrhage => {
                hemorrhage(&mut layers, &brain, finding, spec.modality, &mut draws.findings);
            }
            FindingKind::Mass => mass(&mut layers, &brain, finding, &mut draws.findings),
            // The others are done above, or not of the head.
            _ => {}
        }
    }
    for device in &spec.devices {
        let sign = device.side.map_or(1.0, Side::sign);
        match device.kind {
            DeviceKind::Shunt => shunt(&mut layers, sign, &mut draws.devices),
            DeviceKind::Clip => clip(&mut layers, sign, spec.modality, &mut draws.devices),
            _ => {}
        }
    }
    layers
}

/// Scalp, skull, grey and white matter, deep nuclei; returns the outline of the brain.
fn skull_and_brain(layers: &mut Vec<Layer>, rng: &mut ChaCha8Rng) -> Shape {
    let (width, height) = (rng.between(0.72, 0.80), rng.between(0.88, 0.93));
    let thick = rng.between(0.055, 0.075);
    let egg = |less: f32| {
        // A little wider behind than in front.
        let (w, h) = (width - less, height - less);
        Shape::smooth(&[
            [0.0, -h],
            [0.45 * w, -0.91 * h],
            [0.82 * w, -0.58 * h],
            [0.98 * w, -0.08 * h],
            [0.96 * w, 0.38 * h],
            [0.72 * w, 0.76 * h],
            [0.36 * w, 0.96 * h],
            [0.0, h],
            [-0.36 * w, 0.96 * h],
            [-0.72 * w, 0.76 * h],
            [-0.96 * w, 0.38 * h],
            [-0.98 * w, -0.08 * h],
            [-0.82 * w, -0.58 * h],
            [-0.45 * w, -0.91 * h],
        ])
    };
    layers.push(Layer::new(Material::Fat, egg(0.0)).edge(0.02));
    layers.push(Layer::new(Material::Bone, egg(0.05)));
    layers.push(Layer::new(Material::Fluid, egg(0.05 + thick)));
    let brain = egg(0.075 + thick);
    layers.push(Layer::new(Material::Brain, brain.clone()).edge(0.02));
    // White matter in both halves, with a ragged edge towards the cortex.
    for sign in [-1.0, 1.0] {
        let white = Shape::blob(
            [sign * 0.30, -0.02],
            [width * 0.38, height * 0.66],
            sign * 0.08,
            0.035,
            rng,
        );
        layers.push(Layer::new(Material::WhiteMatter, white).edge(0.06));
        for (at, radii) in [([0.20, -0.10], [0.10, 0.16]), ([0.15, 0.12], [0.10, 0.12])] {
            let nucleus =
                Shape::Ellipse { center: [sign * at[0], at[1]], radii, angle: -sign * 0.35 };
            layers.push(Layer::new(Material::Brain, nucleus).edge(0.05).opacity(0.85));
        }
    }
    // Furrows run inwards from the surface.
    let depth = rng.between(0.07, 0.13);
    for furrow in 0..22 {
        let turn = (furrow as f32 + 0.5 + rng.about(0.25)) / 22.0 * std::f32::consts::TAU;
        let (sin, cos) = turn.sin_cos();
        let edge = [(width - 0.085 - thick) * cos, (height - 0.085 - thick) * sin];
        let length = 1.0 - depth * rng.between(0.8, 2.2);
        let bend = rng.about(0.05);
        let inner = [edge[0] * length - bend * sin, edge[1] * length + bend * cos];
        let path = curve(
            &[edge, [0.5 * (edge[0] + inner[0]) + 0.02 * sin, 0.5 * (edge[1] + inner[1])], inner],
            false,
            3,
        );
        layers.push(
            Layer::new(Material::Fluid, Shape::tapered(path, [0.020, 0.006]).and(&brain))
                .edge(0.03)
                .opacity(0.8),
        );
    }
    // The gap between the halves, interrupted in the middle.
    for (from, to) in [(-1.0, -0.42), (0.42, 1.0)] {
        let far = height - 0.09 - thick;
        let path = vec![[rng.about(0.01), from * far], [0.0, to * far]];
        layers.push(Layer::new(Material::Fluid, Shape::tube(path, 0.013).and(&brain)).edge(0.025));
    }
    brain
}

fn ventricles(layers: &mut Vec<Layer>, rng: &mut ChaCha8Rng, wide: bool) {
    let (normal, swollen) = (rng.between(0.85, 1.15), rng.between(2.5, 2.9));
    let size = if wide { swollen } else { normal };
    let lift = rng.about(0.03);
    for sign in [-1.0_f32, 1.0] {
        let horn = curve(
            &[
                [sign * (0.10 + 0.025 * size), -0.30 - 0.045 * size + lift],
                [sign * 0.075, -0.14 + lift],
                [sign * 0.04, 0.0 + lift],
            ],
            false,
            4,
        );
        let radii = [0.048 * size, 0.022 * size];
        layers.push(Layer::new(Material::Fluid, Shape::tapered(horn, radii)).edge(0.02));
        let trigone = curve(
            &[
                [sign * 0.13, 0.20 + lift],
                [sign * (0.20 + 0.01 * size), 0.33 + lift],
                [sign * (0.19 + 0.01 * size), 0.42 + 0.025 * size + lift],
            ],
            false,
            4,
        );
        let radii = [0.022 * size, 0.046 * size];
        layers.push(Layer::new(Material::Fluid, Shape::tapered(trigone, radii)).edge(0.02));
    }
    let third = Shape::oval([0.0, 0.06 + lift], [0.013 + 0.012 * size, 0.11]);
    layers.push(Layer::new(Material::Fluid, third).edge(0.02));
}

/// Where lesions of the three levels lie in a half of the brain.
fn place(finding: Finding, rng: &mut ChaCha8Rng) -> Point {
    let sign = finding.side.unwrap_or(Side::Left).sign();
    let row = finding.level.map_or(1, super::Level::row);
    [sign * ([0.31, 0.42, 0.33][row] + rng.about(0.03)), [-0.47, 0.0, 0.47][row] + rng.about(0.04)]
}

fn hemorrhage(
    layers: &mut Vec<Layer>,
    brain: &Shape,
    finding: Finding,
    modality: Modality,
    rng: &mut ChaCha8Rng,
) {
    let center = place(finding, rng);
    let radius = finding
        .size
        .unwrap_or(Size::Large)
        .choose(rng.between(0.105, 0.13), rng.between(0.205, 0.24));
    let angle = rng.between(0.0, 3.0);
    let tall = rng.between(0.85, 1.15);
    let clot = Shape::blob(center, [radius, radius * tall], angle, 0.08, rng);
    let rim = if modality == Modality::Mr { 0.07 } else { 0.045 };
    let halo = Shape::oval(center, [radius + rim, radius * tall + rim]).and(brain);
    layers.push(Layer::new(Material::Oedema, halo).edge(0.06).opacity(0.85));
    layers.push(Layer::new(Material::Blood, clot.and(brain)).edge(0.03));
}

fn mass(layers: &mut Vec<Layer>, brain: &Shape, finding: Finding, rng: &mut ChaCha8Rng) {
    let center = place(finding, rng);
    let radius = finding
        .size
        .unwrap_or(Size::Large)
        .choose(rng.between(0.105, 0.125), rng.between(0.195, 0.225));
    let swelling = Shape::blob(center, [radius * 1.45, radius * 1.5], 0.0, 0.07, rng).and(brain);
    layers.push(Layer::new(Material::Oedema, swelling).edge(0.07).opacity(0.75));
    let tumour = Shape::blob(center, [radius, radius * rng.between(0.9, 1.1)], 0.0, 0.06, rng);
    layers.push(Layer::new(Material::Brain, tumour.clone()).edge(0.02));
    // A dead core within an enhancing rim.
    let core = Shape::disc(center, radius * 0.52);
    layers.push(Layer::new(Material::Contrast, tumour.clone().without(&core)).edge(0.03));
    layers.push(Layer::new(Material::Fluid, core).edge(0.03));
}

fn infarct(layers: &mut Vec<Layer>, brain: &Shape, finding: Finding, rng: &mut ChaCha8Rng) {
    let sign = finding.side.unwrap_or(Side::Left).sign();
    let row = finding.level.map_or(1, super::Level::row);
    let half_angle = finding
        .size
        .unwrap_or(Size::Large)
        .choose(rng.between(0.17, 0.21), rng.between(0.36, 0.42));
    // The territory of one artery: a wedge with its tip near the ventricles, open to the surface.
    let toward = [-1.0, 0.05, 1.0][row] + rng.about(0.06);
    let tip = [sign * 0.12, [-0.10, 0.0, 0.12][row]];
    let point = |angle: f32, reach: f32| {
        let (sin, cos) = angle.sin_cos();
        [tip[0] + sign * cos * reach, tip[1] + sin * reach]
    };
    let mut ragged = |turn: f32, reach: f32| point(toward + turn + rng.about(0.03), reach);
    let wedge = Shape::polygon(vec![
        ragged(0.0, 0.12),
        ragged(-half_angle * 0.9, 0.32),
        ragged(-half_angle * 0.9, 0.44),
        ragged(-half_angle * 1.05, 0.56),
        ragged(-half_angle, 1.3),
        ragged(half_angle, 1.3),
        ragged(half_angle * 1.05, 0.56),
        ragged(half_angle * 0.9, 0.44),
        ragged(half_angle * 0.9, 0.32),
    ]);
    layers.push(Layer::new(Material::Oedema, wedge.and(brain)).edge(0.05).opacity(0.9));
}

fn shunt(layers: &mut Vec<Layer>, sign: f32, rng: &mut ChaCha8Rng) {
    let sway = rng.about(0.04);
    let path = curve(
        &[
            [sign * 0.66, 0.86],
            [sign * (0.46 + sway), 0.66],
            [sign * (0.28 + sway), 0.30],
            [sign * 0.11, -0.16],
        ],
        false,
        5,
    );
    layers.push(Layer::new(Material::Plastic, Shape::tube(path, 0.030)));
    // The valve outside the skull.
    let valve = vec![[sign * 0.58, 0.80], [sign * 0.72, 0.66]];
    layers.push(Layer::new(Material::Plastic, Shape::tube(valve, 0.055)));
}

fn clip(layers: &mut Vec<Layer>, sign: f32, modality: Modality, rng: &mut ChaCha8Rng) {
    let center = [sign * (0.16 + rng.about(0.02)), -0.20 + rng.about(0.05)];
    let (sin, cos) = rng.between(0.0, 3.1).sin_cos();
    let blade = |reach: f32, width: f32| {
        let end = |way: f32| [center[0] + way * reach * cos, center[1] + way * reach * sin];
        Shape::tube(vec![end(-1.0), end(1.0)], width)
    };
    if modality == Modality::Mr {
        // Metal bends the field: a hole in the picture with a bright rim, longer than the clip.
        let shift = [0.02 * sin, -0.02 * cos];
        let glare = Shape::tube(
            [-1.0, 1.0]
                .map(|way| {
                    [
                        center[0] + way * 0.15 * cos + shift[0],
                        center[1] + way * 0.15 * sin + shift[1],
                    ]
                })
                .to_vec(),
            0.095,
        );
        layers.push(Layer::new(Material::Fluid, glare).edge(0.03));
        layers.push(Layer::new(Material::Metal, blade(0.15, 0.065)).edge(0.02));
    } else {
        streaks(layers, center, 0.85, rng);
        layers.push(Layer::new(Material::Metal, blade(0.11, 0.042)));
    }
}
