//! Bundles as one file: what is packed comes back, the same bytes each time; everything but plain files is refused.

use std::io::Write as _;

use forecaster::bundle::{BundleLimits, Parts, Policy};
use forecaster::{Bundle, MinerKey};
use proptest::prelude::*;
use tar::{Builder, EntryType, Header};

use crate::support::{code, parts};

/// An entry as an attacker writes it.
fn entry(kind: EntryType, name: &[u8], content: &[u8]) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    let mut out = header.as_bytes().to_vec();
    out.extend(content);
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

fn plain(name: &str, content: &[u8]) -> Vec<u8> {
    entry(EntryType::Regular, name.as_bytes(), content)
}

/// The sound bundle's entries with more before and after them.
fn around(before: &[u8], after: &[u8]) -> Vec<u8> {
    let p = parts();
    let sound = [plain("forecaster.toml", p.manifest.as_bytes()), plain("model.onnx", &p.model)].concat();
    [before, &sound, after, &[0; 1024]].concat()
}

#[test]
fn what_is_packed_comes_back() {
    let bundle = parts().check(Policy::Local, &BundleLimits::default()).unwrap();
    let key = MinerKey::from_seed([1; 32]);
    let whole = Parts {
        readme: Some("a model".to_owned()),
        signature: Some(key.seal(&bundle.id()).to_json(&bundle.id())),
        ..parts()
    };
    let bytes = whole.to_tar().unwrap();
    assert_eq!(bytes, whole.to_tar().unwrap(), "the same bytes each time");
    assert_eq!(Parts::from_tar(&bytes, &BundleLimits::default()).unwrap(), whole);
    assert_eq!(Bundle::from_tar(&bytes).unwrap().id(), bundle.id());
    // From a folder, from a file; what another program packed is as good.
    let dir = tempfile::tempdir().unwrap();
    whole.write(&dir.path().join("folder")).unwrap();
    assert_eq!(Parts::read(&dir.path().join("folder"), &BundleLimits::default()).unwrap(), whole);
    std::fs::write(dir.path().join("b.tar"), &bytes).unwrap();
    let loaded = Bundle::load(&dir.path().join("b.tar")).unwrap();
    assert_eq!((loaded.id(), loaded.seal().is_some()), (bundle.id(), true));
    assert_eq!(code(Bundle::from_tar(&around(&[], &[]))), "ok");
    let mut builder = Builder::new(Vec::new());
    builder.append_path_with_name(dir.path().join("folder/forecaster.toml"), "forecaster.toml").unwrap();
    builder.append_path_with_name(dir.path().join("folder/model.onnx"), "model.onnx").unwrap();
    assert_eq!(Bundle::from_tar(&builder.into_inner().unwrap()).unwrap().id(), bundle.id());
}

#[test]
fn everything_but_plain_files_of_a_bundle_is_refused() {
    let refused = |before: Vec<u8>, after: Vec<u8>| code(Bundle::from_tar(&around(&before, &after)));
    let kinds = [
        EntryType::Link,
        EntryType::Symlink,
        EntryType::Char,
        EntryType::Block,
        EntryType::Directory,
        EntryType::Fifo,
        EntryType::Continuous,
        EntryType::GNULongName,
        EntryType::GNULongLink,
        EntryType::GNUSparse,
        EntryType::XHeader,
        EntryType::XGlobalHeader,
    ];
    for kind in kinds {
        assert_eq!(refused(entry(kind, b"golden.json", b"12 path=x\n"), vec![]), "c01_archive", "{kind:?}");
    }
    let names: [&[u8]; 9] = [
        b"../golden.json",
        b"/golden.json",
        b"./golden.json",
        b"a/golden.json",
        b"golden.json/",
        b"passwd",
        b".onnx",
        b".x.onnx",
        b"\xff.onnx",
    ];
    for name in names {
        let got = refused(entry(EntryType::Regular, name, b"x"), vec![]);
        assert_eq!(got, "c01_archive", "{}", String::from_utf8_lossy(name));
    }
    assert_eq!(refused(vec![], plain("forecaster.toml", b"again")), "c01_archive", "a name twice");
    assert_eq!(refused(vec![], plain("other.onnx", b"another")), "c01_archive", "two models");
    assert_eq!(refused(vec![], plain("README.md", b"\xff")), "c01_archive", "no text");
    assert_eq!(refused(vec![], plain("README.md", b"")), "c01_size");
    assert_eq!(refused(vec![], plain("README.md", &vec![b'x'; 300_000])), "c01_size");
    assert_eq!(code(Bundle::from_tar(&plain("model.onnx", b"x"))), "c01_file", "no manifest");
    assert_eq!(code(Bundle::from_tar(b"")), "c01_file");
    assert_eq!(code(Bundle::from_tar(&[b'x'; 4096])), "c01_archive");
}

#[test]
fn sizes_that_lie() {
    // The header promises more than there is; a terabyte in octal and in binary form.
    let mut promised = plain("README.md", b"short");
    for size in [1000_u64, 200_000, 1 << 40] {
        let mut header = Header::new_ustar();
        header.set_path("README.md").unwrap();
        header.set_entry_type(EntryType::Regular);
        header.set_size(size);
        header.set_cksum();
        promised[..512].copy_from_slice(header.as_bytes());
        let p = parts();
        let bytes = [
            plain("forecaster.toml", p.manifest.as_bytes()),
            plain("model.onnx", &p.model),
            promised.clone(),
        ];
        let got = code(Bundle::from_tar(&bytes.concat()));
        assert!(matches!(got, "c01_archive" | "c01_size"), "{size}: {got}");
    }
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("big.tar");
    let mut file = std::fs::File::create(&path).unwrap();
    file.write_all(&around(&[], &[])).unwrap();
    file.set_len(1 << 40).unwrap();
    assert_eq!(code(Bundle::load(&path)), "c01_size");
}

proptest! {
    #[test]
    fn any_bytes_give_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        prop_assert!(Bundle::from_tar(&bytes).is_err());
    }

    #[test]
    fn one_changed_byte_is_noticed_or_harmless(at in 0_usize..6000, with in any::<u8>()) {
        let mut bytes = around(&[], &[]);
        prop_assume!(at < bytes.len() && bytes[at] != with);
        let id = Bundle::from_tar(&bytes).unwrap().id();
        bytes[at] = with;
        // Padding and owners may change; what is loaded may not.
        if let Ok(bundle) = Bundle::from_tar(&bytes) {
            let same = bundle.id() == id;
            let manifest = bundle.manifest() != parts().check(Policy::Local, &BundleLimits::default()).unwrap().manifest();
            prop_assert!(same || manifest);
        }
    }
}
