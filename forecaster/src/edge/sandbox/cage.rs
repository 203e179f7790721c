//! Shutting the cage around the calling process, layer by layer, and saying which layers hold; it never opens it again.
//!
//! The process must have one thread: users, Landlock and filters are taken by the thread that asks. Each layer that
//! cannot be had (an old kernel, a container that forbids it) is reported, never passed over in silence.

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    RulesetStatus, Scope,
};
use minicbor::{Decode, Encode};
use rustix::process::{
    DumpableBehavior, Gid, Resource, Rlimit, Signal, Uid, geteuid, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit,
};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use serde::Serialize;

use super::filter;

/// One layer of the cage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Encode, Decode)]
pub struct Layer {
    /// Its stable name.
    #[n(0)]
    pub name: String,
    /// Whether it is in force.
    #[n(1)]
    pub in_force: bool,
    /// What it does here, or why it is not there.
    #[n(2)]
    pub detail: String,
}

/// What of the cage is in force around one worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Encode, Decode)]
pub struct CageReport {
    /// The layers, in the order in which they were shut.
    #[n(0)]
    pub layers: Vec<Layer>,
}

impl CageReport {
    /// Whether every layer is in force.
    pub fn is_complete(&self) -> bool {
        !self.layers.is_empty() && self.missing().next().is_none()
    }

    /// The layers that are not.
    pub fn missing(&self) -> impl Iterator<Item = &Layer> {
        self.layers.iter().filter(|l| !l.in_force)
    }

    fn add(&mut self, name: &str, result: Result<String, String>) {
        let in_force = result.is_ok();
        let detail = result.unwrap_or_else(|e| e);
        self.layers.push(Layer { name: name.to_owned(), in_force, detail });
    }
}

/// What the cage is to hold to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bars {
    pub(super) memory_bytes: u64,
    pub(super) cpu_s: u64,
    pub(super) uid: u32,
}

/// Shuts the cage. Whatever the process needs from outside it must hold already.
pub(super) fn shut(bars: &Bars) -> CageReport {
    let mut report = CageReport::default();
    report.add("environment", environment());
    report.add("descriptors", descriptors());
    report.add("one_thread", one_thread());
    report.add("user", user(bars.uid));
    report.add("parent_death", parent_death());
    report.add("limits", limits(bars));
    report.add("no_new_privs", no_new_privs());
    report.add("landlock", landlock());
    report.add("seccomp", seccomp());
    report
}

fn environment() -> Result<String, String> {
    let (name, value) = super::ONLY_VARIABLE;
    match std::env::vars_os().filter(|(n, v)| n != name || v != value).count() {
        0 => Ok(format!("empty but for {name}")),
        n => Err(format!("{n} variables were inherited")),
    }
}

/// Closes whatever the parent's own parent left open; only the socket (0) and two that lead nowhere (1, 2) stay.
fn descriptors() -> Result<String, String> {
    let inherited = open_descriptors()?;
    for fd in &inherited {
        // An error means that it is closed already, as the folder of the listing is.
        let _ = nix::unistd::close(*fd);
    }
    match open_descriptors()?.len() {
        0 | 1 => Ok(format!(
            "the socket, nothing else ({} were inherited and closed)",
            inherited.len().saturating_sub(1)
        )),
        n => Err(format!("{} descriptors cannot be closed", n - 1)),
    }
}

/// All above 2, that of the listing itself included.
fn open_descriptors() -> Result<Vec<i32>, String> {
    let entries = std::fs::read_dir("/proc/self/fd").map_err(|e| format!("/proc is not readable: {e}"))?;
    let number = |e: std::fs::DirEntry| e.file_name().to_str()?.parse().ok();
    Ok(entries.flatten().filter_map(number).filter(|fd| *fd > 2).collect())
}

fn one_thread() -> Result<String, String> {
    let tasks = std::fs::read_dir("/proc/self/task").map_err(|e| format!("/proc is not readable: {e}"))?;
    match tasks.count() {
        1 => Ok("the process has one thread".to_owned()),
        n => Err(format!("the process has {n} threads; the others stay outside")),
    }
}

fn user(uid: u32) -> Result<String, String> {
    let now = geteuid();
    if !now.is_root() {
        return Ok(format!("runs as {}, as it was started", now.as_raw()));
    }
    if uid == 0 || uid == u32::MAX {
        return Err("runs as root: the operator named no other user".to_owned());
    }
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(uid));
    set_thread_groups(&[])
        .and_then(|()| set_thread_res_gid(gid, gid, gid))
        .and_then(|()| set_thread_res_uid(uid, uid, uid))
        .map_err(|e| format!("runs as root: {e}"))?;
    Ok(format!("runs as {} instead of root, in no other group", uid.as_raw()))
}

/// After [`user`], which would undo it.
fn parent_death() -> Result<String, String> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|e| e.to_string())?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|e| e.to_string())?;
    Ok("dies with its parent; leaves no core and no /proc to others".to_owned())
}

fn limits(bars: &Bars) -> Result<String, String> {
    let set = |resource, soft: u64, hard: u64| {
        setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) })
            .map_err(|e| format!("{resource:?}: {e}"))
    };
    for resource in [Resource::Core, Resource::Fsize, Resource::Nproc, Resource::Memlock, Resource::Msgqueue]
    {
        set(resource, 0, 0)?;
    }
    // Landlock's rule set needs a descriptor for a moment.
    set(Resource::Nofile, 16, 16)?;
    // The signal comes first, so that the parent can tell what happened.
    set(Resource::Cpu, bars.cpu_s, bars.cpu_s + 1)?;
    set(Resource::As, bars.memory_bytes, bars.memory_bytes)?;
    let mib = bars.memory_bytes >> 20;
    Ok(format!("{mib} MiB of memory, {} s of processor, no files, processes or cores", bars.cpu_s))
}

fn no_new_privs() -> Result<String, String> {
    rustix::thread::set_no_new_privs(true).map_err(|e| e.to_string())?;
    Ok("set".to_owned())
}

/// Nothing is allowed: no rule is added for what the rule set handles.
fn landlock() -> Result<String, String> {
    let newest = ABI::V6;
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(newest))
        .and_then(|set| set.handle_access(AccessNet::from_all(newest)))
        .and_then(|set| set.scope(Scope::from_all(newest)))
        .and_then(Ruleset::create)
        .and_then(landlock::RulesetCreated::restrict_self)
        .map_err(|e| e.to_string())?;
    match status.ruleset {
        RulesetStatus::FullyEnforced => Ok("no file, no TCP port, no foreign socket or signal".to_owned()),
        RulesetStatus::PartiallyEnforced => {
            Ok("no file; this kernel's Landlock is too old for ports, sockets or signals".to_owned())
        }
        RulesetStatus::NotEnforced => Err("this kernel has no Landlock, or it is off".to_owned()),
    }
}

fn seccomp() -> Result<String, String> {
    for program in filter::programs(std::process::id())? {
        seccompiler::apply_filter(&program).map_err(|e| e.to_string())?;
    }
    Ok("few system calls; network, programs and other processes are deadly".to_owned())
}
