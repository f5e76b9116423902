//! By which address a request reached us, and from where. A proxy in front says so in `Forwarded`
//! (RFC 7239) or in `X-Forwarded-*`; only a proxy of `trusted_proxies` is believed, for anyone can
//! send these headers.
//!
//! Links are made for that address. Tokens are not: the audience of tokens and assertions and the
//! token endpoint that discovery names are those of `public_url`, whatever a request says. Many
//! proxies hand on the host that a client sent; if that were an audience, an assertion made for
//! another server could be used here by whoever got hold of it.

use axum::http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;
use std::{borrow::Cow, net::IpAddr, sync::Arc};

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// The other end of the connection; put on each request by the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// How a request came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The FHIR base that its links begin with.
    pub base: Arc<str>,
    /// Who sent it, as far as that is known.
    pub from: Option<IpAddr>,
}

/// The proxies that are believed, and what holds where none says otherwise.
#[derive(Debug, Clone)]
pub struct Proxies {
    trusted: Box<[IpNet]>,
    public: Public,
    base: Arc<str>,
}

/// `public_url` taken apart.
#[derive(Debug, Clone)]
struct Public {
    scheme: Box<str>,
    authority: Box<str>,
    path: Box<str>,
}

impl Proxies {
    /// Those of `trusted_proxies`, in front of `public_url`.
    pub fn new(public_url: &str, trusted: &[IpNet]) -> Proxies {
        let (scheme, rest) = public_url.split_once("://").unwrap_or(("http", public_url));
        let rest = rest.trim_end_matches('/');
        let (authority, path) = match rest.find('/').and_then(|at| rest.split_at_checked(at)) {
            Some((authority, path)) => (authority, path),
            None => (rest, ""),
        };
        Proxies {
            trusted: trusted.into(),
            base: format!("{}/fhir", public_url.trim_end_matches('/')).into(),
            public: Public {
                scheme: scheme.into(),
                authority: authority.into(),
                path: path.into(),
            },
        }
    }

    /// How a request from `peer` came in.
    pub fn arrival(&self, peer: Option<Peer>, headers: &HeaderMap) -> Arrival {
        let peer = peer.map(|Peer(at)| at.to_canonical());
        if !peer.is_some_and(|at| self.trusts(at)) {
            return Arrival {
                base: self.base.clone(),
                from: peer,
            };
        }
        let said = match headers.contains_key(header::FORWARDED) {
            true => self.standard(peer, headers),
            false => self.usual(peer, headers),
        };
        Arrival {
            base: self.base(&said).unwrap_or_else(|| self.base.clone()),
            from: said.from,
        }
    }

    fn trusts(&self, at: IpAddr) -> bool {
        self.trusted.iter().any(|net| net.contains(&at))
    }

    /// How many of a list, from its end, were said by trusted proxies, and who came before them. Each
    /// proxy adds at the end whom it got the request from.
    fn walk(&self, peer: Option<IpAddr>, senders: &[&str]) -> (usize, Option<IpAddr>) {
        let (mut hops, mut from) = (0, peer);
        for sender in senders.iter().rev() {
            hops += 1;
            from = address(sender);
            if !from.is_some_and(|at| self.trusts(at)) {
                break;
            }
        }
        (hops, from)
    }

