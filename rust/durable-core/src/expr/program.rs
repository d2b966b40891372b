//! A compiled expression: nodes in one list, children before their parents, and the paths they read.

use super::function::Function;
use super::mistake::Found;
use super::number::{Arithmetic, Number};
use super::{MAX_DEPTH, Scope};

/// A field that an expression reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPath {
    /// As in `event.data.customer_id`; a name that is none for CEL in brackets, as in `event.data["a b"]`.
    pub path: String,
    /// Where it stands, in bytes from the text's beginning.
    pub at: usize,
    /// How many bytes it takes.
    pub length: usize,
}

#[derive(Debug)]
pub(super) struct Program {
    pub(super) text: String,
    pub(super) nodes: Vec<Node>,
    pub(super) root: NodeId,
    /// Each path once.
    pub(super) paths: Vec<Path>,
    /// Each place where a path stands.
    pub(super) fields: Vec<FieldPath>,
    /// What to look for in each JSON text: see [`tree_of`].
    pub(super) trees: [Tree; 4],
    /// Some path may be read more than once.
    pub(super) reads_again: bool,
}

/// The place of a node in the list. Depth and kind travel along while the text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeId(usize);

#[derive(Debug)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Number(Number),
    Text(Box<str>),
    /// The path of this number.
    Path(usize),
    /// The variable of the macro that is the this number, from outside.
    Variable(usize),
    Field(NodeId, Box<str>),
    Index(NodeId, NodeId),
    Has(NodeId),
    Not(NodeId),
    Negate(NodeId),
    /// `&&`, all of a row at once.
    All(Vec<NodeId>),
    /// `||`.
    Any(Vec<NodeId>),
    Compare(Comparison, NodeId, NodeId),
    Calculate(Arithmetic, NodeId, NodeId),
    /// `?:`.
    Choose(NodeId, NodeId, NodeId),
    List(Vec<NodeId>),
    Map(Vec<(NodeId, NodeId)>),
    Call(Function, Vec<NodeId>),
    Fold(Fold),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
}

/// A macro that walks a list, or the keys of a map.
#[derive(Debug)]
pub(super) struct Fold {
    pub(super) kind: Walk,
    pub(super) over: NodeId,
    /// `map` with three arguments: which elements.
    pub(super) filter: Option<NodeId>,
    pub(super) body: NodeId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Walk {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
}

/// A field of an event, with what is read inside of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) variable: Variable,
    pub(super) field: Field,
    pub(super) inner: Vec<String>,
    /// As in `event.data.customer_id`.
    pub(super) shown: Box<str>,
    /// The path of which its JSON is cut out: itself, or one that it goes on from, which has so many inner names.
    pub(super) cut: (usize, usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variable {
    Event,
    Async,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Id,
    Name,
    Data,
    Ts,
    User,
    Version,
}

/// A JSON text that an expression reads of: which, as a place in `Program::trees`.
pub(super) fn tree_of(variable: Variable, field: Field) -> Option<usize> {
    let first = match variable {
        Variable::Event => 0,
        Variable::Async => 2,
    };
    match field {
        Field::Data => Some(first),
        Field::User => Some(first + 1),
        Field::Id | Field::Name | Field::Ts | Field::Version => None,
    }
}

/// What is looked for in one JSON text.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// The path that ends here. Then there are no children: what lies below is read out of its value.
    pub(super) path: Option<usize>,
    /// Sorted by name.
    pub(super) children: Vec<(String, Self)>,
}

impl Variable {
    pub(super) fn of_name(name: &str) -> Option<Self> {
        match name {
            "event" => Some(Self::Event),
            "async" => Some(Self::Async),
            _ => None,
        }
    }

    pub(super) fn is_in(self, scope: Scope) -> bool {
        match self {
            Self::Event => true,
            Self::Async => scope == Scope::EventAndAsync,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Async => "async",
        }
    }
}

impl Field {
    pub(super) const NAMES: &str = "id, name, data, ts, user, v";

    pub(super) fn of_name(name: &str) -> Option<Self> {
        match name {
            "id" => Some(Self::Id),
            "name" => Some(Self::Name),
            "data" => Some(Self::Data),
            "ts" => Some(Self::Ts),
            "user" => Some(Self::User),
            "v" => Some(Self::Version),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Name => "name",
            Self::Data => "data",
            Self::Ts => "ts",
            Self::User => "user",
            Self::Version => "v",
        }
    }
}

impl Path {
    fn show(&self) -> String {
        let mut shown = format!("{}.{}", self.variable.name(), self.field.name());
        for name in &self.inner {
            if is_identifier(name) {
                shown.push('.');
                shown.push_str(name);
            } else {
                shown.extend(["[", &format!("{name:?}"), "]"]);
            }
        }
        shown
    }
}

fn is_identifier(name: &str) -> bool {
    let mut letters = name.bytes();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == b'_')
}

