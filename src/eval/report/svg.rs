//! Charts as SVG, drawn by hand: few marks, thin lines, the values told in words where they can be.

use std::fmt::Write;

use super::escape;
use crate::eval::bootstrap::quantile;

/// Colours of what is ID and what is OOD, told apart by people who see no red or green too.
pub(super) const ID: &str = "#1b7fbd";
pub(super) const OOD: &str = "#d9541e";

/// Lines of methods that are not the main one.
const LINES: [&str; 12] =
    ["#7f7f7f", "#8c6d31", "#9467bd", "#2ca02c", "#e377c2", "#17becf", "#bcbd22", "#c49c94", "#6b6ecf", "#e7969c", "#637939", "#ad494a"];
const MAIN: &str = "#111111";

/// Points closer together than this are left out.
const NEAR: f64 = 1.0 / 400.0;

/// A line of a chart.
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    /// Both in 0..=1.
    pub(super) points: Vec<(f64, f64)>,
    /// Drawn last, in black.
    pub(super) main: bool,
}

/// A group's scores, sorted.
pub(super) struct Group {
    pub(super) name: String,
    pub(super) known: bool,
    pub(super) sorted: Vec<f64>,
}

/// Lines in the unit square.
pub(super) fn curves(title: &str, across: &str, up: &str, lines: &[Line<'_>]) -> String {
    const SIDE: f64 = 300.0;
    let mut svg = open(SIDE + 190.0, SIDE + 60.0, title);
    let at = |(x, y): (f64, f64)| (45.0 + x * SIDE, 15.0 + (1.0 - y) * SIDE);
    for tick in 0..=5 {
        let share = f64::from(tick) / 5.0;
        let ((x, bottom), (left, y)) = (at((share, 0.0)), at((0.0, share)));
        let (top, right) = (15.0, 45.0 + SIDE);
        add(&mut svg, format_args!(r#"<path class="grid" d="M{x:.1},{bottom:.1}V{top:.1}M{left:.1},{y:.1}H{right:.1}"/>"#));
        add(&mut svg, format_args!(r#"<text x="{x:.1}" y="{:.1}" text-anchor="middle">{share:.1}</text>"#, bottom + 14.0));
        add(&mut svg, format_args!(r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{share:.1}</text>"#, left - 5.0, y + 4.0));
    }
    let order = lines.iter().enumerate().filter(|(_, line)| !line.main).chain(lines.iter().enumerate().filter(|(_, line)| line.main));
    for (index, line) in order {
        let (colour, width) = if line.main { (MAIN, 2.4) } else { (LINES[index % LINES.len()], 1.2) };
        let mut path = String::new();
        for (position, point) in thinned(&line.points).into_iter().enumerate() {
            let (x, y) = at(point);
            add(&mut path, format_args!("{}{x:.1},{y:.1}", if position == 0 { 'M' } else { 'L' }));
        }
        let name = escape(line.name);
        add(
            &mut svg,
            format_args!(r#"<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width}"><title>{name}</title></path>"#),
        );
        #[expect(clippy::cast_precision_loss, reason = "some methods")]
        let y = 24.0 + 16.0 * index as f64;
        let x = SIDE + 60.0;
        add(&mut svg, format_args!(r#"<path d="M{x},{y}h16" stroke="{colour}" stroke-width="{}"/>"#, width + 0.6));
        add(&mut svg, format_args!(r#"<text x="{}" y="{}">{name}</text>"#, x + 22.0, y + 4.0));
    }
    add(&mut svg, format_args!(r#"<text x="{}" y="{}" text-anchor="middle">{across}</text>"#, 45.0 + SIDE / 2.0, SIDE + 48.0));
    let (x, y) = (12.0, 15.0 + SIDE / 2.0);
    add(&mut svg, format_args!(r#"<text x="{x}" y="{y}" text-anchor="middle" transform="rotate(-90 {x} {y})">{up}</text></svg>"#));
    svg
}

/// Both kinds' scores as shares of their own kind in 40 bins, and the threshold that keeps 95 % of ID.
pub(super) fn histogram(title: &str, known: &[f64], unknown: &[f64], threshold: f64) -> String {
    const BINS: u32 = 40;
    const WIDTH: f64 = 260.0;
    const HEIGHT: f64 = 110.0;
    let all = || known.iter().chain(unknown);
    let (low, high) = (all().copied().fold(f64::INFINITY, f64::min), all().copied().fold(f64::NEG_INFINITY, f64::max));
    let span = if high > low { high - low } else { 1.0 };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a bin's number, a count")]
    let shares = |scores: &[f64]| {
        let mut bins = [0.0; BINS as usize];
        for score in scores {
            let bin = ((score - low) / span * f64::from(BINS)) as usize;
            bins[bin.min(BINS as usize - 1)] += 1.0 / scores.len() as f64;
        }
        bins
    };
    let kinds = [(shares(unknown), OOD, "OOD"), (shares(known), ID, "ID")];
    let most = kinds.iter().flat_map(|(bins, ..)| bins).copied().fold(f64::MIN_POSITIVE, f64::max);
    let mut svg = open(WIDTH + 20.0, HEIGHT + 42.0, title);
    add(&mut svg, format_args!(r#"<text x="10" y="13" class="name">{}</text>"#, escape(title)));
    let bottom = HEIGHT + 20.0;
    for (bins, colour, name) in kinds {
        let mut path = format!("M10,{bottom:.1}");
        for (bin, share) in (0..).zip(bins) {
            let width = WIDTH / f64::from(BINS);
            let (x, y) = (10.0 + width * f64::from(bin), bottom - share / most * HEIGHT);
            add(&mut path, format_args!("L{x:.1},{y:.1}h{width:.1}"));
        }
        add(&mut path, format_args!("V{bottom:.1}Z"));
        add(
            &mut svg,
            format_args!(r#"<path d="{path}" fill="{colour}" fill-opacity=".45" stroke="{colour}"><title>{name}</title></path>"#),
        );
    }
    let x = 10.0 + (threshold - low) / span * WIDTH;
    add(&mut svg, format_args!(r#"<path d="M{x:.1},20V{bottom:.1}" stroke="black" stroke-dasharray="3 2"/>"#));
    add(
        &mut svg,
        format_args!(
            r#"<text x="10" y="{y}">{low:.3}</text><text x="{x}" y="{y}" text-anchor="end">{high:.3}</text></svg>"#,
            y = bottom + 14.0,
            x = WIDTH + 10.0
        ),
    );
    svg
}

/// A box a group: quartiles, and whiskers from 5 to 95 %.
pub(super) fn boxes(title: &str, groups: &[Group], threshold: f64) -> String {
    const ROW: f64 = 18.0;
    const LEFT: f64 = 190.0;
    const WIDTH: f64 = 420.0;
    #[expect(clippy::cast_precision_loss, reason = "some groups")]
    let height = ROW * groups.len() as f64;
    let ends = |share| groups.iter().map(move |group| quantile(&group.sorted, share));
    let low = ends(0.05).fold(threshold, f64::min);
    let high = ends(0.95).fold(threshold, f64::max);
    let span = if high > low { high - low } else { 1.0 };
    let at = |value: f64| LEFT + (value - low) / span * WIDTH;
    let mut svg = open(LEFT + WIDTH + 20.0, height + 40.0, title);
    let mut y = 14.0;
    for Group { name, known, sorted } in groups {
        let [least, lower, median, upper, most] = [0.05, 0.25, 0.5, 0.75, 0.95].map(|share| at(quantile(sorted, share)));
        let colour = if *known { ID } else { OOD };
        add(
            &mut svg,
            format_args!(r#"<text x="{}" y="{}" text-anchor="end">{} ({})</text>"#, LEFT - 8.0, y + 4.0, escape(name), sorted.len()),
        );
        add(&mut svg, format_args!(r#"<path d="M{least:.1},{y}H{most:.1}" stroke="{colour}"/>"#));
        let (top, wide) = (y - 5.5, (upper - lower).max(1.0));
        add(
            &mut svg,
            format_args!(
                r#"<rect x="{lower:.1}" y="{top}" width="{wide:.1}" height="11" fill="{colour}" fill-opacity=".35" stroke="{colour}"/>"#
            ),
        );
        add(&mut svg, format_args!(r#"<path d="M{median:.1},{top}v11" stroke="{colour}" stroke-width="2.5"/>"#));
        y += ROW;
    }
    let (x, bottom) = (at(threshold), height + 8.0);
    add(&mut svg, format_args!(r#"<path d="M{x:.1},4V{bottom}" stroke="black" stroke-dasharray="3 2"/>"#));
    let y = bottom + 16.0;
    add(&mut svg, format_args!(r#"<text x="{x:.1}" y="{y}" text-anchor="middle">{threshold:.3}</text>"#));
    add(
        &mut svg,
        format_args!(
            r#"<text x="{LEFT}" y="{y}">{low:.3}</text><text x="{}" y="{y}" text-anchor="end">{high:.3}</text></svg>"#,
            LEFT + WIDTH
        ),
    );
    svg
}

fn open(width: f64, height: f64, title: &str) -> String {
    let title = escape(title);
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="{title}">"#
    )
}

fn add(text: &mut String, part: std::fmt::Arguments<'_>) {
    text.write_fmt(part).expect("a string takes everything");
}

/// What the eye can tell apart, and both ends.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut kept: Vec<(f64, f64)> = Vec::new();
    for (index, &(x, y)) in points.iter().enumerate() {
        let far = kept.last().is_none_or(|last| (x - last.0).abs() + (y - last.1).abs() >= NEAR);
        if far || index + 1 == points.len() {
            kept.push((x, y));
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chart_is_whole_xml_and_names_are_escaped() {
        let line = Line { name: "a<b", points: (0..10_000).map(|k| (f64::from(k) / 1e4, 0.5)).collect(), main: true };
        let group = Group { name: "R&B".to_owned(), known: false, sorted: vec![0.1, 0.2, 0.9] };
        let charts = [
            curves("ROC", "x", "y", &[line]),
            histogram("equal", &[0.5, 0.5], &[0.5], 0.5),
            histogram("some", &[0.1, 0.9], &[0.2], 0.1),
            boxes("boxes", &[group], 0.3),
        ];
        for chart in charts {
            let document = roxmltree::Document::parse(&chart).unwrap_or_else(|error| panic!("{error}: {chart}"));
            assert!(document.root_element().has_tag_name(("http://www.w3.org/2000/svg", "svg")));
            assert!(chart.len() < 20_000 && !chart.contains("NaN"), "{chart}");
        }
    }

    #[test]
    fn thinning_keeps_both_ends() {
        let points: Vec<(f64, f64)> = (0..=10_000).map(|k| (f64::from(k) / 1e4, 0.0)).collect();
        let kept = thinned(&points);
        assert!(kept.len() < 450 && kept[0] == points[0] && kept.last() == points.last());
    }
}
