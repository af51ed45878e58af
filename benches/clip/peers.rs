//! The same frames in Python: a process that makes a pass of them when it is asked.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Arc,
};

use safetensors::{Dtype, tensor::TensorView};
use serde_json::Value;
use uniood::engine::Engine;

use crate::{clip::Clip, settle};

/// How far omega may be from the peers': pixels are rounded otherwise.
const AGREEMENT: f64 = 5e-3;

/// The process.
pub(crate) struct Peers {
    child: Child,
    ask: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    about: Value,
    /// How far omega is from theirs, in the first frame.
    off: f64,
}

impl Peers {
    /// What it can be asked for; of a folder that is not of random weights for the last two alone.
    pub(crate) const NAMES: [&str; 4] = ["loop", "batched", "onnxruntime", "graph"];

    /// Starts it on a clip for `ways` of [`Peers::NAMES`]; the clip is written beside the graph. Its omega is compared with the engine's.
    ///
    /// # Errors
    /// A sentence where it cannot run.
    pub(crate) fn start(graph: &Path, clip: &Clip, engine: &Arc<Engine>, ways: &[&str]) -> Result<Self, String> {
        let file = graph.with_extension("safetensors");
        let vocabulary = engine.vocabulary(&engine.models().manifest.classes).unwrap();
        write(&file, clip, [&vocabulary.text, &vocabulary.context_text]);
        let python = std::env::var_os("UNIOOD_PYTHON").unwrap_or_else(|| "python3".into());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/clip.py");
        let mut command = Command::new(python);
        command.arg(script).arg(engine.models().clip_dir()).arg(graph).arg(&file).args(["--ways", &ways.join(",")]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("UNIOOD_PYTHON (default python3) does not start ({error})."))?;
        let (ask, mut answers) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let mut first = String::new();
        answers.read_line(&mut first).unwrap();
        let Ok(about) = serde_json::from_str::<Value>(&first) else {
            // Reaped; how it ended is in what it wrote to stderr.
            let _ = child.wait();
            return Err("the Python that UNIOOD_PYTHON names (default python3) lacks what benches/peers/requirements.txt lists, or \
                benches/peers/clip.py failed."
                .to_owned());
        };
        let off = furthest(&about["omega"], &clip.first_omegas(engine));
        assert!(off < AGREEMENT, "omega is {off} off the peers'");
        Ok(Self { child, ask, answers, about, off })
    }

    /// A pass of one of them.
    pub(crate) fn seconds(&mut self, name: &str) -> f64 {
        settle();
        writeln!(self.ask.as_mut().unwrap(), "{name}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        answer.trim().parse().unwrap()
    }

    /// What they are.
    pub(crate) fn words(&self) -> String {
        let version = |key: &str| self.about[key].as_str().unwrap_or_default().to_owned();
        format!(
            "Peers: torch {}, transformers {}, onnxruntime {}, {} threads; omega of the first frame is within {:.0e} of theirs.",
            version("torch"),
            version("transformers"),
            version("onnxruntime"),
            self.about["threads"],
            self.off
        )
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        // The end of its input is the end of the process.
        drop(self.ask.take());
        let _ = self.child.wait();
    }
}

fn furthest(theirs: &Value, ours: &[Vec<f32>]) -> f64 {
    let theirs: Vec<Vec<f64>> = serde_json::from_value(theirs.clone()).unwrap();
    assert_eq!(theirs.len(), ours.len());
    let pairs = theirs.iter().zip(ours).flat_map(|(theirs, ours)| theirs.iter().zip(ours));
    pairs.map(|(theirs, ours)| (theirs - f64::from(*ours)).abs()).fold(0.0, f64::max)
}

/// Frames, boxes and texts as the script reads them.
fn write(path: &Path, clip: &Clip, texts: [&ndarray::Array2<f32>; 2]) {
    let frames: Vec<_> = clip.pictures().collect();
    let (width, height) = (frames[0].0.width as usize, frames[0].0.height as usize);
    let pixels: Vec<u8> = frames.iter().flat_map(|(picture, _)| picture.rgb.iter().copied()).collect();
    let boxes = frames.iter().flat_map(|(_, found)| found.iter().map(|found| found.bbox));
    let boxes: Vec<u8> = boxes.flat_map(|bbox| [bbox.x, bbox.y, bbox.w, bbox.h]).flat_map(f32::to_le_bytes).collect();
    let of = (0_i64..).zip(&frames).flat_map(|(number, (_, found))| found.iter().map(move |_| number));
    let of: Vec<u8> = of.flat_map(i64::to_le_bytes).collect();
    let texts = texts.map(|text| (text.shape().to_vec(), text.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>()));
    let tensor = |dtype, shape, data| TensorView::new(dtype, shape, data).unwrap();
    let tensors = [
        ("frames", tensor(Dtype::U8, vec![frames.len(), height, width, 3], &pixels)),
        ("boxes", tensor(Dtype::F32, vec![boxes.len() / 16, 4], &boxes)),
        ("of", tensor(Dtype::I64, vec![of.len() / 8], &of)),
        ("text", tensor(Dtype::F32, texts[0].0.clone(), &texts[0].1)),
        ("context_text", tensor(Dtype::F32, texts[1].0.clone(), &texts[1].1)),
    ];
    fs::write(path, safetensors::serialize(tensors, None).unwrap()).unwrap();
}
