//! A worker process as its parent sees it: frames with a deadline, a kill, and why it ended; it never trusts a frame.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child as Process, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::wire::{HEAD, Head};
use super::{WorkerCommand, spawner};
use crate::error::{ForecasterError, WorkerFault};

/// The process ended its socket; so long it may take to be gone.
const BURIAL: Duration = Duration::from_millis(100);
/// Frames are read in at least this many bytes at a time.
const CHUNK: usize = 64 << 10;

/// A started worker. Dropping it kills it.
pub(super) struct Child {
    process: Process,
    socket: UnixStream,
    /// What the socket's timeouts are set to.
    patience: Duration,
    buffer: Vec<u8>,
    /// Bytes of the buffer that are filled.
    filled: usize,
}

impl Child {
    /// Starts a process with a socket as descriptor 0 and nothing else.
    pub(super) fn start(worker: &WorkerCommand) -> Result<Self, ForecasterError> {
        let fault = |e: std::io::Error| {
            let what = format!("{}: {e}", worker.program.display());
            ForecasterError::worker(WorkerFault::NotStarted, what)
        };
        let (socket, theirs) = UnixStream::pair().map_err(fault)?;
        let mut command = Command::new(&worker.program);
        command
            .args(&worker.args)
            .env_clear()
            .env(super::ONLY_VARIABLE.0, super::ONLY_VARIABLE.1)
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = spawner::spawn(command).map_err(fault)?;
        Ok(Self { process, socket, patience: Duration::ZERO, buffer: Vec::new(), filled: 0 })
    }

    /// Sends a frame before the deadline.
    pub(super) fn send(
        &mut self,
        frame: &[u8],
        limit: Duration,
        late: WorkerFault,
    ) -> Result<(), ForecasterError> {
        let started = Instant::now();
        self.wait_up_to(limit);
        let mut rest = frame;
        while !rest.is_empty() {
            match self.socket.write(rest) {
                Ok(n) => rest = &rest[n..],
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if is_timeout(&e) => return Err(self.late(late, limit)),
                Err(_) => return Err(self.ended()),
            }
            if !rest.is_empty() {
                let Some(left) = limit.checked_sub(started.elapsed()).filter(|l| !l.is_zero()) else {
                    return Err(self.late(late, limit));
                };
                self.wait_up_to(left);
            }
        }
        Ok(())
    }

    /// The next frame, whole, before the deadline; its body is at most `max` bytes long and lies in [`Self::body`].
    pub(super) fn receive(
        &mut self,
        limit: Duration,
        late: WorkerFault,
        max: usize,
    ) -> Result<Head, ForecasterError> {
        let started = Instant::now();
        self.wait_up_to(limit);
        self.filled = 0;
        if self.buffer.len() < CHUNK {
            self.buffer.resize(CHUNK, 0);
        }
        let mut whole = HEAD;
        loop {
            match self.socket.read(&mut self.buffer[self.filled..]) {
                Ok(0) => return Err(self.ended()),
                Ok(n) => self.filled += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if is_timeout(&e) => return Err(self.late(late, limit)),
                Err(_) => return Err(self.ended()),
            }
            if self.filled >= HEAD {
                let head = Head::read(&self.buffer).expect("twelve bytes are there");
                if head.len > max {
                    let detail = format!("an answer of {} bytes, at most {max} were expected", head.len);
                    return Err(self.give_up(WorkerFault::Oversize, detail));
                }
                whole = HEAD + head.len;
                if self.filled == whole {
                    return Ok(head);
                }
                if self.filled > whole {
                    let detail = "more bytes than the answer has".to_owned();
                    return Err(self.give_up(WorkerFault::Garbage, detail));
                }
            }
            // Rare: the frame came in parts. Each part may not take the whole limit again.
            let Some(left) = limit.checked_sub(started.elapsed()).filter(|l| !l.is_zero()) else {
                return Err(self.late(late, limit));
            };
            self.wait_up_to(left);
            if self.buffer.len() < whole {
                self.buffer.resize(whole, 0);
            }
        }
    }

    /// The body of the frame that was received last.
    pub(super) fn body(&self) -> &[u8] {
        &self.buffer[HEAD..self.filled]
    }

    /// Kills the process for a fault that was found in what it said.
    pub(super) fn give_up(&mut self, fault: WorkerFault, detail: String) -> ForecasterError {
        self.kill();
        ForecasterError::worker(fault, detail)
    }

    /// The process' number.
    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sets the socket's timeouts; a call to the system only when they change.
    fn wait_up_to(&mut self, patience: Duration) {
        if self.patience != patience {
            // Zero would mean for ever; a failure leaves the old patience, which is no longer than a run's limit.
            let some = Some(patience.max(Duration::from_millis(1)));
            if self.socket.set_read_timeout(some).and_then(|()| self.socket.set_write_timeout(some)).is_ok() {
                self.patience = patience;
            }
        }
    }

    fn late(&mut self, fault: WorkerFault, limit: Duration) -> ForecasterError {
        self.give_up(fault, format!("no answer within {} ms; the process was killed", limit.as_millis()))
    }

    /// The socket ended: why did the process?
    fn ended(&mut self) -> ForecasterError {
        let started = Instant::now();
        while started.elapsed() < BURIAL {
            match self.process.try_wait() {
                Ok(Some(status)) => return cause(status),
                Ok(None) => thread::sleep(Duration::from_micros(500)),
                Err(_) => break,
            }
        }
        self.give_up(WorkerFault::Garbage, "closed its socket and lived on".to_owned())
    }

    /// Kills the process and waits until it is gone, so that it leaves no zombie.
    fn kill(&mut self) {
        // An error means that it is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// What an exit status says about the worker.
fn cause(status: ExitStatus) -> ForecasterError {
    let fault = match status.signal() {
        Some(libc::SIGSYS) => WorkerFault::Violation,
        Some(libc::SIGXCPU) => WorkerFault::Cpu,
        _ => WorkerFault::Crashed,
    };
    ForecasterError::worker(fault, format!("the process ended: {status}"))
}
