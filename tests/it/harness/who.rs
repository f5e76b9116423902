//! Who asks.

use super::expectation;
use serde_json::Value;

/// Who asks.
#[derive(Debug, Clone, Default)]
pub struct Who {
    /// The client's id.
    pub client: String,
    /// The person.
    pub user: Option<String>,
    /// The patient in context.
    pub patient: Option<String>,
    /// The scope asked for.
    pub scope: String,
    /// What for.
    pub purpose: Option<String>,
    /// An emergency's reason.
    pub reason: Option<String>,
}

impl Who {
    /// From a `token` of `expectation.json`.
    pub fn of(token: &Value) -> Who {
        let text = |name: &str| token[name].as_str().map(str::to_owned);
        Who {
            client: text("client").unwrap(),
            user: text("user"),
            patient: text("patient"),
            scope: text("scope").unwrap(),
            purpose: text("purpose"),
            reason: None,
        }
    }

    /// A persona of a section of the expectation.
    pub fn persona(section: &str, persona: &str) -> Who {
        Who::of(&expectation()[section]["personas"][persona]["token"])
    }

    /// A client with a scope.
    pub fn client(client: &str, scope: &str, purpose: &str) -> Who {
        Who {
            client: client.into(),
            scope: scope.into(),
            purpose: Some(purpose.into()),
            ..Who::default()
        }
    }

    /// The same with a person.
    pub fn user(mut self, user: &str) -> Who {
        self.user = Some(user.into());
        self
    }

    /// Staff that may write.
    pub fn staff() -> Who {
        Who::client("demo-staff", "user/*.cruds system/*.cruds", "HOPERAT")
            .user("Practitioner/ms-quinn")
    }

    /// Valley Clinic's EHR with Dr. Lee, that may write.
    pub fn ehr() -> Who {
        Who::client("demo-ehr", "user/*.cruds", "TREAT").user("Practitioner/dr-lee")
    }
}
