//! The servers, the node in front of them, and a client.

use std::{
    cell::Cell,
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use portcullis_integration::{
    Lab, Need, Pod, Process,
    documents::{endpoint, policy},
    node::Node,
    require, wait,
};
use serde_json::{Value, json};

use crate::oracle::Allowed;

/// The Kubernetes namespace of everything.
const SHOP: &str = "shop";
/// Where nginx passes `/public/` on to Tomcat.
pub(crate) const GATEWAY_PORT: u16 = 8006;
/// Where Tomcat is, which only nginx is to reach.
const TOMCAT_PORT: u16 = 8004;

/// One server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) port: u16,
    log: PathBuf,
    /// Where in the log the requests of this part of the test begin.
    from: Mutex<Cell<usize>>,
}

impl Server {
    /// The lines of its log since [`Fleet::forget`].
    pub(crate) fn requests(&self) -> Vec<String> {
        let text = fs::read(&self.log).unwrap_or_default();
        let from = self.from.lock().unwrap().get();
        String::from_utf8_lossy(text.get(from..).unwrap_or_default()).lines().map(str::to_owned).collect()
    }
}

/// Fields drop in this order: the laboratory last.
pub(crate) struct Fleet {
    pub(crate) servers: Vec<Server>,
    node: Node,
    _processes: Vec<Process>,
    pub(crate) client: Pod,
    pub(crate) app: Pod,
    records: PathBuf,
    from: Mutex<Cell<usize>>,
    _lab: Lab,
}

/// Whether this machine can do it at all. Which servers it has is asked one by one.
pub(crate) fn able() -> bool {
    require(&[
        Need::Root,
        Need::Bpf,
        Need::Ipv6,
        Need::Portcullis,
        Need::Program("ip"),
        Need::Program("nft"),
        Need::Program("curl"),
    ])
}

fn cache() -> String {
    let home = env::var("HOME").unwrap_or_default();
    let cache = env::var("XDG_CACHE_HOME").unwrap_or_else(|_| format!("{home}/.cache"));
    format!("{cache}/portcullis")
}

/// A file of ours below `integration/servers`.
fn ours(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("servers").join(name).display().to_string()
}

/// Starts servers in the application's pod.
struct Yard<'a> {
    app: &'a Pod,
    logs: PathBuf,
    servers: Vec<Server>,
    processes: Vec<Process>,
}

impl Yard<'_> {
    fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }

    fn list(&mut self, name: &'static str, port: u16, log: &str) {
        let log = self.log(log);
        self.servers.push(Server { name, port, log, from: Mutex::default() });
    }

    fn spawn(&mut self, name: &str, words: &[&str]) {
        let mut command: Command = self.app.command(words);
        command.env("REQUEST_LOG", self.log(name)).env("PYTHONDONTWRITEBYTECODE", "1");
        self.processes.push(self.app.spawn_command(name, command).unwrap());
    }

    /// One server that is a program.
    fn start(&mut self, name: &'static str, port: u16, needs: &[Need<'_>], words: &[&str]) {
        if require(needs) {
            self.spawn(name, words);
            self.list(name, port, name);
        }
    }

    /// Tomcat is behind nginx, so both or none.
    fn java(&mut self) {
        let (cache, nginx) = (cache(), require(&[Need::Program("nginx")]));
        let classes = format!("{cache}/java");
        if !require(&[Need::Program("java"), Need::Path(&format!("{classes}/Servers.class"))]) {
            return;
        }
        let (path, logs) = (format!("{classes}/jars/*:{classes}"), self.logs.display().to_string());
        let mut words = vec!["java", "-XX:TieredStopAtLevel=1", "-Xmx256m", "-cp", &path, "Servers", "0.0.0.0", &logs];
        words.extend(["netty=8001", "jetty=8002", "jdk=8003"]);
        if nginx {
            words.push("tomcat=8004");
        }
        self.spawn("java", &words);
        for (name, port) in [("netty", 8001), ("jetty", 8002), ("jdk", 8003)] {
            self.list(name, port, name);
        }
        if nginx {
            self.nginx();
            self.list("tomcat", 8005, "tomcat");
        }
    }

    fn nginx(&mut self) {
        let (ip, file) = (self.app.v4, self.logs.join("nginx.conf"));
        let place = self.logs.display();
        let server = |port: u16, location: &str, to: &str| {
            format!(
                "server {{ listen {ip}:{port}; location {location} {{ proxy_pass http://127.0.0.1:{TOMCAT_PORT}{to}; proxy_http_version 1.1; }} }}\n"
            )
        };
        let text = format!(
            "daemon off; pid {place}/nginx.pid; error_log {place}/nginx-error.log; worker_processes 1;\n\
             events {{ worker_connections 512; }}\nhttp {{ access_log {place}/nginx-access.log; client_body_temp_path {place}/b; \
             proxy_temp_path {place}/p; fastcgi_temp_path {place}/f; uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;\n{}{}}}\n",
            server(8005, "/", ""),
            server(GATEWAY_PORT, "/public/", "/public/"),
        );
        fs::write(&file, text).unwrap();
        let file = file.display().to_string();
        self.spawn("nginx", &["nginx", "-e", "stderr", "-c", &file]);
    }

    fn others(&mut self) {
        let (ip, cache) = (self.app.v4.to_string(), cache());
        let log = |name: &str| self.logs.join(format!("{name}.log")).display().to_string();
        let [go, node, perl] = ["go", "node", "perl"].map(log);
        let (go_program, python) = (format!("{cache}/go-grpc/go-grpc"), format!("{cache}/venv/bin/python3"));
        let [script, javascript, daemon, rack, app] =
            ["python_servers.py", "node_server.js", "daemon.pl", "thin.ru", "wsgi_app.py"].map(ours);
        let folder = ours("");
        let at = |port: u16| format!("{ip}:{port}");
        let venv = Need::Path(&python);
        self.start("go", 8007, &[Need::Path(&go_program)], &[&go_program, "log", &at(8007), &go]);
        self.start("node", 8008, &[Need::Program("node")], &["node", &javascript, &ip, "8008", &node]);
        self.start("http.server", 8009, &[venv], &[&python, &script, "http.server", &ip, "8009"]);
        self.start("cheroot", 8010, &[venv], &[&python, &script, "cheroot", &ip, "8010"]);
        let gunicorn =
            ["/usr/bin/gunicorn", "-b", &at(8011), "-k", "gthread", "--threads", "8", "--worker-tmp-dir", "/dev/shm"];
        let gunicorn = [&gunicorn[..], &["--chdir", &folder, "wsgi_app:application"]].concat();
        self.start("gunicorn", 8011, &[Need::Program("gunicorn")], &gunicorn);
        let uwsgi =
            ["uwsgi", "--plugin", "python3", "--http11-socket", &at(8012), "--threads", "4", "--disable-logging"];
        let uwsgi = [&uwsgi[..], &["--chdir", &folder, "--wsgi-file", &app, "--need-app"]].concat();
        self.start("uwsgi", 8012, &[Need::Program("uwsgi")], &uwsgi);
        let http_daemon = Need::Path("/usr/share/perl5/HTTP/Daemon.pm");
        self.start("perl", 8013, &[http_daemon], &["perl", &daemon, &ip, "8013", &perl]);
        let thin = ["thin", "-a", &ip, "-p", "8014", "-R", &rack, "-e", "production", "start"];
        self.start("thin", 8014, &[Need::Program("thin")], &thin);
    }
}

