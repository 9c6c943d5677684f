//! An axial slice through the upper belly, with liver, stomach, spleen and kidneys, seen from the
//! feet.

use rand_chacha::ChaCha8Rng;

use super::draw::Draw as _;
use super::facts::{DeviceKind, Finding, FindingKind, Modality, PhantomSpec, Side};
use super::material::Material;
use super::scene::Layer;
use super::shape::{Point, Shape, curve};
use super::{Draws, Size};

/// What findings need to know of the patient.
struct Belly {
    /// Inside of the abdominal wall.
    cavity: Shape,
    liver: Shape,
    /// Centre of the kidneys: patient's right, patient's left.
    kidneys: [Point; 2],
}

pub(super) fn layers(spec: &PhantomSpec, draws: &mut Draws) -> Vec<Layer> {
    let mut layers = Vec::with_capacity(90);
    let rng = &mut draws.anatomy;
    let cavity = wall(&mut layers, rng);
    for _ in spec.of_kind(FindingKind::Ascites) {
        // Organs float in it: it lies above the fat and below everything else.
        layers.push(Layer::new(Material::Fluid, cavity.clone()).edge(0.02));
    }
    let belly = organs(&mut layers, cavity, rng);
    retroperitoneum(&mut layers, &belly, spec.modality, rng);
    for &finding in &spec.findings {
        let side = finding.side.unwrap_or(Side::Left);
        let kidney = belly.kidneys[usize::from(side == Side::Left)];
        match finding.kind {
            FindingKind::LiverLesion => {
                liver_lesion(&mut layers, &belly, finding, &mut draws.findings);
            }
            FindingKind::Cyst => {
                cyst(&mut layers, &belly, kidney, side.sign(), finding, &mut draws.findings);
            }
            FindingKind::Stone => {
                stone(&mut layers, kidney, side.sign(), finding, &mut draws.findings);
            }
            // Ascites is done above; the others are not of the belly.
            _ => {}
        }
    }
    for device in &spec.devices {
        let sign = device.side.map_or(1.0, Side::sign);
        match device.kind {
            DeviceKind::Drain => drain(&mut layers, sign, &mut draws.devices),
            DeviceKind::Tube => tube(&mut layers, &mut draws.devices),
            _ => {}
        }
    }
    layers
}

/// Skin, fat, muscle; returns the cavity.
fn wall(layers: &mut Vec<Layer>, rng: &mut ChaCha8Rng) -> Shape {
    let (width, height) = (rng.between(0.90, 0.96), rng.between(0.66, 0.75));
    let fat = rng.between(0.05, 0.10);
    let outline = |less: f32| {
        let (w, h) = (width - less, height - less);
        Shape::smooth(&[
            [0.0, -h],
            [0.55 * w, -0.88 * h],
            [0.93 * w, -0.42 * h],
            [w, 0.10 * h],
            [0.84 * w, 0.66 * h],
            [0.42 * w, 0.98 * h],
            [0.0, 0.93 * h],
            [-0.42 * w, 0.98 * h],
            [-0.84 * w, 0.66 * h],
            [-w, 0.10 * h],
            [-0.93 * w, -0.42 * h],
            [-0.55 * w, -0.88 * h],
        ])
    };
    layers.push(Layer::new(Material::Muscle, outline(0.0)));
    layers.push(Layer::new(Material::Fat, outline(0.014)));
    layers.push(Layer::new(Material::Muscle, outline(fat)));
    let cavity = outline(fat + 0.05);
    layers.push(Layer::new(Material::Fat, cavity.clone()));
    // Lower ribs in the wall.
    for turn in [-0.75_f32, -0.25, 0.22, 0.62, 2.52, 2.92, 3.39, 3.89] {
        let turn = turn + rng.about(0.08);
        let arc = (-2..=2_i8)
            .map(|part| {
                let (sin, cos) = (turn + 0.05 * f32::from(part)).sin_cos();
                [(width - fat - 0.035) * cos, (height - fat - 0.02) * sin]
            })
            .collect();
        layers.push(Layer::new(Material::Bone, Shape::tube(arc, 0.024)));
    }
    cavity
}

