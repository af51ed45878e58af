//! `background=shared` and the shortlist: the graphs against the plain method, run by ONNX Runtime.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/golden.rs"]
mod golden;

use std::time::Duration;

use golden::{CLIP_CASES, GoldenCase, furthest, session};
use ndarray::{Array1, Array2, Array3, Array4, Axis, stack};
use uniood::{
    encode::{ImageEncoding, reference::Reference},
    engine::{Outputs, Session},
    graph::{HeadsGraph, ImageGraph, TowerGraph, port},
    score::{ClassScores, NOT_LISTED, shortlist},
    vocabulary::Vocabulary,
};

const TOLERANCE: f32 = 1e-5;

struct Shared {
    reference: Reference,
    vocabulary: Vocabulary,
    targets: Array4<u8>,
    /// Two frames; objects look at one of them in turn.
    frames: Array4<u8>,
    tower: Session,
    heads: Session,
    listing: Session,
}

/// Which patches are hidden of object `object`: a box of its own.
fn own(object: usize, patches: usize) -> Vec<bool> {
    (0..patches).map(|patch| (patch * 7 + object * 3) % 5 < 2).collect()
}

impl Shared {
    fn of(case: &GoldenCase) -> Self {
        let reference = Reference::open(&case.clip_dir(), Some(&case.combiner())).unwrap();
        let weights = case.weights();
        let vocabulary = reference.vocabulary(&case.classes, &case.templates).unwrap();
        let clip = &reference.config;
        let combiner = reference.combiner.as_ref().unwrap();
        let heads = HeadsGraph { name: "golden", clip, weights: &weights, combiner, betas: true };
        let tower = session(&TowerGraph { name: "golden", clip, weights: &weights }.build().unwrap());
        let sessions = (session(&heads.build(false).unwrap()), session(&heads.build(true).unwrap()));
        Self {
            vocabulary,
            targets: case.images("target", case.objects),
            // A background is as good a frame as any.
            frames: case.images("background", 2.min(case.objects)),
            tower,
            heads: sessions.0,
            listing: sessions.1,
            reference,
        }
    }

    /// The heads on what the tower gave, all objects in one batch.
    fn run(&mut self, has_context: f32, count: Option<i64>) -> Outputs {
        let vision = &self.reference.config.vision;
        let objects = self.targets.dim().0;
        let mut targets = self.tower.run(&[(port::IMAGE, self.targets.view().into())]).unwrap();
        let mut frames = self.tower.run(&[(port::IMAGE, self.frames.view().into())]).unwrap();
        let keys: Vec<Array3<f32>> = (0..vision.num_hidden_layers).map(|layer| frames.take(&port::key(layer)).unwrap()).collect();
        // [L, T, F, D] to [F, L, T, D]
        let keys = stack(Axis(0), &keys.iter().map(|key| key.view()).collect::<Vec<_>>()).unwrap();
        let keys = keys.permuted_axes([2, 0, 1, 3]).as_standard_layout().into_owned();
        let (tokens, beta): (Array3<f32>, Array2<f32>) = (targets.take(port::TOKENS).unwrap(), targets.take(port::BETA).unwrap());
        let query: Array3<f32> = targets.take(port::QUERY_CLS).unwrap();
        let frame_tokens: Array3<f32> = frames.take(port::TOKENS).unwrap();
        let frame: Array1<i64> = (0..objects).map(|object| i64::try_from(object % self.frames.dim().0).unwrap()).collect();
        let mut hidden = Array2::zeros((objects, vision.tokens()));
        for object in 0..objects {
            for (patch, own) in own(object, vision.tokens() - 1).into_iter().enumerate() {
                hidden[[object, patch + 1]] = f32::from(u8::from(own));
            }
        }
        let has_context = Array1::from_elem(objects, has_context);
        let mut inputs = vec![
            (port::TOKENS_TARGET, tokens.view().into()),
            (port::BETA_TARGET, beta.view().into()),
            (port::QUERY_CLS, query.view().into()),
            (port::TOKENS_FRAME, frame_tokens.view().into()),
            (port::KEY_FRAME, keys.view().into()),
            (port::FRAME, frame.view().into()),
            (port::HIDDEN, hidden.view().into()),
            (port::HAS_CONTEXT, has_context.view().into()),
            (port::TEXT, self.vocabulary.text.view().into()),
            (port::CONTEXT_TEXT, self.vocabulary.context_text.view().into()),
        ];
        let count = count.map(|count| Array1::from(vec![count]));
        let session = match &count {
            None => &mut self.heads,
            Some(count) => {
                inputs.push((port::SHORTLIST, count.view().into()));
                &mut self.listing
            }
        };
        session.run(&inputs).unwrap()
    }

    fn encoded(&self, images: &Array4<u8>, index: usize) -> ImageEncoding {
        self.reference.vision.encode(&images.index_axis(Axis(0), index)).unwrap()
    }
}

