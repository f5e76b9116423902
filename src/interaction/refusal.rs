//! Why an interaction was not done, with its status and its words: the same in a reply of its own and
//! in an entry of a batch.

use crate::{
    fhir::outcome::{Issue, IssueType},
    gate::JournalError,
    store::{StoreError, WriteError},
};

/// Why an interaction was not done. Texts are fixed or the caller's own words.
#[derive(Debug)]
pub enum Refusal {
    /// 404: hidden, or never there.
    NotFound,
    /// 410: deleted; said only to who might see the record before.
    Gone,
    /// 403, with which of token, scope or role.
    Forbidden(&'static str),
    /// 400.
    Invalid(Vec<Issue>),
    /// 422.
    Unprocessable(Vec<Issue>),
    /// 409, fixed text.
    Conflict,
    /// 409: what a condition found was changed meanwhile, again and again.
    Moved,
    /// 412.
    PreconditionFailed,
    /// 413: deeper, or with more values or entries, than the limits allow.
    TooLarge,
    /// 405.
    NotAllowed,
    /// 406.
    NotAcceptable,
    /// 503: the store.
    Store(StoreError),
    /// 503: the audit entry could not be made durable.
    Journal(JournalError),
}

/// The ghost.
pub const NOT_FOUND: &str = "Not found";
/// 410.
pub const GONE: &str = "Deleted";
/// 409.
pub const CONFLICT: &str = "The request conflicts with what is stored";
/// 412.
pub const PRECONDITION: &str = "A condition of the request does not hold";
/// 413.
pub const TOO_LARGE: &str = "The body is larger than this server takes";
/// 405.
pub const NOT_ALLOWED: &str = "This method is not supported here";
/// 406.
pub const NOT_ACCEPTABLE: &str = "Only application/fhir+json can be given";
/// 503.
pub const AWAY: &str = "The server can't answer now: try again later";

impl Refusal {
    /// HTTP's status.
    pub fn status(&self) -> u16 {
        match self {
            Refusal::NotFound => 404,
            Refusal::Gone => 410,
            Refusal::Forbidden(_) => 403,
            Refusal::Invalid(_) => 400,
            Refusal::Unprocessable(_) => 422,
            Refusal::Conflict | Refusal::Moved => 409,
            Refusal::PreconditionFailed => 412,
            Refusal::TooLarge => 413,
            Refusal::NotAllowed => 405,
            Refusal::NotAcceptable => 406,
            Refusal::Store(_) | Refusal::Journal(_) => 503,
        }
    }

    /// What an OperationOutcome says of it.
    pub fn issues(&self) -> Vec<Issue> {
        let one = |kind, text: &str| vec![Issue::new(kind, text)];
        match self {
            Refusal::NotFound => one(IssueType::NotFound, NOT_FOUND),
            Refusal::Gone => one(IssueType::Deleted, GONE),
            Refusal::Forbidden(text) => one(IssueType::Forbidden, text),
            Refusal::Invalid(issues) | Refusal::Unprocessable(issues) => issues.clone(),
            Refusal::Conflict | Refusal::Moved => one(IssueType::Conflict, CONFLICT),
            Refusal::PreconditionFailed => one(IssueType::Conflict, PRECONDITION),
            Refusal::TooLarge => one(IssueType::TooLong, TOO_LARGE),
            Refusal::NotAllowed => one(IssueType::NotSupported, NOT_ALLOWED),
            Refusal::NotAcceptable => one(IssueType::NotSupported, NOT_ACCEPTABLE),
            Refusal::Store(_) | Refusal::Journal(_) => one(IssueType::Transient, AWAY),
        }
    }

    /// The same, of an entry of a Bundle: what is wrong with its resource says where.
    #[must_use]
    pub fn at_entry(self, index: usize) -> Refusal {
        let place = |issues: Vec<Issue>| -> Vec<Issue> {
            let entry = format!("Bundle.entry[{index}]");
            let placed = issues.into_iter().map(|mut issue| {
                issue.expression = Some(match issue.expression {
                    Some(inside) if inside.starts_with("Bundle.entry[") => inside,
                    Some(inside) => format!("{entry}.resource ({inside})"),
                    None => entry.clone(),
                });
                issue
            });
            placed.collect()
        };
        match self {
            Refusal::Invalid(issues) => Refusal::Invalid(place(issues)),
            Refusal::Unprocessable(issues) => Refusal::Unprocessable(place(issues)),
            refusal => refusal,
        }
    }
}

/// 400 with one issue.
pub(crate) fn invalid(text: &str) -> Refusal {
    Refusal::Invalid(vec![Issue::new(IssueType::Invalid, text)])
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Refusal::Store(error)
    }
}

impl From<JournalError> for Refusal {
    fn from(error: JournalError) -> Self {
        Refusal::Journal(error)
    }
}

impl From<WriteError> for Refusal {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Store(error) => Refusal::Store(error),
            WriteError::Raced(_) => Refusal::Conflict,
            WriteError::Moved => Refusal::Moved,
            WriteError::Consent(_, refusal) => Refusal::Unprocessable(
                refusal
                    .0
                    .into_iter()
                    .map(|reason| {
                        Issue::at(IssueType::BusinessRule, reason.text, reason.expression)
                    })
                    .collect(),
            ),
            WriteError::Resource(_) => Refusal::Invalid(vec![Issue::new(
                IssueType::Invalid,
                "The resource can't be kept",
            )]),
        }
    }
}
