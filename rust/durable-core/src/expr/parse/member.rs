//! Values and what follows them: fields, indexes, calls, macros.

use super::{Parser, check, span};
use crate::expr::Scope;
use crate::expr::function::{Form, Signature};
use crate::expr::lex::Word;
use crate::expr::mistake::Found;
use crate::expr::program::{Field, Fold, Kind, Node, Part, Path, Variable, Walk};

/// What stands before the next dot.
enum Head {
    Part(Part),
    /// An event's variable, and the names after it.
    Path {
        variable: Variable,
        names: Vec<String>,
        place: (usize, usize),
    },
}

const MACROS: [(&str, Walk); 5] = [
    ("all", Walk::All),
    ("exists", Walk::Exists),
    ("exists_one", Walk::ExistsOne),
    ("map", Walk::Map),
    ("filter", Walk::Filter),
];

impl<'t> Parser<'t> {
    /// A value with all that follows it.
    pub(super) fn member(&mut self) -> Result<Part, Found> {
        let mut head = self.primary()?;
        loop {
            if self.take(".")? {
                head = self.after_dot(head)?;
            } else if self.take("[")? {
                let index = self.expression()?;
                let end = self.expect("]", "after the index")?;
                head = self.index(head, index, end)?;
            } else {
                return self.finish(head);
            }
        }
    }

    fn after_dot(&mut self, head: Head) -> Result<Head, Found> {
        let (name, place) = self.name("after the dot")?;
        if !self.is_at("(") {
            return self.select(head, name, place.1);
        }
        let of = self.finish(head)?;
        self.method(of, name, place).map(Head::Part)
    }

    fn name(&mut self, place: &str) -> Result<(&'t str, (usize, usize)), Found> {
        let Word::Name(name) = self.token.word else {
            return Err(self.mistake_here(&format!("a name is missing {place}")));
        };
        Ok((name, self.advance()?.place))
    }

    fn select(&mut self, head: Head, name: &str, end: usize) -> Result<Head, Found> {
        match head {
            Head::Path { variable, mut names, place } => {
                names.push(name.to_owned());
                Ok(Head::Path { variable, names, place: (place.0, end) })
            }
            Head::Part(of) => {
                let place = (of.place.0, end);
                if !matches!(of.kind, Kind::Unknown | Kind::Map) {
                    return Err(self.mistake(place, format!("there is no field '{name}' in this")));
                }
                let node = Node::Field(of.id, name.into());
                self.builder.add(node, Kind::Unknown, place, &[of]).map(Head::Part)
            }
        }
    }

    /// `of["name"]` is the same as `of.name`.
    fn index(&mut self, head: Head, index: Part, end: usize) -> Result<Head, Found> {
        if let Some(Node::Text(name)) = self.builder.node(index.id) {
            let name = name.clone();
            return self.select(head, &name, end);
        }
        let of = self.finish(head)?;
        let place = (of.place.0, end);
        if matches!(of.kind, Kind::Null | Kind::Bool | Kind::Number | Kind::Text | Kind::Moment) {
            return Err(self.mistake(place, "only lists and maps have an index"));
        }
        let node = Node::Index(of.id, index.id);
        self.builder.add(node, Kind::Unknown, place, &[of, index]).map(Head::Part)
    }

    fn finish(&mut self, head: Head) -> Result<Part, Found> {
        let (variable, names, place) = match head {
            Head::Part(part) => return Ok(part),
            Head::Path { variable, names, place } => (variable, names, place),
        };
        let mut names = names.into_iter();
        let Some(first) = names.next() else {
            let message =
                format!("a whole event is no value: name a field of it ({})", Field::NAMES);
            return Err(self.mistake(place, message));
        };
        let Some(field) = Field::of_name(&first) else {
            let message = format!(
                "an event has no field '{first}', only {}; what was sent is in 'data', as in event.data.{first}",
                Field::NAMES
            );
            return Err(self.mistake(place, message));
        };
        let inner = names.collect();
        let path = Path { variable, field, inner, shown: Box::default(), cut: (0, 0) };
        self.builder.add_path(path, place)
    }

    fn primary(&mut self) -> Result<Head, Found> {
        match self.token.word {
            Word::Name(name) => self.named(name),
            Word::Number(_) | Word::Text(_) => self.literal().map(Head::Part),
            Word::Mark("(") => self.parenthesis().map(Head::Part),
            Word::Mark("[") => self.list().map(Head::Part),
            Word::Mark("{") => self.map().map(Head::Part),
            Word::Mark(mark) => {
                Err(self.mistake_here(&format!("a value is missing before '{mark}'")))
            }
            Word::End => Err(self.mistake_here("a value is missing at the end")),
        }
    }

