//! Outlines that organs, lesions and devices are made of.
//!
//! Every shape answers one question, how far a point lies from its edge, negative inside. From
//! that one number follow soft edges, shells, and the thickness that a dome has along an X-ray.
//! The plane is `[-1, 1]` in both directions for the whole picture, x to the right, y down.

use std::f32::consts::TAU;

use rand_chacha::ChaCha8Rng;

use super::draw::Draw as _;

/// A point of the scene plane.
pub(super) type Point = [f32; 2];

/// An axis-parallel box: smallest corner, largest corner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bounds {
    pub(super) low: Point,
    pub(super) high: Point,
}

impl Bounds {
    fn around(points: &[Point], margin: f32) -> Self {
        let mut bounds = Self { low: [f32::INFINITY; 2], high: [f32::NEG_INFINITY; 2] };
        for &point in points {
            for (axis, place) in point.into_iter().enumerate() {
                bounds.low[axis] = bounds.low[axis].min(place - margin);
                bounds.high[axis] = bounds.high[axis].max(place + margin);
            }
        }
        bounds
    }

    fn overlap(self, other: Self) -> Self {
        let mut bounds = self;
        for axis in 0..2 {
            bounds.low[axis] = bounds.low[axis].max(other.low[axis]);
            bounds.high[axis] = bounds.high[axis].min(other.high[axis]);
        }
        bounds
    }

    fn grown(self, margin: f32) -> Self {
        Self {
            low: self.low.map(|value| value - margin),
            high: self.high.map(|value| value + margin),
        }
    }
}

/// A region of the plane with a (nearly) exact signed distance.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// An ellipse; the angle turns it clockwise on the screen, in radians.
    Ellipse { center: Point, radii: Point, angle: f32 },
    /// A closed polygon without holes.
    Polygon(Path),
    /// A line of some width, which changes evenly from its first point to its last.
    Tube { path: Path, radii: [f32; 2] },
    /// What lies beyond a line through `through`, on the side that `towards` points to (a unit
    /// vector).
    Half { through: Point, towards: Point },
    /// What lies in both.
    Both(Box<Shape>, Box<Shape>),
    /// What lies in the first but not in the second.
    Without(Box<Shape>, Box<Shape>),
    /// The neighbourhood of a shape's edge, this far to either side.
    Shell(Box<Shape>, f32),
}

impl Shape {
    pub(super) fn disc(center: Point, radius: f32) -> Self {
        Self::Ellipse { center, radii: [radius, radius], angle: 0.0 }
    }

    pub(super) fn oval(center: Point, radii: Point) -> Self {
        Self::Ellipse { center, radii, angle: 0.0 }
    }

    pub(super) fn polygon(points: Vec<Point>) -> Self {
        Self::Polygon(Path::new(points, true))
    }

    /// A line of even width.
    pub(super) fn tube(points: Vec<Point>, radius: f32) -> Self {
        Self::tapered(points, [radius, radius])
    }

    /// A line whose width changes evenly.
    pub(super) fn tapered(points: Vec<Point>, radii: [f32; 2]) -> Self {
        Self::Tube { path: Path::new(points, false), radii }
    }

    /// A smooth closed curve through the points.
    pub(super) fn smooth(points: &[Point]) -> Self {
        Self::polygon(curve(points, true, 5))
    }

    /// An ellipse whose edge wanders in and out by about `roughness` of its radius.
    pub(super) fn blob(
        center: Point,
        radii: Point,
        angle: f32,
        roughness: f32,
        rng: &mut ChaCha8Rng,
    ) -> Self {
        const CORNERS: usize = 30;
        let mut waves = [(0.0, 0.0); 4];
        for wave in &mut waves {
            *wave = (rng.about(roughness), rng.between(0.0, TAU));
        }
        let (sin, cos) = angle.sin_cos();
        let points = (0..CORNERS)
            .map(|corner| {
                let turn = TAU * corner as f32 / CORNERS as f32;
                let mut reach = 1.0;
                for (order, (height, phase)) in (2_u8..).zip(waves) {
                    reach += height * (f32::from(order) * turn + phase).cos();
                }
                let (x, y) = (radii[0] * reach * turn.cos(), radii[1] * reach * turn.sin());
                [center[0] + cos * x - sin * y, center[1] + sin * x + cos * y]
            })
            .collect();
        Self::polygon(points)
    }

