//! Parses a text into the tree.
//!
//! The events of the parser are collected first, and the tree is built from them. So an alias is
//! built again from the position of its anchor. Both steps are limited: the tree of any file stays
//! small enough to work with.

use super::{Diagnostics, MapEntry, Node, Place, Scalar, Value, node::shorten, scalar::Plain};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Tag};
use std::{borrow::Cow, collections::HashMap, sync::Arc};

/// The deepest nesting of values.
pub const MAX_DEPTH: usize = 64;
/// The most values in a source, after its aliases are replaced.
pub const MAX_NODES: usize = 100_000;
/// The most text in its scalars, in bytes, after its aliases are replaced.
const MAX_TEXT: usize = 16 << 20;

/// Parses the single document in `text`. `source` is its name in messages. An empty text is null.
///
/// Returns nothing, and adds the reason to `diagnostics`, if the text is not YAML or has a key
/// twice.
pub fn parse(source: &str, text: &str, diagnostics: &mut Diagnostics) -> Option<Node> {
    let source: Arc<str> = Arc::from(source);
    let mut found = Diagnostics::new();
    let parsed = collect(text).and_then(|events| Tree::new(&source, events, &mut found).root());
    if let Err(Stop { mark, message }) = &parsed {
        found.error(&place(&source, mark), "", message.as_ref());
    }
    let usable = found.is_empty();
    diagnostics.extend(found);
    parsed.ok().filter(|_| usable)
}

/// Why the parsing cannot continue.
struct Stop {
    mark: Marker,
    message: Cow<'static, str>,
}

impl Stop {
    fn new(mark: Marker, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            mark,
            message: message.into(),
        }
    }
}

struct Events<'t> {
    list: Vec<(Event<'t>, Marker)>,
    /// The index of the event where the value of each anchor starts.
    anchors: HashMap<usize, usize>,
}

fn collect(text: &str) -> Result<Events<'_>, Stop> {
    let mut parser = Parser::new_from_str(text);
    let mut events = Events {
        list: Vec::new(),
        anchors: HashMap::new(),
    };
    let (mut depth, mut documents) = (0_usize, 0);
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|error| Stop::new(*error.marker(), readable(&error)))?;
        match &event {
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd | Event::Nothing => continue,
            Event::DocumentStart(_) if documents > 0 => {
                return Err(Stop::new(span.start, "a second document; one is expected"));
            }
            Event::DocumentStart(_) => {
                documents += 1;
                continue;
            }
            Event::Scalar(_, _, anchor, _) => events.anchor(*anchor),
            Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) => {
                events.anchor(*anchor);
                depth += 1;
            }
            Event::SequenceEnd | Event::MappingEnd => depth = depth.saturating_sub(1),
            Event::Alias(_) => {}
        }
        if depth > MAX_DEPTH {
            return Err(too_deep(span.start));
        }
        if events.list.len() > 2 * MAX_NODES {
            return Err(too_many(span.start));
        }
        events.list.push((event, span.start));
    }
    Ok(events)
}

impl Events<'_> {
    /// Records that the value of `anchor` comes next. 0 means none.
    fn anchor(&mut self, anchor: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, self.list.len());
        }
    }
}

/// Usual reasons for errors of the parser, by a part of its message.
const HINTS: [(&str, &str); 7] = [
    // The braces of a `${…}`.
    ("flow", "quote a text that contains braces"),
    ("tab", "indent with spaces"),
    ("quoted scalar", "is a closing quote missing?"),
    (
        "mapping values",
        "quote a text with `: ` in it, or check the indentation",
    ),
    ("block mapping", "check the indentation"),
    (
        "illegal placement of ':'",
        "is a `]` or `}` missing before?",
    ),
    ("anchor", "quote a text that begins with `*` or `&`"),
];

fn readable(error: &ScanError) -> String {
    let info = error.info();
    let hint = HINTS.iter().find(|(part, _)| info.contains(part));
    let hint = hint.map_or(String::new(), |(_, hint)| format!(" ({hint})"));
    format!("not valid YAML: {info}{hint}")
}

