//! The frames have the shapes of the recorded session.
