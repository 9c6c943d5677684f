//! A frontal chest radiograph.
//!
//! Lungs are holes in a body of muscle; heart, vessels and findings fill them again; bones are
//! added on top, as a sum needs no order. Thicknesses are parts of the body's depth.

use rand_chacha::ChaCha8Rng;

use super::draw::Draw as _;
use super::facts::{DeviceKind, Finding, FindingKind, PhantomSpec, Side};
use super::material::Material;
use super::scene::Layer;
use super::shape::{Point, Shape, curve, flip};
use super::{Draws, Size};

const LUNG_DEPTH: f32 = 0.85;

/// What findings and devices need to know of the patient.
struct Chest {
    /// Lung fields: patient's right, patient's left.
    lungs: [Shape; 2],
    /// Height of the domes of the diaphragm on either side.
    floor: [f32; 2],
}

impl Chest {
    fn lung(&self, side: Side) -> &Shape {
        &self.lungs[usize::from(side == Side::Left)]
    }

    fn floor(&self, side: Side) -> f32 {
        self.floor[usize::from(side == Side::Left)]
    }
}

pub(super) fn layers(spec: &PhantomSpec, draws: &mut Draws) -> Vec<Layer> {
    let mut layers = Vec::with_capacity(90);
    let rng = &mut draws.anatomy;
    let chest = body_and_lungs(&mut layers, rng);
    heart(&mut layers, rng, spec.count(FindingKind::Cardiomegaly) > 0);
    bones(&mut layers, rng);
    for &finding in &spec.findings {
        match finding.kind {
            FindingKind::Nodule => nodule(&mut layers, &chest, finding, &mut draws.findings),
            FindingKind::Effusion => effusion(&mut layers, &chest, finding, &mut draws.findings),
            FindingKind::Pneumothorax => {
                pneumothorax(&mut layers, &chest, finding, &mut draws.findings);
            }
            // Cardiomegaly is the heart's own shape; the other kinds are not of the chest.
            _ => {}
        }
    }
    for device in &spec.devices {
        let sign = device.side.map_or(1.0, Side::sign);
        match device.kind {
            DeviceKind::Pacemaker => pacemaker(&mut layers, sign, &mut draws.devices),
            DeviceKind::Line => line(&mut layers, sign, &mut draws.devices),
            _ => {}
        }
    }
    layers
}

