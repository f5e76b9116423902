//! Lossless JSON: one pass gives a tree whose every node knows its bytes.
//!
//! Why our own: redaction cuts and joins the *original* bytes, so that what it does not touch stays
//! as the author wrote it (`1.50` stays `1.50`, key order and escapes stay). That needs byte spans,
//! verbatim numbers and a refusal of duplicate keys in the same pass; see
//! `docs/decisions/001-json-tree.md`.

use std::{collections::HashSet, fmt};

/// Limits against size and depth bombs.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most levels of objects and arrays inside one another.
    pub depth: usize,
    /// Most nodes in one document.
    pub nodes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            depth: 64,
            nodes: 4_000_000,
        }
    }
}

/// From so many members on, names are looked up and no longer compared one by one.
const MANY: usize = 64;

/// Why a text is not acceptable JSON. Carries an offset, never the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {at}")]
pub struct JsonError {
    /// What was wrong.
    pub kind: Fault,
    /// Offset in bytes from the start of the text.
    pub at: usize,
}

/// The kinds of [`JsonError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the Display text says it")]
pub enum Fault {
    Syntax,
    End,
    Utf8,
    Escape,
    Number,
    DuplicateKey,
    Depth,
    Nodes,
    Trailing,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Syntax => "unexpected character",
            Fault::End => "unexpected end of the text",
            Fault::Utf8 => "invalid UTF-8",
            Fault::Escape => "invalid escape in a string",
            Fault::Number => "invalid number",
            Fault::DuplicateKey => "a name occurs twice in one object",
            Fault::Depth => "nested too deeply",
            Fault::Nodes => "too many values in one document",
            Fault::Trailing => "text after the end of the document",
        })
    }
}

/// A value with its place in the text.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
    /// The value.
    pub value: Value,
}

/// A JSON value; numbers keep their text.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "JSON's own kinds")]
pub enum Value {
    Null,
    Bool(bool),
    Number(Box<str>),
    String(Box<str>),
    Array(Vec<Node>),
    Object(Vec<Member>),
}

/// A name and its value in an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// The decoded name.
    pub name: Box<str>,
    /// First byte of the name's opening quote.
    pub start: u32,
    /// The value.
    pub node: Node,
}

impl Node {
    /// The member of an object by its name.
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.members()
            .iter()
            .find(|member| &*member.name == name)
            .map(|member| &member.node)
    }

    /// The node at a chain of names, taking no array steps.
    pub fn at(&self, names: &[&str]) -> Option<&Node> {
        names.iter().try_fold(self, |node, name| node.get(name))
    }

    /// The members of an object; nothing for other kinds.
    pub fn members(&self) -> &[Member] {
        match &self.value {
            Value::Object(members) => members,
            _ => &[],
        }
    }

    /// The items of an array; nothing for other kinds.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::Array(items) => items,
            _ => &[],
        }
    }

    /// Itself as a list: the items of an array, or this single node.
    pub fn each(&self) -> &[Node] {
        match &self.value {
            Value::Array(items) => items,
            _ => std::slice::from_ref(self),
        }
    }

    /// The text of a string.
    pub fn str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The text of the string member `name`.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Node::str)
    }

    /// The value of a boolean.
    pub fn bool(&self) -> Option<bool> {
        match self.value {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The verbatim text of a number.
    pub fn number(&self) -> Option<&str> {
        match &self.value {
            Value::Number(text) => Some(text),
            _ => None,
        }
    }

    /// The bytes of this node in the text that it was parsed from.
    pub fn slice<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        text.get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }
}

/// Parses one JSON document.
pub fn parse(text: &[u8], limits: Limits) -> Result<Node, JsonError> {
    if u32::try_from(text.len()).is_err() {
        return Err(JsonError {
            kind: Fault::Nodes,
            at: text.len(),
        });
    }
    if let Err(error) = std::str::from_utf8(text) {
        return Err(JsonError {
            kind: Fault::Utf8,
            at: error.valid_up_to(),
        });
    }
    let mut parser = Parser {
        text,
        at: 0,
        left: limits.nodes,
    };
    parser.space();
    let node = parser.value(limits.depth)?;
    parser.space();
    if parser.at != text.len() {
        return parser.fail(Fault::Trailing);
    }
    Ok(node)
}