    fn literal(&mut self) -> Result<Part, Found> {
        let token = self.advance()?;
        let (node, kind) = match token.word {
            Word::Number(number) => (Node::Number(number), Kind::Number),
            Word::Text(text) => (Node::Text(text), Kind::Text),
            Word::Name(_) | Word::Mark(_) | Word::End => return Err(self.stray()),
        };
        self.builder.add(node, kind, token.place, &[])
    }

    fn parenthesis(&mut self) -> Result<Part, Found> {
        let start = self.advance()?.place.0;
        let part = self.expression()?;
        let end = self.expect(")", "to close the parenthesis")?;
        Ok(Part { place: (start, end), ..part })
    }

    fn named(&mut self, name: &'t str) -> Result<Head, Found> {
        let place = self.advance()?.place;
        let constant = match name {
            "true" => Some((Node::Bool(true), Kind::Bool)),
            "false" => Some((Node::Bool(false), Kind::Bool)),
            "null" => Some((Node::Null, Kind::Null)),
            _ => None,
        };
        let index = self.names.iter().position(|known| *known == name);
        let variable = index.map(|index| (Node::Variable(index), Kind::Unknown));
        if let Some((node, kind)) = constant.or(variable) {
            return self.builder.add(node, kind, place, &[]).map(Head::Part);
        }
        if self.is_at("(") {
            return self.call(name, place).map(Head::Part);
        }
        match Variable::of_name(name).filter(|variable| variable.is_in(self.scope)) {
            Some(variable) => Ok(Head::Path { variable, names: Vec::new(), place }),
            None => Err(self.unknown(name, place)),
        }
    }

    fn unknown(&self, name: &str, place: (usize, usize)) -> Found {
        let there_is = match self.scope {
            Scope::Event => "there is 'event'",
            Scope::EventAndAsync => "there are 'event' and 'async'",
        };
        let message = match name {
            "async" => "'async' is known only where one event waits for another: there is 'event'"
                .to_owned(),
            "not" => "'not' is no operator here: write !".to_owned(),
            _ => format!("'{name}' is unknown: {there_is}; a text stands in quotes"),
        };
        self.mistake(place, message)
    }

    fn list(&mut self) -> Result<Part, Found> {
        let start = self.advance()?.place.0;
        let mut elements = Vec::new();
        self.parts("]", &mut elements)?;
        let end = self.expect("]", "to close the list")?;
        let node = Node::List(elements.iter().map(|element| element.id).collect());
        self.builder.add(node, Kind::List, (start, end), &elements)
    }

    fn map(&mut self) -> Result<Part, Found> {
        let start = self.advance()?.place.0;
        let (mut members, mut parts) = (Vec::new(), Vec::new());
        while !self.is_at("}") {
            let key = self.expression()?;
            check::wanted(self.text, key, Kind::Text, "{}")?;
            self.expect(":", "after the key")?;
            let value = self.expression()?;
            members.push((key.id, value.id));
            parts.extend([key, value]);
            if !self.take(",")? {
                break;
            }
        }
        let end = self.expect("}", "to close the map")?;
        self.builder.add(Node::Map(members), Kind::Map, (start, end), &parts)
    }

    /// `name(...)`
    fn call(&mut self, name: &'t str, place: (usize, usize)) -> Result<Part, Found> {
        if name == "has" {
            return self.has(place);
        }
        self.function(name, place, Form::Plain, Vec::new())
    }

    /// `of.name(...)`
    fn method(&mut self, of: Part, name: &'t str, place: (usize, usize)) -> Result<Part, Found> {
        match MACROS.iter().find(|(known, _)| *known == name) {
            Some((_, walk)) => self.fold(of, *walk, (name, place)),
            None => self.function(name, place, Form::Dotted, vec![of]),
        }
    }

    fn function(
        &mut self,
        name: &str,
        place: (usize, usize),
        form: Form,
        mut arguments: Vec<Part>,
    ) -> Result<Part, Found> {
        let Some(signature) = Signature::of_name(name) else {
            let names = Signature::names();
            return Err(
                self.mistake(place, format!("there is no function '{name}'; there are {names}"))
            );
        };
        if signature.form != form && signature.form != Form::Either {
            return Err(self.mistake(place, format!("'{name}' is written {}", signature.usage)));
        }
        let subject = arguments.first().copied();
        let start = subject.map_or(place.0, |subject| subject.place.0);
        let open = self.advance()?.place.0;
        self.parts(")", &mut arguments)?;
        let end = self.expect(")", "to close the call")?;
        self.finish_call(signature, &arguments, usize::from(subject.is_some()), (start, open, end))
    }

