//! The one binary: roles, configuration, wiring and the command line; never a rule, a score or a wire format.

pub mod assets;
pub mod cast;
pub mod clock;
pub mod cmd;
pub mod config;
pub mod deeds;
pub mod demo_plan;
pub mod demo_run;
pub mod desk;
pub mod genesis;
pub mod kernel;
pub mod keyring;
pub mod node_plan;
pub mod plan;
pub mod probe;
pub mod replay;
pub mod roles;
pub mod run_dir;
pub mod signals;
pub mod signing;
pub mod start;
pub mod subscriber;
pub mod summary;
pub mod tally;
pub mod telemetry;
pub mod wire;
