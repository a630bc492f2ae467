#![doc = include_str!("index.md")]

#[doc = include_str!("which.md")]
pub mod which_structure {}

#[doc = include_str!("cid.md")]
pub mod the_cid {}

#[doc = include_str!("memory_model.md")]
pub mod memory_model {}

#[doc = include_str!("hosts.md")]
pub mod forks_signals_sandboxes {}

#[doc = include_str!("porting.md")]
pub mod porting {}

#[doc = include_str!("measuring.md")]
pub mod measuring {}

#[doc = include_str!("verification.md")]
pub mod verification {}

#[doc = include_str!("architecture.md")]
pub mod architecture {}
