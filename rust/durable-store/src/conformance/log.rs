//! What every log must do.

use bytes::Bytes;

use super::{Verdict, expect, wrong};
use crate::{Log, Result, Seq};

/// Runs a log, which `open` makes and opens again, through what is promised of it.
pub fn log(open: &dyn Fn() -> Result<Box<dyn Log>>) -> Verdict {
    let mut log = open().map_err(wrong)?;
    expect("the first number", &log.next_seq(), &1)?;
    expect("batches of an empty log", &read(&*log, 1)?, &Vec::new())?;
    log.append(&[]).map_err(wrong)?;
    log.append(&[batch(1, 10)]).map_err(wrong)?;
    log.append(&[batch(2, 0), batch(3, 100_000), batch(4, 5)]).map_err(wrong)?;
    expect("the next number", &log.next_seq(), &5)?;
    expect("what is durable", &log.durable(), &4)?;
    refuse(&mut *log)?;
    log.write(&[batch(5, 700)]).map_err(wrong)?;
    expect("what is durable before a sync", &log.durable(), &4)?;
    log.write(&[batch(6, 7)]).map_err(wrong)?;
    log.sync().map_err(wrong)?;
    expect("what is durable after a sync", &log.durable(), &6)?;
    let sizes = [10, 0, 100_000, 5, 700, 7];
    let all = (1..).zip(sizes).map(|(seq, size)| batch(seq, size)).collect::<Vec<_>>();
    expect("all batches", &read(&*log, 1)?, &all)?;
    let late = all.iter().skip(3).cloned().collect::<Vec<_>>();
    expect("the batches from 4 on", &read(&*log, 4)?, &late)?;
    expect("the batches from beyond the end on", &read(&*log, 7)?, &Vec::new())?;
    log.trim(4).map_err(wrong)?;
    expect("the batches from 4 on, after trimming", &read(&*log, 4)?, &late)?;
    log.close().map_err(wrong)?;
    expect("the next number after closing", &log.next_seq(), &7)
}

/// Batches out of order are refused, and harm nothing.
fn refuse(log: &mut dyn Log) -> Verdict {
    let wrong_orders: [&[Seq]; 4] = [&[4], &[6], &[5, 7], &[5, 5]];
    for order in wrong_orders {
        let batches = order.iter().map(|seq| batch(*seq, 1)).collect::<Vec<_>>();
        if log.append(&batches).is_ok() {
            return Err(format!("the log took {order:?} where 5 was next"));
        }
        expect("the next number after a refusal", &log.next_seq(), &5)?;
    }
    Ok(())
}

fn batch(seq: Seq, length: usize) -> (Seq, Bytes) {
    (seq, (0..length).map(|at| u8::try_from(at % 251).unwrap_or(0)).collect())
}

fn read(log: &dyn Log, from: Seq) -> std::result::Result<Vec<(Seq, Bytes)>, String> {
    log.replay(from).map_err(wrong)?.collect::<Result<_>>().map_err(wrong)
}
