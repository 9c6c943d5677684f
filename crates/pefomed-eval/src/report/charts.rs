//! Charts as inline SVG: no script, no font file, colours from the page's style sheet.

use std::fmt::Write as _;

use super::html::escape;
use crate::bootstrap::Estimate;
use crate::number;

/// Points of a curve beyond which a column of pixels would hold several.
const COLUMNS: usize = 320;

/// A linear scale from data to pixels.
struct Scale {
    from: f64,
    to: f64,
    start: f64,
    end: f64,
}

impl Scale {
    fn at(&self, value: f64) -> f64 {
        self.start + (value - self.from) / (self.to - self.from) * (self.end - self.start)
    }
}

/// Round values that span `low..high` in about `count` steps of 1, 2 or 5 times a power of ten,
/// and the number of decimals they need.
pub(super) fn ticks(low: f64, high: f64, count: f64) -> (Vec<f64>, usize) {
    let span = high - low;
    if !span.is_finite() || span <= 0.0 {
        return (vec![low], 1);
    }
    let rough = span / count;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= rough);
    let step = step.unwrap_or(10.0 * power);
    let first = (low / step - 1e-9).ceil();
    let last = (high / step + 1e-9).floor();
    let decimals = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
    ((0..=(last - first) as usize).map(|i| (first + i as f64) * step).collect(), decimals)
}

/// Loss over steps: the raw values faint, a moving average over 1/20 of the steps on top.
/// `points` are (step, loss), by step; fewer than two draw nothing.
pub(super) fn loss_curve(name: &str, points: &[(f64, f64)]) -> Option<String> {
    let (first, last) = (points.first()?, points.last()?);
    if points.len() < 2 {
        return None;
    }
    let smooth = moving_average(points, (points.len() / 20).max(1));
    let low = points.iter().map(|point| point.1).fold(f64::INFINITY, f64::min);
    let high = points.iter().map(|point| point.1).fold(f64::NEG_INFINITY, f64::max);
    // Zero is where a loss ends: show it unless the curve is far above.
    let low = if low > 0.0 && low < 0.5 * high { 0.0 } else { low };
    let pad = ((high - low) * 0.06).max(1e-9 + high.abs() * 1e-6);
    let bottom = if low == 0.0 { 0.0 } else { low - pad };
    let (width, height) = (480.0, 250.0);
    let x = Scale { from: first.0, to: last.0, start: 46.0, end: width - 14.0 };
    let y = Scale { from: bottom, to: high + pad, start: height - 42.0, end: 12.0 };

    let mut svg = format!(
        "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"Loss of stage {}, from \
         {:.2} to {:.2} by its moving average\">",
        escape(name),
        smooth.first()?.1,
        smooth.last()?.1
    );
    let (values, decimals) = ticks(y.from, y.to, 5.0);
    for value in values {
        let at = y.at(value);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{value:.decimals$}</text>",
            x.start,
            x.end,
            x.start - 7.0,
            at + 4.0
        );
    }
    let (values, _) = ticks(x.from, x.to, 6.0);
    for value in values {
        let at = x.at(value);
        let _ = write!(
            svg,
            "<line class=\"axis\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>\
             <text class=\"tick\" x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            y.start,
            y.start + 4.0,
            y.start + 17.0,
            pefomed_data::readable::thousands(value.max(0.0) as u64)
        );
    }
    let _ = write!(
        svg,
        "<line class=\"axis\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>\
         <text class=\"label\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">optimizer step</text>\
         <text class=\"label\" transform=\"translate(12 {:.1}) rotate(-90)\" \
         text-anchor=\"middle\">loss</text>",
        x.start,
        x.end,
        y.start,
        y.start,
        x.start.midpoint(x.end),
        height - 6.0,
        y.start.midpoint(y.end)
    );
    let path = |points: &[(f64, f64)]| {
        let mut path = String::new();
        for (index, point) in points.iter().enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{command}{:.1} {:.1}", x.at(point.0), y.at(point.1));
        }
        path
    };
    let _ = write!(
        svg,
        "<path class=\"raw\" d=\"{}\"/><path class=\"smooth\" d=\"{}\"/></svg>",
        path(&extremes(points)),
        path(&thinned(&smooth))
    );
    Some(svg)
}

