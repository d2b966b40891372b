//! From text to program: a Pratt parser that knows what may stand where, so that it can say what is wrong.

mod check;
mod member;

use super::lex::{Lexer, Token, Word};
use super::mistake::Found;
use super::number::Arithmetic;
use super::program::{Builder, Comparison, Kind, Node, Part, Program, too_deep};
use super::{MAX_DEPTH, MAX_TEXT_BYTES, Scope};

/// Reads all of a text.
pub(super) fn compile(text: &str, scope: Scope, has_macros: bool) -> Result<Program, Found> {
    if text.len() > MAX_TEXT_BYTES {
        let message = format!("has {} bytes; the limit is {MAX_TEXT_BYTES}", text.len());
        return Err(Found::new("", (0, 0), message));
    }
    let mut lexer = Lexer::new(text);
    let token = lexer.next()?;
    let builder = Builder::new(text);
    let (names, depth) = (Vec::new(), 0);
    let mut parser = Parser { text, scope, has_macros, lexer, token, builder, names, depth };
    if matches!(parser.token.word, Word::End) {
        return Err(
            parser.mistake_here("is empty: write an expression, as in event.data.amount > 100")
        );
    }
    let root = parser.expression()?;
    if !matches!(parser.token.word, Word::End) {
        return Err(parser.stray());
    }
    Ok(parser.builder.finish(root.id))
}

struct Parser<'t> {
    text: &'t str,
    scope: Scope,
    has_macros: bool,
    lexer: Lexer<'t>,
    /// The next word.
    token: Token<'t>,
    builder: Builder<'t>,
    /// The variables of the macros around.
    names: Vec<&'t str>,
    /// How many of `expression`, `operation` and `unary` are under way.
    depth: usize,
}

/// What stands between two operands.
#[derive(Clone, Copy)]
enum Operator {
    Any,
    All,
    Compare(Comparison),
    Calculate(Arithmetic),
}

/// Operators, with how tightly they bind.
const OPERATORS: [(&str, u8, Operator); 14] = [
    ("||", 1, Operator::Any),
    ("&&", 2, Operator::All),
    ("==", 3, Operator::Compare(Comparison::Equal)),
    ("!=", 3, Operator::Compare(Comparison::Unequal)),
    ("<", 3, Operator::Compare(Comparison::Less)),
    ("<=", 3, Operator::Compare(Comparison::LessOrEqual)),
    (">", 3, Operator::Compare(Comparison::Greater)),
    (">=", 3, Operator::Compare(Comparison::GreaterOrEqual)),
    ("in", 3, Operator::Compare(Comparison::In)),
    ("+", 4, Operator::Calculate(Arithmetic::Add)),
    ("-", 4, Operator::Calculate(Arithmetic::Subtract)),
    ("*", 5, Operator::Calculate(Arithmetic::Multiply)),
    ("/", 5, Operator::Calculate(Arithmetic::Divide)),
    ("%", 5, Operator::Calculate(Arithmetic::Remainder)),
];

