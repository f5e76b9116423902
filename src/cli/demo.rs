//! `confide demo`: the bundled fixtures and what each persona sees of them.

mod eyes;
mod fixtures;

use super::{
    Ended, Trouble,
    import::{self, Shown, Source},
    open::{self, Opened},
    print, serve,
};
use crate::{
    authn::{Client, Registry as _},
    calendar::{self, Clock},
    config::{Config, Database},
    http::server,
    smart::Order,
};
use eyes::{CATEGORIES, Eyes, Seen};
use fixtures::Persona;
use std::path::{Path, PathBuf};

/// The flags of `confide demo`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// Where the demo's store goes; a new folder under the system's temporary one by default
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Make the requests, print the table, check it, and exit
    #[arg(long)]
    pub once: bool,
}

impl Arguments {
    /// The flags that override configuration keys.
    pub(super) fn flags(&self) -> Vec<(&'static str, String)> {
        let mut flags = vec![("listen", format!("127.0.0.1:{}", self.port))];
        if let Some(folder) = &self.data_dir {
            flags.push(("data_dir", folder.display().to_string()));
        }
        flags
    }
}

/// How long the demo's tokens are good, in seconds.
const LIFETIME: i64 = 86_400;

/// Runs it. `config.listen` is the port asked for; `arguments.data_dir` is `None` where a temporary
/// folder is to be made.
pub fn run(config: &Config, arguments: &Arguments) -> Result<Ended, Trouble> {
    let folder = Folder::new(arguments.data_dir.as_deref())?;
    let ended = super::runtime()?.block_on(demo(config, arguments, &folder.path));
    folder.end();
    ended
}

/// The demo's folder; a temporary one goes with the demo.
struct Folder {
    path: PathBuf,
    temporary: bool,
}

impl Folder {
    fn new(asked: Option<&Path>) -> Result<Folder, Trouble> {
        let (path, temporary) = match asked {
            Some(path) => (path.to_owned(), false),
            None => {
                let name = format!("confide-demo-{}", uuid::Uuid::new_v4().simple());
                (std::env::temp_dir().join(name), true)
            }
        };
        let used = path
            .read_dir()
            .is_ok_and(|mut entries| entries.next().is_some());
        if used {
            return Err(Trouble::Usage(format!(
                "{} is not empty: the demo wants a fresh folder for its store",
                path.display()
            )));
        }
        std::fs::create_dir_all(&path).map_err(|error| {
            Trouble::Usage(format!("{} can't be made: {error}", path.display()))
        })?;
        Ok(Folder { path, temporary })
    }

    fn end(self) {
        if self.temporary {
            let _ = std::fs::remove_dir_all(self.path);
        }
    }
}

async fn demo(config: &Config, arguments: &Arguments, folder: &Path) -> Result<Ended, Trouble> {
    let listener = serve::bind(config).await?;
    let address = listener
        .local_addr()
        .map_err(|error| Trouble::Failed(error.to_string()))?;
    let config = Config {
        public_url: format!("http://{address}"),
        listen: address,
        data_dir: folder.to_owned(),
        database: Database::Sqlite(folder.join("confide.db")),
        ..config.clone()
    };
    let opened = open::open(&config, Clock::System)?;
    load(&opened).await?;
    register(&opened).await?;
    let personas = fixtures::personas().map_err(broken)?;
    let mut tokens = Vec::new();
    for persona in &personas {
        tokens.push(token(&opened, persona).await?);
    }
    let api = serve::api(&config, opened)?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = {
        let (config, api) = (config.clone(), api.clone());
        tokio::spawn(async move {
            let checks = serve::checks(&api);
            let base = config.base();
            let until = async {
                let _ = stopped.await;
            };
            serve::serve(
                &config,
                listener,
                checks,
                |mount| serve::routes(mount, &api, &base),
                until,
            )
            .await
        })
    };
    let wrong = shown(&config, &personas, &tokens).await?;
    if !arguments.once {
        print::line(format_args!(
            "\nServing {} until Ctrl-C. Tokens are good for a day.",
            config.base()
        ));
        server::signal().await;
    }
    let _ = stop.send(());
    let served = serving
        .await
        .map_err(|_| Trouble::Failed("the server stopped".to_owned()))?;
    served?;
    if wrong > 0 {
        return Err(Trouble::Failed(format!(
            "{wrong} things are not as the fixtures expect"
        )));
    }
    Ok(Ended::Done)
}

fn broken(error: impl std::fmt::Display) -> Trouble {
    Trouble::Failed(format!("the bundled fixtures are broken: {error}"))
}

