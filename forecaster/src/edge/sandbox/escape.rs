//! What a model that broke out of its runtime would try from inside the cage; only `oraculo doctor` and tests ask for it.
//!
//! Each attempt is made in a worker of its own, because some are deadly. An attempt that succeeds is a hole.

#![allow(clippy::disallowed_methods, reason = "an edge: it tries the world on purpose")]

use std::fs::{File, OpenOptions};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, Signal, getppid, kill_process, setrlimit};
use serde::Serialize;

/// What became of one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// What was tried.
    pub name: &'static str,
    /// Whether the cage held.
    pub contained: bool,
    /// `refused` by an error, or the fault with which the worker ended.
    pub outcome: String,
}

/// Said when the attempt came back with an error.
pub(super) const REFUSED: &str = "refused";
/// Said when it worked.
pub(super) const SUCCEEDED: &str = "succeeded";

/// Every attempt.
pub const NAMES: &[&str] = &[
    "open_read",
    "open_proc",
    "open_write",
    "list_folder",
    "delete_file",
    "tcp_connect",
    "tcp_listen",
    "udp_send",
    "unix_connect",
    "execute",
    "fork",
    "thread",
    "signal_parent",
    "open_process",
    "raise_limit",
    "become_root",
    "new_namespace",
    "write_stderr",
    "hard_link",
    "allocate",
];

/// Makes one attempt inside the cage.
pub(super) fn attempt(name: &str) -> &'static str {
    if succeeds(name) { SUCCEEDED } else { REFUSED }
}

fn succeeds(name: &str) -> bool {
    match name {
        "open_read" => File::open("/etc/passwd").is_ok(),
        "open_proc" => File::open("/proc/self/maps").is_ok(),
        "open_write" => {
            OpenOptions::new().write(true).create(true).truncate(true).open("/tmp/oraculo-escape").is_ok()
        }
        "list_folder" => std::fs::read_dir("/").is_ok(),
        "delete_file" => std::fs::remove_file("/tmp/oraculo-escape-victim").is_ok(),
        "hard_link" => std::fs::hard_link("/etc/passwd", "/tmp/oraculo-escape-link").is_ok(),
        "tcp_connect" => {
            let address = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
            TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok()
        }
        "tcp_listen" => TcpListener::bind("127.0.0.1:0").is_ok(),
        "udp_send" => UdpSocket::bind("127.0.0.1:0").is_ok(),
        "unix_connect" => UnixStream::pair().is_ok(),
        // Only comes back when it failed.
        "execute" => {
            let _ = Command::new("/bin/true").exec();
            false
        }
        "fork" => Command::new("/bin/true").spawn().is_ok(),
        "thread" => std::thread::Builder::new().spawn(|| ()).is_ok(),
        "signal_parent" => getppid().is_some_and(|parent| kill_process(parent, Signal::WINCH).is_ok()),
        "open_process" => getppid().is_some_and(|parent| {
            rustix::process::pidfd_open(parent, rustix::process::PidfdFlags::empty()).is_ok()
        }),
        "raise_limit" => {
            let more = Rlimit { current: Some(1 << 40), maximum: Some(1 << 40) };
            setrlimit(Resource::As, more).is_ok()
        }
        "become_root" => rustix::thread::set_thread_uid(rustix::process::Uid::ROOT).is_ok(),
        "new_namespace" => {
            let anywhere = std::io::stdin();
            rustix::thread::move_into_thread_name_spaces(
                std::os::fd::AsFd::as_fd(&anywhere),
                rustix::thread::ThreadNameSpaceType::empty(),
            )
            .is_ok()
        }
        "write_stderr" => rustix::io::write(std::os::fd::AsFd::as_fd(&std::io::stderr()), b"x").is_ok(),
        "allocate" => Vec::<u8>::new().try_reserve_exact(64 << 30).is_ok(),
        _ => true,
    }
}