struct Parser<'t> {
    text: &'t [u8],
    at: usize,
    left: usize,
}

impl Parser<'_> {
    fn fail<T>(&self, kind: Fault) -> Result<T, JsonError> {
        Err(JsonError { kind, at: self.at })
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        match self.peek() {
            Some(found) if found == byte => {
                self.at += 1;
                Ok(())
            }
            Some(_) => self.fail(Fault::Syntax),
            None => self.fail(Fault::End),
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the length was checked to fit u32"
    )]
    fn here(&self) -> u32 {
        self.at as u32
    }

    fn value(&mut self, depth: usize) -> Result<Node, JsonError> {
        if self.left == 0 {
            return self.fail(Fault::Nodes);
        }
        self.left -= 1;
        let start = self.here();
        let value = match self.peek() {
            None => return self.fail(Fault::End),
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => Value::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => Value::Number(self.number()?),
            Some(b't') => self.word(b"true", Value::Bool(true))?,
            Some(b'f') => self.word(b"false", Value::Bool(false))?,
            Some(b'n') => self.word(b"null", Value::Null)?,
            Some(_) => return self.fail(Fault::Syntax),
        };
        Ok(Node {
            start,
            end: self.here(),
            value,
        })
    }

    fn word(&mut self, word: &[u8], value: Value) -> Result<Value, JsonError> {
        if self.text.get(self.at..self.at + word.len()) == Some(word) {
            self.at += word.len();
            return Ok(value);
        }
        self.fail(Fault::Syntax)
    }

    fn object(&mut self, depth: usize) -> Result<Value, JsonError> {
        let Some(depth) = depth.checked_sub(1) else {
            return self.fail(Fault::Depth);
        };
        self.at += 1;
        let mut members: Vec<Member> = Vec::new();
        // Names of an object with many; few are compared one by one.
        let mut names: HashSet<Box<str>> = HashSet::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(members));
        }
        loop {
            self.space();
            let start = self.here();
            if self.peek() != Some(b'"') {
                return self.fail(if self.peek().is_none() {
                    Fault::End
                } else {
                    Fault::Syntax
                });
            }
            if members.len() >= usize::from(u16::MAX) {
                return self.fail(Fault::Nodes);
            }
            let name = self.string()?;
            let twice = if members.len() < MANY {
                members.iter().any(|member| member.name == name)
            } else {
                if names.is_empty() {
                    names.extend(members.iter().map(|member| member.name.clone()));
                }
                !names.insert(name.clone())
            };
            if twice {
                self.at = start as usize;
                return self.fail(Fault::DuplicateKey);
            }
            self.space();
            self.expect(b':')?;
            self.space();
            let node = self.value(depth)?;
            members.push(Member { name, start, node });
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Value::Object(members));
                }
                Some(_) => return self.fail(Fault::Syntax),
                None => return self.fail(Fault::End),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, JsonError> {
        let Some(depth) = depth.checked_sub(1) else {
            return self.fail(Fault::Depth);
        };
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            self.space();
            // Paths count items in 16 bits: what could not be named could not be labelled.
            if items.len() >= usize::from(u16::MAX) {
                return self.fail(Fault::Nodes);
            }
            items.push(self.value(depth)?);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Value::Array(items));
                }
                Some(_) => return self.fail(Fault::Syntax),
                None => return self.fail(Fault::End),
            }
        }
    }

    fn number(&mut self) -> Result<Box<str>, JsonError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return self.fail(Fault::Number),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Ok(self.text_from(start, self.at).into())
    }

    fn digits(&mut self) {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self) -> Result<(), JsonError> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return self.fail(Fault::Number);
        }
        self.digits();
        Ok(())
    }

    /// The text between two offsets; the whole was checked as UTF-8 and both stand at ASCII bytes.
    fn text_from(&self, start: usize, end: usize) -> &str {
        self.text
            .get(start..end)
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .unwrap_or_default()
    }

    fn string(&mut self) -> Result<Box<str>, JsonError> {
        self.at += 1;
        let start = self.at;
        loop {
            match self.peek() {
                None => return self.fail(Fault::End),
                Some(b'"') => {
                    let plain = self.text_from(start, self.at).into();
                    self.at += 1;
                    return Ok(plain);
                }
                Some(b'\\') => return self.escaped(start),
                Some(0..=0x1f) => return self.fail(Fault::Syntax),
                Some(_) => self.at += 1,
            }
        }
    }

    fn escaped(&mut self, start: usize) -> Result<Box<str>, JsonError> {
        let mut out = String::from(self.text_from(start, self.at));
        loop {
            match self.peek() {
                None => return self.fail(Fault::End),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out.into());
                }
                Some(b'\\') => {
                    self.at += 1;
                    out.push(self.escape()?);
                }
                Some(0..=0x1f) => return self.fail(Fault::Syntax),
                Some(_) => {
                    let from = self.at;
                    while !matches!(self.peek(), None | Some(b'"' | b'\\' | 0..=0x1f)) {
                        self.at += 1;
                    }
                    out.push_str(self.text_from(from, self.at));
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let Some(byte) = self.peek() else {
            return self.fail(Fault::End);
        };
        self.at += 1;
        Ok(match byte {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return self.fail(Fault::Escape),
        })
    }

    fn unicode(&mut self) -> Result<char, JsonError> {
        let high = self.hex4()?;
        let code = if (0xd800..0xdc00).contains(&high) {
            if self.text.get(self.at..self.at + 2) != Some(b"\\u") {
                return self.fail(Fault::Escape);
            }
            self.at += 2;
            let low = self.hex4()?;
            if !(0xdc00..0xe000).contains(&low) {
                return self.fail(Fault::Escape);
            }
            0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)
        } else {
            high
        };
        match char::from_u32(code) {
            Some(char) => Ok(char),
            None => self.fail(Fault::Escape),
        }
    }

    fn hex4(&mut self) -> Result<u32, JsonError> {
        let digits = self.text_from(self.at, self.at + 4);
        if digits.len() != 4 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return self.fail(Fault::Escape);
        }
        let code = u32::from_str_radix(digits, 16);
        self.at += 4;
        code.or(Err(JsonError {
            kind: Fault::Escape,
            at: self.at,
        }))
    }
}

