//! The command line. To be written.
fn main() {}
