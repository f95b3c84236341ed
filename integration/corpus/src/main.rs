//! `portcullis-corpus [FILE]`: answers each line of a file, or of standard input. `integration/differential/README.md` has the
//! form of both.

use std::{
    env,
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Write as _},
    process::ExitCode,
};

use portcullis_codecs::PROTOCOLS;

fn main() -> ExitCode {
    let done = answer();
    if let Err(error) = &done {
        // Nobody is left to be told where this fails too.
        let _ = writeln!(io::stderr(), "portcullis-corpus: {error}");
    }
    if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn answer() -> io::Result<()> {
    let lines: Box<dyn BufRead> = match env::args_os().nth(1) {
        None => Box::new(io::stdin().lock()),
        Some(file) => Box::new(BufReader::new(File::open(file)?)),
    };
    let mut answers = BufWriter::new(io::stdout().lock());
    portcullis_corpus::answer(PROTOCOLS, lines, &mut answers)?;
    answers.flush()
}
