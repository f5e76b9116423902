//! transaction: <https://hl7.org/fhir/R4/http.html#trules>. All or nothing; each entry is authorized
//! alone. Conditions are looked up first, within what the requester may see; then deletions, creates,
//! updates and patches are one write; then what is read is read.

use super::{
    Answer, Question, Refusal, Service,
    batch::{Reads, Responses, action, of_entry, patch_of},
    bundle::{Names, Step, Verb, resolve, steps},
    change::{Planned, allowed, done},
    create::new_id,
    update::new_place,
    write::{Guard, Return},
};
use crate::{
    fhir::{
        Key, Resource, Target,
        outcome::{Issue, IssueType},
    },
    gate::{Journal, disclose, release},
    scope::Actions,
    search::{self, matching::Subject},
    store::{Sought, Store},
};
use bytes::Bytes;
use std::collections::{HashMap, HashSet};

/// What an entry comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// A record that is written or deleted.
    Write(Key),
    /// A new record: it has no version that its writer must have seen.
    New(Key),
    /// The one match of `ifNoneExist`: nothing is written.
    There(Key),
    /// Nothing to delete, or an entry that reads.
    Nothing,
}

impl Place {
    fn key(&self) -> Option<&Key> {
        match self {
            Place::Write(key) | Place::New(key) | Place::There(key) => Some(key),
            Place::Nothing => None,
        }
    }

    fn writes(&self) -> Option<&Key> {
        match self {
            Place::Write(key) | Place::New(key) => Some(key),
            Place::There(_) | Place::Nothing => None,
        }
    }
}

impl<S: Store, J: Journal> Service<S, J> {
    /// Does all entries of a transaction Bundle, or none of them.
    pub(super) async fn transaction(
        &self,
        reads: &impl Reads,
        question: &Question,
        bundle: &Resource,
        wanted: Return,
    ) -> Result<Answer, Refusal> {
        let mut issues = Vec::new();
        let mut all: Vec<Step> = Vec::new();
        for step in steps(bundle, &self.bases(question)) {
            match step {
                Ok(step) => all.push(step),
                Err((_, issue)) => issues.push(issue),
            }
        }
        if !issues.is_empty() {
            return Err(Refusal::Invalid(issues));
        }
        for step in all.iter().filter(|step| step.verb < Verb::Get) {
            let kind = step.at.kind().or(step.at.key().map(|key| key.kind));
            let kind = kind.ok_or(Refusal::NotAllowed)?;
            allowed(question, kind, action(step.verb))?;
        }
        let conditional = all.iter().any(|step| {
            step.if_none_exist.is_some() || (step.verb == Verb::Put && step.at.key().is_none())
        });
        let _turn = match conditional {
            true => Some(self.turn.lock().await),
            false => None,
        };
        let (places, sought) = self.places(question, &all).await?;
        self.name(question, &mut all, &places).await?;
        let mut planned: Vec<(Option<usize>, Planned)> = Vec::with_capacity(all.len());
        for (step, place) in all.iter_mut().zip(&places) {
            let index = step.index;
            let made = self.plan_step(question, step, place).await;
            if let Some(made) = made.map_err(|refusal| refusal.at_entry(index))? {
                planned.push((Some(index), made));
            }
        }
        self.whole(question, &planned).await?;
        let changes = planned.into_iter().map(|(_, planned)| planned).collect();
        let written = self.commit(question, changes, sought).await?;
        let created: HashMap<Key, bool> = written
            .into_iter()
            .map(|written| (written.key, written.created))
            .collect();
        let case = &question.case;
        disclose(&self.journal, case, &question.asked, 200, Vec::new()).await?;
        let mut responses = Responses::new("transaction-response");
        for (step, place) in all.iter().zip(&places) {
            self.respond(
                reads,
                question,
                step,
                place,
                &created,
                wanted,
                &mut responses,
            )
            .await?;
        }
        Ok(Answer::of(200, responses.finish()))
    }

    /// Where each entry's record is, conditions looked up, and what those of creates and updates found.
    /// No two entries may write the same record.
    async fn places(
        &self,
        question: &Question,
        all: &[Step],
    ) -> Result<(Vec<Place>, Vec<Sought>), Refusal> {
        let mut sought = Vec::new();
        let mut order: Vec<usize> = (0..all.len()).collect();
        // Deletions first: what they take away meets no condition of the others.
        order.sort_by_key(|at| all.get(*at).map(|step| step.verb != Verb::Delete));
        let mut places = vec![Place::Nothing; all.len()];
        let mut deleted: HashSet<Key> = HashSet::new();
        let mut taken: HashMap<Key, usize> = HashMap::with_capacity(all.len());
        for at in order {
            let Some(step) = all.get(at) else { continue };
            let found = self.place(question, step, &deleted, &mut sought).await;
            let place = found.map_err(|refusal| refusal.at_entry(step.index))?;
            if let Some(key) = place.writes() {
                if let Some(first) = taken.insert(key.clone(), step.index) {
                    let (first, second) = (first.min(step.index), first.max(step.index));
                    return Err(Refusal::Invalid(vec![Issue::at(
                        IssueType::Invalid,
                        format!("entry {first} is the same record"),
                        format!("Bundle.entry[{second}]"),
                    )]));
                }
                if step.verb == Verb::Delete {
                    deleted.insert(key.clone());
                }
            }
            if let Some(slot) = places.get_mut(at) {
                *slot = place;
            }
        }
        Ok((places, sought))
    }

