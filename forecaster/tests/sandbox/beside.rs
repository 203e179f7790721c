//! A bomb beside a healthy model: only the bomb's own thread waits for the bomb.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forecaster::edge::SandboxEngine;
use forecaster::edge::sandbox::BreakerConfig;
use forecaster::engine::Engine as _;

use crate::corpus::onnx::File;
use crate::faults::hostile;
use crate::support::{code, config, options};

/// How long both run side by side.
const LOAD: Duration = Duration::from_secs(3);

#[test]
fn a_bomb_never_delays_the_model_beside_it() {
    let Some(mut config) = config() else { return };
    // A breaker that never opens: the bomb goes off again and again.
    config.breaker = BreakerConfig { failures: 1_000, backoff: Duration::from_millis(1), ..config.breaker };
    let deadline = config.limits.run;
    let bombs = SandboxEngine::new(config.clone());
    let healthy = SandboxEngine::new(config);
    let mut good = healthy.load(&File::linear([0.5; 10]).bytes(), &options()).unwrap();
    let (done, blasts) = (AtomicBool::new(false), AtomicU64::new(0));
    let (mut slowest, mut answers) = (Duration::ZERO, 0_u64);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut bomb = bombs.load(&hostile("slow_bounded_loop"), &options()).unwrap();
            while !done.load(Ordering::Relaxed) {
                match code(bomb.run_rows(&[0.3; 10], 1, &mut Vec::new())) {
                    "worker_run_timeout" => drop(blasts.fetch_add(1, Ordering::Relaxed)),
                    "worker_restarting" => std::thread::sleep(Duration::from_millis(1)),
                    "worker_load_timeout" => {}
                    other => panic!("the bomb ended with {other}"),
                }
            }
        });
        let (started, mut out) = (Instant::now(), Vec::new());
        while started.elapsed() < LOAD {
            out.clear();
            let asked = Instant::now();
            good.run_rows(&[0.0; 10], 1, &mut out).unwrap();
            slowest = slowest.max(asked.elapsed());
            assert_eq!(out, [0.5]);
            answers += 1;
        }
        done.store(true, Ordering::Relaxed);
    });
    let blasts = blasts.into_inner();
    assert!(blasts >= 1, "the bomb never went off");
    assert!(slowest < deadline, "{slowest:?}, the deadline is {deadline:?}");
    eprintln!("{answers} answers in time beside {blasts} bombs, the slowest after {slowest:?}");
}
