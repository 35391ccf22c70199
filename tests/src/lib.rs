//! Whole-system tests stand in `tests/` and `browser/`; the bench is this package's program.
