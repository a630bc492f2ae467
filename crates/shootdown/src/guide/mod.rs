#![doc = include_str!("which.md")]

#[doc = include_str!("porting.md")]
pub mod porting {}
