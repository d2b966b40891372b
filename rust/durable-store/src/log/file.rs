//! A log in segment files of our own.
/// A log in segment files of our own.
#[derive(Debug)]
pub struct FileLog {}
