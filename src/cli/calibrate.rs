//! `uniood calibrate`: a threshold that keeps a known share of ID objects, and whether it still does.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use indicatif::HumanDuration;
use serde_json::json;
use uniood::{
    calibrate::{self, Document, Drift, FILE, Footage, Group, Known, Plan, alarms, fit, least_objects, read_lines},
    detect::Selection,
    engine::DetectorChoice,
    eval::{self, Level, Request, Role, methods::Method},
    models::ModelSet,
    tune::{check_out, write_calibrated},
};

use crate::{
    Outcome,
    console::say,
    labelled::{self, is_lines},
    offline::{BoxesFrom, Offline},
    settings::{Models, share},
    shown::evaluate,
    usage::usage,
};

/// Shares whose alarms are counted.
const LADDER: [f64; 5] = [0.9, 0.95, 0.98, 0.99, 0.995];

/// Set a threshold that keeps a known share of ID objects
#[derive(Args)]
#[command(after_help = "Examples: uniood calibrate val/instances.json --models my-street\n          \
uniood calibrate quiet-day.jsonl --models my-street --keep 0.99 --per stream\n          \
uniood calibrate --alarms last-week/*.jsonl --models my-street\n          \
uniood calibrate --check today.jsonl --models my-street --min-p 0.01")]
pub(crate) struct Calibrate {
    /// Objects that were not trained on: COCO JSON, Pascal VOC folder, a folder of pictures for each class, a video beside its
    /// JSON lines; or JSON lines of `uniood run` over footage that shows known things alone (with --alarms, over any footage)
    #[arg(required = true, value_name = "DATA")]
    data: Vec<PathBuf>,
    #[command(flatten)]
    models: Models,
    /// Share of ID objects that the threshold keeps
    #[arg(long, value_name = "0..1", value_parser = share::<f64>, default_value = "0.95")]
    keep: f64,
    /// Thresholds of their own, where there are enough objects: of each nearest class, of each stream
    #[arg(long, value_enum, value_delimiter = ',', value_name = "class,stream")]
    per: Vec<Per>,
    /// Where boxes come from
    #[arg(long, value_enum, value_name = "FROM", default_value_t = BoxesFrom::Detector)]
    boxes: BoxesFrom,
    /// Folder of a COCO file's pictures, or a video's JSON lines, where they are none of the usual ones
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Write a copy of the set with the calibration here, in place of the file in the set's own folder
    #[arg(long, value_name = "DIR", conflicts_with_all = ["alarms", "check"])]
    out: Option<PathBuf>,
    /// How many alarms a day thresholds would have given; changes nothing
    #[arg(long, conflicts_with = "check")]
    alarms: bool,
    /// Whether the kept share still holds; changes nothing
    #[arg(long)]
    check: bool,
    /// Exit with 3 when --check finds a smaller p-value
    #[arg(long, value_name = "0..1", value_parser = share::<f64>, requires = "check")]
    min_p: Option<f64>,
    /// One JSON object in place of the table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    offline: Offline,
}

/// What gets a threshold of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Per {
    /// Objects by their nearest class
    Class,
    /// Objects by their stream
    Stream,
}

/// What was read.
struct Read {
    known: Vec<Known>,
    /// The same, as far as they are independent of one another.
    independent: Vec<f32>,
    footage: Option<Footage>,
}

impl Calibrate {
    /// Reads, sets the threshold, writes.
    pub(crate) fn run(self) -> Result<Outcome> {
        match &self.out {
            Some(out) => check_out(out)?,
            None if !self.alarms && !self.check && self.models.named().is_none() => {
                return Err(usage(
                    "the set that ships with uniood cannot be written to; name a folder for a calibrated copy with --out DIR, or a set of yours with --models DIR",
                ));
            }
            None => (),
        }
        let models = self.offline.open(&self.models)?;
        let before = match (&models.calibration, self.alarms || self.check) {
            (None, true) => {
                let set = models.dir.display();
                bail!("{set} is not calibrated; run `uniood calibrate DATA --models {set}` first")
            }
            (before, _) => before.clone(),
        };
        let Some(read) = self.read(&models)? else { return Ok(Outcome::Interrupted) };
        match before {
            Some(document) if self.alarms => self.tell_alarms(&read, &document),
            Some(document) if self.check => self.tell_drift(&read, &document),
            _ => self.calibrate(&read, &models),
        }
    }

    fn calibrate(&self, read: &Read, models: &ModelSet) -> Result<Outcome> {
        let data: Vec<String> = self.data.iter().map(|path| path.display().to_string()).collect();
        let plan = self.plan();
        if plan.per_stream && read.footage.is_none() {
            return Err(usage("a data set has no streams, so --per stream has nothing to tell apart; give the JSON lines of `uniood run`"));
        }
        let independent = read.footage.is_some().then_some(read.independent.len());
        let document = Document { independent, ..fit(&read.known, &plan, models, &data.join(" "))? };
        let written = if let Some(out) = &self.out {
            write_calibrated(out, models, &document)?;
            out.join(FILE)
        } else {
            let path = models.dir.join(FILE);
            document.write(&path)?;
            path
        };
        if self.json {
            say(document.to_text().trim_end());
            return Ok(Outcome::Done);
        }
        let kept = |threshold: f32| {
            let above = read.known.iter().filter(|object| object.omega >= threshold).count();
            percent(above, read.known.len())
        };
        let old = models.threshold(None, &models.manifest.classes, "").0;
        say(format_args!("threshold {:.4} keeps {} of {} known objects", document.threshold, kept(document.threshold), document.objects));
        say(format_args!("before    {old:.4} kept  {}", kept(old)));
        if let Some(independent) = independent {
            say(format_args!(
                "only {independent} of them are independent of one another (one a track, or a frame a second): the share is as sure as those make it"
            ));
        }
        self.tell_groups("class", Per::Class, &document.per_class, read, |object| Some(&object.nearest));
        self.tell_groups("stream", Per::Stream, &document.per_stream, read, |object| object.stream.as_deref());
        say(format_args!("wrote {}", written.display()));
        Ok(Outcome::Done)
    }

    fn plan(&self) -> Plan {
        Plan { keep: self.keep, per_class: self.per.contains(&Per::Class), per_stream: self.per.contains(&Per::Stream) }
    }

    fn tell_groups(&self, what: &str, per: Per, groups: &BTreeMap<String, Group>, read: &Read, name: fn(&Known) -> Option<&str>) {
        if !self.per.contains(&per) {
            return;
        }
        for (name, group) in groups {
            say(format_args!("  {what} {name}: {:.4}, from {} objects", group.threshold, group.objects));
        }
        let mut few: Vec<&str> = read.known.iter().filter_map(name).filter(|name| !groups.contains_key(*name)).collect();
        few.sort_unstable();
        few.dedup();
        if !few.is_empty() {
            let least = least_objects(self.plan().keep);
            say(format_args!("  fewer than {least} objects, so the common threshold: {}", few.join(", ")));
        }
    }

    fn tell_alarms(&self, read: &Read, document: &Document) -> Result<Outcome> {
        let Some(footage) = &read.footage else {
            return Err(usage("--alarms needs footage; give the JSON lines of `uniood run`"));
        };
        let seconds = footage.seconds();
        if seconds <= 0.0 {
            bail!("the frames have no timestamps, so there is no day to count in; give the JSON lines of `uniood run` over video");
        }
        let found = alarms(footage, document, &LADDER);
        if self.json {
            let row = |one: &calibrate::Alarms| json!({"keep": one.keep, "threshold": one.threshold, "alarms": one.count, "a_day": one.a_day, "interval": [one.interval.0, one.interval.1]});
            say(
                json!({"seconds": seconds, "frames": footage.frames, "objects": footage.objects.len(), "alarms": found.iter().map(row).collect::<Vec<_>>()}),
            );
            return Ok(Outcome::Done);
        }
        say(format_args!(
            "{} objects in {} frames, {} of footage",
            footage.objects.len(),
            footage.frames,
            HumanDuration(Duration::from_secs_f64(seconds))
        ));
        say("kept of ID   threshold   alarms   a day of one stream (95 %)");
        for one in found {
            let (low, high) = one.interval;
            say(format_args!(
                "  {:6.1} %     {:+.4} {:8} {:10.1}  ({low:.1} to {high:.1})",
                one.keep * 100.0,
                one.threshold,
                one.count,
                one.a_day
            ));
        }
        Ok(Outcome::Done)
    }

    fn tell_drift(&self, read: &Read, document: &Document) -> Result<Outcome> {
        let drift = Drift::of(&read.independent, document)?;
        let (low, high) = drift.interval;
        let holds = drift.p_value >= self.min_p.unwrap_or(0.01);
        if self.json {
            say(
                json!({"objects": drift.objects, "kept": drift.kept, "interval": [low, high], "wanted": document.keep, "distance": drift.distance, "p_value": drift.p_value, "holds": holds}),
            );
        } else {
            say(format_args!("{} of {} objects are independent of one another", drift.objects, read.known.len()));
            say(format_args!(
                "kept {:.1} % ({:.1} to {:.1} %), calibrated for {:.1} %",
                drift.kept * 100.0,
                low * 100.0,
                high * 100.0,
                document.keep * 100.0
            ));
            say(format_args!("Kolmogorov-Smirnov: D {:.3}, p {:.2e}", drift.distance, drift.p_value));
            say(if holds {
                "The scores are distributed as they were when the set was calibrated, as far as these can tell."
            } else {
                "The scores are no longer distributed as they were: calibrate on footage of now."
            });
        }
        Ok(if self.min_p.is_some() && !holds { Outcome::GateMissed } else { Outcome::Done })
    }

    /// `None` where the user interrupted it.
    fn read(&self, models: &ModelSet) -> Result<Option<Read>> {
        if self.data.iter().any(|path| is_lines(path)) {
            if let Some(other) = self.data.iter().find(|path| !is_lines(path)) {
                return Err(usage(format!(
                    "{} is no .jsonl file, and others are; give either JSON lines or one data set",
                    other.display()
                )));
            }
            let mut footage = Footage::default();
            for path in &self.data {
                read_lines(path, &models.manifest.name, &mut footage)?;
            }
            let (known, independent) = (footage.known(), footage.independent());
            return Ok(Some(Read { known, independent, footage: Some(footage) }));
        }
        let [data] = &self.data[..] else { return Err(usage("give one data set, or JSON lines")) };
        let Some(known) = self.score(models.clone(), data)? else { return Ok(None) };
        let independent = known.iter().map(|object| object.omega).collect();
        Ok(Some(Read { known, independent, footage: None }))
    }

    fn score(&self, models: ModelSet, data: &Path) -> Result<Option<Vec<Known>>> {
        let classes = models.manifest.classes.clone();
        let mut faults = self.offline.faults();
        let part = eval::known(labelled::open_unlabelled(data, self.images.as_deref(), &classes, &mut faults)?, &classes)?;
        let whole = part.role == Role::Known;
        let detect = self.boxes == BoxesFrom::Detector && models.manifest.detector.is_some();
        if self.boxes == BoxesFrom::Detector && !detect && !whole {
            bail!("model set `{}` has no detector; use --boxes truth", models.manifest.name);
        }
        let config = self.offline.engine(models, if detect { DetectorChoice::Set } else { DetectorChoice::Upstream });
        let request = Request {
            level: if whole { Level::Image } else { Level::Object },
            detect,
            selection: Selection { max_objects: usize::MAX, ..Selection::default() },
            ..Request::new(vec![part], classes, Method::Uniood)
        };
        let Some(evaluation) = evaluate(&config, &request, &mut faults)? else { return Ok(None) };
        let part = &request.parts[0];
        let listed = |object: &&eval::Counted| {
            let shows = |category: usize| part.class_of[category].is_some();
            object.known && (!whole || part.data.pictures[object.picture].objects.iter().all(|label| shows(label.category)))
        };
        let objects = evaluation.runs.iter().flat_map(|run| &run.objects).filter(listed);
        #[expect(clippy::cast_possible_truncation, reason = "it came from a float of that size")]
        let known = |object: &eval::Counted| Known {
            omega: object.scores[0] as f32,
            nearest: evaluation.classes[object.nearest].to_string(),
            stream: None,
        };
        Ok(Some(objects.map(known).collect()))
    }
}

fn percent(part: usize, whole: usize) -> String {
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let share = 100.0 * part as f64 / whole.max(1) as f64;
    format!("{share:.1} %")
}