    /// A row of expressions up to `mark`.
    fn parts(&mut self, mark: &str, parts: &mut Vec<Part>) -> Result<(), Found> {
        while !self.is_at(mark) {
            parts.push(self.expression()?);
            if !self.take(",")? {
                break;
            }
        }
        Ok(())
    }

    fn finish_call(
        &mut self,
        signature: &Signature,
        arguments: &[Part],
        before: usize,
        (start, open, end): (usize, usize, usize),
    ) -> Result<Part, Found> {
        let name = signature.name;
        if arguments.len() != signature.takes.len() {
            let (count, wanted) = (arguments.len() - before, signature.takes.len() - before);
            let message =
                format!("'{name}' takes {wanted} in parentheses, not {count}: {}", signature.usage);
            return Err(self.mistake((open, end), message));
        }
        for (argument, kind) in arguments.iter().zip(signature.takes) {
            check::wanted(self.text, *argument, *kind, name)?;
            if let Some(Node::Text(text)) = self.builder.node(argument.id)
                && let Some(refusal) = signature.function.refusal(text)
            {
                return Err(self.mistake(argument.place, refusal));
            }
        }
        let node = Node::Call(signature.function, arguments.iter().map(|part| part.id).collect());
        self.builder.add(node, signature.gives, (start, end), arguments)
    }

    fn refuse_macro(&self, name: &str, place: (usize, usize)) -> Result<(), Found> {
        if self.has_macros {
            return Ok(());
        }
        let instead = if name == "has" { ": write event.data.x != null" } else { "" };
        Err(self.mistake(place, format!("'{name}' cannot be used here{instead}")))
    }

    /// `has(a.b)`: whether there is such a field, be it `null`.
    fn has(&mut self, place: (usize, usize)) -> Result<Part, Found> {
        self.refuse_macro("has", place)?;
        self.advance()?;
        let of = self.expression()?;
        let end = self.expect(")", "to close the call")?;
        let is_field = matches!(self.builder.node(of.id), Some(Node::Path(_) | Node::Field(..)));
        if !is_field {
            return Err(self.mistake(of.place, "'has' takes a field, as in has(event.data.x)"));
        }
        self.builder.add(Node::Has(of.id), Kind::Bool, (place.0, end), &[of])
    }

    /// `of.exists(x, ...)` and the like.
    fn fold(
        &mut self,
        of: Part,
        kind: Walk,
        (name, place): (&'t str, (usize, usize)),
    ) -> Result<Part, Found> {
        self.refuse_macro(name, place)?;
        if !matches!(of.kind, Kind::Unknown | Kind::List | Kind::Map) {
            return Err(self
                .mistake(of.place, format!("'{name}' walks over a list or a map, not over this")));
        }
        self.advance()?;
        let (variable, variable_place) =
            self.name("for each element, as in items.exists(item, item > 1)")?;
        if self.names.contains(&variable) || Variable::of_name(variable).is_some() {
            let message = format!("'{variable}' has a meaning already: choose another name");
            return Err(self.mistake(variable_place, message));
        }
        self.expect(",", "after the name")?;
        self.names.push(variable);
        let mut parts = vec![of, self.expression()?];
        if kind == Walk::Map && self.take(",")? {
            parts.push(self.expression()?);
        }
        self.names.pop();
        let end = self.expect(")", "to close the call")?;
        self.finish_fold(kind, name, (span(&parts).0, end), &parts)
    }

    fn finish_fold(
        &mut self,
        kind: Walk,
        name: &str,
        place: (usize, usize),
        parts: &[Part],
    ) -> Result<Part, Found> {
        let (over, filter, body) = match parts {
            [over, filter, body] => (over, Some(*filter), body),
            [over, body] => (over, None, body),
            _ => return Err(self.stray()),
        };
        let condition = if kind == Walk::Map { filter } else { Some(*body) };
        if let Some(condition) = condition {
            check::boolean(self.text, condition, name)?;
        }
        let gives = match kind {
            Walk::All | Walk::Exists | Walk::ExistsOne => Kind::Bool,
            Walk::Map | Walk::Filter => Kind::List,
        };
        let filter = filter.map(|part| part.id);
        let node = Node::Fold(Fold { kind, over: over.id, filter, body: body.id });
        self.builder.add(node, gives, place, parts)
    }
}
