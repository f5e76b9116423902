//! L1: what a query asks (`Plan`) and what a record answers to (`IndexEntry`). Pure: the store
//! mirrors [`matching`] in SQL.

mod chain;
pub mod contained;
pub mod filter;
pub mod fold;
mod implied;
pub mod index;
pub mod kin;
mod leaf;
pub mod matching;
pub mod near;
pub mod number;
pub mod params;
pub mod path;
pub mod plan;
mod results;
pub mod shipped;
pub mod terms;
pub mod unit;
mod values;

pub use contained::{Contained, contained};
pub use filter::{DateTest, Filter, Prefix, ReferenceTest, StringTest, Test, TokenTest};
pub use index::{IndexEntry, IndexValue, Span, entries};
pub use matching::Subject;
pub use params::{Param, ParamId, ParamType, param};
pub use path::{Leaf, ParamPath};
pub use plan::{Include, ParseOptions, Plan, SortKey, Summary, Total};
