//! Where the bus meets disks, sockets and threads; never a decision about records.

pub mod file;
pub mod group;
pub mod lease;
pub mod redis;
mod segment;
pub mod snapshot;
pub mod tail;

use std::io;
use std::path::Path;

use crate::error::BusError;

/// Names the operation and the file of an I/O error.
pub(crate) fn io_error<'a>(op: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> BusError + 'a {
    move |source| BusError::Io { op, path: path.to_path_buf(), source }
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), BusError> {
    std::fs::File::open(dir).and_then(|d| d.sync_all()).map_err(io_error("sync directory", dir))
}

/// Writes a file so that its name either holds all of `bytes`, durably, or does not appear.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), BusError> {
    use std::io::Write;
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let tmp = std::path::PathBuf::from(name);
    let mut file = std::fs::File::create(&tmp).map_err(io_error("create", &tmp))?;
    file.write_all(bytes).map_err(io_error("write", &tmp))?;
    file.sync_all().map_err(io_error("sync", &tmp))?;
    std::fs::rename(&tmp, path).map_err(io_error("rename", &tmp))?;
    sync_dir(path.parent().unwrap_or_else(|| Path::new(".")))
}
