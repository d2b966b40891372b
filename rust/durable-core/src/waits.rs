//! The waits for events: which of them an event may end, found by the value of one of its fields.
//!
//! Of each wait's expression the anchors are taken (see `expr/anchor.rs`). Those that ask for a value are hashed with
//! the event's name, and kept in one table, so that a wait costs one entry of it; those that ask for a range stand in
//! the order of their bounds. An event is looked at once for each field by which waits for its name are anchored.
//! Waits without an anchor stand in a list of their own, each looked at for each event of the name. What is found
//! may be a little too much: the expression itself has the last word.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher as _;

use crate::expr::{
    Anchor, Bound, Demand, EventView, Expression, Found, Given, Known, Mistake, Scope,
};
use crate::flow::names::Secret;
use crate::id::RunId;
use crate::map::Map;
use crate::step::Awaited;
use crate::time::Timestamp;

/// Who waits: a run, and which of its things.
pub(crate) type Waiter = (RunId, u32);

/// As many expressions are kept compiled.
const MOST_COMPILED: usize = 1_024;

/// All waits for events of one shard.
#[derive(Debug)]
pub(crate) struct Waits {
    secret: Secret,
    names: BTreeMap<String, Heard>,
    anchored: Map<u64, Waiters>,
    compiled: BTreeMap<String, Expression>,
}

/// The waits for events of one name.
#[derive(Debug, Default)]
struct Heard {
    count: usize,
    fields: Vec<Field>,
    without_anchor: BTreeSet<Waiter>,
}

/// A field of events by which waits are anchored.
#[derive(Debug)]
struct Field {
    path: Box<str>,
    /// Reads it and nothing else: whoever waits is found whatever others ask for.
    reader: Expression,
    /// How many wait for a value of it.
    equal_count: usize,
    /// Those who wait for no less, and for no more.
    at_least: Ranges,
    at_most: Ranges,
}

type Ranges = BTreeSet<(Bound, Waiter)>;

/// Those who wait for one value of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Waiters {
    One(Waiter),
    #[expect(clippy::box_collection, reason = "most values have one waiter: it is to be small")]
    Many(Box<BTreeSet<Waiter>>),
}

/// All that is in it, to be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contents {
    names: BTreeMap<String, HeardContents>,
    anchored: Vec<(u64, BTreeSet<Waiter>)>,
}

/// Of one name: how many wait, by which fields they are anchored, and who is not.
type HeardContents = (usize, BTreeMap<Box<str>, (usize, Ranges, Ranges)>, BTreeSet<Waiter>);

impl Waits {
    pub(crate) fn new(secret: u64) -> Self {
        Self {
            secret: Secret::new(secret),
            names: BTreeMap::new(),
            anchored: Map::default(),
            compiled: BTreeMap::new(),
        }
    }

    /// An expression, compiled once while it is in use.
    pub(crate) fn expression(&mut self, text: &str) -> Result<Expression, Mistake> {
        if let Some(known) = self.compiled.get(text) {
            return Ok(known.clone());
        }
        let expression = Expression::compile(text, Scope::EventAndAsync)?;
        if self.compiled.len() == MOST_COMPILED {
            self.compiled.clear();
        }
        self.compiled.insert(text.to_owned(), expression.clone());
        Ok(expression)
    }

    /// Stands for an event's name in memory.
    pub(crate) fn hash(&self, event: &str) -> u64 {
        self.secret.hash(event.as_bytes())
    }

    /// Somebody waits.
    pub(crate) fn add(&mut self, waiter: Waiter, awaited: &Awaited) {
        let expression = self.expression_of(awaited);
        let given = alone(awaited);
        let heard = match self.names.get_mut(&awaited.event) {
            Some(heard) => heard,
            None => self.names.entry(awaited.event.clone()).or_default(),
        };
        heard.count = heard.count.saturating_add(1);
        let known = expression.as_ref().map(|known| (known, known.anchors(&given)));
        let Some((expression, Some(anchors))) = known else {
            heard.without_anchor.insert(waiter);
            return;
        };
        for Anchor { path, place, demand } in anchors {
            let Some(field) = heard.field(path, (expression, place)) else { continue };
            match demand {
                Demand::Equal(found) => {
                    field.equal_count = field.equal_count.saturating_add(1);
                    let hash = hash(&self.secret, (&awaited.event, path), &found);
                    take_on(&mut self.anchored, hash, waiter);
                }
                Demand::AtLeast(bound) => drop(field.at_least.insert((bound, waiter))),
                Demand::AtMost(bound) => drop(field.at_most.insert((bound, waiter))),
            }
        }
    }

