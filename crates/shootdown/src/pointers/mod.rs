//! Pointers that are safe to follow inside a guard of their domain.
//!
//! | file | its one idea |
//! | --- | --- |
//! | `brand` | a type that names one domain |
//! | `bound` | a pointer in a domain that is made at run time |
//! | `atomic` | a pointer that is shared, and the words for what is in it |

mod atomic;
mod bound;
mod brand;

pub use atomic::{Atomic, Guarded, Lost, Owned};
pub use bound::Bound;
pub use brand::{Brand, Global};
