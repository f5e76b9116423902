//! Reading the log back, newest first, as it stood when the request came in.

use super::{
    AuditLog, ReadError,
    body::{self, Recorded},
    place::Place,
    projection,
    writer::Message,
};
use crate::fhir::{Instant, Interval, Key};
use rusqlite::{Connection, OptionalExtension as _, Row, params_from_iter, types::Value};
use std::{fmt, fmt::Write as _};
use tokio::sync::oneshot;

/// What to find. The parts narrow; none finds all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// Entries about this patient.
    pub patient: Option<Key>,
    /// Entries of this client.
    pub client: Option<Box<str>>,
    /// Entries of this person.
    pub user: Option<Key>,
    /// Entries of this time.
    pub during: Interval,
    /// The most to return; 0 only counts.
    pub count: u32,
    /// Where the page before ended.
    pub after: Option<Continuation>,
}

impl Default for Search {
    fn default() -> Search {
        Search {
            patient: None,
            client: None,
            user: None,
            during: Interval::ALWAYS,
            count: 50,
            after: None,
        }
    }
}

/// Where a page ended. It keeps to the log as it stood for the first page, so that totals and pages
/// agree while entries are added (reading the log adds some).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Continuation {
    at: Instant,
    id: i64,
    upto: i64,
}

impl Continuation {
    /// Reads what a [`Continuation`] prints.
    pub fn parse(text: &str) -> Option<Continuation> {
        let mut numbers = text.split('.').map(|number| number.parse().ok());
        let (at, id, upto) = (numbers.next()??, numbers.next()??, numbers.next()??);
        let whole = numbers.next().is_none();
        whole.then_some(Continuation { at, id, upto })
    }
}

impl fmt::Display for Continuation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.at, self.id, self.upto)
    }
}

/// An entry that was found, with what its AuditEvent says of its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it stands; its AuditEvent's id.
    pub place: Place,
    /// The node that wrote it.
    pub node: Box<str>,
    /// The start of that node's process that wrote it.
    pub boot: Box<str>,
    /// What was written.
    pub recorded: Recorded,
}

/// A page of entries, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The entries.
    pub entries: Vec<Found>,
    /// How many match on all pages.
    pub total: u64,
    /// Where the next page goes on, if there is one.
    pub next: Option<Continuation>,
}

impl AuditLog {
    /// Finds entries. Waits until all that was committed when it was called can be found.
    pub async fn search(&self, search: Search) -> Result<Page, ReadError> {
        let after = search.after;
        let (last, indexed) = self
            .read(move |connection| {
                let last = projection::last(connection)?;
                let upto = after.map_or(last, |after| after.upto.min(last));
                Ok((upto, projection::upto(connection)?))
            })
            .await?;
        if indexed < last {
            let (done, answer) = oneshot::channel();
            self.send(Message::Project(last, done))
                .ok_or(ReadError::Behind)?;
            if !answer.await.unwrap_or(false) {
                return Err(ReadError::Behind);
            }
        }
        self.read(move |connection| page(connection, &search, last))
            .await
    }

    /// The entry at a place.
    pub async fn entry(&self, place: Place) -> Result<Option<Found>, ReadError> {
        self.read(move |connection| {
            let sql = format!("SELECT {COLUMNS} {TABLES} WHERE e.chain = ?1 AND e.seq = ?2");
            let mut query = connection.prepare_cached(&sql)?;
            let place = (place.chain, place.seq);
            query.query_row(place, found).optional()
        })
        .await
    }

    /// Whether the log can be read at all, for readiness. Blocks.
    pub fn ping(&self) -> Result<(), ReadError> {
        let sql = "SELECT 1";
        Ok(self
            .inner
            .readers
            .with(|read| read.query_row(sql, [], |_| Ok(())))?)
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, ReadError> {
        let log = self.clone();
        let reading = tokio::task::spawn_blocking(move || log.inner.readers.with(read));
        Ok(reading.await.map_err(|_| ReadError::Cut)??)
    }
}

const COLUMNS: &str = "e.chain, e.seq, c.node, c.boot, e.body, e.at, e.id";
const TABLES: &str = "FROM audit_entry e JOIN audit_chain c ON c.id = e.chain";

fn found(row: &Row<'_>) -> rusqlite::Result<Found> {
    let text = row.get_ref(4)?.as_bytes()?;
    let recorded = body::decode(text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(4, rusqlite::types::Type::Text, error.into())
    })?;
    Ok(Found {
        place: Place {
            chain: row.get(0)?,
            seq: row.get(1)?,
        },
        node: row.get::<_, String>(2)?.into(),
        boot: row.get::<_, String>(3)?.into(),
        recorded,
    })
}

