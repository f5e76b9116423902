//! Reads Rust source as text, with care for comments, literals and test modules. It knows no types:
//! what it can't see is what rustfmt never writes.

/// One file, taken apart.
#[derive(Debug)]
pub struct Source {
    /// Below the project's folder, with `/`.
    pub path: String,
    /// The code: comments, literals and test modules are blank.
    pub code: String,
    /// The text literals outside test modules, with their lines.
    pub texts: Vec<(usize, String)>,
    /// How many lines it has.
    pub lines: usize,
}

impl Source {
    /// Takes a file apart.
    pub fn read(path: &str, text: &str) -> Source {
        let (mut code, literals) = blank(text);
        for (from, to) in tests_in(&code) {
            erase(&mut code, from, to);
        }
        let name = path.rsplit('/').next().unwrap_or(path);
        if name == "tests.rs" || name.ends_with("_tests.rs") {
            let all = code.len();
            erase(&mut code, 0, all);
        }
        let kept = |at: &usize| code.get(*at) == Some(&'"');
        let texts = literals.into_iter().filter(|(at, _)| kept(at));
        let line = |at: usize| 1 + code.iter().take(at).filter(|c| **c == '\n').count();
        Source {
            path: path.into(),
            texts: texts.map(|(at, text)| (line(at), text)).collect(),
            code: code.into_iter().collect(),
            lines: text.lines().count(),
        }
    }

    /// The module that the file is: `src/a/mod.rs` and `src/a.rs` are `[a]`.
    pub fn module(&self) -> Vec<&str> {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        let mut parts: Vec<_> = path.split('/').collect();
        if parts.last() == Some(&"mod") {
            parts.pop();
        }
        parts
    }

    /// Every path that begins with one of `crate`, `confide`, `super`, `std`, `tokio`, braces
    /// written out; `super` is resolved. Each with its line.
    pub fn paths(&self) -> Vec<(usize, Vec<String>)> {
        let code: Vec<char> = self.code.chars().collect();
        let mut out = Vec::new();
        let (mut at, mut line) = (0, 1);
        while at < code.len() {
            let word = word_at(&code, at);
            let begins = ["crate", "confide", "super", "std", "tokio"].contains(&word.as_str());
            let after_path = at >= 2 && code[at - 1] == ':' && code[at - 2] == ':';
            if begins && !after_path && follows(&code, at + word.len(), "::") {
                let mut found = Vec::new();
                let end = tree(&code, at, &mut Vec::new(), &mut found);
                for path in found {
                    out.extend(self.resolve(path).map(|path| (line, path)));
                }
                line += code[at..end].iter().filter(|c| **c == '\n').count();
                at = end;
                continue;
            }
            let step = word.len().max(1);
            line += code[at..at + step].iter().filter(|c| **c == '\n').count();
            at += step;
        }
        out
    }

    /// `super::…` as `crate::…`; `confide::…` too.
    fn resolve(&self, path: Vec<String>) -> Option<Vec<String>> {
        let ups = path.iter().take_while(|part| *part == "super").count();
        if ups == 0 {
            let mut path = path;
            if path[0] == "confide" {
                path[0] = "crate".into();
            }
            return Some(path);
        }
        let module = self.module();
        let kept = module.len().checked_sub(ups)?;
        let crate_ = std::iter::once("crate".to_owned());
        let above = module.into_iter().take(kept).map(str::to_owned);
        Some(
            crate_
                .chain(above)
                .chain(path.into_iter().skip(ups))
                .collect(),
        )
    }

    /// The lines whose code has this, at the beginning of a word.
    pub fn lines_with(&self, needle: &str) -> Vec<usize> {
        let starts_word = needle.starts_with(|c: char| c.is_alphanumeric());
        let has = |line: &str| {
            line.match_indices(needle).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                !(starts_word && before.is_some_and(|c| c.is_alphanumeric() || c == '_'))
            })
        };
        let lines = self.code.lines().enumerate();
        lines
            .filter(|(_, line)| has(line))
            .map(|(at, _)| at + 1)
            .collect()
    }

    /// The lines whose code has this as a whole word.
    pub fn lines_with_word(&self, word: &str) -> Vec<usize> {
        let has = |line: &str| {
            let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            words.into_iter().any(|known| known == word)
        };
        let lines = self.code.lines().enumerate();
        lines
            .filter(|(_, line)| has(line))
            .map(|(at, _)| at + 1)
            .collect()
    }
}

fn erase(code: &mut [char], from: usize, to: usize) {
    for c in code.iter_mut().take(to).skip(from).filter(|c| **c != '\n') {
        *c = ' ';
    }
}

