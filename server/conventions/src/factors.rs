//! Products of named sizes.

use layers::Overflow;

/// The terms of one formula of a call.
pub(crate) type Factors = Vec<(&'static str, u128)>;

/// Their product.
///
/// # Errors
/// If it does not fit in 128 bits.
pub(crate) fn product(factors: &[(&'static str, u128)]) -> Result<u128, Overflow> {
    let mut sizes = factors.iter().map(|(_, size)| *size);
    sizes.try_fold(1u128, |product, size| product.checked_mul(size).ok_or(Overflow))
}
