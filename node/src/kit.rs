//! The training kit on this machine: its Python files, which this binary carries, and the environment they run in. It
//! is made on demand in the user's cache and never trains anything itself.
#![allow(
    clippy::disallowed_methods,
    reason = "node reads the environment, and the kit's cache is a folder of the user"
)]

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, bail, ensure};

/// The kit's files. A test compares the list with the folder.
macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../forecaster/training/", $path)))),*]
    };
}

/// Path below `forecaster/training` and content of every file that runs.
pub const FILES: &[(&str, &str)] = files![
    "requirements.txt",
    "oraculo_training/__init__.py",
    "oraculo_training/__main__.py",
    "oraculo_training/bundle.py",
    "oraculo_training/calibration.py",
    "oraculo_training/data.py",
    "oraculo_training/forecaster.py",
    "oraculo_training/graph.py",
    "oraculo_training/models/__init__.py",
    "oraculo_training/models/gru.py",
    "oraculo_training/models/lightgbm_model.py",
    "oraculo_training/models/logistic.py",
    "oraculo_training/models/mlp.py",
    "oraculo_training/numeric.py",
    "oraculo_training/run.py",
    "oraculo_training/scores.py",
    "oraculo_training/split.py",
];

/// A usable kit.
#[derive(Clone, Debug)]
pub struct Kit {
    /// A program that behaves like Python with the kit and its packages.
    pub python: PathBuf,
    /// Whether the packages had to be installed for this call.
    pub installed: bool,
}

/// The folder of everything that can be made again: `ORACULO_CACHE`, or the user's cache.
pub fn cache_dir() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|v: &OsString| !v.is_empty()).map(PathBuf::from);
    set("ORACULO_CACHE")
        .or_else(|| Some(set("XDG_CACHE_HOME")?.join("oraculo")))
        .or_else(|| Some(set("HOME")?.join(".cache/oraculo")))
        .context("no cache folder: set ORACULO_CACHE or HOME")
}

/// The kit, made in `cache` with the Python interpreter `base` where it is not there yet. `say` hears what takes long.
pub fn prepare(cache: &Path, base: &str, say: impl Fn(&'static str)) -> Result<Kit> {
    let root = std::path::absolute(cache).context("the cache folder")?.join("training");
    fs::create_dir_all(&root).with_context(|| format!("creating {}", root.display()))?;
    // One process at a time makes the environment; the others wait and find it made.
    let lock = File::create(root.join("lock")).with_context(|| format!("writing in {}", root.display()))?;
    lock.lock().context("locking the cache of the training kit")?;
    let requirements = FILES[0].1;
    let venv = root.join(format!("venv-{}", short(requirements.as_bytes())));
    let installed = !venv.join("READY").is_file();
    if installed {
        say("installing the training kit's packages (once)");
        install(&venv, base, requirements)?;
    }
    Ok(Kit { python: unpack(&root, &venv)?, installed })
}

/// Writes the kit's files and the program that runs Python with them, unless they are there.
fn unpack(root: &Path, venv: &Path) -> Result<PathBuf> {
    let all: Vec<u8> =
        FILES.iter().flat_map(|(path, text)| [path.as_bytes(), text.as_bytes()].concat()).collect();
    let dir = root.join(format!("kit-{}", short(&all)));
    let python = dir.join("python");
    if python.is_file() {
        return Ok(python);
    }
    for (path, text) in FILES {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().expect("every file of the kit is in the kit's folder"))
            .and_then(|()| fs::write(&path, text))
            .with_context(|| format!("writing {}", path.display()))?;
    }
    let quoted = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', r"'\''"));
    let script = format!(
        "#!/bin/sh\nPYTHONPATH={}${{PYTHONPATH:+:$PYTHONPATH}} exec {} \"$@\"\n",
        quoted(&dir),
        quoted(&venv.join("bin/python"))
    );
    // Written aside and renamed: whoever finds it finds it whole.
    let aside = dir.join("python.new");
    fs::write(&aside, script).with_context(|| format!("writing {}", aside.display()))?;
    make_executable(&aside)?;
    fs::rename(&aside, &python).with_context(|| format!("writing {}", python.display()))?;
    Ok(python)
}

