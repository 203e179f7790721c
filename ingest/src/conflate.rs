//! A bounded queue that may forget older quotes of the same instrument, and nothing else.
