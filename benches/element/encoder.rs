//! The dual encoder alone: the same graph in the same ONNX Runtime, nothing around it.

use std::time::{Duration, Instant};

use ndarray::{Array1, Array2, Array4};
use uniood::{
    engine::{Device, Session},
    graph,
    models::ModelSet,
};

use super::{BATCH, SIZES, Set};

/// The session and a batch for it.
pub(crate) struct Encoder {
    session: Session,
    target: Array4<u8>,
    background: Array4<u8>,
    has_context: Array1<f32>,
    text: Array2<f32>,
}

impl Encoder {
    /// Builds the set's graph and loads it with as many threads as the element has.
    pub(crate) fn open(set: &Set<'_>) -> Self {
        let path = set.dir.join("image.onnx");
        let models = ModelSet::open(set.dir).unwrap();
        graph::write_vision(&models, graph::Numbers::Fp32, &path).unwrap();
        let session = Session::from_file("encode", &path, &Device::Cpu, None).unwrap();
        let image = |seed: usize| {
            Array4::from_shape_fn((BATCH, SIZES.image, SIZES.image, 3), |(o, y, x, c)| {
                u8::try_from((o * 31 + y * 7 + x * 13 + c * 57 + seed) % 256).unwrap()
            })
        };
        let classes = models.manifest.classes.len();
        let text =
            Array2::from_shape_fn((classes, SIZES.embedding), |(c, e)| f32::from(u8::try_from((c * 37 + e * 11) % 101).unwrap()) - 50.0);
        Self { session, target: image(0), background: image(99), has_context: Array1::ones(BATCH), text }
    }

    pub(crate) const fn threads(&self) -> usize {
        self.session.threads()
    }

    /// Encodes `batches` batches one behind the other.
    pub(crate) fn run(&mut self, batches: u32) -> Duration {
        let started = Instant::now();
        for _ in 0..batches {
            let outputs = self.session.run(&[
                ("target", self.target.view().into()),
                ("background", self.background.view().into()),
                ("has_context", self.has_context.view().into()),
                ("text", self.text.view().into()),
                ("context_text", self.text.view().into()),
            ]);
            let omega: Array2<f32> = outputs.unwrap().take("omega").unwrap();
            assert!(omega.iter().all(|omega| omega.is_finite()));
        }
        started.elapsed()
    }
}
