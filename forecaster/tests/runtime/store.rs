//! The model store: only whole bundles, one pointer that is never half-written, whoever is killed when.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use forecaster::ForecasterError;
use forecaster::edge::Lane;
use forecaster::edge::store::{Mode, Pointer, Store, StoreWatch, Writer};

use crate::support::{bundle, config, engines, parts, row, sigmoid};

/// A bundle's folder.
fn folder(dir: &Path, version: &str, weight: f32) -> PathBuf {
    let path = dir.join(format!("src-{version}"));
    let (manifest, model, golden) = parts("test", version, weight);
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("forecaster.toml"), manifest).unwrap();
    fs::write(path.join("model.onnx"), model).unwrap();
    fs::write(path.join("golden.json"), golden).unwrap();
    fs::write(path.join("README.md"), "for people").unwrap();
    path
}

fn deploy(writer: &mut Writer, source: &Path) -> String {
    let stored = writer.put(source, &mut |_| Ok(())).unwrap();
    writer.activate(&stored.name, &stored.version).unwrap();
    stored.version
}

fn code<T>(result: Result<T, ForecasterError>) -> &'static str {
    result.map_or_else(|e| e.code(), |_| "ok")
}

/// Everything below a folder, sorted.
fn tree(dir: &Path) -> Vec<String> {
    let mut out = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(next) = todo.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else {
                out.push(path.strip_prefix(dir).unwrap().display().to_string());
            }
        }
    }
    out.sort();
    out
}

#[test]
fn deploy_list_and_roll_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::at(&dir.path().join("store"));
    assert_eq!(store.list().unwrap(), []);
    assert_eq!(store.pointer("test").unwrap(), Pointer::default());
    let sources = ["1.0.0", "1.1.0", "2.0.0"].map(|v| folder(dir.path(), v, v.len() as f32));
    let mut writer = store.write().unwrap();
    let versions: Vec<String> = sources.iter().map(|s| deploy(&mut writer, s)).collect();
    // The same bundle again changes nothing.
    assert_eq!(deploy(&mut writer, &sources[2]), versions[2]);
    let listed = store.list().unwrap();
    assert_eq!((listed.len(), &listed[0].versions), (1, &versions));
    assert_eq!(listed[0].pointer.active.as_ref(), Some(&versions[2]));
    assert_eq!(listed[0].pointer.history, versions[..2]);
    assert_eq!(tree(&store.dir().join("test").join(&versions[0])).len(), 4, "the README came along");
    assert_eq!(writer.rollback("test", None).unwrap().active.as_ref(), Some(&versions[1]));
    assert_eq!(writer.rollback("test", None).unwrap().active.as_ref(), Some(&versions[0]));
    assert_eq!(code(writer.rollback("test", None)), "model_store");
    assert_eq!(writer.rollback("test", Some("2.0")).unwrap().active.as_ref(), Some(&versions[2]));
    assert_eq!(writer.rollback("test", Some("1")).unwrap_err().code(), "model_store", "two fit");
    for (name, to) in [("test", "3"), ("nobody", "1"), ("../etc", "1"), ("test", "../x"), ("test", "")] {
        assert_eq!(code(writer.rollback(name, Some(to))), "model_store", "{name} {to}");
    }
    assert_eq!(store.load("test", &versions[1]).unwrap().manifest().version, "1.1.0");
}

#[test]
fn a_trial_begins_and_ends() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::at(dir.path());
    let mut writer = store.write().unwrap();
    let put = |writer: &mut Writer, version| {
        writer.put(&folder(dir.path(), version, 1.0), &mut |_| Ok(())).unwrap().version
    };
    let one = put(&mut writer, "1.0.0");
    assert_eq!(code(writer.on_trial("test", &one, Mode::Canary)), "model_store", "nothing to compare with");
    assert_eq!(code(writer.promote("test")), "model_store");
    writer.activate("test", &one).unwrap();
    assert_eq!(code(writer.on_trial("test", &one, Mode::Canary)), "model_store", "it is active");
    let two = put(&mut writer, "2.0.0");
    let pointer = writer.on_trial("test", &two, Mode::Shadow).unwrap();
    assert_eq!((pointer.active.as_ref(), pointer.candidate.unwrap().version), (Some(&one), two.clone()));
    assert_eq!(writer.drop_candidate("test").unwrap().candidate, None);
    writer.on_trial("test", &two, Mode::Canary).unwrap();
    let pointer = writer.promote("test").unwrap();
    assert_eq!((pointer.active, pointer.candidate, pointer.history), (Some(two), None, vec![one]));
}

#[test]
fn what_is_not_whole_and_right_does_not_get_in() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::at(&dir.path().join("store"));
    let good = folder(dir.path(), "1.0.0", 1.0);
    let version = deploy(&mut store.write().unwrap(), &good);
    let spoilt = |name: &str, spoil: &dyn Fn(&Path)| {
        let path = folder(&dir.path().join(name), "9.0.0", 1.0);
        spoil(&path);
        code(store.write().unwrap().put(&path, &mut |_| Ok(())))
    };
    assert_eq!(spoilt("a", &|p| fs::remove_file(p.join("model.onnx")).unwrap()), "c01_file");
    assert_eq!(spoilt("b", &|p| fs::write(p.join("model.onnx"), "other").unwrap()), "c01_sha256");
    assert_eq!(spoilt("c", &|p| fs::remove_file(p.join("forecaster.toml")).unwrap()), "c01_file");
    let link = |p: &Path| std::os::unix::fs::symlink("/etc/hostname", p.join("link")).unwrap();
    assert_eq!(spoilt("d", &link), "model_store");
    let refusal = |_: &_| Err(ForecasterError::Run("no".to_owned()));
    let refused = store.write().unwrap().put(&folder(dir.path(), "9.0.0", 1.0), &mut { refusal });
    assert_eq!(code(refused), "run_failed");
    assert_eq!(store.list().unwrap()[0].versions, std::slice::from_ref(&version));
    // A stored version that somebody changed is not loaded.
    fs::write(store.dir().join("test").join(&version).join("model.onnx"), "other").unwrap();
    assert_eq!(code(store.load("test", &version)), "c01_sha256");
    assert_eq!(code(store.write().unwrap().activate("test", &version)), "c01_sha256");
}