    /// By RFC 7239: the element that the outermost trusted proxy added.
    fn standard<'h>(&self, peer: Option<IpAddr>, headers: &'h HeaderMap) -> Said<'h> {
        let texts = headers.get_all(header::FORWARDED).iter();
        let all: Vec<&str> = texts
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| split(value, ','))
            .collect();
        let elements: Vec<Vec<(&str, Cow<str>)>> = all.iter().map(|text| pairs(text)).collect();
        let word = |element: &[(&str, Cow<'h, str>)], name: &str| {
            let mut found = element.iter();
            let found = found.find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone())
        };
        let senders: Vec<Cow<str>> = elements
            .iter()
            .map(|element| word(element, "for").unwrap_or_default())
            .collect();
        let senders: Vec<&str> = senders.iter().map(|sender| &**sender).collect();
        let (hops, from) = self.walk(peer, &senders);
        let outermost = elements.len().checked_sub(hops.max(1));
        let outermost = outermost.and_then(|at| elements.get(at));
        let outermost = outermost.map(Vec::as_slice).unwrap_or_default();
        Said {
            from,
            scheme: word(outermost, "proto"),
            host: word(outermost, "host"),
            port: None,
            prefix: list(headers, &PREFIX).last().copied().map(Cow::from),
        }
    }

    /// By the usual headers. Some proxies add to them and some write them anew: what stands as far from
    /// the end as the sender does is what the outermost trusted proxy said.
    fn usual<'h>(&self, peer: Option<IpAddr>, headers: &'h HeaderMap) -> Said<'h> {
        let (hops, from) = self.walk(peer, &list(headers, &FOR));
        let word = |name: &HeaderName| {
            let all = list(headers, name);
            let at = all.len().saturating_sub(hops.max(1));
            all.get(at).copied().map(Cow::from)
        };
        Said {
            from,
            scheme: word(&PROTO),
            host: word(&HOST),
            port: word(&PORT),
            prefix: word(&PREFIX),
        }
    }

    /// The base of what was said; `None` where that can't be one, or says nothing new.
    fn base(&self, said: &Said) -> Option<Arc<str>> {
        let Public {
            scheme,
            authority,
            path,
        } = &self.public;
        let scheme = match &said.scheme {
            None => scheme,
            Some(said) if said.eq_ignore_ascii_case("https") => "https",
            Some(said) if said.eq_ignore_ascii_case("http") => "http",
            Some(_) => return None,
        };
        let host = said.host.as_deref().unwrap_or(authority);
        let (name, port) = host_and_port(host)?;
        let port = match (&said.port, port) {
            // A port that stands with the host is the host's own.
            (_, port @ Some(_)) if said.host.is_some() => port,
            (Some(said), _) => Some(said.parse::<u16>().ok().filter(|port| *port > 0)?),
            (None, port) => port,
        };
        let usual = if scheme == "https" { 443 } else { 80 };
        let port = port.filter(|port| *port != usual || said.host.is_none() && said.port.is_none());
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let path = match &said.prefix {
            None => path,
            Some(prefix) => path_of(prefix)?,
        };
        Some(format!("{scheme}://{name}{port}{path}/fhir").into())
    }
}

/// What a proxy said.
#[derive(Debug, Default)]
struct Said<'h> {
    from: Option<IpAddr>,
    scheme: Option<Cow<'h, str>>,
    host: Option<Cow<'h, str>>,
    port: Option<Cow<'h, str>>,
    prefix: Option<Cow<'h, str>>,
}

/// The values of a header, over all its lines.
fn list<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Vec<&'h str> {
    let lines = headers.get_all(name).iter();
    let values = lines.filter_map(|value| value.to_str().ok());
    let values = values.flat_map(|value| value.split(','));
    values.map(str::trim).collect()
}

/// The parts of a text between marks that are not quoted.
fn split(text: &str, mark: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c: char| {
        let ends = c == mark && !quoted;
        let quote = c == '"' && !escaped;
        escaped = quoted && c == '\\' && !escaped;
        quoted ^= quote;
        ends
    })
}

/// The pairs of one element.
fn pairs(element: &str) -> Vec<(&str, Cow<'_, str>)> {
    split(element, ';')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| {
            let value = value.trim();
            let inner = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
            let value = match inner {
                // Nothing that we read has to be escaped.
                Some(inner) if !inner.contains('\\') => Cow::from(inner),
                _ => Cow::from(value),
            };
            (name.trim(), value)
        })
        .collect()
}

/// The address of a sender, with or without a port; `None` for `unknown` and hidden ones.
fn address(sender: &str) -> Option<IpAddr> {
    let text = sender.trim();
    let inner = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let parsed = match inner {
        Some((inner, _)) => inner.parse().ok(),
        None => text.parse().ok().or_else(|| {
            let (host, _) = text.rsplit_once(':')?;
            host.parse::<std::net::Ipv4Addr>().ok().map(IpAddr::V4)
        }),
    };
    parsed.map(|at: IpAddr| at.to_canonical())
}