fn body_and_lungs(layers: &mut Vec<Layer>, rng: &mut ChaCha8Rng) -> Chest {
    let width = rng.between(0.94, 1.05);
    let half = [
        [0.0, -1.25],
        [0.17, -1.2],
        [0.19, -0.93],
        [0.34, -0.80],
        [0.72, -0.70],
        [0.98, -0.52],
        [1.15, -0.1],
        [0.93, 0.0],
        [0.88, 0.4],
        [0.90, 1.3],
        [0.0, 1.5],
    ];
    let mut outline: Vec<Point> = half.iter().map(|p| [p[0] * width, p[1]]).collect();
    outline.extend(half[1..10].iter().rev().map(|p| [-p[0] * width, p[1]]));
    layers.push(
        Layer::new(Material::Muscle, Shape::smooth(&outline))
            .displaces(Material::Air)
            .depth(rng.between(0.95, 1.1))
            .dome(0.55),
    );

    let (apex, reach) = (rng.between(-0.78, -0.70), rng.between(0.67, 0.74) * width);
    let floor_right = rng.between(0.36, 0.48);
    let floors = [floor_right, floor_right + rng.between(0.02, 0.08)];
    let lung = |sign: f32, floor: f32, inner: f32| {
        Shape::smooth(
            &[
                [0.30, apex],
                [0.45, apex + 0.10],
                [0.58, apex + 0.34],
                [reach, -0.05],
                [reach + 0.02, floor - 0.08],
                [reach + 0.01, floor + 0.15],
                [0.60, floor + 0.05],
                [0.42, floor - 0.02],
                [0.26, floor],
                [inner, floor + 0.06],
                [0.11, 0.1],
                [0.11, -0.25],
                [0.16, apex + 0.18],
            ]
            .map(|p| if sign < 0.0 { flip(p) } else { p }),
        )
    };
    let lungs = [lung(-1.0, floors[0], 0.12), lung(1.0, floors[1], 0.16)];
    for (lung, sign) in lungs.iter().zip([-1.0, 1.0]) {
        layers
            .push(Layer::new(Material::Lung, lung.clone()).depth(LUNG_DEPTH).edge(0.03).dome(0.22));
        // Vessels leave the hilum and thin out.
        for branch in 0..7 {
            let slope = -1.2 + 0.42 * branch as f32 + rng.about(0.15);
            let (sin, cos) = slope.sin_cos();
            let start = [sign * 0.13, -0.12 + rng.about(0.06)];
            let length = rng.between(0.35, 0.52);
            let bend = rng.about(0.06);
            let points = curve(
                &[
                    start,
                    [
                        start[0] + sign * cos * length * 0.5 - bend * sin,
                        start[1] + sin * length * 0.5 + bend,
                    ],
                    [start[0] + sign * cos * length, start[1] + sin * length * 1.1],
                ],
                false,
                4,
            );
            layers.push(
                Layer::new(Material::Muscle, Shape::tapered(points, [0.034, 0.007]).and(lung))
                    .displaces(Material::Lung)
                    .depth(0.14)
                    .edge(0.03),
            );
        }
        layers.push(
            Layer::new(Material::Muscle, Shape::oval([sign * 0.15, -0.13], [0.09, 0.14]))
                .displaces(Material::Lung)
                .depth(0.22)
                .edge(0.08)
                .dome(0.08),
        );
    }
    // The stomach's bubble of air under the left dome.
    let bubble = [rng.between(0.34, 0.44), floors[1] + rng.between(0.15, 0.2)];
    layers.push(
        Layer::new(
            Material::Air,
            Shape::oval(bubble, [rng.between(0.07, 0.16), rng.between(0.03, 0.07)]),
        )
        .depth(0.3)
        .edge(0.04)
        .dome(0.05),
    );
    // The liver makes the belly denser on the right.
    layers.push(
        Layer::new(Material::Organ, Shape::oval([-0.4, floors[0] + 0.55], [0.55, 0.45]))
            .displaces(Material::Air)
            .depth(0.12)
            .edge(0.2)
            .dome(0.3),
    );
    Chest { lungs, floor: floors }
}

fn heart(layers: &mut Vec<Layer>, rng: &mut ChaCha8Rng, large: bool) {
    // Drawn for both cases, so that the rest of the patient does not depend on the heart.
    let (normal, wide) = (rng.between(0.90, 1.06), rng.between(1.55, 1.75));
    let size = if large { wide } else { normal };
    let base = 0.52 + rng.about(0.03);
    let outline = [
        [-0.05, -0.22],
        [0.09, -0.20],
        [0.17 * size, -0.08],
        [0.30 * size, 0.12],
        [0.39 * size, 0.32],
        [0.36 * size, base - 0.04],
        [0.15, base + 0.02],
        [-0.10, base],
        [-0.17 * size, 0.32],
        [-0.175 * size, 0.12],
        [-0.12, -0.05],
    ];
    layers.push(
        Layer::new(Material::Muscle, Shape::smooth(&outline))
            .displaces(Material::Lung)
            .depth(0.62)
            .edge(0.035)
            .dome(0.20),
    );
    // Great vessels and the knob of the aorta.
    layers.push(
        Layer::new(Material::Muscle, Shape::oval([0.0, -0.45], [0.14, 0.5]))
            .displaces(Material::Lung)
            .depth(0.30)
            .edge(0.05)
            .dome(0.08),
    );
    layers.push(
        Layer::new(Material::Muscle, Shape::disc([0.125, -0.32 + rng.about(0.03)], 0.075))
            .displaces(Material::Lung)
            .depth(0.3)
            .edge(0.03)
            .dome(0.05),
    );
    // Windpipe and its two branches, seen through everything.
    layers.push(
        Layer::new(Material::Air, Shape::tapered(vec![[0.0, -1.2], [0.01, -0.32]], [0.05, 0.045]))
            .depth(0.24)
            .edge(0.03),
    );
    for sign in [-1.0, 1.0] {
        let branch = vec![[0.01, -0.32], [sign * 0.13, -0.17]];
        layers.push(
            Layer::new(Material::Air, Shape::tapered(branch, [0.04, 0.025])).depth(0.16).edge(0.03),
        );
    }
}

