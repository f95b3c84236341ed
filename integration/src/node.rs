//! The node under test: the real binary with its own settings, and its command line.

use std::{env, fs, path::PathBuf};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    error::{Error, Result, trying},
    lab::Lab,
    process::{Finished, Process},
    site::Site,
    wait,
};

/// Where metrics and health are, in the node's own network namespace.
pub const ADMIN: &str = "127.0.0.1:9902";

/// Names the program under test; without it, the one beside the running test's directory is taken.
const BINARY: &str = "PORTCULLIS_BINARY";

/// The program under test.
///
/// # Errors
/// It has not been built.
pub fn binary() -> Result<PathBuf> {
    let named = env::var_os(BINARY).map(PathBuf::from).or_else(|| built("portcullis"));
    named.filter(|path| path.is_file()).ok_or_else(|| {
        Error::Unexpected(format!("the program portcullis: build it (cargo build --bins), or name it in {BINARY}"))
    })
}

/// A program of this workspace, where it has been built beside this one.
#[must_use]
pub fn built(name: &str) -> Option<PathBuf> {
    let own = env::current_exe().ok()?;
    // Tests are in `deps`, the demo is beside the program.
    own.ancestors().skip(1).take(2).map(|directory| directory.join(name)).find(|path| path.is_file())
}

/// A running node. Killed when dropped, as a crash does; [`Node::stop`] ends it in order.
#[derive(Debug)]
pub struct Node {
    /// The program.
    pub process: Process,
    site: Site,
    /// What comes before the program on its command line.
    before: Vec<String>,
    binary: String,
    socket: String,
    settings: PathBuf,
    base: Value,
}

impl Node {
    /// Starts the node and waits until it is ready. `settings` are those of the settings file that differ from the
    /// laboratory's, which keep everything inside it.
    ///
    /// # Errors
    /// It is not built, or does not get ready.
    pub fn start(lab: &Lab, settings: &Value) -> Result<Self> {
        Self::start_by(lab, settings, &[])
    }

    /// The same by another program that becomes it, such as `prlimit`, also when it starts again.
    ///
    /// # Errors
    /// It is not built, or does not get ready.
    pub fn start_by(lab: &Lab, settings: &Value, before: &[&str]) -> Result<Self> {
        let directory = lab.node().directory().to_owned();
        let base = json!({
            "api": { "socket": directory.join("api.sock") },
            "admin": { "address": [ADMIN, format!("unix:{}", directory.join("admin.sock").display())] },
            "stateDirectory": directory.join("state"),
            "steering": { "bpffs": lab.bpffs(), "cgroup": lab.cgroup() },
            "workers": 2,
        });
        let file = directory.join("portcullis.yaml");
        write(&file, &base, settings)?;
        let (binary, site) = (binary()?.display().to_string(), lab.node().clone());
        let before: Vec<String> = before.iter().map(|word| (*word).to_owned()).collect();
        let process = start(&site, &before, &binary, &file, &[])?;
        let socket = format!("unix:{}", directory.join("api.sock").display());
        let mut node = Self { process, site, before, binary, socket, settings: file, base };
        node.wait_until_ready()?;
        Ok(node)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let url = format!("http://{ADMIN}/ready");
        let log = self.process.log();
        wait::until(
            "a node that is ready",
            || log,
            || {
                self.process.alive()?;
                let asked = self.site.run(&["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", &url])?;
                Ok((asked.stdout == "200").then_some(()))
            },
        )
    }

