//! Tokens to a tree that is ready to evaluate (<http://hl7.org/fhirpath/N1/#grammar>).

use super::{
    CompileError, CompileFault,
    function::{Function, Text},
    lexer::{Dollar, Lexeme, Token, tokens},
    quantity,
    text::Pattern,
    types::Specifier,
    value::Value,
};

/// Most expressions inside one another: evaluation recurses as deeply.
const DEPTH: usize = 100;

/// Longest text of an expression.
const LENGTH: usize = 16 * 1024;

/// A compiled expression.
#[derive(Debug, Clone)]
pub(super) enum Expr {
    This,
    Index,
    Total,
    Empty,
    Literal(Value<'static>),
    Variable(Box<str>),
    /// A name with which a path begins: an element of what is in focus, or its type.
    Head(Name),
    Member(Box<Expr>, Name),
    At(Box<Expr>, Box<Expr>),
    Call(Box<Expr>, Function, Box<[Expr]>),
    /// `matches` and its kin with a literal pattern.
    Pattern(Box<Expr>, Text, Pattern, Box<[Expr]>),
    Is(Box<Expr>, Specifier),
    /// `as` and `ofType`: those of a type. R4's own expressions apply `as` to collections.
    Of(Box<Expr>, Specifier),
    Negate(Box<Expr>),
    Binary(Op, Box<Expr>, Box<Expr>),
}

/// An element's name, with what it is called where it is a choice, and where a primitive's id and
/// extensions are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) plain: Box<str>,
    pub(super) choice: Box<str>,
    pub(super) extra: Box<str>,
}

/// A binary operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Implies,
    Or,
    Xor,
    And,
    In,
    Contains,
    Equal,
    Unequal,
    Equivalent,
    Inequivalent,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Union,
    Add,
    Subtract,
    Concatenate,
    Multiply,
    Divide,
    Div,
    Mod,
}

/// Operators with how strongly they bind.
const OPERATORS: [(&str, Op, u8); 22] = [
    ("implies", Op::Implies, 1),
    ("or", Op::Or, 2),
    ("xor", Op::Xor, 2),
    ("and", Op::And, 3),
    ("in", Op::In, 4),
    ("contains", Op::Contains, 4),
    ("=", Op::Equal, 5),
    ("!=", Op::Unequal, 5),
    ("~", Op::Equivalent, 5),
    ("!~", Op::Inequivalent, 5),
    ("<", Op::Less, 6),
    ("<=", Op::LessOrEqual, 6),
    (">", Op::Greater, 6),
    (">=", Op::GreaterOrEqual, 6),
    ("|", Op::Union, 7),
    ("+", Op::Add, 9),
    ("-", Op::Subtract, 9),
    ("&", Op::Concatenate, 9),
    ("*", Op::Multiply, 10),
    ("/", Op::Divide, 10),
    ("div", Op::Div, 10),
    ("mod", Op::Mod, 10),
];

/// How strongly `is` and `as` bind: between `|` and `+`.
const TYPE: u8 = 8;

/// Words that are never names; `as`, `contains`, `in` and `is` may be.
const KEYWORDS: [&str; 8] = ["and", "or", "xor", "implies", "div", "mod", "true", "false"];

impl Expr {
    /// The sides of the unions at its top; itself where there is none.
    pub(super) fn alternatives(&self) -> Vec<&Expr> {
        match self {
            Expr::Binary(Op::Union, left, right) => {
                let mut all = left.alternatives();
                all.extend(right.alternatives());
                all
            }
            expr => vec![expr],
        }
    }
}

impl Name {
    fn of(plain: Box<str>) -> Name {
        Name {
            choice: format!("{plain}[x]").into(),
            extra: format!("_{plain}").into(),
            plain,
        }
    }
}

/// Compiles a text.
pub(super) fn parse(text: &str) -> Result<Expr, CompileError> {
    if text.len() > LENGTH {
        return Err(CompileError {
            fault: CompileFault::Long,
            at: LENGTH,
        });
    }
    let mut parser = Parser {
        tokens: tokens(text)?,
        next: 0,
        end: text.len(),
        depth: 0,
    };
    let (expr, _) = parser.expression(0)?;
    match parser.peek() {
        None => Ok(expr),
        Some(_) => parser.fail(CompileFault::Syntax),
    }
}