/// Mean over the points within `radius` places on either side, fewer at the ends.
fn moving_average(points: &[(f64, f64)], window: usize) -> Vec<(f64, f64)> {
    let radius = window / 2;
    let mut sums = vec![0.0];
    for point in points {
        sums.push(sums[sums.len() - 1] + point.1);
    }
    (0..points.len())
        .map(|index| {
            let from = index.saturating_sub(radius);
            let to = (index + radius + 1).min(points.len());
            (points[index].0, (sums[to] - sums[from]) / (to - from) as f64)
        })
        .collect()
}

/// Lowest and highest point of each column, so that a long run keeps its spikes.
fn extremes(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= 2 * COLUMNS {
        return points.to_vec();
    }
    let mut kept = Vec::new();
    for column in points.chunks(points.len().div_ceil(COLUMNS)) {
        let by = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        if let (Some(low), Some(high)) = (column.iter().min_by(by), column.iter().max_by(by)) {
            kept.extend(if low.0 <= high.0 { [*low, *high] } else { [*high, *low] });
        }
    }
    kept
}

fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let every = points.len().div_ceil(COLUMNS).max(1);
    let mut kept: Vec<_> = points.iter().copied().step_by(every).collect();
    if let Some(last) = points.last().filter(|last| kept.last() != Some(last)) {
        kept.push(*last);
    }
    kept
}

/// One bar of a group: a class of the style sheet, and its value.
pub(super) struct Bar<'a> {
    pub(super) class: &'static str,
    pub(super) name: &'a str,
    pub(super) estimate: Estimate,
}

/// Bars in labelled groups, in per cent, with whiskers for their intervals. The width grows with
/// the number of bars.
pub(super) fn bars(description: &str, groups: &[(String, Vec<Bar<'_>>)]) -> String {
    let (bar, gap, between) = (30.0, 6.0, 34.0);
    let group_width = |count: usize| count as f64 * (bar + gap) - gap;
    let total: f64 = groups.iter().map(|(_, bars)| group_width(bars.len()) + between).sum();
    // Names wider than their bars need the room.
    let (width, height) = ((46.0 + total).max(260.0), 244.0);
    let y = Scale { from: 0.0, to: 1.0, start: height - 28.0, end: 14.0 };
    let mut svg = format!(
        "<svg viewBox=\"0 0 {width:.0} {height:.0}\" style=\"max-width:{:.0}px\" role=\"img\" \
         aria-label=\"{}\">",
        width * 1.15,
        escape(description)
    );
    for value in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let at = y.at(value);
        let class = if value == 0.0 { "axis" } else { "grid" };
        let _ = write!(
            svg,
            "<line class=\"{class}\" x1=\"36\" x2=\"{width:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text class=\"tick\" x=\"29\" y=\"{:.1}\" text-anchor=\"end\">{:.0}</text>",
            at + 4.0,
            value * 100.0
        );
    }
    let mut left = 36.0 + between / 2.0;
    for (name, bars) in groups {
        let _ = write!(
            svg,
            "<text class=\"label\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            left + group_width(bars.len()) / 2.0,
            height - 9.0,
            escape(name)
        );
        for (index, one) in bars.iter().enumerate() {
            let from = left + index as f64 * (bar + gap);
            one.write(&mut svg, from, bar, &y);
        }
        left += group_width(bars.len()) + between;
    }
    svg.push_str("</svg>");
    svg
}

impl Bar<'_> {
    fn write(&self, svg: &mut String, left: f64, width: f64, y: &Scale) {
        let value = self.estimate.value.clamp(0.0, 1.0);
        let top = y.at(value);
        let _ = write!(
            svg,
            "<g><title>{}: {}</title><rect class=\"bar {}\" x=\"{left:.1}\" y=\"{top:.1}\" \
             width=\"{width:.1}\" height=\"{:.1}\"/>",
            escape(self.name),
            number::with_interval(&self.estimate),
            self.class,
            (y.start - top).max(0.0)
        );
        let middle = left + width / 2.0;
        let mut label_at = top;
        if let (Some(low), Some(high)) = (self.estimate.low, self.estimate.high) {
            let (low, high) = (y.at(low.clamp(0.0, 1.0)), y.at(high.clamp(0.0, 1.0)));
            label_at = high;
            let _ = write!(
                svg,
                "<path class=\"whisker\" d=\"M{middle:.1} {low:.1}V{high:.1}M{:.1} {high:.1}h8M{:.1} \
                 {low:.1}h8\"/>",
                middle - 4.0,
                middle - 4.0
            );
        }
        let _ = write!(
            svg,
            "<text class=\"value\" x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text></g>",
            (label_at - 5.0).max(10.0),
            number::percent(self.estimate.value)
        );
    }
}