    /// Runs a command of the program against this node.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn cli(&self, words: &[&str]) -> Result<Finished> {
        self.cli_with(words, "")
    }

    /// Runs a command with a text as its standard input.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn cli_with(&self, words: &[&str], input: &str) -> Result<Finished> {
        let mut all = vec![&*self.binary, "--server", &self.socket];
        all.extend_from_slice(words);
        self.site.run_with(&all, input)
    }

    /// Applies documents. When it returns, they are in force.
    ///
    /// # Errors
    /// One is refused.
    pub fn apply(&self, documents: &[Value]) -> Result<()> {
        let text: Vec<String> = documents.iter().map(|document| format!("---\n{document}\n")).collect();
        self.cli_with(&["apply", "-f", "-"], &text.concat())?.ok().map(|_| ())
    }

    /// Starts `monitor` with more arguments and waits until it watches. Its lines are in its log.
    ///
    /// # Errors
    /// The node does not let it.
    pub fn monitor(&self, name: &str, more: &[&str]) -> Result<Process> {
        let mut all = vec![&*self.binary, "--server", &self.socket, "monitor"];
        all.extend_from_slice(more);
        let mut monitor = self.site.spawn(name, &all)?;
        monitor.wait_for_line("watching")?;
        Ok(monitor)
    }

    /// The node's state as its command line tells it.
    ///
    /// # Errors
    /// It does not answer.
    pub fn status(&self) -> Result<Value> {
        let told = self.cli(&["status", "-o", "json"])?.ok()?.stdout;
        serde_json::from_str(&told).map_err(|error| Error::Unexpected(format!("status is no JSON: {error}\n{told}")))
    }

    /// Writes other settings, asks the node to read them, and waits until a field of its status has a value.
    ///
    /// # Errors
    /// It does not come to that.
    pub fn reload(&self, settings: &Value, field: &str, value: &Value) -> Result<()> {
        write(&self.settings, &self.base, settings)?;
        self.process.signal(Signal::SIGHUP)?;
        let what = format!("{field} to be {value}");
        wait::until(&what, || self.process.log(), || Ok((self.status()?.get(field) == Some(value)).then_some(())))
    }

    /// Everything in force, as its Unix socket of the admin endpoints tells it.
    ///
    /// # Errors
    /// The endpoint does not answer.
    pub fn dump(&self) -> Result<String> {
        let socket = self.settings.with_file_name("admin.sock").display().to_string();
        let words = ["curl", "-sSf", "--unix-socket", &socket, "http://localhost/config_dump"];
        Ok(self.site.run(&words)?.ok()?.stdout)
    }

    /// All metrics, as a scraper reads them.
    ///
    /// # Errors
    /// The endpoint does not answer.
    pub fn metrics(&self) -> Result<String> {
        let url = format!("http://{ADMIN}/metrics");
        Ok(self.site.run(&["curl", "-sSf", "--max-time", "20", &url])?.ok()?.stdout)
    }

    /// The sum of a metric over all series that have these labels, written `name="value"`.
    ///
    /// # Errors
    /// The endpoint does not answer.
    pub fn metric(&self, name: &str, labels: &[&str]) -> Result<f64> {
        let all = self.metrics()?;
        let series = all.lines().filter_map(|line| line.strip_prefix(name)).filter(|rest| rest.starts_with(['{', ' ']));
        let matching = series.filter(|rest| labels.iter().all(|label| rest.contains(label)));
        Ok(matching.filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// Ends it in order; gives its exit code.
    ///
    /// # Errors
    /// It does not end.
    pub fn stop(&mut self) -> Result<Option<i32>> {
        self.process.signal(Signal::SIGTERM)?;
        Ok(self.process.wait()?.code())
    }

    /// Kills it at once, as a crash does.
    ///
    /// # Errors
    /// It cannot be killed.
    pub fn crash(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Starts it again with the settings it has, after a stop or a crash, and waits until it is ready.
    ///
    /// # Errors
    /// It does not get ready.
    pub fn start_again(&mut self) -> Result<()> {
        self.start_again_with(&[])
    }

    /// The same with more arguments.
    ///
    /// # Errors
    /// It does not get ready.
    pub fn start_again_with(&mut self, more: &[&str]) -> Result<()> {
        self.begin_again(more)?;
        self.wait_until_ready()
    }

    /// Begins to start it again and waits for nothing.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn begin_again(&mut self, more: &[&str]) -> Result<()> {
        self.process = start(&self.site, &self.before, &self.binary, &self.settings, more)?;
        Ok(())
    }

    /// Takes away what a stopped node has left.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn release(&self) -> Result<Finished> {
        self.site.run(&[&self.binary, "release", "--config", &self.settings.display().to_string()])
    }

    /// What `/ready` answers: the status code and the text.
    ///
    /// # Errors
    /// curl cannot be started.
    pub fn ready(&self) -> Result<String> {
        let url = format!("http://{ADMIN}/ready");
        Ok(self.site.run(&["curl", "-s", "-w", "%{http_code}", "--max-time", "20", &url])?.stdout)
    }

    /// Stops it in order and starts another file of the same program, as an upgrade does.
    ///
    /// # Errors
    /// The program cannot be copied, does not end, or does not get ready.
    pub fn upgrade(&mut self) -> Result<()> {
        let next = self.site.directory().join("portcullis-next");
        let (binary, next) = (self.binary.clone(), next.display().to_string());
        if binary != next {
            trying("copy the program", fs::copy(&binary, &next))?;
        }
        self.stop()?;
        self.binary = next;
        self.start_again()
    }
}

fn start(site: &Site, before: &[String], binary: &str, settings: &std::path::Path, more: &[&str]) -> Result<Process> {
    let file = settings.display().to_string();
    let words = [binary, "run", "--config", &file, "--log-level", "debug,h2=info", "--drain", "1s"];
    let all: Vec<&str> = before.iter().map(String::as_str).chain(words).chain(more.iter().copied()).collect();
    site.spawn("portcullis", &all)
}

/// JSON is YAML. A key of `settings` takes the place of the base's.
fn write(file: &std::path::Path, base: &Value, settings: &Value) -> Result<()> {
    let mut all = base.clone();
    if let (Some(all), Some(more)) = (all.as_object_mut(), settings.as_object()) {
        all.extend(more.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    trying("write the settings", fs::write(file, format!("{all:#}\n")))
}
