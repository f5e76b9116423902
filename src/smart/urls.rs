//! Our absolute URLs as tokens know them, all from the one configured `public_url` and never from a
//! request's headers (why: `http::forwarded`).

use crate::authn::Settings;

/// Where the server is to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Urls {
    public: Box<str>,
    token: Box<str>,
}

impl Urls {
    /// From `CONFIDE_PUBLIC_URL`; a slash at its end is dropped.
    pub fn new(public_url: &str) -> Urls {
        let public = public_url.trim_end_matches('/');
        Urls {
            token: format!("{public}/auth/token").into(),
            public: public.into(),
        }
    }

    /// The FHIR base: the audience of access tokens.
    pub fn base(&self) -> String {
        format!("{}/fhir", self.public)
    }

    /// The issuer of our tokens.
    pub fn issuer(&self) -> String {
        format!("{}/auth", self.public)
    }

    /// The token endpoint: the audience of client assertions.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The key set.
    pub fn jwks(&self) -> String {
        format!("{}/auth/jwks", self.public)
    }

    /// What [`crate::authn::Tokens`] needs of it.
    pub fn settings(&self, break_glass_minutes: u16) -> Settings {
        Settings {
            issuer: self.issuer().into(),
            base: self.base().into(),
            break_glass_minutes,
        }
    }
}
