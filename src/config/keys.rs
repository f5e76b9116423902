//! The keys of the configuration as data: one table that checks files and environment, names what is
//! wrong, and is compared with `docs/operations.md` by a test.

use std::{collections::BTreeMap, fmt, path::PathBuf};

/// What kind of value a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Any text.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Texts; in one text, with commas between them.
    List,
    /// A whole number from and to.
    Number(u64, u64),
}

/// Every key: its dotted name, its shape, its default as a person reads it.
pub(crate) const KEYS: &[(&str, Shape, &str)] = &[
    ("listen", Shape::Text, "127.0.0.1:8080"),
    ("public_url", Shape::Text, "http://<listen>"),
    ("trusted_proxies", Shape::List, "unset"),
    (
        "database_url",
        Shape::Text,
        "sqlite://<data_dir>/confide.db",
    ),
    ("database_connections", Shape::Number(1, 500), "8"),
    ("data_dir", Shape::Text, "./confide-data"),
    ("metrics_listen", Shape::Text, "unset"),
    ("log_format", Shape::Word(&["text", "json"]), "text"),
    (
        "validation",
        Shape::Word(&["strict", "structure"]),
        "strict",
    ),
    (
        "policy.household",
        Shape::Word(&["claims", "clinical"]),
        "claims",
    ),
    ("policy.household_basis", Shape::Text, "unset"),
    ("policy.break_glass_minutes", Shape::Number(1, 1440), "60"),
    (
        "operator.kind",
        Shape::Word(&["provider", "plan", "vendor"]),
        "provider",
    ),
    (
        "operator.patients",
        Shape::Word(&["all", "organization"]),
        "all",
    ),
    ("integrity", Shape::Word(&["relaxed", "strict"]), "relaxed"),
    (
        "limits.body_bytes",
        Shape::Number(1024, 1 << 30),
        "16777216",
    ),
    ("limits.request_seconds", Shape::Number(1, 3600), "30"),
    (
        "limits.concurrent_requests",
        Shape::Number(1, 1_000_000),
        "512",
    ),
    ("limits.json_depth", Shape::Number(8, 512), "64"),
    (
        "limits.json_nodes",
        Shape::Number(1000, 100_000_000),
        "2000000",
    ),
    (
        "limits.bundle_entries",
        Shape::Number(1, 1_000_000),
        "10000",
    ),
    ("limits.search_count_max", Shape::Number(1, 10_000), "1000"),
    (
        "limits.requests_per_second",
        Shape::Number(1, 1_000_000),
        "unset",
    ),
];

/// Where a value came from, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A configuration file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// A flag of the command line.
    CommandLine,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(path) => write!(f, "{}", path.display()),
            Source::Environment(name) => write!(f, "environment {name}"),
            Source::CommandLine => f.write_str("command line"),
        }
    }
}

/// A configuration that can't be used: the key, its problem, where it was said. Exit code 2.
/// Values are never repeated, for any of them may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read or is not TOML.
    #[error("{}: {problem}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A key that doesn't exist.
    #[error("{from}: {key}: unknown key{}", hint(key))]
    Unknown {
        /// The key as written, dotted.
        key: String,
        /// Where.
        from: Source,
    },
    /// A value that can't be used.
    #[error("{from}: {key}: {problem}")]
    Value {
        /// The key, dotted.
        key: &'static str,
        /// What is wrong with the value.
        problem: String,
        /// Where.
        from: Source,
    },
    /// A key is missing that another one needs.
    #[error("{key}: {problem}")]
    Missing {
        /// The key that is missing.
        key: &'static str,
        /// Why it is needed.
        problem: &'static str,
    },
}

/// Points at a key with the same last part, the likeliest slip: `household` for `policy.household`.
fn hint(key: &str) -> String {
    let last = key.rsplit('.').next().unwrap_or(key);
    KEYS.iter()
        .find(|(known, ..)| known.rsplit('.').next() == Some(last))
        .map(|(known, ..)| format!("; did you mean {known}?"))
        .unwrap_or_default()
}

/// A value of the right shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// Text, or one of a key's words.
    Text(String),
    /// A number within its bounds.
    Number(u64),
}

/// What was said, key by key; a later layer overrides an earlier one.
#[derive(Debug, Default)]
pub(crate) struct Said {
    values: BTreeMap<&'static str, (Value, Source)>,
}

