//! Retries a program load that was interrupted.

use aya::programs::ProgramError;

/// Most tries of one load.
const TRIES: usize = 16;

/// Loads a program. With a signal pending for the thread the verifier gives up with `EAGAIN` (kernel/bpf/verifier.c,
/// `do_check`), which says nothing of the program: it is tried again.
///
/// # Errors
/// Any other of `load`, or the last one.
pub(crate) fn persist(load: impl FnMut() -> Result<(), ProgramError>) -> Result<(), ProgramError> {
    again(load, |error| match error {
        ProgramError::LoadError { io_error, .. } => io_error.raw_os_error() == Some(libc::EAGAIN),
        _ => false,
    })
}

fn again<E>(mut act: impl FnMut() -> Result<(), E>, is_interruption: fn(&E) -> bool) -> Result<(), E> {
    for _ in 1..TRIES {
        match act() {
            Err(error) if is_interruption(&error) => {}
            result => return result,
        }
    }
    act()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_interrupted_is_tried_again_and_nothing_else_is() {
        let tries = |interruptions: usize, end: Result<(), &'static str>| {
            let mut tries = 0;
            let act = || {
                tries += 1;
                if tries > interruptions { end } else { Err("interrupted") }
            };
            let result = again(act, |error| *error == "interrupted");
            (tries, result)
        };
        assert_eq!(tries(0, Ok(())), (1, Ok(())));
        assert_eq!(tries(3, Ok(())), (4, Ok(())));
        assert_eq!(tries(3, Err("refused")), (4, Err("refused")));
        assert_eq!(tries(usize::MAX, Ok(())), (TRIES, Err("interrupted")));
    }
}
