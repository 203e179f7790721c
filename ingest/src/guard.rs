//! Guards against wrong values and wrong clocks: outliers, decimal shifts, clock skew; they flag, they never repair.
