//! Loads sources into the store. What is written is written in whole batches: a Bundle is one, lines
//! of ndjson are taken some hundreds at a time; so an import that is killed leaves a whole store.

use super::{shift::shift, source::Source};
use crate::{
    cli::{Trouble, open::Opened},
    consent,
    fhir::{
        Key, Resource,
        json::{self, Limits},
        outcome::Issue,
    },
    gate::{Entry, Journal},
    interaction::bundle,
    profile::{CheckLimits, check},
    store::{Batch, Change, Expect, Store, WriteError, Written},
};
use bytes::Bytes;
use std::{collections::BTreeMap, fmt, sync::Arc};
use tokio::task::JoinHandle;

/// How many records outside Bundles are written together, and how many bytes of them.
const BATCH: usize = 500;
const BATCH_BYTES: usize = 4 << 20;

/// A document of more bytes is not read while others are written: read, it is many times as large.
const ALONE_BYTES: usize = 2 << 20;

/// How a load differs from the usual one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Moves all dates by so many days (see [`shift`]).
    pub shift_days: i64,
    /// Bounds of one document.
    pub limits: Limits,
    /// How far a record is checked.
    pub checks: CheckLimits,
}

/// Where a record was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub source: Arc<str>,
    /// The line, from 1.
    pub line: Option<u64>,
    /// The entry of a Bundle, from 0.
    pub entry: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        match self.entry {
            Some(entry) => write!(f, " entry {entry}"),
            None => Ok(()),
        }
    }
}

/// What is told about one record. Never holds a value of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Where it is.
    pub place: Place,
    /// Type and id, where they are known.
    pub key: Option<Key>,
    /// Why.
    pub reason: String,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place)?;
        if let Some(key) = &self.key {
            write!(f, " {key}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// Who is told how a load goes.
pub trait Report {
    /// A record was not taken.
    fn refused(&mut self, _remark: &Remark) {}
    /// A Consent can't be honoured exactly: it is kept, lets nothing out beyond the member and
    /// treatment, and waits for review.
    fn in_review(&mut self, _remark: &Remark) {}
    /// So many more bytes of the sources were read, and so many more records are done with.
    fn progress(&mut self, _bytes: u64, _records: u64) {}
}

impl Report for () {}

/// What became of the records of one type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Were not there before.
    pub new: u64,
    /// Got a new version.
    pub changed: u64,
    /// Were there as they are.
    pub unchanged: u64,
}

impl Count {
    fn add(&mut self, other: Count) {
        self.new += other.new;
        self.changed += other.changed;
        self.unchanged += other.unchanged;
    }

    /// All of them.
    pub fn all(self) -> u64 {
        self.new + self.changed + self.unchanged
    }
}

/// What became of a load.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// By type.
    pub kinds: BTreeMap<&'static str, Count>,
    /// How many were refused.
    pub refused: u64,
    /// How many Consents wait for review.
    pub in_review: u64,
}

impl Totals {
    /// Over all types.
    pub fn sum(&self) -> Count {
        let mut sum = Count::default();
        self.kinds.values().for_each(|count| sum.add(*count));
        sum
    }
}

/// Loads all sources. Ends early only where the store or the audit log fails; every batch that was
/// written until then stays. The audit entry of a source is durable before any of its records is.
pub async fn load<R: Report>(
    opened: &Opened,
    sources: impl IntoIterator<Item = Source>,
    options: Options,
    report: &mut R,
) -> Result<Totals, Trouble> {
    let mut loader = Loader {
        opened,
        options,
        report,
        totals: Totals::default(),
        pending: Vec::new(),
        bytes: 0,
        writing: None,
    };
    for source in sources {
        loader.source(&source).await?;
    }
    loader.flush().await?;
    loader.settle().await?;
    let (sum, refused) = (loader.totals.sum(), loader.totals.refused);
    let told = format!(
        "done: {} new, {} changed, {} unchanged, {refused} refused",
        sum.new, sum.changed, sum.unchanged
    );
    loader.audit(told).await?;
    Ok(loader.totals)
}

