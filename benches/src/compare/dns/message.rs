//! The few DNS messages that the comparison needs (RFC 1035 §4).

/// Bytes of a header.
const HEADER: usize = 12;
/// An A record of the name that was asked: a pointer to it, type, class, an hour, and an address whose end is the name's.
const RECORD: [u8; 16] = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0x0e, 0x10, 0, 4, 198, 18, 0, 0];

/// A query for the addresses of `name`, which has no label of more than 63 bytes.
#[must_use]
pub fn query(id: u16, name: &str) -> Vec<u8> {
    let mut message = id.to_be_bytes().to_vec();
    // Recursion is desired; one question, no records.
    message.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.trim_end_matches('.').split('.') {
        message.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
        message.extend_from_slice(label.as_bytes());
    }
    message.extend_from_slice(&[0, 0, 1, 0, 1]);
    message
}

/// Makes the query in the first `bytes` of `buffer` its own answer, with one address. What stands behind the question is
/// left out. The answer's length; `None` where there is no query with one question, or no room.
pub fn answer(buffer: &mut [u8], bytes: usize) -> Option<usize> {
    let query = buffer.get(..bytes)?;
    if query.len() < HEADER || query[2] & 0x80 != 0 || query[4..6] != [0, 1] {
        return None;
    }
    let name = query[HEADER..].iter().scan(0, |left, byte| {
        let ends = *left == 0 && *byte == 0;
        *left = if *left == 0 { usize::from(*byte) } else { *left - 1 };
        Some(ends)
    });
    // Behind the name are type and class.
    let end = HEADER + name.take_while(|ends| !ends).count() + 5;
    let hash = query.get(HEADER..end)?.iter().fold(0_u32, |hash, byte| hash.wrapping_mul(31) ^ u32::from(*byte));
    let record = buffer.get_mut(end..end + RECORD.len())?;
    record.copy_from_slice(&RECORD);
    // 198.18.0.0/15 is for benchmarks (RFC 2544).
    let address = u32::from_be_bytes([198, 18, 0, 0]) | (hash ^ hash >> 16) & 0x1_ffff;
    record[12..].copy_from_slice(&address.to_be_bytes());
    // An answer, recursion available, no error; one record of answers.
    buffer[2] |= 0x80;
    buffer[3] = 0x80;
    buffer[6..HEADER].copy_from_slice(&[0, 1, 0, 0, 0, 0]);
    Some(end + RECORD.len())
}

/// The number of the query that a message answers, and whether it has an address; `None` if it is no answer.
#[must_use]
pub fn outcome(message: &[u8]) -> Option<(u16, bool)> {
    let head = message.get(..HEADER).filter(|head| head[2] & 0x80 != 0)?;
    let (error, answers) = (head[3] & 0x0f, u16::from_be_bytes([head[6], head[7]]));
    Some((u16::from_be_bytes([head[0], head[1]]), error == 0 && answers > 0))
}

#[cfg(test)]
mod tests {
    use super::{answer, outcome, query};

    #[test]
    fn a_query_becomes_its_own_answer() {
        let query = query(0x1234, "www.zone1.bench.test");
        let mut buffer = [0; 512];
        buffer[..query.len()].copy_from_slice(&query);
        // An option that a proxy may have put behind the question is not answered.
        let length = answer(&mut buffer, query.len() + 11).unwrap();
        assert_eq!(length, query.len() + 16);
        assert_eq!(outcome(&buffer[..length]), Some((0x1234, true)));
        assert_eq!(buffer[12..query.len()], query[12..]);
        // It is no query any more.
        assert_eq!(answer(&mut buffer, length), None);
    }

    #[test]
    fn refusals_and_queries_are_not_taken_for_answers() {
        let mut message = query(7, "a.test");
        assert_eq!(outcome(&message), None);
        message[2] |= 0x80;
        message[3] |= 5;
        assert_eq!(outcome(&message), Some((7, false)));
        assert_eq!(outcome(&message[..11]), None);
    }
}
