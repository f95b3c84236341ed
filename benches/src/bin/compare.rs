//! The same HTTP/1, HTTP/2, DNS or Kafka work through several proxies, side by side. See docs/performance.md.

use std::{
    io::{self, Write},
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use portcullis_benches::compare::{
    cases::{CASES, Protocol},
    dns, http2, idle, kafka, load, measure,
    peers::Peer,
    relay, report,
    run::{self, Plan},
    upstream,
};

/// Compares proxies on the same HTTP/1, HTTP/2, DNS or Kafka work, in interleaved rounds, by CPU time per request.
///
/// Needs root (network namespaces). Ratios are to a plain relay that copies bytes, in the same round.
#[derive(Debug, Parser)]
#[command(name = "compare", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    /// Who carries the requests, in this order
    #[arg(long, value_delimiter = ',', default_values = ["direct", "relay", "nginx", "haproxy", "hyper", "dnsdist", "kroxylicious", "portcullis"])]
    proxies: Vec<Peer>,
    /// The cases; all unless named
    #[arg(long, value_delimiter = ',')]
    cases: Vec<String>,
    /// Interleaved rounds
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Numbers of idle connections to measure memory with, as far as the limit of open files allows; 0 for none
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000])]
    idle: Vec<usize>,
    /// So little work that it only shows that it works
    #[arg(long)]
    quick: bool,
    /// So many times as many requests: what is said of the whole machine needs several seconds of work
    #[arg(long, value_name = "TIMES", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    longer: u64,
    /// Let the kernel choose the cores
    #[arg(long)]
    unpinned: bool,
    /// The program under test; without it, the one beside this program
    #[arg(long)]
    portcullis: Option<PathBuf>,
    /// Form of the results
    #[arg(short, long, default_value = "markdown")]
    output: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Tables
    Markdown,
    /// Every sample, for programs
    Json,
}

/// The processes that a comparison starts.
#[derive(Debug, Subcommand)]
enum Part {
    /// The server behind the proxies
    #[command(hide = true)]
    Upstream { address: SocketAddr },
    /// The relay that copies bytes
    #[command(hide = true)]
    Relay { address: SocketAddr, upstream: SocketAddr },
    /// The server behind the proxies, for HTTP/2
    #[command(hide = true)]
    Http2Upstream { address: SocketAddr },
    /// The proxy that terminates HTTP/2
    #[command(hide = true)]
    Terminator { address: SocketAddr, upstream: SocketAddr, rules: PathBuf },
    /// The server behind the proxies, for DNS
    #[command(hide = true)]
    DnsUpstream { address: SocketAddr },
    /// The relay that copies datagrams
    #[command(hide = true)]
    DnsRelay { address: SocketAddr, upstream: SocketAddr },
    /// The client
    #[command(hide = true)]
    Load(LoadArguments),
    /// Connections that do nothing
    #[command(hide = true)]
    Idle {
        target: SocketAddr,
        #[arg(long)]
        protocol: Protocol,
        #[arg(long)]
        path: String,
        #[arg(long)]
        connections: usize,
        #[arg(long = "source")]
        sources: Vec<IpAddr>,
    },
}

