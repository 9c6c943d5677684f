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
        for point in points {
            for axis in 0..2 {
                bounds.low[axis] = bounds.low[axis].min(point[axis] - margin);
                bounds.high[axis] = bounds.high[axis].max(point[axis] + margin);
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
    Polygon(Vec<Point>),
    /// A line of some width, which changes evenly from its first point to its last.
    Tube { points: Vec<Point>, radii: [f32; 2] },
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

    pub(super) fn tube(points: Vec<Point>, radius: f32) -> Self {
        Self::Tube { points, radii: [radius, radius] }
    }

    /// A smooth closed curve through the points.
    pub(super) fn smooth(points: &[Point]) -> Self {
        Self::Polygon(curve(points, true, 5))
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
        Self::Polygon(points)
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
            Self::Polygon(points) => polygon_distance(at, points),
            Self::Tube { points, radii } => tube_distance(at, points, *radii),
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
                let half = [
                    reach(radii[0] * cos, radii[1] * sin),
                    reach(radii[0] * sin, radii[1] * cos),
                ];
                Bounds {
                    low: [center[0] - half[0], center[1] - half[1]],
                    high: [center[0] + half[0], center[1] + half[1]],
                }
            }
            Self::Polygon(points) => Bounds::around(points, 0.0),
            Self::Tube { points, radii } => Bounds::around(points, radii[0].max(radii[1])),
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
    if slope < 1e-6 { -radii[0].min(radii[1]) } else { level * (level - 1.0) / slope }
}

/// Squared distance from a point to a segment, and how far along the segment the foot lies.
fn segment(at: Point, from: Point, to: Point) -> (f32, f32) {
    let (ex, ey) = (to[0] - from[0], to[1] - from[1]);
    let (dx, dy) = (at[0] - from[0], at[1] - from[1]);
    let length = ex * ex + ey * ey;
    let along = if length > 0.0 { ((dx * ex + dy * ey) / length).clamp(0.0, 1.0) } else { 0.0 };
    let (rx, ry) = (dx - ex * along, dy - ey * along);
    (rx * rx + ry * ry, along)
}

fn polygon_distance(at: Point, points: &[Point]) -> f32 {
    let Some(&last) = points.last() else { return f32::INFINITY };
    let (mut nearest, mut inside, mut from) = (f32::INFINITY, false, last);
    for &to in points {
        nearest = nearest.min(segment(at, from, to).0);
        if (from[1] > at[1]) != (to[1] > at[1]) {
            let crossing = from[0] + (at[1] - from[1]) / (to[1] - from[1]) * (to[0] - from[0]);
            if at[0] < crossing {
                inside = !inside;
            }
        }
        from = to;
    }
    if inside { -nearest.sqrt() } else { nearest.sqrt() }
}

fn tube_distance(at: Point, points: &[Point], radii: [f32; 2]) -> f32 {
    let pieces = points.len().saturating_sub(1).max(1) as f32;
    let mut nearest = f32::INFINITY;
    for (piece, pair) in points.windows(2).enumerate() {
        let (squared, along) = segment(at, pair[0], pair[1]);
        let way = (piece as f32 + along) / pieces;
        nearest = nearest.min(squared.sqrt() - (radii[0] + (radii[1] - radii[0]) * way));
    }
    nearest
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
        let square = Shape::Polygon(vec![[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]);
        assert!((square.distance([0.5, 0.4]) + 0.4).abs() < 1e-6);
        assert!((square.distance([4.0, 5.0]) - 5.0).abs() < 1e-5);
        let disc = Shape::disc([0.2, 0.1], 0.5);
        assert!((disc.distance([0.2, 0.9]) - 0.3).abs() < 1e-5);
        assert!((disc.distance([0.2, 0.1]) + 0.5).abs() < 1e-5);
        let tube = Shape::Tube { points: vec![[0.0, 0.0], [1.0, 0.0]], radii: [0.1, 0.3] };
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
