//! What creating and updating share: may this requester write this, is it a valid resource, and the
//! reply, which is a read of what was written, through the gate.

use super::{Question, Refusal, Service, bundle};
use crate::{
    consent,
    fhir::{
        Key, Kind, Resource, ResourceError,
        json::{Fault, JsonError},
        outcome::{Issue, IssueType},
    },
    gate::{Entry, EntryRecord, Journal, release},
    label::DIRECTORY,
    policy::{Case, Role},
    profile,
    scope::{Actions, Context},
    statute::{
        Purpose, Reason,
        writers::{Members, WRITERS},
    },
    store::{Batch, Store},
};
use bytes::Bytes;

/// What the caller wants back (`Prefer: return`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Return {
    /// The record, as the requester may see it.
    Representation,
    /// Nothing.
    Minimal,
    /// An OperationOutcome that says that it was done.
    Outcome,
}

/// Whether `case` may create or update records of `kind`; the content decides further.
pub fn may_write(case: &Case, kind: Kind) -> Result<(), Refusal> {
    let refused = Err(Refusal::Forbidden("this role may not write this type"));
    let Some(row) = WRITERS.row(kind) else {
        return refused;
    };
    let fits = match case.requester.role {
        Role::Provider => matches!(case.purpose, Purpose::Treat | Purpose::Etreat),
        Role::Staff => case.purpose == Purpose::Hoperat,
        Role::App => case.purpose == Purpose::Patrqt && row.members() == Some(Members::Own),
        Role::Plan | Role::PrivacyOffice | Role::Auditor | Role::Operator => true,
    };
    let named = row.allows(case.requester.role.name()) || case.requester.role == Role::App;
    if fits && named { Ok(()) } else { refused }
}

/// Whether what a member writes is about the member alone.
pub(crate) fn own_only(case: &Case, resource: &Resource) -> Result<(), Refusal> {
    if case.requester.role != Role::App {
        return Ok(());
    }
    let subjects = crate::store::subjects::named(resource);
    let own = subjects.iter().any(|named| named.own)
        && subjects
            .iter()
            .filter(|named| named.own)
            .all(|named| Some(&named.patient) == case.requester.user.as_ref());
    if own {
        Ok(())
    } else {
        Err(Refusal::Forbidden("a member writes only about themselves"))
    }
}

/// A right of the `patient/` level writes only about the patient in context.
pub(crate) fn in_context(case: &Case, resource: &Resource, action: Actions) -> Result<(), Refusal> {
    let allowed = |context| {
        let kinds = case.scopes.kinds_at(context, action);
        kinds.has(resource.kind())
    };
    if allowed(Context::User) || allowed(Context::System) {
        return Ok(());
    }
    let subjects = crate::store::subjects::named(resource);
    let mut own = subjects.iter().filter(|named| named.own).peekable();
    let named = own.peek().is_some();
    if named && own.all(|named| Some(&named.patient.id) == case.patient.as_ref()) {
        Ok(())
    } else {
        Err(Refusal::Forbidden(
            "a patient/ scope writes about the patient in context alone",
        ))
    }
}

/// A provider accepts or refuses grants only where its organization is their owner.
pub(crate) fn owns_grant(case: &Case, resource: &Resource) -> Result<(), Refusal> {
    let grants = resource.kind().name() == "Task"
        && resource
            .nodes("code.coding")
            .iter()
            .any(|coding| coding.text("code") == Some("emr-access"));
    if case.requester.role != Role::Provider || !grants {
        return Ok(());
    }
    let owner = resource.keys("owner").into_iter().next();
    if owner.is_some() && owner == case.requester.organization {
        Ok(())
    } else {
        Err(Refusal::Forbidden(
            "a grant is its owner's to accept or refuse",
        ))
    }
}

impl<S: Store, J: Journal> Service<S, J> {
    /// Where a facility sees only its own patients, a provider writes only about patients that it
    /// sees: no record makes a patient its own.
    pub(crate) async fn in_facility(
        &self,
        case: &Case,
        resource: &Resource,
    ) -> Result<(), Refusal> {
        if !self.settings.by_organization || case.requester.role != Role::Provider {
            return Ok(());
        }
        for named in crate::store::subjects::named(resource)
            .iter()
            .filter(|named| named.own)
        {
            let found = self.store.read(case, self.settings, &named.patient).await?;
            let sees = found.is_some_and(|found| {
                release(found.sealed, case, self.settings, &found.standing).is_ok()
            });
            if !sees {
                return Err(Refusal::Forbidden(
                    "a provider writes about its facility's patients",
                ));
            }
        }
        Ok(())
    }

    /// A member names only records that they may read: what is stored beside a reference (labels, a
    /// part taken out) would tell of another's, or of a note that was not released. One that is hidden
    /// and one that never was are refused alike. Who people are, and the directory, may be named.
    pub(crate) async fn names_known(
        &self,
        case: &Case,
        resource: &Resource,
    ) -> Result<(), Refusal> {
        const WHO: [&str; 4] = ["Patient", "RelatedPerson", "Person", "Group"];
        if case.requester.role != Role::App {
            return Ok(());
        }
        for reference in &resource.found().references {
            let Some(key) = reference.target.local() else {
                continue;
            };
            if WHO.contains(&key.kind.name()) || DIRECTORY.has(key.kind) {
                continue;
            }
            let found = self.store.read(case, self.settings, key).await?;
            let sees = found.is_some_and(|found| {
                release(found.sealed, case, self.settings, &found.standing).is_ok()
            });
            if !sees {
                return Err(Refusal::Unprocessable(vec![Issue::at(
                    IssueType::NotFound,
                    "a record that is named here is not known",
                    reference.path.words(resource.root()),
                )]));
            }
        }
        Ok(())
    }

