//! The way to a server: which one, and with what to show.

use super::api::RemoteApi;
use super::error::told;
use crate::api::{Api, ApiError, Kind};
use crate::host::{Place, Session};
use crate::local::token;
use ephor_engine::lock::Holder;
use ephor_sdk::client::{Client, Config, Token};
use std::path::Path;
use std::pin::Pin;

/// How often a call of a command is tried: who sits at a terminal hears soon that nobody is there; following has patience of its own.
const TRIES: u32 = 3;

/// A server that was opened.
struct RemoteSession {
    api: RemoteApi,
}

impl Session for RemoteSession {
    fn api(&self) -> &dyn Api {
        &self.api
    }

    fn close(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::ready(()))
    }
}

/// Opens a server.
pub(crate) fn open(client: Client) -> Box<dyn Session> {
    Box::new(RemoteSession { api: RemoteApi::new(client) })
}

/// How a client of a server is set up, with what the place has to show.
pub(super) fn config(server: &str, place: &Place) -> Config {
    Config { token: place.token.clone(), namespace: place.namespace.clone(), tries: TRIES, ..Config::new(server) }
}

/// The client for a server.
pub(crate) fn client(server: &str, place: &Place) -> Result<Client, ApiError> {
    Client::new(config(server, place)).map_err(told)
}

/// The server that has a database open, as the file of the lock says. Whoever may read the operator's token beside the database is the
/// operator.
pub(crate) fn found(database: &Path, holder: &Holder, place: &Place) -> Result<Place, ApiError> {
    let Some(server) = holder.server.as_deref().filter(|server| is_here(server)) else {
        return Err(ApiError::new(Kind::Unreachable, "UNREACHABLE", format!("no server is known for {}", database.display()))
            .because("none was named, and none on this machine has it open")
            .then("ephor serve")
            .then("--server http://127.0.0.1:4000"));
    };
    let beside = || token::read(&token::file(database)).ok().map(Token::new);
    Ok(Place { server: Some(server.into()), token: place.token.clone().or_else(beside), ..place.clone() })
}

/// Whether an address is of this machine.
pub(crate) fn is_here(server: &str) -> bool {
    let host = server.strip_prefix("http://").unwrap_or_default();
    host.parse().is_ok_and(|address: std::net::SocketAddr| address.ip().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_on_this_machine_is_found_by_the_lock() {
        for (server, here) in [
            ("http://127.0.0.1:4000", true),
            ("http://[::1]:4000", true),
            ("http://192.0.2.1:4000", false),
            ("http://example.org", false),
            ("https://127.0.0.1:4000", false),
            ("127.0.0.1:4000", false),
        ] {
            assert_eq!(is_here(server), here, "{server}");
        }
    }
}
