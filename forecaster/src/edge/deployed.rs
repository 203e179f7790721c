//! A model as its store says: serves the active version, runs the trial, carries out its verdict; it never judges, the
//! trial's book does.
//!
//! ```text
//! deploy --canary ──► trial: candidate beside active ──Promote──► candidate serves, guarded by the former version
//!                            └─Reject──► trial ends                    ├─Reject──► rolled back
//!                                                                      └─Promote─► guard ends
//! ```
//!
//! A shadow goes the same way, except that `Promote` is only reported.

#![allow(clippy::disallowed_methods, reason = "an edge: the store is read and written here")]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use schemas::{BundleId, InferenceRequest, InferenceResult, QuestionId};

use super::lane::{Lane, LaneConfig, Source};
use super::reload::Reloaded;
use super::shadow::{Fault, Shadow, Trial, TrialRules, Verdict};
use super::store::{Mode, Pointer, Store};
use crate::bundle::Bundle;
use crate::error::ForecasterError;

/// Turns a stored bundle into something a lane can load.
pub type MakeSource = Box<dyn Fn(Arc<Bundle>) -> Arc<dyn Source> + Send + Sync>;

/// What a look at the store or a verdict changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Another version serves.
    Serves(Reloaded),
    /// A version is on trial, or guards the one that took over.
    Beside(BundleId),
    /// The trial or the guard ended.
    Alone,
    /// The candidate took over in the store.
    Promoted(String),
    /// The candidate's trial ended.
    Rejected(Fault),
    /// The store went back to the version that was active before.
    RolledBack(Fault),
    /// A shadow is better; somebody may deploy it.
    Better(String),
}

/// A model under its store.
pub struct Deployed {
    store: Store,
    name: String,
    make: MakeSource,
    config: LaneConfig,
    rules: TrialRules,
    lane: Lane,
    beside: Arc<Mutex<Option<Arc<Shadow>>>>,
    /// Locked for a moment only, so that nobody who asks waits for a reload.
    serving: Mutex<BundleId>,
    current: Mutex<Current>,
}

/// What was made of the pointer.
struct Current {
    pointer: Pointer,
    /// Set by a promotion: the next trial of the former version is a guard.
    guarding: bool,
    reported: bool,
}

impl Deployed {
    /// Starts a lane with the active version of a model, and its trial if there is one.
    pub fn start(
        store: &Store,
        name: &str,
        make: MakeSource,
        (config, rules): (LaneConfig, TrialRules),
        on_result: impl Fn(InferenceResult) + Send + 'static,
    ) -> Result<Self, ForecasterError> {
        let pointer = store.pointer(name)?;
        let Some(active) = &pointer.active else {
            let reason = format!("`{name}` has no active version; use `oraculo model deploy`");
            return Err(ForecasterError::Store { path: store.dir().to_owned(), reason });
        };
        let source = make(Arc::new(store.load(name, active)?));
        let serving = Mutex::new(source.id());
        let beside = Arc::new(Mutex::new(None::<Arc<Shadow>>));
        let hears = Arc::clone(&beside);
        let hear = move |result: InferenceResult| {
            let shadow = lock(&hears).clone();
            if let Some(shadow) = shadow {
                shadow.heard(&result);
            }
            on_result(result);
        };
        let lane = Lane::start_with(vec![source], config.clone(), Box::new(hear))?;
        // As if nothing was on trial yet, so that the first look begins the trial.
        let seen = Pointer { candidate: None, ..pointer };
        let current = Mutex::new(Current { pointer: seen, guarding: false, reported: false });
        let (store, name) = (store.clone(), name.to_owned());
        let deployed = Self { store, name, make, config, rules, lane, beside, serving, current };
        deployed.look()?;
        Ok(deployed)
    }

    /// The lane, for every other way to ask.
    pub const fn lane(&self) -> &Lane {
        &self.lane
    }

    /// The version that serves.
    pub fn serving(&self) -> BundleId {
        *lock(&self.serving)
    }

    /// The book of the trial or guard, if one runs.
    pub fn trial(&self) -> Option<Trial> {
        lock(&self.beside).as_ref().map(|shadow| shadow.trial())
    }