/// A host's name or address, and its port; `None` where it can be neither.
fn host_and_port(host: &str) -> Option<(&str, Option<u16>)> {
    let end = host.rfind(']').map_or(0, |at| at + 1);
    let colon = host.get(end..)?.find(':').map(|at| at + end);
    let (name, port) = match colon {
        None => (host, None),
        Some(at) => {
            let port = host.get(at + 1..)?.parse().ok().filter(|port| *port > 0)?;
            (host.get(..at)?, Some(port))
        }
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    let fits = match name.strip_prefix('[').and_then(|v| v.strip_suffix(']')) {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !name.is_empty() && name.chars().all(plain),
    };
    fits.then_some((name, port))
}

/// A path below which the server is, without a slash at its end.
fn path_of(prefix: &str) -> Option<&str> {
    let path = prefix.trim_end_matches('/');
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    let fits = path.is_empty()
        || path.strip_prefix('/').is_some_and(|steps| {
            let mut steps = steps.split('/');
            steps.all(|step| !["", ".", ".."].contains(&step) && step.chars().all(plain))
        });
    fits.then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn arrival(peer: &str, said: &[(&'static str, &str)]) -> (String, String) {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        let proxies = Proxies::new("https://ehr.example:8443/confide", &trusted);
        let mut headers = HeaderMap::new();
        for (name, value) in said {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let peer = peer.parse().ok().map(Peer);
        let Arrival { base, from } = proxies.arrival(peer, &headers);
        let from = from.map(|at| at.to_string()).unwrap_or_default();
        (base.to_string(), from)
    }

    const OWN: &str = "https://ehr.example:8443/confide/fhir";

    fn holds(peer: &str, said: &[(&'static str, &str)], base: &str, from: &str) {
        let expected = (base.to_owned(), from.to_owned());
        assert_eq!(arrival(peer, said), expected, "{peer} {said:?}");
    }

    #[test]
    fn who_is_not_trusted_says_nothing() {
        holds("203.0.113.7", &[], OWN, "203.0.113.7");
        let spoofed = [
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-for", "10.0.0.1"),
            ("forwarded", "for=10.0.0.1;host=evil.example"),
        ];
        holds("203.0.113.7", &spoofed, OWN, "203.0.113.7");
        holds("nobody", &spoofed, OWN, "");
        holds("::ffff:203.0.113.7", &spoofed, OWN, "203.0.113.7");
    }

    #[test]
    fn a_trusted_proxy_says_how_it_was_reached() {
        let usual = [
            ("x-forwarded-for", "203.0.113.7"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "fhir.example"),
            ("x-forwarded-port", "443"),
            ("x-forwarded-prefix", "/r4/"),
        ];
        holds(
            "10.1.2.3",
            &usual,
            "https://fhir.example/r4/fhir",
            "203.0.113.7",
        );
        holds(
            "::ffff:10.1.2.3",
            &usual[..3],
            "https://fhir.example/confide/fhir",
            "203.0.113.7",
        );
        let other = [
            ("x-forwarded-host", "fhir.example"),
            ("x-forwarded-port", "9000"),
        ];
        holds(
            "::1",
            &other,
            "https://fhir.example:9000/confide/fhir",
            "::1",
        );
        holds(
            "::1",
            &[("x-forwarded-proto", "http")],
            "http://ehr.example:8443/confide/fhir",
            "::1",
        );
        let standard = [(
            "forwarded",
            "for=\"[2001:db8::1]:4711\";proto=https;host=\"fhir.example:444\";by=10.0.0.1",
        )];
        holds(
            "10.1.2.3",
            &standard,
            "https://fhir.example:444/confide/fhir",
            "2001:db8::1",
        );
    }

    #[test]
    fn what_a_client_put_before_it_is_not_believed() {
        let both = [
            ("x-forwarded-for", "127.9.9.9, 203.0.113.7, 10.0.0.2"),
            (
                "x-forwarded-host",
                "evil.example, fhir.example, inner.example",
            ),
            ("x-forwarded-proto", "https"),
        ];
        holds(
            "10.0.0.1",
            &both,
            "https://fhir.example/confide/fhir",
            "203.0.113.7",
        );
        let standard = [
            ("forwarded", "for=10.0.0.9;host=evil.example"),
            (
                "forwarded",
                "for=203.0.113.7;host=fhir.example , for=10.0.0.2;host=inner",
            ),
            ("x-forwarded-host", "evil.example"),
        ];
        holds(
            "10.0.0.1",
            &standard,
            "https://fhir.example/confide/fhir",
            "203.0.113.7",
        );
        holds(
            "10.0.0.1",
            &[("forwarded", "for=unknown;host=a.example")],
            "https://a.example/confide/fhir",
            "",
        );
    }

    #[test]
    fn what_can_not_be_an_address_changes_nothing() {
        for said in [
            ("x-forwarded-host", "a b"),
            ("x-forwarded-host", "user@evil.example"),
            ("x-forwarded-host", "evil.example/path"),
            ("x-forwarded-host", "a.example:0"),
            ("x-forwarded-host", ""),
            ("x-forwarded-proto", "javascript"),
            ("x-forwarded-port", "99999"),
            ("x-forwarded-prefix", "//evil.example"),
            ("x-forwarded-prefix", "/a/../b"),
            ("x-forwarded-prefix", "r4"),
            ("forwarded", "host=\"evil.example\\\""),
        ] {
            assert_eq!(arrival("10.0.0.1", &[said]).0, OWN, "{said:?}");
        }
    }
}
