//! L0: the law as data. Every row names its source; tables are read and checked at start.

pub mod labels;
pub mod minors;
pub mod necessary;
pub mod projections;
pub mod purpose;
pub mod reason;
pub mod writers;

pub use labels::Labels;
pub use purpose::Purpose;
pub use reason::{Reason, Step};
