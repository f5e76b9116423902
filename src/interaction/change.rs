//! What a write comes to: checked, authorized, with what its writer saw of the record before. Single
//! interactions and entries of a transaction share it.

use super::{
    Answer, Question, Refusal, Service,
    patch::Patch,
    write::{Guard, Return, in_context, intent, may_write, own_only, owns_grant},
};
use crate::{
    fhir::{
        Key, Resource,
        outcome::{Issue, IssueType, outcome},
    },
    gate::{Journal, Unworkable, disclose, release, rework},
    policy::{Case, Role},
    scope::Actions,
    store::{Batch, Begin, Change, Expect, Found, Sought, Store, Written},
};
use bytes::Bytes;
use std::collections::HashSet;

/// A write that may be made.
#[derive(Debug)]
pub(crate) struct Planned {
    /// The change.
    pub change: Change,
    /// What the record as it was points at, as far as the writer saw it.
    pub known: Vec<Key>,
    /// What it newly says, as far as the writer may be told what is wrong with it.
    pub names: Vec<Key>,
    /// Whose record it is, for the audit entry.
    pub patients: Vec<Key>,
    /// The condition on which it rests.
    pub sought: Option<Sought>,
}

impl Planned {
    /// The same, resting on a condition.
    pub fn resting(mut self, sought: Sought) -> Planned {
        self.sought = Some(sought);
        self
    }
}

fn whose(resource: &Resource) -> Vec<Key> {
    let named = crate::store::subjects::named(resource).into_iter();
    named
        .filter(|named| named.own)
        .map(|named| named.patient)
        .collect()
}

fn local(resource: &Resource) -> Vec<Key> {
    let references = resource.found().references.iter();
    references
        .filter_map(|found| found.target.local().cloned())
        .collect()
}

impl<S: Store, J: Journal> Service<S, J> {
    /// A new record at `key`.
    pub(crate) async fn creating(
        &self,
        question: &Question,
        key: Key,
        resource: Resource,
    ) -> Result<Planned, Refusal> {
        self.in_facility(&question.case, &resource).await?;
        self.names_known(&question.case, &resource).await?;
        Ok(Planned {
            names: local(&resource),
            patients: whose(&resource),
            known: Vec::new(),
            sought: None,
            change: Change {
                key,
                resource: Some(resource),
                expect: Expect::Absent,
            },
        })
    }

    /// Another version of a record, or with the right a new one.
    pub(crate) async fn updating(
        &self,
        question: &Question,
        key: Key,
        resource: Resource,
        guard: &Guard,
    ) -> Result<Planned, Refusal> {
        let (expect, known) = self.expected(question, &key, guard).await?;
        self.in_facility(&question.case, &resource).await?;
        self.names_known(&question.case, &resource).await?;
        Ok(Planned {
            names: local(&resource),
            patients: whose(&resource),
            sought: None,
            known,
            change: Change {
                key,
                resource: Some(resource),
                expect,
            },
        })
    }

    /// What the writer saw of the record before, and what it points at; a conflict where that is less
    /// than the whole. A guard is answered from what the writer sees: to `If-None-Match: *` a hidden
    /// record is the same conflict as without it.
    async fn expected(
        &self,
        question: &Question,
        key: &Key,
        guard: &Guard,
    ) -> Result<(Expect, Vec<Key>), Refusal> {
        let case = &question.case;
        // Only a provider may choose an id, about its facility; to others a taken id that they may
        // not know of is a ghost too.
        let chooses = chooses(case);
        let Some(found) = self.store.read(case, self.settings, key).await? else {
            return match guard.needs_one() {
                true => Err(Refusal::PreconditionFailed),
                false if chooses => Ok((Expect::Absent, Vec::new())),
                false => Err(self.not_found(question).await),
            };
        };
        let Ok(shown) = release(found.sealed, case, self.settings, &found.standing) else {
            return Err(match guard.needs_one() {
                true => Refusal::PreconditionFailed,
                false if chooses => Refusal::Conflict,
                false => self.not_found(question).await,
            });
        };
        if *guard == Guard::Absent {
            return Err(Refusal::PreconditionFailed);
        }
        if shown.is_partial() {
            return Err(Refusal::Conflict);
        }
        match guard.forbids(&shown.stamp().version) {
            true => Err(Refusal::PreconditionFailed),
            false => Ok((Expect::Seq(found.seq), shown.references())),
        }
    }

