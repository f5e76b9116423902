//! Text to tokens (<http://hl7.org/fhirpath/N1/#grammar>, the lexical part).

use super::{CompileError, CompileFault, temporal::Temporal};

/// A token and the byte at which it begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Lexeme,
    pub(super) at: usize,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Lexeme {
    /// A name or keyword; `true` where it stood in backticks.
    Name(Box<str>, bool),
    /// A string, escapes undone.
    Text(Box<str>),
    /// Digits, perhaps with a fraction.
    Number(Box<str>),
    /// `@2020-01`, `@T10:00`.
    Temporal(Temporal),
    /// `%name`.
    External(Box<str>),
    /// `$this`, `$index`, `$total`.
    Dollar(Dollar),
    /// An operator or bracket.
    Sign(&'static str),
}

/// The special variables of lambdas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dollar {
    This,
    Index,
    Total,
}

/// Longer signs stand before those that they begin with.
const SIGNS: [&str; 22] = [
    "<=", ">=", "!=", "!~", "(", ")", "[", "]", "{", "}", ".", ",", "+", "-", "*", "/", "&", "|",
    "<", ">", "=", "~",
];

/// All tokens of a text.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, CompileError> {
    let mut lexer = Lexer { text, at: 0 };
    let mut out = Vec::new();
    loop {
        lexer.space()?;
        let at = lexer.at;
        match lexer.token()? {
            Some(kind) => out.push(Token { kind, at }),
            None => return Ok(out),
        }
    }
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn fail<T>(&self, fault: CompileFault) -> Result<T, CompileError> {
        Err(CompileError { fault, at: self.at })
    }

    /// The longest run from here of characters that fit.
    fn run(&mut self, fits: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c| !fits(c)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = self.rest().starts_with(sign);
        if found {
            self.at += sign.len();
        }
        found
    }

    /// White space and comments.
    fn space(&mut self) -> Result<(), CompileError> {
        loop {
            self.run(char::is_whitespace);
            if self.take("//") {
                self.run(|c| c != '\n');
            } else if self.rest().starts_with("/*") {
                match self.rest().find("*/") {
                    Some(end) => self.at += end + 2,
                    None => return self.fail(CompileFault::End),
                }
            } else {
                return Ok(());
            }
        }
    }

    fn token(&mut self) -> Result<Option<Lexeme>, CompileError> {
        let Some(first) = self.peek() else {
            return Ok(None);
        };
        Ok(Some(match first {
            'A'..='Z' | 'a'..='z' | '_' => Lexeme::Name(self.name().into(), false),
            '0'..='9' => Lexeme::Number(self.number().into()),
            '`' => Lexeme::Name(self.quoted('`')?, true),
            '\'' => Lexeme::Text(self.quoted('\'')?),
            '@' => {
                self.at += 1;
                self.temporal()?
            }
            '%' => {
                self.at += 1;
                Lexeme::External(match self.peek() {
                    Some(quote @ ('`' | '\'' | '"')) => self.quoted(quote)?,
                    _ => self.external()?,
                })
            }
            '$' => {
                self.at += 1;
                Lexeme::Dollar(match self.name() {
                    "this" => Dollar::This,
                    "index" => Dollar::Index,
                    "total" => Dollar::Total,
                    _ => return self.fail(CompileFault::Syntax),
                })
            }
            _ => match SIGNS.iter().find(|sign| self.take(sign)) {
                Some(sign) => Lexeme::Sign(sign),
                None => return self.fail(CompileFault::Syntax),
            },
        }))
    }

    fn name(&mut self) -> &'t str {
        self.run(|c| c.is_ascii_alphanumeric() || c == '_')
    }

    /// `%vs-name` may have hyphens, as in the specification's own text.
    fn external(&mut self) -> Result<Box<str>, CompileError> {
        let name = self.run(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        if name.is_empty() {
            return self.fail(CompileFault::Syntax);
        }
        Ok(name.into())
    }

    fn number(&mut self) -> &'t str {
        let start = self.at;
        self.run(|c| c.is_ascii_digit());
        let rest = self.rest();
        let mut next = rest.chars();
        if next.next() == Some('.') && next.next().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
            self.run(|c| c.is_ascii_digit());
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn temporal(&mut self) -> Result<Lexeme, CompileError> {
        let start = self.at;
        // A sign ends a date, but not a time: there it begins the zone.
        self.run(|c| c.is_ascii_digit() || c == '-');
        if self.take("T") {
            self.run(|c| c.is_ascii_digit() || c == ':');
            let mut next = self.rest().chars();
            if next.next() == Some('.') && next.next().is_some_and(|c| c.is_ascii_digit()) {
                self.at += 1;
                self.run(|c| c.is_ascii_digit());
            }
            if !self.take("Z") && matches!(self.peek(), Some('+' | '-')) {
                let zone = self.rest().as_bytes();
                let digits = |from: usize, to: usize| {
                    zone.get(from..to)
                        .is_some_and(|bytes| bytes.iter().all(u8::is_ascii_digit))
                };
                if digits(1, 3) && zone.get(3) == Some(&b':') && digits(4, 6) {
                    self.at += 6;
                }
            }
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        match Temporal::literal(text) {
            Some(temporal) => Ok(Lexeme::Temporal(temporal)),
            None => self.fail(CompileFault::Literal),
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Box<str>, CompileError> {
        self.at += quote.len_utf8();
        let mut out = String::new();
        loop {
            out.push_str(self.run(|c| c != quote && c != '\\'));
            match self.peek() {
                None => return self.fail(CompileFault::End),
                Some('\\') => {
                    self.at += 1;
                    out.push(self.escape()?);
                }
                Some(_) => {
                    self.at += quote.len_utf8();
                    return Ok(out.into());
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, CompileError> {
        let Some(char) = self.peek() else {
            return self.fail(CompileFault::End);
        };
        self.at += char.len_utf8();
        Ok(match char {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'f' => '\u{c}',
            'u' => {
                let digits = self.rest().get(..4);
                let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
                match code.and_then(char::from_u32) {
                    Some(char) => {
                        self.at += 4;
                        char
                    }
                    None => return self.fail(CompileFault::Literal),
                }
            }
            other => other,
        })
    }
}
