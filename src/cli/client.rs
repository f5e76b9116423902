//! `confide client`: registered SMART clients.

use super::{Ended, Trouble, open, print};
use crate::{
    authn::{Client, Registry, RegistryError, Secret},
    calendar::Clock,
    config::Config,
    gate::{Entry, Journal},
    store::{audit::AuditLog, registry::AnyRegistry},
};
use serde_json::Value;
use std::path::PathBuf;

/// What to do with clients.
#[derive(Debug, clap::Subcommand)]
pub enum Arguments {
    /// Register a client from a file of RFC 7591 metadata; prints its id and, once, its secret
    Add {
        /// The metadata: one client, or a list of them
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// All clients
    List,
    /// One client's metadata
    Show {
        /// Its client_id
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Take a client's access away
    Disable {
        /// Its client_id
        #[arg(value_name = "ID")]
        id: String,
    },
}

/// Runs it.
pub fn run(config: &Config, arguments: &Arguments) -> Result<Ended, Trouble> {
    let clock = Clock::System;
    // Before anything is opened: a file that can't be read leaves nothing behind.
    let new = match arguments {
        Arguments::Add { file } => Some(std::fs::read(file).map_err(|error| {
            Trouble::Usage(format!("{}: can't be read: {error}", file.display()))
        })?),
        _ => None,
    };
    let registry = open::registry(config, clock)?;
    let clients = Clients {
        registry: &registry,
        clock,
    };
    let runtime = super::runtime()?;
    match arguments {
        Arguments::Add { file } => {
            let audit = open::audit(config, clock)?;
            let adding = clients.add(&audit, new.as_deref().unwrap_or_default());
            let added = runtime.block_on(adding).map_err(|trouble| match trouble {
                Trouble::Failed(text) => Trouble::Failed(format!("{}: {text}", file.display())),
                other => other,
            })?;
            for (client, secret) in added {
                print::line(format_args!("client_id      {}", client.id));
                if let Some(secret) = secret {
                    print::line(format_args!("client_secret  {}", secret.reveal()));
                }
            }
        }
        Arguments::List => {
            for client in runtime.block_on(registry.clients()).map_err(failed)? {
                print::line(row(&client));
            }
        }
        Arguments::Show { id } => {
            let client = runtime.block_on(clients.named(id))?;
            print::line(shown(&client));
        }
        Arguments::Disable { id } => {
            let audit = open::audit(config, clock)?;
            runtime.block_on(clients.disable(&audit, id))?;
            print::line(format_args!(
                "{id} is disabled, and with it every token it holds"
            ));
        }
    }
    Ok(Ended::Done)
}

fn failed(error: impl std::fmt::Display) -> Trouble {
    Trouble::Failed(error.to_string())
}

/// The registry as a local operator changes it: each change leaves its audit entry first.
pub struct Clients<'a> {
    /// Where they are kept.
    pub registry: &'a AnyRegistry,
    /// When it happens.
    pub clock: Clock,
}

impl Clients<'_> {
    /// Registers one client, or a list of them: either all or, where one is refused, none. A secret
    /// is told here and never again. `demo` registers its clients with it too.
    pub async fn add(
        &self,
        audit: &AuditLog,
        json: &[u8],
    ) -> Result<Vec<(Client, Option<Secret>)>, Trouble> {
        let mut added: Vec<(Client, Option<Secret>)> = Vec::new();
        for metadata in each(json)? {
            let (client, secret) = Client::register(&metadata).map_err(failed)?;
            let known = self.registry.client(&client.id).await.map_err(failed)?;
            let twice = added.iter().any(|(other, _)| other.id == client.id);
            if known.is_some() || twice {
                return Err(failed(RegistryError::Taken(client.id)));
            }
            added.push((client, secret));
        }
        for (client, _) in &added {
            self.entry(audit, "client-add", &client.id).await?;
            let adding = self.registry.add_client(client.clone());
            adding.await.map_err(failed)?;
        }
        Ok(added)
    }

    /// Takes a client's access away.
    pub async fn disable(&self, audit: &AuditLog, id: &str) -> Result<(), Trouble> {
        let client = self.named(id).await?;
        self.entry(audit, "client-disable", &client.id).await?;
        self.registry.disable_client(id).await.map_err(failed)?;
        Ok(())
    }

    async fn named(&self, id: &str) -> Result<Client, Trouble> {
        let found = self.registry.client(id).await.map_err(failed)?;
        let client = found.ok_or_else(|| failed(format_args!("no client {id} is registered")))?;
        Ok((*client).clone())
    }

    async fn entry(&self, audit: &AuditLog, act: &'static str, id: &str) -> Result<(), Trouble> {
        let entry = Entry::local(self.clock.now(), act, format!("client {id}"));
        audit.record(entry).await.map_err(failed)
    }
}

