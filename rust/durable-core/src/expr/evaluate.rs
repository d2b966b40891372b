//! Evaluates a program on an event, within its budget.

use std::rc::Rc;

use super::budget::{Budget, Stop};
use super::compare::compare;
use super::function::made;
use super::json::{self, Writer, field};
use super::number::{Arithmetic, Number};
use super::program::{Field, Fold, Node, NodeId, Path, Program, Variable, Walk, tree_of};
use super::scan::Scan;
use super::value::{Member, Text, Value};
use super::{EventView, Given, Key};

#[derive(Debug)]
pub(super) struct Evaluator<'a> {
    program: &'a Program,
    given: &'a Given<'a>,
    pub(super) budget: Budget,
    /// Which JSON texts were looked through.
    looked: [bool; 4],
    /// By path: its JSON.
    found: Vec<Option<&'a str>>,
    /// By path: its value, once it was asked for. Empty where none is asked for twice.
    values: Vec<Option<Value<'a>>>,
    /// What the macros around have in hand, the outermost first.
    variables: Vec<Value<'a>>,
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(program: &'a Program, given: &'a Given<'a>) -> Self {
        let count = program.paths.len();
        Self {
            program,
            given,
            budget: Budget::new(),
            looked: [false; 4],
            found: vec![None; count],
            values: vec![None; if program.reads_again { count } else { 0 }],
            variables: Vec::new(),
        }
    }

    pub(super) fn matches(&mut self) -> bool {
        matches!(self.value(self.program.root), Ok(Value::Bool(true)))
    }

    pub(super) fn key(&mut self) -> Key {
        let mut writer = Writer::default();
        let value = self.value(self.program.root);
        match value.and_then(|value| writer.plain(&value, &mut self.budget)) {
            Ok(()) => Key::Value(writer.text),
            Err(Stop::Error | Stop::Spent) => Key::Missing,
        }
    }

    pub(super) fn key_unless_false(&mut self) -> Option<String> {
        let mut writer = Writer::default();
        let value = self.value(self.program.root).ok()?;
        let is_false = matches!(value, Value::Bool(false));
        writer.plain(&value, &mut self.budget).ok().filter(|()| !is_false)?;
        Some(writer.text)
    }

    pub(super) fn number(&mut self) -> Option<i64> {
        match self.value(self.program.root) {
            Ok(Value::Number(number)) => Some(number.truncated()),
            _ => None,
        }
    }

    /// Goes as deep as the program, which is at most 32 nodes deep.
    pub(super) fn value(&mut self, id: NodeId) -> Result<Value<'a>, Stop> {
        self.budget.visit(1)?;
        match self.program.node(id) {
            Node::Null => Ok(Value::Null),
            Node::Bool(it) => Ok(Value::Bool(*it)),
            Node::Number(number) => Ok(Value::Number(*number)),
            Node::Text(text) => Ok(Value::Text(Text::Borrowed(text))),
            Node::Path(path) => self.path(*path),
            Node::Variable(index) => {
                Ok(self.variables.get(*index).cloned().unwrap_or(Value::Missing))
            }
            Node::Field(of, name) => {
                let of = self.value(*of)?;
                field(&of, name, &mut self.budget)
            }
            Node::Index(of, index) => self.index(*of, *index),
            Node::Has(of) => Ok(Value::Bool(!matches!(self.value(*of)?, Value::Missing))),
            Node::Not(of) => self.not(*of),
            Node::Negate(of) => {
                let of = self.value(*of)?;
                self.calculate(Arithmetic::Subtract, Value::Number(Number::ZERO), of)
            }
            Node::All(row) => self.row(row, false),
            Node::Any(row) => self.row(row, true),
            Node::Compare(comparison, left, right) => {
                let (left, right) = (self.value(*left)?, self.value(*right)?);
                compare(*comparison, &left, &right, &mut self.budget).map(Value::Bool)
            }
            Node::Calculate(operation, left, right) => {
                let (left, right) = (self.value(*left)?, self.value(*right)?);
                self.calculate(*operation, left, right)
            }
            Node::Choose(condition, yes, no) => {
                let chosen = if self.value(*condition)?.is_truthy() { yes } else { no };
                self.value(*chosen)
            }
            Node::List(elements) => self.list(elements),
            Node::Map(members) => self.map(members),
            Node::Call(function, arguments) => {
                let arguments: Result<Vec<_>, Stop> =
                    arguments.iter().map(|argument| self.value(*argument)).collect();
                function.apply(&arguments?, self.given.now, &mut self.budget)
            }
            Node::Fold(fold) => self.fold(fold),
        }
    }

    fn path(&mut self, index: usize) -> Result<Value<'a>, Stop> {
        if let Some(Some(value)) = self.values.get(index) {
            return Ok(value.clone());
        }
        let path = self.program.paths.get(index).ok_or(Stop::Error)?;
        let value = self.read(path)?;
        if let Some(place) = self.values.get_mut(index) {
            *place = Some(value.clone());
        }
        Ok(value)
    }

    fn read(&mut self, path: &'a Path) -> Result<Value<'a>, Stop> {
        let given: &'a Given<'a> = self.given;
        let event = match path.variable {
            Variable::Event => Some(&given.event),
            Variable::Async => given.other.as_ref(),
        };
        let Some(event) = event else { return Ok(Value::Missing) };
        let text = |text: &'a str| Value::Text(Text::Borrowed(text));
        let whole = match path.field {
            Field::Id => text(event.id),
            Field::Name => text(event.name),
            Field::Ts => {
                Number::whole(i128::from(event.ts_ms)).map_or(Value::Missing, Value::Number)
            }
            Field::Version => event.version.map_or(Value::Missing, text),
            Field::Data | Field::User => return self.read_json(path, event),
        };
        Ok(if path.inner.is_empty() { whole } else { Value::Missing })
    }

    fn read_json(&mut self, path: &'a Path, event: &'a EventView<'a>) -> Result<Value<'a>, Stop> {
        let json = if path.field == Field::Data { Some(event.data) } else { event.user };
        let (Some(json), Some(place)) = (json, tree_of(path.variable, path.field)) else {
            return Ok(Value::Missing);
        };
        let looked = self.looked.get_mut(place).ok_or(Stop::Error)?;
        if !*looked {
            *looked = true;
            self.budget.skip(json.len())?;
            let json = str::from_utf8(json).or(Err(Stop::Error))?;
            let tree = self.program.trees.get(place).ok_or(Stop::Error)?;
            let outcome = Scan::new(json).look(tree, &mut self.found, &mut self.budget);
            outcome.or(Err(Stop::Spent))?; // what was found so far is not all
        }
        let (longer, depth) = path.cut;
        let Some(Some(json)) = self.found.get(longer) else { return Ok(Value::Missing) };
        let mut value = json::value(&Text::Borrowed(json), &mut self.budget)?;
        for name in path.inner.iter().skip(depth) {
            value = field(&value, name, &mut self.budget)?;
        }
        Ok(value)
    }

    fn index(&mut self, of: NodeId, index: NodeId) -> Result<Value<'a>, Stop> {
        let of = self.opened(of)?;
        let index = self.value(index)?;
        match (&of, &index) {
            (Value::Missing | Value::Null, _) | (_, Value::Missing | Value::Null) => {
                Ok(Value::Missing)
            }
            (Value::List(elements), Value::Number(index)) => {
                let whole = Number::Int(index.truncated());
                let place = usize::try_from(whole.truncated()).ok();
                let place = place.filter(|_| whole.compare(*index).is_eq());
                let element = place.and_then(|place| elements.get(place));
                Ok(element.cloned().unwrap_or(Value::Missing))
            }
            (Value::Map(_), Value::Text(name)) => field(&of, name, &mut self.budget),
            _ => Err(Stop::Error),
        }
    }

    /// A value with its list or map open. That of a path stays open.
    fn opened(&mut self, id: NodeId) -> Result<Value<'a>, Stop> {
        let value = self.value(id)?;
        if !matches!(value, Value::Json(_)) {
            return Ok(value);
        }
        let open = self.open(value)?;
        if let Node::Path(path) = self.program.node(id)
            && let Some(place) = self.values.get_mut(*path)
        {
            *place = Some(open.clone());
        }
        Ok(open)
    }

    /// As the reference: the negation of a missing field is false too.
    fn not(&mut self, of: NodeId) -> Result<Value<'a>, Stop> {
        let value = self.value(of)?;
        match value.as_bool() {
            None if !matches!(value, Value::Missing) => Err(Stop::Error),
            known => Ok(Value::Bool(known == Some(false))),
        }
    }

    /// `||` (`decisive` is true): the first truthy value, or the last; `&&`: the first falsy one, or the last.
    /// What follows the decisive one is not asked. An error counts only where nothing decides.
    fn row(&mut self, row: &[NodeId], decisive: bool) -> Result<Value<'a>, Stop> {
        let mut has_error = false;
        let mut last = Value::Bool(!decisive);
        for id in row {
            match self.value(*id) {
                Ok(value) if value.is_truthy() == decisive => return Ok(value),
                Ok(value) => last = value,
                Err(Stop::Error) => has_error = true,
                Err(Stop::Spent) => return Err(Stop::Spent),
            }
        }
        if has_error { Err(Stop::Error) } else { Ok(last) }
    }

    /// Nothing plus something is something; a text and anything are a text; two lists are one.
    fn calculate(
        &mut self,
        operation: Arithmetic,
        left: Value<'a>,
        right: Value<'a>,
    ) -> Result<Value<'a>, Stop> {
        if let (Value::Number(left), Value::Number(right)) = (&left, &right) {
            return left.calculate(operation, *right).map(Value::Number);
        }
        if operation != Arithmetic::Add {
            let is_missing = left.is_absent() || right.is_absent();
            return if is_missing { Ok(Value::Missing) } else { Err(Stop::Error) };
        }
        if left.is_absent() || right.is_absent() {
            return Ok(if left.is_absent() { right } else { left });
        }
        if matches!(left, Value::Text(_)) || matches!(right, Value::Text(_)) {
            let mut writer = Writer::default();
            writer.plain(&left, &mut self.budget)?;
            writer.plain(&right, &mut self.budget)?;
            return made(&writer.text, &mut self.budget);
        }
        let (left, right) = (self.open(left)?, self.open(right)?);
        let (Value::List(left), Value::List(right)) = (left, right) else {
            return Err(Stop::Error);
        };
        let mut joined = Vec::new();
        for element in left.iter().chain(right.iter()) {
            self.budget.push::<Value<'_>>()?;
            joined.push(element.clone());
        }
        Ok(Value::List(Rc::from(joined)))
    }

    pub(super) fn open(&mut self, value: Value<'a>) -> Result<Value<'a>, Stop> {
        if let Value::Json(json) = value { json::open(&json, &mut self.budget) } else { Ok(value) }
    }

    fn list(&mut self, elements: &[NodeId]) -> Result<Value<'a>, Stop> {
        let mut made = Vec::new();
        for element in elements {
            self.budget.push::<Value<'_>>()?;
            made.push(self.value(*element)?);
        }
        Ok(Value::List(Rc::from(made)))
    }

    fn map(&mut self, members: &[(NodeId, NodeId)]) -> Result<Value<'a>, Stop> {
        let mut made: Vec<Member<'a>> = Vec::new();
        for (key, value) in members {
            self.budget.push::<Member<'_>>()?;
            let Value::Text(key) = self.value(*key)? else { return Err(Stop::Error) };
            made.push((key, self.value(*value)?));
        }
        Ok(Value::Map(json::sorted(made, &mut self.budget)?))
    }

    /// A macro. Over nothing: `all`, `exists` and `exists_one` are false, `map` and `filter` make nothing.
    fn fold(&mut self, fold: &Fold) -> Result<Value<'a>, Stop> {
        let over = self.opened(fold.over)?;
        if over.is_absent() {
            return Ok(nothing(fold.kind));
        }
        let count = over.len().ok_or(Stop::Error)?;
        let mut walked = Walked::default();
        for place in 0..count {
            self.budget.visit(1)?;
            let element = over.element(place);
            self.variables.push(element.clone());
            let outcome = self.step(fold, element, &mut walked);
            self.variables.pop();
            if outcome? {
                break;
            }
        }
        walked.end(fold.kind)
    }

    /// One element; says whether the rest does not count.
    fn step(
        &mut self,
        fold: &Fold,
        element: Value<'a>,
        walked: &mut Walked<'a>,
    ) -> Result<bool, Stop> {
        if let Some(filter) = fold.filter
            && !self.condition(filter)?
        {
            return Ok(false);
        }
        match fold.kind {
            Walk::Map => {
                self.budget.push::<Value<'_>>()?;
                walked.kept.push(self.value(fold.body)?);
            }
            Walk::Filter => {
                if self.condition(fold.body)? {
                    self.budget.push::<Value<'_>>()?;
                    walked.kept.push(element);
                }
            }
            Walk::ExistsOne => walked.hits += u32::from(self.condition(fold.body)?),
            Walk::All | Walk::Exists => match self.condition(fold.body) {
                Err(Stop::Error) => walked.has_error = true,
                outcome => {
                    let is_hit = outcome? == (fold.kind == Walk::Exists);
                    walked.hits += u32::from(is_hit);
                    return Ok(is_hit);
                }
            },
        }
        Ok(false)
    }

    /// A boolean; what is missing is false.
    fn condition(&mut self, id: NodeId) -> Result<bool, Stop> {
        let value = self.value(id)?;
        match value.as_bool() {
            None if !matches!(value, Value::Missing) => Err(Stop::Error),
            known => Ok(known == Some(true)),
        }
    }
}

/// What a macro has come to.
#[derive(Debug, Default)]
struct Walked<'a> {
    hits: u32,
    has_error: bool,
    kept: Vec<Value<'a>>,
}

impl<'a> Walked<'a> {
    fn end(self, kind: Walk) -> Result<Value<'a>, Stop> {
        let is_open = self.hits == 0 && self.has_error;
        match kind {
            Walk::All | Walk::Exists if is_open => Err(Stop::Error),
            Walk::All => Ok(Value::Bool(self.hits == 0)), // a hit is one that is not so
            Walk::Exists => Ok(Value::Bool(self.hits > 0)),
            Walk::ExistsOne => Ok(Value::Bool(self.hits == 1)),
            Walk::Map | Walk::Filter => Ok(Value::List(Rc::from(self.kept))),
        }
    }
}

fn nothing<'a>(kind: Walk) -> Value<'a> {
    match kind {
        Walk::All | Walk::Exists | Walk::ExistsOne => Value::Bool(false),
        Walk::Map | Walk::Filter => Value::Missing,
    }
}