struct Loader<'a, R> {
    opened: &'a Opened,
    options: Options,
    report: &'a mut R,
    totals: Totals,
    pending: Vec<Pending>,
    bytes: usize,
    writing: Option<Writing>,
}

/// Records that are being written while the next are read and checked.
struct Writing {
    task: JoinHandle<Result<Vec<Written>, WriteError>>,
    /// The same again, should one of them have to be left out.
    again: Vec<(Place, Key, Bytes)>,
}

struct Pending {
    place: Place,
    key: Key,
    resource: Resource,
}

impl<R: Report> Loader<'_, R> {
    async fn audit(&self, target: String) -> Result<(), Trouble> {
        let entry = Entry::local(self.opened.clock.now(), "import", target);
        let recorded = self.opened.audit.record(entry).await;
        recorded.map_err(|error| Trouble::Failed(error.to_string()))
    }

    async fn source(&mut self, source: &Source) -> Result<(), Trouble> {
        self.audit(source.name().to_string()).await?;
        let whole = Place {
            source: source.name().clone(),
            line: None,
            entry: None,
        };
        let mut documents = match source.documents() {
            Ok(documents) => documents,
            Err(error) => {
                self.refuse(whole, None, format!("can't be read: {error}"));
                return Ok(());
            }
        };
        let mut told = 0;
        while let Some(next) = documents.next() {
            let place = Place {
                line: documents.line(),
                ..whole.clone()
            };
            match next {
                Ok(document) => self.document(place, document.text).await?,
                Err(error) => self.refuse(place, None, format!("can't be read: {error}")),
            }
            let read = documents.read();
            self.report.progress(read.saturating_sub(told), 0);
            told = read;
        }
        Ok(())
    }

    async fn document(&mut self, place: Place, text: Bytes) -> Result<(), Trouble> {
        if text.len() > ALONE_BYTES {
            self.flush().await?;
            self.settle().await?;
        }
        let resource = match self.parse(text) {
            Ok(resource) => resource,
            Err(reason) => {
                self.refuse(place, None, reason);
                return Ok(());
            }
        };
        if resource.kind().name() != "Bundle" {
            match bundle::alone(resource) {
                Ok(record) => self.accept(place, record.key, record.resource),
                Err((key, issue)) => self.refuse(place, key, told(&[issue])),
            }
            if self.pending.len() >= BATCH || self.bytes >= BATCH_BYTES {
                self.flush().await?;
            }
            return Ok(());
        }
        let sifted = match bundle::sift(&resource) {
            Ok(sifted) => sifted,
            Err(issue) => {
                self.refuse(place, resource.key(), told(&[issue]));
                return Ok(());
            }
        };
        drop(resource);
        // A Bundle is written as a whole, and after what stood before it.
        self.flush().await?;
        let at = |entry| Place {
            entry: Some(entry),
            ..place.clone()
        };
        for refused in sifted.refused {
            self.refuse(at(refused.index), refused.key, told(&[refused.issue]));
        }
        for record in sifted.records {
            self.accept(at(record.index), record.key, record.resource);
        }
        self.flush().await
    }

    fn parse(&self, text: Bytes) -> Result<Resource, String> {
        let mut text = text;
        if self.options.shift_days != 0 {
            let root = json::parse(&text, self.options.limits);
            let root = root.map_err(|error| format!("not valid JSON: {error}"))?;
            text = shift(&text, &root, self.options.shift_days).into();
        }
        Resource::parse(text, self.options.limits).map_err(|error| error.to_string())
    }

    /// Takes a record whose structure holds.
    fn accept(&mut self, place: Place, key: Key, resource: Resource) {
        let here = self.opened.smart().urls.base();
        let resource = match bundle::relative(&resource, &here, key.kind.name()) {
            Ok(rewritten) => rewritten.unwrap_or(resource),
            Err(issue) => {
                self.refuse(place, Some(key), told(&[issue]));
                return;
            }
        };
        let issues = check(&resource, self.options.checks);
        if !issues.is_empty() {
            self.refuse(place, Some(key), told(&issues));
            return;
        }
        if key.kind.name() == "Consent"
            && let Err(refusal) = consent::compile(&resource)
        {
            self.totals.in_review += 1;
            self.report.in_review(&Remark {
                place: place.clone(),
                key: Some(key.clone()),
                reason: refusal.to_string(),
            });
        }
        self.bytes += resource.text().len();
        self.pending.push(Pending {
            place,
            key,
            resource,
        });
    }

    fn refuse(&mut self, place: Place, key: Option<Key>, reason: String) {
        self.totals.refused += 1;
        self.report.refused(&Remark { place, key, reason });
        self.report.progress(0, 1);
    }

    /// Begins to write what is pending, once what was begun before is done.
    async fn flush(&mut self) -> Result<(), Trouble> {
        self.settle().await?;
        let pending = std::mem::take(&mut self.pending);
        self.bytes = 0;
        if pending.is_empty() {
            return Ok(());
        }
        let mut again = Vec::with_capacity(pending.len());
        let mut changes = Vec::with_capacity(pending.len());
        for record in pending {
            let text = record.resource.text().clone();
            again.push((record.place, record.key.clone(), text));
            changes.push(change(record.key, record.resource));
        }
        let (store, batch) = (self.opened.store.clone(), self.batch(changes));
        let task = tokio::spawn(async move { store.write(batch).await });
        self.writing = Some(Writing { task, again });
        Ok(())
    }

    /// Waits for what is being written: all of it at once, or, where a record of it can't be kept, one by
    /// one.
    async fn settle(&mut self) -> Result<(), Trouble> {
        let Some(Writing { task, again }) = self.writing.take() else {
            return Ok(());
        };
        let written = task.await;
        match written.map_err(|_| Trouble::Failed("a write stopped before its end".into()))? {
            Ok(written) => self.wrote(&written),
            Err(WriteError::Store(error)) => return Err(Trouble::Failed(error.to_string())),
            Err(_) => {
                for (place, key, text) in again {
                    self.alone(place, key, text).await?;
                }
            }
        }
        Ok(())
    }

    async fn alone(&mut self, place: Place, key: Key, text: Bytes) -> Result<(), Trouble> {
        let resource = match Resource::parse(text, self.options.limits) {
            Ok(resource) => resource,
            Err(error) => {
                self.refuse(place, Some(key), error.to_string());
                return Ok(());
            }
        };
        let batch = self.batch(vec![change(key.clone(), resource)]);
        match self.opened.store.write(batch).await {
            Ok(written) => self.wrote(&written),
            Err(WriteError::Store(error)) => return Err(Trouble::Failed(error.to_string())),
            Err(error) => self.refuse(place, Some(key), error.to_string()),
        }
        Ok(())
    }

    fn batch(&self, changes: Vec<Change>) -> Batch {
        Batch {
            changes,
            at: self.opened.clock.now(),
            settings: self.opened.settings,
            sought: Vec::new(),
            fail_closed: true,
        }
    }

    fn wrote(&mut self, written: &[Written]) {
        for record in written {
            let count = self.totals.kinds.entry(record.key.kind.name()).or_default();
            match (record.changed, record.created) {
                (false, _) => count.unchanged += 1,
                (true, true) => count.new += 1,
                (true, false) => count.changed += 1,
            }
        }
        self.report.progress(0, written.len() as u64);
    }
}

fn change(key: Key, resource: Resource) -> Change {
    Change {
        key,
        resource: Some(resource),
        expect: Expect::Any,
    }
}

/// The first problem, where it is, and how many more there are.
fn told(issues: &[Issue]) -> String {
    let Some(first) = issues.first() else {
        return "it can't be kept".into();
    };
    let mut text = match &first.expression {
        Some(at) => format!("{at}: {}", first.text),
        None => first.text.clone(),
    };
    match issues.len() {
        0 | 1 => {}
        more => text.push_str(&format!(" (and {} more)", more - 1)),
    }
    text
}
