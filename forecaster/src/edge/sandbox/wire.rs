//! The frames between a parent and its worker: a head of twelve bytes and a body; it trusts no length it has not bounded.
//!
//! The head is three little-endian numbers: kind, count (rows of a run), length of the body. Rows and answers are f32 in
//! little-endian order, tensors a compact list, everything else CBOR.

use minicbor::{Decode, Encode};

use crate::engine::{Data, Dtype, IoSpec, Tensor};

/// Bytes of a head.
pub(super) const HEAD: usize = 12;
/// Longest body of a frame that is neither model, rows nor tensors.
pub(super) const MAX_TALK: usize = 1 << 20;
/// Longest text a worker may say about an error.
const MAX_TEXT: usize = 512;

/// What a frame is. The numbers never change.
pub(super) mod kind {
    /// To the worker: [`super::Setup`].
    pub(crate) const SETUP: u32 = 1;
    /// To the worker: [`super::Wanted`].
    pub(crate) const WANTED: u32 = 2;
    /// To the worker: the model's bytes; loading begins.
    pub(crate) const MODEL: u32 = 3;
    /// To the worker: rows to run.
    pub(crate) const ROWS: u32 = 4;
    /// Both ways: tensors to run, tensors that came out.
    pub(crate) const TENSORS: u32 = 5;
    /// To the parent: [`super::CageReport`]; from here on the cage is shut.
    pub(crate) const CAGED: u32 = 16;
    /// To the parent: [`super::Loaded`].
    pub(crate) const LOADED: u32 = 17;
    /// To the parent: answers.
    pub(crate) const ANSWERS: u32 = 18;
    /// To the parent: [`super::Failed`].
    pub(crate) const FAILED: u32 = 19;
}

/// The first frame: everything a worker must know before it shuts the cage.
#[derive(Clone, Debug, Encode, Decode)]
pub(super) struct Setup {
    #[n(0)]
    pub(super) library: Option<String>,
    #[n(1)]
    pub(super) memory_bytes: u64,
    #[n(2)]
    pub(super) cpu_s: u64,
    #[n(3)]
    pub(super) uid: u32,
    /// An escape to try instead of running a model.
    #[n(4)]
    pub(super) attempt: Option<String>,
    #[n(5)]
    pub(super) max_model_bytes: u64,
}

/// How the model is to be loaded.
#[derive(Clone, Debug, Encode, Decode)]
pub(super) struct Wanted {
    /// Name of the engine choice.
    #[n(0)]
    pub(super) choice: String,
    #[n(1)]
    pub(super) max_batch: u32,
    #[n(2)]
    pub(super) rows: Option<WantedRows>,
}

/// `RowIo` on its way.
#[derive(Clone, Debug, Encode, Decode)]
pub(super) struct WantedRows {
    #[n(0)]
    pub(super) input: String,
    #[n(1)]
    pub(super) row_shape: Vec<u32>,
    #[n(2)]
    pub(super) output: String,
    #[n(3)]
    pub(super) answer_width: u32,
    /// Tensors, compact.
    #[n(4)]
    #[cbor(with = "minicbor::bytes")]
    pub(super) constants: Vec<u8>,
}

/// The model is loaded.
#[derive(Clone, Debug, Encode, Decode)]
pub(super) struct Loaded {
    #[n(0)]
    pub(super) engine: String,
    #[n(1)]
    pub(super) io: IoSpec,
    /// Why it does not run where it was asked to.
    #[n(2)]
    pub(super) reason: Option<String>,
}

/// Something went wrong inside; the process is well.
#[derive(Clone, Debug, Encode, Decode)]
pub(super) struct Failed {
    #[n(0)]
    pub(super) code: String,
    #[n(1)]
    pub(super) text: String,
}

/// A frame's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: u32,
    pub(super) count: u32,
    pub(super) len: usize,
}

impl Head {
    /// From the first twelve bytes.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        Some(Self { kind: word(0)?, count: word(4)?, len: word(8)? as usize })
    }
}

