//! An evaluation's table: a row for each method and OOD set. `Evaluation ─▶ Row*`.

use serde::Serialize;

use super::{
    bootstrap::{Intervals, Observed, intervals},
    disturb::Disturbance,
    evaluation::{Evaluation, Run},
    metrics::{Metrics, metrics},
    sets::{Part, Role},
};
use crate::{Error, Result};

/// What the OOD set of a mean over several is called.
pub const MEAN: &str = "mean";

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The method.
    pub method: String,
    /// The OOD set; [`MEAN`] for the plain mean over several.
    pub ood: String,
    /// The share by which boxes were moved.
    pub box_jitter: f32,
    /// The share of boxes that were taken away.
    pub drop_boxes: f32,
    /// In fractions.
    #[serde(flatten)]
    pub metrics: Metrics,
    /// Labelled unknown objects that no box was matched to; `null` where they cannot be counted.
    pub missed: Option<usize>,
    /// 95 % intervals by bootstrap over pictures.
    pub intervals: Option<Intervals>,
}

impl Row {
    /// Whether another row is of the same run.
    #[must_use]
    pub fn same_run(&self, other: &Self) -> bool {
        (self.box_jitter, self.drop_boxes) == (other.box_jitter, other.drop_boxes)
    }

    /// Whether another row stands in the same table.
    #[must_use]
    pub fn beside(&self, other: &Self) -> bool {
        self.same_run(other) && self.ood == other.ood
    }

    /// How boxes were made worse, in words; empty where they were not.
    #[must_use]
    pub fn disturbed(&self) -> String {
        let moved = (self.box_jitter > 0.0).then(|| format!("; boxes moved by up to {:.0} %", self.box_jitter * 100.0));
        let gone = (self.drop_boxes > 0.0).then(|| format!("; {:.0} % of the boxes taken away", self.drop_boxes * 100.0));
        [moved, gone].into_iter().flatten().collect()
    }
}

impl Evaluation {
    /// All rows: run by run, OOD set by OOD set, method by method; behind several sets their mean.
    ///
    /// # Errors
    /// [`Error::Setting`] where a set has no object that counts.
    pub fn rows(&self, parts: &[Part], seed: u64) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for run in &self.runs {
            let mut of_sets: Vec<Vec<Row>> = Vec::new();
            for ood in unknown(parts) {
                of_sets.push(self.of_set(run, parts, ood, seed)?);
            }
            let mean = (of_sets.len() > 1).then(|| means(&of_sets));
            rows.extend(of_sets.into_iter().flatten().chain(mean.into_iter().flatten()));
        }
        Ok(rows)
    }

    fn of_set(&self, run: &Run, parts: &[Part], ood: usize, seed: u64) -> Result<Vec<Row>> {
        let pictures: Vec<usize> = parts.iter().map(|part| part.data.pictures.len()).collect();
        let observed = |column: usize| -> Vec<Observed> {
            let counted = run.objects.iter().filter(|object| counts(object.known, object.part, parts, ood));
            let observe = counted.map(|object| Observed {
                score: object.scores[column],
                known: object.known,
                set: object.part,
                picture: object.picture,
            });
            observe.collect()
        };
        let row = |(column, method): (usize, &String)| {
            let observed = observed(column);
            let of = |known: bool| -> Vec<f64> { observed.iter().filter(|of| of.known == known).map(|of| of.score).collect() };
            let (known, unknown) = (of(true), of(false));
            let empty = [(&known, "ID"), (&unknown, "OOD")].into_iter().find(|(scores, _)| scores.is_empty());
            if let Some((_, kind)) = empty {
                let set =
                    parts.iter().enumerate().find(|(index, part)| if kind == "OOD" { *index == ood } else { part.role != Role::Unknown });
                let name = set.map_or("the data", |(_, part)| &part.name);
                return Err(Error::Setting(format!(
                    "there is no {kind} object in {name} that counts; lower --detection-threshold, or use --boxes truth"
                )));
            }
            let pictures: Vec<usize> = pictures
                .iter()
                .enumerate()
                .map(|(index, count)| if counts(true, index, parts, ood) || index == ood { *count } else { 0 })
                .collect();
            let Disturbance { jitter, drop } = run.disturbance;
            Ok(Row {
                method: method.clone(),
                ood: parts[ood].name.clone(),
                box_jitter: jitter,
                drop_boxes: drop,
                metrics: metrics(&known, &unknown)?,
                missed: run.tallies[ood].missed,
                intervals: intervals(&observed, &pictures, seed),
            })
        };
        self.columns.iter().enumerate().map(row).collect()
    }
}