fn bones(layers: &mut Vec<Layer>, rng: &mut ChaCha8Rng) {
    let offset = rng.about(0.04);
    let strength = rng.between(0.75, 1.15);
    for vertebra in 0..16 {
        let y = -1.06 + 0.145 * vertebra as f32 + offset;
        let body = vec![[-0.035, y], [0.035, y]];
        layers.push(Layer::new(Material::Bone, Shape::tube(body, 0.054)).depth(0.075).edge(0.03));
    }
    for sign in [-1.0_f32, 1.0] {
        for rib in 0..9 {
            let y = -0.74 + 0.145 * rib as f32 + offset;
            let reach = (0.46 + 0.075 * rib as f32).min(0.76);
            // The back part rises a little from the spine and then falls along the wall.
            let back = curve(
                &[
                    [sign * 0.07, y],
                    [sign * reach * 0.45, y - 0.045],
                    [sign * reach * 0.85, y + 0.06],
                    [sign * (reach + 0.02), y + 0.19],
                ],
                false,
                4,
            );
            layers.push(
                Layer::new(Material::Bone, Shape::tube(back, 0.026))
                    .depth(0.055 * strength)
                    .edge(0.02),
            );
            // The front part is fainter and falls towards the midline.
            if (1..7).contains(&rib) {
                let front = curve(
                    &[
                        [sign * (reach + 0.02), y + 0.19],
                        [sign * reach * 0.8, y + 0.33],
                        [sign * reach * 0.42, y + 0.42],
                    ],
                    false,
                    4,
                );
                layers.push(
                    Layer::new(Material::Bone, Shape::tube(front, 0.028))
                        .depth(0.020 * strength)
                        .edge(0.03),
                );
            }
        }
        let lift = rng.about(0.03);
        let clavicle = curve(
            &[
                [sign * 0.07, -0.60],
                [sign * 0.26, -0.66 + lift],
                [sign * 0.48, -0.69 + lift],
                [sign * 0.74, -0.66 + lift],
            ],
            false,
            4,
        );
        layers.push(
            Layer::new(Material::Bone, Shape::tube(clavicle, 0.034)).depth(0.085).edge(0.015),
        );
        // Shoulder blade: an edge along the outer lung.
        let blade =
            curve(&[[sign * 0.78, -0.58], [sign * 0.70, -0.35], [sign * 0.74, -0.08]], false, 4);
        layers.push(
            Layer::new(Material::Bone, Shape::tapered(blade, [0.06, 0.02])).depth(0.05).edge(0.04),
        );
        layers.push(
            Layer::new(Material::Bone, Shape::disc([sign * 0.93, -0.52], 0.10))
                .depth(0.12)
                .edge(0.04)
                .dome(0.08),
        );
    }
}

fn nodule(layers: &mut Vec<Layer>, chest: &Chest, finding: Finding, rng: &mut ChaCha8Rng) {
    let side = finding.side.unwrap_or(Side::Left);
    let row = finding.level.map_or(1, super::Level::row);
    let large = finding.size == Some(Size::Large);
    let radius = if large { rng.between(0.18, 0.215) } else { rng.between(0.095, 0.115) };
    let floor = chest.floor(side);
    let center = [
        side.sign() * ([0.37, 0.47, 0.52][row] + rng.about(0.04)),
        [-0.48, -0.12, floor - 0.19][row] + rng.about(0.045),
    ];
    let shape = Shape::blob(center, [radius, radius * rng.between(0.9, 1.1)], 0.0, 0.04, rng);
    layers.push(
        Layer::new(Material::Muscle, shape)
            .displaces(Material::Lung)
            .depth(rng.between(0.54, 0.70))
            .edge(0.03)
            .dome(radius * 0.8),
    );
}

fn effusion(layers: &mut Vec<Layer>, chest: &Chest, finding: Finding, rng: &mut ChaCha8Rng) {
    let side = finding.side.unwrap_or(Side::Left);
    let height = finding
        .size
        .unwrap_or(Size::Large)
        .choose(rng.between(0.22, 0.28), rng.between(0.54, 0.68));
    let (sign, top) = (side.sign(), chest.floor(side) - height);
    // The surface climbs along the wall.
    let surface = curve(
        &[
            [sign * 0.02, top + 0.16],
            [sign * 0.30, top + 0.13],
            [sign * 0.52, top + 0.05],
            [sign * 0.72, top - 0.08],
            [sign * 0.85, top - 0.18],
        ],
        false,
        4,
    );
    let mut outline = surface;
    outline.extend([[sign * 0.85, 1.0], [sign * 0.02, 1.0]]);
    let shape = Shape::polygon(outline).and(chest.lung(side));
    layers.push(
        Layer::new(Material::Fluid, shape)
            .displaces(Material::Lung)
            .depth(rng.between(0.70, 0.80))
            .edge(0.05)
            .dome(0.06),
    );
}

