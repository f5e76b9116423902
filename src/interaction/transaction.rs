//! transaction: <https://hl7.org/fhir/R4/http.html#transaction>. All or nothing; each entry is
//! authorized alone.

use super::{
    Answer, Question, Refusal, Service,
    bundle::{self, Method, Mode},
    search::invalid,
    write::{may_write, unreadable},
};
use crate::{
    fhir::{Key, Resource, outcome::Issue},
    gate::{Journal, disclose, release},
    scope::Actions,
    store::{Batch, Change, Expect, Store},
};
use bytes::Bytes;

impl<S: Store, J: Journal> Service<S, J> {
    /// Writes the entries of a transaction Bundle, or none of them.
    pub async fn transaction(&self, question: &Question, body: Bytes) -> Result<Answer, Refusal> {
        let case = &question.case;
        let bundle = Resource::parse(body, self.limits).map_err(unreadable)?;
        if bundle.kind().name() != "Bundle" {
            return Err(invalid("a Bundle is expected here"));
        }
        let unpacked =
            bundle::unpack(&bundle, Mode::Transaction { at: case.at }).map_err(Refusal::Invalid)?;
        let mut changes = Vec::with_capacity(unpacked.len());
        let mut keys: Vec<Key> = Vec::with_capacity(unpacked.len());
        for entry in unpacked {
            let action = match entry.method {
                Method::Create => Actions::CREATE,
                Method::Update => Actions::UPDATE,
            };
            if !case.scopes.allows(entry.key.kind, action) {
                return Err(Refusal::Forbidden(
                    "the token's scope does not cover an entry",
                ));
            }
            may_write(case, entry.key.kind)?;
            let place = format!("Bundle.entry[{}].resource", entry.index);
            let resource = self.localized(entry.resource, &place)?;
            self.check(case, &resource, action)
                .map_err(|refusal| at_entry(refusal, entry.index))?;
            self.in_facility(case, &resource).await?;
            self.names_known(case, &resource)
                .await
                .map_err(|refusal| at_entry(refusal, entry.index))?;
            let expect = match entry.method {
                Method::Create => Expect::Absent,
                Method::Update => self.expected(question, &entry.key, None).await?,
            };
            keys.push(entry.key.clone());
            changes.push(Change {
                key: entry.key,
                resource: Some(resource),
                expect,
            });
        }
        let batch = Batch {
            changes,
            at: self.clock.now(),
            settings: self.settings,
            fail_closed: false,
        };
        self.journal
            .record(super::write::intent(question, &batch))
            .await?;
        let written = self.store.write(batch).await?;
        disclose(&self.journal, case, &question.asked, 200, Vec::new()).await?;
        let mut out = b"{\"resourceType\":\"Bundle\",\"type\":\"transaction-response\"".to_vec();
        for (at, (key, written)) in keys.iter().zip(&written).enumerate() {
            out.extend_from_slice(if at == 0 { b",\"entry\":[" } else { b"," });
            let status = if written.created {
                "201 Created"
            } else {
                "200 OK"
            };
            let version = self.version(question, key).await?;
            out.extend_from_slice(format!(r#"{{"response":{{"status":"{status}""#).as_bytes());
            if let Some(version) = version {
                out.extend_from_slice(
                    format!(r#","location":"{key}/_history/{version}","etag":"W/\"{version}\"""#)
                        .as_bytes(),
                );
            }
            out.extend_from_slice(b"}}");
        }
        out.extend_from_slice(if keys.is_empty() { b"}" } else { b"]}" });
        Ok(Answer::of(200, out))
    }

    /// The version that the writer may see of what was written.
    async fn version(&self, question: &Question, key: &Key) -> Result<Option<Box<str>>, Refusal> {
        let case = &question.case;
        let found = self.store.read(case, self.settings, key).await?;
        let shown = found
            .and_then(|found| release(found.sealed, case, self.settings, &found.standing).ok());
        Ok(shown.map(|shown| shown.stamp().version.clone()))
    }
}

fn at_entry(refusal: Refusal, index: usize) -> Refusal {
    let place = |issues: Vec<Issue>| {
        let placed = issues.into_iter().map(|mut issue| {
            let inside = issue.expression.unwrap_or_default();
            issue.expression = Some(format!("Bundle.entry[{index}].resource ({inside})"));
            issue
        });
        placed.collect()
    };
    match refusal {
        Refusal::Invalid(issues) => Refusal::Invalid(place(issues)),
        Refusal::Unprocessable(issues) => Refusal::Unprocessable(place(issues)),
        refusal => refusal,
    }
}
