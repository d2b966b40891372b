//! An image in one file of redb.
/// An image in one file of redb.
#[derive(Debug)]
pub struct RedbImage {}
