//! One thread that starts every worker; it never waits for one.
//!
//! A worker is told to die with its parent, and to Linux the parent is the *thread* that started it. A lane's thread may
//! end or hand its session on; this one lives as long as the process.

use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

/// Workers that may wait to be started.
const QUEUE: usize = 64;

struct Job {
    command: Command,
    reply: SyncSender<std::io::Result<Child>>,
}

static SPAWNER: OnceLock<SyncSender<Job>> = OnceLock::new();

/// Starts a process on the long-lived thread.
pub(super) fn spawn(command: Command) -> std::io::Result<Child> {
    let gone = || std::io::Error::other("the thread that starts workers is gone");
    let queue = SPAWNER.get_or_init(|| {
        let (queue, jobs) = sync_channel::<Job>(QUEUE);
        let body = move || {
            for mut job in jobs {
                // Who asked may be gone: then the child's socket is closed and it ends by itself.
                let _ = job.reply.send(job.command.spawn());
            }
        };
        if let Err(error) = thread::Builder::new().name("worker-spawner".to_owned()).spawn(body) {
            tracing::error!(%error, "workers cannot be started");
        }
        queue
    });
    let (reply, child) = sync_channel(1);
    queue.send(Job { command, reply }).map_err(|_| gone())?;
    child.recv().map_err(|_| gone())?
}
