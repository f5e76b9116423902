//! history: <https://hl7.org/fhir/R4/http.html#history>, of a record, of a type, of everything. Each
//! version is decided by the labels and the policy of today; a household sees the versions of its face.

mod query;
mod walk;

use super::{
    Answer, Question, Refusal, Service,
    search::Handling,
    search::invalid,
    searchset::{links, url, write_links},
};
use crate::{
    faces::Stamp,
    fhir::{Key, Kind, time},
    gate::{Disclosed, Journal},
    scope::Actions,
    store::{Moment, Position, SortValue, Span, Store},
};
use query::Query;
use std::collections::HashMap;
use walk::{Seen, Walk};

/// The most places in time that one question to the store brings.
const CHUNK: u16 = 500;

const STALE: &str = "the page's cursor has expired or is not of this history";

impl<S: Store, J: Journal> Service<S, J> {
    /// One version of a record.
    pub async fn vread(
        &self,
        question: &Question,
        key: &Key,
        version: &str,
    ) -> Result<Answer, Refusal> {
        let case = &question.case;
        if !case.scopes.allows(key.kind, Actions::READ) {
            return Err(Refusal::Forbidden(
                "the token's scope does not cover this read",
            ));
        }
        let is = |seen: &Seen| *seen.stamp.version == *version;
        let seen = self
            .walk(question, key, None, |seen| seen.iter().any(is))
            .await?;
        let Some(seen) = seen.into_iter().flatten().find(is) else {
            return Err(self.not_found(question).await);
        };
        let Some(released) = seen.released else {
            return Err(self.gone(question).await);
        };
        let disclosures = self.disclosed(question, vec![released]).await?;
        match disclosures.iter().flat_map(|d| d.entries()).next() {
            Some(record) => Ok(Answer::record(200, record)),
            None => Err(Refusal::NotFound),
        }
    }

    /// The versions of a record, the newest first.
    pub async fn history(
        &self,
        question: &Question,
        key: &Key,
        pairs: &[(String, String)],
        handling: Handling,
    ) -> Result<Answer, Refusal> {
        let case = &question.case;
        if !case.scopes.allows(key.kind, Actions::READ) {
            return Err(Refusal::Forbidden(
                "the token's scope does not cover this read",
            ));
        }
        let query = Query::parse(pairs, handling, self.count_max)?;
        let path = format!("{key}/_history");
        let from = self.page_of(question, &path, &query)?;
        let after = match &from {
            None => None,
            Some(from) => from.id.split_once('/').map(|(_, version)| version),
        };
        let count = usize::from(query.count);
        let keeps = |seen: &Seen| query.keeps(seen.stamp.updated, seen.until);
        // What is older than one of before the time asked about was replaced before it, too.
        let bound = query.since.max(query.at.map(|at| at.start));
        let past = |seen: &Seen| bound.is_some_and(|bound| seen.stamp.updated < bound);
        let found = self
            .walk(question, key, after, |seen| {
                let kept = seen.iter().filter(|seen| keeps(seen)).count();
                kept > count + 1 || seen.last().is_some_and(past)
            })
            .await?;
        let Some(mut seen) = found else {
            return Err(self.not_found(question).await);
        };
        if let Some(after) = after {
            let first = seen.first().map(|seen| &*seen.stamp.version);
            if first != Some(after) {
                return Err(invalid(STALE));
            }
            seen.remove(0);
        }
        seen.retain(keeps);
        let more = seen.len() > count;
        seen.truncate(count);
        let next = seen.last().filter(|_| more).map(|last| Position {
            value: Some(SortValue::Integer(last.stamp.updated)),
            kind: key.kind.number(),
            id: format!("{}/{}", key.id, last.stamp.version),
        });
        let entries = seen.into_iter().map(|seen| (key.clone(), seen)).collect();
        self.told(question, &path, &query, entries, next).await
    }

