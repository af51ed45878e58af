//! What the training needs of CLIP and the class list: texts, P, CLIP's temperature, and context texts of any company.

use std::collections::{BTreeSet, HashMap};

use ndarray::{Array1, Array2, Array3, ArrayView2, Axis};

use super::weights::ContextText;
use crate::{
    Error, Result,
    attention::{size, softmax},
    encode::TextEncoding,
    engine::{EngineConfig, text_encodings},
    models::{ModelSet, Weights, check_classes},
    vocabulary::{Vocabulary, mean_text},
};

/// All that depends on neither pictures nor combiner.
#[derive(Debug, Clone)]
pub(crate) struct Texts {
    /// M(t_c), unit rows, `[C, E]`.
    pub(crate) text: Array2<f32>,
    /// P, `[E, D]`.
    pub(crate) projection: Array2<f32>,
    /// τ: what cosines are multiplied with before a softmax, CLIP's own.
    pub(crate) scale: f32,
    /// `k_EOT(c′)·q_EOT(c)/√d_h`, `[layers and heads of every template, C, C′]`.
    logits: Array3<f32>,
    /// Unit texts of lists of names, by the classes in them.
    commas: HashMap<Vec<usize>, Array1<f32>>,
}

impl Texts {
    /// Runs the text tower, and reads P and τ.
    pub(crate) fn open(config: &EngineConfig, classes: &[String]) -> Result<Self> {
        check_classes(classes)?;
        let models = &config.models;
        let weights = Weights::open_folder(&models.clip_dir())?;
        let projection = projection(&weights, models)?;
        let scale = logit_scale(&weights)?;
        let encodings = text_encodings(config, classes)?;
        let text = Vocabulary::from_templates(classes, &encodings)?.text;
        Ok(Self { text, projection, scale, logits: logits(&encodings)?, commas: HashMap::new() })
    }

    /// Runs the text tower on the lists of names in each company, and on the whole class list: what [`ContextText::Comma`] needs.
    ///
    /// # Errors
    /// [`Error::Classes`] where a list is longer than the text tower reads.
    pub(crate) fn read_commas<'a>(
        &mut self,
        config: &EngineConfig,
        classes: &[String],
        companies: impl Iterator<Item = &'a [u32]>,
    ) -> Result<()> {
        let everybody = (0..classes.len()).collect();
        let lists: BTreeSet<Vec<usize>> =
            companies.map(present).chain([everybody]).filter(|list| !list.is_empty() && !self.commas.contains_key(list)).collect();
        let names = |list: &Vec<usize>| list.iter().map(|&class| classes[class].trim()).collect::<Vec<_>>().join(", ");
        let prompts: Vec<String> = lists.iter().map(names).collect();
        let text = mean_text(&text_encodings(config, &prompts)?);
        self.commas.extend(lists.into_iter().zip(text.rows().into_iter().map(|row| row.to_owned())));
        Ok(())
    }

    /// M̃_c `[C, E]` of an object among `others` (of each class how many); `None` where there are none.
    pub(crate) fn context(&self, others: &[u32], kind: ContextText) -> Option<Array2<f32>> {
        let present = present(others);
        if present.is_empty() {
            return None;
        }
        match kind {
            ContextText::InterText => Some(self.inter_text(&present, others)),
            // The network's part comes on top of the mean.
            ContextText::Average | ContextText::Mlp => {
                #[expect(clippy::cast_precision_loss, reason = "a picture holds far fewer than 2^24 objects")]
                let counts: Array1<f32> = others.iter().map(|&count| count as f32).collect();
                Some(self.same_for_all(&(counts.dot(&self.text) / counts.sum())))
            }
            ContextText::Comma => Some(self.same_for_all(self.commas.get(&present)?)),
        }
    }

    fn same_for_all(&self, text: &Array1<f32>) -> Array2<f32> {
        text.broadcast(self.text.dim()).expect("a text has the width of all texts").to_owned()
    }

    /// Inter-text attention over one entry an object.
    fn inter_text(&self, present: &[usize], others: &[u32]) -> Array2<f32> {
        #[expect(clippy::cast_precision_loss, reason = "a picture holds far fewer than 2^24 objects")]
        let bonus: Array1<f32> = present.iter().map(|&class| (others[class] as f32).ln()).collect();
        let text = self.text.select(Axis(0), present);
        let mut weights = Array2::zeros((self.text.nrows(), present.len()));
        for logits in self.logits.outer_iter() {
            // n equal entries in a softmax are one entry whose logit is larger by ln n.
            let mut logits = logits.select(Axis(1), present) + &bonus;
            logits.rows_mut().into_iter().for_each(softmax);
            weights += &logits;
        }
        (weights / size(self.logits.len_of(Axis(0)))).dot(&text)
    }
}

/// Classes that somebody belongs to.
fn present(others: &[u32]) -> Vec<usize> {
    (0..others.len()).filter(|&class| others[class] > 0).collect()
}