/// An expression and how deep it is.
type Deep = (Expr, usize);

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    end: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Lexeme> {
        self.tokens.get(self.next).map(|token| &token.kind)
    }

    fn take(&mut self) -> Option<Lexeme> {
        let token = self.tokens.get(self.next).cloned()?;
        self.next += 1;
        Some(token.kind)
    }

    fn fail<T>(&self, fault: CompileFault) -> Result<T, CompileError> {
        let token = self.tokens.get(self.next);
        let at = token.map_or(self.end, |token| token.at);
        let fault = match (fault, token) {
            (CompileFault::Syntax, None) => CompileFault::End,
            (fault, _) => fault,
        };
        Err(CompileError { fault, at })
    }

    fn sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Lexeme::Sign(found)) if *found == sign);
        if found {
            self.next += 1;
        }
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), CompileError> {
        if self.sign(sign) {
            return Ok(());
        }
        self.fail(CompileFault::Syntax)
    }

    fn checked(&self, expr: Expr, depth: usize) -> Result<Deep, CompileError> {
        if depth > DEPTH {
            return self.fail(CompileFault::Depth);
        }
        Ok((expr, depth))
    }

    /// The word or sign of an operator that stands next.
    fn operator(&self) -> Option<&str> {
        match self.peek()? {
            Lexeme::Sign(sign) => Some(sign),
            Lexeme::Name(name, false) => Some(name),
            _ => None,
        }
    }

    fn expression(&mut self, least: u8) -> Result<Deep, CompileError> {
        self.depth += 1;
        if self.depth > DEPTH {
            return self.fail(CompileFault::Depth);
        }
        let (mut left, mut depth) = self.unary()?;
        while let Some(word) = self.operator() {
            if least <= TYPE && (word == "is" || word == "as") {
                let asks = word == "is";
                self.next += 1;
                let kind = self.specifier()?;
                let inner = Box::new(left);
                left = if asks {
                    Expr::Is(inner, kind)
                } else {
                    Expr::Of(inner, kind)
                };
                depth += 1;
                continue;
            }
            let found = OPERATORS.iter().find(|(known, ..)| *known == word);
            let Some((_, op, strength)) = found else {
                break;
            };
            if *strength < least {
                break;
            }
            self.next += 1;
            // All operators group to the left.
            let (right, deep) = self.expression(strength + 1)?;
            depth = 1 + depth.max(deep);
            left = Expr::Binary(*op, Box::new(left), Box::new(right)).folded();
            self.checked(Expr::Empty, depth)?;
        }
        self.depth -= 1;
        self.checked(left, depth)
    }

    fn unary(&mut self) -> Result<Deep, CompileError> {
        let minus = matches!(self.peek(), Some(Lexeme::Sign("-")));
        if !minus && !matches!(self.peek(), Some(Lexeme::Sign("+"))) {
            return self.postfix();
        }
        self.next += 1;
        self.depth += 1;
        if self.depth > DEPTH {
            return self.fail(CompileFault::Depth);
        }
        let (inner, depth) = self.unary()?;
        self.depth -= 1;
        if !minus {
            return Ok((inner, depth));
        }
        self.checked(Expr::Negate(Box::new(inner)).folded(), depth + 1)
    }

    fn postfix(&mut self) -> Result<Deep, CompileError> {
        let (mut expr, mut depth) = self.term()?;
        loop {
            if self.sign(".") {
                let Some(lexeme) = self.take() else {
                    return self.fail(CompileFault::Syntax);
                };
                let name = match lexeme {
                    Lexeme::Name(name, _) => name,
                    // What `select($this)` would give.
                    Lexeme::Dollar(Dollar::This) => continue,
                    _ => {
                        self.next -= 1;
                        return self.fail(CompileFault::Syntax);
                    }
                };
                if self.sign("(") {
                    (expr, depth) = self.call(expr, depth, &name)?;
                } else {
                    expr = Expr::Member(Box::new(expr), Name::of(name));
                    depth += 1;
                }
            } else if self.sign("[") {
                let (index, deep) = self.expression(0)?;
                self.expect("]")?;
                expr = Expr::At(Box::new(expr), Box::new(index));
                depth = 1 + depth.max(deep);
            } else {
                return self.checked(expr, depth);
            }
        }
    }

    fn term(&mut self) -> Result<Deep, CompileError> {
        let Some(lexeme) = self.take() else {
            return self.fail(CompileFault::Syntax);
        };
        let expr = match lexeme {
            Lexeme::Sign("(") => {
                let inner = self.expression(0)?;
                self.expect(")")?;
                return Ok(inner);
            }
            Lexeme::Sign("{") => {
                self.expect("}")?;
                Expr::Empty
            }
            Lexeme::Text(text) => Expr::Literal(Value::String(String::from(text).into())),
            Lexeme::Number(digits) => Expr::Literal(self.number(&digits)?),
            Lexeme::Temporal(temporal) => Expr::Literal(Value::Temporal(temporal)),
            Lexeme::External(name) => Expr::Variable(name),
            Lexeme::Dollar(dollar) => dollar.expr(),
            Lexeme::Name(name, quoted) => {
                if !quoted && (&*name == "true" || &*name == "false") {
                    Expr::Literal(Value::Boolean(&*name == "true"))
                } else if !quoted && KEYWORDS.contains(&&*name) {
                    self.next -= 1;
                    return self.fail(CompileFault::Syntax);
                } else if self.sign("(") {
                    return self.call(Expr::This, 1, &name);
                } else {
                    Expr::Head(Name::of(name))
                }
            }
            Lexeme::Sign(_) => {
                self.next -= 1;
                return self.fail(CompileFault::Syntax);
            }
        };
        Ok((expr, 1))
    }

    /// A number, or a quantity where a unit follows it.
    fn number(&mut self, digits: &str) -> Result<Value<'static>, CompileError> {
        let Some(number) = Value::number(digits) else {
            return self.fail(CompileFault::Literal);
        };
        let unit = match self.peek() {
            Some(Lexeme::Text(unit)) => unit.clone(),
            Some(Lexeme::Name(word, false)) if quantity::calendar(word).is_some() => word.clone(),
            _ => return Ok(number),
        };
        let calendar = matches!(self.peek(), Some(Lexeme::Name(..)));
        self.next += 1;
        let Some(value) = number.decimal() else {
            return self.fail(CompileFault::Literal);
        };
        Ok(Value::Quantity(quantity::Quantity::new(
            value,
            String::from(unit).into(),
            calendar,
        )))
    }

    fn specifier(&mut self) -> Result<Specifier, CompileError> {
        let mut names = Vec::new();
        loop {
            match self.take() {
                Some(Lexeme::Name(name, _)) => names.push(name),
                Some(_) => {
                    self.next -= 1;
                    return self.fail(CompileFault::Syntax);
                }
                None => return self.fail(CompileFault::Syntax),
            }
            if !self.sign(".") {
                break;
            }
        }
        match Specifier::read(&names) {
            Some(specifier) => Ok(specifier),
            None => self.fail(CompileFault::Type),
        }
    }

    /// A call, after its opening bracket.
    fn call(&mut self, input: Expr, depth: usize, name: &str) -> Result<Deep, CompileError> {
        if matches!(name, "is" | "as" | "ofType") {
            let kind = self.specifier()?;
            self.expect(")")?;
            let inner = Box::new(input);
            let expr = match name {
                "is" => Expr::Is(inner, kind),
                _ => Expr::Of(inner, kind),
            };
            return self.checked(expr, depth + 1);
        }
        let Some((function, least, most)) = Function::named(name) else {
            self.next = self.next.saturating_sub(2);
            return self.fail(CompileFault::Function);
        };
        let (mut arguments, mut deepest) = (Vec::new(), depth);
        if !self.sign(")") {
            loop {
                let (argument, deep) = self.expression(0)?;
                arguments.push(argument);
                deepest = deepest.max(deep);
                if !self.sign(",") {
                    break;
                }
            }
            self.expect(")")?;
        }
        if !(least..=most).contains(&arguments.len()) {
            return self.fail(CompileFault::Arguments);
        }
        let input = Box::new(input);
        let expr = match (function, arguments.first()) {
            (
                Function::Text(kind @ (Text::Matches | Text::MatchesFull | Text::ReplaceMatches)),
                Some(Expr::Literal(Value::String(pattern))),
            ) => {
                let pattern = Pattern::new(pattern);
                Expr::Pattern(input, kind, pattern, arguments.into())
            }
            _ => Expr::Call(input, function, arguments.into()),
        };
        self.checked(expr, deepest + 1)
    }
}

impl Dollar {
    fn expr(self) -> Expr {
        match self {
            Dollar::This => Expr::This,
            Dollar::Index => Expr::Index,
            Dollar::Total => Expr::Total,
        }
    }
}
