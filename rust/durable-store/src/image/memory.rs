//! An image that is a map.
/// An image that is a map.
#[derive(Debug, Default)]
pub struct MemoryImage {}
