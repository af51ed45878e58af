//! The gradients of everything that is trained, in double precision, against finite differences and against PyTorch; the head against
//! the plain combiner.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor, Var, safetensors};
use ndarray::{Array1, Array2, Array3};

use super::{
    context::{Company, ContextNet},
    head::{Head, Shape},
    losses::{contrastive, cross_entropy, leave_own_class_out, omega},
    rng::{Purpose, Rng},
    tensor::{array, tensor},
};
use crate::combiner::Form;

#[path = "../../tests/common/mod.rs"]
mod common;

const FORMS: [(Form, bool); 4] = [(Form::Residual, true), (Form::Residual, false), (Form::Paper, true), (Form::Paper, false)];

const SCALE: f64 = 3.0;

const OBJECTS: usize = 3;
const CLASSES: usize = 4;
const GRID: usize = 5;
const WIDTH: usize = 6;

struct Case {
    z: [Tensor; 2],
    weights: [Tensor; 2],
    projection: Tensor,
    text: Tensor,
    own: Tensor,
}

fn case() -> Case {
    let mut rng = Rng::new(5, Purpose::Context);
    let mut draw = |shape: &[usize], from: f32| {
        let values: Vec<f32> = (0..shape.iter().product::<usize>()).map(|_| rng.unit() * (1.0 - from) + from).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(DType::F64).unwrap()
    };
    let tokens = GRID * GRID + 1;
    let text = super::losses::unit(&draw(&[CLASSES, 5], -1.0)).unwrap();
    let own = super::samples::own(&[2, 0, 3], CLASSES, DType::F64).unwrap();
    Case {
        z: [draw(&[OBJECTS, tokens, WIDTH], -1.0), draw(&[OBJECTS, tokens, WIDTH], -1.0)],
        weights: [draw(&[OBJECTS, tokens, CLASSES], 0.0), draw(&[OBJECTS, tokens, CLASSES], 0.0)],
        projection: draw(&[5, WIDTH], -1.0),
        text,
        own,
    }
}

/// A head in double precision whose mlp2 is not zero, so that gradients reach what lies before it.
fn head(form: Form, cnn: bool) -> Head {
    let shape = Shape { form, width: WIDTH, channels: cnn.then_some(3), hidden: 7 };
    let mut head = Head::random(shape, &mut Rng::new(1, Purpose::Weights)).unwrap();
    let mut rng = Rng::new(2, Purpose::Weights);
    for branch in [&mut head.target, &mut head.background] {
        let mut layers: Vec<_> = branch.conv.iter_mut().flatten().chain([&mut branch.mlp1]).chain(&mut branch.mlp2).collect();
        for layer in &mut layers {
            for tensor in [&mut layer.weight, &mut layer.bias] {
                let values: Vec<f32> = (0..tensor.elem_count()).map(|_| rng.unit() - 0.5).collect();
                *tensor = Tensor::from_vec(values, tensor.dims(), &Device::Cpu).unwrap().to_dtype(DType::F64).unwrap();
            }
        }
    }
    head
}

fn loss(head: &Head, case: &Case) -> Tensor {
    let of = |index: usize, branch: &super::head::Branch| branch.output(&case.z[index], &case.weights[index]).unwrap();
    let mut fused = (of(0, &head.target) + of(1, &head.background)).unwrap();
    if head.form == Form::Residual {
        fused = fused.broadcast_add(&case.z[0].narrow(1, 0, 1).unwrap()).unwrap();
    }
    let omega = omega(&fused, &case.projection, &case.text).unwrap();
    let logits = (&omega * SCALE).unwrap();
    let sum = (cross_entropy(&logits, &case.own).unwrap() + leave_own_class_out(&omega, &case.own, SCALE).unwrap()).unwrap();
    (sum + contrastive(&logits, &case.own).unwrap()).unwrap()
}