    /// Somebody waits no longer.
    pub(crate) fn remove(&mut self, waiter: Waiter, awaited: &Awaited) {
        let expression = self.expression_of(awaited);
        let given = alone(awaited);
        let Some(heard) = self.names.get_mut(&awaited.event) else { return };
        heard.count = heard.count.saturating_sub(1);
        let anchors = expression.as_ref().and_then(|known| known.anchors(&given));
        if anchors.is_none() {
            heard.without_anchor.remove(&waiter);
        }
        for Anchor { path, demand, .. } in anchors.into_iter().flatten() {
            let place = heard.fields.iter().position(|field| *field.path == *path);
            let Some((place, field)) = place.and_then(|it| Some((it, heard.fields.get_mut(it)?)))
            else {
                continue;
            };
            match demand {
                Demand::Equal(found) => {
                    field.equal_count = field.equal_count.saturating_sub(1);
                    let hash = hash(&self.secret, (&awaited.event, path), &found);
                    let_go(&mut self.anchored, hash, waiter);
                }
                Demand::AtLeast(bound) => drop(field.at_least.remove(&(bound, waiter))),
                Demand::AtMost(bound) => drop(field.at_most.remove(&(bound, waiter))),
            }
            if field.is_unused() {
                heard.fields.remove(place);
            }
        }
        if heard.count == 0 {
            self.names.remove(&awaited.event);
        }
    }

    /// Those whom an event of this name may concern, each once, in order.
    pub(crate) fn candidates(&self, event: EventView<'_>, now: Timestamp) -> Vec<Waiter> {
        let Some(heard) = self.names.get(event.name) else { return Vec::new() };
        let mut waiters: Vec<Waiter> = heard.without_anchor.iter().copied().collect();
        let nobody = Known::default();
        let given = Given { event: nobody.view(), other: Some(event), now };
        for field in &heard.fields {
            let Some(found) = field.reader.found(&given) else { continue };
            match self.anchored.get(hash(&self.secret, (event.name, &field.path), &found)) {
                Some(Waiters::One(waiter)) => waiters.push(*waiter),
                Some(Waiters::Many(many)) => waiters.extend(many.iter().copied()),
                None => {}
            }
            field.put_within(&found, &mut waiters);
        }
        waiters.sort_unstable();
        waiters.dedup();
        waiters
    }

    /// Whether anybody waits for events of this name.
    pub(crate) fn is_heard(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// Whether what a wait asks for is met.
    pub(crate) fn is_met(
        &mut self,
        awaited: &Awaited,
        event: EventView<'_>,
        now: Timestamp,
    ) -> bool {
        if event.name != awaited.event {
            return false;
        }
        let Some(text) = &awaited.expression else { return true };
        let given = Given { event: awaited.known.view(), other: Some(event), now };
        self.expression(text).is_ok_and(|expression| expression.matches(&given))
    }

    fn expression_of(&mut self, awaited: &Awaited) -> Option<Expression> {
        self.expression(awaited.expression.as_deref()?).ok()
    }

    pub(crate) fn contents(&self) -> Contents {
        let fields = |heard: &Heard| heard.fields.iter().map(Field::contents).collect();
        let names = self.names.iter().map(|(name, heard)| {
            (name.clone(), (heard.count, fields(heard), heard.without_anchor.clone()))
        });
        let anchored = self.anchored.sorted().into_iter().map(|(hash, waiters)| match waiters {
            Waiters::One(waiter) => (hash, BTreeSet::from([*waiter])),
            Waiters::Many(waiters) => (hash, waiters.as_ref().clone()),
        });
        Contents { names: names.collect(), anchored: anchored.collect() }
    }
}

impl Heard {
    /// The field at a path, which has this number in an expression that reads it.
    fn field(
        &mut self,
        path: &str,
        (expression, place): (&Expression, usize),
    ) -> Option<&mut Field> {
        if self.fields.iter().all(|field| *field.path != *path) {
            self.fields.push(Field {
                path: path.into(),
                reader: expression.reader(place)?,
                equal_count: 0,
                at_least: Ranges::new(),
                at_most: Ranges::new(),
            });
        }
        self.fields.iter_mut().find(|field| *field.path == *path)
    }
}

impl Field {
    fn is_unused(&self) -> bool {
        self.equal_count == 0 && self.at_least.is_empty() && self.at_most.is_empty()
    }

