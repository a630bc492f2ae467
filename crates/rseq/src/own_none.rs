//! Areas of our own where there are no sections: none.

use crate::RegistrationError;

pub(crate) fn enter() -> Result<u32, RegistrationError> {
    Err(RegistrationError::UnsupportedTarget)
}

pub(crate) fn try_apart() -> Result<u32, RegistrationError> {
    enter()
}

pub(crate) fn leave() {}
