//! L7, plain data usable from L4 up: one typed configuration, checked at start, never at use.
//!
//! Layers, later over earlier: defaults, `confide.toml`, `CONFIDE_…` in the environment, flags.

mod keys;

pub use keys::{ConfigError, Source};

use ipnet::IpNet;
use keys::Said;
use std::{
    ffi::OsString,
    fmt,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

/// The file that is read when it exists and no other is named.
pub const FILE: &str = "confide.toml";

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where the server listens.
    pub listen: SocketAddr,
    /// The base that clients know, without a slash at its end.
    pub public_url: String,
    /// The proxies in front whose forwarded headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The store.
    pub database: Database,
    /// Connections for reading, where the store is not embedded.
    pub connections: u16,
    /// Keys, embedded store, exports.
    pub data_dir: PathBuf,
    /// Where `/metrics` listens alone; on the main listener when absent.
    pub metrics_listen: Option<SocketAddr>,
    /// How logs look.
    pub log_format: LogFormat,
    /// How far what is written is checked against FHIR's definitions.
    pub validation: Validation,
    /// What the operator has decided.
    pub policy: PolicyConfig,
    /// Who runs this server.
    pub operator: OperatorConfig,
    /// Whether a reference must name a record that is there.
    pub strict: bool,
    /// Bounds of a request.
    pub limits: LimitsConfig,
}

/// Which store, from `database_url`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// The embedded store: a file.
    Sqlite(PathBuf),
    /// A PostgreSQL database.
    Postgres(Address),
}

/// The address of a database, which can hold a password: shown without it.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Box<str>);

impl Address {
    /// The whole of it, for connecting.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Address {
    /// Host and database: no user, no password, no parameters (a password can be one).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
        write!(f, "postgres://{place}")
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// How logs look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the contract's own words")]
pub enum LogFormat {
    Text,
    Json,
}

/// How far what is written is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validation {
    /// Structure, formats, targets, required bindings, contained resources, narrative, invariants.
    Strict,
    /// Structure, formats and targets: for data that is real and imperfect.
    Structure,
}

/// `[policy]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyConfig {
    /// Whether subscriber and enrollee also see unprotected clinical records (CONTRACT, personas).
    /// The basis is the operator's stated ground for it and is never empty.
    pub household: Household,
    /// How long an emergency access may last.
    pub break_glass_minutes: u32,
}

/// What a household member may see of another's records that are not protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Household {
    /// The generic benefit view.
    Claims,
    /// Clinical records too, on this stated basis.
    Clinical {
        /// Why the operator may do so.
        basis: String,
    },
}

/// `[operator]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperatorConfig {
    /// What kind of party runs this server.
    pub kind: OperatorKind,
    /// Whose patients a provider client sees (SEMANTICS section 1).
    pub patients: Patients,
}

/// What kind of party runs this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the contract's own words")]
pub enum OperatorKind {
    Provider,
    Plan,
    Vendor,
}

/// Whose patients a provider client sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patients {
    /// One facility, all its patients.
    All,
    /// Those of the client's organization.
    Organization,
}

/// `[limits]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitsConfig {
    /// The largest body, transactions included; more is 413.
    pub body_bytes: usize,
    /// The longest time for one request; more is 503.
    pub request_seconds: u64,
    /// Requests at work at once; more are shed with 503.
    pub concurrent_requests: usize,
    /// How deep JSON may nest.
    pub json_depth: usize,
    /// Most values in one body.
    pub json_nodes: usize,
    /// Most entries of a batch or transaction.
    pub bundle_entries: usize,
    /// The largest page of a search.
    pub search_count_max: u32,
    /// Requests a second that one client may make; more are 429.
    pub requests_per_second: Option<u32>,
}

impl Config {
    /// Reads the process's configuration. `file` is what `--config` named; `flags` are (key, text)
    /// pairs of the command line, which win.
    pub fn load(file: Option<&Path>, flags: &[(&str, String)]) -> Result<Config, ConfigError> {
        Config::read(file, std::env::vars_os(), flags)
    }

    /// As [`Config::load`], with the environment as an argument.
    pub fn read(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        flags: &[(&str, String)],
    ) -> Result<Config, ConfigError> {
        let mut said = Said::default();
        let path = file.unwrap_or(Path::new(FILE));
        if file.is_some() || path.exists() {
            said.put_table(&table(path)?, "", &Source::File(path.to_owned()))?;
        }
        let mut names: Vec<_> = environment.into_iter().collect();
        names.sort();
        for (name, value) in names {
            let Some(name) = name.to_str() else { continue };
            let Some(key) = name.strip_prefix("CONFIDE_") else {
                continue;
            };
            if key == "BIN" {
                continue;
            }
            let key = key.to_lowercase().replace("__", ".");
            let from = Source::Environment(name.to_owned());
            // Bytes that are no UTF-8 become U+FFFD, which no word, address or number accepts.
            said.put_text(&key, &value.to_string_lossy(), from)?;
        }
        for (key, text) in flags {
            said.put_text(key, text, Source::CommandLine)?;
        }
        build(&said)
    }

