//! The raw archive's form: frames verbatim in hash-chained segments; this module never touches a disk (see `edge`).
