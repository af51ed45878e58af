//! The graph in OpenVINO, in a process of its own: a process has one ONNX Runtime, and OpenVINO's is another library.

use std::{
    env,
    io::{BufRead, BufReader, Write, stdin},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use serde::Deserialize;
use serde_json::json;
use uniood::engine::{Device, LIBRARY_VARIABLE, Precision, Session, bf16_is_native};

use crate::{
    Batch,
    common::{
        Figure,
        random_clip::{BASE, Sizes},
    },
};

/// The flag of the process that runs in OpenVINO; the graph is behind it.
pub(crate) const SERVE: &str = "--serve-openvino";

/// And that of what it computes in.
pub(crate) const IN: &str = "--in";

/// OpenVINO's ONNX Runtime.
const VARIABLE: &str = "UNIOOD_OPENVINO";

/// What it computes in.
const NUMBERS: [&str; 2] = ["fp32", "bf16"];

/// Runs a batch for every line of stdin and says what it took, in seconds, and omega.
pub(crate) fn serve(graph: &Path, precision: &str) {
    let (_, device) = precision.parse::<Precision>().unwrap().on(&Device::openvino("CPU")).unwrap();
    let mut session = Session::from_file("encode", graph, &device, None).unwrap();
    let sizes =
        BASE.into_iter().find(|sizes| graph.components().any(|part| part.as_os_str() == sizes.name.replace('/', "").as_str())).unwrap();
    let batch = Batch::new(&sizes);
    for line in stdin().lines() {
        line.unwrap();
        let started = Instant::now();
        let omega = batch.omega(&mut session);
        println!("{}", json!({ "seconds": started.elapsed().as_secs_f64(), "omega": omega.iter().collect::<Vec<_>>() }));
    }
}

/// OpenVINO beside the default provider, in turn.
///
/// # Errors
/// A sentence where it cannot run.
pub(crate) fn figures(graph: &Path, sizes: &Sizes, repeats: usize) -> Result<Vec<Figure>, String> {
    let library = env::var_os(VARIABLE).map(PathBuf::from).filter(|library| library.is_file());
    let library = library.ok_or_else(|| format!("{VARIABLE} names no libonnxruntime.so of the PyPI package onnxruntime-openvino."))?;
    let numbers: Vec<&str> = NUMBERS.into_iter().filter(|numbers| *numbers == "fp32" || bf16_is_native()).collect();
    let mut servers: Vec<Server> = numbers.iter().map(|numbers| Server::start(&library, graph, numbers)).collect();
    let mut own = Session::from_file("encode", graph, &Device::Cpu, None).unwrap();
    let batch = Batch::new(sizes);
    let mut rounds = Vec::new();
    let mut off = 0_f64;
    for round in 0..=repeats {
        let started = Instant::now();
        let omega = batch.omega(&mut own);
        let own = started.elapsed().as_secs_f64();
        let theirs: Vec<Answer> = servers.iter_mut().map(Server::run).collect();
        if round > 0 {
            rounds.push((own, theirs.iter().map(|answer| answer.seconds).collect::<Vec<_>>()));
        }
        let last = omega.iter().zip(&theirs[theirs.len() - 1].omega);
        off = last.map(|(own, theirs)| (f64::from(*own) - theirs).abs()).fold(off, f64::max);
    }
    let mut figures = Vec::new();
    for (index, numbers) in numbers.iter().enumerate() {
        let ratios: Vec<f64> = rounds.iter().map(|(own, theirs)| own / theirs[index]).collect();
        let milliseconds: Vec<f64> = rounds.iter().map(|(_, theirs)| theirs[index] * 1e3).collect();
        figures.push(Figure::new(format!("device=openvino in {numbers} ÷ device=cpu in fp32, speed over speed"), None, &ratios, 2));
        figures.push(Figure::new(format!("graph in OpenVINO in {numbers}, ms a batch"), None, &milliseconds, 1));
    }
    if numbers.contains(&"bf16") {
        figures.push(Figure::new("omega in bf16, off fp32 at most", Some(('≤', 5e-3)), &[off], 5));
    }
    Ok(figures)
}

/// What a batch took, and what came of it.
#[derive(Deserialize)]
struct Answer {
    seconds: f64,
    omega: Vec<f64>,
}

/// The process that runs in OpenVINO.
struct Server {
    child: Child,
    answers: Box<dyn BufRead>,
}

impl Server {
    fn start(library: &Path, graph: &Path, numbers: &str) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args(["--bench", SERVE])
            .arg(graph)
            .args([IN, numbers])
            .env(LIBRARY_VARIABLE, library)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let answers = Box::new(BufReader::new(child.stdout.take().unwrap()));
        Self { child, answers }
    }

    fn run(&mut self) -> Answer {
        writeln!(self.child.stdin.as_mut().unwrap()).unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).expect("it says what the run took; see its error above")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The end of its input is the end of the process.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