    /// A record changed by a patch. A hidden one and one that never was are a ghost; a hidden path is
    /// as if nothing were there.
    pub(crate) async fn patching(
        &self,
        question: &Question,
        key: Key,
        patch: &Patch,
        if_match: Option<&str>,
    ) -> Result<Planned, Refusal> {
        let case = &question.case;
        let Some(found) = self.store.read(case, self.settings, &key).await? else {
            return Err(self.ghost(question, &key).await?);
        };
        let Found {
            sealed,
            standing,
            seq,
        } = found;
        let (mut known, mut names, mut told) = (Vec::new(), Vec::new(), None);
        let reworked = rework(sealed, case, self.settings, &standing, |shown, stamp| {
            if if_match.is_some_and(|version| *stamp.version != *version) {
                return Err(Refusal::PreconditionFailed);
            }
            let changed = patch.apply(shown, self.limits)?;
            if changed.kind() != key.kind || changed.id() != Some(&key.id) {
                return Err(Refusal::Unprocessable(vec![Issue::new(
                    IssueType::BusinessRule,
                    "a patch keeps a record's type and id",
                )]));
            }
            let changed = self.localized(question, changed, key.kind.name())?;
            self.check(case, &changed, Actions::UPDATE)?;
            // Whose record it was decides too: a patch does not take what is another's.
            in_context(case, shown, Actions::UPDATE)?;
            own_only(case, shown)?;
            (known, names) = (local(shown), local(&changed));
            told = Some(changed.clone());
            Ok(changed)
        });
        let reworked = match reworked {
            Ok(reworked) => reworked,
            Err(Unworkable::Withheld(_)) => return Err(self.not_found(question).await),
            Err(Unworkable::Refused(refusal)) => return Err(refusal),
            Err(Unworkable::Conflict) => return Err(Refusal::Conflict),
        };
        let resource = reworked.resource;
        // What is wrong with what the writer is not shown can't be told.
        if reworked.is_partial && self.check(case, &resource, Actions::UPDATE).is_err() {
            return Err(Refusal::Conflict);
        }
        self.in_facility(case, &resource).await?;
        if let Some(told) = &told {
            self.names_known(case, told).await?;
        }
        Ok(Planned {
            known,
            names,
            sought: None,
            patients: whose(&resource),
            change: Change {
                key,
                resource: Some(resource),
                expect: Expect::Seq(seq),
            },
        })
    }

    /// A record deleted; `None` where it is already, as far as the writer may know.
    pub(crate) async fn deleting(
        &self,
        question: &Question,
        key: Key,
        if_match: Option<&str>,
    ) -> Result<Option<Planned>, Refusal> {
        let case = &question.case;
        let Some(found) = self.store.read(case, self.settings, &key).await? else {
            return match self.ghost(question, &key).await? {
                Refusal::Gone => Ok(None),
                refusal => Err(refusal),
            };
        };
        let Found {
            sealed,
            standing,
            seq,
        } = found;
        let reworked = rework(sealed, case, self.settings, &standing, |shown, stamp| {
            if if_match.is_some_and(|version| *stamp.version != *version) {
                return Err(Refusal::PreconditionFailed);
            }
            in_context(case, shown, Actions::DELETE)?;
            own_only(case, shown)?;
            owns_grant(case, shown)?;
            Ok(shown.clone())
        });
        match reworked {
            Ok(reworked) if reworked.is_partial => Err(Refusal::Conflict),
            Ok(reworked) => {
                self.in_facility(case, &reworked.resource).await?;
                Ok(Some(Planned {
                    known: Vec::new(),
                    names: Vec::new(),
                    sought: None,
                    patients: whose(&reworked.resource),
                    change: Change {
                        key,
                        resource: None,
                        expect: Expect::Seq(seq),
                    },
                }))
            }
            Err(Unworkable::Withheld(_)) => Err(self.not_found(question).await),
            Err(Unworkable::Refused(refusal)) => Err(refusal),
            Err(Unworkable::Conflict) => Err(Refusal::Conflict),
        }
    }

    /// Where `integrity = "strict"`: each record that is newly named must be there. One that the writer
    /// may not see is missing for that writer.
    pub(crate) async fn whole(
        &self,
        question: &Question,
        planned: &[(Option<usize>, Planned)],
    ) -> Result<(), Refusal> {
        if !self.strict {
            return Ok(());
        }
        let case = &question.case;
        let written = |deleted: bool| -> HashSet<&Key> {
            let changes = planned.iter().map(|(_, planned)| &planned.change);
            changes
                .filter(|change| change.resource.is_none() == deleted)
                .map(|change| &change.key)
                .collect()
        };
        let (made, deleted) = (written(false), written(true));
        let mut asked: Vec<Key> = planned
            .iter()
            .flat_map(|(_, planned)| {
                planned
                    .names
                    .iter()
                    .filter(|key| !planned.known.contains(key))
            })
            .filter(|key| !made.contains(key))
            .cloned()
            .collect();
        asked.sort();
        asked.dedup();
        let page = self.store.named(case, self.settings, &asked).await?;
        let there = super::release_all(page.matches, case, self.settings, &page.standing);
        let there: HashSet<&Key> = there.iter().map(|found| found.key()).collect();
        let mut issues = Vec::new();
        for (index, planned) in planned {
            for key in &planned.names {
                let fine = planned.known.contains(key)
                    || made.contains(key)
                    || (there.contains(key) && !deleted.contains(key));
                if !fine {
                    let text = "a reference names a record that is not there";
                    let issue = Issue::new(IssueType::NotFound, text);
                    issues.push(match index {
                        Some(index) => Issue {
                            expression: Some(format!("Bundle.entry[{index}].resource")),
                            ..issue
                        },
                        None => issue,
                    });
                }
            }
        }
        match issues.is_empty() {
            true => Ok(()),
            false => Err(Refusal::Unprocessable(issues)),
        }
    }

