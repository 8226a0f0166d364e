//! What the benchmarks and the heap check of the workspace run; nothing of it is published.

mod call_center;

pub use self::call_center::{CallCenter, Reading};