/// Positions of the sets with unknown objects.
pub(super) fn unknown(parts: &[Part]) -> impl Iterator<Item = usize> {
    parts.iter().enumerate().filter(|(_, part)| part.role != Role::Known).map(|(index, _)| index)
}

/// Whether an object of a set stands against the unknown ones of `ood`.
pub(super) fn counts(known: bool, part: usize, parts: &[Part], ood: usize) -> bool {
    part == ood || known && parts[part].role == Role::Known
}

/// The plain mean of each method over the OOD sets.
fn means(of_sets: &[Vec<Row>]) -> Vec<Row> {
    #[expect(clippy::cast_precision_loss, reason = "a few sets")]
    let count = of_sets.len() as f64;
    let mean = |column: usize| {
        let rows = || of_sets.iter().map(|rows| &rows[column]);
        let of = |value: fn(&Metrics) -> f64| rows().map(|row| value(&row.metrics)).sum::<f64>() / count;
        let first = &of_sets[0][column];
        let metrics = Metrics {
            auroc: of(|m| m.auroc),
            fpr95: of(|m| m.fpr95),
            tpr: of(|m| m.tpr),
            fpr95_vos: of(|m| m.fpr95_vos),
            fpr95_oodpos: of(|m| m.fpr95_oodpos),
            aupr_in: of(|m| m.aupr_in),
            aupr_out: of(|m| m.aupr_out),
            n_id: first.metrics.n_id,
            n_ood: rows().map(|row| row.metrics.n_ood).sum(),
            threshold: first.metrics.threshold,
            tied: rows().map(|row| row.metrics.tied).fold(0.0, f64::max),
        };
        let missed = rows().map(|row| row.missed).sum::<Option<usize>>();
        Row { ood: MEAN.to_owned(), metrics, missed, intervals: None, ..first.clone() }
    };
    (0..of_sets[0].len()).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        data::{Annotated, DataSet, Layout},
        eval::pass::{Counted, Tally},
        geometry::Rect,
    };

    fn part(name: &str, role: Role) -> Part {
        let picture = Annotated::file("a.png".into(), Vec::new());
        let data = DataSet { path: name.into(), layout: Layout::Pictures, categories: Vec::new(), pictures: vec![picture; 2] };
        Part { name: name.to_owned(), role, data, class_of: Vec::new() }
    }

    fn evaluation(objects: &[(usize, bool, f64)]) -> Evaluation {
        let counted = |&(part, known, score): &(usize, bool, f64)| Counted {
            part,
            picture: 0,
            rect: Rect::whole(1, 1).unwrap(),
            known,
            category: None,
            nearest: 0,
            scores: vec![score],
        };
        let tallies = vec![Tally::default(), Tally { missed: Some(1), ..Tally::default() }, Tally { missed: Some(2), ..Tally::default() }];
        let run = Run { disturbance: Disturbance::default(), objects: objects.iter().map(counted).collect(), tallies };
        Evaluation { columns: vec!["uniood".to_owned()], classes: vec!["car".into()], detection_threshold: 0.3, runs: vec![run] }
    }

    #[test]
    fn each_ood_set_stands_against_all_id_and_the_mean_is_plain() {
        let parts = [part("id", Role::Known), part("near", Role::Unknown), part("far", Role::Unknown)];
        let objects = [(0, true, 0.9), (0, true, 0.5), (1, false, 0.7), (2, false, 0.1), (2, false, 0.2)];
        let rows = evaluation(&objects).rows(&parts, 0).unwrap();
        let shown: Vec<_> = rows.iter().map(|row| (&*row.ood, row.metrics.auroc, row.metrics.n_ood, row.missed)).collect();
        assert_eq!(shown, [("near", 0.5, 1, Some(1)), ("far", 1.0, 2, Some(2)), (MEAN, 0.75, 3, Some(3))]);
    }

    #[test]
    fn in_the_open_world_one_set_has_both() {
        let rows = evaluation(&[(0, true, 0.9), (0, false, 0.5)]).rows(&[part("street", Role::Mixed)], 0).unwrap();
        assert_eq!((rows.len(), rows[0].metrics.n_id, rows[0].metrics.n_ood), (1, 1, 1));
    }

    #[test]
    fn a_set_without_objects_is_named() {
        let parts = [part("id", Role::Known), part("near", Role::Unknown)];
        let error = evaluation(&[(0, true, 0.9)]).rows(&parts, 0).unwrap_err().to_string();
        assert!(error.contains("no OOD object in near"), "{error}");
    }
}
