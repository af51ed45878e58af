//! The class list's texts: computed once per list, they do not depend on any picture.
//!
//! `M(t_c)` is the mean over templates of the unit text embeddings, scaled to unit length again; w is the
//! mean over templates **(ours)** of the inter-text attention; `M̃_c = Σ_c′ w[c′,c]·M(t_c′)`
//! (method.md, text side).

use std::{fs, path::Path, sync::Arc};

use ndarray::Array2;

use crate::{
    Error, Result,
    attention::{inter_text, size},
    encode::TextEncoding,
    models::check_classes,
    score::unit_rows,
};

/// Text embeddings and context texts of a class list.
#[derive(Debug, Clone, PartialEq)]
pub struct Vocabulary {
    /// The ID classes, C of them.
    pub classes: Vec<Arc<str>>,
    /// M(t_c), unit rows, `[C, E]`.
    pub text: Array2<f32>,
    /// w[c′,c] as row c, column c′; rows sum to 1, `[C, C]`.
    pub inter_text: Array2<f32>,
    /// M̃_c, not re-scaled, `[C, E]`.
    pub context_text: Array2<f32>,
}

impl Vocabulary {
    /// The vocabulary of `classes` from the text tower's outputs, one [`TextEncoding`] a template, its rows in the classes' order.
    ///
    /// # Errors
    /// [`Error::Classes`] for an unusable list; [`Error::Inference`] where the outputs do not have the list's shape, or are not finite.
    pub fn from_templates<S: AsRef<str>>(classes: &[S], templates: &[TextEncoding]) -> Result<Self> {
        check_classes(classes)?;
        let wrong = |problem: String| Err(Error::Inference { stage: "text", problem });
        let Some(first) = templates.first() else {
            return wrong("there is no template; give at least one such as \"A photo of a {}\"".to_owned());
        };
        for TextEncoding { text_embedding, query_eot, key_eot } in templates {
            let fits = text_embedding.nrows() == classes.len()
                && query_eot.dim().0 == classes.len()
                && text_embedding.dim() == first.text_embedding.dim()
                && query_eot.dim() == first.query_eot.dim()
                && key_eot.dim() == query_eot.dim();
            if !fits {
                let (texts, queries, keys) = (text_embedding.shape(), query_eot.shape(), key_eot.shape());
                let classes = classes.len();
                return wrong(format!(
                    "it gave embeddings {texts:?}, queries {queries:?}, keys {keys:?} for {classes} classes; build the graph again"
                ));
            }
            if text_embedding.iter().chain(query_eot).chain(key_eot).any(|value| !value.is_finite()) {
                return wrong("it gave a number that is not finite; run it in fp32, or check the weights".to_owned());
            }
        }
        let mut weights = Array2::zeros((classes.len(), classes.len()));
        for template in templates {
            weights += &inter_text::weights(&template.query_eot, &template.key_eot);
        }
        let text = mean_text(templates);
        let inter_text = weights / size(templates.len());
        let context_text = inter_text::context_text(&inter_text, &text);
        Ok(Self { classes: classes.iter().map(|class| Arc::from(class.as_ref().trim())).collect(), text, inter_text, context_text })
    }
}

/// The mean over templates of the unit text embeddings, of unit length again, `[texts, E]`; there is at least one template.
pub(crate) fn mean_text(templates: &[TextEncoding]) -> Array2<f32> {
    let mut sum = Array2::zeros(templates[0].text_embedding.dim());
    for template in templates {
        sum += &unit_rows(&template.text_embedding);
    }
    unit_rows(&(sum / size(templates.len())))
}

/// The prompts of every class, template by template: `prompts[template][class]`.
#[must_use]
pub fn prompts<C: AsRef<str>, T: AsRef<str>>(classes: &[C], templates: &[T]) -> Vec<Vec<String>> {
    let prompt = |template: &T, class: &C| template.as_ref().replace("{}", class.as_ref().trim());
    templates.iter().map(|template| classes.iter().map(|class| prompt(template, class)).collect()).collect()
}

