//! read and search of AuditEvent: a read-only projection of the audit chain in an id space of its
//! own (SEMANTICS section 7). Foreign AuditEvents are ordinary records; who may audit finds them after
//! ours.

use super::{
    Answer, Question, Refusal, Service,
    search::{Handling, Within, invalid},
    searchset::{Bundle, Mode, links},
};
use crate::{
    faces::Stamp,
    fhir::{Id, Interval, Key, Kind, Resource},
    gate::{Journal, Sealed, disclose, release, seal},
    label::{Labelled, Marks},
    policy::{Case, Facts, Standing},
    scope::Actions,
    search::plan::{CURSOR, Total},
    store::{
        Store, StoreError,
        audit::{AuditLog, Continuation, Found, Place, Search, event},
    },
};

/// The cursor of the page on which those of others begin.
const OTHERS: &str = "others";

impl<S: Store, J: Journal> Service<S, J> {
    /// One entry of the chain.
    pub async fn read_audit_event(
        &self,
        log: &AuditLog,
        question: &Question,
        place: Place,
    ) -> Result<Answer, Refusal> {
        let case = &question.case;
        let kind = audit_event()?;
        if !case.scopes.allows(kind, Actions::READ) {
            return Err(Refusal::Forbidden(
                "the token's scope does not cover this read",
            ));
        }
        let found = log.entry(place).await.map_err(away)?;
        let released = match found {
            Some(found) => release(
                sealed(kind, &found)?,
                case,
                self.settings,
                &Standing::default(),
            )
            .ok(),
            None => None,
        };
        let status = if released.is_some() { 200 } else { 404 };
        let batch = released.into_iter().collect();
        let disclosure = disclose(&self.journal, case, &question.asked, status, batch).await?;
        match disclosure.entries().next() {
            Some(record) => Ok(Answer::record(200, record)),
            None => Err(Refusal::NotFound),
        }
    }

    /// Entries by `patient`, `date`, `agent` and `client`, newest first. Waits until what was
    /// committed before this question can be found.
    pub async fn search_audit_events(
        &self,
        log: &AuditLog,
        question: &Question,
        pairs: &[(String, String)],
        handling: Handling,
    ) -> Result<Answer, Refusal> {
        let case = &question.case;
        let kind = audit_event()?;
        if !case.scopes.allows(kind, Actions::SEARCH) {
            return Err(Refusal::Forbidden(
                "the token's scope does not cover this search",
            ));
        }
        // Those of others follow ours, where they are asked for by what ours are; who may not audit is
        // answered from those of others alone, as far as they are theirs to see.
        let within = Within::Kind(kind);
        let place = pairs.iter().find(|(name, _)| name == CURSOR);
        let beyond = place.is_some_and(|(_, at)| Continuation::parse(at).is_none());
        if !may_audit(case) || beyond {
            let is_start = |(name, value): &(String, String)| name == CURSOR && value == OTHERS;
            let mut pairs = pairs.to_vec();
            pairs.retain(|pair| !is_start(pair));
            return self.search(question, &within, &pairs, handling).await;
        }
        let (search, used) = self.audit_search(pairs)?;
        let others = match search.client {
            // No client of ours made them.
            Some(_) => 0,
            None => self.count(case, &within, &used).await?,
        };
        let page = log.search(search).await.map_err(away)?;
        let mut released = Vec::new();
        for found in &page.entries {
            released.extend(
                release(
                    sealed(kind, found)?,
                    case,
                    self.settings,
                    &Standing::default(),
                )
                .ok(),
            );
        }
        // Who may read no entry learns no count of them either.
        let may = page.entries.len() == released.len();
        let total = others + if may { page.total } else { 0 };
        let next = page.next.filter(|_| may).map(|next| next.to_string());
        let next = next.or_else(|| (others > 0).then(|| OTHERS.to_owned()));
        let links = links(&question.base, kind.name(), &used, next);
        let mut bundle = Bundle::searchset(&question.base, Some(total), &links);
        for disclosure in self.disclosed(question, released).await? {
            bundle.add(&disclosure, Mode::Match);
        }
        Ok(Answer::of(200, bundle.finish()))
    }

