//! `confide doctor`: checks what the server needs, and says what to mend.

use super::{Ended, Trouble, print};
use crate::{
    calendar::Clock,
    config::{Config, ConfigError},
};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    time::Duration,
};

/// The flags of `confide doctor`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only ask the running server whether it is ready: the container's health check
    #[arg(long)]
    pub ready: bool,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub name: &'static str,
    /// `Err` says what to mend.
    pub state: Result<String, String>,
}

/// Runs it: [`Ended::Refused`] where something is to be mended. A bad configuration is told like any
/// other finding but ends with exit code 2.
pub fn run(config: Result<Config, ConfigError>, arguments: &Arguments) -> Result<Ended, Trouble> {
    let config = config?;
    let findings = if arguments.ready {
        vec![ready(config.listen)]
    } else {
        for (key, value) in config.describe() {
            print::line(format_args!("{key:28} {value}"));
        }
        examine(&config)
    };
    let mut ended = Ended::Done;
    for finding in findings {
        match finding.state {
            Ok(said) => print::line(format_args!("ok    {}: {said}", finding.name)),
            Err(mend) => {
                print::line(format_args!("MEND  {}: {mend}", finding.name));
                ended = Ended::Refused;
            }
        }
    }
    Ok(ended)
}

/// All checks of a machine on which the server may or may not run.
fn examine(config: &Config) -> Vec<Finding> {
    let finding = |name, state| Finding { name, state };
    vec![
        finding("data folder", writable(&config.data_dir)),
        finding("clock", clock(Clock::System)),
        finding("public address", public(config)),
    ]
}

/// Whether files can be made in the folder, which is made where it is missing.
fn writable(folder: &Path) -> Result<String, String> {
    let shown = folder.display();
    std::fs::create_dir_all(folder).map_err(|error| {
        format!(
            "{shown} can't be made ({error}); set data_dir to a folder that this user may write"
        )
    })?;
    let probe = folder.join(format!(".doctor-{}", std::process::id()));
    let wrote = std::fs::write(&probe, b"x").and_then(|()| std::fs::remove_file(&probe));
    wrote.map_err(|error| {
        format!("{shown} can't be written ({error}); it must be writable by this user")
    })?;
    Ok(format!("{shown} is writable"))
}

/// Deadlines and minors' ages hang on the date: a machine that woke up in 1970 must not serve.
fn clock(clock: Clock) -> Result<String, String> {
    const YEAR_2025: i64 = 1_735_689_600;
    if clock.seconds() < YEAR_2025 {
        return Err("the machine's date is before 2025; set it, and keep it with NTP".into());
    }
    Ok("plausible".into())
}

fn public(config: &Config) -> Result<String, String> {
    let plain = config.public_url.starts_with("http://");
    if plain && !config.listen.ip().is_loopback() {
        let mend = "the server listens beyond this machine, and public_url is not https; put it behind TLS";
        return Err(mend.into());
    }
    Ok(config.public_url.clone())
}

/// Asks `/readyz` of the server that listens where the configuration says.
fn ready(listen: SocketAddr) -> Finding {
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
    Finding {
        name: "server",
        state,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_can_not_be_made_is_to_be_mended() {
        let folder = tempfile::tempdir().unwrap();
        assert!(writable(&folder.path().join("new")).is_ok());
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let mend = writable(&file.join("below")).unwrap_err();
        assert!(mend.contains("data_dir"), "{mend}");
    }

    #[test]
    fn a_clock_that_lost_its_date_is_to_be_mended() {
        assert!(clock(Clock::At(0)).is_err());
        assert!(clock(Clock::At(1_790_000_000_000_000)).is_ok());
    }
}