#[test]
fn gradients_of_both_forms_with_and_without_convolutions_are_those_of_finite_differences() {
    const STEP: f64 = 1e-6;
    let case = case();
    for (form, cnn) in FORMS {
        let (head, variables) = head(form, cnn).trainable().unwrap();
        let gradients = loss(&head, &case).backward().unwrap();
        let number = || loss(&head, &case).to_scalar::<f64>().unwrap();
        let mut compared = 0;
        for variable in &variables {
            let gradient: Vec<f64> = gradients.get(variable).unwrap().flatten_all().unwrap().to_vec1().unwrap();
            let values: Vec<f64> = variable.as_tensor().flatten_all().unwrap().to_vec1().unwrap();
            // Some of the large tensors, all of the small ones.
            for at in (0..values.len()).step_by(values.len().div_ceil(12)) {
                let moved = |by: f64| {
                    let mut values = values.clone();
                    values[at] += by;
                    variable.set(&Tensor::from_vec(values, variable.dims(), &Device::Cpu).unwrap()).unwrap();
                    number()
                };
                let wanted = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
                moved(0.0);
                assert!(
                    (gradient[at] - wanted).abs() < 1e-6 + 1e-4 * wanted.abs(),
                    "{form:?} {cnn} {:?}: {} {wanted}",
                    variable.dims(),
                    gradient[at]
                );
                compared += 1;
            }
        }
        assert!(compared > 30, "{compared}");
    }
}

#[test]
fn gradients_of_the_contexts_network_are_those_of_finite_differences() {
    const STEP: f64 = 1e-6;
    let case = case();
    let mut rng = Rng::new(8, Purpose::Context);
    let mut draw = |shape: &[usize]| {
        let values: Vec<f32> = (0..shape.iter().product::<usize>()).map(|_| rng.unit() * 2.0 - 1.0).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(DType::F64).unwrap()
    };
    let tokens = GRID * GRID + 1;
    let there = Tensor::new(&[[1.0], [0.0], [1.0]], &Device::Cpu).unwrap();
    let company = Company {
        attention: case.weights[1].narrow(2, 0, 1).unwrap(),
        embedding: super::losses::unit(&draw(&[OBJECTS, tokens, 5])).unwrap(),
        met: [draw(&[OBJECTS, 5]), there.clone()],
        listed: [draw(&[OBJECTS, 5]), there.ones_like().unwrap()],
    };
    let mut net = ContextNet::random(5, &mut draw);
    let mut variables = Vec::new();
    net.train(&mut variables).unwrap();
    let kept = Tensor::new(&[[1.0], [1.0], [0.0]], &Device::Cpu).unwrap();
    for cnn in [true, false] {
        let branch = head(Form::Residual, cnn).background;
        let mixed = branch.mixed(&case.z[1]).unwrap();
        let loss = || {
            let weights = [company.met(&net, &kept).unwrap(), company.listed(&net).unwrap()];
            let outputs = weights.map(|weights| branch.hidden(&mixed, &weights).unwrap().sqr().unwrap().sum_all().unwrap());
            (&outputs[0] + &outputs[1]).unwrap()
        };
        let gradients = loss().backward().unwrap();
        for variable in &variables {
            let gradient: Vec<f64> = gradients.get(variable).unwrap().flatten_all().unwrap().to_vec1().unwrap();
            let values: Vec<f64> = variable.as_tensor().flatten_all().unwrap().to_vec1().unwrap();
            assert!(gradient.iter().any(|value| value.abs() > 1e-6), "{cnn}: {gradient:?}");
            for at in 0..values.len() {
                let moved = |by: f64| {
                    let mut values = values.clone();
                    values[at] += by;
                    variable.set(&Tensor::from_vec(values, variable.dims(), &Device::Cpu).unwrap()).unwrap();
                    loss().to_scalar::<f64>().unwrap()
                };
                let wanted = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
                moved(0.0);
                assert!(
                    (gradient[at] - wanted).abs() < 1e-6 + 1e-4 * wanted.abs(),
                    "{cnn} {:?}: {} {wanted}",
                    variable.dims(),
                    gradient[at]
                );
            }
        }
    }
}

/// The names of a head's tensors in the order in which they become variables.
fn names(head: &Head) -> Vec<String> {
    let layers = |branch: &super::head::Branch| {
        let conv = if branch.conv.is_some() { &["conv1", "conv2", "conv3"][..] } else { &[] };
        conv.iter().copied().chain(["mlp1"]).chain(branch.mlp2.iter().map(|_| "mlp2")).collect::<Vec<_>>()
    };
    let of = |name: &str, branch| {
        layers(branch).into_iter().flat_map(|layer| ["weight", "bias"].map(|part| format!("{name}.{layer}.{part}"))).collect::<Vec<_>>()
    };
    [of("target", &head.target), of("background", &head.background)].concat()
}