    /// How many records a search finds.
    async fn count(
        &self,
        case: &Case,
        within: &Within,
        pairs: &[(String, String)],
    ) -> Result<u64, Refusal> {
        let mut plan = self.plan(case, within, pairs, Handling::Strict)?;
        plan.count = 0;
        plan.total = Total::Accurate;
        let page = self.store.search(case, self.settings, &plan, None).await?;
        Ok(page.total.unwrap_or_default())
    }

    fn audit_search(
        &self,
        pairs: &[(String, String)],
    ) -> Result<(Search, Vec<(String, String)>), Refusal> {
        let mut search = Search::default();
        let mut used = Vec::new();
        for (name, value) in pairs {
            match name.as_str() {
                "patient" => search.patient = Some(key_of("Patient", value)?),
                "agent" => {
                    search.user =
                        Some(Key::parse(value).ok_or_else(|| invalid("agent is not Type/id"))?)
                }
                "client" => search.client = Some(value.as_str().into()),
                "date" => search.during = during(search.during, value)?,
                "_count" => {
                    let count: u32 = value
                        .parse()
                        .map_err(|_| invalid("_count is not a number"))?;
                    search.count = count.min(u32::from(self.count_max));
                }
                "_format" | "_pretty" => continue,
                CURSOR => {
                    let after = Continuation::parse(value)
                        .ok_or_else(|| invalid("the page's cursor is not of this search"))?;
                    search.after = Some(after);
                    continue;
                }
                "_sort" if value == "-date" => {}
                _ => {
                    return Err(invalid(
                        "AuditEvent is searched by patient, agent, client, date and _count",
                    ));
                }
            }
            used.push((name.clone(), value.clone()));
        }
        Ok((search, used))
    }
}

fn may_audit(case: &Case) -> bool {
    use crate::policy::Role;
    matches!(case.requester.role, Role::Auditor | Role::PrivacyOffice)
}

fn key_of(kind: &str, value: &str) -> Result<Key, Refusal> {
    let key = if value.contains('/') {
        Key::parse(value).filter(|key| key.kind.name() == kind)
    } else {
        Kind::named(kind)
            .zip(Id::parse(value))
            .map(|(kind, id)| Key { kind, id })
    };
    key.ok_or_else(|| invalid("patient is not a reference to a Patient"))
}

fn during(so_far: Interval, value: &str) -> Result<Interval, Refusal> {
    let (prefix, text) = match value.get(..2) {
        Some(prefix @ ("ge" | "le" | "gt" | "lt" | "eq")) => {
            (prefix, value.get(2..).unwrap_or_default())
        }
        _ => ("eq", value),
    };
    let zone = crate::calendar::zone();
    let asked = Interval::of(text, &zone).ok_or_else(|| invalid("date is not a FHIR date"))?;
    let window = match prefix {
        "ge" => Interval {
            start: asked.start,
            end: i64::MAX,
        },
        "gt" => Interval {
            start: asked.end.saturating_add(1),
            end: i64::MAX,
        },
        "le" => Interval {
            start: i64::MIN,
            end: asked.end,
        },
        "lt" => Interval {
            start: i64::MIN,
            end: asked.start.saturating_sub(1),
        },
        _ => asked,
    };
    so_far
        .both(window)
        .ok_or_else(|| invalid("no time lies in all dates"))
}

fn audit_event() -> Result<Kind, Refusal> {
    Kind::named("AuditEvent").ok_or(Refusal::NotFound)
}

fn away(error: impl std::error::Error) -> Refusal {
    Refusal::Store(StoreError::Away(error.to_string().into()))
}

/// An entry as a sealed record: the gate decides of it as of any other.
fn sealed(kind: Kind, found: &Found) -> Result<Sealed, Refusal> {
    let damaged = || Refusal::Store(StoreError::Damaged);
    let resource = Resource::ours(event::json(found)).map_err(|_| damaged())?;
    let id = Id::parse(&found.place.to_string()).ok_or_else(damaged)?;
    let stamp = Stamp {
        version: "1".into(),
        updated: found.recorded.at,
    };
    let facts = Facts {
        key: Key { kind, id },
        patients: Vec::new(),
        whole: Marks::NONE,
        parts: Vec::new(),
        serviced: None,
        author: None,
        organization: None,
    };
    Ok(seal(
        facts,
        stamp.clone(),
        stamp,
        &resource,
        &Labelled::default(),
        Some(&resource),
    ))
}