    /// The versions of all records of a type, or of all types, the newest first.
    pub async fn history_of_all(
        &self,
        question: &Question,
        kind: Option<Kind>,
        pairs: &[(String, String)],
        handling: Handling,
    ) -> Result<Answer, Refusal> {
        let case = &question.case;
        let kinds = case.scopes.kinds(Actions::SEARCH);
        let covered = match kind {
            Some(kind) => kinds.has(kind),
            None => kinds.iter().next().is_some(),
        };
        if !covered {
            return Err(Refusal::Forbidden(
                "the token's scope does not cover this search",
            ));
        }
        let query = Query::parse(pairs, handling, self.count_max)?;
        let path = match kind {
            Some(kind) => format!("{}/_history", kind.name()),
            None => "_history".to_owned(),
        };
        let span = Span {
            kind,
            since: query.since,
            until: query.at.map(|at| at.end),
        };
        let mut from = self.page_of(question, &path, &query)?;
        let start = from.clone();
        let mut known: HashMap<Key, Walk> = HashMap::new();
        let mut entries: Vec<(Key, Seen)> = Vec::new();
        let mut last = None;
        let mut next = None;
        'pages: loop {
            let moments = self
                .store
                .moments(case, self.settings, span, from.as_ref(), CHUNK)
                .await?;
            from = moments.last().map(position);
            let whole = moments.len() == usize::from(CHUNK);
            for moment in moments {
                let Moment { key, seq, .. } = &moment;
                if !kinds.has(key.kind) {
                    continue;
                }
                if !known.contains_key(key) {
                    // That which the page before ended with was shown: its walk can go on from there.
                    let after = start.as_ref().and_then(|start| named(start, key));
                    known.insert(key.clone(), Walk::from(after));
                }
                let Some(walk) = known.get_mut(key) else {
                    continue;
                };
                // Whether a version counts is known once something older is seen.
                let beyond = |seen: &[Seen]| seen.last().is_some_and(|last| last.seq < *seq);
                self.walk_on(question, key, walk, beyond).await?;
                let keeps = |seen: &Seen| query.keeps(seen.stamp.updated, seen.until);
                let Some(found) = walk.peek(*seq, keeps) else {
                    continue;
                };
                if entries.len() == usize::from(query.count) {
                    next = last;
                    break 'pages;
                }
                last = Some(position(&moment));
                entries.extend(walk.take(found).map(|seen| (key.clone(), seen)));
            }
            if !whole {
                break;
            }
        }
        self.told(question, &path, &query, entries, next).await
    }

    /// Where the page begins.
    fn page_of(
        &self,
        question: &Question,
        path: &str,
        query: &Query,
    ) -> Result<Option<Position>, Refusal> {
        let Some(cursor) = &query.cursor else {
            return Ok(None);
        };
        let asked = url("", path, &query.used);
        let from = self.cursors.open_cursor(&question.case, &asked, cursor);
        from.map(Some).ok_or_else(|| invalid(STALE))
    }

    /// The Bundle of these versions, once they are on the audit chain.
    async fn told(
        &self,
        question: &Question,
        path: &str,
        query: &Query,
        entries: Vec<(Key, Seen)>,
        next: Option<Position>,
    ) -> Result<Answer, Refusal> {
        let asked = url("", path, &query.used);
        let next = next.map(|next| self.cursors.seal(&question.case, &asked, &next));
        let links = links(&question.base, path, &query.used, next);
        let mut released = Vec::new();
        let mut places: Vec<(Key, Option<Stamp>)> = Vec::with_capacity(entries.len());
        for (key, seen) in entries {
            let deleted = seen.released.is_none().then_some(seen.stamp);
            places.push((key, deleted));
            released.extend(seen.released);
        }
        let disclosures = self.disclosed(question, released).await?;
        let mut records = disclosures
            .iter()
            .flat_map(|disclosure| disclosure.entries());
        let mut out = Vec::with_capacity(4096);
        out.extend_from_slice(b"{\"resourceType\":\"Bundle\",\"type\":\"history\"");
        write_links(&mut out, &links);
        for (at, (key, deleted)) in places.iter().enumerate() {
            out.extend_from_slice(if at == 0 { b",\"entry\":[" } else { b"," });
            let record = match deleted {
                Some(_) => None,
                None => records.next(),
            };
            entry(&mut out, &question.base, key, record, deleted.as_ref());
        }
        out.extend_from_slice(if places.is_empty() { b"}" } else { b"]}" });
        Ok(Answer::of(200, out))
    }
}

/// One entry. How a version came about is told as PUT or DELETE: whether there was an earlier one
/// is not for everyone to know.
fn entry(
    out: &mut Vec<u8>,
    base: &str,
    key: &Key,
    record: Option<Disclosed<'_>>,
    deleted: Option<&Stamp>,
) {
    out.extend_from_slice(format!("{{\"fullUrl\":\"{}/{key}\"", base).as_bytes());
    let stamp = record.map(|record| record.stamp).or(deleted);
    if let Some(record) = record {
        out.extend_from_slice(b",\"resource\":");
        out.extend_from_slice(record.body);
    }
    let (method, status) = match record {
        Some(_) => ("PUT", "200 OK"),
        None => ("DELETE", "204 No Content"),
    };
    out.extend_from_slice(
        format!(
            r#","request":{{"method":"{method}","url":"{key}"}},"response":{{"status":"{status}""#
        )
        .as_bytes(),
    );
    if let Some(stamp) = stamp {
        let (version, at) = (&stamp.version, time::text(stamp.updated));
        out.extend_from_slice(
            format!(r#","etag":"W/\"{version}\"","lastModified":"{at}""#).as_bytes(),
        );
    }
    out.extend_from_slice(b"}}");
}

/// The version of this record that a position names.
fn named<'p>(position: &'p Position, key: &Key) -> Option<&'p str> {
    let (id, version) = position.id.split_once('/')?;
    (position.kind == key.kind.number() && id == key.id.as_str()).then_some(version)
}

fn position(moment: &Moment) -> Position {
    Position {
        value: Some(SortValue::Integer(moment.at)),
        kind: moment.key.kind.number(),
        id: format!("{}/{}", moment.key.id, moment.version),
    }
}
