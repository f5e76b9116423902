//! L1: what a query asks (`Plan`) and what a record answers to (`IndexEntry`). Pure: the store
//! mirrors [`matching`] in SQL.

// F pub mod filter;
pub mod fold;
pub mod index;
mod leaf;
// F pub mod matching;
pub mod params;
pub mod path;
// F pub mod plan;
// F mod results;
// F mod values;

// F pub use filter::{DateTest, Filter, Prefix, ReferenceTest, StringTest, Test, TokenTest};
pub use index::{IndexEntry, IndexValue, Span, entries};
// F pub use matching::Subject;
pub use params::{Param, ParamId, ParamType, param};
pub use path::{Leaf, ParamPath};
// F pub use plan::{Include, ParseOptions, Plan, SortKey, Summary, Total};
