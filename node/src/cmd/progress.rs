//! Progress bars on stderr; silent where nobody looks.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over `total` records, or a spinner when the total is unknown.
pub fn records(total: u64, what: &'static str) -> ProgressBar {
    let (bar, template) = if total > 0 {
        (ProgressBar::new(total), "{msg} {wide_bar} {pos}/{len} {per_sec} ETA {eta}")
    } else {
        (ProgressBar::new_spinner(), "{spinner} {msg} {pos} records {per_sec}")
    };
    bar.with_style(ProgressStyle::with_template(template).expect("the template is a constant"))
        .with_message(what)
}

/// A line that is rewritten in place on a terminal.
pub fn line() -> ProgressBar {
    ProgressBar::new_spinner()
        .with_style(ProgressStyle::with_template("{spinner} {wide_msg}").expect("the template is a constant"))
}

/// A bar over the steps of a long command; a spinner until their number is known.
pub fn steps() -> ProgressBar {
    let template = "{spinner} {bar:24} {pos}/{len} {elapsed} {wide_msg}";
    let bar = ProgressBar::new_spinner()
        .with_style(ProgressStyle::with_template(template).expect("the template is a constant"));
    // A child that computes says nothing for long: the spinner and the clock go on.
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    bar
}
