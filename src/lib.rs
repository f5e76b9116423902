//! Confide: a FHIR R4 server that keeps sensitive health services confidential.
//!
//! It stores clinical and claims records, knows which of them reveal a sensitive service, knows who
//! asks and what for, and answers as if what the requester may not know did not exist.
//!
//! # Two invariants
//!
//! 1. **Non-interference.** The answer to a request equals the answer of a store in which every record
//!    that the requester may not see was never written, and every element never there: bodies, totals,
//!    pages, order, includes, versions, errors, headers. The exceptions, each with its reason, are in
//!    `docs/security.md`.
//! 2. **No disclosure without a record.** A clinical reply exists only after its audit entry is durable.
//!    Where it can't be made durable, the answer is 503.
//!
//! Types hold them first, tests second, care last.
//!
//! # A read
//!
//! ```text
//! http         AtRecord, AtType, Asker     the path; who asks: 401 and 403 end here
//! authn        Verified                    a token's content, only from Tokens::verify
//! policy       Case                        requester, purpose, scopes, patient in context, time
//! search       Plan                        every parameter checked; an unknown one is 400
//! store        Lens -> SQL                 the visible relation: totals, pages, order
//!              Sealed + Standing           records with their bodies shut, relations: one snapshot
//! policy       decide -> Basis | Withheld  asked again for each record about to leave
//! gate         release -> Released         the body opened as far as the basis goes
//!              disclose -> Disclosure      after the audit entry is durable, else JournalError
//! interaction  Answer                      made of a Disclosure's entries, or 404 as a ghost
//! http         reply                       status, ETag, headers
//! ```
//!
//! # A write
//!
//! `Resource` (parsed once, every byte kept) → may this role write this type (`statute::writers`) →
//! structure (`profile`) → a Consent is compiled or refused (`consent`) → audit entry of the intent →
//! one transaction: labels, faces, index entries, relations, directives, and the relabelling of what
//! depends on it (`store::records`) → audit entry of the outcome → the reply is a read of what was
//! written, through the gate.
//!
//! # Where rules live
//!
//! The law is data under `profiles/`, each row with its source. [`policy::lanes`] turns it into lanes
//! for one requester and one patient. The same lanes are asked record by record by [`policy::decide()`]
//! and compiled to SQL by [`store::visible`]; where the two disagree, the record is withheld and an
//! alarm is raised.
//!
//! # Rooms
//!
//! Each module is a room; arrows point down only, L0 to L2 are pure (no async, no I/O, no clock), SQL
//! is in `store` alone. A stored body can be opened in [`gate`] and nowhere else: `Sealed::from_row`,
//! `Sealed::into_row`, `Case::from_verified` and `gate::amend` are doors with listed callers.
//! `tests/architecture.rs` reads the source and holds all of this. More: `docs/architecture.md`.

pub mod authn;
pub mod calendar;
pub mod cli;
pub mod config;
pub mod consent;
pub mod faces;
pub mod fhir;
pub mod gate;
pub mod http;
pub mod interaction;
pub mod label;
pub mod operation;
pub mod policy;
pub mod profile;
pub mod scope;
pub mod search;
pub mod smart;
pub mod statute;
pub mod store;
