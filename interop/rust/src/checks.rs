//! What is as it must be, counted.

use std::fmt::Debug;

use asterisk_rs_ari::{AriError, error::Result as AriResult};

use crate::Result;

/// How much has been as it must be.
#[derive(Debug, Default)]
pub struct Checks(u32);

impl Checks {
    pub fn count(&mut self) {
        self.0 += 1;
    }

    pub fn so_far(&self) -> u32 {
        self.0
    }

    /// Fails unless both are the same.
    pub fn equal<T: PartialEq<U> + Debug, U: Debug>(
        &mut self,
        what: &str,
        found: T,
        expected: U,
    ) -> Result<()> {
        if found != expected {
            return Err(format!("{what}: {expected:?} expected, {found:?} found").into());
        }
        self.count();
        Ok(())
    }

    /// Fails unless an operation was refused, and that came as this client's error.
    pub fn refused<T: Debug>(
        &mut self,
        what: &str,
        answer: AriResult<T>,
        status: u16,
        message: &str,
    ) -> Result<()> {
        match answer {
            Err(AriError::Api {
                status: found,
                message: body,
            }) if found == status && body.contains(message) => {
                self.count();
                Ok(())
            }
            other => Err(format!("{what}: {status} {message} expected, {other:?} found").into()),
        }
    }
}
