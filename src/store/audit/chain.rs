//! Chains and their hashes. Numbers are hashed as eight bytes, big end first; texts with their
//! length before them, so that no two different inputs are the same bytes.

use super::place::Place;
use aws_lc_rs::digest::{Context, SHA256};
use rusqlite::{Connection, OptionalExtension as _, Transaction};

/// A SHA-256 digest.
pub(super) type Hash = [u8; 32];

/// What stands before the first chain.
pub(super) const NOTHING: Hash = [0; 32];

const CHAIN: &[u8] = b"confide audit chain 1\n";
const ENTRY: &[u8] = b"confide audit entry 1\n";

/// A place and the hash that stands there; at `seq` 0, a chain's genesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tail {
    pub(super) place: Place,
    pub(super) hash: Hash,
}

/// What a chain's genesis covers.
pub(super) struct Start<'a> {
    pub(super) chain: i64,
    pub(super) node: &'a str,
    pub(super) boot: &'a str,
    pub(super) started: i64,
    /// The genesis of the chain before it.
    pub(super) previous: &'a [u8],
    /// Tails of other chains, by place.
    pub(super) links: &'a [Tail],
}

impl Start<'_> {
    pub(super) fn genesis(&self) -> Hash {
        let mut context = Context::new(&SHA256);
        context.update(CHAIN);
        number(&mut context, self.chain);
        text(&mut context, self.node.as_bytes());
        text(&mut context, self.boot.as_bytes());
        number(&mut context, self.started);
        text(&mut context, self.previous);
        for link in self.links {
            number(&mut context, link.place.chain);
            number(&mut context, link.place.seq);
            context.update(&link.hash);
        }
        finish(context)
    }
}

/// The hash of an entry.
pub(super) fn entry_hash(place: Place, previous: &[u8], body: &[u8]) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(ENTRY);
    number(&mut context, place.chain);
    number(&mut context, place.seq);
    text(&mut context, previous);
    context.update(body);
    finish(context)
}

fn number(context: &mut Context, number: i64) {
    context.update(&number.to_be_bytes());
}

fn text(context: &mut Context, text: &[u8]) {
    context.update(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
    context.update(text);
}

fn finish(context: Context) -> Hash {
    let mut hash = NOTHING;
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// Starts a chain after all others, covering every tail that no chain covers yet.
pub(super) fn start(
    transaction: &Transaction<'_>,
    node: &str,
    boot: &str,
    started: i64,
) -> rusqlite::Result<Tail> {
    let last = "SELECT id, genesis FROM audit_chain ORDER BY id DESC LIMIT 1";
    let last = transaction.query_row(last, [], |row| Ok((row.get(0)?, row.get(1)?)));
    let (last, previous): (i64, Hash) = last.optional()?.unwrap_or((0, NOTHING));
    let chain = last.saturating_add(1);
    let links = uncovered(transaction)?;
    let genesis = Start {
        chain,
        node,
        boot,
        started,
        previous: &previous,
        links: &links,
    }
    .genesis();
    transaction.execute(
        "INSERT INTO audit_chain (id, node, boot, started, previous, genesis)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        (chain, node, boot, started, previous, genesis),
    )?;
    for Tail { place, hash } in links {
        transaction.execute(
            "INSERT INTO audit_link (before, seq, hash, chain) VALUES (?1, ?2, ?3, ?4)",
            (place.chain, place.seq, hash, chain),
        )?;
    }
    Ok(Tail {
        place: Place { chain, seq: 0 },
        hash: genesis,
    })
}

/// The tails of chains that have grown since they were last covered.
fn uncovered(connection: &Connection) -> rusqlite::Result<Vec<Tail>> {
    let mut query = connection.prepare(
        "SELECT e.chain, e.seq, e.hash FROM audit_chain c
         JOIN audit_entry e ON e.chain = c.id
           AND e.seq = (SELECT max(seq) FROM audit_entry WHERE chain = c.id)
         WHERE e.seq > coalesce((SELECT max(seq) FROM audit_link WHERE before = c.id), 0)
         ORDER BY c.id",
    )?;
    let tails = query.query_map([], |row| {
        Ok(Tail {
            place: Place {
                chain: row.get(0)?,
                seq: row.get(1)?,
            },
            hash: row.get(2)?,
        })
    })?;
    tails.collect()
}

/// The last entry of a chain, if it has one.
pub(super) fn tail(connection: &Connection, chain: i64) -> rusqlite::Result<Option<Tail>> {
    let mut query = connection.prepare_cached(
        "SELECT seq, hash FROM audit_entry WHERE chain = ?1 ORDER BY seq DESC LIMIT 1",
    )?;
    query
        .query_row([chain], |row| {
            Ok(Tail {
                place: Place {
                    chain,
                    seq: row.get(0)?,
                },
                hash: row.get(1)?,
            })
        })
        .optional()
}

/// Whether an entry is still what it was.
pub(super) fn stands(connection: &Connection, tail: &Tail) -> rusqlite::Result<bool> {
    let sql = "SELECT hash FROM audit_entry WHERE chain = ?1 AND seq = ?2";
    let place = (tail.place.chain, tail.place.seq);
    let hash: Option<Hash> = connection
        .query_row(sql, place, |row| row.get(0))
        .optional()?;
    Ok(hash == Some(tail.hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_covers_every_part() {
        let place = Place { chain: 1, seq: 2 };
        let hash = entry_hash(place, &NOTHING, b"body");
        let others = [
            entry_hash(Place { chain: 2, seq: 2 }, &NOTHING, b"body"),
            entry_hash(Place { chain: 1, seq: 3 }, &NOTHING, b"body"),
            entry_hash(place, &[1; 32], b"body"),
            entry_hash(place, &NOTHING, b"bodz"),
            entry_hash(place, b"", b"body"),
        ];
        assert!(others.iter().all(|other| *other != hash));
    }

    #[test]
    fn a_genesis_tells_node_from_boot() {
        let start = |node, boot| {
            Start {
                chain: 1,
                node,
                boot,
                started: 0,
                previous: &NOTHING,
                links: &[],
            }
            .genesis()
        };
        assert_ne!(start("ab", "c"), start("a", "bc"));
    }
}