#[derive(Debug, Args)]
struct LoadArguments {
    target: SocketAddr,
    #[arg(long)]
    protocol: Protocol,
    #[arg(long)]
    subject: String,
    #[arg(long)]
    variants: usize,
    #[arg(long)]
    connections: usize,
    #[arg(long)]
    streams: usize,
    #[arg(long)]
    requests: u64,
    #[arg(long)]
    warm_up: u64,
    #[arg(long)]
    rate: u64,
    #[arg(long)]
    churn: bool,
    #[arg(long)]
    half_denied: bool,
    #[arg(long = "source")]
    sources: Vec<IpAddr>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.part {
        None => compare(&arguments),
        Some(part) => play(part),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is closed.
            let _ = writeln!(io::stderr(), "compare: error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn play(part: &Part) -> io::Result<()> {
    idle::raise_open_files()?;
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    match part {
        Part::Upstream { address } => upstream::serve(*address, || tell_ready(&mut output)),
        Part::Relay { address, upstream } => relay::serve(*address, *upstream, || tell_ready(&mut output)),
        Part::Http2Upstream { address } => http2::upstream::serve(*address, || tell_ready(&mut output)),
        Part::Terminator { address, upstream, rules } => http2::terminator::serve(*address, *upstream, rules),
        Part::DnsUpstream { address } => dns::upstream::serve(*address, || tell_ready(&mut output)),
        Part::DnsRelay { address, upstream } => dns::relay::serve(*address, *upstream, || tell_ready(&mut output)),
        Part::Load(arguments) => match arguments.protocol {
            Protocol::Http1 => load::main(&arguments.work(), &mut input, &mut output),
            Protocol::Http2 => http2::load::main(&arguments.work(), &mut input, &mut output),
            Protocol::Dns => dns::load::main(&arguments.work(), &mut input, &mut output),
            Protocol::Kafka => kafka::load::main(&arguments.work(), &mut input, &mut output),
        },
        Part::Idle { target, protocol, path, connections, sources } => {
            let open = |target, source| match protocol {
                Protocol::Http2 => http2::answered(target, source, path),
                Protocol::Http1 | Protocol::Dns | Protocol::Kafka => {
                    idle::answered(target, source, &format!("GET {path} HTTP/1.1\r\nHost: upstream.bench\r\n\r\n"))
                }
            };
            idle::main(*target, sources, *connections, open, &mut input, &mut output)
        }
    }
}

fn tell_ready(output: &mut impl Write) -> io::Result<()> {
    writeln!(output, "ready")?;
    output.flush()
}

impl LoadArguments {
    fn work(&self) -> measure::Work {
        let mut subjects = self.protocol.subjects(&self.subject, self.variants);
        if self.half_denied {
            subjects.push(self.protocol.denied().to_owned());
        }
        measure::Work {
            target: self.target,
            sources: self.sources.clone(),
            subjects,
            connections: self.connections,
            streams: self.streams,
            requests: self.requests,
            warm_up: self.warm_up,
            rate: self.rate,
            churn: self.churn,
        }
    }
}

fn compare(arguments: &Arguments) -> io::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return Err(io::Error::other("network namespaces are root's; run it as root (make compare asks for it)"));
    }
    idle::raise_open_files()?;
    let plan = plan(arguments)?;
    let mut errors = io::stderr();
    let results = run::run(&plan, |step| {
        let _ = writeln!(errors, "compare: {step}");
    })?;
    let mut output = io::stdout().lock();
    match arguments.output {
        Format::Markdown => write!(output, "{}", report::markdown(&plan, &results)),
        Format::Json => writeln!(output, "{:#}", report::json(&plan, &results)),
    }
}

fn plan(arguments: &Arguments) -> io::Result<Plan> {
    let known = CASES.map(|case| case.name);
    if let Some(unknown) = arguments.cases.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(io::Error::other(format!("there is no case {unknown:?}; there are {}", known.join(", "))));
    }
    let chosen = |name: &str| arguments.cases.is_empty() || arguments.cases.iter().any(|case| case == name);
    let cases = CASES.into_iter().filter(|case| chosen(case.name));
    let beside = std::env::current_exe()?.with_file_name("portcullis");
    let portcullis = arguments.portcullis.clone().unwrap_or(beside);
    if arguments.proxies.iter().any(|peer| peer.is_portcullis()) && !portcullis.is_file() {
        let hint = "build it, name it with --portcullis, or leave it out with --proxies";
        return Err(io::Error::other(format!("{} is not there: {hint}", portcullis.display())));
    }
    // The relay holds two descriptors for each connection.
    let most = usize::try_from(idle::most_connections()?).unwrap_or(usize::MAX);
    let most = if arguments.quick { 50 } else { most };
    let mut idle: Vec<usize> =
        arguments.idle.iter().map(|count| *count.min(&most)).filter(|count| *count > 0).collect();
    idle.dedup();
    Ok(Plan {
        peers: arguments.proxies.clone(),
        cases: if arguments.quick {
            cases.map(portcullis_benches::compare::cases::Case::quick).collect()
        } else {
            cases.map(|case| case.longer(arguments.longer)).collect()
        },
        rounds: if arguments.quick { 1 } else { arguments.rounds.max(1) },
        idle,
        pinned: !arguments.unpinned,
        portcullis,
    })
}