/// Whether two nodes say the same, whatever the order of members and the form of numbers.
pub fn alike(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (Value::Object(members), Value::Object(others)) => {
            members.len() == others.len()
                && members.iter().all(|member| {
                    b.get(&member.name)
                        .is_some_and(|other| alike(&member.node, other))
                })
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b))
        }
        (Value::Number(a), Value::Number(b)) => number_key(a) == number_key(b),
        (a, b) => a == b,
    }
}

/// What a JSON number is worth, whatever its form: sign, digits without zeros at either end, and the
/// power of ten of the last digit. `1.50`, `1.5` and `15e-1` have the same key.
fn number_key(text: &str) -> (bool, String, i64) {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let kept = digits.trim_end_matches('0');
    let places = |text: &str| i64::try_from(text.len()).unwrap_or(i64::MAX);
    let power = exponent
        .parse::<i64>()
        .unwrap_or(i64::MAX)
        .saturating_sub(places(fraction))
        .saturating_add(places(&digits) - places(kept));
    let kept = kept.trim_start_matches('0');
    if kept.is_empty() {
        return (false, String::new(), 0);
    }
    (negative, kept.to_owned(), power)
}

/// Appends `text` to `out` as a JSON string, quotes included.
pub fn quote(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for char in text.chars() {
        match char {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            char if (char as u32) < 0x20 => {
                out.extend_from_slice(format!("\\u{:04x}", char as u32).as_bytes());
            }
            char => {
                let mut buffer = [0; 4];
                out.extend_from_slice(char.encode_utf8(&mut buffer).as_bytes());
            }
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests;
