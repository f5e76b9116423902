//! The server's signing keys: ES256 for access tokens, RS256 for id_tokens (OpenID Connect requires
//! it). Made at first start, kept in `<data_dir>/keys/`, readable by nobody else.

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RsaKeyPair},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header,
    jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash},
};
use serde::Serialize;
use std::{
    fmt, fs, io,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Why the signing keys can't be used. Names files, never their content.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The folder or a file can't be read or written.
    #[error("{path}: {cause}")]
    File {
        /// Which.
        path: PathBuf,
        /// The system's word.
        cause: io::Error,
    },
    /// A private key that others may read is not a secret.
    #[error("{path}: mode {mode:o} lets others read a private key; set it to 600")]
    Readable {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds no such key.
    #[error("{path}: not a private key of the expected kind")]
    Malformed {
        /// Which.
        path: PathBuf,
    },
    /// The generator or the signer failed.
    #[error("the cryptographic library failed")]
    Crypto,
}

/// One key pair with its published half.
pub struct SigningKey {
    algorithm: Algorithm,
    encoding: EncodingKey,
    decoding: DecodingKey,
    jwk: Jwk,
    kid: Box<str>,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?} {})", self.algorithm, self.kid)
    }
}

impl SigningKey {
    /// Its id: the RFC 7638 thumbprint.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Its algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public half, for verification.
    pub fn public(&self) -> &DecodingKey {
        &self.decoding
    }

    /// A compact JWS of `claims`; `typ` tells the kinds of token apart (RFC 9068: `at+jwt`).
    pub fn sign(&self, typ: &str, claims: &impl Serialize) -> Result<String, KeyError> {
        let mut header = Header::new(self.algorithm);
        header.typ = Some(typ.to_owned());
        header.kid = Some(self.kid.to_string());
        jsonwebtoken::encode(&header, claims, &self.encoding).map_err(|_| KeyError::Crypto)
    }

    fn of(algorithm: Algorithm, pem: &[u8]) -> Option<SigningKey> {
        let encoding = match algorithm {
            Algorithm::ES256 => EncodingKey::from_ec_pem(pem),
            _ => EncodingKey::from_rsa_pem(pem),
        };
        let encoding = encoding.ok()?;
        let mut jwk = Jwk::from_encoding_key(&encoding, algorithm).ok()?;
        let kid = jwk.thumbprint(ThumbprintHash::SHA256).ok()?;
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        Some(SigningKey {
            algorithm,
            decoding: DecodingKey::from_jwk(&jwk).ok()?,
            encoding,
            jwk,
            kid: kid.into(),
        })
    }
}

/// Both signing keys.
#[derive(Debug)]
pub struct Keys {
    access: SigningKey,
    id: SigningKey,
    jwks: Box<str>,
}

impl Keys {
    /// Opens `<data_dir>/keys/`, making what is missing. Two processes that start together end with
    /// the same keys.
    pub fn open(data_dir: &Path) -> Result<Keys, KeyError> {
        let folder = data_dir.join("keys");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(|cause| file(&folder, cause))?;
        let access = open_key(&folder.join("access-es256.pem"), Algorithm::ES256)?;
        let id = open_key(&folder.join("id-rs256.pem"), Algorithm::RS256)?;
        let set = JwkSet {
            keys: vec![access.jwk.clone(), id.jwk.clone()],
        };
        let jwks = serde_json::to_string(&set).map_err(|_| KeyError::Crypto)?;
        Ok(Keys {
            access,
            id,
            jwks: jwks.into(),
        })
    }

    /// Signs access tokens.
    pub fn access(&self) -> &SigningKey {
        &self.access
    }

    /// Signs id_tokens.
    pub fn id(&self) -> &SigningKey {
        &self.id
    }

    /// The public halves as a JWK Set (RFC 7517).
    pub fn jwks(&self) -> &str {
        &self.jwks
    }
}

fn file(path: &Path, cause: io::Error) -> KeyError {
    KeyError::File {
        path: path.to_owned(),
        cause,
    }
}

fn open_key(path: &Path, algorithm: Algorithm) -> Result<SigningKey, KeyError> {
    let exists = path.try_exists().map_err(|cause| file(path, cause))?;
    if !exists {
        make_key(path, algorithm)?;
    }
    let meta = fs::metadata(path).map_err(|cause| file(path, cause))?;
    let mode = meta.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let path = path.to_owned();
        return Err(KeyError::Readable { path, mode });
    }
    let pem = fs::read(path).map_err(|cause| file(path, cause))?;
    SigningKey::of(algorithm, &pem).ok_or_else(|| KeyError::Malformed {
        path: path.to_owned(),
    })
}

/// Written aside and linked into place, so that a half-written key is never read and a key that
/// another process just made is kept.
fn make_key(path: &Path, algorithm: Algorithm) -> Result<(), KeyError> {
    let aside = path.with_extension(format!("{}.tmp", uuid::Uuid::new_v4()));
    let fail = |cause| file(&aside, cause);
    let pem = pem(&new_pkcs8(algorithm)?);
    let mut open = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&aside)
        .map_err(fail)?;
    open.write_all(pem.as_bytes()).map_err(fail)?;
    open.sync_all().map_err(fail)?;
    let linked = fs::hard_link(&aside, path);
    fs::remove_file(&aside).map_err(fail)?;
    match linked {
        Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => Err(file(path, cause)),
        _ => Ok(()),
    }
}

fn new_pkcs8(algorithm: Algorithm) -> Result<Vec<u8>, KeyError> {
    if algorithm == Algorithm::ES256 {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
        return Ok(pair.map_err(|_| KeyError::Crypto)?.as_ref().to_vec());
    }
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError::Crypto)?;
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyError::Crypto)?;
    Ok(der.as_ref().to_vec())
}

fn pem(der: &[u8]) -> String {
    let mut text = String::from("-----BEGIN PRIVATE KEY-----\n");
    for (at, letter) in STANDARD.encode(der).chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            text.push('\n');
        }
        text.push(letter);
    }
    text.push_str("\n-----END PRIVATE KEY-----\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_and_kept_to_the_owner() {
        let dir = tempfile::tempdir().unwrap();
        let first = Keys::open(dir.path()).unwrap();
        let again = Keys::open(dir.path()).unwrap();
        assert_eq!(first.jwks(), again.jwks());
        let files: Vec<_> = fs::read_dir(dir.path().join("keys")).unwrap().collect();
        assert_eq!(files.len(), 2);
        for entry in files {
            let mode = entry.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let set: serde_json::Value = serde_json::from_str(first.jwks()).unwrap();
        assert_eq!(set["keys"][0]["alg"], "ES256");
        assert_eq!(set["keys"][0]["kid"], first.access().kid());
        assert_eq!(set["keys"][1]["alg"], "RS256");
        assert_eq!(set["keys"][1]["kid"], first.id().kid());
        assert!(set["keys"][0].get("d").is_none() && set["keys"][1].get("d").is_none());
        assert!(!format!("{first:?}").contains("PRIVATE"));

        let path = dir.path().join("keys/access-es256.pem");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(
            Keys::open(dir.path()),
            Err(KeyError::Readable { .. })
        ));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "no key").unwrap();
        let error = Keys::open(dir.path()).unwrap_err();
        assert!(matches!(error, KeyError::Malformed { .. }));
        assert!(!error.to_string().contains("no key"));
    }
}
