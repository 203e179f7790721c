//! The tree walker against ONNX Runtime, a naive walker and files that lie; it never mocks the library.

#[path = "../it/onnx.rs"]
mod onnx;

mod converted;
mod ensembles;
mod known;
mod malformed;
mod random;
mod support;
