//! Which bucket a value falls into: linear within an octave, and octaves double.
//!
//! With 2^5 buckets an octave, values below 64 have buckets of their own. Above, a bucket
//! is at most 1/32 of its lowest value wide, so that its middle is at most 1/64 away from
//! any value in it.
//!
//! Source: G. Tene's HdrHistogram.

/// log2 of the buckets of an octave.
pub(super) const BITS: u32 = 5;

/// Buckets for all values of 64 bits.
pub(super) const ALL: usize = bucket_of(u64::MAX) + 1;

/// The bucket of a value.
#[inline(always)]
pub(super) const fn bucket_of(value: u64) -> usize {
    let octave = 63 - (value | 1 << BITS).leading_zeros() - BITS;
    ((octave as usize) << BITS) + (value >> octave) as usize
}

/// The lowest value of a bucket.
pub(super) const fn low(bucket: usize) -> u64 {
    let octave = (bucket >> BITS).saturating_sub(1);
    ((bucket - (octave << BITS)) as u64) << octave
}

/// The highest value of a bucket.
pub(super) const fn high(bucket: usize) -> u64 {
    if bucket + 1 == ALL {
        return u64::MAX;
    }
    low(bucket + 1) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_one_another() {
        assert_eq!((low(0), bucket_of(0)), (0, 0));
        for bucket in 0..ALL {
            assert_eq!(bucket_of(low(bucket)), bucket);
            assert_eq!(bucket_of(high(bucket)), bucket);
            if bucket > 0 {
                assert_eq!(high(bucket - 1) + 1, low(bucket));
            }
        }
        assert_eq!(high(ALL - 1), u64::MAX);
    }

    #[test]
    fn middles_are_near() {
        for bucket in 0..ALL {
            let (low, high) = (low(bucket), high(bucket));
            let middle = low + (high - low) / 2;
            // In both directions, at the ends, where it is worst.
            assert!((middle - low) as f64 <= low as f64 / 64.0, "{bucket}");
            assert!((high - middle) as f64 <= high as f64 / 64.0, "{bucket}");
        }
    }
}