fn organs(layers: &mut Vec<Layer>, cavity: Shape, rng: &mut ChaCha8Rng) -> Belly {
    let reach = rng.between(0.0, 0.14);
    let low = rng.between(0.26, 0.36);
    let liver = Shape::smooth(&[
        [-0.80, -0.22],
        [-0.62, -0.46],
        [-0.30, -0.56],
        [0.02, -0.52],
        [0.16 + reach, -0.40],
        [0.06, -0.26],
        [-0.14, -0.14],
        [-0.26, 0.06],
        [-0.36, low - 0.02],
        [-0.62, low + 0.04],
        [-0.80, 0.10],
    ])
    .and(&cavity);
    layers.push(Layer::new(Material::Organ, liver.clone()).edge(0.02));
    for _ in 0..7 {
        let from = [rng.between(-0.35, -0.22), rng.between(-0.25, -0.02)];
        let to = [from[0] + rng.between(-0.3, -0.05), from[1] + rng.about(0.2)];
        let vessel = Shape::tapered(vec![from, to], [0.022, 0.008]).and(&liver);
        layers.push(Layer::new(Material::Contrast, vessel).edge(0.03).opacity(0.5));
    }
    let bile = [-0.24 + rng.about(0.03), -0.06 + rng.about(0.03)];
    let gallbladder = Shape::Ellipse { center: bile, radii: [0.065, 0.09], angle: 0.5 };
    layers.push(Layer::new(Material::Fluid, gallbladder).edge(0.02));

    let spleen = Shape::smooth(&[
        [0.60, -0.12],
        [0.76, -0.08],
        [0.80, 0.14],
        [0.70, 0.34],
        [0.54, 0.44],
        [0.52, 0.32],
        [0.62, 0.12],
    ])
    .and(&cavity);
    layers.push(Layer::new(Material::Organ, spleen).edge(0.02));

    // Stomach: wall, content, and air that rises to the front.
    let (sx, sy) = (0.44 + rng.about(0.03), -0.24 + rng.about(0.02));
    let stomach =
        Shape::Ellipse { center: [sx, sy], radii: [0.27, 0.17], angle: -0.35 + rng.about(0.15) };
    let content = rng.between(0.40, 0.85);
    layers.push(Layer::new(Material::Muscle, stomach.clone()).edge(0.02));
    let lumen = Shape::Ellipse { center: [sx, sy], radii: [0.235, 0.135], angle: -0.35 };
    layers.push(Layer::new(Material::Organ, lumen.clone()).edge(0.02).opacity(content));
    let level = Shape::Half { through: [0.0, sy - rng.between(0.04, 0.10)], towards: [0.0, -1.0] };
    layers.push(Layer::new(Material::Air, lumen.and(&level)).edge(0.02));

    // Loops of bowel in front.
    for _ in 0..6 {
        let center = [rng.between(-0.10, 0.46), rng.between(-0.02, 0.14)];
        let radii = [rng.between(0.06, 0.10), rng.between(0.05, 0.07)];
        let bowel = Shape::Ellipse { center, radii, angle: rng.about(1.0) };
        layers.push(Layer::new(Material::Muscle, bowel).edge(0.02));
        if rng.chance(0.35) {
            let gas = Shape::oval([center[0], center[1] - 0.015], [radii[0] * 0.5, radii[1] * 0.4]);
            layers.push(Layer::new(Material::Air, gas).edge(0.02));
        }
    }
    let kidneys = [
        [-0.41 + rng.about(0.02), 0.36 + rng.about(0.03)],
        [0.40 + rng.about(0.02), 0.33 + rng.about(0.03)],
    ];
    Belly { cavity, liver, kidneys }
}

fn retroperitoneum(
    layers: &mut Vec<Layer>,
    belly: &Belly,
    modality: Modality,
    rng: &mut ChaCha8Rng,
) {
    for (kidney, sign) in belly.kidneys.iter().zip([-1.0_f32, 1.0]) {
        let angle = sign * 0.45;
        layers.push(
            Layer::new(
                Material::Fat,
                Shape::Ellipse { center: *kidney, radii: [0.18, 0.215], angle }.and(&belly.cavity),
            )
            .edge(0.03),
        );
        let outer = Shape::Ellipse { center: *kidney, radii: [0.145, 0.18], angle };
        layers.push(Layer::new(Material::Contrast, outer).edge(0.02).opacity(0.85));
        let inner = Shape::Ellipse { center: *kidney, radii: [0.085, 0.12], angle };
        layers.push(Layer::new(Material::Organ, inner).edge(0.04));
        let hilum = [kidney[0] - sign * 0.09, kidney[1] - 0.03];
        let sinus = Shape::Ellipse { center: hilum, radii: [0.09, 0.05], angle };
        layers.push(Layer::new(Material::Fat, sinus).edge(0.03).opacity(0.9));
    }
    let y = 0.36 + rng.about(0.02);
    for sign in [-1.0_f32, 1.0] {
        let psoas = Shape::oval([sign * 0.185, y + 0.06], [0.075, 0.095]);
        layers.push(Layer::new(Material::Muscle, psoas).edge(0.02));
        let back = Shape::oval([sign * 0.17, y + 0.25], [0.16, 0.085]);
        layers.push(Layer::new(Material::Muscle, back).edge(0.03));
    }
    layers.push(Layer::new(Material::Bone, Shape::oval([0.0, y], [0.135, 0.11])));
    layers.push(Layer::new(Material::Organ, Shape::oval([0.0, y], [0.10, 0.08])).opacity(0.55));
    let arch = vec![[-0.16, y + 0.13], [0.0, y + 0.23], [0.16, y + 0.13]];
    layers.push(Layer::new(Material::Bone, Shape::tube(arch, 0.032)));
    layers.push(Layer::new(Material::Fluid, Shape::oval([0.0, y + 0.145], [0.06, 0.045])));
    // Aorta left of the midline, vena cava right of it; flowing blood is dark on MR.
    let flow = if modality == Modality::Mr { Material::Blood } else { Material::Contrast };
    let aorta = Shape::disc([0.06 + rng.about(0.01), y - 0.175], 0.062);
    layers.push(Layer::new(flow, aorta).edge(0.015));
    let cava = Shape::oval([-0.10 + rng.about(0.01), y - 0.16], [0.075, 0.055]);
    layers.push(Layer::new(flow, cava).edge(0.015).opacity(0.8));
    // Pancreas across the middle.
    let pancreas = curve(&[[-0.10, 0.06], [0.08, 0.02], [0.26, 0.08], [0.42, 0.06]], false, 4);
    layers.push(Layer::new(Material::Organ, Shape::tube(pancreas, 0.042)).edge(0.03).opacity(0.75));
}

