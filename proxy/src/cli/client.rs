//! Connects to a node over its API socket.

use std::{io, path::PathBuf};

use hyper_util::rt::TokioIo;
use portcullis_config::proto::{
    config_service_client::ConfigServiceClient, name_service_client::NameServiceClient,
    verdict_service_client::VerdictServiceClient,
};
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::cli::exit::{ExitStatus, Failure};

/// Largest answer a client takes, in bytes: a listing of a node with tens of thousands of resources.
const LARGEST_ANSWER: usize = 256 << 20;

/// A node, by the address of its API. It is connected to when something is asked of it, so that a command can read its files
/// before.
#[derive(Clone, Copy, Debug)]
pub struct NodeClient<'a> {
    server: &'a str,
}

impl<'a> NodeClient<'a> {
    /// The node behind `--server`.
    #[must_use]
    pub fn new(server: &'a str) -> Self {
        Self { server }
    }

    /// As it was named.
    #[must_use]
    pub fn server(&self) -> &'a str {
        self.server
    }

    /// Connects to the service of its resources.
    ///
    /// # Errors
    /// The socket cannot be reached.
    pub async fn config(&self) -> Result<ConfigServiceClient<Channel>, Failure> {
        let channel = connect(self.server).await?;
        Ok(ConfigServiceClient::new(channel).max_decoding_message_size(LARGEST_ANSWER))
    }

    /// Connects to the service of the names that it has learnt.
    ///
    /// # Errors
    /// The socket cannot be reached.
    pub async fn names(&self) -> Result<NameServiceClient<Channel>, Failure> {
        let channel = connect(self.server).await?;
        Ok(NameServiceClient::new(channel).max_decoding_message_size(LARGEST_ANSWER))
    }

    /// Connects to the service of its verdicts.
    ///
    /// # Errors
    /// The socket cannot be reached.
    pub async fn verdicts(&self) -> Result<VerdictServiceClient<Channel>, Failure> {
        Ok(VerdictServiceClient::new(connect(self.server).await?))
    }
}

/// Does what waits for a node, on a runtime of its own.
///
/// # Errors
/// As the work itself says.
pub fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::internal)?;
    runtime.block_on(work)
}

async fn connect(server: &str) -> Result<Channel, Failure> {
    let path = socket_path(server)?;
    let stream = UnixStream::connect(&path).await.map_err(|error| unreachable_socket(&path, &error))?;
    let mut stream = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_: Uri| {
        let stream = stream.take().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected));
        async move { stream }
    });
    // The name is never looked up: the connector has the connection already.
    let endpoint = Endpoint::from_static("http://portcullis.local");
    endpoint.connect_with_connector(connector).await.map_err(|error| {
        let message = format!("{} is a socket, but no node answers there: {error}", path.display());
        Failure::new(
            ExitStatus::Failed,
            message,
            "is it the API socket of a running portcullis? --server names another",
        )
    })
}

/// `unix:PATH`, `unix:///PATH`, or the path alone.
fn socket_path(server: &str) -> Result<PathBuf, Failure> {
    let path = match server.split_once(':') {
        Some(("unix", path)) => path.strip_prefix("//").unwrap_or(path),
        None => server,
        Some((scheme, _)) if !scheme.contains('/') => {
            let message = format!("--server {server}: nodes are reached by a Unix socket only");
            return Err(Failure::new(
                ExitStatus::Usage,
                message,
                "write unix:PATH, for example unix:/run/portcullis/api.sock",
            ));
        }
        Some(_) => server,
    };
    if path.is_empty() {
        return Err(Failure::new(ExitStatus::Usage, "--server names no path", "write unix:/run/portcullis/api.sock"));
    }
    Ok(PathBuf::from(path))
}

fn unreachable_socket(path: &std::path::Path, error: &io::Error) -> Failure {
    let remedy = match error.kind() {
        io::ErrorKind::NotFound => {
            "is portcullis running? start it with `portcullis run`, or name its socket with --server"
        }
        io::ErrorKind::ConnectionRefused => {
            "portcullis is not running any more: start it again, and look at its log for why it stopped"
        }
        io::ErrorKind::PermissionDenied => "run this as root, or as the owner of the socket (api.mode in the settings)",
        _ => "is portcullis running? --server names another socket",
    };
    Failure::new(ExitStatus::Failed, format!("cannot reach the node at {}: {error}", path.display()), remedy)
}

#[cfg(test)]
mod tests {
    use super::socket_path;
    use crate::cli::exit::ExitStatus;

    #[test]
    fn sockets_are_named_in_three_ways() {
        for server in ["unix:/run/a.sock", "unix:///run/a.sock", "/run/a.sock"] {
            assert_eq!(socket_path(server).unwrap().to_str(), Some("/run/a.sock"), "{server}");
        }
        assert_eq!(socket_path("/run/a:b.sock").unwrap().to_str(), Some("/run/a:b.sock"));
        for wrong in ["tcp:127.0.0.1:80", "http://localhost", "unix:", ""] {
            assert_eq!(socket_path(wrong).unwrap_err().exit, ExitStatus::Usage, "{wrong}");
        }
    }
}