#[cfg(unix)]
fn make_executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).with_context(|| path.display().to_string())
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> Result<()> {
    bail!("training_python: the training kit runs on Unix only")
}

fn install(venv: &Path, base: &str, requirements: &str) -> Result<()> {
    let version = "import sys; sys.exit(sys.version_info < (3, 11))";
    let found = Command::new(base).args(["-c", version]).output();
    ensure!(
        found.is_ok_and(|out| out.status.success()),
        "training_python: {base} is missing or older than Python 3.11; install one, or name it with --interpreter PATH"
    );
    if venv.exists() {
        fs::remove_dir_all(venv).with_context(|| format!("removing the unfinished {}", venv.display()))?;
    }
    let made = Command::new(base).args(["-m", "venv"]).arg(venv).output().context("starting Python")?;
    ensure!(
        made.status.success(),
        "training_python: {base} cannot make a virtual environment ({}); on Debian and Ubuntu: apt-get install \
         python3-venv",
        last_line(&made)
    );
    let list = venv.join("requirements.txt");
    fs::write(&list, requirements).with_context(|| format!("writing {}", list.display()))?;
    let pip = Command::new(venv.join("bin/python"))
        // Python compiles what is imported when it is; compiling every file of every package takes most of the time.
        .args(["-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check"])
        .args(["--retries", "2", "-r"])
        .arg(&list)
        .output()
        .context("starting pip")?;
    if !pip.status.success() {
        bail!(
            "training_pip: pip could not install the kit's packages: {}\ncure: look at the network (pip obeys HTTPS_PROXY \
             and PIP_INDEX_URL), or fetch the packages of {} on another machine with `pip download` and set \
             PIP_FIND_LINKS to their folder",
            last_line(&pip),
            list.display()
        );
    }
    fs::write(venv.join("READY"), "").with_context(|| format!("writing in {}", venv.display()))
}

fn last_line(out: &Output) -> String {
    let text = String::from_utf8_lossy(&out.stderr).into_owned() + &String::from_utf8_lossy(&out.stdout);
    text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing").trim().to_owned()
}

fn short(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex()[..12].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn python_files(dir: &Path, out: &mut Vec<String>, root: &Path) {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                python_files(&path, out, root);
            } else if path.extension().is_some_and(|e| e == "py") {
                out.push(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }

    #[test]
    fn the_binary_carries_every_file_of_the_kit() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../forecaster/training");
        let mut there = vec!["requirements.txt".to_owned()];
        python_files(&root.join("oraculo_training"), &mut there, &root);
        there.sort();
        let mut carried: Vec<&str> = FILES.iter().map(|(path, _)| *path).collect();
        carried.sort_unstable();
        assert_eq!(carried, there);
    }

    #[test]
    fn without_python_the_error_says_what_to_do() {
        let cache = tempfile::tempdir().unwrap();
        let error = prepare(cache.path(), "/nowhere/python3", |_| {}).unwrap_err().to_string();
        assert!(error.starts_with("training_python") && error.contains("--interpreter"), "{error}");
    }

    #[test]
    fn without_packages_the_error_says_what_to_do() {
        let cache = tempfile::tempdir().unwrap();
        // A Python that makes an environment, in which pip finds nothing.
        let fake = cache.path().join("python3");
        fs::write(
            &fake,
            "#!/bin/sh\ncase \"$*\" in '-m venv '*) mkdir -p \"$3/bin\"; cp \"$0\" \"$3/bin/python\";; *pip*) echo 'No matching \
             distribution' >&2; exit 1;; esac\n",
        )
        .unwrap();
        make_executable(&fake).unwrap();
        let error = prepare(cache.path(), fake.to_str().unwrap(), |_| {}).unwrap_err().to_string();
        assert!(error.starts_with("training_pip") && error.contains("PIP_FIND_LINKS"), "{error}");
        assert!(error.contains("No matching distribution"), "{error}");
    }
}
