//! Walks the whole log and compares it with itself and with its marks.

use super::{
    body,
    chain::{self, NOTHING, Start, Tail},
    error::OpenError,
    head,
    place::Place,
    projection::Row as Indexed,
    schema,
};
use rusqlite::{Connection, Row};
use std::{collections::BTreeMap, path::Path, time::Duration};

mod index;
mod outcome;
#[cfg(test)]
mod tamper;

use index::Index;
pub use outcome::{Broken, Verified, VerifyError, What};

/// Walks the log at `path` and stops at the first place where something was changed. Others may
/// write meanwhile: it sees the log as it was at one moment, and `audit.head` as it was before.
pub fn verify(path: &Path) -> Result<Verified, VerifyError> {
    let unreadable = |error| OpenError::of(path, error);
    let folder = path.parent().unwrap_or(Path::new("."));
    let marks = head::read(folder).map_err(|source| OpenError::Folder {
        path: folder.into(),
        source,
    })?;
    let mut connection = schema::existing(path, Duration::from_secs(5))?;
    let snapshot = connection.transaction().map_err(unreadable)?;
    let found = walk(&snapshot, marks).map_err(unreadable)?;
    Ok(found?)
}

type Outcome<T> = rusqlite::Result<Result<T, Broken>>;

/// Places that are known from elsewhere, by chain and then by number.
type Known = BTreeMap<i64, BTreeMap<i64, Vec<chain::Hash>>>;

fn walk(log: &Connection, marks: Vec<Tail>) -> Outcome<Verified> {
    let mut known = Known::new();
    for mark in marks {
        know(&mut known, mark);
    }
    let chains = match chains(log, &mut known)? {
        Ok(chains) => chains,
        Err(broken) => return Ok(Err(broken)),
    };
    let mut walk = Walk {
        log,
        index: Index::of(log)?,
        entries: 0,
    };
    for genesis in &chains {
        let places = known.remove(&genesis.place.chain).unwrap_or_default();
        if let Err(broken) = walk.chain(*genesis, places)? {
            return Ok(Err(broken));
        }
    }
    if let Some(chain) = known.into_keys().next() {
        return Ok(broken(chain, 0, What::ChainMissing));
    }
    if let Some(chain) = orphans(log)? {
        return Ok(broken(chain, 0, What::ChainMissing));
    }
    if let Some(place) = walk.index.excess(log)? {
        return Ok(broken(place.chain, place.seq, What::Index));
    }
    Ok(Ok(Verified {
        chains: u64::try_from(chains.len()).unwrap_or(u64::MAX),
        entries: walk.entries,
    }))
}

fn broken<T>(chain: i64, seq: i64, what: What) -> Result<T, Broken> {
    Err(Broken { chain, seq, what })
}

fn know(known: &mut Known, tail: Tail) {
    let places = known.entry(tail.place.chain).or_default();
    places.entry(tail.place.seq).or_default().push(tail.hash);
}

/// A column as it is stored, whatever its type was made.
fn bytes<'r>(row: &'r Row<'_>, column: usize) -> rusqlite::Result<&'r [u8]> {
    Ok(row.get_ref(column)?.as_bytes().unwrap_or_default())
}

/// The same for a number; what is none is a number that nothing has.
fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<i64> {
    Ok(row.get_ref(column)?.as_i64().unwrap_or(i64::MAX))
}

/// Checks the chains' own rows; their geneses, and into `known` the tails that they cover.
fn chains(log: &Connection, known: &mut Known) -> Outcome<Vec<Tail>> {
    let mut rows = log.prepare(
        "SELECT id, node, boot, started, previous, genesis
         FROM audit_chain ORDER BY id",
    )?;
    let mut rows = rows.query([])?;
    let mut links = links(log)?;
    let mut chains = Vec::new();
    let mut before = NOTHING;
    while let Some(row) = rows.next()? {
        let chain: i64 = row.get(0)?;
        let expected = i64::try_from(chains.len()).unwrap_or(i64::MAX) + 1;
        if chain != expected {
            return Ok(broken(expected, 0, What::ChainMissing));
        }
        let links = links.remove(&chain).unwrap_or_default();
        let text =
            |column| bytes(row, column).map(|bytes| std::str::from_utf8(bytes).unwrap_or(""));
        let start = Start {
            chain,
            node: text(1)?,
            boot: text(2)?,
            started: number(row, 3)?,
            previous: bytes(row, 4)?,
            links: &links,
        };
        let genesis = start.genesis();
        if bytes(row, 5)? != genesis {
            return Ok(broken(chain, 0, What::Altered));
        }
        if start.previous != before {
            return Ok(broken(chain, 0, What::Unlinked));
        }
        links.into_iter().for_each(|link| know(known, link));
        chains.push(Tail {
            place: Place { chain, seq: 0 },
            hash: genesis,
        });
        before = genesis;
    }
    if let Some(chain) = links.into_keys().next() {
        return Ok(broken(chain, 0, What::ChainMissing));
    }
    Ok(Ok(chains))
}

