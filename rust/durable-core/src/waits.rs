//! The waits for events: which of them an event may end, found by the value of one of its fields.
//!
//! Of each wait's expression the anchors are taken (see `expr/anchor.rs`), hashed with the event's name, and kept in
//! one table, so that a wait costs one entry of it. An event is looked at once for each field by which waits
//! for its name are anchored. Waits without an anchor stand in a list of their own, each looked at for each event
//! of the name. What is found may be a little too much: the expression itself has the last word.

use std::collections::{BTreeMap, BTreeSet};

use crate::expr::{Anchor, EventView, Expression, Given, Known, Mistake, Scope};
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
    path: String,
    expression: Expression,
    count: usize,
}

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

/// Of one name: how many wait, by which fields how many are anchored, and who is not.
type HeardContents = (usize, BTreeMap<String, usize>, BTreeSet<Waiter>);

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
        let anchors = self.anchors(awaited);
        let heard = match self.names.get_mut(&awaited.event) {
            Some(heard) => heard,
            None => self.names.entry(awaited.event.clone()).or_default(),
        };
        heard.count = heard.count.saturating_add(1);
        let Some(anchors) = anchors else {
            heard.without_anchor.insert(waiter);
            return;
        };
        for anchor in anchors {
            heard.count_field(&anchor.path);
            let hash = self.secret.hash(&name_of(&awaited.event, &anchor));
            match self.anchored.get_mut(hash) {
                Some(waiters) => waiters.add(waiter),
                None => drop(self.anchored.insert(hash, Waiters::One(waiter))),
            }
        }
    }

    /// Somebody waits no longer.
    pub(crate) fn remove(&mut self, waiter: Waiter, awaited: &Awaited) {
        let anchors = self.anchors(awaited);
        let Some(heard) = self.names.get_mut(&awaited.event) else { return };
        heard.count = heard.count.saturating_sub(1);
        if anchors.is_none() {
            heard.without_anchor.remove(&waiter);
        }
        for anchor in anchors.iter().flatten() {
            heard.uncount_field(&anchor.path);
            let hash = self.secret.hash(&name_of(&awaited.event, anchor));
            let waiters = self.anchored.get_mut(hash);
            if waiters.is_some_and(|waiters| waiters.remove(waiter)) {
                self.anchored.remove(hash);
            }
        }
        if heard.count == 0 {
            self.names.remove(&awaited.event);
        }
    }

    /// Those whom an event of this name may concern.
    pub(crate) fn candidates(&self, event: EventView<'_>, now: Timestamp) -> BTreeSet<Waiter> {
        let Some(heard) = self.names.get(event.name) else { return BTreeSet::new() };
        let mut found = heard.without_anchor.clone();
        let nobody = Known::default();
        let given = Given { event: nobody.view(), other: Some(event), now };
        for field in &heard.fields {
            let Some(mark) = field.expression.mark(&given) else { continue };
            let anchor = Anchor { path: field.path.clone(), mark };
            match self.anchored.get(self.secret.hash(&name_of(event.name, &anchor))) {
                Some(Waiters::One(waiter)) => drop(found.insert(*waiter)),
                Some(Waiters::Many(waiters)) => found.extend(waiters.iter().copied()),
                None => {}
            }
        }
        found
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

    /// By what a wait is found; `None`: by its event's name alone.
    fn anchors(&mut self, awaited: &Awaited) -> Option<Vec<Anchor>> {
        let expression = self.expression(awaited.expression.as_deref()?).ok()?;
        let (event, now) = (awaited.known.view(), Timestamp::default());
        let anchors = expression.anchors(&Given { event, other: None, now })?;
        let is_readable = |anchor: &Anchor| self.expression(&anchor.path).is_ok();
        anchors.iter().all(is_readable).then_some(anchors)
    }

    pub(crate) fn contents(&self) -> Contents {
        let fields = |heard: &Heard| {
            heard.fields.iter().map(|field| (field.path.clone(), field.count)).collect()
        };
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
    fn count_field(&mut self, path: &str) {
        if let Some(field) = self.fields.iter_mut().find(|field| field.path == path) {
            field.count = field.count.saturating_add(1);
        } else if let Ok(expression) = Expression::compile(path, Scope::EventAndAsync) {
            self.fields.push(Field { path: path.to_owned(), expression, count: 1 });
        }
    }

    fn uncount_field(&mut self, path: &str) {
        let Some(place) = self.fields.iter().position(|field| field.path == path) else { return };
        let Some(field) = self.fields.get_mut(place) else { return };
        field.count = field.count.saturating_sub(1);
        if field.count == 0 {
            self.fields.remove(place);
        }
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

/// What an anchor is hashed by. No event's name and no path has a zero in it.
fn name_of(event: &str, anchor: &Anchor) -> Vec<u8> {
    [event.as_bytes(), &[0], anchor.path.as_bytes(), &[0], &anchor.mark].concat()
}
