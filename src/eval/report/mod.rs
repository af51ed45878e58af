//! An evaluation as one HTML file: tables, charts, the worst mistakes. Nothing in it is fetched from elsewhere, and no script is needed.

mod mistakes;
mod svg;

use std::fmt::Write;

use self::{
    mistakes::{Mistake, pictured, worst},
    svg::{Group, Line, boxes, curves, histogram},
};
use super::{
    curve::Curve,
    document::Origin,
    evaluation::{Evaluation, Request, Run},
    methods::Method,
    metrics::{Metrics, TOLD},
    rows::{MEAN, Row, counts, unknown},
};
use crate::{
    Result,
    engine::{EngineConfig, FeatureEncoder, Runtime},
};

const STYLE: &str = include_str!("style.css");

/// Groups of unknown things that are drawn; of more, those with most objects.
const GROUPS: usize = 40;

/// The report of an evaluation's first run, and the table of all.
///
/// # Errors
/// Whatever the pictures of the worst mistakes and the feature encoder can be wrong in.
pub fn report(config: &EngineConfig, request: &Request, evaluation: &Evaluation, rows: &[Row], origin: &Origin<'_>) -> Result<String> {
    let main = evaluation.columns.iter().position(|name| *name == Method::Uniood.name()).unwrap_or(0);
    let (method, run) = (&evaluation.columns[main], &evaluation.runs[0]);
    let threshold = rows.iter().find(|row| row.method == *method).map_or(0.0, |row| row.metrics.threshold);
    let mut page = String::new();
    let mut add = |part: &str| page.push_str(part);
    let title = format!("{} on {}", origin.models, request.parts.iter().map(|part| &*part.name).collect::<Vec<_>>().join(", "));
    add(&format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>uniood eval: {0}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body>\n<h1>{0}</h1>\n",
        escape(&title)
    ));
    add("<p>Scores are higher for what is known (ID). Intervals are 95 %, by bootstrap over pictures.</p>\n");
    add(&tables(rows));
    for ood in unknown(&request.parts) {
        add(&format!("<h2>{}</h2>\n", escape(&request.parts[ood].name)));
        add(&charts(request, evaluation, rows, ood, main));
    }
    add(&format!(
        "<h2>Scores of {method} by label</h2>\n<p>Boxes are quartiles, whiskers 5 and 95 %, in brackets the number of objects; \
         dashed is the threshold that keeps 95 % of ID. Without a label ID objects stand under the class they are most like.</p>\n"
    ));
    add(&boxes(&format!("{method} by label"), &groups(request, evaluation, run, main), threshold));
    add(&format!(
        "\n<h2>Worst mistakes of {method}</h2>\n<p>At the threshold {threshold:.4}, which keeps 95 % of ID. Each: the crop; the crop under its \
         intra-image attention β; the picture without it under inter-image attention β.</p>\n<div class=\"mistakes\">\n"
    ));
    let mut encoder = FeatureEncoder::open_with_background(config, request.approximation.background)?;
    let shown = worst(&run.objects, main, threshold);
    // Read in the data's order: a video is decoded forwards.
    let mut order: Vec<usize> = (0..shown.len()).collect();
    order.sort_by_key(|&index| (shown[index].part, shown[index].picture));
    let mut cards = vec![String::new(); shown.len()];
    for index in order {
        cards[index] = card(&pictured(shown[index], &request.parts, &mut encoder)?, request, evaluation, main);
    }
    add(&cards.concat());
    add("</div>\n<h2>Settings and versions</h2>\n");
    add(&settings(config, origin));
    add("</body></html>\n");
    Ok(page)
}

/// Text inside HTML or SVG.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn tables(rows: &[Row]) -> String {
    let mut text = String::new();
    for rows in rows.chunk_by(Row::beside) {
        let Row { ood, metrics: Metrics { n_id, n_ood, .. }, missed, .. } = &rows[0];
        let caption = if ood == MEAN { "Mean over the OOD sets".to_owned() } else { format!("{ood}: {n_id} ID, {n_ood} OOD") };
        let missed = missed.map_or_else(String::new, |missed| format!(", {missed} OOD without a box"));
        let caption = escape(&(caption + &missed + &rows[0].disturbed()));
        let heads = ["AUROC", "FPR95", "AUPR in", "AUPR out", "TPR", "FPR95 (VOS)", "FPR95 (OOD positive)"];
        put(&mut text, format_args!("<table><caption>{caption}</caption><tr><th></th><th>{}</th></tr>\n", heads.join("</th><th>")));
        for Row { method, metrics: m, intervals, .. } in rows {
            let of = intervals.as_ref();
            let wide = [
                (m.auroc, of.map(|of| of.auroc)),
                (m.fpr95, of.map(|of| of.fpr95)),
                (m.aupr_in, of.map(|of| of.aupr_in)),
                (m.aupr_out, of.map(|of| of.aupr_out)),
                (m.tpr, None),
                (m.fpr95_vos, None),
                (m.fpr95_oodpos, None),
            ];
            let cells: String = wide.iter().map(|(value, interval)| cell(*value, *interval)).collect();
            let class = if method == Method::Uniood.name() { " class=\"main\"" } else { "" };
            let tied = if m.tied > TOLD { format!(" <small>({:.1} % tied)</small>", m.tied * 100.0) } else { String::new() };
            put(&mut text, format_args!("<tr{class}><th>{}{tied}</th>{cells}</tr>\n", escape(method)));
        }
        text.push_str("</table>\n");
    }
    text
}