    pub(super) fn and(self, other: &Self) -> Self {
        Self::Both(Box::new(self), Box::new(other.clone()))
    }

    pub(super) fn without(self, other: &Self) -> Self {
        Self::Without(Box::new(self), Box::new(other.clone()))
    }

    pub(super) fn shell(&self, half_width: f32) -> Self {
        Self::Shell(Box::new(self.clone()), half_width)
    }

    /// Distance from the edge, negative inside.
    pub(super) fn distance(&self, at: Point) -> f32 {
        match self {
            Self::Ellipse { center, radii, angle } => ellipse_distance(at, *center, *radii, *angle),
            Self::Polygon(path) => path.signed_distance(at),
            Self::Tube { path, radii } => path.tube_distance(at, *radii),
            Self::Half { through, towards } => {
                (through[0] - at[0]) * towards[0] + (through[1] - at[1]) * towards[1]
            }
            Self::Both(one, other) => {
                let first = one.distance(at);
                // Far outside, the other shape cannot bring the point back in.
                if first > 0.3 { first } else { first.max(other.distance(at)) }
            }
            Self::Without(one, other) => {
                let first = one.distance(at);
                if first > 0.3 { first } else { first.max(-other.distance(at)) }
            }
            Self::Shell(shape, half_width) => shape.distance(at).abs() - half_width,
        }
    }

    /// A box that holds the shape.
    pub(super) fn bounds(&self) -> Bounds {
        match self {
            Self::Ellipse { center, radii, angle } => {
                let (sin, cos) = angle.sin_cos();
                let reach = |a: f32, b: f32| (a * a + b * b).sqrt();
                let half =
                    [reach(radii[0] * cos, radii[1] * sin), reach(radii[0] * sin, radii[1] * cos)];
                Bounds {
                    low: [center[0] - half[0], center[1] - half[1]],
                    high: [center[0] + half[0], center[1] + half[1]],
                }
            }
            Self::Polygon(path) => Bounds::around(&path.points, 0.0),
            Self::Tube { path, radii } => Bounds::around(&path.points, radii[0].max(radii[1])),
            Self::Half { .. } => Bounds { low: [-3.0; 2], high: [3.0; 2] },
            Self::Both(one, other) => one.bounds().overlap(other.bounds()),
            Self::Without(one, _) => one.bounds(),
            Self::Shell(shape, half_width) => shape.bounds().grown(*half_width),
        }
    }
}

/// First-order distance to an ellipse: exact on the edge and on a circle, close near the edge.
fn ellipse_distance(at: Point, center: Point, radii: Point, angle: f32) -> f32 {
    let (sin, cos) = angle.sin_cos();
    let (dx, dy) = (at[0] - center[0], at[1] - center[1]);
    let local = [(cos * dx + sin * dy) / radii[0], (cos * dy - sin * dx) / radii[1]];
    let level = (local[0] * local[0] + local[1] * local[1]).sqrt();
    let slope = ((local[0] / radii[0]).powi(2) + (local[1] / radii[1]).powi(2)).sqrt();
    let deepest = -radii[0].min(radii[1]);
    if slope < 1e-6 { deepest } else { (level * (level - 1.0) / slope).max(deepest) }
}

/// Segments handled side by side; the loops over them become vector instructions.
const LANES: usize = 8;

/// Up to eight segments of a path, one number of each in a row.
#[derive(Clone, Debug)]
struct Segments {
    /// Where each begins.
    x: [f32; LANES],
    y: [f32; LANES],
    /// From there to its end.
    dx: [f32; LANES],
    dy: [f32; LANES],
    /// One over its squared length, 0 for a segment without length.
    inverse: [f32; LANES],
    /// x per y along it, for crossings.
    lean: [f32; LANES],
}

