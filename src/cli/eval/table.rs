//! The table on the terminal, in per cent.

use uniood::eval::{MEAN, Metrics, Row, TOLD};

use crate::console::say;

/// Prints rows, a table for each OOD set and run.
pub(super) fn print(rows: &[Row]) {
    for rows in rows.chunk_by(Row::beside) {
        say(title(&rows[0]));
        say(format_args!("{:18}  {:^22} {:^22} {:^22} {:>7}", "", "AUROC", "FPR95", "AUPR (ID positive)", "AUPR out"));
        let widest = rows.iter().map(|row| row.metrics.auroc).fold(0.0, f64::max);
        for row in rows {
            let Metrics { auroc, fpr95, aupr_in, aupr_out, .. } = row.metrics;
            let of = row.intervals;
            let best = if auroc >= widest { '*' } else { ' ' };
            say(format_args!(
                "{:18}{best} {} {} {} {:7.2}",
                row.method,
                cell(auroc, of.map(|of| of.auroc)),
                cell(fpr95, of.map(|of| of.fpr95)),
                cell(aupr_in, of.map(|of| of.aupr_in)),
                aupr_out * 100.0
            ));
        }
        for row in rows.iter().filter(|row| row.metrics.tied > TOLD) {
            let tied = row.metrics.tied * 100.0;
            say(format_args!("{}: {tied:.1} % of one kind stand exactly at the threshold, so that FPR95 is coarse", row.method));
        }
        say("");
    }
}

/// What the rows below are about.
fn title(row: &Row) -> String {
    let Row { ood, metrics: Metrics { n_id, n_ood, .. }, missed, .. } = row;
    let set = if ood == MEAN { "Mean over the OOD sets".to_owned() } else { format!("{ood}: {n_id} ID, {n_ood} OOD") };
    let missed = missed.map_or_else(String::new, |missed| format!(", {missed} OOD missed (no box)"));
    set + &missed + &row.disturbed()
}

/// A number with its interval, 22 wide.
fn cell(value: f64, interval: Option<[f64; 2]>) -> String {
    let [low, high] = interval.unwrap_or([f64::NAN; 2]).map(|end| end * 100.0);
    let range = if low.is_nan() { String::new() } else { format!("[{low:5.2}, {high:6.2}]") };
    format!("{:6.2} {range:15}", value * 100.0)
}
