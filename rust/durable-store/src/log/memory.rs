//! A log in memory.
/// A log in memory.
#[derive(Debug, Default)]
pub struct MemoryLog {}
