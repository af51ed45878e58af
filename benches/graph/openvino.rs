//! The graph in OpenVINO, in a process of its own: a process has one ONNX Runtime, and OpenVINO's is another library.

use std::{
    env,
    io::{BufRead, BufReader, Write, stdin},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use uniood::engine::{Device, LIBRARY_VARIABLE, Session};

use crate::{
    Batch,
    common::{
        Figure,
        random_clip::{BASE, Sizes},
    },
};

/// The flag of the process that runs in OpenVINO; the graph is behind it.
pub(crate) const SERVE: &str = "--serve-openvino";

/// OpenVINO's ONNX Runtime.
const VARIABLE: &str = "UNIOOD_OPENVINO";

/// Runs a batch for every line of stdin and says what it took, in seconds.
pub(crate) fn serve(graph: &Path) {
    let device = Device::OpenVino("CPU".to_owned());
    let mut session = Session::from_file("encode", graph, &device, None).unwrap();
    let sizes =
        BASE.into_iter().find(|sizes| graph.components().any(|part| part.as_os_str() == sizes.name.replace('/', "").as_str())).unwrap();
    let batch = Batch::new(&sizes);
    for line in stdin().lines() {
        line.unwrap();
        let started = Instant::now();
        assert!(batch.omega(&mut session).iter().all(|omega| omega.is_finite()));
        println!("{}", started.elapsed().as_secs_f64());
    }
}

/// OpenVINO beside the default provider, in turn.
///
/// # Errors
/// A sentence where it cannot run.
pub(crate) fn figures(graph: &Path, sizes: &Sizes, repeats: usize) -> Result<Vec<Figure>, String> {
    let library = env::var_os(VARIABLE).map(PathBuf::from).filter(|library| library.is_file());
    let library = library.ok_or_else(|| format!("{VARIABLE} names no libonnxruntime.so of the PyPI package onnxruntime-openvino."))?;
    let mut other = Server::start(&library, graph);
    let mut own = Session::from_file("encode", graph, &Device::Cpu, None).unwrap();
    let batch = Batch::new(sizes);
    let (mut ratios, mut milliseconds) = (Vec::new(), Vec::new());
    for round in 0..=repeats {
        let started = Instant::now();
        drop(batch.omega(&mut own));
        let (own, other) = (started.elapsed(), other.run());
        if round > 0 {
            ratios.push(own.as_secs_f64() / other.as_secs_f64());
            milliseconds.push(other.as_secs_f64() * 1e3);
        }
    }
    Ok(vec![
        Figure::new("device=openvino ÷ device=cpu, speed over speed, fp32", None, &ratios, 2),
        Figure::new("graph in OpenVINO, ms a batch", None, &milliseconds, 1),
    ])
}

/// The process that runs in OpenVINO.
struct Server {
    child: Child,
    answers: Box<dyn BufRead>,
}

impl Server {
    fn start(library: &Path, graph: &Path) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--bench", SERVE]).arg(graph).env(LIBRARY_VARIABLE, library).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let answers = Box::new(BufReader::new(child.stdout.take().unwrap()));
        Self { child, answers }
    }

    fn run(&mut self) -> Duration {
        writeln!(self.child.stdin.as_mut().unwrap()).unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        Duration::from_secs_f64(answer.trim().parse().expect("it says what the run took; see its error above"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The end of its input is the end of the process.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
