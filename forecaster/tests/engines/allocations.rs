//! After a batch size was seen once, a run through ONNX Runtime allocates nothing on our side; it never times anything.

use allocation_counter::measure;
use forecaster::edge::raw_ort::raw_runner;
use forecaster::engine::LoadOptions;
use forecaster::{EngineChoice, EngineKind};

use crate::models::{WIDTH, mlp, mlp_io, rows};
use crate::support::with_ort;

#[test]
fn no_allocation_per_run_whatever_the_batch() {
    let Some(engines) = with_ort() else { return };
    let options = LoadOptions { rows: Some(mlp_io()), max_batch: 256, ..LoadOptions::default() };
    let mut session = engines.session(&mlp(), EngineChoice::Only(EngineKind::Ort), &options).unwrap();
    let rows = rows(256, WIDTH);
    let sizes = [1_usize, 64, 7, 256, 33, 2, 255];
    let mut out = Vec::with_capacity(256);
    let mut run = |n: usize, out: &mut Vec<f32>| {
        out.clear();
        session.run_rows(&rows[..n * WIDTH], n, out).unwrap();
        assert_eq!(out.len(), n);
    };
    for n in sizes {
        run(n, &mut out);
    }
    // Only this thread's allocations count; ONNX Runtime's own do not go through Rust's allocator.
    let seen = measure(|| {
        for _ in 0..20 {
            for n in sizes {
                run(n, &mut out);
            }
        }
    });
    assert_eq!((seen.count_total, seen.bytes_total), (0, 0), "{seen:?}");
    // The counter does count: a batch size nobody has seen makes its tensors.
    assert!(measure(|| run(100, &mut out)).count_total > 0);
}

#[test]
fn the_raw_call_gives_the_same_bits() {
    let Some(engines) = with_ort() else { return };
    let options = LoadOptions { rows: Some(mlp_io()), max_batch: 8, ..LoadOptions::default() };
    let mut session = engines.session(&mlp(), EngineChoice::Only(EngineKind::Ort), &options).unwrap();
    let rows = rows(8, WIDTH);
    let mut raw = raw_runner(&engines, &mlp(), &mlp_io(), &rows, 8).unwrap();
    raw.run().unwrap();
    let mut out = Vec::new();
    session.run_rows(&rows, 8, &mut out).unwrap();
    assert_eq!(raw.answers(), out);
    let short = raw_runner(&engines, &mlp(), &mlp_io(), &rows, 7).err().unwrap();
    assert_eq!(short.code(), "run_failed");
    let junk = raw_runner(&engines, b"junk", &mlp_io(), &rows, 8).err().unwrap();
    assert!(junk.to_string().contains("rotobuf"), "{junk}");
}
