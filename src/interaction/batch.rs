//! batch: <https://hl7.org/fhir/R4/http.html#transaction>. Each entry is an interaction of its own:
//! authorized alone, on the audit chain alone, and what fails keeps no other from it.

use super::{
    Address, Answer, Question, Refusal, Service,
    bundle::{Step, Verb, steps},
    condition::TRIES,
    patch::Patch,
    search::invalid,
    write::{Return, unreadable},
};
use crate::{
    faces::Stamp,
    fhir::{
        Resource, json,
        outcome::{Issue, IssueType, outcome},
        time,
    },
    gate::{Asked, Entry, Journal},
    scope::Actions,
    store::Store,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use std::future::Future;

/// Answers what is read: reads, searches, histories, operations, as the routes do.
pub trait Reads: Send + Sync {
    /// The answer to a GET.
    fn get(
        &self,
        question: &Question,
        at: &Address,
    ) -> impl Future<Output = Result<Answer, Refusal>> + Send;

    /// How many entries were asked for in one: each counts as a request.
    fn counts(&self, question: &Question, entries: usize);
}

impl<S: Store, J: Journal> Service<S, J> {
    /// A Bundle of type `batch` or `transaction`.
    pub async fn bundle(
        &self,
        reads: &impl Reads,
        question: &Question,
        body: Bytes,
        wanted: Return,
    ) -> Result<Answer, Refusal> {
        let bundle = Resource::parse(body, self.limits).map_err(unreadable)?;
        let entries = bundle
            .root()
            .get("entry")
            .map_or(0, |all| all.items().len());
        if entries > self.entries_max {
            return Err(Refusal::TooLarge);
        }
        reads.counts(question, entries);
        match (bundle.kind().name(), bundle.root().text("type")) {
            ("Bundle", Some("transaction")) => {
                let mut tries = 0;
                loop {
                    tries += 1;
                    match self.transaction(reads, question, &bundle, wanted).await {
                        Err(Refusal::Moved) if tries < TRIES => {}
                        done => return done,
                    }
                }
            }
            ("Bundle", Some("batch")) => self.batch(reads, question, &bundle, wanted).await,
            _ => {
                let text = "a Bundle of type batch or transaction is expected here";
                Err(Refusal::Invalid(vec![Issue::at(
                    IssueType::NotSupported,
                    text,
                    "Bundle.type",
                )]))
            }
        }
    }

    async fn batch(
        &self,
        reads: &impl Reads,
        question: &Question,
        bundle: &Resource,
        wanted: Return,
    ) -> Result<Answer, Refusal> {
        let mut responses = Responses::new("batch-response");
        for step in steps(bundle, &self.bases(question)) {
            let done = match step {
                Ok(step) => {
                    let index = step.index;
                    let done = self.step(reads, question, step, wanted).await;
                    done.map_err(|refusal| refusal.at_entry(index))
                }
                Err((_, issue)) => Err(Refusal::Invalid(vec![issue])),
            };
            match done {
                // Nothing goes out without its entry, so neither does the rest.
                Err(refusal @ (Refusal::Journal(_) | Refusal::Store(_))) => return Err(refusal),
                Err(refusal) => responses.refused(&refusal),
                Ok((answer, true)) => responses.answered(&answer),
                Ok((answer, false)) => responses.written(&answer, None),
            }
        }
        Ok(Answer::of(200, responses.finish()))
    }

    /// One entry; and whether its answer's body belongs into the response.
    async fn step(
        &self,
        reads: &impl Reads,
        question: &Question,
        step: Step,
        wanted: Return,
    ) -> Result<(Answer, bool), Refusal> {
        let question = of_entry(question, &step);
        let done = self.act(reads, &question, step, wanted).await;
        self.noted(&question, &done).await?;
        done
    }

    /// The audit entry of an entry that was refused; the others have theirs: they were answered, or are
    /// a ghost.
    pub(super) async fn noted<T: Sync>(
        &self,
        question: &Question,
        done: &Result<T, Refusal>,
    ) -> Result<(), Refusal> {
        if let Err(
            refusal @ (Refusal::Forbidden(_)
            | Refusal::Invalid(_)
            | Refusal::Unprocessable(_)
            | Refusal::Conflict
            | Refusal::Moved
            | Refusal::PreconditionFailed),
        ) = done
        {
            let entry = Entry::of(&question.case, &question.asked, refusal.status());
            self.journal.record(entry).await?;
        }
        Ok(())
    }

    async fn act(
        &self,
        reads: &impl Reads,
        question: &Question,
        step: Step,
        wanted: Return,
    ) -> Result<(Answer, bool), Refusal> {
        let told = wanted != Return::Minimal;
        let if_match = step.if_match.as_deref();
        let (key, condition) = (step.at.key(), step.at.condition());
        let body = step.resource.as_ref().map(|own| own.text().clone());
        let body = body.unwrap_or_default();
        let answer = match (step.verb, key, condition) {
            (Verb::Get, ..) => return Ok((reads.get(question, &step.at).await?, true)),
            (Verb::Head, ..) => return Ok((reads.get(question, &step.at).await?, false)),
            (Verb::Post, ..) => {
                let kind = step.at.kind().ok_or(Refusal::NotAllowed)?;
                let condition = step.if_none_exist.as_deref();
                self.create(question, kind, body, condition, wanted).await?
            }
            (Verb::Put, Some(key), _) => {
                self.update(question, key, body, &step.guard(), wanted)
                    .await?
            }
            (Verb::Put, None, Some((kind, pairs))) => {
                self.update_where(question, kind, &pairs, body, &step.guard(), wanted)
                    .await?
            }
            (Verb::Patch, Some(key), _) => {
                let patch = patch_of(&step)?;
                self.patch(question, key, &patch, if_match, wanted).await?
            }
            (Verb::Patch, None, Some((kind, pairs))) => {
                let patch = patch_of(&step)?;
                self.patch_where(question, kind, &pairs, &patch, if_match, wanted)
                    .await?
            }
            (Verb::Delete, Some(key), _) => self.delete(question, key, if_match).await?,
            (Verb::Delete, None, Some((kind, pairs))) => {
                self.delete_where(question, kind, &pairs, if_match).await?
            }
            (Verb::Put | Verb::Patch | Verb::Delete, None, None) => {
                return Err(invalid("an entry names a record or a condition"));
            }
        };
        Ok((answer, told))
    }
}

/// The question that an entry asks.
pub(super) fn of_entry(question: &Question, step: &Step) -> Question {
    let (interaction, target) = match step.verb {
        Verb::Get | Verb::Head => {
            let query = &*step.at.query;
            let mark = if query.is_empty() { "" } else { "?" };
            ("read", format!("{}{mark}{query}", step.at.path))
        }
        Verb::Post => ("create", step.at.path.to_string()),
        // What a condition looks for is no part of what is written.
        Verb::Put => ("update", step.at.path.to_string()),
        Verb::Patch => ("patch", step.at.path.to_string()),
        Verb::Delete => ("delete", step.at.path.to_string()),
    };
    Question {
        case: question.case.clone(),
        asked: Asked {
            request: question.asked.request.clone(),
            interaction,
            target: target.into(),
            from: question.asked.from,
        },
        base: question.base.clone(),
    }
}

/// The patch that an entry carries: a Binary with a JSON Patch, or Parameters.
pub(super) fn patch_of(step: &Step) -> Result<Patch, Refusal> {
    let place = format!("Bundle.entry[{}].resource", step.index);
    let refuse = |text: &str| {
        let issue = Issue::at(IssueType::Value, text, place.clone());
        Err(Refusal::Invalid(vec![issue]))
    };
    let Some(resource) = &step.resource else {
        return refuse("the entry has no resource");
    };
    match resource.kind().name() {
        "Parameters" => Ok(Patch::FhirPath(resource.text().clone())),
        "Binary" if resource.string("contentType") == Some("application/json-patch+json") => {
            let data = resource.string("data").unwrap_or_default();
            match STANDARD.decode(data) {
                Ok(patch) => Ok(Patch::Json(patch.into())),
                Err(_) => refuse("the Binary's data is not base64"),
            }
        }
        _ => refuse("a patch is a Binary of application/json-patch+json, or Parameters"),
    }
}

/// A response Bundle in the making.
pub(super) struct Responses {
    out: Vec<u8>,
    entries: usize,
}

impl Responses {
    pub(super) fn new(kind: &str) -> Responses {
        Responses {
            out: format!(r#"{{"resourceType":"Bundle","type":"{kind}""#).into_bytes(),
            entries: 0,
        }
    }

    /// An answer with its body, where it has one.
    pub(super) fn answered(&mut self, answer: &Answer) {
        let body = &answer.body;
        self.written(answer, (!body.is_empty()).then_some(body));
    }

    /// What became of a write, with the record where it was asked for.
    pub(super) fn written(&mut self, answer: &Answer, resource: Option<&Bytes>) {
        self.begin();
        if let Some(resource) = resource {
            self.out.extend_from_slice(b"\"resource\":");
            self.out.extend_from_slice(resource);
            self.out.push(b',');
        }
        let location = answer.location.as_deref();
        self.response(answer.status, location, answer.stamp.as_ref());
        self.out.extend_from_slice(b"}}");
    }

    /// Why an entry was not done.
    pub(super) fn refused(&mut self, refusal: &Refusal) {
        self.begin();
        self.response(refusal.status(), None, None);
        self.out.extend_from_slice(b",\"outcome\":");
        self.out.extend_from_slice(&outcome(&refusal.issues()));
        self.out.extend_from_slice(b"}}");
    }

    fn begin(&mut self) {
        let start: &[u8] = if self.entries == 0 {
            b",\"entry\":[{"
        } else {
            b",{"
        };
        self.out.extend_from_slice(start);
        self.entries += 1;
    }

    fn response(&mut self, status: u16, location: Option<&str>, stamp: Option<&Stamp>) {
        let words = reason(status);
        self.out
            .extend_from_slice(format!(r#""response":{{"status":"{status}{words}""#).as_bytes());
        if let Some(location) = location {
            self.out.extend_from_slice(b",\"location\":");
            json::quote(&mut self.out, location);
        }
        if let Some(stamp) = stamp {
            let (version, at) = (&stamp.version, time::text(stamp.updated));
            self.out.extend_from_slice(
                format!(r#","etag":"W/\"{version}\"","lastModified":"{at}""#).as_bytes(),
            );
        }
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        let end: &[u8] = if self.entries == 0 { b"}" } else { b"]}" };
        self.out.extend_from_slice(end);
        self.out
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => " OK",
        201 => " Created",
        204 => " No Content",
        400 => " Bad Request",
        403 => " Forbidden",
        404 => " Not Found",
        409 => " Conflict",
        410 => " Gone",
        412 => " Precondition Failed",
        422 => " Unprocessable Entity",
        _ => "",
    }
}

/// The scope's letter for a write.
pub(super) fn action(verb: Verb) -> Actions {
    match verb {
        Verb::Post => Actions::CREATE,
        Verb::Put | Verb::Patch => Actions::UPDATE,
        Verb::Delete => Actions::DELETE,
        Verb::Get | Verb::Head => Actions::READ,
    }
}
