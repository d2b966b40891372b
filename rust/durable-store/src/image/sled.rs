//! An image in a folder of sled.
/// An image in a folder of sled.
#[derive(Debug)]
pub struct SledImage {}
