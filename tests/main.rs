//! Integration tests: real HTTP, a real file.
