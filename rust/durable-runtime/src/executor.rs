//! Who executes handlers. Each kind of executor has a file of its own.

pub(crate) mod local;
pub(crate) mod remote;