/// Begins a frame in a buffer that is used again and again.
pub(super) fn begin(buffer: &mut Vec<u8>, kind: u32, count: u32) {
    buffer.clear();
    for word in [kind, count, 0] {
        buffer.extend_from_slice(&word.to_le_bytes());
    }
}

/// Writes the body's length into the head. `None` if it does not fit 32 bits.
pub(super) fn end(buffer: &mut [u8]) -> Option<()> {
    let len = u32::try_from(buffer.len() - HEAD).ok()?;
    buffer[8..HEAD].copy_from_slice(&len.to_le_bytes());
    Some(())
}

/// A whole frame of CBOR.
pub(super) fn talk<T: Encode<()>>(kind: u32, body: &T) -> Vec<u8> {
    let mut buffer = Vec::new();
    begin(&mut buffer, kind, 0);
    buffer.extend_from_slice(&minicbor::to_vec(body).expect("writing to memory cannot fail"));
    end(&mut buffer).expect("talk is short");
    buffer
}

/// A whole frame of numbers.
pub(super) fn floats(buffer: &mut Vec<u8>, kind: u32, count: u32, values: &[f32]) -> Option<()> {
    begin(buffer, kind, count);
    put(buffer, values, f32::to_le_bytes);
    end(buffer)
}

/// Appends the numbers of a body. `None` if it is no whole number of them.
pub(super) fn read_floats(body: &[u8], out: &mut Vec<f32>) -> Option<()> {
    let (words, rest) = body.as_chunks::<4>();
    out.extend(words.iter().map(|w| f32::from_le_bytes(*w)));
    rest.is_empty().then_some(())
}

fn put<T: Copy, const N: usize>(out: &mut Vec<u8>, values: &[T], bytes: impl Fn(T) -> [u8; N]) {
    let start = out.len();
    out.resize(start + values.len() * N, 0);
    let (places, _) = out[start..].as_chunks_mut::<N>();
    for (place, value) in places.iter_mut().zip(values) {
        *place = bytes(*value);
    }
}

/// Appends tensors: count; then of each its name, type, rank, dimensions and elements.
pub(super) fn put_tensors(out: &mut Vec<u8>, tensors: &[Tensor]) -> Option<()> {
    let word = |out: &mut Vec<u8>, n: usize| {
        out.extend_from_slice(&u32::try_from(n).ok()?.to_le_bytes());
        Some(())
    };
    word(out, tensors.len())?;
    for tensor in tensors {
        word(out, tensor.name.len())?;
        out.extend_from_slice(tensor.name.as_bytes());
        out.push(tensor.data.dtype() as u8);
        word(out, tensor.shape.len())?;
        for dim in &tensor.shape {
            word(out, *dim)?;
        }
        match &tensor.data {
            Data::F32(v) => put(out, v, f32::to_le_bytes),
            Data::F64(v) => put(out, v, f64::to_le_bytes),
            Data::I32(v) => put(out, v, i32::to_le_bytes),
            Data::I64(v) => put(out, v, i64::to_le_bytes),
            Data::U8(v) => out.extend_from_slice(v),
            Data::Bool(v) => out.extend(v.iter().map(|b| u8::from(*b))),
        }
    }
    Some(())
}

/// Reads tensors; allocates no more than the bytes there are. `None` if anything does not fit.
pub(super) fn read_tensors(mut bytes: &[u8]) -> Option<Vec<Tensor>> {
    let count = take_word(&mut bytes)?;
    let mut out = Vec::new();
    for _ in 0..count {
        let length = take_word(&mut bytes)?;
        let name = std::str::from_utf8(take(&mut bytes, length)?).ok()?.to_owned();
        let dtype = take(&mut bytes, 1)?[0];
        let rank = take_word(&mut bytes)?;
        // Every dimension takes four bytes, so a rank that lies ends here.
        let shape: Vec<usize> = (0..rank).map_while(|_| take_word(&mut bytes)).collect();
        if shape.len() != rank {
            return None;
        }
        let elements = shape.iter().try_fold(1_usize, |n, d| n.checked_mul(*d))?;
        let data = read_data(dtype, take(&mut bytes, elements.checked_mul(width(dtype)?)?)?)?;
        out.push(Tensor::new(&name, shape, data)?);
    }
    bytes.is_empty().then_some(out)
}

