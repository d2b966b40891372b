//! Timers that are due soon: hierarchical wheels of one millisecond, 32 bytes a timer.
//!
//! After Varghese and Lauck, "Hashed and hierarchical timing wheels" (SOSP 1987), scheme 7, in the form
//! that picks a level by the highest bit in which two moments differ. Eleven levels of 64 slots span
//! every moment, so that none lies beyond the last wheel.

use crate::time::Timestamp;

const SLOTS: u32 = 64;
const LEVELS: u32 = 11;
const NONE: u32 = u32::MAX;

/// What is due, and when. The wheel knows nothing else of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timer {
    pub(crate) due: Timestamp,
    pub(crate) id: [u8; 16],
    pub(crate) number: u32,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    due: Timestamp,
    id: [u8; 16],
    number: u32,
    next: u32,
}

impl Node {
    fn timer(&self) -> Timer {
        Timer { due: self.due, id: self.id, number: self.number }
    }
}

/// The timers, by the millisecond in which they fire: the first that begins at or after their moment,
/// so that none is early.
#[derive(Debug)]
pub(crate) struct TimerWheel {
    elapsed: u64,
    heads: Vec<u32>,
    occupied: Vec<u64>,
    nodes: Vec<Node>,
    free: u32,
    len: usize,
    overdue: Vec<Timer>,
}

impl TimerWheel {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            elapsed: now.as_millis(),
            heads: vec![NONE; usize_of(LEVELS * SLOTS)],
            occupied: vec![0; usize_of(LEVELS)],
            nodes: Vec::new(),
            free: NONE,
            len: 0,
            overdue: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// O(1). What is due already fires with the next [`Self::advance`].
    pub(crate) fn insert(&mut self, timer: Timer) {
        self.len = self.len.saturating_add(1);
        let tick = tick_of(timer.due);
        if tick <= self.elapsed {
            self.overdue.push(timer);
            return;
        }
        let index = self.allot(timer);
        self.link(index, tick);
    }

    /// Moves on to `now` and takes out up to `limit` timers that are due, ordered by moment and id. Where
    /// the limit was reached the rest comes with the next call.
    pub(crate) fn advance(&mut self, now: Timestamp, limit: usize) -> Vec<Timer> {
        let target = now.as_millis().max(self.elapsed);
        while let Some((level, slot, starts_at)) = self.next_slot() {
            if starts_at > target {
                break;
            }
            self.elapsed = starts_at;
            self.empty_slot(level, slot);
        }
        self.elapsed = target;
        self.overdue.sort_unstable();
        let count = self.overdue.len().min(limit);
        self.len = self.len.saturating_sub(count);
        self.overdue.drain(..count).collect()
    }

    /// When to call [`Self::advance`] next: at or before the first timer, never after it.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        if !self.overdue.is_empty() {
            return Some(Timestamp::from_millis(self.elapsed));
        }
        self.next_slot().map(|(_, _, starts_at)| Timestamp::from_millis(starts_at))
    }

    /// Every timer in it, for audits.
    pub(crate) fn all(&self) -> Vec<Timer> {
        let mut timers = self.overdue.clone();
        for head in &self.heads {
            let mut index = *head;
            while let Some(node) = self.nodes.get(usize_of(index)).filter(|_| index != NONE) {
                timers.push(node.timer());
                index = node.next;
            }
        }
        timers.sort_unstable();
        timers
    }

    fn allot(&mut self, timer: Timer) -> u32 {
        let Timer { due, id, number } = timer;
        let node = Node { due, id, number, next: NONE };
        if let Some(vacant) = self.nodes.get_mut(usize_of(self.free)).filter(|_| self.free != NONE)
        {
            let index = self.free;
            self.free = vacant.next;
            *vacant = node;
            return index;
        }
        let index = u32::try_from(self.nodes.len()).unwrap_or(NONE);
        assert!(index != NONE, "the timer wheel holds four thousand million timers");
        self.nodes.push(node);
        index
    }

    fn link(&mut self, index: u32, tick: u64) {
        let level = level_of(self.elapsed, tick);
        let slot = slot_of(tick, level);
        let head = self.heads.get_mut(usize_of(level * SLOTS + slot));
        if let (Some(head), Some(node)) = (head, self.nodes.get_mut(usize_of(index))) {
            node.next = *head;
            *head = index;
        }
        if let Some(bits) = self.occupied.get_mut(usize_of(level)) {
            *bits |= 1 << slot;
        }
    }

    /// The first slot with anything in it, and the millisecond at which it begins.
    fn next_slot(&self) -> Option<(u32, u32, u64)> {
        (0..LEVELS).zip(&self.occupied).find(|(_, bits)| **bits != 0).map(|(level, bits)| {
            // Within a level all occupied slots lie ahead of the present one: what shares the present
            // slot of a level differs from now only in lower bits, and so lives on a lower level.
            let slot = bits.trailing_zeros();
            let width = level * 6;
            let above = self.elapsed.checked_shr(width + 6).unwrap_or(0);
            let starts_at = above.checked_shl(width + 6).unwrap_or(0) | (u64::from(slot) << width);
            (level, slot, starts_at)
        })
    }

    fn empty_slot(&mut self, level: u32, slot: u32) {
        if let Some(bits) = self.occupied.get_mut(usize_of(level)) {
            *bits &= !(1 << slot);
        }
        let head = self.heads.get_mut(usize_of(level * SLOTS + slot));
        let mut index = head.map_or(NONE, |head| std::mem::replace(head, NONE));
        while let Some(node) = self.nodes.get_mut(usize_of(index)).filter(|_| index != NONE) {
            let (timer, next) = (node.timer(), node.next);
            let tick = tick_of(timer.due);
            if tick <= self.elapsed {
                self.overdue.push(timer);
                node.next = self.free;
                self.free = index;
            } else {
                self.link(index, tick);
            }
            index = next;
        }
    }
}