#[test]
fn loss_and_gradients_are_those_of_pytorch() {
    let case = case();
    for (form, cnn) in FORMS {
        let Some(mut python) = common::python(&["torch", "safetensors"]) else { return };
        let (head, variables) = head(form, cnn).trainable().unwrap();
        let names = names(&head);
        assert_eq!(names.len(), variables.len());
        let scale = Tensor::new(&[SCALE], &Device::Cpu).unwrap();
        let mut tensors: HashMap<String, Tensor> = names.iter().cloned().zip(variables.iter().map(Var::as_detached_tensor)).collect();
        let [z0, z1] = case.z.clone();
        let [weights0, weights1] = case.weights.clone();
        let (projection, text, own) = (case.projection.clone(), case.text.clone(), case.own.clone());
        for (name, tensor) in [
            ("z0", z0),
            ("z1", z1),
            ("weights0", weights0),
            ("weights1", weights1),
            ("projection", projection),
            ("text", text),
            ("own", own),
            ("scale", scale),
        ] {
            tensors.insert(name.to_owned(), tensor);
        }
        let dir = tempfile::tempdir().unwrap();
        let (source, out) = (dir.path().join("in.safetensors"), dir.path().join("out.safetensors"));
        safetensors::save(&tensors, &source).unwrap();
        let script = common::workspace_dir().join("tests/oracle/tune_gradients.py");
        let ran = python.arg(script).args([&source, &out]).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        let wanted = safetensors::load(&out, &Device::Cpu).unwrap();
        let loss = loss(&head, &case);
        let gradients = loss.backward().unwrap();
        let near = |name: &str, found: &Tensor| {
            let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            for (found, wanted) in values(found).into_iter().zip(values(&wanted[name])) {
                assert!((found - wanted).abs() < 1e-9, "{form:?} {cnn} {name}: {found} {wanted}");
            }
        };
        near("loss", &loss.reshape(1).unwrap());
        for (name, variable) in names.iter().zip(&variables) {
            near(name, gradients.get(variable).unwrap());
        }
    }
}

#[test]
fn the_head_computes_what_the_plain_combiner_does() {
    let case = case();
    for (form, cnn) in FORMS {
        let head = head(form, cnn);
        let plain = head.combiner().unwrap();
        let z: Array3<f32> = array(&case.z[0]).unwrap();
        let weights: Array3<f32> = array(&case.weights[0]).unwrap();
        let found: Array3<f32> = array(&head.background.output(&case.z[0], &case.weights[0]).unwrap()).unwrap();
        for object in 0..OBJECTS {
            for class in 0..CLASSES {
                let tokens: Array2<f32> = z.index_axis(ndarray::Axis(0), object).to_owned();
                let weight: Array1<f32> = weights.index_axis(ndarray::Axis(0), object).column(class).to_owned();
                // (N+1)·β·μ with μ = 1
                let beta = &weight / crate::attention::size(weight.len());
                let wanted = plain.background(&tokens, &beta, &Array1::ones(weight.len()));
                for (a, b) in found.index_axis(ndarray::Axis(0), object).row(class).iter().zip(&wanted) {
                    assert!((a - b).abs() < 1e-4, "{form:?} {cnn}: {a} {b}");
                }
            }
        }
    }
}

#[test]
fn a_new_residual_head_changes_nothing_and_seeds_are_kept() {
    let shape = Shape { form: Form::Residual, width: WIDTH, channels: Some(3), hidden: 7 };
    let head = |seed| Head::random(shape, &mut Rng::new(seed, Purpose::Weights)).unwrap();
    let (z, weights) = (Array3::<f32>::ones((1, 26, WIDTH)), Array3::<f32>::ones((1, 26, 2)));
    let out: Array3<f32> = array(&head(1).target.output(&tensor(&z).unwrap(), &tensor(&weights).unwrap()).unwrap()).unwrap();
    assert!(out.iter().all(|value| *value == 0.0));
    let first = |seed| head(seed).target.conv.unwrap()[0].weight.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(first(1), first(1));
    assert_ne!(first(1), first(2));
    let bound = 1.0 / crate::attention::size(WIDTH * 9).sqrt();
    assert!(first(1).iter().all(|value| value.abs() <= bound) && first(1).iter().any(|value| value.abs() > bound * 0.8));
}