    async fn place(
        &self,
        question: &Question,
        step: &Step,
        deleted: &HashSet<Key>,
        sought: &mut Vec<Sought>,
    ) -> Result<Place, Refusal> {
        let fresh = |kind| {
            Place::New(Key {
                kind,
                id: new_id(question.case.at),
            })
        };
        if step.verb >= Verb::Get {
            return Ok(Place::Nothing);
        }
        if let Some(key) = step.at.key() {
            return Ok(Place::Write(key));
        }
        let (kind, pairs) = match (step.at.condition(), step.at.kind(), &step.if_none_exist) {
            (Some(condition), ..) => condition,
            (None, Some(kind), Some(pairs)) => (kind, pairs.clone()),
            (None, Some(kind), None) => return Ok(fresh(kind)),
            (None, None, _) => return Err(Refusal::NotAllowed),
        };
        let (mut found, condition) = self.sought(question, kind, &pairs).await?;
        if matches!(step.verb, Verb::Post | Verb::Put) {
            sought.push(condition);
        }
        found.retain(|key| !deleted.contains(key));
        let own = step.resource.as_ref().and_then(Resource::id).cloned();
        match (step.verb, found.as_slice()) {
            (_, [_, _, ..]) => Err(Refusal::PreconditionFailed),
            (Verb::Post, [key]) => Ok(Place::There(key.clone())),
            (Verb::Post, []) => Ok(fresh(kind)),
            (Verb::Put, []) => Ok(match new_place(question, kind, own, &step.guard())? {
                (key, true) => Place::New(key),
                (key, false) => Place::Write(key),
            }),
            (Verb::Put, [_]) if step.guard() == Guard::Absent => Err(Refusal::PreconditionFailed),
            (Verb::Put, [key]) if own.is_some_and(|own| own != key.id) => Err(
                super::search::invalid("the resource's id is not that of the one match"),
            ),
            (Verb::Delete, []) => Ok(Place::Nothing),
            (Verb::Patch, []) => Err(self.not_found(question).await),
            (_, [key]) => Ok(Place::Write(key.clone())),
            (_, []) => Ok(Place::Nothing),
        }
    }

    /// Rewrites references between entries, and conditional ones.
    async fn name(
        &self,
        question: &Question,
        all: &mut [Step],
        places: &[Place],
    ) -> Result<(), Refusal> {
        let mut names = Names::default();
        let mut issues = Vec::new();
        for (step, place) in all.iter().zip(places) {
            if let (Some(full), Some(key)) = (&step.full, place.key())
                && step.verb != Verb::Delete
                && !names.put(full, key)
            {
                let text = "another entry has the same fullUrl";
                let at = format!("Bundle.entry[{}].fullUrl", step.index);
                issues.push(Issue::at(IssueType::Invalid, text, at));
            }
        }
        let mut conditions: Vec<Box<str>> = Vec::new();
        for step in all
            .iter()
            .filter(|step| matches!(step.verb, Verb::Post | Verb::Put))
        {
            let found = step.resource.iter().flat_map(|own| &own.found().references);
            conditions.extend(found.filter_map(|found| match &found.target {
                Target::Conditional(text) => Some(text.clone()),
                _ => None,
            }));
        }
        conditions.sort();
        conditions.dedup();
        for text in conditions {
            let key = self.named_by(question, &text, all, places).await?;
            names.put(&text, &key);
        }
        for step in all.iter_mut() {
            let (Verb::Post | Verb::Put, Some(resource)) = (step.verb, &step.resource) else {
                continue;
            };
            let at = format!("Bundle.entry[{}].resource", step.index);
            match resolve(resource, step.full.as_deref(), &names, &at) {
                Ok(None) => {}
                Ok(rewritten) => step.resource = rewritten,
                Err(issue) => issues.push(issue),
            }
        }
        match issues.is_empty() {
            true => Ok(()),
            false => Err(Refusal::Invalid(issues)),
        }
    }