fn word_at(code: &[char], at: usize) -> String {
    let inside = |c: &&char| c.is_alphanumeric() || **c == '_';
    code[at..].iter().take_while(inside).collect()
}

fn follows(code: &[char], at: usize, text: &str) -> bool {
    code[at.min(code.len())..]
        .iter()
        .copied()
        .zip(text.chars())
        .filter(|(a, b)| a == b)
        .count()
        == text.len()
}

/// Reads a path or a tree of them from `at`; gives where it ends.
fn tree(code: &[char], at: usize, before: &mut Vec<String>, out: &mut Vec<Vec<String>>) -> usize {
    let depth = before.len();
    let mut at = at;
    loop {
        if code.get(at) == Some(&'{') {
            at += 1;
            loop {
                while code.get(at).is_some_and(|c| c.is_whitespace() || *c == ',') {
                    at += 1;
                }
                match code.get(at) {
                    Some('}') => break at += 1,
                    None => break,
                    _ => {
                        let next = tree(code, at, before, out);
                        // `a as b`, and anything else that is no path, is stepped over.
                        at = next.max(at + 1);
                        while code.get(at).is_some_and(|c| !matches!(c, ',' | '}')) {
                            at += 1;
                        }
                    }
                }
            }
            break;
        }
        let word = word_at(code, at);
        at += word.len();
        if !word.is_empty() {
            before.push(word);
        }
        if !follows(code, at, "::") {
            out.push(before.clone());
            break;
        }
        at += 2;
    }
    before.truncate(depth);
    at
}

/// Blanks comments and the insides of literals; gives the text literals with where they begin.
fn blank(text: &str) -> (Vec<char>, Vec<(usize, String)>) {
    let from: Vec<char> = text.chars().collect();
    let mut code = from.clone();
    let mut literals = Vec::new();
    let mut at = 0;
    while at < from.len() {
        let end = match from[at] {
            '/' if from.get(at + 1) == Some(&'/') => {
                let end = from[at..].iter().position(|c| *c == '\n');
                let end = end.map_or(from.len(), |end| at + end);
                erase(&mut code, at, end);
                end
            }
            '/' if from.get(at + 1) == Some(&'*') => {
                let end = after_block(&from, at);
                erase(&mut code, at, end);
                end
            }
            '"' => {
                let (inner, end) = literal(&from, at);
                literals.push((at, inner));
                erase(&mut code, at + 1, end - 1);
                end
            }
            '\'' => after_quote(&from, at, &mut code),
            _ => at + 1,
        };
        at = end;
    }
    (code, literals)
}

fn after_block(from: &[char], at: usize) -> usize {
    let (mut depth, mut at) = (0_usize, at);
    while at < from.len() {
        if follows(from, at, "/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if follows(from, at, "*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    at
}

/// The text of the literal that begins at this quote, and where it ends.
fn literal(from: &[char], at: usize) -> (String, usize) {
    let hashes = from[..at].iter().rev().take_while(|c| **c == '#').count();
    let raw = from[..at - hashes].last() == Some(&'r');
    let mut end = at + 1;
    while end < from.len() {
        match from[end] {
            '\\' if !raw => end += 2,
            '"' if !raw
                || from[end + 1..]
                    .iter()
                    .take(hashes)
                    .filter(|c| **c == '#')
                    .count()
                    == hashes =>
            {
                return (from[at + 1..end].iter().collect(), end + 1);
            }
            _ => end += 1,
        }
    }
    (from[at + 1..].iter().collect(), from.len())
}

/// A character literal is blanked, a lifetime is kept.
fn after_quote(from: &[char], at: usize, code: &mut [char]) -> usize {
    let end = match (from.get(at + 1), from.get(at + 2)) {
        (Some('\\'), _) => {
            let close = from[at + 3..].iter().position(|c| *c == '\'');
            close.map_or(from.len(), |close| at + 3 + close + 1)
        }
        (Some(_), Some('\'')) => at + 3,
        _ => return at + 1,
    };
    erase(code, at, end);
    end
}

/// The spans of items below `#[cfg(test)]`.
fn tests_in(code: &[char]) -> Vec<(usize, usize)> {
    const MARK: &str = "#[cfg(test)]";
    let mut out = Vec::new();
    let mut at = 0;
    while at < code.len() {
        if !follows(code, at, MARK) {
            at += 1;
            continue;
        }
        let mut depth = 0;
        let mut end = at + MARK.len();
        while end < code.len() {
            match code[end] {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            end += 1;
            if depth == 0 && matches!(code[end - 1], '}' | ';') {
                break;
            }
        }
        out.push((at, end));
        at = end;
    }
    out
}
