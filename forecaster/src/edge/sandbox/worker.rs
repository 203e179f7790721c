//! The worker's own side: opens the library, shuts the cage, loads one model, answers runs; it never asks for anything.
//!
//! It runs in a process of its own with its socket as descriptor 0. Its only way to end well is the end of the socket.

#![allow(clippy::disallowed_methods, reason = "an edge: descriptor 0 is the world")]

use std::io::stdin;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::ExitCode;

use super::cage::{self, Bars};
use super::escape;
use super::wire::{self, Failed, HEAD, Head, Loaded, Setup, Wanted, kind};
use crate::edge::engines::Engines;
use crate::engine::{Device, EngineChoice, LoadOptions, RowIo, Session};
use crate::error::{ForecasterError, WorkerFault};

/// Frames are read in at least this many bytes at a time.
const CHUNK: usize = 64 << 10;
/// Rows and tensors of one run may take this many bytes at most.
const MAX_RUN: usize = 64 << 20;

/// Serves the parent on descriptor 0 until it goes away. What was said about failures is in the frames.
pub fn run() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Why a worker ends: the socket is gone, or the parent said what nobody says.
enum End {
    Socket,
    Nonsense,
}

fn serve() -> Result<(), End> {
    let mut wire = Wire::default();
    let Some(head) = wire.next(wire::MAX_TALK)? else { return Ok(()) };
    let setup: Setup = wire.talk(head, kind::SETUP)?;
    let library = setup.library.as_deref().map(Path::new);
    let engines = match library.map(Engines::open) {
        Some(Ok(engines)) => engines,
        Some(Err(error)) => return wire.fail(&error),
        None => {
            Engines::new(Err(ForecasterError::LibraryNotFound { looked_at: Vec::new() }), EngineChoice::Auto)
        }
    };
    let bars = Bars { memory_bytes: setup.memory_bytes, cpu_s: setup.cpu_s, uid: setup.uid };
    let report = cage::shut(&bars);
    wire.send(&wire::talk(kind::CAGED, &report))?;
    if let Some(name) = &setup.attempt {
        // One frame at a time each way: the parent says when.
        if wire.next(wire::MAX_TALK)?.is_none() {
            return Ok(());
        }
        let outcome = escape::attempt(name);
        return wire
            .send(&wire::talk(kind::FAILED, &Failed { code: outcome.to_owned(), text: name.clone() }));
    }
    let Some((mut session, rows)) = load(&mut wire, &engines, setup.max_model_bytes as usize)? else {
        return Ok(());
    };
    drop(engines);
    answer(&mut wire, session.as_mut(), rows.as_ref())
}

type Ready = (Box<dyn Session>, Option<RowIo>);

/// Takes the options and the model; `None` when that failed and the parent was told, or the parent went away.
fn load(wire: &mut Wire, engines: &Engines, max_model: usize) -> Result<Option<Ready>, End> {
    let Some(head) = wire.next(wire::MAX_TALK.max(MAX_RUN))? else { return Ok(None) };
    let wanted: Wanted = wire.talk(head, kind::WANTED)?;
    let Some(head) = wire.next(max_model)? else { return Ok(None) };
    if head.kind != kind::MODEL {
        return Err(End::Nonsense);
    }
    let choice: EngineChoice = wanted.choice.parse().map_err(|_| End::Nonsense)?;
    let rows = wanted.rows.map(|r| {
        let constants = wire::read_tensors(&r.constants).ok_or(End::Nonsense)?;
        let row_shape = r.row_shape.iter().map(|d| *d as usize).collect();
        let answer_width = r.answer_width as usize;
        Ok(RowIo { input: r.input, row_shape, output: r.output, answer_width, constants })
    });
    let rows = rows.transpose()?;
    let options = LoadOptions {
        device: Device::Cpu,
        intra_threads: 1,
        rows: rows.clone(),
        max_batch: wanted.max_batch as usize,
        ..LoadOptions::default()
    };
    let session = engines.session(wire.body(head), choice, &options);
    // The model's bytes are not needed twice.
    wire.forget();
    let session = match session {
        Ok(session) => session,
        Err(error) => return wire.fail(&error).map(|()| None),
    };
    let loaded = Loaded {
        engine: session.engine().name().to_owned(),
        io: session.io().clone(),
        reason: session.report().reason.clone(),
    };
    wire.send(&wire::talk(kind::LOADED, &loaded))?;
    Ok(Some((session, rows)))
}