    /// Reads and checks a resource that someone wants to write.
    pub(crate) fn accept(
        &self,
        question: &Question,
        kind: Kind,
        action: Actions,
        body: Bytes,
    ) -> Result<Resource, Refusal> {
        let resource = Resource::parse(body, self.limits).map_err(unreadable)?;
        if resource.kind() != kind {
            return Err(Refusal::Invalid(vec![Issue::at(
                IssueType::Invalid,
                "resourceType is not the type of the URL",
                "resourceType",
            )]));
        }
        let resource = self.localized(question, resource, kind.name())?;
        self.check(&question.case, &resource, action)?;
        Ok(resource)
    }

    /// With its references to records of this server in the one form that everything reads.
    pub(crate) fn localized(
        &self,
        question: &Question,
        mut resource: Resource,
        place: &str,
    ) -> Result<Resource, Refusal> {
        for here in self.bases(question) {
            match bundle::relative(&resource, here, place) {
                Ok(rewritten) => resource = rewritten.unwrap_or(resource),
                Err(issue) => return Err(Refusal::Invalid(vec![issue])),
            }
        }
        Ok(resource)
    }

    /// The bases whose URLs are ours: the known one, and that by which the question reached us.
    pub(crate) fn bases<'a>(&'a self, question: &'a Question) -> Vec<&'a str> {
        let mut bases = vec![&*self.base];
        if *question.base != *self.base {
            bases.push(&question.base);
        }
        bases
    }

    /// Structure, own content, and for a Consent whether it can be honoured exactly.
    pub(crate) fn check(
        &self,
        case: &Case,
        resource: &Resource,
        action: Actions,
    ) -> Result<(), Refusal> {
        let issues = profile::check(resource, self.checks);
        if !issues.is_empty() {
            return Err(Refusal::Invalid(issues));
        }
        in_context(case, resource, action)?;
        own_only(case, resource)?;
        owns_grant(case, resource)?;
        if consent::is_consent(resource.kind())
            && let Err(refusal) = consent::compile(resource)
        {
            let issues = refusal.0.into_iter();
            return Err(Refusal::Unprocessable(
                issues
                    .map(|reason| {
                        Issue::at(IssueType::BusinessRule, reason.text, reason.expression)
                    })
                    .collect(),
            ));
        }
        Ok(())
    }
}

/// What must hold of a record for it to be replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Guard {
    /// Nothing more.
    #[default]
    Open,
    /// It is in this version (`If-Match`).
    Is(Box<str>),
    /// It is not in this version (`If-None-Match`).
    IsNot(Box<str>),
    /// There is none (`If-None-Match: *`): create only.
    Absent,
}

impl Guard {
    /// Of the values of both headers, or of `ifMatch` and `ifNoneMatch`; `None` where they can't be read,
    /// or where both are there.
    pub fn parse(is: Option<&str>, is_not: Option<&str>) -> Option<Guard> {
        match (is, is_not.map(str::trim)) {
            (None, None) => Some(Guard::Open),
            (Some(tag), None) => Some(Guard::Is(bundle::version(tag)?.into())),
            (None, Some("*")) => Some(Guard::Absent),
            (None, Some(tag)) => Some(Guard::IsNot(bundle::version(tag)?.into())),
            (Some(_), Some(_)) => None,
        }
    }

    /// Whether a record in this version may not be replaced.
    pub(crate) fn forbids(&self, version: &str) -> bool {
        match self {
            Guard::Open => false,
            Guard::Is(wanted) => **wanted != *version,
            Guard::IsNot(other) => **other == *version,
            Guard::Absent => true,
        }
    }

    /// Whether a record must be there.
    pub(crate) fn needs_one(&self) -> bool {
        matches!(self, Guard::Is(_))
    }
}

/// The status of the entry that stands on the chain before a change; the answer's own follows it.
pub const BEFORE: u16 = 100;

/// The audit entry of a change that is about to be made.
pub(crate) fn intent(question: &Question, batch: &Batch, patients: Vec<Key>) -> Entry {
    let case = &question.case;
    let basis = match case.requester.role {
        Role::App => Reason::OwnRecord,
        Role::Provider if case.break_glass.is_some() => Reason::BreakGlass,
        Role::Provider => Reason::Treatment,
        _ => Reason::StaffFunction,
    };
    let mut entry = Entry::of(case, &question.asked, BEFORE);
    for change in &batch.changes {
        entry.records.push(EntryRecord {
            key: change.key.clone(),
            version: "".into(),
            basis,
        });
    }
    entry.patients = patients;
    entry.patients.sort();
    entry.patients.dedup();
    entry
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
pub(crate) fn unreadable(error: ResourceError) -> Refusal {
    if let ResourceError::Json(JsonError {
        kind: Fault::Depth | Fault::Nodes,
        ..
    }) = error
    {
        return Refusal::TooLarge;
    }
    let kind = match error {
        ResourceError::Json(_) | ResourceError::NotAnObject => IssueType::Structure,
        ResourceError::Kind | ResourceError::Id => IssueType::Value,
    };
    Refusal::Invalid(vec![Issue::new(kind, error.to_string())])
}