    /// The FHIR base that clients know; also the audience of access tokens.
    pub fn base(&self) -> String {
        format!("{}/fhir", self.public_url)
    }

    /// Every key with the value in force, for `confide doctor`. Holds no secret: a `database_url`
    /// is told by its kind and place only.
    pub fn describe(&self) -> Vec<(&'static str, String)> {
        let database = match &self.database {
            Database::Sqlite(file) => format!("sqlite://{}", file.display()),
            Database::Postgres(address) => address.to_string(),
        };
        let optional = |value: Option<String>| value.unwrap_or_else(|| "unset".into());
        let (household, basis) = match &self.policy.household {
            Household::Claims => ("claims", None),
            Household::Clinical { basis } => ("clinical", Some(basis.clone())),
        };
        let log_format = match self.log_format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        let kind = match self.operator.kind {
            OperatorKind::Provider => "provider",
            OperatorKind::Plan => "plan",
            OperatorKind::Vendor => "vendor",
        };
        let patients = match self.operator.patients {
            Patients::All => "all",
            Patients::Organization => "organization",
        };
        let validation = match self.validation {
            Validation::Strict => "strict",
            Validation::Structure => "structure",
        };
        let proxies = self.trusted_proxies.iter().map(ToString::to_string);
        let proxies: Vec<String> = proxies.collect();
        let proxies = (!proxies.is_empty()).then(|| proxies.join(","));
        let limits = &self.limits;
        let rate = limits.requests_per_second.map(|rate| rate.to_string());
        vec![
            ("listen", self.listen.to_string()),
            ("public_url", self.public_url.clone()),
            ("trusted_proxies", optional(proxies)),
            ("database_url", database),
            ("database_connections", self.connections.to_string()),
            ("data_dir", self.data_dir.display().to_string()),
            (
                "metrics_listen",
                optional(self.metrics_listen.map(|at| at.to_string())),
            ),
            ("log_format", log_format.into()),
            ("validation", validation.into()),
            ("policy.household", household.into()),
            ("policy.household_basis", optional(basis)),
            (
                "policy.break_glass_minutes",
                self.policy.break_glass_minutes.to_string(),
            ),
            ("operator.kind", kind.into()),
            ("operator.patients", patients.into()),
            (
                "integrity",
                if self.strict { "strict" } else { "relaxed" }.into(),
            ),
            ("limits.body_bytes", limits.body_bytes.to_string()),
            ("limits.request_seconds", limits.request_seconds.to_string()),
            (
                "limits.concurrent_requests",
                limits.concurrent_requests.to_string(),
            ),
            ("limits.json_depth", limits.json_depth.to_string()),
            ("limits.json_nodes", limits.json_nodes.to_string()),
            ("limits.bundle_entries", limits.bundle_entries.to_string()),
            (
                "limits.search_count_max",
                limits.search_count_max.to_string(),
            ),
            ("limits.requests_per_second", optional(rate)),
        ]
    }
}

fn table(path: &Path) -> Result<toml::Table, ConfigError> {
    let fail = |problem: String| ConfigError::File {
        file: path.to_owned(),
        problem,
    };
    let text = std::fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
    text.parse().map_err(|error: toml::de::Error| {
        // The crate's own Display quotes the line, which may hold a secret.
        let upto = error.span().and_then(|span| text.get(..span.start));
        let line = upto.map_or(1, |upto| upto.matches('\n').count() + 1);
        fail(format!("line {line}: {}", error.message()))
    })
}

fn build(said: &Said) -> Result<Config, ConfigError> {
    let address = |key| -> Result<Option<SocketAddr>, ConfigError> {
        let parse = |text: &str| {
            text.parse()
                .map_err(|_| said.refuse(key, "must be an address and a port, as 127.0.0.1:8080"))
        };
        said.text(key).map(parse).transpose()
    };
    let listen = address("listen")?.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080)));
    let data_dir = PathBuf::from(said.text("data_dir").unwrap_or("./confide-data"));
    if data_dir.as_os_str().is_empty() {
        return Err(said.refuse("data_dir", "must name a folder"));
    }
    Ok(Config {
        listen,
        public_url: public_url(said, listen)?,
        trusted_proxies: trusted_proxies(said)?,
        database: database(said, &data_dir)?,
        connections: number(said, "database_connections", 8),
        data_dir,
        metrics_listen: address("metrics_listen")?,
        log_format: match said.text("log_format") {
            Some("json") => LogFormat::Json,
            _ => LogFormat::Text,
        },
        validation: match said.text("validation") {
            Some("structure") => Validation::Structure,
            _ => Validation::Strict,
        },
        policy: policy(said)?,
        operator: OperatorConfig {
            kind: match said.text("operator.kind") {
                Some("plan") => OperatorKind::Plan,
                Some("vendor") => OperatorKind::Vendor,
                _ => OperatorKind::Provider,
            },
            patients: match said.text("operator.patients") {
                Some("organization") => Patients::Organization,
                _ => Patients::All,
            },
        },
        strict: said.text("integrity") == Some("strict"),
        limits: limits(said),
    })
}