/// The first whole millisecond at or after a moment.
fn tick_of(due: Timestamp) -> u64 {
    due.as_nanos().div_ceil(1_000_000)
}

fn level_of(elapsed: u64, tick: u64) -> u32 {
    let highest_difference = ((elapsed ^ tick) | u64::from(SLOTS - 1)).ilog2();
    highest_difference / 6
}

fn slot_of(tick: u64, level: u32) -> u32 {
    let six_bits = (tick >> (level * 6)) & u64::from(SLOTS - 1);
    u32::try_from(six_bits).unwrap_or(0)
}

fn usize_of(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn timer(nanos: u64, number: u32) -> Timer {
        Timer { due: Timestamp::from_nanos(nanos), id: [0; 16], number }
    }

    fn pseudo(state: &mut u64) -> u64 {
        *state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *state >> 17
    }

    /// Moves both on to `now`: nothing is early, nothing is late, nothing is lost.
    fn advance_both(wheel: &mut TimerWheel, list: &mut Vec<Timer>, now: Timestamp) {
        list.sort_unstable();
        let is_due = |timer: &Timer| tick_of(timer.due) <= now.as_millis();
        let due: Vec<Timer> = list.iter().copied().filter(is_due).collect();
        list.retain(|timer| !is_due(timer));
        assert_eq!(wheel.advance(now, usize::MAX), due);
        assert!(due.iter().all(|timer| timer.due <= now), "early");
    }

    /// Against a sorted list, over spans from microseconds to days.
    #[test]
    fn it_agrees_with_a_sorted_list() {
        for seed in 0..300_u64 {
            let mut state = seed;
            let mut now = Timestamp::from_millis(1_700_000_000_000 + pseudo(&mut state) % 100_000);
            let mut wheel = TimerWheel::new(now);
            let mut list: Vec<Timer> = Vec::new();
            for number in 0..200 {
                let span = 10_u64.pow(u32::try_from(pseudo(&mut state) % 12).unwrap());
                let due = now.plus(Duration::from_micros(pseudo(&mut state) % span));
                wheel.insert(timer(due.as_nanos(), number));
                list.push(timer(due.as_nanos(), number));
                let first = list.iter().map(|timer| tick_of(timer.due)).min().unwrap();
                let next = wheel.next_due().unwrap();
                assert!(next.as_millis() <= first.max(now.as_millis()), "seed {seed}");
                let step = (pseudo(&mut state) % span) * u64::from(number % 3 == 0);
                now = now.plus(Duration::from_micros(step));
                advance_both(&mut wheel, &mut list, now);
            }
            assert_eq!(wheel.all().len(), list.len());
            assert_eq!(wheel.len(), list.len());
            advance_both(&mut wheel, &mut list, Timestamp::MAX);
        }
    }

    #[test]
    fn a_limit_leaves_the_rest_for_the_next_call() {
        let mut wheel = TimerWheel::new(Timestamp::default());
        (0..10).for_each(|number| wheel.insert(timer(5_000_000, number)));
        let now = Timestamp::from_millis(9);
        assert_eq!(wheel.advance(now, 4).len(), 4);
        assert_eq!(wheel.next_due(), Some(now));
        assert_eq!(wheel.advance(now, 400).len(), 6);
        assert_eq!(wheel.next_due(), None);
    }

    #[test]
    fn it_crosses_the_boundary_of_every_level() {
        for bits in [6, 12, 18, 24, 30, 36, 42] {
            let edge = 1_u64 << bits;
            let mut wheel = TimerWheel::new(Timestamp::from_millis(edge - 2));
            wheel.insert(timer((edge + 1) * 1_000_000, 1));
            assert!(wheel.advance(Timestamp::from_millis(edge), 9).is_empty(), "{bits}");
            assert_eq!(wheel.advance(Timestamp::from_millis(edge + 1), 9).len(), 1, "{bits}");
        }
    }

    #[test]
    fn a_timer_takes_32_bytes() {
        assert_eq!(size_of::<Node>(), 32);
    }
}
