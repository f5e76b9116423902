//! The audit log: a file of its own, a writer of its own, a chain that shows what was changed.
//!
//! **Durable before answer.** [`record`](crate::gate::Journal::record) resolves only after the commit
//! that holds the entry was synced (`WAL`, `synchronous=FULL`). One thread writes; it takes whatever
//! waits, appends it in one transaction, and answers all of it with one sync. If the commit fails,
//! nobody in it is answered with `Ok`, and the next group tries again.
//!
//! **Chains.** Each process that opens the log starts a chain. An entry's hash covers the chain, its
//! place, its predecessor's hash and its body; a chain's first hash (its genesis) covers node, boot,
//! the genesis of the chain before it, and the tail of every chain that had grown since it was last
//! covered. So a process that opens the log vouches for all that it found there.
//!
//! **Marks.** `audit.head` beside the file holds the last place and hash of each chain, written after
//! each commit without a sync. It is never ahead of the durable log.
//!
//! [`verify`] finds, in `audit.db`:
//! - an entry whose text, time, hash or predecessor was changed; an entry taken out, put in, or moved;
//! - a chain taken out, or whose node, boot, start or links were changed;
//! - a chain cut short behind a place that a later chain's genesis or its own mark covers;
//! - a search index that says other than the chain (rows taken out, put in or changed).
//!
//! An older copy put back in its place is found too, unless its `audit.head` came with it: restoring
//! is cutting.
//!
//! A running log refuses to go on, so that nothing more is disclosed, when its last entry was
//! changed or removed beneath it, or the file was replaced.
//!
//! What can't be found without a signed checkpoint kept elsewhere: the same person cuts the newest
//! tail (or the newest chains) *and* rewrites or removes `audit.head`; or rewrites everything from
//! some entry to the end of the log with fresh hashes, and `audit.head` with it. The hashes have no
//! key. Checkpoints are to be a further table over (chain, seq, hash) with a signature; nothing here
//! has to change for them.

mod body;
mod chain;
mod error;
pub mod event;
mod head;
mod log;
mod place;
mod projection;
mod schema;
mod search;
mod verify;
mod writer;

pub use body::{Recorded, RecordedRecord};
pub use error::{OpenError, ReadError};
pub use log::{AuditLog, Options, file};
pub use place::Place;
pub use search::{Continuation, Found, Page, Search};
pub use verify::{Broken, Verified, VerifyError, What, verify};
