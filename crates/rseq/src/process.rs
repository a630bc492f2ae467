//! What libc knows of error numbers, without `std`.

use core::fmt;

/// An error number of the system, as it reads.
///
/// For percid's own crates; not part of the interface.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct OsError(pub i32);

impl fmt::Display for OsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[cfg(unix)]
        {
            let mut text = [0_u8; 128];
            // SAFETY: the buffer is writable for its whole length.
            let failed =
                unsafe { libc::strerror_r(self.0, text.as_mut_ptr().cast(), text.len()) } != 0;
            let text = core::ffi::CStr::from_bytes_until_nul(&text)
                .ok()
                .and_then(|text| text.to_str().ok());
            if let (false, Some(text)) = (failed, text) {
                return write!(f, "{text} (os error {})", self.0);
            }
        }
        write!(f, "os error {}", self.0)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;

    use super::*;

    #[test]
    fn an_error_reads_as_that_of_std() {
        for number in [1, 12, 22] {
            let theirs = std::io::Error::from_raw_os_error(number);
            assert_eq!(OsError(number).to_string(), theirs.to_string());
        }
        assert!(OsError(12_345).to_string().contains("os error 12345"));
    }
}