async fn load(opened: &Opened) -> Result<(), Trouble> {
    let sources = fixtures::records();
    let reference: jiff::civil::Date = fixtures::REFERENCE.parse().map_err(broken)?;
    let today = calendar::local_date(opened.clock.now()).unwrap_or(reference);
    let days = today
        .since(reference)
        .map_or(0, |span| i64::from(span.get_days()));
    let options = import::Options {
        shift_days: days,
        ..import::Options::default()
    };
    let mut shown = Shown::new(sources.iter().map(Source::size).sum());
    let loaded = Box::pin(import::load(opened, sources, options, &mut shown)).await;
    shown.end();
    let totals = loaded?;
    let records = totals.sum().all();
    print::line(format_args!(
        "Loaded {records} records of 14 patients in three households."
    ));
    if totals.refused > 0 {
        return Err(broken(format!("{} records were refused", totals.refused)));
    }
    Ok(())
}

async fn register(opened: &Opened) -> Result<(), Trouble> {
    for metadata in fixtures::clients().map_err(broken)? {
        let (client, _) = Client::register(metadata.to_string().as_bytes()).map_err(broken)?;
        opened.registry.add_client(client).await.map_err(broken)?;
    }
    Ok(())
}

async fn token(opened: &Opened, persona: &Persona) -> Result<String, Trouble> {
    let order = Order {
        client: &persona.client,
        user: persona.user.as_deref(),
        patient: persona.patient.as_deref(),
        scope: &persona.scope,
        purpose: Some(&persona.purpose),
        reason: None,
        ttl: LIFETIME,
    };
    let issued = opened.smart().issue(&order).await.map_err(broken)?;
    Ok(issued.token)
}

/// Asks as each persona, prints the table and the curl lines, and tells how many things are not as
/// expected.
async fn shown(config: &Config, personas: &[Persona], tokens: &[String]) -> Result<usize, Trouble> {
    let section = fixtures::expectation().map_err(broken)?.maya;
    let eyes = Eyes::new(config.base());
    let http = |error: reqwest::Error| Trouble::Failed(format!("a request failed: {error}"));
    eyes.open().await.map_err(http)?;
    let auditor = personas
        .iter()
        .zip(tokens)
        .find(|(persona, _)| persona.name == "auditor")
        .map(|(_, token)| token.clone())
        .unwrap_or_default();
    print::line(format_args!(
        "\nOne member, {}: {} records through seven pairs of eyes\n",
        personas
            .first()
            .map(|persona| persona.member.as_str())
            .unwrap_or_default(),
        section.records.len()
    ));
    print::line(heading());
    let mut wrong = Vec::new();
    for (persona, token) in personas.iter().zip(tokens) {
        let seen = eyes
            .look(token, persona, &section.records)
            .await
            .map_err(http)?;
        let why = match &seen.hidden {
            Some(record) => eyes.why(&auditor, persona, record).await.map_err(http)?,
            None => "–".to_owned(),
        };
        print::line(row(persona, &seen, &why));
        if let Some(view) = section.personas.get(&persona.name) {
            wrong.extend(
                seen.against(view)
                    .into_iter()
                    .map(|what| format!("{}: {what}", persona.name)),
            );
        }
    }
    print::line(
        "\nA count is what can be read of that category; a mixed bill counts, also where it is shown",
    );
    print::line(
        "without its sensitive line. The last column is why the first hidden record is hidden, as",
    );
    print::line("the auditor learns it from Consent/$evaluate.\n");
    for (persona, token) in personas.iter().zip(tokens) {
        print::line(format_args!(
            "# {} – {} ({})",
            persona.name, persona.title, persona.purpose
        ));
        print::line(format_args!(
            "curl -s -H 'Authorization: Bearer {token}' '{}/{}'\n",
            config.base(),
            first_look(persona)
        ));
    }
    for what in &wrong {
        print::line(format_args!("NOT AS EXPECTED  {what}"));
    }
    Ok(wrong.len())
}

/// A request that shows the persona's own view well.
fn first_look(persona: &Persona) -> String {
    let member = &persona.member;
    match persona.name.as_str() {
        "auditor" => format!("AuditEvent?patient={member}&_count=5"),
        "enrollee" => format!("Coverage?patient={member}"),
        _ => format!("{member}/$everything"),
    }
}

fn heading() -> String {
    let mut line = format!("{:15}", "persona");
    for (_, name) in CATEGORIES {
        line.push_str(&format!("{name:>10}"));
    }
    line.push_str("   hidden because");
    line
}

fn row(persona: &Persona, seen: &Seen, why: &str) -> String {
    let mut line = format!("{:15}", persona.name);
    for (category, _) in CATEGORIES {
        let (read, all) = seen.by_category.get(*category).copied().unwrap_or_default();
        line.push_str(&format!("{:>10}", format!("{read}/{all}")));
    }
    line.push_str("   ");
    line.push_str(why);
    line
}