/// The plain scores with all but the shortlist taken away.
fn listed(scores: &ClassScores, count: usize) -> Array1<f32> {
    let listed = shortlist(&scores.clip_cosine, count);
    scores.omega.iter().enumerate().map(|(class, omega)| if listed.contains(&class) { *omega } else { NOT_LISTED }).collect()
}

#[test]
fn tower_and_heads_are_the_plain_method_whatever_is_hidden() {
    common::completes_within(Duration::from_mins(2), || {
        for name in CLIP_CASES {
            let case = GoldenCase::open(name);
            let mut shared = Shared::of(&case);
            let mut worst = 0f32;
            for (has_context, flag) in [(true, 1.0), (false, 0.0)] {
                let mut found = shared.run(flag, None);
                let mut short = shared.run(flag, Some(2));
                let omega: Array2<f32> = found.take(port::OMEGA).unwrap();
                let cosine: Array2<f32> = found.take(port::CLIP_COSINE).unwrap();
                let beta: Array2<f32> = found.take(port::BETA_BACKGROUND).unwrap();
                let short: Array2<f32> = short.take(port::OMEGA).unwrap();
                for object in 0..case.objects {
                    let target = shared.encoded(&shared.targets, object);
                    let frame = shared.encoded(&shared.frames, object % shared.frames.dim().0);
                    let own = own(object, target.z.nrows() - 1);
                    let trace = shared.reference.trace_shared(&target, &frame, &own, &shared.vocabulary, has_context);
                    for (token, beta) in beta.row(object).iter().enumerate() {
                        assert_eq!(*beta == 0.0, token > 0 && own[token - 1], "{name}: token {token} has {beta}");
                    }
                    for difference in [
                        furthest(&beta.row(object), &trace.beta_background),
                        furthest(&omega.row(object), &trace.scores.omega),
                        furthest(&cosine.row(object), &trace.scores.clip_cosine),
                        furthest(&short.row(object), &listed(&trace.scores, 2)),
                    ] {
                        assert!(difference < TOLERANCE, "{name}: {difference}");
                        worst = worst.max(difference);
                    }
                }
            }
            eprintln!("{name}: largest difference {worst:.1e}");
        }
    });
}

#[test]
fn with_nothing_hidden_the_frame_is_a_background_like_any() {
    let case = GoldenCase::open(CLIP_CASES[0]);
    let shared = Shared::of(&case);
    let (target, frame) = (shared.encoded(&shared.targets, 0), shared.encoded(&shared.frames, 0));
    let none = vec![false; target.z.nrows() - 1];
    let trace = shared.reference.trace_shared(&target, &frame, &none, &shared.vocabulary, true);
    // Its frame is the golden case's own background.
    case.check("object0.context.omega", &trace.scores.omega, 1e-4);
}

#[test]
fn an_exact_graph_with_a_shortlist_scores_the_listed_as_without() {
    for name in CLIP_CASES {
        let case = GoldenCase::open(name);
        let Shared { reference, vocabulary, targets, frames, .. } = Shared::of(&case);
        let weights = case.weights();
        let graph =
            ImageGraph { name: "golden", clip: &reference.config, weights: &weights, combiner: reference.combiner.as_ref(), betas: false };
        let (mut all, mut short) = (session(&graph.build().unwrap()), session(&graph.build_with_shortlist().unwrap()));
        let objects = frames.dim().0;
        let target = targets.slice_axis(Axis(0), (..objects).into());
        let has_context = Array1::<f32>::ones(objects);
        for count in 1..=case.classes.len() {
            let counts = Array1::from(vec![i64::try_from(count).unwrap()]);
            let mut inputs = vec![
                (port::TARGET, target.into()),
                (port::BACKGROUND, frames.view().into()),
                (port::HAS_CONTEXT, has_context.view().into()),
                (port::TEXT, vocabulary.text.view().into()),
                (port::CONTEXT_TEXT, vocabulary.context_text.view().into()),
            ];
            let mut wanted = all.run(&inputs).unwrap();
            inputs.push((port::SHORTLIST, counts.view().into()));
            let mut found = short.run(&inputs).unwrap();
            let take = |outputs: &mut Outputs, name: &str| -> Array2<f32> { outputs.take(name).unwrap() };
            let (omega, cosine) = (take(&mut wanted, port::OMEGA), take(&mut wanted, port::CLIP_COSINE));
            let (short, short_cosine) = (take(&mut found, port::OMEGA), take(&mut found, port::CLIP_COSINE));
            assert!(furthest(&cosine, &short_cosine) < TOLERANCE, "{name}: plain cosines are of all classes");
            for object in 0..objects {
                let plain = ClassScores { omega: omega.row(object).to_owned(), clip_cosine: cosine.row(object).to_owned() };
                let worst = furthest(&short.row(object), &listed(&plain, count));
                assert!(worst < TOLERANCE, "{name}, {count} classes: {worst}");
            }
        }
    }
}
