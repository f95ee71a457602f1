//! Services that use the data: where they listen, and whether they do.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::str::FromStr;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// How long one address may take to answer. A neighbour that is not there is known after three seconds, by ARP.
const ANSWER: Duration = Duration::from_secs(4);
/// How long a service may take, its name included: names are asked for as /etc/resolv.conf says, 10 s and more.
const PATIENCE: Duration = Duration::from_secs(20);

/// A host and a TCP port: `database:5432`, `10.0.0.7:6379`, `[::1]:5432`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    host: String,
    port: u16,
}

/// What was found where a service listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It took a connection.
    Up,
    /// Nobody listens there, for this reason. The name of a stopped container is not known.
    Down(String),
    /// It could not be found out, for this reason.
    Unknown(String),
}

impl Service {
    /// The name of a service, where it is one and not an address.
    pub fn name(&self) -> Option<&str> {
        (self.host.parse::<IpAddr>().is_err() && self.host != "localhost").then_some(&self.host)
    }

    /// Whether it is on this machine, or in this container.
    fn is_here(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    fn look(&self) -> Found {
        let addresses: Vec<SocketAddr> = match (self.host.as_str(), self.port).to_socket_addrs() {
            Ok(addresses) => addresses.collect(),
            Err(error) => return Found::Down(format!("no such name: {error}")),
        };
        let began = Instant::now();
        let mut down = "no address".to_owned();
        for address in addresses {
            let left = PATIENCE.saturating_sub(began.elapsed()).min(ANSWER);
            if left.is_zero() {
                return Found::Unknown("it has more addresses than could be asked".into());
            }
            match TcpStream::connect_timeout(&address, left) {
                Ok(_) => return Found::Up,
                Err(error) if is_nobody(&error) => down = said(&error),
                Err(error) => return Found::Unknown(said(&error)),
            }
        }
        Found::Down(down)
    }
}

/// Whether an error says that nobody is there, and not that we could not ask.
fn is_nobody(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::AddrNotAvailable
            | ErrorKind::TimedOut
    )
}

fn said(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::TimedOut => format!("no answer within {} s", ANSWER.as_secs()),
        _ => crate::error::cause_text(error),
    }
}

/// Look at all of them at the same time: what was found, in their order.
pub fn look(services: &[Service]) -> Vec<Found> {
    let late = || Found::Unknown(format!("nothing was found out within {} s", PATIENCE.as_secs()));
    let mut found: Vec<Found> = services.iter().map(|_| late()).collect();
    let (done, results) = mpsc::channel();
    let network = has_network();
    let mut asked = 0;
    for (number, service) in services.iter().enumerate() {
        if !network && !service.is_here() {
            found[number] = Found::Unknown(
                "there is no network in here (network_mode: none), so it cannot be asked".into(),
            );
            continue;
        }
        match ask(number, service.clone(), done.clone()) {
            Ok(()) => asked += 1,
            Err(error) => found[number] = Found::Unknown(said(&error)),
        }
    }
    let began = Instant::now();
    for _ in 0..asked {
        let Ok((number, what)) = results.recv_timeout(PATIENCE.saturating_sub(began.elapsed())) else {
            break;
        };
        found[number] = what;
    }
    found
}

/// In a thread that is left alone when it takes too long: asking for a name cannot be given up.
fn ask(number: usize, service: Service, done: Sender<(usize, Found)>) -> io::Result<()> {
    let ask = move || {
        // Nobody waits any more if it fails.
        let _ = done.send((number, service.look()));
    };
    thread::Builder::new().spawn(ask).map(drop)
}

/// Whether there is more than the loopback. Where it cannot be seen, there is.
fn has_network() -> bool {
    let Ok(text) = std::fs::read_to_string("/proc/net/dev") else { return true };
    let mut names = text.lines().skip(2).filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim());
    names.any(|name| name != "lo")
}

impl FromStr for Service {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| {
            let shown = crate::printable::printable(text.as_bytes());
            format!("\"{shown}\": {what}; write host:port, such as database:5432 or [::1]:5432")
        };
        if text.contains('/') {
            return Err(wrong("not a host and a port"));
        }
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (host, port) = rest.split_once("]:").ok_or_else(|| wrong("the port is missing"))?;
            host.parse::<Ipv6Addr>().map_err(|_| wrong("not an IPv6 address in the brackets"))?;
            (host, port)
        } else {
            let (host, port) = text.rsplit_once(':').ok_or_else(|| wrong("the port is missing"))?;
            if host.contains(':') {
                return Err(wrong("an IPv6 address stands in brackets"));
            }
            let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            if host.is_empty() || host.len() > 253 || !host.bytes().all(good) || host.starts_with(['-', '.'])
            {
                return Err(wrong("not the name of a host"));
            }
            (host, port)
        };
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        match port.parse() {
            Ok(port) if digits && port > 0 => Ok(Self { host: host.to_owned(), port }),
            _ => Err(wrong("the port is a number from 1 to 65535")),
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn services_round_trip() {
        for text in ["database:5432", "db.example.org:1", "10.0.0.7:65535", "[::1]:5432", "my_db-1:80"] {
            assert_eq!(text.parse::<Service>().unwrap().to_string(), text);
        }
        assert_eq!("db:1".parse::<Service>().unwrap().name(), Some("db"));
        for text in ["10.0.0.7:1", "[::1]:1", "localhost:1"] {
            assert_eq!(text.parse::<Service>().unwrap().name(), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_service_is_refused_with_the_reason() {
        for (text, why) in [
            ("db", "the port is missing"),
            ("db:", "number from 1 to 65535"),
            ("db:0", "number from 1 to 65535"),
            ("db:99999", "number from 1 to 65535"),
            ("db:+80", "number from 1 to 65535"),
            ("db:http", "number from 1 to 65535"),
            (":80", "not the name of a host"),
            ("-db:80", "not the name of a host"),
            ("d b:80", "not the name of a host"),
            ("http://db:80", "not a host and a port"),
            ("::1:5432", "stands in brackets"),
            ("[::1]", "the port is missing"),
            ("[db]:80", "not an IPv6 address"),
            ("", "the port is missing"),
        ] {
            let error = text.parse::<Service>().unwrap_err();
            assert!(error.contains(why) && error.contains("write host:port"), "{error}");
        }
    }

    #[test]
    fn a_service_is_up_while_it_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let up: Service = listener.local_addr().unwrap().to_string().parse().unwrap();
        // Port 1 is nobody's, and names below .invalid are nobody's for ever (RFC 2606).
        let refused: Service = "127.0.0.1:1".parse().unwrap();
        let found = look(&[refused.clone(), up, refused]);
        assert_eq!(found[1], Found::Up);
        for down in [&found[0], &found[2]] {
            assert!(matches!(down, Found::Down(why) if why.contains("refused")), "{down:?}");
        }
        if has_network() {
            let found = look(&["nobody.invalid:80".parse().unwrap()]);
            assert!(!matches!(found[0], Found::Up), "{found:?}");
        }
    }
}