fn take<'a>(bytes: &mut &'a [u8], n: usize) -> Option<&'a [u8]> {
    let (head, tail) = bytes.split_at_checked(n)?;
    *bytes = tail;
    Some(head)
}

fn take_word(bytes: &mut &[u8]) -> Option<usize> {
    Some(u32::from_le_bytes(take(bytes, 4)?.try_into().ok()?) as usize)
}

const TYPES: [Dtype; 6] = [Dtype::F32, Dtype::F64, Dtype::I32, Dtype::I64, Dtype::U8, Dtype::Bool];

fn width(dtype: u8) -> Option<usize> {
    match TYPES.get(usize::from(dtype))? {
        Dtype::F32 | Dtype::I32 => Some(4),
        Dtype::F64 | Dtype::I64 => Some(8),
        Dtype::U8 | Dtype::Bool => Some(1),
    }
}

fn read_data(dtype: u8, bytes: &[u8]) -> Option<Data> {
    Some(match TYPES.get(usize::from(dtype))? {
        Dtype::F32 => Data::F32(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()),
        Dtype::F64 => Data::F64(bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect()),
        Dtype::I32 => Data::I32(bytes.as_chunks().0.iter().map(|b| i32::from_le_bytes(*b)).collect()),
        Dtype::I64 => Data::I64(bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect()),
        Dtype::U8 => Data::U8(bytes.to_vec()),
        Dtype::Bool => Data::Bool(bytes.iter().map(|b| *b != 0).collect()),
    })
}

/// Text from inside the cage as it may be logged: short, one line.
pub(super) fn tame(text: &str) -> String {
    text.chars().take(MAX_TEXT).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn samples() -> Vec<Tensor> {
        let make = |name, shape, data| Tensor::new(name, shape, data).unwrap();
        vec![
            make("a", vec![2, 2], Data::F32(vec![1.0, -2.5, f32::INFINITY, 0.0])),
            make("", vec![], Data::F64(vec![0.1])),
            make("i", vec![3], Data::I32(vec![i32::MIN, 0, 7])),
            make("j", vec![1, 2], Data::I64(vec![i64::MAX, -1])),
            make("u", vec![0, 5], Data::U8(vec![])),
            make("b", vec![2], Data::Bool(vec![true, false])),
        ]
    }

    #[test]
    fn tensors_come_back_and_every_cut_is_refused() {
        let mut bytes = Vec::new();
        put_tensors(&mut bytes, &samples()).unwrap();
        assert_eq!(read_tensors(&bytes).unwrap(), samples());
        for cut in 0..bytes.len() {
            assert_eq!(read_tensors(&bytes[..cut]), None, "{cut}");
        }
        bytes.push(0);
        assert_eq!(read_tensors(&bytes), None, "a byte too many");
    }

    #[test]
    fn talk_comes_back() {
        let failed = Failed { code: "run_failed".into(), text: "x".into() };
        let frame = talk(kind::FAILED, &failed);
        let head = Head::read(&frame).unwrap();
        assert_eq!((head.kind, head.len), (kind::FAILED, frame.len() - HEAD));
        let back: Failed = minicbor::decode(&frame[HEAD..]).unwrap();
        assert_eq!((back.code, back.text), (failed.code, failed.text));
        assert_eq!(tame("a\nb\u{1b}[31m"), "a b [31m");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            let _ = read_tensors(&bytes);
            let _ = Head::read(&bytes);
            let _ = read_floats(&bytes, &mut Vec::new());
            let _ = minicbor::decode::<Loaded>(&bytes);
            let _ = minicbor::decode::<super::super::cage::CageReport>(&bytes);
        }

        #[test]
        fn floats_come_back(values in prop::collection::vec(any::<f32>(), 0..64)) {
            let mut frame = Vec::new();
            floats(&mut frame, kind::ROWS, 3, &values).unwrap();
            let mut back = Vec::new();
            read_floats(&frame[HEAD..], &mut back).unwrap();
            let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&back), bits(&values));
        }
    }
}
