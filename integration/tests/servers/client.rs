//! A client that sends raw bytes.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Most that is read of one server.
const MOST: usize = 1 << 20;

/// Quiet behind something that has come, at least: who is patient for an answer is so for the rest of it, too.
const MORE: Duration = Duration::from_millis(40);

/// Sends segments on one connection, each once the server has been quiet for a while, and gives what was read until it was
/// quiet behind the last, or ended. Whatever fails ends it.
pub(crate) fn talk(address: SocketAddr, segments: &[Vec<u8>], quiet: Duration) -> Vec<u8> {
    let mut answer = Vec::new();
    let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(10)) else { return answer };
    let _ = stream.set_nodelay(true);
    let _ = stream.set_write_timeout(Some(Duration::from_secs(5)));
    let mut buffer = [0; 16 * 1024];
    for segment in segments {
        if stream.write_all(segment).is_err() {
            break;
        }
        let _ = stream.set_read_timeout(Some(quiet));
        while answer.len() < MOST {
            match stream.read(&mut buffer) {
                Ok(0) => return answer,
                Ok(bytes) => {
                    answer.extend_from_slice(&buffer[..bytes]);
                    // What belongs to it comes at once.
                    let _ = stream.set_read_timeout(Some(quiet.min(MORE.max(quiet / 10))));
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(_) => return answer,
            }
        }
    }
    answer
}
