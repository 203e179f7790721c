//! Two connections for one stream: the first arrival counts, the second proves it; never a row twice.