/// The class list a user gives: names with commas between (`car,bus`), or the path of a UTF-8 text file with one a line.
///
/// A value that names an existing file is read as one; so is a value without a comma that ends in `.txt` or holds a
/// path separator. Space around names and empty lines are dropped.
///
/// # Errors
/// [`Error::File`] where a file cannot be read, [`Error::Classes`] for a list that [`check_classes`] refuses.
pub fn parse_classes(value: &str) -> Result<Vec<String>> {
    let path = Path::new(value.trim());
    let looks_like_file = !value.contains(',') && (value.contains(std::path::is_separator) || path.extension().is_some_and(|e| e == "txt"));
    let classes: Vec<String> = if path.is_file() || looks_like_file {
        let text = fs::read_to_string(path).map_err(Error::file("read", path))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
    } else if value.trim().is_empty() {
        Vec::new()
    } else {
        value.split(',').map(|name| name.trim().to_owned()).collect()
    };
    check_classes(&classes)?;
    Ok(classes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array4, Axis, array};

    fn encoding(rows: Array2<f32>, query: f32) -> TextEncoding {
        let classes = rows.nrows();
        let eots = Array4::from_shape_fn((classes, 1, 1, 1), |(class, ..)| query * (1.0 + size(class)));
        TextEncoding { text_embedding: rows, query_eot: eots.clone(), key_eot: eots }
    }

    #[test]
    fn templates_are_averaged_after_scaling_and_scaled_again() {
        // Lengths differ by 100 and must not matter.
        let encodings = [encoding(array![[100.0, 0.0]], 1.0), encoding(array![[0.0, 1.0]], 1.0)];
        let vocabulary = Vocabulary::from_templates(&["car"], &encodings).unwrap();
        let half = std::f32::consts::FRAC_1_SQRT_2;
        assert!(vocabulary.text.iter().all(|value| (value - half).abs() < 1e-6), "{}", vocabulary.text);
    }

    #[test]
    fn inter_text_is_the_mean_over_templates() {
        let rows = || array![[1.0, 0.0], [0.0, 1.0]];
        let (a, b) = (encoding(rows(), 1.0), encoding(rows(), 2.0));
        let one = |encoding: &TextEncoding| inter_text::weights(&encoding.query_eot, &encoding.key_eot);
        let wanted = (one(&a) + one(&b)) / 2.0;
        let vocabulary = Vocabulary::from_templates(&["car", "bus"], &[a, b]).unwrap();
        assert_eq!(vocabulary.inter_text, wanted);
        assert!(vocabulary.inter_text.sum_axis(Axis(1)).iter().all(|sum| (sum - 1.0).abs() < 1e-6));
        assert_eq!(vocabulary.context_text, wanted); // the texts are the unit vectors
    }

    #[test]
    fn outputs_that_do_not_fit_the_list_are_errors() {
        let good = || encoding(array![[1.0, 0.0], [0.0, 1.0]], 1.0);
        for (classes, templates) in [
            (vec!["car"], vec![good()]),
            (vec!["car", "bus"], vec![]),
            (vec!["car", "bus"], vec![good(), encoding(array![[1.0], [2.0]], 1.0)]),
            (vec!["car", "bus"], vec![encoding(array![[f32::NAN, 0.0], [0.0, 1.0]], 1.0)]),
            (vec!["car", "Car "], vec![good()]),
        ] {
            assert!(Vocabulary::from_templates(&classes, &templates).is_err(), "{classes:?}");
        }
    }

    #[test]
    fn prompts_are_grouped_by_template() {
        let wanted = [["A photo of a car", "A photo of a bus"], ["a car!", "a bus!"]];
        assert_eq!(prompts(&["car", " bus "], &["A photo of a {}", "a {}!"]), wanted);
    }

    #[test]
    fn a_list_is_split_at_commas_and_trimmed() {
        assert_eq!(parse_classes("car, traffic light ,bus").unwrap(), ["car", "traffic light", "bus"]);
        assert_eq!(parse_classes("car").unwrap(), ["car"]);
    }

    #[test]
    fn a_file_has_one_class_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("classes.txt");
        fs::write(&path, "\u{feff}car\r\n\n  traffic light \nbus, yellow\n").unwrap();
        assert_eq!(parse_classes(path.to_str().unwrap()).unwrap(), ["car", "traffic light", "bus, yellow"]);
    }

    #[test]
    fn unusable_lists_say_why() {
        let dir = tempfile::tempdir().unwrap();
        let (empty, binary) = (dir.path().join("empty.txt"), dir.path().join("binary.txt"));
        fs::write(&empty, "\n\n").unwrap();
        fs::write(&binary, [0xff, 0xfe, 0x00]).unwrap();
        for (value, wanted) in [
            ("", "empty"),
            (" ", "empty"),
            ("car,,bus", "empty name"),
            ("car,bus,", "empty name"),
            ("car,CAR", "twice"),
            ("no/such/list", "cannot read no/such/list"),
            ("missing.txt", "cannot read missing.txt"),
            (empty.to_str().unwrap(), "empty"),
            (binary.to_str().unwrap(), "cannot read"),
        ] {
            let error = parse_classes(value).unwrap_err().to_string();
            assert!(error.contains(wanted), "`{value}`: {error}");
        }
    }
}
