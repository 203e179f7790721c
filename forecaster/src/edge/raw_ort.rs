//! ONNX Runtime's C interface called directly, for benchmarks: what a run costs with nothing of ours around it.
//!
//! Nothing else may use this, and no other file of the project may hold `unsafe` (the tidy test says so). Every value is
//! made beforehand; [`RawRunner::run`] is one call of `Run`. It never looks at the numbers.

#![allow(unsafe_code, reason = "the C interface; this file is the only one that may")]

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr;

use ort::AsPointer as _;
use ort_sys::{
    GraphOptimizationLevel, ONNXTensorElementDataType, OrtApi, OrtSession, OrtSessionOptions, OrtStatusPtr,
    OrtValue,
};

use super::engines::Engines;
use super::ort_engine::OrtEngine;
use crate::engine::RowIo;
use crate::error::ForecasterError;

/// A session with one input and one output, both made beforehand.
pub struct RawRunner {
    api: &'static OrtApi,
    session: *mut OrtSession,
    input: *mut OrtValue,
    output: *mut OrtValue,
    input_name: CString,
    output_name: CString,
    /// Where the numbers of `input` and `output` lie, and how many.
    rows: (*mut f32, usize),
    answers: (*mut f32, usize),
    /// Keeps the library and its environment.
    _engine: OrtEngine,
}

/// A session of this model on the CPU, with the settings of the `ort` engine and one thread, for `n` rows.
///
/// `rows.len() == n * io.row_width()`; models with constants beside the rows are refused.
pub fn raw_runner(
    engines: &Engines,
    model: &[u8],
    io: &RowIo,
    rows: &[f32],
    n: usize,
) -> Result<RawRunner, ForecasterError> {
    if n == 0 || rows.len() != n * io.row_width() || !io.constants.is_empty() {
        return Err(ForecasterError::Run("a raw run takes n whole rows and nothing else".to_owned()));
    }
    let engine = engines.ort()?.clone();
    let api = ort::api();
    let name = |text: &str| CString::new(text).map_err(|e| ForecasterError::Run(e.to_string()));
    let session = session(api, &engine, model)?;
    let mut out = RawRunner {
        api,
        session,
        input: ptr::null_mut(),
        output: ptr::null_mut(),
        input_name: name(&io.input)?,
        output_name: name(&io.output)?,
        rows: (ptr::null_mut(), 0),
        answers: (ptr::null_mut(), 0),
        _engine: engine,
    };
    let shape = |rest: &[usize]| std::iter::once(&n).chain(rest).map(|d| *d as i64).collect::<Vec<i64>>();
    (out.input, out.rows.0) = tensor(api, &shape(&io.row_shape))?;
    (out.output, out.answers.0) = tensor(api, &shape(&[io.answer_width]))?;
    (out.rows.1, out.answers.1) = (rows.len(), n * io.answer_width);
    out.set_rows(rows);
    Ok(out)
}

impl RawRunner {
    /// One call of `Run`.
    pub fn run(&mut self) -> Result<(), ForecasterError> {
        let input_names: [*const c_char; 1] = [self.input_name.as_ptr()];
        let output_names: [*const c_char; 1] = [self.output_name.as_ptr()];
        let inputs: [*const OrtValue; 1] = [self.input];
        let mut outputs = [self.output];
        // SAFETY: session, values and names live as long as `self`; the arrays have the lengths that are given, and
        // `&mut self` keeps other threads away.
        let status = unsafe {
            (self.api.Run)(
                self.session,
                ptr::null(),
                input_names.as_ptr(),
                inputs.as_ptr(),
                1,
                output_names.as_ptr(),
                1,
                outputs.as_mut_ptr(),
            )
        };
        check(self.api, status)
    }

    /// Puts other rows in the place of the first ones; as many numbers.
    pub fn set_rows(&mut self, rows: &[f32]) {
        let (data, len) = self.rows;
        // SAFETY: the tensor has `len` numbers of its own, which nobody else looks at while `&mut self` is held.
        unsafe { ptr::copy_nonoverlapping(rows.as_ptr(), data, len.min(rows.len())) }
    }

    /// What the last run answered.
    pub fn answers(&self) -> &[f32] {
        let (data, len) = self.answers;
        // SAFETY: the tensor has `len` numbers, and lives as long as `self`; only `run` writes them, with `&mut self`.
        unsafe { std::slice::from_raw_parts(data, len) }
    }
}

impl Drop for RawRunner {
    fn drop(&mut self) {
        // SAFETY: each was made by this interface and is released once; releasing null does nothing.
        unsafe {
            (self.api.ReleaseValue)(self.output);
            (self.api.ReleaseValue)(self.input);
            (self.api.ReleaseSession)(self.session);
        }
    }
}

/// Releases session options however a function ends.
struct Held<T>(*mut T, unsafe extern "system" fn(*mut T));

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        // SAFETY: made by this interface, released once.
        unsafe { (self.1)(self.0) }
    }
}

fn session(api: &OrtApi, engine: &OrtEngine, model: &[u8]) -> Result<*mut OrtSession, ForecasterError> {
    let mut options: *mut OrtSessionOptions = ptr::null_mut();
    let mut session = ptr::null_mut();
    // SAFETY: every pointer is either a local's address or came from this interface; `model` outlives the call, after
    // which ONNX Runtime has its own copy.
    unsafe {
        check(api, (api.CreateSessionOptions)(&raw mut options))?;
        let options = Held(options, api.ReleaseSessionOptions);
        check(api, (api.SetIntraOpNumThreads)(options.0, 1))?;
        check(api, (api.SetInterOpNumThreads)(options.0, 1))?;
        check(
            api,
            (api.SetSessionGraphOptimizationLevel)(options.0, GraphOptimizationLevel::ORT_ENABLE_ALL),
        )?;
        check(api, (api.SetDeterministicCompute)(options.0, true))?;
        let environment = engine.environment().ptr();
        check(
            api,
            (api.CreateSessionFromArray)(
                environment,
                model.as_ptr().cast::<c_void>(),
                model.len(),
                options.0,
                &raw mut session,
            ),
        )?;
    }
    Ok(session)
}

/// A value in ONNX Runtime's own memory, aligned as the `ort` engine's tensors are, and where its numbers lie.
fn tensor(api: &OrtApi, shape: &[i64]) -> Result<(*mut OrtValue, *mut f32), ForecasterError> {
    let (mut allocator, mut value, mut data) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut::<c_void>());
    // SAFETY: every pointer is a local's address or came from this interface; the default allocator is never released.
    unsafe {
        check(api, (api.GetAllocatorWithDefaultOptions)(&raw mut allocator))?;
        check(
            api,
            (api.CreateTensorAsOrtValue)(
                allocator,
                shape.as_ptr(),
                shape.len(),
                ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
                &raw mut value,
            ),
        )?;
        check(api, (api.GetTensorMutableData)(value, &raw mut data))?;
    }
    Ok((value, data.cast::<f32>()))
}

/// The error of a call, if it has one.
fn check(api: &OrtApi, status: OrtStatusPtr) -> Result<(), ForecasterError> {
    if status.0.is_null() {
        return Ok(());
    }
    // SAFETY: a status that is not null holds a text until it is released, here.
    let text = unsafe {
        let text = CStr::from_ptr((api.GetErrorMessage)(status.0)).to_string_lossy().into_owned();
        (api.ReleaseStatus)(status.0);
        text
    };
    Err(ForecasterError::Run(text))
}
