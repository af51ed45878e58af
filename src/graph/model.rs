//! A built graph on its way to a file or into memory.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use prost::Message;

use super::{
    Numbers,
    onnx::{GraphProto, ModelProto, OperatorSetIdProto, StringStringEntryProto, TensorProto},
    quantize::{RUNTIME_DOMAIN, quantize},
};
use crate::{
    Error, Result,
    whole::{self, with_suffix},
};

/// The operators' version: the first with LayerNormalization; TensorRT 8.6, OpenVINO 2023 and later know all of it.
pub const OPSET: i64 = 17;

/// The format's version that came with [`OPSET`].
const IR_VERSION: i64 = 8;

/// A protobuf message may not be longer than 2³¹ − 1 bytes; kept a little below.
const LONGEST_MESSAGE: usize = 0x7fff_0000;

/// Constants from here on go to the second file, the others stay where a reader sees them.
const SMALLEST_EXTERNAL: usize = 1024;

/// Where each tensor starts in the second file: at a page, so that it can be mapped.
const ALIGNMENT: u64 = 4096;

/// A graph with its weights, ready to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    proto: ModelProto,
}

impl Model {
    pub(super) fn new(graph: GraphProto, schema: &str, name: &str) -> Self {
        let entry = |key: &str, value: &str| StringStringEntryProto { key: key.to_owned(), value: value.to_owned() };
        let proto = ModelProto {
            ir_version: IR_VERSION,
            producer_name: "uniood".to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            model_version: 1,
            graph: Some(graph),
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
            metadata_props: vec![entry("schema", schema), entry("name", name)],
        };
        Self { proto }
    }

    /// The model in other numbers than the 32-bit floats that it was built in.
    #[must_use]
    pub fn in_numbers(mut self, numbers: Numbers) -> Self {
        match numbers {
            Numbers::Fp32 => {}
            Numbers::Int8 => {
                self.proto.graph = self.proto.graph.map(quantize);
                let (domain, version) = RUNTIME_DOMAIN;
                self.proto.opset_import.push(OperatorSetIdProto { domain: domain.to_owned(), version });
            }
        }
        let precision = StringStringEntryProto { key: "precision".to_owned(), value: numbers.to_string() };
        self.proto.metadata_props.push(precision);
        self
    }

    /// The protobuf.
    #[must_use]
    pub const fn proto(&self) -> &ModelProto {
        &self.proto
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// [`Error::Setting`] where the weights pass 2 GiB: such a model can only be written to a file.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let length = self.proto.encoded_len();
        if length > LONGEST_MESSAGE {
            return Err(Error::Setting(format!("a model of {length} bytes is too large for one message; write it to a file instead")));
        }
        Ok(self.proto.encode_to_vec())
    }

    /// Writes `path` and, where the weights pass 2 GiB, `path.data` beside it. A reader sees the whole file or none.
    ///
    /// # Errors
    /// [`Error::File`] where that fails.
    pub fn write(self, path: &Path) -> Result<()> {
        self.write_with_limit(path, LONGEST_MESSAGE)
    }

    fn write_with_limit(mut self, path: &Path, limit: usize) -> Result<()> {
        if self.proto.encoded_len() > limit {
            let beside = with_suffix(path, ".data");
            let location = beside.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let graph = self.proto.graph.get_or_insert_default();
            replace(&beside, |file| move_out(&mut graph.initializer, &location, file))?;
        }
        replace(path, |file| file.write_all(&self.proto.encode_to_vec()))
    }
}

/// Moves the values of large constants to `file`, and says in each where they went.
fn move_out(constants: &mut [TensorProto], location: &str, file: &mut impl Write) -> io::Result<()> {
    let mut offset = 0_u64;
    for constant in constants {
        let Some(values) = constant.raw_data.take_if(|values| values.len() >= SMALLEST_EXTERNAL) else { continue };
        let start = offset.next_multiple_of(ALIGNMENT);
        io::copy(&mut io::Read::take(io::repeat(0), start - offset), file)?;
        file.write_all(&values)?;
        offset = start + values.len() as u64;
        let entry = |key: &str, value: String| StringStringEntryProto { key: key.to_owned(), value };
        constant.external_data =
            vec![entry("location", location.to_owned()), entry("offset", start.to_string()), entry("length", values.len().to_string())];
        constant.data_location = Some(1);
    }
    Ok(())
}

/// Writes a file whole and down to the disk: what is built once is read for months.
fn replace(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<()> {
    whole::replace(path, |file| {
        write(file)?;
        file.flush()?;
        file.get_ref().sync_all()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::{Device, Session},
        graph::TextGraph,
        models::{ClipConfig, Weights},
    };
    use ndarray::{Ix2, array};
    use std::fs;

    fn constant(name: &str, values: Vec<u8>) -> TensorProto {
        let dims = vec![i64::try_from(values.len() / 4).unwrap()];
        TensorProto { dims, data_type: 1, name: name.to_owned(), raw_data: Some(values), ..TensorProto::default() }
    }

    #[test]
    fn weights_beyond_the_limit_go_to_a_second_file_at_page_boundaries() {
        let initializer = vec![constant("small", vec![1; 8]), constant("a", vec![2; 5000]), constant("b", vec![3; 2048])];
        let model = Model::new(GraphProto { initializer, ..GraphProto::default() }, "test/1", "test");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.onnx");
        model.write_with_limit(&path, 4000).unwrap();

        let data = fs::read(dir.path().join("model.onnx.data")).unwrap();
        assert_eq!(data.len(), 8192 + 2048);
        assert!(data[..5000].iter().all(|byte| *byte == 2) && data[8192..].iter().all(|byte| *byte == 3));
        let read = ModelProto::decode(fs::read(&path).unwrap().as_slice()).unwrap();
        let constants = &read.graph.as_ref().unwrap().initializer;
        assert_eq!(constants[0].raw_data.as_deref(), Some([1; 8].as_slice()));
        let place: Vec<_> = constants[2].external_data.iter().map(|entry| (entry.key.as_str(), entry.value.as_str())).collect();
        assert_eq!(place, [("location", "model.onnx.data"), ("offset", "8192"), ("length", "2048")]);
        assert_eq!((constants[2].raw_data.as_ref(), constants[2].data_location), (None, Some(1)));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing half-written stays");
    }

    #[test]
    fn a_model_in_two_files_gives_the_numbers_of_one() {
        let clip_dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/quick_gelu_g7/clip");
        let clip = ClipConfig::open(&clip_dir).unwrap();
        let weights = Weights::open_folder(&clip_dir).unwrap();
        let model = TextGraph { name: "test", clip: &clip, weights: &weights }.build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let ids = array![[596_i64, 5, 7, 597], [596, 11, 597, 597]];
        let eot = array![3_i64, 2];
        let texts = [usize::MAX, 1000].map(|limit| {
            let path = dir.path().join(format!("{limit}.onnx"));
            model.clone().write_with_limit(&path, limit).unwrap();
            let mut session = Session::from_file("text", &path, &Device::Cpu, Some(1)).unwrap();
            let mut outputs = session.run(&[("input_ids", ids.view().into()), ("eot", eot.view().into())]).unwrap();
            outputs.take::<Ix2>("text_embedding").unwrap()
        });
        assert_eq!(texts[0], texts[1]);
        assert!(dir.path().join("1000.onnx.data").metadata().unwrap().len() > 100_000);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let model = Model::new(GraphProto::default(), "test/1", "test");
        let error = model.write(Path::new("no-such-folder/model.onnx")).unwrap_err().to_string();
        assert!(error.contains("cannot write no-such-folder/model.onnx"), "{error}");
    }
}
