//! The comparison as a table: a column a video, and one for all of them.

use street_world::class::Kind;
use uniood::eval::metrics;

use crate::compare::{Comparison, Judged, On};

/// Lines of the table; `fps` is the videos'.
pub(crate) fn lines(videos: &[(String, Comparison)], fps: f64) -> Vec<String> {
    let mut columns: Vec<(&str, Vec<&Comparison>)> = videos.iter().map(|(name, found)| (name.as_str(), vec![found])).collect();
    if videos.len() > 1 {
        columns.push(("all", videos.iter().map(|(_, found)| found).collect()));
    }
    let cells: Vec<Vec<(&str, String)>> = columns.iter().map(|(_, of)| column(of, fps)).collect();
    let wide = cells[0].iter().map(|(what, _)| what.chars().count()).max().unwrap_or(0);
    let line = |first: &str, others: &mut dyn Iterator<Item = &str>| {
        others.fold(format!("{first:wide$}"), |line, cell| format!("{line}{cell:>16}"))
    };
    let head = line("", &mut columns.iter().map(|(name, _)| *name));
    let row = |index: usize| line(cells[0][index].0, &mut cells.iter().map(|column| column[index].1.as_str()));
    [head].into_iter().chain((0..cells[0].len()).map(row)).collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn column<'a>(of: &[&Comparison], fps: f64) -> Vec<(&'a str, String)> {
    let frames: usize = of.iter().map(|found| found.frames).sum();
    let minutes = frames as f64 / fps / 60.0;
    let scored = |kind: Kind| of.iter().flat_map(|found| &found.detections).filter(move |judged| is(judged, kind));
    let tracks = |kind: Kind| of.iter().flat_map(|found| &found.tracks).filter(move |track| track.kind == kind);
    let objects = |kind: Kind| (scored(kind).filter(|judged| judged.ood).count(), scored(kind).count());
    let alarms = |kind: Kind| (tracks(kind).filter(|track| track.alarms()).count(), tracks(kind).count());
    let on_nothing: usize = of.iter().map(|found| found.alarms_on_nothing).sum();
    let false_alarms = alarms(Kind::Id).0;
    let curve = |score: fn(&Judged) -> f64| {
        let of_kind = |kind| scored(kind).map(score).collect::<Vec<f64>>();
        let ood = [of_kind(Kind::NamedOod), of_kind(Kind::UnseenOod)].concat();
        metrics(&of_kind(Kind::Id), &ood)
            .map_or_else(|_| "–".to_owned(), |found| format!("{:.1} / {:.1}", 100.0 * found.auroc, 100.0 * found.fpr95))
    };
    vec![
        ("frames", frames.to_string()),
        ("objects found: ID, named OOD, never seen", counts(objects(Kind::Id).1, objects(Kind::NamedOod).1, objects(Kind::UnseenOod).1)),
        ("tracks: ID, named OOD, never seen", counts(alarms(Kind::Id).1, alarms(Kind::NamedOod).1, alarms(Kind::UnseenOod).1)),
        ("named OOD called OOD, objects", share(objects(Kind::NamedOod))),
        ("named OOD called OOD, tracks", share(alarms(Kind::NamedOod))),
        ("never seen called OOD, objects", share(objects(Kind::UnseenOod))),
        ("never seen called OOD, tracks", share(alarms(Kind::UnseenOod))),
        ("ID called OOD, objects", share(objects(Kind::Id))),
        ("false alarms a minute: ID tracks", format!("{:.1}", false_alarms as f64 / minutes)),
        ("false alarms a minute: on nothing", format!("{:.1}", on_nothing as f64 / minutes)),
        ("AUROC / FPR95 of omega, %", curve(|judged| f64::from(judged.omega))),
        ("AUROC / FPR95 of plain CLIP, %", curve(|judged| judged.cosine)),
    ]
}

fn is(judged: &Judged, wanted: Kind) -> bool {
    matches!(&judged.on, On::Object { kind, .. } if *kind == wanted)
}

fn counts(id: usize, named: usize, unseen: usize) -> String {
    format!("{id}, {named}, {unseen}")
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn share((part, all): (usize, usize)) -> String {
    if all == 0 { "–".to_owned() } else { format!("{:.1} % of {all}", 100.0 * part as f64 / all as f64) }
}