/// The 0–100 axis of forest cells, in a cell of [`FOREST_WIDTH`] pixels.
const FOREST: Scale = Scale { from: 0.0, to: 1.0, start: 8.0, end: 212.0 };
const FOREST_WIDTH: u32 = 226;
const QUARTERS: [f64; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];

/// The axis above a column of [`forest`] cells.
pub(super) fn forest_axis() -> String {
    let mut content = String::new();
    for value in QUARTERS {
        let _ = write!(
            content,
            "<text class=\"tick\" x=\"{:.1}\" y=\"12\" text-anchor=\"middle\">{:.0}</text>",
            FOREST.at(value),
            value * 100.0
        );
    }
    forest_cell(16, &content)
}

/// A value with its interval on a 0–100 axis, and a dashed line where the whole stands.
pub(super) fn forest(estimate: &Estimate, whole: f64) -> String {
    let mut content = forest_grid(whole);
    if let (Some(low), Some(high)) = (estimate.low, estimate.high) {
        let (low, high) = (FOREST.at(low.clamp(0.0, 1.0)), FOREST.at(high.clamp(0.0, 1.0)));
        let _ = write!(
            content,
            "<path class=\"span\" d=\"M{low:.1} 11H{high:.1}M{low:.1} 7v8M{high:.1} 7v8\"/>"
        );
    }
    let _ = write!(
        content,
        "<rect class=\"point\" x=\"{:.1}\" y=\"7\" width=\"8\" height=\"8\"/>",
        FOREST.at(estimate.value.clamp(0.0, 1.0)) - 4.0
    );
    forest_cell(22, &content)
}

/// The grid alone, for rows without a value.
pub(super) fn forest_gap(whole: f64) -> String {
    forest_cell(22, &forest_grid(whole))
}

fn forest_grid(whole: f64) -> String {
    let mut content = String::new();
    for (class, value) in
        QUARTERS.map(|value| ("grid", value)).into_iter().chain([("whole", whole)])
    {
        let at = FOREST.at(value.clamp(0.0, 1.0));
        let _ = write!(
            content,
            "<line class=\"{class}\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"0\" y2=\"22\"/>"
        );
    }
    content
}

fn forest_cell(height: u32, content: &str) -> String {
    format!(
        "<svg class=\"forest\" viewBox=\"0 0 {FOREST_WIDTH} {height}\" width=\"{FOREST_WIDTH}\" \
         height=\"{height}\" aria-hidden=\"true\">{content}</svg>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let (values, decimals) = ticks(0.0, 2.6, 5.0);
        assert_eq!(values, [0.0, 1.0, 2.0]);
        assert_eq!(decimals, 0);
        let (values, decimals) = ticks(1.31, 1.58, 5.0);
        let expected = [1.4, 1.5];
        assert_eq!(values.len(), expected.len());
        assert!(values.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{values:?}");
        assert_eq!(decimals, 1);
        assert_eq!(ticks(3.0, 3.0, 5.0).0, [3.0]);
    }

    #[test]
    fn the_moving_average_is_centred_and_shorter_at_the_ends() {
        let points = [(1.0, 3.0), (2.0, 0.0), (3.0, 6.0), (4.0, 3.0)];
        let smooth: Vec<f64> = moving_average(&points, 3).iter().map(|point| point.1).collect();
        assert_eq!(smooth, [1.5, 3.0, 3.0, 4.5]);
        assert_eq!(moving_average(&points, 1), points);
    }

    #[test]
    fn a_long_run_keeps_its_spike_and_draws_few_points() {
        let mut points: Vec<(f64, f64)> = (0..50_000).map(|i| (f64::from(i), 1.0)).collect();
        points[33_333].1 = 9.0;
        let kept = extremes(&points);
        assert!(kept.len() <= 2 * COLUMNS);
        assert!(kept.contains(&(33_333.0, 9.0)));
        assert!(kept.windows(2).all(|two| two[0].0 <= two[1].0));
    }

    #[test]
    fn curves_of_constant_or_huge_losses_have_finite_coordinates() {
        for points in [
            vec![(1.0, 0.5), (2.0, 0.5)],
            vec![(0.0, 0.0), (9.0, 0.0)],
            vec![(1.0, 1e30), (2.0, -1e30)],
        ] {
            let svg = loss_curve("s", &points).unwrap();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
        assert_eq!(loss_curve("s", &[(1.0, 2.0)]), None);
    }
}