/// Runs what comes, until the socket ends.
fn answer(wire: &mut Wire, session: &mut dyn Session, io: Option<&RowIo>) -> Result<(), End> {
    let width = io.map_or(0, RowIo::row_width);
    let (mut rows, mut answers, mut frame) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(head) = wire.next(MAX_RUN)? {
        let body = wire.body(head);
        let said = match head.kind {
            kind::ROWS => {
                rows.clear();
                answers.clear();
                wire::read_floats(body, &mut rows).ok_or(End::Nonsense)?;
                let n = head.count as usize;
                if rows.len() != n.saturating_mul(width) {
                    return Err(End::Nonsense);
                }
                session.run_rows(&rows, n, &mut answers).map(|()| {
                    wire::floats(&mut frame, kind::ANSWERS, head.count, &answers).ok_or(End::Nonsense)
                })
            }
            kind::TENSORS => {
                let inputs = wire::read_tensors(body).ok_or(End::Nonsense)?;
                session.run(&inputs).map(|outputs| {
                    wire::begin(&mut frame, kind::TENSORS, 0);
                    let whole = wire::put_tensors(&mut frame, &outputs).and_then(|()| wire::end(&mut frame));
                    whole.ok_or(End::Nonsense)
                })
            }
            _ => return Err(End::Nonsense),
        };
        match said {
            Ok(whole) => {
                whole?;
                wire.send(&frame)?;
            }
            Err(error) => wire.fail(&error)?,
        }
    }
    Ok(())
}

/// Descriptor 0 and what was read from it.
#[derive(Default)]
struct Wire {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Wire {
    /// The next frame's head with its whole body in the buffer; `None` when the parent went away between frames.
    fn next(&mut self, max: usize) -> Result<Option<Head>, End> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        while self.end - self.start < HEAD {
            if !self.fill(HEAD)? {
                return if self.start == self.end { Ok(None) } else { Err(End::Socket) };
            }
        }
        let head = Head::read(&self.buffer[self.start..self.end]).ok_or(End::Nonsense)?;
        if head.len > max {
            return Err(End::Nonsense);
        }
        while self.end - self.start < HEAD + head.len {
            if !self.fill(HEAD + head.len)? {
                return Err(End::Socket);
            }
        }
        self.start += HEAD + head.len;
        Ok(Some(head))
    }

    /// The body of the frame that was taken last.
    fn body(&self, head: Head) -> &[u8] {
        &self.buffer[self.start - head.len..self.start]
    }

    /// Gives back what a large frame took.
    fn forget(&mut self) {
        let rest = self.buffer[self.start..self.end].to_vec();
        (self.start, self.end) = (0, rest.len());
        self.buffer = rest;
    }

    /// Reads once; `false` at the end of the socket. The frame at `start` needs `whole` bytes.
    fn fill(&mut self, whole: usize) -> Result<bool, End> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let room = whole.max(CHUNK);
        if self.buffer.len() < room {
            self.buffer.resize(room, 0);
        }
        loop {
            match rustix::io::read(stdin().as_fd(), &mut self.buffer[self.end..]) {
                Ok(0) => return Ok(false),
                Ok(n) => {
                    self.end += n;
                    return Ok(true);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return Err(End::Socket),
            }
        }
    }

    fn talk<T: for<'b> minicbor::Decode<'b, ()>>(&self, head: Head, wanted: u32) -> Result<T, End> {
        if head.kind != wanted {
            return Err(End::Nonsense);
        }
        minicbor::decode(self.body(head)).map_err(|_| End::Nonsense)
    }

    #[allow(clippy::unused_self, reason = "there is one wire")]
    fn send(&self, mut bytes: &[u8]) -> Result<(), End> {
        while !bytes.is_empty() {
            match rustix::io::write(stdin().as_fd(), bytes) {
                Ok(n) => bytes = &bytes[n..],
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return Err(End::Socket),
            }
        }
        Ok(())
    }

    fn fail(&self, error: &ForecasterError) -> Result<(), End> {
        let text = wire::tame(&error.to_string());
        let code = if is_out_of_memory(&text) { WorkerFault::Memory.code() } else { error.code() };
        self.send(&wire::talk(kind::FAILED, &Failed { code: code.to_owned(), text }))
    }
}

/// ONNX Runtime has no code of its own for this.
fn is_out_of_memory(text: &str) -> bool {
    ["bad_alloc", "Failed to allocate memory", "out of memory", "bad allocation"]
        .iter()
        .any(|needle| text.contains(needle))
}