/// The clients of a file, each as JSON of its own.
fn each(json: &[u8]) -> Result<Vec<Vec<u8>>, Trouble> {
    match serde_json::from_slice(json) {
        Ok(Value::Array(clients)) if clients.is_empty() => Err(failed("the list is empty")),
        Ok(Value::Array(clients)) => Ok(clients
            .iter()
            .map(|one| one.to_string().into_bytes())
            .collect()),
        // Read again by the registration, which tells what is wrong.
        _ => Ok(vec![json.to_vec()]),
    }
}

fn row(client: &Client) -> String {
    let state = if client.disabled {
        "disabled"
    } else {
        "enabled"
    };
    let purposes: Vec<_> = client
        .purposes
        .iter()
        .map(|purpose| purpose.code())
        .collect();
    let name = client.metadata.client_name.as_deref().unwrap_or_default();
    let line = format!(
        "{:32}  {state:8}  {:14}  {:20}  {:24}  {name}",
        client.id,
        client.role.name(),
        client.auth.name(),
        purposes.join(","),
    );
    line.trim_end().to_owned()
}

/// The metadata as it was registered; a disabled client is marked.
fn shown(client: &Client) -> String {
    let mut json = client.json();
    if let Some(members) = json.as_object_mut()
        && client.disabled
    {
        members.insert("disabled".into(), true.into());
    }
    format!("{json:#}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        authn::fixture::metadata,
        cli::open::{open, tests::config},
        store::audit::Search,
    };
    use serde_json::json;

    const CLOCK: Clock = Clock::At(1_772_323_200_000_000);

    #[tokio::test]
    async fn clients_come_and_are_disabled_and_each_act_is_recorded() {
        let (_folder, config) = config();
        let opened = open(&config, CLOCK).unwrap();
        let clients = Clients {
            registry: &opened.registry,
            clock: CLOCK,
        };
        let mut secret = metadata("plan", "plan", &["COC"]);
        secret["token_endpoint_auth_method"] = "client_secret_basic".into();
        secret["jwks"] = json!(null);
        let list = json!([metadata("app", "app", &["PATRQT"]), secret]).to_string();
        let added = clients.add(&opened.audit, list.as_bytes()).await.unwrap();
        assert!(added[0].1.is_none());
        assert!(added[1].1.is_some());
        let again = metadata("app", "app", &["PATRQT"]).to_string();
        let refused = clients
            .add(&opened.audit, again.as_bytes())
            .await
            .unwrap_err();
        assert_eq!(refused.to_string(), "app is already registered");
        clients.disable(&opened.audit, "app").await.unwrap();
        assert!(clients.disable(&opened.audit, "ghost").await.is_err());
        let app = clients.named("app").await.unwrap();
        assert!(row(&app).contains("disabled"));
        assert!(shown(&app).contains("\"disabled\": true"));
        let plan = clients.named("plan").await.unwrap();
        let hash = plan.secret.as_ref().unwrap().as_str();
        assert!(!shown(&plan).contains(hash) && !row(&plan).contains(hash));
        let page = opened.audit.search(Search::default()).await.unwrap();
        let mut acts: Vec<_> = page
            .entries
            .iter()
            .map(|found| format!("{} {}", found.recorded.interaction, found.recorded.target))
            .collect();
        acts.sort();
        let expected = [
            "client-add client app",
            "client-add client plan",
            "client-disable client app",
        ];
        assert_eq!(acts, expected);
    }

    #[tokio::test]
    async fn of_a_list_with_a_mistake_nothing_is_registered() {
        let (_folder, config) = config();
        let opened = open(&config, CLOCK).unwrap();
        let clients = Clients {
            registry: &opened.registry,
            clock: CLOCK,
        };
        let good = metadata("app", "app", &["PATRQT"]);
        let mut bad = metadata("other", "app", &["PATRQT"]);
        bad["role"] = "king".into();
        for list in [json!([good, bad]), json!([good, good]), json!([])] {
            let text = list.to_string();
            let refused = clients.add(&opened.audit, text.as_bytes()).await;
            assert_eq!(refused.unwrap_err().code(), 1);
        }
        assert!(opened.registry.clients().await.unwrap().is_empty());
    }

    #[test]
    fn the_command_ends_as_the_contract_says() {
        let (folder, config) = config();
        let file = folder.path().join("client.json");
        let add = || Arguments::Add { file: file.clone() };
        assert_eq!(run(&config, &add()).unwrap_err().code(), 2);
        assert!(!config.data_dir.exists());
        std::fs::write(&file, "nonsense").unwrap();
        let refused = run(&config, &add()).unwrap_err();
        assert_eq!(refused.code(), 1);
        assert!(refused.to_string().contains("client.json"));
        let text = metadata("app", "app", &["PATRQT"]).to_string();
        std::fs::write(&file, text).unwrap();
        assert_eq!(run(&config, &add()).unwrap(), Ended::Done);
        assert_eq!(run(&config, &Arguments::List).unwrap(), Ended::Done);
        let show = |id: &str| run(&config, &Arguments::Show { id: id.into() });
        assert_eq!(show("app").unwrap(), Ended::Done);
        assert_eq!(show("ghost").unwrap_err().code(), 1);
    }
}