fn too_deep(mark: Marker) -> Stop {
    Stop::new(mark, format!("nested more than {MAX_DEPTH} levels deep"))
}

fn too_many(mark: Marker) -> Stop {
    Stop::new(mark, format!("more than {MAX_NODES} values"))
}

fn place(source: &Arc<str>, mark: &Marker) -> Place {
    Place {
        source: Arc::clone(source),
        line: mark.line().max(1),
        column: mark.col() + 1,
    }
}

/// Builds the tree from the events.
struct Tree<'t, 'd> {
    source: &'d Arc<str>,
    events: Events<'t>,
    found: &'d mut Diagnostics,
    nodes: usize,
    text: usize,
    /// The events where the values around the current one start.
    open: Vec<usize>,
}

impl<'t, 'd> Tree<'t, 'd> {
    fn new(source: &'d Arc<str>, events: Events<'t>, found: &'d mut Diagnostics) -> Self {
        Self {
            source,
            events,
            found,
            nodes: 0,
            text: 0,
            open: Vec::new(),
        }
    }

    fn root(&mut self) -> Result<Node, Stop> {
        if self.events.list.is_empty() {
            return Ok(Node::new(
                Value::Null,
                place(self.source, &Marker::new(0, 1, 0)),
            ));
        }
        self.node(&mut 0)
    }

    /// Builds the value that starts at the event `next`, and moves `next` after it.
    fn node(&mut self, next: &mut usize) -> Result<Node, Stop> {
        let at = *next;
        let Some((event, mark)) = self.events.list.get(at).cloned() else {
            return Err(Stop::new(
                Marker::default(),
                "not valid YAML: it ends too early",
            ));
        };
        *next += 1;
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(too_many(mark));
        }
        if self.open.len() > MAX_DEPTH {
            return Err(too_deep(mark));
        }
        self.open.push(at);
        let value = match event {
            Event::Scalar(text, style, _, tag) => {
                self.text += text.len();
                if self.text > MAX_TEXT {
                    return Err(Stop::new(
                        mark,
                        format!("more than {MAX_TEXT} bytes of text"),
                    ));
                }
                scalar(&text, style, tag.as_deref(), mark)?
            }
            Event::SequenceStart(_, tag) => {
                refuse_unknown(tag.as_deref(), &["seq"], mark)?;
                self.seq(next)?
            }
            Event::MappingStart(_, tag) => {
                refuse_unknown(tag.as_deref(), &["map"], mark)?;
                self.map(next)?
            }
            Event::Alias(anchor) => {
                self.open.pop();
                return self.alias(anchor, mark);
            }
            _ => return Err(Stop::new(mark, "not valid YAML: a value is expected")),
        };
        self.open.pop();
        Ok(Node::new(value, place(self.source, &mark)))
    }

    fn alias(&mut self, anchor: usize, mark: Marker) -> Result<Node, Stop> {
        match self.events.anchors.get(&anchor).copied() {
            Some(start) if self.open.contains(&start) => Err(Stop::new(
                mark,
                "the alias stands inside of what it repeats",
            )),
            Some(mut start) => self.node(&mut start),
            None => Err(Stop::new(mark, "unknown alias")),
        }
    }

    fn ends(&self, next: &mut usize) -> bool {
        let end = matches!(
            self.events.list.get(*next),
            None | Some((Event::SequenceEnd | Event::MappingEnd, _))
        );
        *next += usize::from(end);
        end
    }

    fn seq(&mut self, next: &mut usize) -> Result<Value, Stop> {
        let mut items = Vec::new();
        while !self.ends(next) {
            items.push(self.node(next)?);
        }
        Ok(Value::Seq(items))
    }

    fn map(&mut self, next: &mut usize) -> Result<Value, Stop> {
        let mut map = Map::default();
        while !self.ends(next) {
            let mark = self.mark(*next);
            let (key, merge) = self.key(next)?;
            let mut value = self.node(next)?;
            if value.value == Value::Null {
                // The parser gives an absent value the position of the next token.
                value.place = key.place.clone();
            }
            if merge {
                map.merge(value)
                    .map_err(|message| Stop::new(mark, message))?;
                continue;
            }
            let place = key.place.clone();
            let message = format!("the key `{}` is already set", shorten(&key.text));
            let entry = MapEntry {
                key: key.text,
                key_place: key.place,
                value,
            };
            if let Some(first) = map.insert(entry) {
                self.found
                    .error(&place, "", format!("{message} at {first}"));
            }
        }
        Ok(Value::Map(map.into_entries()))
    }

    fn mark(&self, at: usize) -> Marker {
        self.events
            .list
            .get(at)
            .or(self.events.list.last())
            .map_or_else(Marker::default, |e| e.1)
    }

    /// The key at `next`, and whether it is the merge key `<<`.
    fn key(&mut self, next: &mut usize) -> Result<(Key, bool), Stop> {
        let mark = self.mark(*next);
        let merge = matches!(
            self.events.list.get(*next),
            Some((Event::Scalar(text, ScalarStyle::Plain, 0, None), _)) if text == "<<"
        );
        let node = self.node(next)?;
        match node.value {
            // A number or boolean is refused as well: `1:` and `0x1:` would be the same key.
            Value::Scalar(scalar) if matches!(scalar.resolve(), Plain::Text(_)) => Ok((
                Key {
                    text: scalar.text,
                    place: node.place,
                },
                merge,
            )),
            Value::Scalar(scalar) => Err(Stop::new(
                mark,
                format!(
                    "a key must be a string; write \"{}\"",
                    shorten(&scalar.text)
                ),
            )),
            _ => Err(Stop::new(
                mark,
                format!("a key must be a string, found {}", node.describe()),
            )),
        }
    }
}

