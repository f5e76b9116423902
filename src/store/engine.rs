//! A store on either engine. What is asked of it is the same code; an engine differs in where that runs:
//! SQLite's on the thread that asks, PostgreSQL's on a thread with a connection.

use super::{
    Batch, Begin, Found, History, Moment, Page, Position, Reindexed, Span, Store, StoreError,
    WriteError, Written,
    postgres::PostgresStore,
    records::{self, history, reindex, remembered::Snapshot, search, spread},
    sqlite::SqliteStore,
};
use crate::{
    fhir::{Instant, Key},
    policy::{Case, Settings},
    search::plan::Plan,
};
use std::time::Duration;

/// The store of records. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Engine {
    /// Embedded, for one node.
    Sqlite(SqliteStore),
    /// For several nodes.
    Postgres(PostgresStore),
}

impl From<SqliteStore> for Engine {
    fn from(store: SqliteStore) -> Self {
        Engine::Sqlite(store)
    }
}

impl From<PostgresStore> for Engine {
    fn from(store: PostgresStore) -> Self {
        Engine::Postgres(store)
    }
}

impl Engine {
    /// Asks and waits for the answer where it stands: for commands and checks, not for requests.
    fn ask_now<T: Send + 'static>(
        &self,
        question: impl Fn(&Snapshot<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        match self {
            Engine::Sqlite(store) => store.ask(question),
            Engine::Postgres(store) => store.ask_now(question),
        }
    }

    /// How long a question may take.
    pub fn limit(&self, longest: Duration) {
        match self {
            Engine::Sqlite(store) => store.limit(longest),
            Engine::Postgres(store) => store.limit(longest),
        }
    }

    /// Checks that the store answers and is whole as far as a quick look tells.
    pub fn check(&self) -> Result<(), StoreError> {
        match self {
            Engine::Sqlite(store) => store.check(),
            // PostgreSQL checks its pages itself; that every table can be read is what we can tell.
            Engine::Postgres(store) => store.ask_now(|read| records::totals(read).map(drop)),
        }
    }

    /// Whether the store answers at all.
    pub fn ping(&self) -> Result<(), StoreError> {
        self.ask_now(|read| records::answers(read))
    }

    /// How many records of each type it holds, for operators.
    pub fn totals(&self) -> Result<Vec<(&'static str, u64)>, StoreError> {
        self.ask_now(|read| records::totals(read))
    }

    /// When its newest record was written, for operators.
    pub fn newest(&self) -> Result<Option<Instant>, StoreError> {
        self.ask_now(|read| records::newest(read))
    }

    /// Whether relabelling is still to be finished.
    pub fn is_pending(&self) -> Result<bool, StoreError> {
        self.ask_now(|read| spread::is_pending(read))
    }

    /// Whether the search index was made by this program and its parameter table.
    pub fn is_index_current(&self) -> Result<bool, StoreError> {
        self.ask_now(|read| reindex::is_current(read))
    }

    /// Makes the search index of the next records again, in one transaction; `anew` from the first one.
    /// Each piece is kept: what was interrupted goes on.
    pub fn reindex(&self, anew: bool) -> Result<Reindexed, StoreError> {
        match self {
            Engine::Sqlite(store) => store.transact(|tx| reindex::piece(tx, anew)),
            Engine::Postgres(store) => store.transact(move |tx| reindex::piece(tx, anew)),
        }
    }

    /// Writes a batch and waits where it stands.
    pub fn write_now(&self, batch: Batch) -> Result<Vec<Written>, WriteError> {
        match self {
            Engine::Sqlite(store) => store.write_now(batch),
            Engine::Postgres(store) => store.write_now(batch),
        }
    }
}

impl Store for Engine {
    async fn read(
        &self,
        case: &Case,
        settings: Settings,
        key: &Key,
    ) -> Result<Option<Found>, StoreError> {
        match self {
            Engine::Sqlite(store) => store.ask(|read| search::read(read, case, settings, key)),
            Engine::Postgres(store) => store.read(case.clone(), settings, key.clone()).await,
        }
    }

    async fn search(
        &self,
        case: &Case,
        settings: Settings,
        plan: &Plan,
        from: Option<&Position>,
    ) -> Result<Page, StoreError> {
        match self {
            Engine::Sqlite(store) => {
                store.ask(|read| search::search(read, case, settings, plan, from))
            }
            Engine::Postgres(store) => {
                let (case, plan, from) = (case.clone(), plan.clone(), from.cloned());
                let question = move |read: &Snapshot<'_>| {
                    search::search(read, &case, settings, &plan, from.as_ref())
                };
                store.ask(question).await
            }
        }
    }

    async fn everything(
        &self,
        case: &Case,
        settings: Settings,
        patient: &Key,
        count: u16,
        from: Option<&Position>,
    ) -> Result<Page, StoreError> {
        match self {
            Engine::Sqlite(store) => {
                store.ask(|read| search::everything(read, case, settings, patient, count, from))
            }
            Engine::Postgres(store) => {
                let (case, patient, from) = (case.clone(), patient.clone(), from.cloned());
                let question = move |read: &Snapshot<'_>| {
                    search::everything(read, &case, settings, &patient, count, from.as_ref())
                };
                store.ask(question).await
            }
        }
    }

    async fn named(
        &self,
        case: &Case,
        settings: Settings,
        keys: &[Key],
    ) -> Result<Page, StoreError> {
        match self {
            Engine::Sqlite(store) => store.ask(|read| search::named(read, case, settings, keys)),
            Engine::Postgres(store) => {
                let (case, keys) = (case.clone(), keys.to_vec());
                let question =
                    move |read: &Snapshot<'_>| search::named(read, &case, settings, &keys);
                store.ask(question).await
            }
        }
    }

    async fn versions(
        &self,
        case: &Case,
        settings: Settings,
        key: &Key,
        from: &Begin,
        count: u16,
    ) -> Result<Option<History>, StoreError> {
        match self {
            Engine::Sqlite(store) => {
                store.ask(|read| history::versions(read, case, settings, key, from, count))
            }
            Engine::Postgres(store) => {
                let (case, key, from) = (case.clone(), key.clone(), from.clone());
                let question = move |read: &Snapshot<'_>| {
                    history::versions(read, &case, settings, &key, &from, count)
                };
                store.ask(question).await
            }
        }
    }

    async fn moments(
        &self,
        case: &Case,
        settings: Settings,
        span: Span,
        from: Option<&Position>,
        count: u16,
    ) -> Result<Vec<Moment>, StoreError> {
        match self {
            Engine::Sqlite(store) => {
                store.ask(|read| history::moments(read, case, settings, span, from, count))
            }
            Engine::Postgres(store) => {
                let (case, from) = (case.clone(), from.cloned());
                let question = move |read: &Snapshot<'_>| {
                    history::moments(read, &case, settings, span, from.as_ref(), count)
                };
                store.ask(question).await
            }
        }
    }

    async fn write(&self, batch: Batch) -> Result<Vec<Written>, WriteError> {
        match self {
            Engine::Sqlite(store) => store.write(batch).await,
            Engine::Postgres(store) => store.write(batch).await,
        }
    }
}
