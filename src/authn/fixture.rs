//! Keys, clients and a registry in memory, for tests.
#![allow(missing_docs)]

use super::{
    claims::Settings,
    client::Client,
    jwks::RemoteKeys,
    keys::Keys,
    registry::{Registry, RegistryError, User},
    secret::Secret,
    token::Tokens,
    verified::Verified,
};
use crate::{calendar::Clock, statute::Purpose};
use aws_lc_rs::{
    encoding::AsDer,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, RsaKeyPair},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, LazyLock, Mutex},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// 2026-03-01T00:00:00Z
pub const NOW: i64 = 1_772_323_200;
pub const PUBLIC: &str = "https://here.example";
pub const TOKEN_URL: &str = "https://here.example/auth/token";

#[derive(Clone)]
pub struct ClientKey {
    kid: String,
    algorithm: Algorithm,
    key: EncodingKey,
}

static RSA: LazyLock<EncodingKey> = LazyLock::new(|| {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let text = STANDARD.encode(der.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
    EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap()
});

fn new_ec() -> EncodingKey {
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &random).unwrap();
    EncodingKey::from_ec_der(pair.as_ref())
}

static EC: LazyLock<EncodingKey> = LazyLock::new(new_ec);

static KEYS: LazyLock<Arc<Keys>> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    Arc::new(Keys::open(dir.path()).unwrap())
});

impl ClientKey {
    pub fn rsa(kid: &str) -> ClientKey {
        ClientKey {
            kid: kid.into(),
            algorithm: Algorithm::RS384,
            key: RSA.clone(),
        }
    }

    pub fn ec(kid: &str) -> ClientKey {
        ClientKey {
            kid: kid.into(),
            algorithm: Algorithm::ES384,
            key: EC.clone(),
        }
    }

    /// A key of its own behind the same kid.
    pub fn another_ec(kid: &str) -> ClientKey {
        ClientKey {
            key: new_ec(),
            ..ClientKey::ec(kid)
        }
    }

    pub fn jwk(&self) -> Value {
        let jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        let mut jwk = serde_json::to_value(jwk).unwrap();
        jwk["kid"] = self.kid.as_str().into();
        jwk
    }

    pub fn header(&self) -> Header {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.kid.clone());
        header
    }

    pub fn sign(&self, claims: &Value) -> String {
        self.sign_with(&self.header(), claims)
    }

    pub fn sign_with(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.key).unwrap()
    }
}

/// Claims of a good assertion.
pub fn claims(client: &str, jti: &str) -> Value {
    json!({"iss": client, "sub": client, "aud": TOKEN_URL, "exp": NOW + 240, "jti": jti})
}

/// Both keys of a client with inline keys.
pub fn client_keys() -> [ClientKey; 2] {
    [ClientKey::rsa("rsa-1"), ClientKey::ec("ec-1")]
}

pub fn metadata(id: &str, role: &str, purposes: &[&str]) -> Value {
    let keys: Vec<_> = client_keys().iter().map(ClientKey::jwk).collect();
    json!({
        "client_id": id, "role": role, "grant_types": ["client_credentials"],
        "scope": "openid fhirUser patient/*.cruds user/*.cruds system/*.cruds",
        "token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": keys},
        "organization": "Organization/acme", "purpose_of_use": purposes, "state": "CA"
    })
}

pub fn register(metadata: &Value) -> Client {
    Client::register(metadata.to_string().as_bytes()).unwrap().0
}

pub fn client(id: &str, role: &str, purposes: &[&str]) -> Client {
    register(&metadata(id, role, purposes))
}

pub fn verified(ends: i64) -> Verified {
    Tokens::by_hand(&client("plan", "plan", &["COC"]), Purpose::Coc, ends)
}

pub fn clock() -> Clock {
    Clock::At(NOW * 1_000_000)
}

pub fn tokens_at(clock: Clock) -> Tokens {
    let settings = Settings {
        issuer: format!("{PUBLIC}/auth").into(),
        base: format!("{PUBLIC}/fhir").into(),
        break_glass_minutes: 30,
    };
    Tokens::new(KEYS.clone(), settings, clock)
}

pub fn tokens() -> Tokens {
    tokens_at(clock())
}

pub fn remote() -> RemoteKeys {
    RemoteKeys::new()
}

/// Serves the sets one after another at a loopback URL.
pub async fn serve(sets: Vec<String>, control: &'static str) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/jwks", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for body in sets {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0u8; 1024];
            let _ = stream.read(&mut request).await.unwrap();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nCache-Control: {control}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all((head + &body).as_bytes()).await.unwrap();
        }
    });
    uri
}

/// A registry in memory.
#[derive(Default)]
pub struct Memory(Mutex<Content>);

#[derive(Default)]
struct Content {
    clients: BTreeMap<Box<str>, Arc<Client>>,
    spent: HashSet<(String, String)>,
    generation: u64,
    asked: usize,
}

impl Memory {
    pub fn of(clients: impl IntoIterator<Item = Client>) -> Memory {
        let memory = Memory::default();
        for client in clients {
            let mut content = memory.0.lock().unwrap();
            content.clients.insert(client.id.clone(), Arc::new(client));
        }
        memory
    }

    /// How often a client was looked up.
    pub fn asked(&self) -> usize {
        self.0.lock().unwrap().asked
    }
}

impl Registry for Memory {
    async fn client(&self, id: &str) -> Result<Option<Arc<Client>>, RegistryError> {
        let mut content = self.0.lock().unwrap();
        content.asked += 1;
        Ok(content.clients.get(id).cloned())
    }

    async fn add_client(&self, client: Client) -> Result<(), RegistryError> {
        let mut content = self.0.lock().unwrap();
        content.clients.insert(client.id.clone(), Arc::new(client));
        Ok(())
    }

    async fn clients(&self) -> Result<Vec<Arc<Client>>, RegistryError> {
        Ok(self.0.lock().unwrap().clients.values().cloned().collect())
    }

    async fn disable_client(&self, id: &str) -> Result<bool, RegistryError> {
        let mut content = self.0.lock().unwrap();
        content.generation += 1;
        let Some(client) = content.clients.get_mut(id) else {
            return Ok(false);
        };
        Arc::make_mut(client).disabled = true;
        Ok(true)
    }

    async fn spend_jti(
        &self,
        issuer: &str,
        jti: &str,
        _expires: i64,
        _now: i64,
    ) -> Result<bool, RegistryError> {
        let mut content = self.0.lock().unwrap();
        Ok(content.spent.insert((issuer.into(), jti.into())))
    }

    async fn add_user(&self, _user: User, _password: Secret) -> Result<(), RegistryError> {
        Ok(())
    }

    async fn users(&self) -> Result<Vec<User>, RegistryError> {
        Ok(Vec::new())
    }

    async fn disable_user(&self, _name: &str) -> Result<bool, RegistryError> {
        Ok(false)
    }

    async fn verify_user(
        &self,
        _name: &str,
        _password: Secret,
    ) -> Result<Option<User>, RegistryError> {
        Ok(None)
    }

    async fn generation(&self) -> Result<u64, RegistryError> {
        Ok(self.0.lock().unwrap().generation)
    }
}
