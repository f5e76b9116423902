//! OperationOutcome: what every error on `/fhir` looks like. Fixed texts only.

use super::json;

/// A code of <https://hl7.org/fhir/R4/valueset-issue-type.html>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "HL7's own codes")]
pub enum IssueType {
    Invalid,
    Structure,
    Required,
    Value,
    Invariant,
    CodeInvalid,
    Extension,
    Duplicate,
    NotSupported,
    NotFound,
    Deleted,
    TooLong,
    TooCostly,
    BusinessRule,
    Conflict,
    Login,
    Forbidden,
    Transient,
    Throttled,
    Timeout,
    Exception,
    Informational,
}

impl IssueType {
    /// The code.
    pub fn code(self) -> &'static str {
        match self {
            IssueType::Invalid => "invalid",
            IssueType::Structure => "structure",
            IssueType::Required => "required",
            IssueType::Value => "value",
            IssueType::Invariant => "invariant",
            IssueType::CodeInvalid => "code-invalid",
            IssueType::Extension => "extension",
            IssueType::Duplicate => "duplicate",
            IssueType::NotSupported => "not-supported",
            IssueType::NotFound => "not-found",
            IssueType::Deleted => "deleted",
            IssueType::TooLong => "too-long",
            IssueType::TooCostly => "too-costly",
            IssueType::BusinessRule => "business-rule",
            IssueType::Conflict => "conflict",
            IssueType::Login => "login",
            IssueType::Forbidden => "forbidden",
            IssueType::Transient => "transient",
            IssueType::Throttled => "throttled",
            IssueType::Timeout => "timeout",
            IssueType::Exception => "exception",
            IssueType::Informational => "informational",
        }
    }
}

/// A code of <https://hl7.org/fhir/R4/valueset-issue-severity.html>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "HL7's own codes")]
pub enum Severity {
    Fatal,
    Error,
    Warning,
    Information,
}

impl Severity {
    /// The code.
    pub fn code(self) -> &'static str {
        match self {
            Severity::Fatal => "fatal",
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Information => "information",
        }
    }
}

/// One issue of an OperationOutcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// `error` unless the kind says otherwise, or [`Issue::as_warning`].
    pub severity: Severity,
    /// What kind of problem.
    pub kind: IssueType,
    /// A sentence that names no stored value.
    pub text: String,
    /// FHIRPath of the element meant, where there is one.
    pub expression: Option<String>,
}

impl Issue {
    /// An issue without a place.
    pub fn new(kind: IssueType, text: impl Into<String>) -> Issue {
        let severity = match kind {
            IssueType::Informational => Severity::Information,
            IssueType::Exception => Severity::Fatal,
            _ => Severity::Error,
        };
        Issue {
            severity,
            kind,
            text: text.into(),
            expression: None,
        }
    }

    /// An issue at an element.
    pub fn at(kind: IssueType, text: impl Into<String>, expression: impl Into<String>) -> Issue {
        Issue {
            expression: Some(expression.into()),
            ..Issue::new(kind, text)
        }
    }

    /// The same, as a remark that refuses nothing.
    #[must_use]
    pub fn as_warning(self) -> Issue {
        Issue {
            severity: Severity::Warning,
            ..self
        }
    }

    /// Whether it refuses.
    pub fn is_error(&self) -> bool {
        matches!(self.severity, Severity::Error | Severity::Fatal)
    }
}

/// The OperationOutcome of these issues, as JSON.
pub fn outcome(issues: &[Issue]) -> Vec<u8> {
    let mut out = Vec::from(&br#"{"resourceType":"OperationOutcome","issue":["#[..]);
    for (at, issue) in issues.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let severity = issue.severity.code();
        out.extend_from_slice(
            format!(
                r#"{{"severity":"{severity}","code":"{}","diagnostics":"#,
                issue.kind.code()
            )
            .as_bytes(),
        );
        json::quote(&mut out, &issue.text);
        if let Some(expression) = &issue.expression {
            out.extend_from_slice(br#","expression":["#);
            json::quote(&mut out, expression);
            out.push(b']');
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_json() {
        let text = outcome(&[Issue::at(
            IssueType::Required,
            "say \"why\"",
            "Patient.name",
        )]);
        let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(value["issue"][0]["code"], "required");
        assert_eq!(value["issue"][0]["expression"][0], "Patient.name");
    }
}
