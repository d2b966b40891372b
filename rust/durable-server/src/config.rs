//! What may be set for a server.

use std::net::{IpAddr, SocketAddr};

use durable_core::Backoff;

use crate::keys::Keys;
use crate::log::Log;
use crate::reach::Net;

/// Whom the server is for. SDKs look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One programmer: no keys, applications are looked for.
    Dev,
    /// A service of one's own.
    SelfHosted,
}

impl Kind {
    /// The word that SDKs are told. There are two of them.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::SelfHosted => "cloud",
        }
    }
}

/// See the file's first line.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whom it is for.
    pub kind: Kind,
    /// Where it listens.
    pub address: SocketAddr,
    /// Applications to ask for their functions.
    pub urls: Vec<String>,
    /// Look for applications at the usual places of this machine.
    pub discovers: bool,
    /// What opens the event API; empty: anything does.
    pub event_keys: Vec<String>,
    /// What requests are signed with, the first, and what opens the rest of the API.
    pub signing_keys: Vec<String>,
    /// What the server may call beside the public network.
    pub allowed: Vec<Net>,
    /// Whose pages may listen to channels, beside its own: as `https://shop.example`.
    pub origins: Vec<String>,
    /// What it says of itself, to its standard error.
    pub log: Log,
    /// How much each application is given at a time.
    pub capacity: u32,
    /// How long what failed is left alone before it is tried again.
    pub backoff: Backoff,
}

impl Config {
    /// A server for one programmer on this port of this machine.
    pub fn dev(port: u16) -> Self {
        Self {
            kind: Kind::Dev,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            urls: Vec::new(),
            discovers: false,
            event_keys: Vec::new(),
            signing_keys: Vec::new(),
            allowed: Net::loopback(),
            origins: Vec::new(),
            log: Log::Off,
            capacity: 1_000,
            backoff: Backoff::default(),
        }
    }

    /// Why it cannot be as it is set, in words for whoever set it.
    pub fn refusal(&self) -> Option<String> {
        let is_open = self.event_keys.is_empty() || self.signing_keys.is_empty();
        if is_open && !is_loopback(self.address.ip()) {
            return Some(format!(
                "the server would listen on {}, which others can reach, without keys: set an event key and a \
                 signing key, or listen on 127.0.0.1",
                self.address.ip()
            ));
        }
        if self.kind == Kind::SelfHosted && is_open {
            return Some(
                "a server for others needs keys: set an event key and a signing key (--event-key, --signing-key, \
                 or the variables DURABLE_EVENT_KEY and DURABLE_SIGNING_KEY)"
                    .to_owned(),
            );
        }
        self.signing_keys.iter().find_map(|key| Keys::refusal(key))
    }
}

fn is_loopback(address: IpAddr) -> bool {
    address.is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_else_is_let_in_without_keys() {
        let mut config = Config::dev(8288);
        assert_eq!(config.refusal(), None);
        config.address = SocketAddr::from(([0, 0, 0, 0], 8288));
        assert!(config.refusal().is_some_and(|why| why.contains("0.0.0.0")));
        config.event_keys = vec!["e".to_owned()];
        config.signing_keys = vec!["signkey-test-00ff".to_owned()];
        assert_eq!(config.refusal(), None);
    }

    #[test]
    fn a_server_for_others_has_keys_wherever_it_listens() {
        let config = Config { kind: Kind::SelfHosted, ..Config::dev(8288) };
        assert!(config.refusal().is_some_and(|why| why.contains("--signing-key")));
    }
}