    /// Writes changes, all or none, after the entry of the intent is on the audit chain.
    pub(crate) async fn commit(
        &self,
        question: &Question,
        planned: Vec<Planned>,
        sought: Vec<Sought>,
    ) -> Result<Vec<Written>, Refusal> {
        let patients: Vec<Key> = planned
            .iter()
            .flat_map(|planned| planned.patients.iter().cloned())
            .collect();
        let batch = Batch {
            changes: planned.into_iter().map(|planned| planned.change).collect(),
            sought,
            at: self.clock.now(),
            settings: self.settings,
            fail_closed: false,
        };
        // Who changes what is on the chain before the change (Civ. 56.101(b)(1)(B)); the answer's own
        // entry follows and tells how it went.
        self.journal
            .record(intent(question, &batch, patients))
            .await?;
        Ok(self.store.write(batch).await?)
    }

    /// Writes one record and answers with a read of it.
    pub(crate) async fn put(
        &self,
        question: &Question,
        mut planned: Planned,
        wanted: Return,
    ) -> Result<Answer, Refusal> {
        let key = planned.change.key.clone();
        let sought = planned.sought.take().into_iter().collect();
        let planned = [(None, planned)];
        self.whole(question, &planned).await?;
        let planned = planned.into_iter().map(|(_, planned)| planned);
        let written = self.commit(question, planned.collect(), sought).await?;
        let created = written.iter().any(|written| written.created);
        self.shown(question, &key, created, wanted).await
    }

    /// The answer that is a read of what was written, or of what was there already.
    pub(crate) async fn shown(
        &self,
        question: &Question,
        key: &Key,
        created: bool,
        wanted: Return,
    ) -> Result<Answer, Refusal> {
        let case = &question.case;
        let status = if created { 201 } else { 200 };
        let found = self.store.read(case, self.settings, key).await?;
        let released = found
            .and_then(|found| release(found.sealed, case, self.settings, &found.standing).ok());
        let batch = released.into_iter().collect();
        let disclosure = disclose(&self.journal, case, &question.asked, status, batch).await?;
        let mut answer = match disclosure.entries().next() {
            Some(record) => Answer::record(status, record),
            None => Answer::of(status, Bytes::new()),
        };
        match wanted {
            Return::Representation => {}
            Return::Minimal => answer.body = Bytes::new(),
            Return::Outcome => answer.body = done(),
        }
        let version = answer
            .stamp
            .as_ref()
            .map(|stamp| format!("/_history/{}", stamp.version));
        let version = version.unwrap_or_default();
        answer.location = created.then(|| format!("{}/{key}{version}", question.base));
        Ok(answer)
    }

    /// 404, with its audit entry: hidden and never there take the same path.
    pub(crate) async fn not_found(&self, question: &Question) -> Refusal {
        let case = &question.case;
        match disclose(&self.journal, case, &question.asked, 404, Vec::new()).await {
            Ok(_) => Refusal::NotFound,
            Err(error) => error.into(),
        }
    }

    /// 410, with its audit entry.
    pub(crate) async fn gone(&self, question: &Question) -> Refusal {
        let case = &question.case;
        match disclose(&self.journal, case, &question.asked, 410, Vec::new()).await {
            Ok(_) => Refusal::Gone,
            Err(error) => error.into(),
        }
    }

    /// What to say of a record that is not there: 410 to who might see it as it last was, else 404.
    pub(crate) async fn ghost(&self, question: &Question, key: &Key) -> Result<Refusal, Refusal> {
        let case = &question.case;
        let history = self
            .store
            .versions(case, self.settings, key, &Begin::Newest, 1)
            .await?;
        let known = history.is_some_and(|history| {
            history.is_deleted
                && release(history.latest, case, self.settings, &history.standing).is_ok()
        });
        Ok(match known {
            true => self.gone(question).await,
            false => self.not_found(question).await,
        })
    }
}

/// Who may choose the id of a new record: a provider, about its facility (SEMANTICS section 6).
pub(crate) fn chooses(case: &Case) -> bool {
    case.requester.role == Role::Provider
}

/// `Prefer: return=OperationOutcome`.
pub(crate) fn done() -> Bytes {
    outcome(&[Issue::new(IssueType::Informational, "Done")]).into()
}

/// The scope's right and the role's.
pub(crate) fn allowed(
    question: &Question,
    key: crate::fhir::Kind,
    action: Actions,
) -> Result<(), Refusal> {
    let text = match action {
        Actions::CREATE => "the token's scope does not cover this create",
        Actions::UPDATE => "the token's scope does not cover this update",
        Actions::DELETE => "the token's scope does not cover this delete",
        _ => "the token's scope does not cover this",
    };
    if !question.case.scopes.allows(key, action) {
        return Err(Refusal::Forbidden(text));
    }
    may_write(&question.case, key)
}