struct Key {
    text: String,
    place: Place,
}

/// A map under construction: its own entries win over merged ones, and earlier merged ones over
/// later ones.
#[derive(Default)]
struct Map {
    entries: Vec<MapEntry>,
    index: HashMap<String, usize>,
    merged: Vec<MapEntry>,
}

impl Map {
    /// Adds an entry, or returns where the key was set before.
    fn insert(&mut self, entry: MapEntry) -> Option<Place> {
        if let Some(first) = self
            .index
            .get(&entry.key)
            .and_then(|index| self.entries.get(*index))
        {
            return Some(first.key_place.clone());
        }
        self.index.insert(entry.key.clone(), self.entries.len());
        self.entries.push(entry);
        None
    }

    fn merge(&mut self, value: Node) -> Result<(), &'static str> {
        let maps = match value.value {
            Value::Seq(items) => items,
            _ => vec![value],
        };
        for map in maps {
            let Value::Map(entries) = map.value else {
                return Err("the merge key `<<` needs a map or a list of maps");
            };
            self.merged.extend(entries);
        }
        Ok(())
    }

    fn into_entries(mut self) -> Vec<MapEntry> {
        for entry in std::mem::take(&mut self.merged) {
            self.insert(entry);
        }
        self.entries
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, at: Marker) -> Result<Value, Stop> {
    refuse_unknown(tag, &["str", "int", "float", "bool", "null"], at)?;
    let plain = style == ScalarStyle::Plain && tag.is_none_or(|tag| tag.suffix != "str");
    if plain && Plain::of(text) == Plain::Null {
        return Ok(Value::Null);
    }
    Ok(Value::Scalar(Scalar {
        text: text.to_owned(),
        plain,
    }))
}

fn refuse_unknown(tag: Option<&Tag>, known: &[&str], mark: Marker) -> Result<(), Stop> {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema() || !known.contains(&tag.suffix.as_str()) => {
            Err(Stop::new(
                mark,
                format!("the tag `{}` is not supported here", shorten(&tag.suffix)),
            ))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
