//! A dataset as a file, CSV or NPZ, with a sidecar that says what it is; the same rows give the same bytes.

use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, Write};
use std::path::Path;

use anyhow::{Context as _, Result};
use npyz::WriterBuilder as _;
use npyz::npz::NpzWriter;
use npyz::zip::{CompressionMethod, DateTime, write::FileOptions};

use super::coded;
use super::dataset::{Dataset, Row};

/// The forms of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Text: a header and one line a row.
    Csv,
    /// Arrays `X` f32 [n, w], `y` u8 [n], `meta` i64 [n, 4], `reference`, `strike` and `market_mid` f64 [n].
    Npz,
}

impl Form {
    /// By the file's extension.
    pub(super) fn of(path: &Path) -> Result<Self> {
        match path.extension().and_then(|e| e.to_str()) {
            Some("csv") => Ok(Self::Csv),
            Some("npz") => Ok(Self::Npz),
            _ => Err(coded(
                "out_extension",
                format!("{}: the name must end with .csv or .npz", path.display()),
            )),
        }
    }
}

/// Writes the file at once or not at all; returns the BLAKE3 of its bytes.
pub(super) fn write(path: &Path, form: Form, data: &Dataset, names: &[&str]) -> Result<String> {
    let writing = || format!("writing {}", path.display());
    let partial = path.with_added_extension("part");
    let written = File::create(&partial).and_then(|file| {
        let mut out = BufWriter::with_capacity(1 << 20, file);
        match form {
            Form::Csv => csv(&mut out, data, names)?,
            Form::Npz => npz(&mut out, data, names.len())?,
        }
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    });
    let digest = written.and_then(|()| {
        let digest = blake3::Hasher::new().update_reader(File::open(&partial)?)?.finalize();
        fs::rename(&partial, path)?;
        Ok(digest.to_string())
    });
    if digest.is_err() {
        fs::remove_file(&partial).ok();
    }
    digest.with_context(writing)
}

/// Numbers are written as the shortest text that reads back as the same number.
fn csv(out: &mut impl Write, data: &Dataset, names: &[&str]) -> io::Result<()> {
    write!(out, "market,start_s,close_s,asof_s,horizon_s,strike,reference,outcome")?;
    for name in names {
        write!(out, ",{name}")?;
    }
    writeln!(out)?;
    for (row, x) in data.rows.iter().zip(data.x.chunks_exact(names.len())) {
        let Row { market, start_s, close_s, asof_s, horizon_s, strike, reference, up, .. } = row;
        let up = u8::from(*up);
        write!(out, "{market},{start_s},{close_s},{asof_s},{horizon_s},{strike},{reference},{up}")?;
        for value in x {
            write!(out, ",{value}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Stored, not packed, and stamped with the oldest time a ZIP knows: the same rows are the same bytes.
fn npz(out: &mut (impl Write + Seek), data: &Dataset, width: usize) -> io::Result<()> {
    let mut file = NpzWriter::new(out);
    let n = data.rows.len() as u64;
    array(&mut file, "X", &[n, width as u64], data.x.iter().copied())?;
    array(&mut file, "y", &[n], data.rows.iter().map(|r| u8::from(r.up)))?;
    let meta = |r: &Row| [r.start_s, r.close_s, r.asof_s, i64::from(r.horizon_s)];
    array(&mut file, "meta", &[n, 4], data.rows.iter().flat_map(meta))?;
    array(&mut file, "reference", &[n], data.rows.iter().map(|r| r.reference))?;
    array(&mut file, "strike", &[n], data.rows.iter().map(|r| r.strike.as_f64()))?;
    array(&mut file, "market_mid", &[n], data.rows.iter().map(|r| r.mid.unwrap_or(f64::NAN)))?;
    file.zip_writer().finish()?;
    Ok(())
}

fn array<T, W>(
    file: &mut NpzWriter<W>,
    name: &str,
    shape: &[u64],
    values: impl Iterator<Item = T>,
) -> io::Result<()>
where
    T: npyz::Serialize + npyz::AutoSerialize,
    W: Write + Seek,
{
    let options = FileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .large_file(true);
    let mut writer = file.array(name, options)?.default_dtype().shape(shape).begin_nd()?;
    writer.extend(values)?;
    writer.finish()
}