fn liver_lesion(layers: &mut Vec<Layer>, belly: &Belly, finding: Finding, rng: &mut ChaCha8Rng) {
    let row = finding.level.map_or(1, super::Level::row);
    let radius = finding
        .size
        .unwrap_or(Size::Large)
        .choose(rng.between(0.095, 0.115), rng.between(0.165, 0.19));
    let center = [
        [-0.26, -0.56, -0.57][row] + rng.about(0.03),
        [-0.39, -0.16, 0.15][row] + rng.about(0.025),
    ];
    let shape = Shape::blob(center, [radius, radius * rng.between(0.9, 1.1)], 0.0, 0.08, rng)
        .and(&belly.liver);
    layers.push(Layer::new(Material::Oedema, shape).edge(0.035));
}

fn cyst(
    layers: &mut Vec<Layer>,
    belly: &Belly,
    kidney: Point,
    sign: f32,
    finding: Finding,
    rng: &mut ChaCha8Rng,
) {
    let radius = finding
        .size
        .unwrap_or(Size::Large)
        .choose(rng.between(0.105, 0.12), rng.between(0.19, 0.22));
    // It bulges outwards from the kidney.
    let center = [
        kidney[0] + sign * (0.06 + 0.35 * radius),
        kidney[1] - 0.03 - 0.3 * radius + rng.about(0.03),
    ];
    let shape = Shape::disc(center, radius).and(&belly.cavity);
    layers.push(Layer::new(Material::Muscle, shape.clone()).edge(0.02));
    let inner = Shape::disc(center, radius - 0.018).and(&belly.cavity);
    layers.push(Layer::new(Material::Fluid, inner).edge(0.015));
}

fn stone(
    layers: &mut Vec<Layer>,
    kidney: Point,
    sign: f32,
    finding: Finding,
    rng: &mut ChaCha8Rng,
) {
    let radius = finding
        .size
        .unwrap_or(Size::Large)
        .choose(rng.between(0.062, 0.072), rng.between(0.115, 0.13));
    let center = [kidney[0] - sign * 0.03 + rng.about(0.02), kidney[1] + rng.about(0.03)];
    // Urine is held up around it.
    let pelvis = Shape::oval(center, [radius + 0.05, radius + 0.05]);
    layers.push(Layer::new(Material::Fluid, pelvis).edge(0.03));
    let shape = Shape::blob(center, [radius, radius * rng.between(0.8, 1.1)], 0.0, 0.10, rng);
    layers.push(Layer::new(Material::Calcification, shape).edge(0.015));
}

fn drain(layers: &mut Vec<Layer>, sign: f32, rng: &mut ChaCha8Rng) {
    let (y, curl) = (rng.between(-0.06, 0.06), 0.075);
    let center = [sign * 0.40, y + 0.03];
    let mut path = vec![[sign * 1.02, y - 0.16], [sign * 0.75, y - 0.09], [sign * 0.52, y - 0.04]];
    for step in 0..8 {
        let (sin, cos) = (-1.2 + 0.75 * step as f32).sin_cos();
        path.push([center[0] - sign * curl * sin, center[1] - curl * cos]);
    }
    layers.push(Layer::new(Material::Plastic, Shape::tube(path, 0.026)));
}

fn tube(layers: &mut Vec<Layer>, rng: &mut ChaCha8Rng) {
    let sway = rng.about(0.03);
    let path = curve(
        &[
            [0.62, -0.33 + sway],
            [0.46, -0.22],
            [0.28, -0.20 + sway],
            [0.12, -0.12],
            [-0.04, 0.02 + sway],
        ],
        false,
        5,
    );
    layers.push(Layer::new(Material::Plastic, Shape::tube(path, 0.028)));
    // The weighted tip.
    layers.push(Layer::new(Material::Metal, Shape::disc([-0.04, 0.02 + sway], 0.042)));
}