    /// Those who wait for a range that a value lies in.
    fn put_within(&self, found: &Found<'_>, waiters: &mut Vec<Waiter>) {
        if self.at_least.is_empty() && self.at_most.is_empty() {
            return;
        }
        for bound in found.bounds().into_iter().flatten() {
            let is_comparable = |(other, _): &&(Bound, Waiter)| bound.is_like(other);
            let below = self.at_least.range(..=(bound.clone(), LAST)).rev();
            waiters.extend(below.take_while(is_comparable).map(|(_, waiter)| *waiter));
            let above = self.at_most.range((bound.clone(), FIRST)..);
            waiters.extend(above.take_while(is_comparable).map(|(_, waiter)| *waiter));
        }
    }

    fn contents(&self) -> (Box<str>, (usize, Ranges, Ranges)) {
        (self.path.clone(), (self.equal_count, self.at_least.clone(), self.at_most.clone()))
    }
}

impl Waiters {
    fn add(&mut self, waiter: Waiter) {
        match self {
            Self::One(one) => *self = Self::Many(Box::new(BTreeSet::from([*one, waiter]))),
            Self::Many(waiters) => drop(waiters.insert(waiter)),
        }
    }

    /// True where nobody is left.
    fn remove(&mut self, waiter: Waiter) -> bool {
        match self {
            Self::One(one) => *one == waiter,
            Self::Many(waiters) => {
                waiters.remove(&waiter);
                waiters.is_empty()
            }
        }
    }
}

fn take_on(anchored: &mut Map<u64, Waiters>, hash: u64, waiter: Waiter) {
    match anchored.get_mut(hash) {
        Some(waiters) => waiters.add(waiter),
        None => drop(anchored.insert(hash, Waiters::One(waiter))),
    }
}

fn let_go(anchored: &mut Map<u64, Waiters>, hash: u64, waiter: Waiter) {
    if anchored.get_mut(hash).is_some_and(|waiters| waiters.remove(waiter)) {
        anchored.remove(hash);
    }
}

/// What is known before the event comes.
fn alone(awaited: &Awaited) -> Given<'_> {
    Given { event: awaited.known.view(), other: None, now: Timestamp::default() }
}

/// Stands for a value of a field of events of a name. No event's name and no path has a zero in it.
fn hash(secret: &Secret, (event, path): (&str, &str), found: &Found<'_>) -> u64 {
    let mut hasher = secret.hasher();
    hasher.write(event.as_bytes());
    hasher.write_u8(0);
    hasher.write(path.as_bytes());
    hasher.write_u8(0);
    found.mark(&mut hasher);
    hasher.finish()
}

