//! Whether a dependency answers. Nothing is sent but the question, and nothing of the answer is kept but its status.

use super::{Http, address, failure};
use ephor_core::spec::ErrorClass;
use ephor_core::work::Failure;
use reqwest::{StatusCode, Url};
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// How long a dependency may take to answer where nothing is said.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

impl Http {
    /// Asks an address with GET; where it redirects, that is its answer.
    ///
    /// # Errors
    /// That it did not answer, or may not be asked.
    pub(crate) async fn probe(&self, address: &str, patience: Duration) -> Result<StatusCode, Failure> {
        let url: Url = address.parse().map_err(|e| Failure::final_(ErrorClass::BadInput, format!("{address}: {e}")))?;
        address::check(&url, self.config.allow_private)?;
        match timeout(patience, self.client.get(url).send()).await {
            Ok(Ok(response)) => Ok(response.status()),
            Ok(Err(error)) => Err(failure(&error)),
            Err(_) => Err(Failure::new(ErrorClass::Timeout, format!("no answer in {} ms", patience.as_millis()))),
        }
    }

    /// Opens a connection, and closes it again.
    ///
    /// # Errors
    /// That nobody took it, or that the address may not be asked.
    pub(crate) async fn knock(&self, host: &str, port: u16, patience: Duration) -> Result<(), Failure> {
        let lost = |e: std::io::Error| Failure::new(ErrorClass::External, e.to_string());
        let connect = async {
            let found = lookup_host((host, port)).await.map_err(lost)?;
            let allowed: Vec<_> = found.filter(|at| address::may_be_reached(at.ip(), self.config.allow_private)).collect();
            if allowed.is_empty() {
                return Err(address::private(host));
            }
            TcpStream::connect(&*allowed).await.map(drop).map_err(lost)
        };
        let late = Failure::new(ErrorClass::Timeout, format!("no connection in {} ms", patience.as_millis()));
        timeout(patience, connect).await.unwrap_or(Err(late))
    }
}
