//! `oraculo model init`: a folder that is a bundle already, a baseline, with the few lines that train something better.
//! Never trains.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::{Args, ValueEnum};
use forecaster::manifest::Manifest;
use schemas::TopicId;

use crate::genesis::TOPIC_PREFIX;

/// The bundle that a new folder starts with: the closed form, which needs no training.
const MANIFEST: &str = include_str!("../../../../models/closed-form/forecaster.toml");
const MODEL: &[u8] = include_bytes!("../../../../models/closed-form/model.onnx");
const GOLDEN: &[u8] = include_bytes!("../../../../models/closed-form/golden.json");
const TRAIN: &str = include_str!("init/train.py");
const README: &str = include_str!("init/README.md");
const IGNORE: &str = "# Datasets are made again by train.py; never commit somebody else's data.\ndata.npz\ndata.json\ndata.npz.opened.json\n__pycache__/\n";

/// Arguments of `oraculo model init`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  oraculo model init my-model --template mlp\n  oraculo model check my-model\n  \"$(oraculo automl --python)\" my-model/train.py"
)]
pub struct InitArgs {
    /// The folder to make; its last part is the forecaster's name.
    name: PathBuf,
    /// Prefix of the topics it answers.
    #[arg(long, default_value = TOPIC_PREFIX)]
    topic: String,
    /// What train.py trains.
    #[arg(long, value_enum, default_value_t = Template::Logistic)]
    template: Template,
    /// Licence of the bundle, an SPDX expression.
    #[arg(long, default_value = "MIT OR Apache-2.0")]
    license: String,
}

/// A model that the kit can train.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Template {
    /// Logistic regression.
    Logistic,
    /// Two tanh layers.
    Mlp,
    /// Gradient-boosted trees (LightGBM).
    Gbt,
    /// A recurrent network over the path of the price.
    Gru,
}

impl Template {
    /// What the kit calls it.
    const fn model(self) -> &'static str {
        match self {
            Self::Logistic => "logistic",
            Self::Mlp => "mlp",
            Self::Gbt => "lightgbm",
            Self::Gru => "gru",
        }
    }
}

/// Writes the folder.
pub fn run(args: &InitArgs) -> Result<ExitCode> {
    let name = name_of(&args.name)?;
    ensure!(TopicId::new(&args.topic).is_some(), "--topic {:?} is not 1 to 64 of a-z 0-9 . _ -", args.topic);
    let files = files(&name, args)?;
    let occupied =
        args.name.is_file() || fs::read_dir(&args.name).is_ok_and(|mut entries| entries.next().is_some());
    ensure!(!occupied, "{} is there and not empty; choose another name", args.name.display());
    fs::create_dir_all(&args.name).with_context(|| format!("creating {}", args.name.display()))?;
    for (file, content) in &files {
        let path = args.name.join(file);
        fs::write(&path, content).with_context(|| format!("writing {}", path.display()))?;
    }
    let dir = args.name.display();
    eprintln!("made {dir}: a baseline that already works, and train.py for something better");
    eprintln!(
        "  oraculo model check {dir}\n  \"$(oraculo automl --python)\" {dir}/train.py\n  oraculo demo --bundle {dir}"
    );
    println!("{dir}");
    Ok(ExitCode::SUCCESS)
}

/// The forecaster's name: the folder's, which manifests must be able to spell.
fn name_of(dir: &Path) -> Result<String> {
    let name = dir.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    ensure!(TopicId::new(name).is_some(), "the name {name:?} is not 1 to 64 of a-z 0-9 . _ -");
    Ok(name.to_owned())
}

/// Name and content of every file.
fn files(name: &str, args: &InitArgs) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let mut manifest = Manifest::parse(MANIFEST).context("the baseline that this program carries")?;
    name.clone_into(&mut manifest.name);
    "0.0.1".clone_into(&mut manifest.version);
    manifest.topic = Some(args.topic.clone());
    manifest.model.license.clone_from(&args.license);
    // The licence comes from the command line: what the manifest refuses is refused before anything is written.
    let manifest = Manifest::parse(&manifest.to_toml())?.to_toml();
    let fill = |text: &str| {
        let text = text.replace("@NAME@", name).replace("@TOPIC@", &args.topic);
        text.replace("@MODEL@", args.template.model()).replace("@LICENSE@", &args.license).into_bytes()
    };
    ensure!(!args.license.contains(['"', '\\', '\n']), "--license {:?} is no SPDX expression", args.license);
    Ok(vec![
        ("train.py", fill(TRAIN)),
        ("README.md", fill(README)),
        (".gitignore", IGNORE.as_bytes().to_vec()),
        ("model.onnx", MODEL.to_vec()),
        ("golden.json", GOLDEN.to_vec()),
        ("forecaster.toml", manifest.into_bytes()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use forecaster::Bundle;

    fn args(dir: &Path, template: Template, license: &str) -> InitArgs {
        InitArgs {
            name: dir.to_owned(),
            topic: "btc-usd.up-5m".to_owned(),
            template,
            license: license.to_owned(),
        }
    }

    #[test]
    fn every_template_is_a_bundle_at_once_and_twice_is_refused() {
        let tmp = tempfile::tempdir().unwrap();
        for template in Template::value_variants() {
            let dir = tmp.path().join(format!("my-{}", template.model()));
            let args = args(&dir, *template, "CC0-1.0");
            run(&args).unwrap();
            let bundle = Bundle::load(&dir).unwrap();
            let manifest = bundle.manifest();
            assert_eq!(manifest.name, format!("my-{}", template.model()));
            assert_eq!(manifest.model.license, "CC0-1.0");
            let script = fs::read_to_string(dir.join("train.py")).unwrap();
            assert!(
                script.contains(&format!("\"{}\"", template.model())) && !script.contains('@'),
                "{script}"
            );
            let again = run(&args).unwrap_err().to_string();
            assert!(again.contains("not empty"), "{again}");
        }
    }

    #[test]
    fn what_no_manifest_can_say_is_refused_before_anything_is_written() {
        let tmp = tempfile::tempdir().unwrap();
        for (name, license, want) in
            [("My Model", "MIT", "a-z 0-9"), ("m", "", "license"), ("m", "MIT\" + \"", "SPDX")]
        {
            let dir = tmp.path().join(name);
            let error = format!("{:#}", run(&args(&dir, Template::Mlp, license)).unwrap_err());
            assert!(error.contains(want), "{error}");
            assert!(!dir.exists());
        }
    }
}
