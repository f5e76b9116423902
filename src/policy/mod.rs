//! L2: who may see what, and why. Pure: no clock, no I/O, no async.

pub mod case;
pub mod decide;
pub mod facts;
pub mod kinds;
pub mod lanes;
pub mod standing;

pub use case::{Case, Credentials, Requester, Role};
pub use decide::{Basis, Cut, Decision, Withheld, decide};
pub use facts::Facts;
pub use lanes::{FaceKind, Lane, Lanes};
pub use standing::{Authority, Grant, Settings, Standing, Towards};