fn cell(value: f64, interval: Option<[f64; 2]>) -> String {
    let range = interval.map(|[low, high]| format!("<small>{:.2}–{:.2}</small>", low * 100.0, high * 100.0));
    format!("<td>{:.2}{}</td>", value * 100.0, range.unwrap_or_default())
}

/// ROC, PR and histograms of an OOD set.
fn charts(request: &Request, evaluation: &Evaluation, rows: &[Row], ood: usize, main: usize) -> String {
    let run = &evaluation.runs[0];
    let scores = |column: usize, known: bool| -> Vec<f64> {
        let counted = run.objects.iter().filter(|object| object.known == known && counts(known, object.part, &request.parts, ood));
        counted.map(|object| object.scores[column]).collect()
    };
    let (mut roc, mut pr, mut histograms) = (Vec::new(), Vec::new(), String::new());
    for (column, name) in evaluation.columns.iter().enumerate() {
        let (known, unknown) = (scores(column, true), scores(column, false));
        let curve = Curve::of(&known, &unknown);
        let start = std::iter::once((0.0, 0.0));
        let points = start.chain(curve.shares().map(|shares| (shares.negative, shares.positive))).collect();
        roc.push(Line { name, points, main: column == main });
        let points = curve.precisions().map(|(precision, recall)| (recall, precision)).collect();
        pr.push(Line { name, points, main: column == main });
        let row = rows.iter().find(|row| row.method == *name && row.ood == request.parts[ood].name);
        histograms += &histogram(name, &known, &unknown, row.map_or(0.0, |row| row.metrics.threshold));
    }
    format!(
        "<div class=\"charts\">{}{}</div>\n<p class=\"key\"><b class=\"id\">ID</b> and <b class=\"ood\">OOD</b>, each as shares of its own; \
         dashed: the threshold that keeps 95 % of ID</p>\n<div class=\"charts\">{histograms}</div>\n",
        curves("ROC", "OOD accepted", "ID kept", &roc),
        curves("Precision and recall, ID positive", "recall", "precision", &pr),
    )
}

/// Scores by label: ID classes, then unknown ones, the highest median first.
fn groups(request: &Request, evaluation: &Evaluation, run: &Run, column: usize) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for object in &run.objects {
        let part = &request.parts[object.part];
        let name = match (object.category, object.known) {
            (Some(category), _) => part.data.categories[category].to_string(),
            (None, true) => format!("like {}", evaluation.classes[object.nearest]),
            (None, false) => part.name.clone(),
        };
        let score = object.scores[column];
        match groups.iter_mut().find(|group| group.known == object.known && group.name == name) {
            Some(group) => group.sorted.push(score),
            None => groups.push(Group { name, known: object.known, sorted: vec![score] }),
        }
    }
    groups.sort_by_key(|group| (!group.known, std::cmp::Reverse(group.sorted.len())));
    let known = groups.iter().filter(|group| group.known).count();
    groups.truncate(known.max(GROUPS) + GROUPS);
    for group in &mut groups {
        group.sorted.sort_by(f64::total_cmp);
    }
    let median = |group: &Group| group.sorted[group.sorted.len() / 2];
    groups.sort_by(|a, b| b.known.cmp(&a.known).then(median(b).total_cmp(&median(a))));
    groups
}

fn card(mistake: &Mistake<'_>, request: &Request, evaluation: &Evaluation, main: usize) -> String {
    let object = mistake.object;
    let part = &request.parts[object.part];
    let label = object.category.map_or_else(|| part.name.clone(), |category| part.data.categories[category].to_string());
    let said = &evaluation.classes[object.nearest];
    let (class, what) = if object.known { ("id", "is ID, turned away") } else { ("ood", "is OOD, let in") };
    let file = part.data.pictures[object.picture].path.file_name().unwrap_or_default().to_string_lossy();
    let rect = object.rect;
    let scores: Vec<String> = evaluation.columns.iter().zip(&object.scores).map(|(name, score)| format!("{name} {score:.4}")).collect();
    format!(
        "<figure class=\"{class}\"><div><img alt=\"crop\" src=\"{}\"><img alt=\"crop under attention\" src=\"{}\">\
         <img alt=\"background under attention\" src=\"{}\"></div><figcaption><b>{}</b> {what} as <b>{}</b>, {} {:.4}<br>\
         <small title=\"{}\">{} at {},{} {}×{}</small></figcaption></figure>\n",
        mistake.crop,
        mistake.target,
        mistake.background,
        escape(&label),
        escape(said),
        evaluation.columns[main],
        object.scores[main],
        escape(&scores.join(", ")),
        escape(&file),
        rect.x(),
        rect.y(),
        rect.w(),
        rect.h(),
    )
}

/// What the evaluation was made with, as its JSON says.
fn settings(config: &EngineConfig, origin: &Origin<'_>) -> String {
    let value = serde_json::to_value(origin).unwrap_or_default();
    let mut text = "<table class=\"settings\">\n".to_owned();
    let mut line = |key: &str, value: &str| put(&mut text, format_args!("<tr><th>{}</th><td>{}</td></tr>\n", escape(key), escape(value)));
    let words = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(items) => {
            items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    };
    for (key, value) in value.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        line(&key.replace('_', " "), &words(value));
    }
    line("model folder", &config.models.dir.display().to_string());
    line("combiner", if config.models.manifest.combiner.is_some() { "the set's" } else { "none: plain CLIP" });
    line("device", &config.device.to_string());
    line("uniood", env!("CARGO_PKG_VERSION"));
    line("ONNX Runtime", Runtime::get().map_or("", Runtime::build));
    text + "</table>\n"
}

fn put(text: &mut String, part: std::fmt::Arguments<'_>) {
    text.write_fmt(part).expect("a string takes everything");
}
