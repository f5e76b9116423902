//! L6: HTTP. Every route is in `router`, the order of what surrounds a handler in `middleware`, every
//! error that leaves in `failure`.

pub mod api;
pub mod auth;
pub mod capabilities;
pub mod extract;
pub mod failure;
pub mod fhir;
pub mod forwarded;
pub mod health;
pub mod meters;
pub mod middleware;
pub mod negotiate;
mod path;
mod pretty;
pub mod rate;
pub mod refused;
pub mod request_id;
pub mod router;
pub mod server;
mod write;

pub use api::{Api, Shared};
pub use failure::Failure;
pub use forwarded::Proxies;
pub use middleware::Edge;
pub use negotiate::Format;
pub use request_id::RequestId;
pub use router::{Act, Mount, ROUTES, Route};