const FIRST: Waiter = (RunId::from_bytes([0; 16]), 0);
const LAST: Waiter = (RunId::from_bytes([0xff; 16]), u32::MAX);

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: [&str; 15] = [
        "null",
        "true",
        "false",
        "0",
        "-0.0",
        "1",
        "1.0",
        "2.5",
        "-3",
        "\"\"",
        "\"1\"",
        "\"a\"",
        "[1]",
        "{\"a\":1}",
        "18446744073709551615",
    ];
    const TEXTS: [&str; 16] = [
        "event.data.x == async.data.x",
        "async.data.x != 1 && async.data.x == event.data.x",
        "event.data.x < async.data.x",
        "event.data.x <= async.data.x",
        "event.data.x > async.data.x",
        "event.data.x >= async.data.x",
        "async.data.x < event.data.x",
        "async.data.x <= event.data.x && async.data.x != 0",
        "async.data.x > event.data.x",
        "async.data.x >= event.data.x || async.data.x == 'a'",
        "async.data.x in [event.data.x, 1, 'a']",
        "async.data.x in event.data.x",
        "async.data.x > event.data.x && async.data.x < 3",
        "async.data.x == event.data.x || async.data.x == event.data.x",
        "async.data.x == event.data.none",
        "!(async.data.x == event.data.x)",
    ];

    fn view(data: &[u8]) -> EventView<'_> {
        EventView { id: "e", name: "a", data, ts_ms: 7, user: None, version: None }
    }

    fn event(value: &str) -> Vec<u8> {
        format!("{{\"x\":{value}}}").into_bytes()
    }

    fn awaited(waits: &mut Waits, text: &str, value: &str) -> Awaited {
        let expression = waits.expression(text).expect(text);
        let known = expression.known(&view(&event(value)));
        let (name, text) = ("a".to_owned(), Some(text.to_owned()));
        Awaited { event: name, expression: text, known, looks_from: None, is_since_run: false }
    }

    /// All expressions with all values wait; an event of each value, and one without any, finds all that it meets.
    #[test]
    fn whoever_an_event_meets_is_found_and_gone_when_removed() {
        let mut waits = Waits::new(7);
        let mut all = Vec::new();
        for (number, (text, value)) in
            (0_u32..).zip(TEXTS.iter().flat_map(|text| VALUES.map(|value| (text, value))))
        {
            let waiter = (RunId::from_bytes(u128::from(number).to_be_bytes()), 1);
            let awaited = awaited(&mut waits, text, value);
            waits.add(waiter, &awaited);
            all.push((waiter, awaited));
        }
        let now = Timestamp::default();
        let comes = VALUES.map(event).into_iter().chain([b"{}".to_vec()]);
        let mut met_count = 0;
        for data in comes {
            let found = waits.candidates(view(&data), now);
            for (waiter, awaited) in &all {
                let is_met = waits.is_met(awaited, view(&data), now);
                met_count += usize::from(is_met);
                let text = String::from_utf8_lossy(&data);
                assert!(!is_met || found.contains(waiter), "{text} meets {awaited:?}");
            }
        }
        assert!(met_count > 500, "{met_count}");
        for (waiter, awaited) in &all {
            waits.remove(*waiter, awaited);
        }
        assert_eq!(waits.contents(), Waits::new(7).contents());
    }

    /// What one wait asks for beside may cost too much on an event; others of its field are found as if it were not.
    #[test]
    fn nobody_is_missed_for_what_another_asks_for() {
        let costly = "async.data.x == event.data.x && async.data.big.zz != 1";
        let big =
            (0..100_000).map(|number| format!("\"k{number}\":1")).collect::<Vec<_>>().join(",");
        let data = format!("{{\"x\":1,\"big\":{{{big}}}}}");
        for texts in [[costly, TEXTS[0]], [TEXTS[0], costly]] {
            let mut waits = Waits::new(7);
            for (number, text) in (0_u128..).zip(texts) {
                let awaited = awaited(&mut waits, text, "1");
                waits.add((RunId::from_bytes(number.to_be_bytes()), 1), &awaited);
            }
            let found = waits.candidates(view(data.as_bytes()), Timestamp::default());
            assert_eq!(found.len(), 2, "{texts:?}");
        }
    }

    #[test]
    fn an_event_looks_only_at_those_whose_value_or_range_it_has() {
        let mut waits = Waits::new(7);
        for number in 0_u32..1_000 {
            let waiter = (RunId::from_bytes(u128::from(number).to_be_bytes()), 1);
            let text = if number < 500 { TEXTS[0] } else { "async.data.x > event.data.x" };
            let awaited = awaited(&mut waits, text, &(number % 500).to_string());
            waits.add(waiter, &awaited);
        }
        let found = |data: &str| {
            let found = waits.candidates(view(&event(data)), Timestamp::default());
            found.iter().map(|(run, _)| u128::from_be_bytes(*run.as_bytes())).collect::<Vec<_>>()
        };
        assert_eq!(found("3"), [3, 500, 501, 502, 503]);
        assert_eq!(found("0.5"), [500]);
        assert_eq!(found("\"3\""), Vec::<u128>::new());
    }
}
