//! The dashboard in a real browser, and the pictures of it for the documents. Never a mocked page.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use node::demo_run::{DemoOptions, DemoRun};

use crate::support::{has_onnx_runtime, runtime, small_day};

fn chromium() -> Option<&'static str> {
    ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok_and(|o| o.status.success()))
}

fn browse(browser: &str, profile: &Path, extra: &[&str], url: &str) -> String {
    let out = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--disable-dev-shm-usage", "--hide-scrollbars", "--run-all-compositor-stages-before-draw"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(extra)
        .arg(url)
        .output()
        .unwrap();
    String::from_utf8_lossy(&out.stdout).into_owned()
}

#[test]
fn the_dashboard_shows_what_was_settled() {
    let test = "the_dashboard_shows_what_was_settled";
    let Some(browser) = chromium() else {
        eprintln!("SKIPPED {test}: no chromium on this machine (scripts/setup_test.sh installs it)");
        return;
    };
    if !has_onnx_runtime(test) {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let rt = runtime();
    let demo = rt.block_on(async {
        let demo =
            DemoRun::start(DemoOptions::new(small_day(3, 12), tmp.path().join("run"), 3)).await.unwrap();
        demo.twin.done().await;
        assert!(demo.drain().await);
        demo
    });
    let url = demo.running.url();
    let dom = browse(browser, &tmp.path().join("p1"), &["--dump-dom", "--virtual-time-budget=6000"], &url);
    for want in ["gbt", "logistic", "closed-form", "copycat", "poor", "btc-usd.up-5m.60s", "<svg"] {
        assert!(dom.contains(want), "the page lacks {want}:\n{}", &dom[..dom.len().min(4_000)]);
    }
    if let Some(out) = std::env::var_os("ORACULO_PICTURES") {
        pictures(browser, tmp.path(), Path::new(&out), &url);
    }
    rt.block_on(async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        demo.finish().await.unwrap();
    });
}

/// Desktop light and dark, and a phone.
fn pictures(browser: &str, tmp: &Path, out: &Path, url: &str) {
    std::fs::create_dir_all(out).unwrap();
    let shots = [
        ("dashboard.png", "1280,1500", vec![]),
        (
            "dashboard-dark.png",
            "1280,1500",
            vec!["--blink-settings=preferredColorScheme=0", "--force-dark-mode"],
        ),
        ("dashboard-phone.png", "412,1700", vec![]),
    ];
    for (name, size, more) in shots {
        let shot = format!("--screenshot={}", out.join(name).display());
        let size = format!("--window-size={size}");
        let mut args = vec![shot.as_str(), size.as_str(), "--virtual-time-budget=6000"];
        args.extend(more);
        browse(browser, &tmp.join(name), &args, url);
        assert!(out.join(name).is_file(), "{name}");
    }
}