#[test]
fn leftovers_are_ignored_and_removed_and_a_damaged_pointer_is_mended() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::at(&dir.path().join("store"));
    let version = deploy(&mut store.write().unwrap(), &folder(dir.path(), "1.0.0", 1.0));
    let model = store.dir().join("test");
    fs::create_dir(store.dir().join(".tmp-1")).unwrap();
    fs::write(store.dir().join(".tmp-1/model.onnx"), "half").unwrap();
    fs::write(model.join(".tmp-1-active"), "{\"act").unwrap();
    let listed = store.list().unwrap();
    assert_eq!((listed.len(), &listed[0].versions[..]), (1, &[version.clone()][..]));
    drop(store.write().unwrap());
    assert!(!tree(store.dir()).iter().any(|path| path.contains(".tmp-")), "{:?}", tree(store.dir()));
    fs::write(model.join("active"), "{\"act").unwrap();
    assert_eq!(code(store.pointer("test")), "model_store");
    store.write().unwrap().activate("test", &version).unwrap();
    assert_eq!(store.pointer("test").unwrap().active, Some(version));
}

/// Not a test by itself: the process that the next test kills. Deploys two bundles in turn, without end.
#[test]
#[ignore = "run by `killed_at_any_moment`, which kills it"]
fn deploys_without_end() {
    let Some(dir) = std::env::var_os("ORACULO_TEST_STORE").map(PathBuf::from) else { return };
    let store = Store::at(&dir.join("store"));
    let sources = ["1.0.0", "2.0.0"].map(|v| dir.join(format!("src-{v}")));
    for source in sources.iter().cycle() {
        let mut writer = store.write().unwrap();
        let version = deploy(&mut writer, source);
        drop(writer);
        if source.ends_with("src-2.0.0") {
            // So that `put` always has something to do.
            fs::remove_dir_all(store.dir().join("test").join(&version)).unwrap();
            store.write().unwrap().rollback("test", Some("1.0.0")).unwrap();
        }
    }
}

#[test]
fn killed_at_any_moment() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::at(&dir.path().join("store"));
    let first = deploy(&mut store.write().unwrap(), &folder(dir.path(), "1.0.0", 1.0));
    folder(dir.path(), "2.0.0", -1.0);
    for round in 0..40_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::deploys_without_end", "--ignored"])
            .env("ORACULO_TEST_STORE", dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(12_000 + round * 1_713));
        child.kill().unwrap();
        child.wait().unwrap();
        // The pointer can be read, and every version that is there is whole.
        let pointer = store.pointer("test").unwrap();
        assert!(pointer.active.is_some());
        for listed in store.list().unwrap() {
            for version in listed.versions {
                // The child removes 2.0.0 file by file, which is no step of the store.
                if version == first {
                    store.load(&listed.name, &version).unwrap();
                }
            }
        }
        let second = store.dir().join("test");
        let torn = fs::read_dir(&second).unwrap().flatten().map(|e| e.path());
        for path in torn.filter(|p| p.is_dir() && !p.ends_with(&first)) {
            drop(fs::remove_dir_all(path));
        }
        store.write().unwrap().activate("test", &first).unwrap();
    }
    let left: Vec<_> = tree(store.dir()).into_iter().filter(|path| path.contains(".tmp-")).collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn a_lane_follows_the_active_version() {
    let Some(engines) = engines() else { return };
    let dir = tempfile::tempdir().unwrap();
    let store = Store::at(&dir.path().join("store"));
    let (one, two) = (folder(dir.path(), "1.0.0", 1.0), folder(dir.path(), "2.0.0", -1.0));
    let first = deploy(&mut store.write().unwrap(), &one);
    let a = Arc::new(store.load("test", &first).unwrap());
    assert_eq!(a.id(), bundle("1.0.0", 1.0).id());
    let lane = Lane::start(&engines, vec![Arc::clone(&a)], config(64), Box::new(|_| {})).unwrap();
    let lane = Arc::new(lane);
    let watch = StoreWatch::new(&store, "test");
    let watching = watch.follow(Duration::from_millis(5), Arc::clone(&lane), a.id()).unwrap();
    let p = || lane.predict(a.id(), &row(1.0), None).unwrap().values[0];
    let until = |want: f32| {
        let started = Instant::now();
        while (p() - want).abs() > 1e-5 {
            assert!(started.elapsed() < Duration::from_secs(20), "the lane never followed");
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    until(sigmoid(1.0));
    deploy(&mut store.write().unwrap(), &two);
    until(sigmoid(-1.0));
    store.write().unwrap().rollback("test", None).unwrap();
    until(sigmoid(1.0));
    drop(watching);
    assert_eq!(lane.counters().reloads, 2);
}
