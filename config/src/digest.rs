//! Tells contents apart.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::LazyLock,
};

/// A short word for a content, the same on every machine (FNV-1a, 64 bits). Not for secrets.
pub(crate) fn digest(text: &str) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{hash:016x}")
}

/// A short word for a content that is a secret: equal contents have equal words as long as the process lives. The key is
/// drawn at its start, so that nobody can try out what a word stands for.
pub(crate) fn secret_digest(text: &str) -> String {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    format!("{:016x}", KEY.hash_one(text))
}

#[cfg(test)]
mod tests {
    use super::{digest, secret_digest};

    #[test]
    fn a_secrets_word_tells_contents_apart_and_is_no_checksum_of_it() {
        assert_eq!(secret_digest("hunter2"), secret_digest("hunter2"));
        assert_ne!(secret_digest("hunter2"), secret_digest("hunter3"));
        assert_ne!(secret_digest("hunter2"), digest("hunter2"));
    }

    #[test]
    fn the_check_value_of_the_catalogue_comes_out() {
        assert_eq!(digest("foobar"), "85944171f73967e8");
    }
}
