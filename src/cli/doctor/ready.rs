//! Whether the running server is ready.

use super::Finding;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Asks `/readyz` of the server that listens where the configuration says.
pub(super) fn ready(listen: SocketAddr) -> Finding {
    let at = match listen.ip() {
        ip if ip.is_unspecified() && ip.is_ipv4() => {
            SocketAddr::from(([127, 0, 0, 1], listen.port()))
        }
        ip if ip.is_unspecified() => {
            SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, listen.port()))
        }
        _ => listen,
    };
    let state = match status(at, "/readyz") {
        Ok(200) => Ok(format!("ready on {at}")),
        Ok(status) => Err(format!(
            "not ready on {at}: {status}; the log says what failed"
        )),
        Err(error) => Err(format!("no server on {at}: {error}")),
    };
    Finding::of("server", state)
}

/// The status of a GET.
fn status(at: SocketAddr, path: &str) -> std::io::Result<u16> {
    let patience = Duration::from_secs(3);
    let mut socket = TcpStream::connect_timeout(&at, patience)?;
    socket.set_read_timeout(Some(patience))?;
    socket.set_write_timeout(Some(patience))?;
    write!(
        socket,
        "GET {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n"
    )?;
    let mut head = [0; 12];
    socket.read_exact(&mut head)?;
    let head = String::from_utf8_lossy(&head);
    let number = head
        .strip_prefix("HTTP/1.1 ")
        .and_then(|text| text.parse().ok());
    number.ok_or_else(|| std::io::Error::other("that is no HTTP server"))
}