/// The tails that each chain's genesis covers, in the order in which it covers them.
fn links(log: &Connection) -> rusqlite::Result<BTreeMap<i64, Vec<Tail>>> {
    let sql = "SELECT chain, before, seq, hash FROM audit_link ORDER BY chain, before, seq";
    let mut query = log.prepare(sql)?;
    let mut rows = query.query([])?;
    let mut links: BTreeMap<i64, Vec<Tail>> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        links.entry(number(row, 0)?).or_default().push(Tail {
            place: Place {
                chain: number(row, 1)?,
                seq: number(row, 2)?,
            },
            hash: bytes(row, 3)?.try_into().unwrap_or(NOTHING),
        });
    }
    Ok(links)
}

/// A chain that has entries but no row.
fn orphans(log: &Connection) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT CAST(min(chain) AS INTEGER) FROM audit_entry
               WHERE chain NOT IN (SELECT id FROM audit_chain)";
    log.query_row(sql, [], |row| row.get(0))
}

struct Walk<'log> {
    log: &'log Connection,
    index: Index<'log>,
    entries: u64,
}

impl Walk<'_> {
    fn chain(&mut self, genesis: Tail, mut known: BTreeMap<i64, Vec<chain::Hash>>) -> Outcome<()> {
        let chain = genesis.place.chain;
        let log = self.log;
        let mut entries = log.prepare_cached(
            "SELECT id, seq, at, previous, hash, body
             FROM audit_entry WHERE chain = ?1 ORDER BY seq",
        )?;
        let mut rows = entries.query([chain])?;
        let (mut last, mut before) = (0, genesis);
        if !covered(&mut known, &before) {
            return Ok(broken(chain, 0, What::Altered));
        }
        while let Some(row) = rows.next()? {
            let (id, seq) = (number(row, 0)?, number(row, 1)?);
            let place = Place {
                chain,
                seq: before.place.seq + 1,
            };
            if seq != place.seq {
                // Numbers below are moved entries, numbers above leave a gap.
                let what = if seq > place.seq {
                    What::Missing
                } else {
                    What::Reordered
                };
                return Ok(broken(chain, place.seq.min(seq), what));
            }
            let (previous, body) = (bytes(row, 3)?, bytes(row, 5)?);
            let expected = chain::entry_hash(place, previous, body);
            if bytes(row, 4)? != expected {
                let rank = self.rank(chain, id)?;
                let place = Place { chain, seq: rank };
                let moved = bytes(row, 4)? == chain::entry_hash(place, previous, body);
                let what = if moved {
                    What::Reordered
                } else {
                    What::Altered
                };
                return Ok(broken(chain, seq, what));
            }
            if id <= last {
                let rank = self.rank(chain, id)?;
                return Ok(broken(chain, rank.min(seq - 1), What::Reordered));
            }
            if previous != before.hash {
                return Ok(broken(chain, seq, What::Unlinked));
            }
            let recorded = body::decode(body).ok();
            let at = row.get_ref(2)?.as_i64().ok();
            let Some(recorded) = recorded.filter(|recorded| Some(recorded.at) == at) else {
                return Ok(broken(chain, seq, What::Altered));
            };
            before = Tail {
                place,
                hash: expected,
            };
            if !covered(&mut known, &before) {
                return Ok(broken(chain, seq, What::Altered));
            }
            if !self.index.agrees(id, recorded.at, &Indexed::of(recorded))? {
                return Ok(broken(chain, seq, What::Index));
            }
            last = id;
            self.entries += 1;
        }
        if known.is_empty() {
            return Ok(Ok(()));
        }
        Ok(broken(chain, before.place.seq + 1, What::Truncated))
    }

    /// Where an entry was written: ids were given in order, so it is the rank of its id.
    fn rank(&self, chain: i64, id: i64) -> rusqlite::Result<i64> {
        let sql = "SELECT count(*) FROM audit_entry WHERE chain = ?1 AND id <= ?2";
        self.log.query_row(sql, (chain, id), |row| row.get(0))
    }
}

/// Whether a tail is what is known of its place, which is then forgotten.
fn covered(known: &mut BTreeMap<i64, Vec<chain::Hash>>, tail: &Tail) -> bool {
    let hashes = known.remove(&tail.place.seq).unwrap_or_default();
    hashes.iter().all(|hash| *hash == tail.hash)
}
