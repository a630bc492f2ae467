//! A server whose connections keep what they began with, and which ends when they have.
//!
//! ```text
//! cargo run --release --example connections -- [CLIENTS] [RELOADS]
//! ```
//!
//! The idea to take home: a reference count that is killed is a way to shut down. Each
//! connection takes a live reference, which costs two plain stores and moves no line
//! between CPUs. The kill turns those away that come later, confirms that nobody is let in
//! any more, and the last connection that ends calls the release function: no list of
//! connections, no flag beside the count that could say something else.
//!
//! The configuration is counted the same way: a connection keeps the one that it began
//! with, and one that was replaced goes with its last connection.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, mpsc};
use std::thread;
use std::time::Duration;

use percid::{Owner, PercidArc, Ref, RefError};

/// Threads that serve.
const WORKERS: usize = 4;

/// Questions of each client.
const QUESTIONS: usize = 20;

/// Configurations that are gone.
static RETIRED: AtomicU64 = AtomicU64::new(0);

struct Config {
    version: u64,
}

impl Drop for Config {
    fn drop(&mut self) {
        RETIRED.fetch_add(1, Ordering::Relaxed);
    }
}

struct Server<F: Fn()> {
    address: SocketAddr,
    config: RwLock<Owner<Config>>,
    /// Connections, and the server itself.
    open: Ref<F>,
}

impl<F: Fn()> Server<F> {
    /// Serves one connection after the other, until one is not to be served any more.
    fn work(&self, listener: &TcpListener) -> io::Result<()> {
        loop {
            let (stream, _) = listener.accept()?;
            let Some(_open) = self.open.try_get_live() else {
                return Ok(());
            };
            let config = self.current();
            // A client may hang up whenever it likes.
            let _ = answer(&stream, &config);
        }
    }

    fn current(&self) -> PercidArc<Config> {
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner);
        config.share()
    }

    /// Replaces the configuration for connections to come.
    fn reload(&self, version: u64) {
        let config = Owner::new(Config { version });
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// Lets nobody in any more. What is open goes on to its end.
    fn shut_down(&self) -> Result<(), RefError> {
        self.open.kill_and_confirm(|| {
            // Workers that wait for a connection get one, and find out.
            for _ in 0..WORKERS {
                drop(TcpStream::connect(self.address));
            }
        })
    }
}

/// Answers each line with the version of the connection's configuration.
fn answer(stream: &TcpStream, config: &Config) -> io::Result<()> {
    let mut writer = stream;
    for line in BufReader::new(stream).lines() {
        // At once: a line in parts waits for the first to be acknowledged.
        let reply = format!("{} {}\n", config.version, line?);
        writer.write_all(reply.as_bytes())?;
    }
    Ok(())
}

/// Asks on one connection, a line each, for as long as there are answers.
fn ask(address: SocketAddr, answers: &mut Vec<String>) -> io::Result<()> {
    let stream = TcpStream::connect(address)?;
    let (mut writer, mut lines) = (&stream, BufReader::new(&stream).lines());
    for question in 0..QUESTIONS {
        writer.write_all(format!("{question}\n").as_bytes())?;
        match lines.next() {
            Some(line) => answers.push(line?),
            None => break,
        }
        thread::yield_now();
    }
    Ok(())
}

/// What came of clients.
#[derive(Debug, Default)]
struct Served {
    /// They were answered to the end.
    answered: AtomicU64,
    /// They were turned away, for they came too late.
    refused: AtomicU64,
    /// They were answered in part, or by two configurations.
    broken: AtomicU64,
}

impl Served {
    fn judge(&self, answers: &[String]) {
        let version = answers.first().and_then(|line| line.split(' ').next());
        let is_right = |(question, line): (usize, &String)| {
            Some(line.as_str()) == version.map(|it| format!("{it} {question}")).as_deref()
        };
        let outcome = match answers.len() {
            0 => &self.refused,
            QUESTIONS if answers.iter().enumerate().all(is_right) => &self.answered,
            _ => &self.broken,
        };
        outcome.fetch_add(1, Ordering::Relaxed);
    }
}

/// Serves clients of two threads while the configuration is replaced, and shuts down while
/// they still come.
fn serve(clients: u64, reloads: u64) -> Result<Served, Box<dyn std::error::Error>> {
    let (drained, when_drained) = mpsc::channel();
    let listener = Arc::new(TcpListener::bind(("127.0.0.1", 0))?);
    let server = Server {
        address: listener.local_addr()?,
        config: RwLock::new(Owner::new(Config { version: 0 })),
        open: Ref::new(move || drained.send(()).unwrap_or_default()),
    };
    let served = Served::default();
    thread::scope(|scope| {
        let (server, served) = (&server, &served);
        let work = |listener: Arc<TcpListener>| move || server.work(&listener);
        let workers = [(); WORKERS].map(|()| scope.spawn(work(Arc::clone(&listener))));
        // With the last worker the listener goes, and with it who still waits there.
        drop(listener);
        for _ in 0..2 {
            scope.spawn(move || {
                for _ in 0..clients / 2 {
                    let mut answers = Vec::new();
                    let _ = ask(server.address, &mut answers);
                    served.judge(&answers);
                }
            });
        }
        for version in 1..=reloads {
            server.reload(version);
            thread::sleep(Duration::from_micros(100));
        }
        server.shut_down()?;
        when_drained.recv()?;
        for worker in workers {
            worker.join().map_err(|_| "a worker panicked")??;
        }
        Ok::<(), Box<dyn std::error::Error>>(())
    })?;
    Ok(served)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).map(|one| one.parse());
    let mut next = |default| arguments.next().and_then(Result::ok).unwrap_or(default);
    let (clients, reloads) = (next(20_000), next(10_000));
    let served = serve(clients, reloads)?;
    println!("{served:?}");
    println!("{} configurations retired", RETIRED.load(Ordering::Relaxed));
    assert_eq!(served.broken.into_inner(), 0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_is_answered_by_one_configuration_or_turned_away() {
        let served = serve(400, 300).expect("a local network");
        let [answered, refused, broken] =
            [served.answered, served.refused, served.broken].map(AtomicU64::into_inner);
        assert_eq!((answered + refused, broken), (400, 0));
        assert_eq!(RETIRED.load(Ordering::Relaxed), 301);
    }
}
