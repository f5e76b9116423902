//! A wire to the server that can be cut and mended.

use crate::harness::listens;
use std::{
    io,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    sync::{Arc, Mutex},
};

/// Passes on what comes to a port of its own.
pub struct Wire {
    at: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    cut: bool,
    open: Vec<TcpStream>,
}

enum There {
    Socket(UnixStream),
    Port(TcpStream),
}

impl Wire {
    /// A whole one.
    pub fn new() -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let wire = Wire {
            at: listener.local_addr().unwrap(),
            state: Arc::default(),
        };
        let state = wire.state.clone();
        std::thread::spawn(move || {
            for here in listener.incoming().map_while(Result::ok) {
                let mut state = state.lock().unwrap();
                if state.cut {
                    continue;
                }
                state.open.push(here.try_clone().unwrap());
                drop(state);
                pass(here);
            }
        });
        wire
    }

    /// Where it begins.
    pub fn at(&self) -> SocketAddr {
        self.at
    }

    /// Ends all connections, and lets none be made.
    pub fn cut(&self) {
        let mut state = self.state.lock().unwrap();
        state.cut = true;
        for stream in state.open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Ends all connections; new ones can be made.
    pub fn shake(&self) {
        self.cut();
        self.mend();
    }

    /// Lets connections be made again.
    pub fn mend(&self) {
        self.state.lock().unwrap().cut = false;
    }
}

fn pass(here: TcpStream) {
    let there = match listens() {
        Ok(path) => There::Socket(UnixStream::connect(path).unwrap()),
        Err(at) => There::Port(TcpStream::connect(at).unwrap()),
    };
    match there {
        There::Socket(there) => {
            let (mut read, mut write) = (there.try_clone().unwrap(), there.try_clone().unwrap());
            let (mut up, mut down) = (here.try_clone().unwrap(), here);
            std::thread::spawn(move || {
                let _ = io::copy(&mut up, &mut write);
                let _ = write.shutdown(Shutdown::Both);
            });
            std::thread::spawn(move || {
                let _ = io::copy(&mut read, &mut down);
                let _ = down.shutdown(Shutdown::Both);
            });
        }
        There::Port(there) => {
            let (mut read, mut write) = (there.try_clone().unwrap(), there);
            let (mut up, mut down) = (here.try_clone().unwrap(), here);
            std::thread::spawn(move || {
                let _ = io::copy(&mut up, &mut write);
                let _ = write.shutdown(Shutdown::Both);
            });
            std::thread::spawn(move || {
                let _ = io::copy(&mut read, &mut down);
                let _ = down.shutdown(Shutdown::Both);
            });
        }
    }
}
