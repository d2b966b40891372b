//! How many records there are, and a digest of them, so that none can go missing in silence.

use std::path::Path;

use super::{Item, seal};
use crate::{Result, StoreError};

/// A count of records and a digest that does not depend on their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// How many.
    pub records: u64,
    /// The sum of a number drawn from each record's checksum.
    pub digest: u64,
}

impl Census {
    pub(super) fn add(&mut self, sum: u32) {
        self.records = self.records.wrapping_add(1);
        self.digest = self.digest.wrapping_add(spread(sum));
    }

    pub(super) fn remove(&mut self, sum: u32) {
        self.records = self.records.wrapping_sub(1);
        self.digest = self.digest.wrapping_sub(spread(sum));
    }
}

/// Spreads a checksum over 64 bits, so that sums of them do not cancel out.
fn spread(sum: u32) -> u64 {
    let number = u64::from(sum).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (number ^ (number >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// The records of a scan of everything, with an error at the end where they are not what was counted.
pub(crate) fn counted(
    items: impl Iterator<Item = Result<Item>>,
    expected: Option<Census>,
) -> impl Iterator<Item = Result<Item>> {
    let mut items = items;
    let mut found = Census::default();
    let mut is_over = false;
    std::iter::from_fn(move || {
        if is_over {
            return None;
        }
        let item = items.next();
        is_over = !matches!(item, Some(Ok(_)));
        match item {
            Some(Ok((key, value))) => {
                found.add(seal::sum(&key, &value));
                Some(Ok((key, value)))
            }
            Some(Err(error)) => Some(Err(error)),
            None => expected.filter(|expected| *expected != found).map(|expected| {
                let (found, expected) = (found.records, expected.records);
                let why = format!("a scan found {found} records, not the {expected} it counted");
                Err(StoreError::corrupt(Path::new("image"), 0, why))
            }),
        }
    })
}