impl Fleet {
    /// Starts all servers at once, then the node, and waits for each.
    pub(crate) fn start() -> Self {
        let mut lab = Lab::new().unwrap();
        let [client, app] = ["client", "app"].map(|name| lab.pod(name).unwrap());
        let logs = app.directory().join("logs");
        fs::create_dir_all(&logs).unwrap();
        let mut yard = Yard { app: &app, logs, servers: Vec::new(), processes: Vec::new() };
        yard.java();
        yard.others();
        let (servers, mut processes) = (yard.servers, yard.processes);
        assert!(!servers.is_empty(), "this machine has none of the servers");
        let records = lab.node().directory().join("records.jsonl");
        let timeouts = json!({ "clientGone": "1s", "halfClosed": "3s", "head": "3s" });
        if servers.iter().any(|server| server.name == "jetty") {
            // It was started first, and is ready last.
            processes[0].wait_for_line("serving").unwrap();
        }
        let node = Node::start(&lab, &json!({ "records": { "to": records }, "timeouts": timeouts })).unwrap();
        for server in &servers {
            let place = processes.len() - 1;
            app.wait_for_port(app.address(false, server.port), &mut processes[place]).unwrap();
        }
        node.apply(&[&client, &app].map(|pod| endpoint(SHOP, pod, &[("app", &pod.name)]))).unwrap();
        Self { servers, node, _processes: processes, client, app, records, from: Mutex::default(), _lab: lab }
    }

    pub(crate) fn apply(&self, documents: &[Value]) {
        self.node.apply(documents).unwrap();
    }

    pub(crate) fn address(&self, server: &Server) -> SocketAddr {
        self.app.address(false, server.port)
    }

    pub(crate) fn ports(&self) -> Vec<u16> {
        self.servers.iter().map(|server| server.port).collect()
    }

    pub(crate) fn behind_gateway(&self) -> Option<&Server> {
        self.servers.iter().find(|server| server.name == "tomcat")
    }

    /// Waits until no connection is relayed any more: then each request has its record.
    pub(crate) fn settle(&self) {
        let active = || self.node.metric("portcullis_connections_active", &[]);
        wait::until("the end of all connections", String::new, || Ok((active()? == 0.0).then_some(()))).unwrap();
    }

    /// What servers have run and the node has not allowed, since the last time.
    pub(crate) fn ran_unjudged(&self) -> Vec<(&Server, String)> {
        let allowed = Allowed::read(&self.records, self.from.lock().unwrap().get());
        let unjudged = |server: &'_ Server| allowed.others(server.port, &server.requests());
        let found: Vec<_> = self
            .servers
            .iter()
            .flat_map(|server| unjudged(server).into_iter().map(move |line| (server, line)))
            .collect();
        self.forget();
        found
    }

    /// The same as text.
    pub(crate) fn unjudged(&self) -> Vec<String> {
        self.ran_unjudged().into_iter().map(|(server, line)| format!("{} ran {line:?}", server.name)).collect()
    }

    /// Leaves what was run and recorded so far out of what is asked next.
    pub(crate) fn forget(&self) {
        let length = |file: &Path| fs::metadata(file).map_or(0, |file| usize::try_from(file.len()).unwrap_or(0));
        self.from.lock().unwrap().set(length(&self.records));
        for server in &self.servers {
            server.from.lock().unwrap().set(length(&server.log));
        }
    }
}

/// Lets the client make the requests of some rules at these ports of the application.
pub(crate) fn rules(name: &str, ports: &[u16], http: &Value) -> Value {
    let ports: Vec<Value> = ports.iter().map(|port| json!({ "port": port.to_string(), "protocol": "TCP" })).collect();
    policy(
        SHOP,
        name,
        &json!({
            "endpointSelector": { "matchLabels": { "app": "app" } },
            "ingress": [{
                "fromEndpoints": [{ "matchLabels": { "app": "client" } }],
                "toPorts": [{ "ports": ports, "rules": { "http": http } }],
            }],
        }),
    )
}