/// Points joined by straight lines, prepared for distances.
#[derive(Clone, Debug)]
pub(super) struct Path {
    points: Vec<Point>,
    pieces: usize,
    segments: Vec<Segments>,
}

impl Path {
    fn new(points: Vec<Point>, closed: bool) -> Self {
        let mut pairs: Vec<[Point; 2]> = points.windows(2).map(|pair| [pair[0], pair[1]]).collect();
        if let (true, Some(&first), Some(&last)) = (closed, points.first(), points.last()) {
            pairs.push([last, first]);
        }
        let pieces = pairs.len();
        let segments = pairs
            .chunks(LANES)
            .map(|chunk| {
                // Lanes without a segment repeat the end of the last one: they have no length,
                // are never nearer and are never crossed.
                let pair = |lane: usize| {
                    chunk.get(lane).copied().unwrap_or_else(|| {
                        let end = chunk[chunk.len() - 1][1];
                        [end, end]
                    })
                };
                let each =
                    |f: &dyn Fn([Point; 2]) -> f32| std::array::from_fn(|lane| f(pair(lane)));
                Segments {
                    x: each(&|[from, _]| from[0]),
                    y: each(&|[from, _]| from[1]),
                    dx: each(&|[from, to]| to[0] - from[0]),
                    dy: each(&|[from, to]| to[1] - from[1]),
                    inverse: each(&|[from, to]| {
                        let squared = (to[0] - from[0]).powi(2) + (to[1] - from[1]).powi(2);
                        if squared > 0.0 { 1.0 / squared } else { 0.0 }
                    }),
                    lean: each(&|[from, to]| {
                        let rise = to[1] - from[1];
                        if rise == 0.0 { 0.0 } else { (to[0] - from[0]) / rise }
                    }),
                }
            })
            .collect();
        Self { points, pieces, segments }
    }

    pub(super) fn points(&self) -> &[Point] {
        &self.points
    }

    /// Distance to a closed path, negative inside.
    fn signed_distance(&self, at: Point) -> f32 {
        let mut nearest = [f32::INFINITY; LANES];
        let mut crossings = [0_u32; LANES];
        for s in &self.segments {
            for lane in 0..LANES {
                let (px, py) = (at[0] - s.x[lane], at[1] - s.y[lane]);
                let along = (px * s.dx[lane] + py * s.dy[lane]) * s.inverse[lane];
                let along = if along > 0.0 { along } else { 0.0 };
                let along = if along < 1.0 { along } else { 1.0 };
                let (rx, ry) = (px - s.dx[lane] * along, py - s.dy[lane] * along);
                let squared = rx * rx + ry * ry;
                nearest[lane] = if squared < nearest[lane] { squared } else { nearest[lane] };
                let spans = (py < 0.0) != (py < s.dy[lane]);
                let left = px < py * s.lean[lane];
                crossings[lane] ^= u32::from(spans & left);
            }
        }
        let distance = nearest.into_iter().fold(f32::INFINITY, f32::min).sqrt();
        let inside = crossings.into_iter().fold(0, |all, one| all ^ one) == 1;
        if inside { -distance } else { distance }
    }

    /// Distance to a line whose half width goes from the first radius to the second.
    #[expect(clippy::needless_range_loop, reason = "six arrays walked together")]
    fn tube_distance(&self, at: Point, radii: [f32; 2]) -> f32 {
        let mut nearest = [f32::INFINITY; LANES];
        let step = (radii[1] - radii[0]) / self.pieces.max(1) as f32;
        for (group, s) in self.segments.iter().enumerate() {
            for lane in 0..LANES {
                let (px, py) = (at[0] - s.x[lane], at[1] - s.y[lane]);
                let along = (px * s.dx[lane] + py * s.dy[lane]) * s.inverse[lane];
                let along = if along > 0.0 { along } else { 0.0 };
                let along = if along < 1.0 { along } else { 1.0 };
                let (rx, ry) = (px - s.dx[lane] * along, py - s.dy[lane] * along);
                // Lanes without a segment stand at the end of the last one.
                let piece = (group * LANES + lane).min(self.pieces) as f32;
                let radius = radii[0] + step * (piece + along);
                let distance = (rx * rx + ry * ry).sqrt() - radius;
                nearest[lane] = if distance < nearest[lane] { distance } else { nearest[lane] };
            }
        }
        nearest.into_iter().fold(f32::INFINITY, f32::min)
    }
}

