//! What the scheduler promises, on a virtual clock; after every turn a restart must find the same shard.

#[cfg(test)]
#[path = "promises/events.rs"]
mod events;
#[cfg(test)]
#[path = "promises/failures.rs"]
mod failures;
#[cfg(test)]
#[path = "promises/gathering.rs"]
mod gathering;
#[cfg(test)]
#[path = "promises/moments.rs"]
mod moments;
#[cfg(test)]
#[path = "promises/repeating.rs"]
mod repeating;
#[cfg(test)]
#[path = "promises/schedules.rs"]
mod schedules;
#[cfg(test)]
#[path = "promises/steps.rs"]
mod steps;
#[cfg(test)]
#[path = "promises/telling.rs"]
mod telling;
#[cfg(test)]
#[path = "promises/world.rs"]
mod world;

use durable_core::Retry;
use world::{DAY, World, event, failed, function, planned, with_id};

#[test]
fn the_same_commands_at_the_same_times_give_the_same_bytes() {
    let run = || {
        let mut world = World::new(vec![function("f", "a"), function("g", "a")]);
        world.send(vec![event("a"), with_id("a", "x")]);
        let work = world.work();
        world.report(
            &work[0],
            0,
            vec![failed("s", Retry::Backoff), planned("p"), planned("q")],
            None,
        );
        world.advance(DAY);
        (world.store, format!("{:?}{:?}", world.offered, world.other))
    };
    assert_eq!(run(), run());
}
