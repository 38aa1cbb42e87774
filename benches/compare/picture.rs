//! The picture: operations a second against connections, a panel for each workload.

use crate::{turns::Row, workload::Workload};
use std::fmt::Write;

const COLUMNS: usize = 3;

/// Of a panel, in pixels.
const PANEL: (f64, f64) = (330.0, 250.0);

/// Of what is drawn in it: left, top, width, height.
const PLOT: (f64, f64, f64, f64) = (52.0, 36.0, 262.0, 170.0);

const COLOURS: [&str; 7] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#999999", "#e69f00", "#56b4e9"];

/// A drawing of `rows` as SVG; `None` if there is only one number of connections.
pub fn of(rows: &[Row]) -> Option<String> {
    let mut connections = distinct(rows.iter().map(|row| row.connections));
    connections.sort_unstable();
    if connections.len() < 2 {
        return None;
    }
    let servers = distinct(rows.iter().map(|row| row.server));
    let workloads = distinct(rows.iter().map(|row| row.workload));
    let lines = workloads.len().div_ceil(COLUMNS);
    let (width, height) = (PANEL.0 * whole(COLUMNS), PANEL.1 * whole(lines) + 60.0);
    let mut svg = String::new();
    // Nothing refuses to be written into a string.
    let _written = write!(
        svg,
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' \
         width='{width}' height='{height}' font-family='sans-serif' font-size='11' fill='#333333'>\n\
         <title>Operations a second against connections</title>\n\
         <rect width='100%' height='100%' fill='#ffffff'/>\n"
    );
    for (index, server) in servers.iter().enumerate() {
        let (x, colour) = (PLOT.0 + 130.0 * whole(index), colour(index));
        let _written = writeln!(
            svg,
            "<rect x='{x}' y='14' width='14' height='4' fill='{colour}'/>\
             <text x='{}' y='20'>{server}</text>",
            x + 20.0
        );
    }
    for (index, &workload) in workloads.iter().enumerate() {
        let (x, y) = (PANEL.0 * whole(index % COLUMNS), PANEL.1 * whole(index / COLUMNS) + 30.0);
        let _written = writeln!(svg, "<g transform='translate({x} {y})'>");
        let rows: Vec<&Row> = rows.iter().filter(|row| row.workload == workload).collect();
        panel(&mut svg, workload, &rows, &servers, &connections);
        svg.push_str("</g>\n");
    }
    let _written = writeln!(
        svg,
        "<text x='{}' y='{}'>operations a second (k: thousands), against connections</text>\n</svg>",
        PLOT.0,
        height - 16.0
    );
    Some(svg)
}

fn panel(
    svg: &mut String,
    workload: Workload,
    rows: &[&Row],
    servers: &[&str],
    connections: &[u32],
) {
    let (left, top, width, height) = PLOT;
    let most = rows.iter().map(|row| row.measurement.rate).fold(1.0, f64::max);
    let step = step(most);
    let full = (most / step).ceil() * step;
    let (x, y) = (
        |index: usize| left + width * whole(index) / whole(connections.len() - 1),
        |rate: f64| top + height * (1.0 - rate / full),
    );
    let _written = writeln!(
        svg,
        "<text x='{left}' y='{}' font-size='13' font-weight='bold'>{}</text>",
        top - 12.0,
        workload.name()
    );
    let mut rate = 0.0;
    while rate <= full {
        let (at, thousands) = (y(rate), rate / 1000.0);
        let _written = writeln!(
            svg,
            "<line x1='{left}' x2='{}' y1='{at:.1}' y2='{at:.1}' stroke='#dddddd'/>\
             <text x='{}' y='{:.1}' text-anchor='end'>{thousands}k</text>",
            left + width,
            left - 6.0,
            at + 4.0
        );
        rate += step;
    }
    for (index, connections) in connections.iter().enumerate() {
        let (at, below) = (x(index), top + height + 16.0);
        let _written = writeln!(
            svg,
            "<text x='{at:.1}' y='{below}' text-anchor='middle'>{connections}</text>"
        );
    }
    for (number, &server) in servers.iter().enumerate() {
        let colour = colour(number);
        let mut line = String::new();
        for row in rows.iter().filter(|row| row.server == server) {
            let Some(index) = connections.iter().position(|&some| some == row.connections) else {
                continue;
            };
            let (x, y) = (x(index), y(row.measurement.rate));
            let _written = write!(line, "{x:.1},{y:.1} ");
            let _written = writeln!(
                svg,
                "<circle cx='{x:.1}' cy='{y:.1}' r='3' fill='{colour}'><title>{server}, {}: {:.0}</title></circle>",
                row.connections, row.measurement.rate
            );
        }
        let _written = writeln!(
            svg,
            "<polyline points='{line}' fill='none' stroke='{colour}' stroke-width='2'/>"
        );
    }
}

/// One, two or five times a power of ten, so that there are a handful of lines below `most`.
fn step(most: f64) -> f64 {
    let power = 10_f64.powf((most / 5.0).log10().floor());
    [1.0, 2.0, 5.0]
        .map(|times| times * power)
        .into_iter()
        .find(|step| most / step <= 6.0)
        .unwrap_or(10.0 * power)
}

fn colour(index: usize) -> &'static str {
    COLOURS[index % COLOURS.len()]
}

#[expect(clippy::cast_precision_loss, reason = "a handful")]
fn whole(number: usize) -> f64 {
    number as f64
}

fn distinct<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut distinct = Vec::new();
    for one in all {
        if !distinct.contains(&one) {
            distinct.push(one);
        }
    }
    distinct
}
