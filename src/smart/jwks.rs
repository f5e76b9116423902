//! `/auth/jwks`: the public halves of our keys.

use super::Answer;
use crate::authn::Keys;

/// The key set; an hour in a cache does no harm, since a new key gets a new kid.
pub fn answer(keys: &Keys) -> Answer {
    Answer {
        status: 200,
        headers: vec![
            ("content-type", "application/json"),
            ("cache-control", "public, max-age=3600"),
        ],
        body: keys.jwks().as_bytes().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use crate::authn::fixture;
    use jsonwebtoken::{DecodingKey, jwk::JwkSet};

    #[test]
    fn check_34_both_keys_can_be_imported_and_have_a_kid() {
        let answer = super::answer(fixture::tokens().keys());
        let set: JwkSet = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(set.keys.len(), 2);
        for key in &set.keys {
            assert!(key.common.key_id.is_some());
            assert!(DecodingKey::from_jwk(key).is_ok());
        }
    }
}