impl<'t> Parser<'t> {
    fn advance(&mut self) -> Result<Token<'t>, Found> {
        let next = self.lexer.next()?;
        Ok(std::mem::replace(&mut self.token, next))
    }

    fn is_at(&self, mark: &str) -> bool {
        matches!(self.token.word, Word::Mark(word) if word == mark)
    }

    fn take(&mut self, mark: &str) -> Result<bool, Found> {
        let is_next = self.is_at(mark);
        if is_next {
            self.advance()?;
        }
        Ok(is_next)
    }

    /// Takes a mark that must stand here; says where it ends.
    fn expect(&mut self, mark: &str, after: &str) -> Result<usize, Found> {
        if self.is_at(mark) {
            return Ok(self.advance()?.place.1);
        }
        Err(self.mistake_here(&format!("a '{mark}' is missing {after}")))
    }

    fn mistake(&self, place: (usize, usize), message: impl Into<String>) -> Found {
        Found::new(self.text, place, message)
    }

    fn mistake_here(&self, message: &str) -> Found {
        self.mistake(self.token.place, message)
    }

    /// What stands where only an operator or the end can.
    fn stray(&self) -> Found {
        let place = self.token.place;
        let word = self.text.get(place.0..place.1).unwrap_or_default();
        let instead = match word {
            "and" | "AND" => "write &&",
            "or" | "OR" => "write ||",
            "is" => "write ==",
            _ => "an operator or the end is due here",
        };
        self.mistake(place, format!("'{word}' cannot stand here: {instead}"))
    }

    fn enter(&mut self) -> Result<(), Found> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > MAX_DEPTH {
            return Err(too_deep(self.text, self.token.place));
        }
        Ok(())
    }

    fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// `condition ? yes : no`, or what binds tighter.
    fn expression(&mut self) -> Result<Part, Found> {
        self.enter()?;
        let mut part = self.binary(1)?;
        if self.is_at("?") {
            part = self.choice(part)?;
        }
        self.leave();
        Ok(part)
    }

    fn choice(&mut self, condition: Part) -> Result<Part, Found> {
        check::boolean(self.text, condition, "?:")?;
        self.advance()?;
        let yes = self.expression()?;
        self.expect(":", "between the two values of '?'")?;
        let no = self.expression()?;
        let kind = if yes.kind == no.kind { yes.kind } else { Kind::Unknown };
        let node = Node::Choose(condition.id, yes.id, no.id);
        let place = (condition.place.0, no.place.1);
        self.builder.add(node, kind, place, &[condition, yes, no])
    }

    /// A row of operations that bind at least so tightly.
    fn binary(&mut self, least: u8) -> Result<Part, Found> {
        let mut left = self.unary()?;
        while let Some((mark, tightness, operator)) = self.operator()
            && tightness >= least
        {
            self.enter()?;
            left = self.operation(left, mark, (tightness, operator))?;
            self.leave();
        }
        Ok(left)
    }

    fn operator(&self) -> Option<(&'static str, u8, Operator)> {
        let word = match self.token.word {
            Word::Mark(mark) => mark,
            Word::Name(name) if name == "in" => name,
            Word::Name(_) | Word::Number(_) | Word::Text(_) | Word::End => return None,
        };
        OPERATORS.into_iter().find(|(mark, _, _)| *mark == word)
    }

    /// The operator that stands here, and what is right of it.
    fn operation(
        &mut self,
        left: Part,
        mark: &'static str,
        (tightness, operator): (u8, Operator),
    ) -> Result<Part, Found> {
        self.advance()?;
        let mut parts = vec![left, self.binary(tightness.saturating_add(1))?];
        match operator {
            Operator::Any | Operator::All => {
                while self.take(mark)? {
                    parts.push(self.binary(tightness.saturating_add(1))?);
                }
                self.row(mark, operator, &parts)
            }
            Operator::Compare(comparison) => {
                let kind = check::comparison(self.text, comparison, &parts)?;
                self.pair(&parts, kind, |left, right| Node::Compare(comparison, left, right))
            }
            Operator::Calculate(operation) => {
                let kind = check::calculation(self.text, mark, operation, &parts)?;
                self.pair(&parts, kind, |left, right| Node::Calculate(operation, left, right))
            }
        }
    }

    fn row(&mut self, mark: &str, operator: Operator, parts: &[Part]) -> Result<Part, Found> {
        for part in parts {
            check::boolean(self.text, *part, mark)?;
        }
        let is_bool = parts.iter().all(|part| part.kind == Kind::Bool);
        let kind = if is_bool { Kind::Bool } else { Kind::Unknown };
        let ids = parts.iter().map(|part| part.id).collect();
        let node = if matches!(operator, Operator::Any) { Node::Any(ids) } else { Node::All(ids) };
        self.builder.add(node, kind, span(parts), parts)
    }

    fn pair(
        &mut self,
        parts: &[Part],
        kind: Kind,
        node: impl Fn(super::program::NodeId, super::program::NodeId) -> Node,
    ) -> Result<Part, Found> {
        let [left, right] = parts else { return Err(self.stray()) };
        self.builder.add(node(left.id, right.id), kind, span(parts), parts)
    }

    /// `!a`, `-a`, or what binds tighter.
    fn unary(&mut self) -> Result<Part, Found> {
        if self.is_at("!") || self.is_at("-") { self.prefixed() } else { self.member() }
    }

    fn prefixed(&mut self) -> Result<Part, Found> {
        let start = self.token.place.0;
        let is_not = self.is_at("!");
        self.enter()?;
        self.advance()?;
        let of = self.unary()?;
        self.leave();
        let (node, kind) = if is_not {
            check::boolean(self.text, of, "!")?;
            (Node::Not(of.id), Kind::Bool)
        } else {
            check::number(self.text, of, "-")?;
            (Node::Negate(of.id), Kind::Number)
        };
        self.builder.add(node, kind, (start, of.place.1), &[of])
    }
}

/// From the first one's beginning to the last one's end.
fn span(parts: &[Part]) -> (usize, usize) {
    let start = parts.first().map_or(0, |part| part.place.0);
    (start, parts.last().map_or(start, |part| part.place.1))
}
