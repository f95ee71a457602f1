//! Files that are mostly holes.