fn logits(templates: &[TextEncoding]) -> Result<Array3<f32>> {
    let of_template = |TextEncoding { query_eot, key_eot, .. }: &TextEncoding| {
        let (classes, layers, heads, width) = query_eot.dim();
        let mut logits = Array3::zeros((layers * heads, classes, classes));
        let of_layers = query_eot.axis_iter(Axis(1)).zip(key_eot.axis_iter(Axis(1)));
        let of_heads =
            of_layers.flat_map(|(query, key)| query.axis_iter(Axis(1)).zip(key.axis_iter(Axis(1))).map(scaled(width)).collect::<Vec<_>>());
        for (mut to, from) in logits.outer_iter_mut().zip(of_heads) {
            to.assign(&from);
        }
        logits
    };
    let parts: Vec<_> = templates.iter().map(of_template).collect();
    let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
    ndarray::concatenate(Axis(0), &views).map_err(|error| Error::Inference { stage: "text", problem: error.to_string() })
}

/// `q·kᵀ/√d_h` of one layer and head, `[C, C′]`.
fn scaled<'a>(width: usize) -> impl Fn((ArrayView2<'a, f32>, ArrayView2<'a, f32>)) -> Array2<f32> {
    move |(query, key)| query.dot(&key.t()) / size(width).sqrt()
}

/// P, `[E, D]`.
pub(crate) fn projection(weights: &Weights, models: &ModelSet) -> Result<Array2<f32>> {
    weights.array("visual_projection.weight", (models.clip.projection_dim, models.clip.vision.hidden_size))
}

pub(crate) fn logit_scale(weights: &Weights) -> Result<f32> {
    let found = weights.array_dyn("logit_scale")?;
    let scale = found.iter().next().map_or(f32::NAN, |logarithm| logarithm.exp());
    if found.len() == 1 && scale.is_finite() {
        return Ok(scale);
    }
    Err(Error::model_set(weights.path(), "logit_scale", format!("{found}"), "the logarithm of CLIP's temperature, one number"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::inter_text;
    use ndarray::Array4;

    fn texts() -> (Texts, Vec<TextEncoding>) {
        let mut state = 7_u32;
        let mut next = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f32::from(u16::try_from(state >> 16).unwrap()) / 16384.0 - 2.0
        };
        let mut encoding = || TextEncoding {
            text_embedding: Array2::from_shape_simple_fn((4, 3), &mut next),
            query_eot: Array4::from_shape_simple_fn((4, 2, 2, 3), &mut next),
            key_eot: Array4::from_shape_simple_fn((4, 2, 2, 3), &mut next),
        };
        let encodings = vec![encoding(), encoding()];
        let text = Vocabulary::from_templates(&["a", "b", "c", "d"], &encodings).unwrap().text;
        let logits = logits(&encodings).unwrap();
        (Texts { text, projection: Array2::eye(3), scale: 1.0, logits, commas: HashMap::new() }, encodings)
    }

    fn near(a: &Array2<f32>, b: &Array2<f32>) -> bool {
        a.shape() == b.shape() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5)
    }

    #[test]
    fn one_of_each_class_is_the_context_of_inference() {
        let (texts, encodings) = texts();
        let vocabulary = Vocabulary::from_templates(&["a", "b", "c", "d"], &encodings).unwrap();
        assert!(near(&texts.context(&[1; 4], ContextText::InterText).unwrap(), &vocabulary.context_text));
    }

    #[test]
    fn two_objects_of_a_class_count_twice() {
        // As if the class stood in the list twice.
        let (texts, mut encodings) = texts();
        let twice = [0, 1, 1];
        for encoding in &mut encodings {
            encoding.query_eot = encoding.query_eot.select(Axis(0), &[2, 2, 2]);
            encoding.key_eot = encoding.key_eot.select(Axis(0), &twice);
        }
        let weights = encodings.iter().map(|e| inter_text::weights(&e.query_eot, &e.key_eot)).reduce(|a, b| a + b).unwrap() / 2.0;
        let wanted = weights.dot(&texts.text.select(Axis(0), &twice));
        let found = texts.context(&[1, 2, 0, 0], ContextText::InterText).unwrap();
        assert!(found.row(2).iter().zip(&wanted.row(0)).all(|(a, b)| (a - b).abs() < 1e-5), "{found} {wanted}");
    }

    #[test]
    fn the_average_counts_every_object_and_is_the_same_for_all_classes() {
        let (texts, _) = texts();
        let found = texts.context(&[1, 3, 0, 0], ContextText::Average).unwrap();
        let wanted = (&texts.text.row(0) + &(&texts.text.row(1) * 3.0)) / 4.0;
        assert!(found.rows().into_iter().all(|row| row.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-6)));
        // A list of names that was not read is no context.
        assert!(texts.context(&[1, 3, 0, 0], ContextText::Comma).is_none());
    }

    #[test]
    fn without_others_there_is_no_context() {
        assert!(texts().0.context(&[0; 4], ContextText::InterText).is_none());
    }
}