    /// Asks the active version, and the one beside it. Which version the request names does not matter.
    pub fn submit(&self, request: InferenceRequest) -> Result<(), ForecasterError> {
        let request = InferenceRequest { bundle: self.serving(), ..request };
        let beside = lock(&self.beside).clone();
        if let Some(shadow) = beside {
            shadow.beside(&request);
        }
        self.lane.submit(request)
    }

    /// Looks at the store; call it each second. What cannot be loaded is an error, and the version in force goes on.
    pub fn look(&self) -> Result<Vec<Change>, ForecasterError> {
        let mut current = lock(&self.current);
        let pointer = self.store.pointer(&self.name)?;
        let before = std::mem::replace(&mut current.pointer, pointer.clone());
        let mut changes = Vec::new();
        if let Some(active) = pointer.active.as_ref().filter(|active| before.active.as_ref() != Some(*active))
        {
            let source = (self.make)(Arc::new(self.store.load(&self.name, active)?));
            if source.id() != self.serving() {
                let done = self.lane.reload_with(self.serving(), source)?;
                *lock(&self.serving) = done.new;
                changes.push(Change::Serves(done));
            }
            // Whatever ran beside the former version was compared with that one.
            self.end_beside(&mut changes);
            let former = pointer.history.last();
            if let Some(former) = former.filter(|_| std::mem::take(&mut current.guarding)) {
                self.begin(former, true, &mut changes)?;
            }
        }
        if before.candidate != pointer.candidate || before.active != pointer.active {
            match &pointer.candidate {
                Some(candidate) => {
                    current.reported = false;
                    self.begin(&candidate.version, false, &mut changes)?;
                }
                None if before.candidate.is_some() && before.active == pointer.active => {
                    self.end_beside(&mut changes);
                }
                None => {}
            }
        }
        Ok(changes)
    }

    /// A question ended. What follows is done at once, in the store and here.
    pub fn resolved(&self, question: QuestionId, up: bool) -> Result<Vec<Change>, ForecasterError> {
        let Some(shadow) = lock(&self.beside).clone() else { return Ok(Vec::new()) };
        let verdict = shadow.resolved(question, up);
        let candidate = lock(&self.current).pointer.candidate.clone();
        let mut changes = Vec::new();
        match (verdict, candidate) {
            (Verdict::Wait, _) => return Ok(changes),
            (Verdict::Promote, Some(candidate)) if candidate.mode == Mode::Canary => {
                lock(&self.current).guarding = true;
                self.store.write()?.promote(&self.name)?;
                changes.push(Change::Promoted(candidate.version));
            }
            (Verdict::Promote, Some(candidate)) => {
                if !std::mem::replace(&mut lock(&self.current).reported, true) {
                    changes.push(Change::Better(candidate.version));
                }
                return Ok(changes);
            }
            (Verdict::Reject(fault), Some(_)) => {
                self.store.write()?.drop_candidate(&self.name)?;
                changes.push(Change::Rejected(fault));
            }
            // Without a candidate the version beside is a guard.
            (Verdict::Promote, None) => self.end_beside(&mut changes),
            (Verdict::Reject(fault), None) => {
                self.store.write()?.rollback(&self.name, None)?;
                changes.push(Change::RolledBack(fault));
            }
        }
        changes.extend(self.look()?);
        Ok(changes)
    }

    /// Starts a version beside the active one.
    fn begin(&self, version: &str, guard: bool, changes: &mut Vec<Change>) -> Result<(), ForecasterError> {
        let source = (self.make)(Arc::new(self.store.load(&self.name, version)?));
        let start = if guard { Shadow::guard } else { Shadow::start };
        let shadow = start(source, self.config.clone(), self.rules)?;
        changes.push(Change::Beside(shadow.bundle()));
        let ended = lock(&self.beside).replace(Arc::new(shadow));
        drop(ended);
        Ok(())
    }

    fn end_beside(&self, changes: &mut Vec<Change>) {
        let ended = lock(&self.beside).take();
        changes.extend(ended.map(|_| Change::Alone));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
