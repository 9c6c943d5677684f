//! Plots of agreement as inline SVG: stacked bars, heat maps, Bland–Altman plots, dots on an axis.

use std::fmt::Write as _;

use super::html::{escape, escape_short};
use crate::agreement::words::{decimal, signed};
use crate::agreement::{BlandAltman, LevelCount, Measure};
use crate::bootstrap::Estimate;

/// Width that names beside a plot take, and the characters that fit there.
const NAMES: f64 = 168.0;
const NAME_LENGTH: usize = 26;

/// One bar of [`stacked`].
pub(super) struct Stack<'a> {
    pub(super) name: String,
    /// Counts by level, the lowest first.
    pub(super) counts: &'a [LevelCount],
    /// What stands to the right of the bar.
    pub(super) said: String,
}

/// Opacity of a level's colour; the lowest is hollow.
fn shade(index: usize, levels: usize) -> f64 {
    if levels < 2 { 1.0 } else { index as f64 / (levels - 1) as f64 }
}

/// Stacked bars of shares in labelled blocks. Every bar has the same levels.
pub(super) fn stacked(description: &str, blocks: &[(String, Vec<Stack<'_>>)]) -> String {
    let (bar, step, width, right) = (17.0, 24.0, 720.0, 128.0);
    let length = width - NAMES - right;
    let rows: usize = blocks.iter().map(|(_, bars)| bars.len()).sum();
    let height = rows as f64 * step + blocks.len() as f64 * 27.0 + 2.0;
    let mut svg = open(width, height, description);
    let mut top = 0.0;
    for (name, bars) in blocks {
        let _ = write!(
            svg,
            "<text class=\"label heading\" x=\"0\" y=\"{:.1}\">{}</text>",
            top + 18.0,
            escape_short(name, 80)
        );
        top += 27.0;
        for one in bars {
            let middle = top + bar / 2.0 + 4.0;
            let _ = write!(
                svg,
                "<text class=\"tick\" x=\"{:.1}\" y=\"{middle:.1}\" text-anchor=\"end\">{}</text>\
                 <text class=\"value\" x=\"{:.1}\" y=\"{middle:.1}\">{}</text>",
                NAMES - 10.0,
                escape_short(&one.name, NAME_LENGTH),
                NAMES + length + 9.0,
                escape(&one.said)
            );
            let total: usize = one.counts.iter().map(|level| level.count).sum();
            let mut left = NAMES;
            for (index, level) in one.counts.iter().enumerate() {
                let share = level.count as f64 / total.max(1) as f64 * length;
                if level.count == 0 {
                    continue;
                }
                let shade = shade(index, one.counts.len());
                let on = if shade > 0.6 { " on" } else { "" };
                let _ = write!(
                    svg,
                    "<g><title>{}: {} of {total}</title><rect class=\"bar level\" x=\"{left:.1}\" \
                     y=\"{top:.1}\" width=\"{share:.1}\" height=\"{bar}\" \
                     fill-opacity=\"{shade:.2}\"/>",
                    decimal(level.level, 0),
                    level.count
                );
                if share > 9.0 + 7.0 * level.count.to_string().len() as f64 {
                    let _ = write!(
                        svg,
                        "<text class=\"value{on}\" x=\"{:.1}\" y=\"{middle:.1}\" \
                         text-anchor=\"middle\">{}</text>",
                        left + share / 2.0,
                        level.count
                    );
                }
                svg.push_str("</g>");
                left += share;
            }
            top += step;
        }
    }
    svg.push_str("</svg>");
    svg
}

/// The key to the shades of [`stacked`].
pub(super) fn levels_legend(names: &[&str]) -> String {
    let mut out = String::from("<p class=\"legend\">");
    for (index, name) in names.iter().enumerate() {
        let _ = write!(
            out,
            "<span><svg width=\"12\" height=\"12\" aria-hidden=\"true\"><rect class=\"bar level\" \
             x=\"1\" y=\"1\" width=\"10\" height=\"10\" fill-opacity=\"{:.2}\"/></svg>{}</span>",
            shade(index, names.len()),
            escape(name)
        );
    }
    out.push_str("</p>");
    out
}

/// A symmetric matrix of numbers from −1 to 1, blue above zero and red below, with the number in
/// every cell. `cell` is asked for each row above its column; a dash is what is undefined.
pub(super) fn heat_map(
    description: &str,
    names: &[String],
    cell: impl Fn(usize, usize) -> Option<f64>,
) -> String {
    let size = 46.0;
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let left = (longest.min(34) as f64 * 6.6 + 14.0).max(60.0);
    // Column names run upwards at 45°, out to the right of the last column.
    let top = left * 0.74 + 6.0;
    let side = names.len() as f64 * size;
    let width = left + side + top;
    let mut svg = open(width, top + side + 2.0, description);
    for (index, name) in names.iter().enumerate() {
        let at = (index as f64 + 0.5) * size;
        let (x, y) = (left + at, top - 7.0);
        let name = escape_short(name, 34);
        let _ = write!(
            svg,
            "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>\
             <text class=\"tick\" transform=\"translate({x:.1} {y:.1}) rotate(-45)\">{name}</text>",
            left - 8.0,
            top + at + 4.0
        );
    }
    for row in 0..names.len() {
        for column in 0..names.len() {
            let (x, y) = (left + column as f64 * size, top + row as f64 * size);
            let value = if row == column { None } else { cell(row.min(column), row.max(column)) };
            let (class, shade, said) = match value {
                _ if row == column => ("same", 1.0, String::new()),
                Some(value) if value < 0.0 => ("below", -value, decimal(value, 2)),
                Some(value) => ("above", value, decimal(value, 2)),
                None => ("none", 0.0, "–".to_owned()),
            };
            let on = if shade > 0.6 && class != "same" { " on" } else { "" };
            let _ = write!(
                svg,
                "<rect class=\"cell {class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{size}\" \
                 height=\"{size}\" fill-opacity=\"{:.2}\"/><text class=\"value{on}\" x=\"{:.1}\" \
                 y=\"{:.1}\" text-anchor=\"middle\">{said}</text>",
                shade.min(1.0),
                x + size / 2.0,
                y + size / 2.0 + 4.0
            );
        }
    }
    svg.push_str("</svg>");
    svg
}

/// Differences of two graders against their mean, on a scale from 0 to `most`: an area for the
/// number of items, and lines for bias and limits.
pub(super) fn bland_altman(
    description: &str,
    plot: &BlandAltman,
    most: f64,
    first: &str,
) -> String {
    let (width, height) = (480.0, 300.0);
    let (left, right, top, bottom) = (46.0, 70.0, 12.0, 44.0);
    let x = |value: f64| left + 12.0 + value / most * (width - left - right - 24.0);
    let reach = plot.points.iter().map(|point| point.difference.abs()).fold(0.0, f64::max);
    let ends = [&plot.lower, &plot.upper].map(|limit| limit.value().unwrap_or(0.0).abs());
    let reach = ends.into_iter().fold(reach, f64::max).max(most / 8.0) * 1.08;
    let y = |value: f64| top + (reach - value) / (2.0 * reach) * (height - top - bottom);
    let mut svg = open(width, height, description);
    for (value, said) in axis(-reach, reach) {
        let class = if value == 0.0 { "axis" } else { "grid" };
        let _ = write!(
            svg,
            "<line class=\"{class}\" x1=\"{left}\" x2=\"{:.1}\" y1=\"{1:.1}\" y2=\"{1:.1}\"/>\
             <text class=\"tick\" x=\"{2:.1}\" y=\"{3:.1}\" text-anchor=\"end\">{said}</text>",
            width - right,
            y(value),
            left - 7.0,
            y(value) + 4.0
        );
    }
    for (value, said) in axis(0.0, most) {
        let _ = write!(
            svg,
            "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{said}</text>",
            x(value),
            height - bottom + 15.0
        );
    }
    let _ = write!(
        svg,
        "<text class=\"label\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">mean of both</text>\
         <text class=\"label\" transform=\"translate(12 {:.1}) rotate(-90)\" \
         text-anchor=\"middle\">{} less the other</text>",
        f64::midpoint(left, width - right),
        height - 7.0,
        f64::midpoint(top, height - bottom),
        escape_short(first, 24)
    );
    let largest = plot.points.iter().map(|point| point.count).max().unwrap_or(1) as f64;
    for point in &plot.points {
        let radius = (12.0 * (point.count as f64 / largest).sqrt()).max(1.6);
        let _ = write!(
            svg,
            "<circle class=\"place\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"{radius:.1}\"><title>{} items: \
             mean {}, difference {}</title></circle>",
            x(point.mean),
            y(point.difference),
            point.count,
            decimal(point.mean, 2),
            signed(point.difference, 2)
        );
    }
    for (limit, class) in [(&plot.bias, "span"), (&plot.lower, "whole"), (&plot.upper, "whole")] {
        let Some(value) = limit.value() else { continue };
        let _ = write!(
            svg,
            "<line class=\"{class}\" x1=\"{left}\" x2=\"{0:.1}\" y1=\"{1:.1}\" y2=\"{1:.1}\"/>\
             <text class=\"value\" x=\"{2:.1}\" y=\"{3:.1}\">{4}</text>",
            width - right,
            y(value),
            width - right + 6.0,
            y(value) + 4.0,
            signed(value, 2)
        );
    }
    svg.push_str("</svg>");
    svg
}

/// Round values between two ends, with their text.
fn axis(low: f64, high: f64) -> Vec<(f64, String)> {
    let (values, decimals) = super::charts::ticks(low, high, 5.0);
    values.into_iter().map(|value| (value + 0.0, decimal(value, decimals))).collect()
}

/// A horizontal axis in a table cell, symmetric about zero.
const CELL: f64 = 190.0;

fn cell_at(value: f64, most: f64) -> f64 {
    CELL / 2.0 + (value / most).clamp(-1.0, 1.0) * (CELL / 2.0 - 9.0)
}

/// A value with its interval on an axis from `−most` to `most`.
pub(super) fn dot(value: Option<(f64, Option<(f64, f64)>)>, most: f64) -> String {
    let mut content = String::new();
    for (class, at) in [("grid", -1.0), ("grid", -0.5), ("axis", 0.0), ("grid", 0.5), ("grid", 1.0)]
    {
        let x = cell_at(at * most, most);
        let _ = write!(
            content,
            "<line class=\"{class}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"0\" y2=\"22\"/>"
        );
    }
    if let Some((value, ends)) = value {
        if let Some((low, high)) = ends {
            let (low, high) = (cell_at(low, most), cell_at(high, most));
            let _ = write!(
                content,
                "<path class=\"span\" d=\"M{low:.1} 11H{high:.1}M{low:.1} 7v8M{high:.1} 7v8\"/>"
            );
        }
        let x = cell_at(value, most) - 4.0;
        let _ = write!(
            content,
            "<rect class=\"point\" x=\"{x:.1}\" y=\"7\" width=\"8\" height=\"8\"/>"
        );
    }
    cell(22.0, &content)
}

/// The axis above a column of [`dot`] cells, with its ends written out.
pub(super) fn dot_axis(ends: [&str; 3]) -> String {
    let mut content = String::new();
    let places = [(-1.0, "start", -4.0), (0.0, "middle", 0.0), (1.0, "end", 4.0)];
    for ((at, anchor, shift), text) in places.into_iter().zip(ends) {
        let _ = write!(
            content,
            "<text class=\"tick\" x=\"{:.1}\" y=\"12\" text-anchor=\"{anchor}\">{}</text>",
            cell_at(at, 1.0) + shift,
            escape(text)
        );
    }
    cell(16.0, &content)
}

fn cell(height: f64, content: &str) -> String {
    format!(
        "<svg class=\"forest\" viewBox=\"0 0 {CELL} {height}\" width=\"{CELL}\" \
         height=\"{height}\" aria-hidden=\"true\">{content}</svg>"
    )
}

/// What [`dot`] draws of a statistic.
pub(super) fn of_measure(measure: &Measure) -> Option<(f64, Option<(f64, f64)>)> {
    measure.defined().map(|value| (value.value, value.low.zip(value.high)))
}

/// What [`dot`] draws of a difference.
pub(super) fn of_estimate(estimate: &Estimate) -> (f64, Option<(f64, f64)>) {
    (estimate.value, estimate.low.zip(estimate.high))
}

fn open(width: f64, height: f64, description: &str) -> String {
    format!(
        "<svg viewBox=\"0 0 {width:.0} {height:.0}\" style=\"max-width:{:.0}px\" role=\"img\" \
         aria-label=\"{}\">",
        width * 1.15,
        escape(description)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agreement::{Point, Undefined};

    #[test]
    fn a_stack_fills_its_bar_and_hides_nothing() {
        let counts =
            [(0.0, 3), (1.0, 0), (2.0, 9)].map(|(level, count)| LevelCount { level, count });
        let bar = Stack { name: "a<b".to_owned(), counts: &counts, said: "1.5".to_owned() };
        let svg = stacked("d", &[("s".to_owned(), vec![bar])]);
        assert!(svg.contains("a&lt;b") && svg.contains("0: 3 of 12") && !svg.contains("1: 0"));
        // 424 units long: a quarter hollow, three quarters full.
        assert!(svg.contains("width=\"106.0\" height=\"17\" fill-opacity=\"0.00\""), "{svg}");
        assert!(svg.contains("x=\"274.0\" y=\"27.0\" width=\"318.0\""), "{svg}");
    }

    #[test]
    fn a_heat_map_has_the_number_in_every_cell() {
        let names = ["a", "b", "c"].map(str::to_owned);
        let svg = heat_map("d", &names, |row, column| match (row, column) {
            (0, 1) => Some(0.5),
            (0, 2) => Some(-0.25),
            (1, 2) => None,
            _ => panic!("{row} {column}"),
        });
        for (text, count) in [(">0.50<", 2), (">\u{2212}0.25<", 2), (">–<", 2)] {
            assert_eq!(svg.matches(text).count(), count, "{text}");
        }
        assert_eq!(svg.matches("class=\"cell").count(), 9);
    }

    #[test]
    fn plots_of_equal_grades_have_finite_coordinates() {
        let none: Measure = Undefined::RightOrWrong.into();
        let plot = BlandAltman {
            bias: none.clone(),
            lower: none.clone(),
            upper: none,
            points: vec![Point { mean: 0.0, difference: 0.0, count: 7 }],
        };
        let svg = bland_altman("d", &plot, 4.0, "judge");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(!dot(None, 1.0).contains("NaN"));
    }
}
