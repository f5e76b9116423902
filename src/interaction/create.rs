//! create: <https://hl7.org/fhir/R4/http.html#create>, also on a condition.

use super::{Answer, Question, Refusal, Service, change::allowed, condition::TRIES, write::Return};
use crate::{
    fhir::{Id, Instant, Key, Kind},
    gate::Journal,
    scope::Actions,
    store::Store,
};
use bytes::Bytes;

impl<S: Store, J: Journal> Service<S, J> {
    /// A new record under a new id; an id in the body is not heeded. With a condition
    /// (`If-None-Exist`), nothing where a record that the requester may see meets it: that one is the
    /// answer.
    pub async fn create(
        &self,
        question: &Question,
        kind: Kind,
        body: Bytes,
        condition: Option<&[(String, String)]>,
        wanted: Return,
    ) -> Result<Answer, Refusal> {
        allowed(question, kind, Actions::CREATE)?;
        let resource = self.accept(question, kind, Actions::CREATE, body)?;
        let Some(pairs) = condition else {
            let id = new_id(self.clock.now());
            let planned = self.creating(question, Key { kind, id }, resource).await?;
            return self.put(question, planned, wanted).await;
        };
        // Those of this node one after the other, so that few find out only when they write that another
        // was first.
        let _turn = self.turn.lock().await;
        let mut tries = 0;
        loop {
            let (found, sought) = self.sought(question, kind, pairs).await?;
            match found.as_slice() {
                [] => {}
                [key] => return self.shown(question, key, false, wanted).await,
                _ => return Err(Refusal::PreconditionFailed),
            }
            let id = new_id(self.clock.now());
            let planned = self.creating(question, Key { kind, id }, resource.clone());
            let planned = planned.await?.resting(sought);
            tries += 1;
            match self.put(question, planned, wanted).await {
                Err(Refusal::Moved) if tries < TRIES => {}
                done => return done,
            }
        }
    }
}

/// A fresh id: a UUIDv7, whose time is the record's own.
pub fn new_id(at: Instant) -> Id {
    let seconds = u64::try_from(at.div_euclid(1_000_000)).unwrap_or(0);
    let nanos = u32::try_from(at.rem_euclid(1_000_000) * 1000).unwrap_or(0);
    let time = uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos);
    let text = uuid::Uuid::new_v7(time).to_string();
    // A UUID's text is always an id.
    Id::parse(&text).unwrap_or_else(|| new_id(at))
}