/// A part of the text that has become a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) id: NodeId,
    pub(super) place: (usize, usize),
    pub(super) kind: Kind,
    pub(super) depth: usize,
}

/// What is known of a part's value before there is an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Unknown,
    Null,
    Bool,
    Number,
    Text,
    Moment,
    List,
    Map,
}

/// A program while its text is read.
#[derive(Debug)]
pub(super) struct Builder<'t> {
    text: &'t str,
    nodes: Vec<Node>,
    paths: Vec<Path>,
    fields: Vec<FieldPath>,
}

impl<'t> Builder<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, nodes: Vec::new(), paths: Vec::new(), fields: Vec::new() }
    }

    /// Adds a node that lies above `children`.
    pub(super) fn add(
        &mut self,
        node: Node,
        kind: Kind,
        place: (usize, usize),
        children: &[Part],
    ) -> Result<Part, Found> {
        let below = children.iter().map(|child| child.depth).max().unwrap_or(0);
        let depth = below.saturating_add(1);
        if depth > MAX_DEPTH {
            return Err(too_deep(self.text, place));
        }
        let id = NodeId(self.nodes.len());
        self.nodes.push(node);
        Ok(Part { id, place, kind, depth })
    }

    pub(super) fn add_path(
        &mut self,
        mut path: Path,
        place: (usize, usize),
    ) -> Result<Part, Found> {
        if path.inner.len() > MAX_DEPTH {
            return Err(too_deep(self.text, place));
        }
        let length = place.1.saturating_sub(place.0);
        path.shown = path.show().into();
        self.fields.push(FieldPath { path: path.shown.to_string(), at: place.0, length });
        let known = self.paths.iter().position(|known| {
            (known.variable, known.field, &known.inner) == (path.variable, path.field, &path.inner)
        });
        let index = known.unwrap_or(self.paths.len());
        if known.is_none() {
            path.cut = (index, path.inner.len());
            self.paths.push(path);
        }
        self.add(Node::Path(index), Kind::Unknown, place, &[])
    }

    pub(super) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.0)
    }

    pub(super) fn finish(mut self, root: NodeId) -> Program {
        let mut trees: [Tree; 4] = Default::default();
        let mut by_length: Vec<usize> = (0..self.paths.len()).collect();
        by_length.sort_by_key(|index| self.paths.get(*index).map(|path| path.inner.len()));
        for index in by_length {
            let Some(path) = self.paths.get_mut(index) else { continue };
            let tree = tree_of(path.variable, path.field).and_then(|place| trees.get_mut(place));
            if let Some(tree) = tree {
                path.cut = tree.grow(&path.inner, index);
            }
        }
        let text = self.text.to_owned();
        let (nodes, paths, fields) = (self.nodes, self.paths, self.fields);
        let has_fold = nodes.iter().any(|node| matches!(node, Node::Fold(_)));
        let reads_again = has_fold || fields.len() > paths.len();
        Program { text, nodes, root, paths, fields, trees, reads_again }
    }
}

impl Tree {
    /// Adds a path, shorter ones first; says which path it is cut out of, and how many names that one has.
    fn grow(&mut self, inner: &[String], index: usize) -> (usize, usize) {
        let mut tree = self;
        for (depth, name) in inner.iter().enumerate() {
            if let Some(shorter) = tree.path {
                return (shorter, depth);
            }
            let place = match tree.children.binary_search_by(|(other, _)| other.cmp(name)) {
                Ok(place) => place,
                Err(place) => {
                    tree.children.insert(place, (name.clone(), Self::default()));
                    place
                }
            };
            let Some((_, child)) = tree.children.get_mut(place) else { break };
            tree = child;
        }
        if let Some(shorter) = tree.path {
            return (shorter, inner.len());
        }
        tree.path = Some(index);
        (index, inner.len())
    }

    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        let place = self.children.binary_search_by(|(other, _)| other.as_str().cmp(name)).ok()?;
        self.children.get(place).map(|(_, child)| child)
    }
}

impl Program {
    pub(super) fn node(&self, id: NodeId) -> &Node {
        self.nodes.get(id.0).unwrap_or(&Node::Null) // ids are made with their nodes
    }
}

pub(super) fn too_deep(text: &str, place: (usize, usize)) -> Found {
    Found::new(text, place, format!("nests deeper than {MAX_DEPTH}"))
}
