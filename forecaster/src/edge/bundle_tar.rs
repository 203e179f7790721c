//! A bundle as one file, a plain uncompressed tar; it never writes what it reads to a disk and never unpacks anything.
//!
//! No compression, so no file grows when it is read. No folders, links, devices, sparse files or long names: each entry is
//! a plain file of one of five names, each name once, each within its limit.

use std::io::Read as _;

use tar::{Archive, Builder, EntryType, Header};

use crate::bundle::parts::{GOLDEN, MANIFEST, README, SIGNATURE};
use crate::bundle::{Bundle, BundleLimits, Parts, Policy};
use crate::error::{Check, ForecasterError};

/// Most entries: one of each name.
const MAX_ENTRIES: usize = 5;

impl Bundle {
    /// A bundle from the bytes of its archive, for the miner's own machine; nothing touches a disk.
    pub fn from_tar(bytes: &[u8]) -> Result<Self, ForecasterError> {
        Self::from_tar_with(Policy::Local, bytes, &BundleLimits::default())
    }

    /// The same under a policy; [`Policy::Hosted`] for uploads.
    pub fn from_tar_with(
        policy: Policy,
        bytes: &[u8],
        limits: &BundleLimits,
    ) -> Result<Self, ForecasterError> {
        Parts::from_tar(bytes, limits)?.check(policy, limits)
    }
}

impl Parts {
    /// The files of an archive, unchecked.
    pub fn from_tar(bytes: &[u8], limits: &BundleLimits) -> Result<Self, ForecasterError> {
        let mut files = Vec::new();
        let mut archive = Archive::new(bytes);
        // Raw, so that entries which rename, enlarge or redefine the next one are seen as what they are.
        let entries = archive.entries().map_err(|e| fault(&e.to_string()))?.raw(true);
        for entry in entries {
            let mut entry = entry.map_err(|e| fault(&e.to_string()))?;
            if entry.header().entry_type() != EntryType::Regular {
                let kind = entry.header().entry_type();
                return Err(fault(&format!("an entry is a {kind:?}; only plain files are admitted")));
            }
            let name = std::str::from_utf8(&entry.path_bytes()).map(str::to_owned);
            let name = name.map_err(|_| fault("a name is not UTF-8"))?;
            let Some(limit) = Self::limit(&name, limits) else {
                return Err(fault(&format!("`{name}` is no file of a bundle")));
            };
            if files.iter().any(|(other, _)| *other == name) || files.len() == MAX_ENTRIES {
                return Err(fault(&format!("`{name}` is there twice, or there are too many files")));
            }
            let size = entry.size();
            if size == 0 || size > limit {
                let detail = format!("{name} has {size} bytes, allowed are 1 to {limit}");
                return Err(ForecasterError::check(Check::Size, detail));
            }
            let mut content = Vec::new();
            (&mut entry).take(limit).read_to_end(&mut content).map_err(|e| fault(&e.to_string()))?;
            if content.len() as u64 != size {
                return Err(fault(&format!("`{name}` ends after {} of {size} bytes", content.len())));
            }
            files.push((name, content));
        }
        Self::from_files(files)
    }

    /// The one archive of these files: fixed order, no owner, no time.
    pub fn to_tar(&self) -> Result<Vec<u8>, ForecasterError> {
        let mut builder = Builder::new(Vec::new());
        let io = |source| ForecasterError::Io { what: "writing an archive to memory".to_owned(), source };
        for (name, content) in self.files() {
            let mut header = Header::new_ustar();
            header.set_path(name).map_err(io)?;
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_mtime(0);
            header.set_uid(0);
            header.set_gid(0);
            header.set_entry_type(EntryType::Regular);
            header.set_cksum();
            builder.append(&header, content).map_err(io)?;
        }
        builder.into_inner().map_err(io)
    }

    /// Files by name; the manifest and one model must be among them.
    fn from_files(files: Vec<(String, Vec<u8>)>) -> Result<Self, ForecasterError> {
        let mut out = Self::default();
        let text = |name: &str, content: Vec<u8>| {
            String::from_utf8(content).map_err(|_| fault(&format!("`{name}` is not UTF-8")))
        };
        for (name, content) in files {
            match name.as_str() {
                MANIFEST => out.manifest = text(MANIFEST, content)?,
                GOLDEN => out.golden = Some(text(GOLDEN, content)?),
                SIGNATURE => out.signature = Some(text(SIGNATURE, content)?),
                README => out.readme = Some(text(README, content)?),
                _ if !out.model_file.is_empty() => return Err(fault("there are two models")),
                _ => (out.model_file, out.model) = (name, content),
            }
        }
        if out.manifest.is_empty() || out.model_file.is_empty() {
            return Err(ForecasterError::check(Check::File, "the archive lacks forecaster.toml or a model"));
        }
        Ok(out)
    }
}

fn fault(detail: &str) -> ForecasterError {
    ForecasterError::check(Check::Archive, format!("{detail}; `oraculo model pack` writes a sound one"))
}
