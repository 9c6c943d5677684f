//! An axial slice through the chest at the level of the heart, seen from the feet.

use rand_chacha::ChaCha8Rng;

use super::draw::Draw as _;
use super::facts::{DeviceKind, Finding, FindingKind, PhantomSpec, Side};
use super::material::Material;
use super::scene::Layer;
use super::shape::{Point, Shape, curve, flip};
use super::{Draws, Size};

pub(super) fn layers(spec: &PhantomSpec, draws: &mut Draws) -> Vec<Layer> {
    let mut layers = Vec::with_capacity(80);
    let lungs = wall_and_lungs(&mut layers, &mut draws.anatomy);
    let of = |side: Side| &lungs[usize::from(side == Side::Left)];
    let side_of = |finding: Finding| finding.side.unwrap_or(Side::Left);
    // A collapsed lung comes before the heart, whose outline it must not change.
    for finding in spec.of_kind(FindingKind::Pneumothorax) {
        let side = side_of(finding);
        pneumothorax(&mut layers, of(side), side.sign(), finding, &mut draws.findings);
    }
    for finding in spec.of_kind(FindingKind::Effusion) {
        let side = side_of(finding);
        effusion(&mut layers, of(side), side.sign(), finding, &mut draws.findings);
    }
    mediastinum(&mut layers, &mut draws.anatomy, spec.count(FindingKind::Cardiomegaly) > 0);
    for finding in spec.of_kind(FindingKind::Nodule) {
        nodule(&mut layers, side_of(finding).sign(), finding, &mut draws.findings);
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

/// Body wall, ribs, spine; returns the lungs: patient's right, patient's left.
fn wall_and_lungs(layers: &mut Vec<Layer>, rng: &mut ChaCha8Rng) -> [Shape; 2] {
    let (width, height) = (rng.between(0.90, 0.96), rng.between(0.66, 0.74));
    let fat = rng.between(0.05, 0.10);
    let body = Shape::oval([0.0, 0.0], [width, height]);
    layers.push(Layer::new(Material::Fat, body.clone()));
    layers.push(Layer::new(Material::Muscle, body.shell(0.008)));
    let inner = [width - fat, height - fat];
    layers.push(Layer::new(Material::Muscle, Shape::oval([0.0, 0.02], inner)));
    // The table.
    let table = curve(&[[-0.9, 0.88], [0.0, height + 0.17], [0.9, 0.88]], false, 6);
    layers.push(Layer::new(Material::Bone, Shape::tube(table, 0.012)).opacity(0.5));

    let wall = [inner[0] - 0.12, inner[1] - 0.10];
    let lung = [
        [0.10, -0.74 * wall[1]],
        [0.30, -0.93 * wall[1]],
        [0.66 * wall[0], -0.80 * wall[1]],
        [0.95 * wall[0], -0.35 * wall[1]],
        [wall[0], 0.12 * wall[1]],
        [0.86 * wall[0], 0.62 * wall[1]],
        [0.55 * wall[0], 0.97 * wall[1]],
        [0.26, 0.92 * wall[1]],
        [0.15, 0.50 * wall[1]],
        [0.12, 0.0],
    ];
    let lungs = [Shape::smooth(&lung.map(flip)), Shape::smooth(&lung)];
    for (shape, sign) in lungs.iter().zip([-1.0, 1.0]) {
        layers.push(Layer::new(Material::Lung, shape.clone()).edge(0.02));
        // Vessels fan out from the root; some are cut across.
        for branch in 0..9 {
            let (sin, cos) = (-1.15 + 0.28 * branch as f32 + rng.about(0.12)).sin_cos();
            let start = [sign * 0.16, 0.04 + rng.about(0.05)];
            let length = rng.between(0.28, 0.50);
            let bend = rng.about(0.05);
            let points = curve(
                &[
                    start,
                    [start[0] + sign * 0.5 * length * cos, start[1] + 0.5 * length * sin + bend],
                    [start[0] + sign * length * cos, start[1] + length * sin],
                ],
                false,
                3,
            );
            let vessel = Shape::tapered(points, [0.026, 0.006]).and(shape);
            layers.push(Layer::new(Material::Muscle, vessel).edge(0.03).opacity(0.6));
        }
        for _ in 0..9 {
            let at = [sign * rng.between(0.25, 0.66), rng.between(-0.34, 0.38)];
            let dot = Shape::disc(at, rng.between(0.010, 0.022)).and(shape);
            layers.push(Layer::new(Material::Muscle, dot).edge(0.03).opacity(0.8));
        }
    }
    // Ribs are cut obliquely: short arcs in the wall.
    for step in 0..14 {
        let turn = (step as f32 + 0.5) / 14.0 * std::f32::consts::TAU + rng.about(0.08);
        let on_wall = |angle: f32| -> Point {
            [(wall[0] + 0.045) * angle.cos(), (wall[1] + 0.045) * angle.sin() + 0.02]
        };
        // No rib where spine and sternum are.
        if turn.cos().abs() < 0.3 {
            continue;
        }
        let arc: Vec<Point> =
            (-2..=2_i8).map(|part| on_wall(turn + 0.055 * f32::from(part))).collect();
        layers.push(Layer::new(Material::Bone, Shape::tube(arc, 0.030)));
    }
    let back = height - 0.24;
    layers.push(Layer::new(Material::Muscle, Shape::oval([0.0, back], [0.2, 0.2])).edge(0.05));
    layers.push(Layer::new(Material::Bone, Shape::oval([0.0, back - 0.06], [0.135, 0.105])));
    layers.push(
        Layer::new(Material::Organ, Shape::oval([0.0, back - 0.06], [0.095, 0.07])).opacity(0.6),
    );
    let arch = vec![[-0.17, back + 0.06], [0.0, back + 0.15], [0.17, back + 0.06]];
    layers.push(Layer::new(Material::Bone, Shape::tube(arch, 0.032)));
    let process = vec![[0.0, back + 0.12], [0.0, back + 0.2]];
    layers.push(Layer::new(Material::Bone, Shape::tube(process, 0.028)));
    layers.push(Layer::new(Material::Fluid, Shape::oval([0.0, back + 0.075], [0.06, 0.045])));
    let sternum = Shape::oval([0.0, 0.02 - inner[1] + 0.075], [0.13, 0.038]);
    layers.push(Layer::new(Material::Bone, sternum));
    lungs
}

fn mediastinum(layers: &mut Vec<Layer>, rng: &mut ChaCha8Rng, large: bool) {
    let (normal, wide) = (rng.between(0.92, 1.05), rng.between(1.50, 1.65));
    let size = if large { wide } else { normal };
    let tilt = rng.between(0.45, 0.65);
    let middle = Shape::polygon(curve(
        &[[0.0, -0.52], [0.13, -0.3], [0.14, 0.3], [0.0, 0.42], [-0.14, 0.3], [-0.13, -0.3]],
        true,
        4,
    ));
    layers.push(Layer::new(Material::Muscle, middle).edge(0.03));
    let center = [0.09 + 0.02 * size, -0.13];
    let heart = |grow: f32| Shape::Ellipse {
        center,
        radii: [0.31 * size * grow, 0.235 * (0.35 + 0.65 * size) * grow],
        angle: tilt,
    };
    layers.push(Layer::new(Material::Fat, heart(1.06)).edge(0.03));
    layers.push(Layer::new(Material::Muscle, heart(1.0)).edge(0.02));
    // Chambers hold contrast medium.
    for (along, across, radii) in
        [(0.11, -0.05, [0.13, 0.085]), (-0.10, -0.06, [0.10, 0.10]), (-0.07, 0.09, [0.11, 0.07])]
    {
        let (sin, cos) = tilt.sin_cos();
        let at = [
            center[0] + size * (cos * along - sin * across),
            center[1] + size * (sin * along + cos * across),
        ];
        let chamber = Shape::blob(at, [radii[0] * size, radii[1] * size], tilt, 0.05, rng);
        layers.push(Layer::new(Material::Contrast, chamber).edge(0.04).opacity(0.7));
    }
    let aorta = [0.135 + rng.about(0.01), 0.27 + rng.about(0.02)];
    layers.push(Layer::new(Material::Muscle, Shape::disc(aorta, 0.088)));
    layers.push(Layer::new(Material::Contrast, Shape::disc(aorta, 0.07)).edge(0.02));
    layers.push(Layer::new(Material::Muscle, Shape::oval([0.03, 0.22], [0.05, 0.035])));
    layers.push(Layer::new(Material::Air, Shape::oval([0.03, 0.22], [0.018, 0.012])));
}

fn nodule(layers: &mut Vec<Layer>, sign: f32, finding: Finding, rng: &mut ChaCha8Rng) {
    let row = finding.level.map_or(1, super::Level::row);
    let large = finding.size == Some(Size::Large);
    let radius = if large { rng.between(0.165, 0.19) } else { rng.between(0.095, 0.115) };
    let center = [
        sign * ([0.42, 0.52, 0.41][row] + rng.about(0.03)),
        [-0.29, 0.02, 0.31][row] + rng.about(0.03),
    ];
    let shape = Shape::blob(center, [radius, radius * rng.between(0.9, 1.1)], 0.0, 0.05, rng);
    layers.push(Layer::new(Material::Muscle, shape).edge(0.025));
}

fn effusion(
    layers: &mut Vec<Layer>,
    lung: &Shape,
    sign: f32,
    finding: Finding,
    rng: &mut ChaCha8Rng,
) {
    let top = finding
        .size
        .unwrap_or(Size::Large)
        .choose(rng.between(0.26, 0.31), rng.between(-0.02, 0.06));
    // A crescent that lies at the back and climbs along the wall.
    let air = Shape::oval([sign * 0.28, top - 0.6], [0.52, 0.6]);
    let back = Shape::Half { through: [0.0, top - 0.22], towards: [0.0, 1.0] };
    let fluid = lung.clone().without(&air).and(&back);
    layers.push(Layer::new(Material::Fluid, fluid).edge(0.02));
    // The lung above it is pressed together.
    let pressed = Shape::Shell(Box::new(air), 0.03).and(lung).and(&back);
    layers.push(Layer::new(Material::Organ, pressed).edge(0.03).opacity(0.8));
}

fn pneumothorax(
    layers: &mut Vec<Layer>,
    lung: &Shape,
    sign: f32,
    finding: Finding,
    rng: &mut ChaCha8Rng,
) {
    let keep = finding
        .size
        .unwrap_or(Size::Large)
        .choose(rng.between(0.66, 0.72), rng.between(0.40, 0.50));
    let Shape::Polygon(path) = lung else { return };
    // Air rises to the front of a patient who lies on the back.
    let root = [sign * 0.14, 0.24];
    let collapsed = path
        .points()
        .iter()
        .map(|p| [root[0] + (p[0] - root[0]) * keep, root[1] + (p[1] - root[1]) * keep])
        .collect();
    let collapsed = Shape::polygon(collapsed);
    layers.push(Layer::new(Material::Air, lung.clone().without(&collapsed)).edge(0.02));
    layers.push(Layer::new(Material::Muscle, collapsed.clone()).edge(0.03).opacity(0.42));
    layers.push(Layer::new(Material::Muscle, collapsed.shell(0.014)).edge(0.02));
}

fn pacemaker(layers: &mut Vec<Layer>, sign: f32, rng: &mut ChaCha8Rng) {
    let center = [sign * (0.46 + rng.about(0.04)), -0.53 + rng.about(0.02)];
    streaks(layers, center, 0.9, rng);
    let case = Shape::blob(center, [0.15, 0.062], sign * 0.42, 0.03, rng);
    layers.push(Layer::new(Material::Metal, case));
    for end in [[0.19, -0.05], [-0.08, -0.10]] {
        let lead = vec![end, [end[0] + 0.06, end[1] + 0.05]];
        layers.push(Layer::new(Material::Metal, Shape::tube(lead, 0.028)));
    }
}

fn line(layers: &mut Vec<Layer>, sign: f32, rng: &mut ChaCha8Rng) {
    let wall = sign * rng.between(0.28, 0.34);
    let points = curve(
        &[
            [wall + sign * 0.12, -0.80],
            [wall, -0.62],
            [sign * 0.2, -0.45],
            [-0.04 + sign * 0.05, -0.30 + rng.about(0.03)],
            [-0.10, -0.16],
        ],
        false,
        5,
    );
    layers.push(Layer::new(Material::Plastic, Shape::tube(points, 0.026)));
}

/// What metal does to a CT picture: rays of dark and light.
pub(super) fn streaks(layers: &mut Vec<Layer>, center: Point, length: f32, rng: &mut ChaCha8Rng) {
    let first = rng.between(0.0, 0.6);
    for ray in 0..10 {
        let (sin, cos) = (first + 0.63 * ray as f32 + rng.about(0.1)).sin_cos();
        let end = [center[0] + length * cos, center[1] + length * sin];
        let material = if ray % 2 == 0 { Material::Metal } else { Material::Air };
        let shape = Shape::tapered(vec![center, end], [0.045, 0.004]);
        layers.push(Layer::new(material, shape).edge(0.04).opacity(0.28));
    }
}
