//! Secrets that people and clients know: kept only as argon2id hashes, never printed.

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::fmt;
use tokio::sync::Semaphore;

/// Argon2id takes 19 MiB a time: without turns, a flood of log-ins would take the machine's memory.
static TURNS: Semaphore = Semaphore::const_new(4);

/// A password or client secret in the clear. It has no `Display` and its `Debug` says nothing.
#[derive(Clone)]
pub struct Secret(Box<str>);

/// Hashing failed, which says nothing of the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret could not be hashed")]
pub struct HashError;

impl Secret {
    /// Takes a secret that someone typed or sent.
    pub fn new(text: impl Into<Box<str>>) -> Secret {
        Secret(text.into())
    }

    /// A new one of 256 random bits.
    pub fn random() -> Result<Secret, HashError> {
        let mut bytes = [0u8; 32];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| HashError)?;
        Ok(Secret(URL_SAFE_NO_PAD.encode(bytes).into()))
    }

    /// The text, to be shown once to whom it belongs.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Its argon2id hash (PHC string). Takes tens of milliseconds: not for an async thread.
    /// See [`Secret::hashed`].
    pub fn hash(&self) -> Result<SecretHash, HashError> {
        let hash: PasswordHash = Argon2::default()
            .hash_password(self.0.as_bytes())
            .map_err(|_| HashError)?;
        Ok(SecretHash(hash.to_string().into()))
    }

    /// [`Secret::hash`] on a blocking thread, a few at a time.
    pub async fn hashed(self) -> Result<SecretHash, HashError> {
        let _turn = TURNS.acquire().await.map_err(|_| HashError)?;
        let done = tokio::task::spawn_blocking(move || self.hash()).await;
        done.map_err(|_| HashError)?
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What is stored of a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretHash(Box<str>);

impl SecretHash {
    /// From its stored text.
    pub fn stored(text: impl Into<Box<str>>) -> SecretHash {
        SecretHash(text.into())
    }

    /// To be stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `secret` is the one. Takes tens of milliseconds: not for an async thread.
    pub fn fits(&self, secret: &Secret) -> bool {
        PasswordHash::new(&self.0).is_ok_and(|hash| {
            let checked = Argon2::default().verify_password(secret.0.as_bytes(), &hash);
            checked.is_ok()
        })
    }

    /// [`SecretHash::fits`] on a blocking thread, a few at a time. A failure to check is a no.
    pub async fn fits_in_turn(self, secret: Secret) -> bool {
        let Ok(_turn) = TURNS.acquire().await else {
            return false;
        };
        let done = tokio::task::spawn_blocking(move || self.fits(&secret)).await;
        done.unwrap_or(false)
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_fits_its_hash_only_and_shows_nowhere() {
        let secret = Secret::random().unwrap();
        let hash = secret.hash().unwrap();
        assert!(hash.as_str().starts_with("$argon2id$"));
        assert!(SecretHash::stored(hash.as_str()).fits(&secret));
        assert!(!hash.fits(&Secret::new("another")));
        assert!(!SecretHash::stored("").fits(&secret));
        let shown = format!("{secret:?} {hash:?}");
        assert!(!shown.contains(secret.reveal()) && !shown.contains("argon2"));
    }
}