fn pneumothorax(layers: &mut Vec<Layer>, chest: &Chest, finding: Finding, rng: &mut ChaCha8Rng) {
    let side = finding.side.unwrap_or(Side::Left);
    let sign = side.sign();
    let shrink = finding
        .size
        .unwrap_or(Size::Large)
        .choose(rng.between(0.70, 0.76), rng.between(0.38, 0.50));
    // The lung shrinks towards its root, less at the bottom.
    let Shape::Polygon(path) = chest.lung(side) else { return };
    let hilum = [sign * 0.12, 0.08];
    let collapsed = path
        .points()
        .iter()
        .map(|p| {
            let down = ((p[1] - 0.1) / 0.5).clamp(0.0, 1.0);
            let keep = shrink + (1.0 - shrink) * 0.45 * down;
            [hilum[0] + (p[0] - hilum[0]) * keep, hilum[1] + (p[1] - hilum[1]) * keep]
        })
        .collect();
    let collapsed = Shape::polygon(collapsed);
    layers.push(
        Layer::new(Material::Air, chest.lung(side).clone().without(&collapsed))
            .displaces(Material::Lung)
            .depth(1.0)
            .edge(0.02)
            .dome(0.05),
    );
    // What is left of the lung holds less air and has a fine bright edge.
    layers.push(
        Layer::new(Material::Muscle, collapsed.clone())
            .displaces(Material::Lung)
            .depth(0.10 + 0.22 * (1.0 - shrink))
            .edge(0.03),
    );
    layers.push(
        Layer::new(Material::Muscle, collapsed.shell(0.012).and(chest.lung(side)))
            .displaces(Material::Lung)
            .depth(0.22)
            .edge(0.02),
    );
}

fn pacemaker(layers: &mut Vec<Layer>, sign: f32, rng: &mut ChaCha8Rng) {
    let center = [sign * (0.52 + rng.about(0.06)), -0.44 + rng.about(0.05)];
    let angle = rng.about(0.5);
    let case = Shape::blob(center, [0.145, 0.115], angle, 0.02, rng);
    layers.push(Layer::new(Material::Metal, case).depth(0.12).edge(0.02).dome(0.03));
    let header = [center[0] - sign * 0.03, center[1] - 0.11];
    let sway = rng.about(0.03);
    for end in [[0.20, 0.42], [-0.10, 0.16]] {
        let lead = curve(
            &[
                header,
                [sign * 0.30, -0.66 + sway],
                [-0.03 + 0.04 * sign, -0.50],
                [-0.09, -0.20],
                [-0.08, 0.1],
                [end[0] + sway, end[1]],
            ],
            false,
            5,
        );
        layers.push(Layer::new(Material::Metal, Shape::tube(lead, 0.014)).depth(0.05).edge(0.01));
    }
}

fn line(layers: &mut Vec<Layer>, sign: f32, rng: &mut ChaCha8Rng) {
    let tip = [-0.09 + rng.about(0.02), 0.02 + rng.about(0.06)];
    let start = rng.between(0.24, 0.32);
    let points = curve(
        &[
            [sign * (start + 0.16), -1.1],
            [sign * start, -0.85],
            [sign * 0.17, -0.62],
            [-0.07 + 0.05 * sign, -0.45],
            [-0.09, -0.2],
            tip,
        ],
        false,
        5,
    );
    layers.push(Layer::new(Material::Plastic, Shape::tube(points, 0.022)).depth(0.24).edge(0.012));
    // The hub and its wings outside the skin.
    let hub = vec![[sign * (start + 0.05), -0.92], [sign * (start + 0.13), -0.98]];
    layers.push(Layer::new(Material::Plastic, Shape::tube(hub, 0.04)).depth(0.3).edge(0.015));
}
