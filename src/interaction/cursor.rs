//! Cursors of pages: opaque, signed, bound to the query and the requester, expiring.

use crate::{policy::Case, store::Position};
use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use std::path::Path;

/// How long a cursor is good, in seconds.
const LIFETIME: i64 = 3600;

/// The key that signs.
pub struct CursorKey(hmac::Key);

impl std::fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CursorKey(…)")
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Content {
    until: i64,
    from: Position,
}

impl CursorKey {
    /// The key in `<data_dir>/keys/cursor.key`, made where there is none.
    pub fn open(data_dir: &Path) -> std::io::Result<CursorKey> {
        use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
        let folder = data_dir.join("keys");
        std::fs::create_dir_all(&folder)?;
        let file = folder.join("cursor.key");
        match std::fs::read(&file) {
            Ok(bytes) if bytes.len() == 32 => return Ok(CursorKey::of(&bytes)),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let mut bytes = Vec::with_capacity(32);
        bytes.extend_from_slice(uuid::Uuid::new_v4().as_bytes());
        bytes.extend_from_slice(uuid::Uuid::new_v4().as_bytes());
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        options.open(&file)?.write_all(&bytes)?;
        Ok(CursorKey::of(&bytes))
    }

    /// A key of these bytes.
    pub fn of(bytes: &[u8]) -> CursorKey {
        CursorKey(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// The cursor of the page that starts after `from`.
    pub fn seal(&self, case: &Case, query: &str, from: &Position) -> String {
        let content = Content {
            until: case.at.div_euclid(1_000_000) + LIFETIME,
            from: from.clone(),
        };
        let content = serde_json::to_vec(&content).unwrap_or_default();
        let tag = hmac::sign(&self.0, &signed(case, query, &content));
        format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(&content),
            URL_SAFE_NO_PAD.encode(tag.as_ref())
        )
    }

    /// Where the page starts; nothing where the cursor is not ours, not this requester's, of another
    /// query, or expired.
    pub fn open_cursor(&self, case: &Case, query: &str, cursor: &str) -> Option<Position> {
        let (content, tag) = cursor.split_once('.')?;
        let content = URL_SAFE_NO_PAD.decode(content).ok()?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        hmac::verify(&self.0, &signed(case, query, &content), &tag).ok()?;
        let content: Content = serde_json::from_slice(&content).ok()?;
        (content.until >= case.at.div_euclid(1_000_000)).then_some(content.from)
    }
}

fn signed(case: &Case, query: &str, content: &[u8]) -> Vec<u8> {
    let user = case
        .requester
        .user
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    let patient = case
        .patient
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    let mut bytes = format!(
        "{}\n{user}\n{patient}\n{}\n{query}\n",
        case.requester.client, case.purpose
    )
    .into_bytes();
    bytes.extend_from_slice(content);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        policy::{Requester, Role},
        scope::ScopeSet,
        statute::Purpose,
        store::SortValue,
    };

    fn case(client: &str, at: i64) -> Case {
        Case {
            requester: Requester {
                client: client.into(),
                role: Role::Provider,
                user: None,
                organization: None,
                state: None,
            },
            purpose: Purpose::Treat,
            scopes: ScopeSet::default(),
            patient: None,
            break_glass: None,
            at,
        }
    }

    #[test]
    fn a_cursor_is_good_for_its_query_its_requester_and_its_time() {
        let key = CursorKey::of(&[7; 32]);
        let from = Position {
            value: Some(SortValue::Integer(5)),
            kind: 1,
            id: "x".into(),
        };
        let cursor = key.seal(&case("a", 0), "q", &from);
        assert_eq!(key.open_cursor(&case("a", 1), "q", &cursor), Some(from));
        assert_eq!(key.open_cursor(&case("b", 1), "q", &cursor), None);
        assert_eq!(key.open_cursor(&case("a", 1), "r", &cursor), None);
        assert_eq!(
            key.open_cursor(&case("a", 3_601_000_000), "q", &cursor),
            None
        );
        assert_eq!(
            key.open_cursor(&case("a", 1), "q", &format!("{cursor}x")),
            None
        );
        assert_eq!(
            CursorKey::of(&[8; 32]).open_cursor(&case("a", 1), "q", &cursor),
            None
        );
    }
}
