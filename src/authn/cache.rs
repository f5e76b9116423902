//! Verified tokens, remembered by their SHA-256 until they end or something was taken away. The hot
//! path of every request: one hash, one look-up.

use super::verified::Verified;
use aws_lc_rs::digest::{SHA256, digest};
use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::{Arc, Mutex, PoisonError},
};

/// The SHA-256 of a token: the token itself is not kept.
pub(super) type Digest = [u8; 32];

const SHARDS: usize = 16;
/// Tokens a shard remembers: 16,384 in all, about 10 MB.
const MOST: usize = 1024;

/// The keys are SHA-256 digests already: their first bytes are the hash.
#[derive(Default)]
struct Taken(u64);

impl Hasher for Taken {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

struct Entry {
    verified: Arc<Verified>,
    /// The registry's generation before the token was verified.
    generation: u64,
}

type Shard = Mutex<HashMap<Digest, Entry, BuildHasherDefault<Taken>>>;

#[derive(Default)]
pub(super) struct Cache {
    shards: [Shard; SHARDS],
}

pub(super) fn digest_of(token: &str) -> Digest {
    let mut bytes = [0u8; 32];
    let hash = digest(&SHA256, token.as_bytes());
    for (to, from) in bytes.iter_mut().zip(hash.as_ref()) {
        *to = *from;
    }
    bytes
}

impl Cache {
    fn shard(&self, key: &Digest) -> Option<&Shard> {
        // The last byte, since the first ones choose the bucket within the shard.
        let at = usize::from(*key.last()?) % SHARDS;
        self.shards.get(at)
    }

    pub(super) fn find(&self, key: &Digest, generation: u64, now: i64) -> Option<Arc<Verified>> {
        let mut shard = self
            .shard(key)?
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let entry = shard.get(key)?;
        if entry.generation == generation && now < entry.verified.ends() {
            return Some(entry.verified.clone());
        }
        shard.remove(key);
        None
    }

    pub(super) fn keep(&self, key: Digest, generation: u64, now: i64, verified: Arc<Verified>) {
        let Some(shard) = self.shard(&key) else {
            return;
        };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= MOST {
            shard.retain(|_, e| e.generation == generation && now < e.verified.ends());
        }
        if shard.len() >= MOST
            && let Some(any) = shard.keys().next().copied()
        {
            shard.remove(&any);
        }
        let entry = Entry {
            verified,
            generation,
        };
        shard.insert(key, entry);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|s| s.lock().unwrap().len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authn::fixture;

    #[test]
    fn it_forgets_at_the_end_and_when_something_was_taken_away() {
        let cache = Cache::default();
        let key = digest_of("token");
        cache.keep(key, 1, 0, Arc::new(fixture::verified(100)));
        assert!(cache.find(&key, 1, 99).is_some());
        assert!(cache.find(&key, 1, 100).is_none());
        assert_eq!(cache.len(), 0);
        cache.keep(key, 1, 0, Arc::new(fixture::verified(100)));
        assert!(cache.find(&key, 2, 0).is_none());
        assert!(cache.find(&key, 1, 0).is_none(), "gone for good");
    }

    #[test]
    fn it_stays_within_its_bound() {
        let cache = Cache::default();
        let verified = Arc::new(fixture::verified(100));
        for n in 0..SHARDS * MOST + 5000 {
            cache.keep(digest_of(&n.to_string()), 1, 0, verified.clone());
        }
        assert!(cache.len() <= SHARDS * MOST);
    }
}
