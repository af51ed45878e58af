//! A CLIP folder and a combiner with random weights, the image tower of full size: speed does not depend on what was
//! learned. The text tower is small, for it runs once a class list.

use std::{collections::HashMap, fs, path::Path};

use safetensors::{Dtype, tensor::TensorView};
use serde_json::json;
use uniood::models::{MANIFEST, SCHEMA};

/// Sizes of an image tower.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) name: &'static str,
    pub(crate) width: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) image: usize,
    pub(crate) patch: usize,
    pub(crate) embedding: usize,
}

/// OpenAI's two base models.
pub(crate) const BASE: [Sizes; 2] = [
    Sizes { name: "ViT-B/32", width: 768, layers: 12, heads: 12, image: 224, patch: 32, embedding: 512 },
    Sizes { name: "ViT-B/16", width: 768, layers: 12, heads: 12, image: 224, patch: 16, embedding: 512 },
];

/// Width and layers of the text tower, and what the tokenizer that goes with it knows.
const TEXT: (usize, usize) = (64, 2);
const TOKENS: (usize, usize) = (598, 77);

/// K, what `tune` makes.
pub(crate) const CONVOLUTION_WIDTH: usize = 64;

impl Sizes {
    /// T.
    pub(crate) const fn tokens(&self) -> usize {
        let grid = self.image / self.patch;
        grid * grid + 1
    }

    /// Writes the folder and `combiner.safetensors` in it.
    pub(crate) fn write(&self, dir: &Path) {
        let vision = json!({"hidden_size": self.width, "intermediate_size": 4 * self.width, "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads, "image_size": self.image, "patch_size": self.patch, "hidden_act": "quick_gelu"});
        let text = json!({"hidden_size": TEXT.0, "intermediate_size": 4 * TEXT.0, "num_hidden_layers": TEXT.1, "num_attention_heads": 4,
            "vocab_size": TOKENS.0, "max_position_embeddings": TOKENS.1, "eos_token_id": TOKENS.0 - 1});
        let config = json!({"model_type": "clip", "projection_dim": self.embedding, "vision_config": vision, "text_config": text});
        fs::write(dir.join("config.json"), config.to_string()).unwrap();
        let processor = json!({"image_mean": [0.481, 0.458, 0.408], "image_std": [0.269, 0.261, 0.276]});
        fs::write(dir.join("preprocessor_config.json"), processor.to_string()).unwrap();
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/quick_gelu_g7/clip");
        for file in ["tokenizer.json", "tokenizer_config.json"] {
            fs::copy(golden.join(file), dir.join(file)).unwrap();
        }
        write_tensors(&dir.join("model.safetensors"), self.towers());
        write_tensors(&dir.join("combiner.safetensors"), self.combiner());
    }

    /// Writes a model set around the folder, without a detector.
    #[allow(dead_code, reason = "not every bench runs a whole set")]
    pub(crate) fn write_set(&self, dir: &Path) {
        let clip = dir.join("clip");
        fs::create_dir_all(&clip).unwrap();
        self.write(&clip);
        let manifest = json!({
            "schema": SCHEMA, "name": "random", "licence": "MIT OR Apache-2.0", "clip": "clip", "combiner": "clip/combiner.safetensors", "threshold": 0.0,
            "classes": ["car", "bus", "truck", "bicycle", "motorcycle", "pedestrian", "traffic light", "bench", "dog", "tram"],
        });
        fs::write(dir.join(MANIFEST), manifest.to_string()).unwrap();
    }

    fn towers(&self) -> Vec<(String, Vec<usize>)> {
        let d = self.width;
        let mut tensors = vec![
            ("visual_projection.weight".to_owned(), vec![self.embedding, d]),
            ("vision_model.embeddings.class_embedding".to_owned(), vec![d]),
            ("vision_model.embeddings.patch_embedding.weight".to_owned(), vec![d, 3, self.patch, self.patch]),
            ("vision_model.embeddings.position_embedding.weight".to_owned(), vec![self.tokens(), d]),
            ("text_projection.weight".to_owned(), vec![self.embedding, TEXT.0]),
            ("text_model.embeddings.token_embedding.weight".to_owned(), vec![TOKENS.0, TEXT.0]),
            ("text_model.embeddings.position_embedding.weight".to_owned(), vec![TOKENS.1, TEXT.0]),
        ];
        layer(&mut tensors, "vision_model.pre_layrnorm", d, None);
        layer(&mut tensors, "vision_model.post_layernorm", d, None);
        layer(&mut tensors, "text_model.final_layer_norm", TEXT.0, None);
        transformer(&mut tensors, "vision_model", d, self.layers);
        transformer(&mut tensors, "text_model", TEXT.0, TEXT.1);
        tensors
    }

    fn combiner(&self) -> Vec<(String, Vec<usize>)> {
        let (d, k) = (self.width, CONVOLUTION_WIDTH);
        let mut tensors = Vec::new();
        for branch in ["target", "background"] {
            for (layer, shape) in [
                ("conv1", vec![k, d, 3, 3]),
                ("conv2", vec![k, k, 3, 3]),
                ("conv3", vec![k, k, 3, 3]),
                ("mlp1", vec![2 * d, d + k]),
                ("mlp2", vec![d, 2 * d]),
            ] {
                tensors.push((format!("{branch}.{layer}.bias"), vec![shape[0]]));
                tensors.push((format!("{branch}.{layer}.weight"), shape));
            }
        }
        tensors
    }
}

/// The tensors of `layers` transformer layers of width `d`.
fn transformer(tensors: &mut Vec<(String, Vec<usize>)>, tower: &str, d: usize, layers: usize) {
    for index in 0..layers {
        let at = format!("{tower}.encoder.layers.{index}");
        layer(tensors, &format!("{at}.layer_norm1"), d, None);
        layer(tensors, &format!("{at}.layer_norm2"), d, None);
        for which in ["q_proj", "k_proj", "v_proj", "out_proj"] {
            layer(tensors, &format!("{at}.self_attn.{which}"), d, Some(d));
        }
        layer(tensors, &format!("{at}.mlp.fc1"), 4 * d, Some(d));
        layer(tensors, &format!("{at}.mlp.fc2"), d, Some(4 * d));
    }
}

/// A linear layer's weight and bias, or without `inputs` a norm's.
fn layer(tensors: &mut Vec<(String, Vec<usize>)>, name: &str, outputs: usize, inputs: Option<usize>) {
    tensors.push((format!("{name}.weight"), [outputs].into_iter().chain(inputs).collect()));
    tensors.push((format!("{name}.bias"), vec![outputs]));
}

/// Uniform weights with the usual spread, `1/√inputs`; layer norms' and biases are as small.
#[expect(clippy::cast_precision_loss, reason = "random numbers")]
fn write_tensors(path: &Path, shapes: Vec<(String, Vec<usize>)>) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    };
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = shapes
        .into_iter()
        .map(|(name, shape)| {
            let spread = 1.7 / (shape[1..].iter().product::<usize>() as f32).sqrt();
            let count = shape.iter().product();
            let bytes = (0..count).flat_map(|_| (uniform() * spread).to_le_bytes()).collect();
            (name, shape, bytes)
        })
        .collect();
    let views = tensors.iter().map(|(name, shape, bytes)| (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    let form = HashMap::from([("form".to_owned(), "residual".to_owned())]);
    safetensors::serialize_to_file(views, Some(form), path).unwrap();
}