/// A Catmull-Rom curve through the points, `steps` straight pieces between neighbours.
pub(super) fn curve(points: &[Point], closed: bool, steps: usize) -> Vec<Point> {
    let count = points.len();
    if count < 3 {
        return points.to_vec();
    }
    let at = |index: isize| -> Point {
        if closed {
            points[index.rem_euclid(count as isize) as usize]
        } else {
            points[index.clamp(0, count as isize - 1) as usize]
        }
    };
    let spans = if closed { count } else { count - 1 };
    let mut smooth = Vec::with_capacity(spans * steps + 1);
    for span in 0..spans as isize {
        let [before, from, to, after] = [at(span - 1), at(span), at(span + 1), at(span + 2)];
        for step in 0..steps {
            let t = step as f32 / steps as f32;
            smooth.push([0, 1].map(|axis| {
                let (p0, p1, p2, p3) = (before[axis], from[axis], to[axis], after[axis]);
                0.5 * (2.0 * p1
                    + (p2 - p0) * t
                    + (2.0 * p0 - 5.0 * p1 + 4.0 * p2 - p3) * t * t
                    + (3.0 * p1 - p0 - 3.0 * p2 + p3) * t * t * t)
            }));
        }
    }
    if !closed {
        smooth.push(points[count - 1]);
    }
    smooth
}

/// The point mirrored at the midline.
pub(super) fn flip(point: Point) -> Point {
    [-point[0], point[1]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_of_simple_shapes_are_those_of_geometry() {
        let square = Shape::polygon(vec![[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]);
        assert!((square.distance([0.5, 0.4]) + 0.4).abs() < 1e-6);
        assert!((square.distance([4.0, 5.0]) - 5.0).abs() < 1e-5);
        let disc = Shape::disc([0.2, 0.1], 0.5);
        assert!((disc.distance([0.2, 0.9]) - 0.3).abs() < 1e-5);
        assert!((disc.distance([0.2, 0.1]) + 0.5).abs() < 1e-5);
        let tube = Shape::tapered(vec![[0.0, 0.0], [1.0, 0.0]], [0.1, 0.3]);
        assert!((tube.distance([0.5, 1.0]) - 0.8).abs() < 1e-6);
        let half = Shape::Half { through: [0.0, 0.2], towards: [0.0, 1.0] };
        assert!(half.distance([9.0, 0.5]) < 0.0 && half.distance([9.0, 0.1]) > 0.0);
        let ring = disc.without(&Shape::disc([0.2, 0.1], 0.3));
        assert!(ring.distance([0.2, 0.1]) > 0.0 && ring.distance([0.6, 0.1]) < 0.0);
    }

    #[test]
    fn bounds_hold_every_point_of_a_turned_ellipse() {
        let shape = Shape::Ellipse { center: [0.1, -0.2], radii: [0.6, 0.2], angle: 0.7 };
        let bounds = shape.bounds();
        for step in 0..64 {
            for other in 0..64 {
                let at = [-1.0 + step as f32 / 32.0, -1.0 + other as f32 / 32.0];
                if shape.distance(at) < 0.0 {
                    assert!((0..2).all(|a| bounds.low[a] <= at[a] && at[a] <= bounds.high[a]));
                }
            }
        }
        assert!((bounds.high[0] - 0.1) < 0.6, "a turned ellipse is narrower than its long radius");
    }
}