/// The conditions of a search over its driving index, `x`.
struct Filter {
    from: &'static str,
    terms: String,
    values: Vec<Value>,
}

impl Filter {
    fn of(search: &Search, upto: i64) -> Filter {
        let mut filter = Filter {
            from: "audit_event x",
            terms: String::from("x.id <= ?1 AND x.at BETWEEN ?2 AND ?3"),
            values: vec![
                upto.into(),
                search.during.start.into(),
                search.during.end.into(),
            ],
        };
        let mut columns = "x";
        if let Some(patient) = &search.patient {
            filter.term("x.patient =", patient.to_string());
            filter.from = "audit_patient x";
            if search.client.is_some() || search.user.is_some() {
                filter.from = "audit_patient x JOIN audit_event v ON v.id = x.id";
                columns = "v";
            }
        }
        if let Some(client) = &search.client {
            filter.term(&format!("{columns}.client ="), client.to_string());
        }
        if let Some(user) = &search.user {
            filter.term(&format!("{columns}.user ="), user.to_string());
        }
        filter
    }

    fn term(&mut self, term: &str, value: impl Into<Value>) {
        self.values.push(value.into());
        let _ = write!(self.terms, " AND {term} ?{}", self.values.len());
    }
}

fn page(connection: &mut Connection, search: &Search, upto: i64) -> rusqlite::Result<Page> {
    let snapshot = connection.transaction()?;
    let mut filter = Filter::of(search, upto);
    let sql = format!(
        "SELECT count(*) FROM {} WHERE {}",
        filter.from, filter.terms
    );
    let values = params_from_iter(&filter.values);
    let total: i64 = snapshot
        .prepare_cached(&sql)?
        .query_row(values, |row| row.get(0))?;
    if let Some(after) = search.after {
        filter.values.push(after.at.into());
        let at = filter.values.len();
        filter.term(&format!("(x.at, x.id) < (?{at},"), after.id);
        filter.terms.push(')');
    }
    let limit = i64::from(search.count);
    filter.values.push((limit + 1).into());
    let sql = format!(
        "SELECT {COLUMNS} FROM (SELECT x.id FROM {from} WHERE {terms}
           ORDER BY x.at DESC, x.id DESC LIMIT ?{limit}) found
         JOIN audit_entry e ON e.id = found.id JOIN audit_chain c ON c.id = e.chain
         ORDER BY e.at DESC, e.id DESC",
        from = filter.from,
        terms = filter.terms,
        limit = filter.values.len(),
    );
    let mut query = snapshot.prepare_cached(&sql)?;
    let mut rows = query.query(params_from_iter(&filter.values))?;
    let mut page = Page {
        entries: Vec::new(),
        total: u64::try_from(total).unwrap_or_default(),
        next: None,
    };
    let mut end = None;
    while let Some(row) = rows.next()? {
        if page.entries.len() >= usize::try_from(limit).unwrap_or(usize::MAX) {
            page.next = end;
            break;
        }
        page.entries.push(found(row)?);
        end = Some(Continuation {
            at: row.get(5)?,
            id: row.get(6)?,
            upto,
        });
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        gate::Journal as _,
        store::audit::log::tests::{Fixture, entry},
    };

    fn numbers(page: &Page) -> Vec<i64> {
        let seconds = |found: &Found| found.recorded.at / 1_000_000;
        page.entries.iter().map(seconds).collect()
    }

    fn of(patient: &str) -> Search {
        Search {
            patient: Key::parse(patient),
            ..Search::default()
        }
    }

    #[tokio::test]
    async fn a_search_finds_all_that_was_recorded_before_it() {
        let fixture = Fixture::new();
        let log = fixture.open();
        for number in 0..6 {
            log.record(entry(number)).await.unwrap();
            let page = log.search(Search::default()).await.unwrap();
            assert_eq!(numbers(&page), (0..=number).rev().collect::<Vec<_>>());
        }
        // Also what another process recorded and never indexed.
        let tool = fixture.open();
        tool.record(entry(6)).await.unwrap();
        drop(tool);
        let page = log.search(of("Patient/a")).await.unwrap();
        assert_eq!(numbers(&page), [6, 4, 2, 0]);
        assert_eq!(page.total, 4);
    }

    #[tokio::test]
    async fn a_search_that_the_index_cannot_follow_says_so() {
        let fixture = Fixture::new();
        let log = fixture.open();
        let holder = Connection::open(fixture.file()).unwrap();
        log.record(entry(1)).await.unwrap();
        // Behind for good: no quiet moment can bring it up, wherever the writer is.
        holder
            .execute_batch("CREATE TRIGGER stop BEFORE INSERT ON audit_event BEGIN SELECT RAISE(ABORT, ''); END")
            .unwrap();
        log.record(entry(2)).await.unwrap();
        let refused = log.search(Search::default()).await;
        assert!(matches!(refused, Err(ReadError::Behind)));
        holder.execute_batch("DROP TRIGGER stop").unwrap();
        assert_eq!(log.search(Search::default()).await.unwrap().total, 2);
    }

    #[tokio::test]
    async fn entries_are_synced_again_after_the_index_was_written() {
        let fixture = Fixture::new();
        let log = fixture.open();
        for number in 0..2 {
            log.record(entry(number)).await.unwrap();
            log.meddle(|connection| {
                let level: i64 = connection
                    .pragma_query_value(None, "synchronous", |row| row.get(0))
                    .unwrap();
                assert_eq!(level, 2);
            });
            log.search(Search::default()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn the_parts_of_a_search_narrow() {
        let fixture = Fixture::new();
        let log = fixture.open();
        for number in 0..8 {
            let mut entry = entry(number);
            entry.user = (number < 4).then(|| Key::parse("Practitioner/p").unwrap());
            entry.client = if number % 4 == 1 { "app" } else { "ehr" }.into();
            log.record(entry).await.unwrap();
        }
        let find = async |search: Search| numbers(&log.search(search).await.unwrap());
        let user = Key::parse("Practitioner/p");
        let by_user = Search {
            user: user.clone(),
            ..Search::default()
        };
        assert_eq!(find(by_user).await, [3, 2, 1, 0]);
        let by_client = Search {
            client: Some("app".into()),
            ..Search::default()
        };
        assert_eq!(find(by_client).await, [5, 1]);
        let by_all = Search {
            user,
            client: Some("app".into()),
            ..of("Patient/b")
        };
        assert_eq!(find(by_all).await, [1]);
        let in_time = Search {
            during: Interval {
                start: 2_000_000,
                end: 5_999_999,
            },
            ..of("Patient/b")
        };
        assert_eq!(find(in_time).await, [5, 3]);
        assert!(find(of("Patient/none")).await.is_empty());
        let only_count = Search {
            count: 0,
            ..Search::default()
        };
        let page = log.search(only_count).await.unwrap();
        assert_eq!((page.total, page.entries.len(), page.next), (8, 0, None));
    }

    #[tokio::test]
    async fn pages_go_on_where_they_ended_while_the_log_grows() {
        let fixture = Fixture::new();
        let log = fixture.open();
        for number in [0, 2, 1, 2, 3] {
            log.record(entry(number)).await.unwrap();
        }
        let mut search = Search {
            count: 2,
            ..Search::default()
        };
        let mut seen = Vec::new();
        loop {
            let page = log.search(search.clone()).await.unwrap();
            assert_eq!(page.total, 5);
            seen.push(numbers(&page));
            log.record(entry(1)).await.unwrap();
            let Some(next) = page.next else { break };
            search.after = Continuation::parse(&next.to_string());
            assert_eq!(search.after, Some(next));
        }
        assert_eq!(seen, [vec![3, 2], vec![2, 1], vec![0]]);
    }

    #[test]
    fn a_continuation_that_is_none_is_refused() {
        for text in ["", "1", "1.2", "1.2.x", "1.2.3.4"] {
            assert_eq!(Continuation::parse(text), None, "{text}");
        }
    }
}
