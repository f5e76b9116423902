//! L3: the only place where a body is opened.
//!
//! A stored record is [`Sealed`]. [`release()`] asks `policy::decide` and opens it as far as the
//! requester may see; the result is [`Released`], which still can't be serialized. [`disclose()`] makes
//! the audit entry durable and gives a [`Disclosure`], whose entries are the only thing that a reply
//! can be made of. None of this can be gone around from outside:
//!
//! A sealed record has no body that can be named,
//! ```compile_fail,E0616
//! fn leak(sealed: confide::gate::Sealed) -> usize {
//!     sealed.faces.full.tail.len()
//! }
//! ```
//! is not serializable,
//! ```compile_fail,E0277
//! fn leak(sealed: &confide::gate::Sealed) -> String {
//!     serde_json::to_string(sealed).unwrap()
//! }
//! ```
//! can't be cloned away,
//! ```compile_fail,E0599
//! fn leak(sealed: &confide::gate::Sealed) -> confide::gate::Sealed {
//!     sealed.clone()
//! }
//! ```
//! and a released one has no body before it is disclosed,
//! ```compile_fail,E0616
//! fn leak(released: confide::gate::Released) -> bytes::Bytes {
//!     released.body
//! }
//! ```
//! nor can a disclosure be made without the journal.
//! ```compile_fail,E0451
//! fn leak(released: Vec<confide::gate::Released>) -> confide::gate::Disclosure {
//!     confide::gate::Disclosure { released }
//! }
//! ```

pub mod disclose;
pub mod journal;
pub mod past;
pub mod record;
pub mod release;
pub mod rework;

pub use disclose::{Disclosed, Disclosure, disclose};
pub use journal::{Asked, Entry, EntryRecord, Journal, JournalError};
pub use past::seal_past;
pub use record::{Damaged, Released, Row, Sealed, canonical, seal};
pub use release::{amend, release};
pub use rework::{Unworkable, rework};
