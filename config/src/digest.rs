//! Tells contents apart, and damage from what was written.

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

/// CRC-32 (IEEE 802.3), as in gzip.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| TABLE[usize::from(crc.to_le_bytes()[0] ^ byte)] ^ (crc >> 8);
    !bytes.iter().fold(u32::MAX, step)
}

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < table.len() {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::{crc32, digest, secret_digest};

    #[test]
    fn a_secrets_word_tells_contents_apart_and_is_no_checksum_of_it() {
        assert_eq!(secret_digest("hunter2"), secret_digest("hunter2"));
        assert_ne!(secret_digest("hunter2"), secret_digest("hunter3"));
        assert_ne!(secret_digest("hunter2"), digest("hunter2"));
    }

    #[test]
    fn the_check_values_of_the_catalogues_come_out() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(digest("foobar"), "85944171f73967e8");
    }
}
