//! `confide token`: one access token for a local operator.

use super::{Ended, Trouble, open, print};
use crate::{
    authn::{IssueError, PurposeError, RemoteKeys},
    calendar::Clock,
    config::Config,
    scope::ScopeSet,
    smart::{Order, OrderError, Smart},
};

/// The flags of `confide token`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A registered client's id
    #[arg(long, value_name = "ID")]
    pub client: String,
    /// The person, as Patient/p or Practitioner/d
    #[arg(long, value_name = "REF")]
    pub user: Option<String>,
    /// The patient in context
    #[arg(long, value_name = "ID")]
    pub patient: Option<String>,
    /// SMART scopes
    #[arg(long)]
    pub scope: String,
    /// Purpose of use, from v3-ActReason
    #[arg(long, value_name = "CODE")]
    pub purpose: Option<String>,
    /// Why emergency access is needed; goes with ETREAT
    #[arg(long, value_name = "TEXT")]
    pub break_glass_reason: Option<String>,
    /// Seconds that it is valid
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=86400))]
    pub ttl: u32,
}

impl Arguments {
    fn order(&self) -> Order<'_> {
        Order {
            client: &self.client,
            user: self.user.as_deref(),
            patient: self.patient.as_deref(),
            scope: &self.scope,
            purpose: self.purpose.as_deref(),
            reason: self.break_glass_reason.as_deref(),
            ttl: i64::from(self.ttl),
        }
    }
}

/// Runs it: the token alone on standard output.
pub fn run(config: &Config, arguments: &Arguments) -> Result<Ended, Trouble> {
    print::line(issued(config, arguments, Clock::System)?);
    Ok(Ended::Done)
}

/// The token. The store is not needed for it, so a store that is in use or damaged is no hindrance.
fn issued(config: &Config, arguments: &Arguments, clock: Clock) -> Result<String, Trouble> {
    let registry = open::registry(config, clock)?;
    let (tokens, urls) = open::tokens(config, clock)?;
    let audit = open::audit(config, clock)?;
    let smart = Smart {
        tokens: &tokens,
        registry: &registry,
        journal: &audit,
        remote: &RemoteKeys::new(),
        clock,
        urls: &urls,
    };
    let order = arguments.order();
    let issued = super::runtime()?.block_on(smart.issue(&order));
    issued
        .map(|issued| issued.token)
        .map_err(|error| trouble(&error, &arguments.scope))
}

/// What the user did wrong is exit code 2, what was refused is 1; each with the flag that would help.
fn trouble(error: &OrderError, scope: &str) -> Trouble {
    let purpose = match error {
        OrderError::Issue(IssueError::Purpose(purpose)) => Some(purpose),
        _ => None,
    };
    let help = match purpose {
        Some(PurposeError::Missing | PurposeError::Unknown) => {
            ": say it with --purpose, one of those that the client is registered with"
        }
        Some(PurposeError::NoReason) => ": say it with --break-glass-reason",
        Some(PurposeError::NoUser) => ": name the person with --user",
        Some(PurposeError::NoPatient) => ": name the patient with --patient",
        _ => "",
    };
    let text = format!("{error}{help}");
    let misused = match error {
        OrderError::User | OrderError::Patient | OrderError::Ttl => true,
        OrderError::Scope(_) => ScopeSet::read(scope).0.is_empty(),
        OrderError::Issue(IssueError::Purpose(purpose)) => {
            !matches!(purpose, PurposeError::NotRegistered)
        }
        _ => false,
    };
    if misused {
        Trouble::Usage(text)
    } else {
        Trouble::Failed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::case::Credentials as _;
    use crate::{
        authn::{Client, Registry as _, fixture::metadata},
        cli::open::tests::config,
        cli::{Arguments as Line, Command},
        store::audit,
    };
    use clap::Parser as _;

    const CLOCK: Clock = Clock::At(1_772_323_200_000_000);

    fn arguments(line: &str) -> Arguments {
        let words = ["confide", "token"].into_iter();
        let line = Line::try_parse_from(words.chain(line.split(' '))).unwrap();
        match line.command {
            Command::Token(arguments) => arguments,
            other => panic!("{other:?}"),
        }
    }

    fn registered(config: &Config) {
        let registry = open::registry(config, CLOCK).unwrap();
        let runtime = crate::cli::runtime().unwrap();
        for (id, role, purposes) in [
            ("app", "app", &["PATRQT", "COVERAGE"][..]),
            ("ehr", "provider", &["TREAT", "ETREAT"]),
        ] {
            let mut json = metadata(id, role, purposes);
            if role == "app" {
                json["scope"] = "patient/*.rs".into();
            }
            let (client, _) = Client::register(json.to_string().as_bytes()).unwrap();
            runtime.block_on(registry.add_client(client)).unwrap();
        }
    }

    #[test]
    fn a_token_is_one_that_the_server_takes_and_leaves_an_entry() {
        let (_folder, config) = config();
        registered(&config);
        let line = "--client app --user Patient/a --scope patient/*.rs --ttl 86400";
        let token = issued(&config, &arguments(line), CLOCK).unwrap();
        let opened = open::open(&config, CLOCK).unwrap();
        let verifying = opened.tokens.verify(&token, &opened.registry);
        let verified = crate::cli::runtime().unwrap().block_on(verifying).unwrap();
        assert_eq!(verified.patient().unwrap().as_str(), "a");
        let line = "--client ehr --user Practitioner/d --scope user/*.rs --purpose ETREAT \
                    --break-glass-reason unconscious";
        issued(&config, &arguments(line), CLOCK).unwrap();
        drop(opened);
        let log = audit::verify(&audit::file(&config.data_dir)).unwrap();
        assert_eq!(log.entries, 2);
    }

    #[test]
    fn bad_usage_is_told_from_what_is_refused() {
        let (_folder, config) = config();
        registered(&config);
        for (line, code, says) in [
            ("--client ghost --scope user/*.rs", 1, "no client ghost"),
            (
                "--client app --user Patient/a --scope nonsense",
                2,
                "--scope",
            ),
            (
                "--client app --user Patient/a --scope patient/Ghost.rs",
                2,
                "--scope",
            ),
            (
                "--client app --user Patient/a --scope system/*.cud",
                1,
                "--scope",
            ),
            (
                "--client app --user Ghost/a --scope patient/*.rs",
                2,
                "--user",
            ),
            (
                "--client app --user Patient/a --patient a/b --scope patient/*.rs",
                2,
                "--patient",
            ),
            (
                "--client app --user Patient/a --patient b --scope patient/*.rs",
                2,
                "--purpose",
            ),
            (
                "--client app --user Patient/a --scope patient/*.rs --purpose FUN",
                2,
                "--purpose",
            ),
            (
                "--client app --user Patient/a --scope patient/*.rs --purpose TREAT",
                1,
                "not registered",
            ),
            (
                "--client app --patient a --scope patient/*.rs --purpose PATRQT",
                2,
                "--user",
            ),
            (
                "--client ehr --scope user/*.rs --purpose ETREAT",
                2,
                "--break-glass-reason",
            ),
            (
                "--client ehr --scope patient/*.rs --purpose TREAT",
                2,
                "--patient",
            ),
        ] {
            let trouble = issued(&config, &arguments(line), CLOCK).unwrap_err();
            assert_eq!(trouble.code(), code, "{line}: {trouble}");
            assert!(trouble.to_string().contains(says), "{line}: {trouble}");
        }
        let log = audit::verify(&audit::file(&config.data_dir)).unwrap();
        assert_eq!(log.entries, 0, "nothing was issued");
    }
}