impl Said {
    /// Takes one text of the environment or the command line for a key.
    pub(crate) fn put_text(
        &mut self,
        key: &str,
        text: &str,
        from: Source,
    ) -> Result<(), ConfigError> {
        let value = text
            .parse()
            .map_or_else(|_| toml::Value::from(text), toml::Value::Integer);
        self.put(key, &value, text, from)
    }

    /// Takes every key of a file's table.
    pub(crate) fn put_table(
        &mut self,
        table: &toml::Table,
        prefix: &str,
        from: &Source,
    ) -> Result<(), ConfigError> {
        for (name, value) in table {
            let key = format!("{prefix}{name}");
            match value {
                toml::Value::Table(inner) => self.put_table(inner, &format!("{key}."), from)?,
                toml::Value::String(text) => self.put(&key, value, text, from.clone())?,
                toml::Value::Array(items) => {
                    let texts: Option<Vec<&str>> = items.iter().map(|item| item.as_str()).collect();
                    let text = texts.map(|texts| texts.join(",")).unwrap_or_default();
                    self.put(&key, value, &text, from.clone())?;
                }
                _ => self.put(&key, value, "", from.clone())?,
            }
        }
        Ok(())
    }

    fn put(
        &mut self,
        key: &str,
        value: &toml::Value,
        text: &str,
        from: Source,
    ) -> Result<(), ConfigError> {
        let Some((key, shape, _)) = KEYS.iter().find(|(known, ..)| *known == key) else {
            let key = key.to_owned();
            return Err(ConfigError::Unknown { key, from });
        };
        let textual = value.is_str() || !text.is_empty() && !value.is_array();
        let fitting = match (shape, value) {
            (Shape::Text, _) if textual => Ok(Value::Text(text.to_owned())),
            (Shape::Text, _) => Err("must be a text".to_owned()),
            (Shape::List, _) if textual || !text.is_empty() => Ok(Value::Text(text.to_owned())),
            (Shape::List, _) => Err("must be a list of texts".to_owned()),
            (Shape::Word(words), _) if textual && words.contains(&text) => {
                Ok(Value::Text(text.to_owned()))
            }
            (Shape::Word(words), _) => Err(format!("must be one of: {}", words.join(", "))),
            (Shape::Number(from, to), toml::Value::Integer(number)) => u64::try_from(*number)
                .ok()
                .filter(|number| (from..=to).contains(&number))
                .map(Value::Number)
                .ok_or_else(|| format!("must be from {from} to {to}")),
            (Shape::Number(from, to), _) => {
                Err(format!("must be a whole number from {from} to {to}"))
            }
        };
        let value = fitting.map_err(|problem| ConfigError::Value {
            key,
            problem,
            from: from.clone(),
        })?;
        self.values.insert(key, (value, from));
        Ok(())
    }

    /// The text of a key, or `None` where it was not said.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.values.get(key) {
            Some((Value::Text(text), _)) => Some(text),
            _ => None,
        }
    }

    /// The number of a key, or `None` where it was not said.
    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        match self.values.get(key) {
            Some((Value::Number(number), _)) => Some(*number),
            _ => None,
        }
    }

    /// The error that a key's value can't be used.
    pub(crate) fn refuse(&self, key: &'static str, problem: impl Into<String>) -> ConfigError {
        let from = self
            .values
            .get(key)
            .map_or(Source::CommandLine, |(_, from)| from.clone());
        ConfigError::Value {
            key,
            problem: problem.into(),
            from,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_lists_every_key() {
        let manual = include_str!("../../docs/operations.md");
        for (key, _, default) in KEYS {
            let row = format!("| `{key}` | `CONFIDE_{}` |", env_name(key));
            assert!(manual.contains(&row), "docs/operations.md: no row {row}");
            let row = manual.lines().find(|line| line.contains(&row)).unwrap();
            assert!(
                row.contains(default),
                "{key}: default {default} not in {row}"
            );
        }
    }

    fn env_name(key: &str) -> String {
        key.replace('.', "__").to_uppercase()
    }

    #[test]
    fn a_slip_gets_a_hint() {
        let error = ConfigError::Unknown {
            key: "household".into(),
            from: Source::Environment("CONFIDE_HOUSEHOLD".into()),
        };
        assert_eq!(
            error.to_string(),
            "environment CONFIDE_HOUSEHOLD: household: unknown key; did you mean policy.household?"
        );
    }
}