    /// The one record that a conditional reference names, among those that the requester may see and
    /// those that this transaction writes. None or several: 412.
    async fn named_by(
        &self,
        question: &Question,
        text: &str,
        all: &[Step],
        places: &[Place],
    ) -> Result<Key, Refusal> {
        let address = super::Address::parse(text, &self.bases(question));
        let Some((kind, pairs)) = address.and_then(|address| address.condition()) else {
            return Err(Refusal::PreconditionFailed);
        };
        let plan = self.condition(question, kind, &pairs).await?;
        let mut found = self.matches(question, kind, &pairs).await?;
        let written: HashSet<&Key> = places.iter().filter_map(Place::writes).collect();
        found.retain(|key| !written.contains(key));
        for (step, place) in all.iter().zip(places) {
            let (Verb::Post | Verb::Put, Some(resource), Some(key)) =
                (step.verb, &step.resource, place.writes())
            else {
                continue;
            };
            if key.kind != kind {
                continue;
            }
            let entries = search::entries(resource, Some(&self.base));
            let subject = Subject {
                kind,
                id: Some(&key.id),
                last_updated: Some(question.case.at),
                entries: &entries,
                inside: &search::contained(resource, Some(&self.base)),
                around: None,
            };
            if plan.matches(&subject) {
                found.push(key.clone());
            }
        }
        match found.as_slice() {
            [key] => Ok(key.clone()),
            _ => Err(Refusal::PreconditionFailed),
        }
    }

    async fn plan_step(
        &self,
        question: &Question,
        step: &mut Step,
        place: &Place,
    ) -> Result<Option<Planned>, Refusal> {
        let case = &question.case;
        let (if_match, guard) = (step.if_match.as_deref(), step.guard());
        let (key, new) = match place {
            Place::Write(key) => (key.clone(), false),
            Place::New(key) => (key.clone(), true),
            Place::There(_) | Place::Nothing => return Ok(None),
        };
        let resource = match (step.verb, step.resource.take()) {
            (Verb::Delete, _) => return self.deleting(question, key, if_match).await,
            (Verb::Patch, own) => {
                step.resource = own;
                let patch = patch_of(step)?;
                return self
                    .patching(question, key, &patch, if_match)
                    .await
                    .map(Some);
            }
            (_, Some(resource)) => resource,
            (_, None) => return Ok(None),
        };
        let place = format!("Bundle.entry[{}].resource", step.index);
        let resource = self.localized(question, resource, &place)?;
        let action = match step.verb {
            Verb::Post => Actions::CREATE,
            _ => Actions::UPDATE,
        };
        self.check(case, &resource, action)?;
        match new {
            true => self.creating(question, key, resource).await.map(Some),
            false => self
                .updating(question, key, resource, &guard)
                .await
                .map(Some),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one entry of one answer")]
    async fn respond(
        &self,
        reads: &impl Reads,
        question: &Question,
        step: &Step,
        place: &Place,
        created: &HashMap<Key, bool>,
        wanted: Return,
        responses: &mut Responses,
    ) -> Result<(), Refusal> {
        if step.verb >= Verb::Get {
            let asked = of_entry(question, step);
            let done = reads.get(&asked, &step.at).await;
            self.noted(&asked, &done).await?;
            match done {
                Ok(answer) if step.verb == Verb::Get => responses.answered(&answer),
                Ok(answer) => responses.written(&answer, None),
                Err(refusal @ (Refusal::Journal(_) | Refusal::Store(_))) => return Err(refusal),
                Err(refusal) => responses.refused(&refusal.at_entry(step.index)),
            }
            return Ok(());
        }
        let (Verb::Post | Verb::Put | Verb::Patch, Some(key)) = (step.verb, place.key()) else {
            responses.written(&Answer::of(204, Bytes::new()), None);
            return Ok(());
        };
        let new = created.get(key).copied().unwrap_or(false);
        let status = if new { 201 } else { 200 };
        let case = &question.case;
        let found = self.store.read(case, self.settings, key).await?;
        let shown = found
            .and_then(|found| release(found.sealed, case, self.settings, &found.standing).ok());
        let stamp = shown.as_ref().map(|shown| shown.stamp().clone());
        let mut answer = Answer::of(status, Bytes::new());
        let version = stamp
            .as_ref()
            .map(|stamp| format!("/_history/{}", stamp.version));
        answer.location = Some(format!("{key}{}", version.unwrap_or_default()));
        answer.stamp = stamp;
        match wanted {
            Return::Minimal => responses.written(&answer, None),
            Return::Outcome => responses.written(&answer, Some(&done())),
            Return::Representation => {
                let disclosures = self
                    .disclosed(question, shown.into_iter().collect())
                    .await?;
                let record = disclosures.iter().flat_map(|d| d.entries()).next();
                responses.written(&answer, record.map(|record| record.body));
            }
        }
        Ok(())
    }
}