fn public_url(said: &Said, listen: SocketAddr) -> Result<String, ConfigError> {
    let Some(text) = said.text("public_url") else {
        return Ok(format!("http://{listen}"));
    };
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let fits = host.is_some_and(|host| {
        let odd = |c: char| c.is_whitespace() || c.is_control() || "?#@\"<>\\".contains(c);
        !host.is_empty() && !host.starts_with('/') && !host.contains(odd)
    });
    if !fits {
        let problem = "must be http:// or https://, a host, and no query, fragment or user";
        return Err(said.refuse("public_url", problem));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// Addresses and networks, as 10.0.0.0/8.
fn trusted_proxies(said: &Said) -> Result<Vec<IpNet>, ConfigError> {
    let key = "trusted_proxies";
    let texts = said.text(key).unwrap_or_default().split(',');
    let texts = texts.map(str::trim).filter(|text| !text.is_empty());
    texts
        .map(|text| match text.parse::<IpAddr>() {
            Ok(address) => Ok(address.to_canonical().into()),
            Err(_) => text
                .parse::<IpNet>()
                .map_err(|_| said.refuse(key, "must be addresses or networks, as 10.0.0.0/8")),
        })
        .collect()
}

fn database(said: &Said, data_dir: &Path) -> Result<Database, ConfigError> {
    let Some(text) = said.text("database_url") else {
        return Ok(Database::Sqlite(data_dir.join("confide.db")));
    };
    let refuse = |problem: &str| Err(said.refuse("database_url", problem));
    if let Some(file) = text.strip_prefix("sqlite://") {
        if file.is_empty() || file.contains(['?', '#']) {
            return refuse("must name a file, as sqlite:///var/lib/confide/confide.db");
        }
        return Ok(Database::Sqlite(PathBuf::from(file)));
    }
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        let address = Address(text.into());
        // What stands where the host should, or a password that was not percent-encoded, is told nowhere.
        let place = address.to_string();
        let Some((host, name)) = place.trim_start_matches("postgres://").split_once('/') else {
            return refuse("must name a database, as postgres://user@host:5432/confide");
        };
        if name.is_empty() || name.contains('/') || host.contains(char::is_whitespace) {
            return refuse("must name a database, as postgres://user@host:5432/confide");
        }
        return Ok(Database::Postgres(address));
    }
    refuse("must begin with sqlite:// or postgres://")
}

fn policy(said: &Said) -> Result<PolicyConfig, ConfigError> {
    let basis = said.text("policy.household_basis").map(str::trim);
    let household = match said.text("policy.household") {
        Some("clinical") => Household::Clinical {
            basis: basis
                .filter(|basis| !basis.is_empty())
                .ok_or(ConfigError::Missing {
                    key: "policy.household_basis",
                    problem: "required, and not empty, with policy.household = \"clinical\": \
                              say on which ground clinical records go to the household",
                })?
                .to_owned(),
        },
        _ => Household::Claims,
    };
    Ok(PolicyConfig {
        household,
        break_glass_minutes: number(said, "policy.break_glass_minutes", 60),
    })
}

fn limits(said: &Said) -> LimitsConfig {
    LimitsConfig {
        body_bytes: number(said, "limits.body_bytes", 16 << 20),
        request_seconds: number(said, "limits.request_seconds", 30),
        concurrent_requests: number(said, "limits.concurrent_requests", 512),
        json_depth: number(said, "limits.json_depth", 64),
        json_nodes: number(said, "limits.json_nodes", 2_000_000),
        bundle_entries: number(said, "limits.bundle_entries", 10_000),
        search_count_max: number(said, "limits.search_count_max", 1000),
        requests_per_second: said
            .number("limits.requests_per_second")
            .and_then(|number| u32::try_from(number).ok()),
    }
}

/// A number that its key's bounds have made fit.
fn number<N: TryFrom<u64>>(said: &Said, key: &str, default: N) -> N {
    said.number(key)
        .and_then(|number| N::try_from(number).ok())
        .unwrap_or(default)
}

#[cfg(test)]
#[path = "config/tests.rs"]
mod tests;
