//! An HTTP server that counts what it serves and shows it under `/metrics`, under load
//! from clients in the same program; at the end a scrape is checked against what the
//! clients have sent.
//!
//! ```text
//! cargo run --release --example metrics_server -- [CLIENTS] [REQUESTS]
//! cargo run --release --example metrics_server -- --serve ADDRESS
//! ```
//!
//! The idea to take home: metrics are statics, the server's tasks count into them on
//! whatever thread they run, and a scrape sums them without stopping anybody.

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::LazyLock;
use std::time::Instant;

use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use percid::{Counter, Family, Gauge, Histogram};
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};

type Failure = Box<dyn Error + Send + Sync>;

/// Route and status.
type Labels = [(&'static str, &'static str); 2];

static REQUESTS: Family<Labels, Counter> = Family::new();
static MICROSECONDS: Histogram = Histogram::up_to(60_000_000);
static CONNECTIONS: Gauge = Gauge::new();

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let mut registry = Registry::with_prefix("server");
    registry.register("requests", "Requests answered", &REQUESTS);
    registry.register("latency_microseconds", "Time to an answer", &MICROSECONDS);
    registry.register("connections", "Connections that are open", &CONNECTIONS);
    registry
});

/// All metrics as text.
fn scrape() -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &REGISTRY)?;
    Ok(text)
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let start = Instant::now();
    let (route, status, body) = match request.uri().path() {
        "/hello" => ("/hello", StatusCode::OK, "hello\n".to_owned()),
        "/metrics" => match scrape() {
            Ok(text) => ("/metrics", StatusCode::OK, text),
            Err(_) => ("/metrics", StatusCode::INTERNAL_SERVER_ERROR, String::new()),
        },
        // Paths are the client's to choose, and labels are kept: they share one.
        _ => (
            "other",
            StatusCode::NOT_FOUND,
            "there is nothing here\n".to_owned(),
        ),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let code = match status {
        StatusCode::OK => "200",
        StatusCode::NOT_FOUND => "404",
        _ => "500",
    };
    let labels = [("route", route), ("status", code)];
    REQUESTS.get_or_create(&labels).inc();
    MICROSECONDS.record(start.elapsed().as_micros() as u64);
    Ok(response)
}

/// A connection that counts as open for as long as this lives.
struct Open;

impl Open {
    fn new() -> Open {
        CONNECTIONS.inc();
        Open
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        CONNECTIONS.dec();
    }
}

/// Serves until the listener fails.
async fn serve(listener: TcpListener) -> Result<(), Failure> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let _open = Open::new();
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer));
            if let Err(why) = connection.await {
                eprintln!("metrics_server: a connection failed: {why}");
            }
        });
    }
}

/// A connection of a client.
struct Client {
    sender: SendRequest<Empty<Bytes>>,
}

impl Client {
    async fn connect(server: SocketAddr) -> Result<Client, Failure> {
        let stream = TcpStream::connect(server).await?;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Client { sender })
    }

    async fn get(&mut self, path: &str) -> Result<(StatusCode, String), Failure> {
        self.sender.ready().await?;
        let request = Request::get(path)
            .header("host", "localhost")
            .body(Empty::new())?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok((status, String::from_utf8(body.to_vec())?))
    }
}

/// What clients have sent and had answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sent {
    hello: u64,
    missing: u64,
}

/// One client's requests, one after the other.
async fn load(server: SocketAddr, requests: u64) -> Result<Sent, Failure> {
    let mut client = Client::connect(server).await?;
    let mut sent = Sent::default();
    for request in 0..requests {
        if request % 10 == 9 {
            let (status, _) = client.get(&format!("/missing/{request}")).await?;
            sent.missing += u64::from(status == StatusCode::NOT_FOUND);
        } else {
            let (status, body) = client.get("/hello").await?;
            sent.hello += u64::from(status == StatusCode::OK && body == "hello\n");
        }
    }
    Ok(sent)
}

/// The value of a line of a scrape; 0 if there is none.
fn value(text: &str, name: &str) -> u64 {
    let mut values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        rest.strip_prefix(' ')?.parse().ok()
    });
    values.next().unwrap_or(0)
}

/// Checks a scrape against what was sent.
fn check(text: &str, sent: Sent, scrapes: u64) -> Result<(), String> {
    let requests = |route: &str, status: &str| {
        let name = format!("server_requests_total{{route=\"{route}\",status=\"{status}\"}}");
        value(text, &name)
    };
    let all = sent.hello + sent.missing + scrapes;
    for (what, seen, due) in [
        ("answers to /hello", requests("/hello", "200"), sent.hello),
        ("answers to others", requests("other", "404"), sent.missing),
        ("earlier scrapes", requests("/metrics", "200"), scrapes),
        (
            "latencies",
            value(text, "server_latency_microseconds_count"),
            all,
        ),
    ] {
        if seen != due {
            return Err(format!("{what}: {seen} counted, {due} sent\n{text}"));
        }
    }
    Ok(())
}

/// Serves, loads and scrapes; the last scrape and what was sent.
async fn run(clients: u64, requests: u64) -> Result<(String, Sent), Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let server = listener.local_addr()?;
    tokio::spawn(serve(listener));
    let loads: Vec<_> = (0..clients)
        .map(|_| tokio::spawn(load(server, requests)))
        .collect();
    // A scrape in the middle disturbs nobody.
    let mut scraper = Client::connect(server).await?;
    let (status, _) = scraper.get("/metrics").await?;
    let mut sent = Sent::default();
    for load in loads {
        let one = load.await??;
        sent.hello += one.hello;
        sent.missing += one.missing;
    }
    let (again, text) = scraper.get("/metrics").await?;
    if (status, again) != (StatusCode::OK, StatusCode::OK) {
        return Err("a scrape failed".into());
    }
    check(&text, sent, 1)?;
    Ok((text, sent))
}

fn number(argument: Option<String>, default: u64) -> Result<u64, Failure> {
    match argument {
        None => Ok(default),
        Some(text) => text
            .parse()
            .map_err(|_| format!("{text}: not a number").into()),
    }
}

fn start() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let first = arguments.next();
    if first.as_deref() == Some("--serve") {
        let address = arguments.next().ok_or("--serve needs an address")?;
        return runtime.block_on(async {
            let listener = TcpListener::bind(&address).await?;
            println!("http://{}/metrics", listener.local_addr()?);
            serve(listener).await
        });
    }
    let (clients, requests) = (number(first, 8)?, number(arguments.next(), 5_000)?);
    let start = Instant::now();
    let (text, sent) = runtime.block_on(run(clients, requests))?;
    let (all, time) = (sent.hello + sent.missing, start.elapsed());
    print!("{text}");
    println!(
        "{all} requests of {clients} clients in {time:.2?} ({:.0} a second); the scrape agrees \
         with what they sent",
        all as f64 / time.as_secs_f64()
    );
    Ok(())
}

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("metrics_server: {why}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test: the statics count for the whole process.
    #[tokio::test(flavor = "multi_thread", worker_threads = 3)]
    async fn a_scrape_agrees_with_what_clients_sent() {
        let (text, sent) = run(6, 100).await.unwrap();
        assert_eq!(
            sent,
            Sent {
                hello: 540,
                missing: 60
            }
        );
        // The scraper's own connection is open.
        assert!(value(&text, "server_connections") >= 1, "{text}");
        assert!(
            text.contains("server_latency_microseconds_bucket{le=\"+Inf\"} 601"),
            "{text}"
        );
        let wrong = Sent {
            hello: 541,
            missing: 60,
        };
        assert!(
            check(&text, wrong, 1)
                .unwrap_err()
                .contains("540 counted, 541 sent")
        );
    }

    #[test]
    fn values_of_lines() {
        let text = "a_total 3\na_total_more 4\nb{x=\"y\"} 5\n";
        assert_eq!((value(text, "a_total"), value(text, "b{x=\"y\"}")), (3, 5));
        assert_eq!(value(text, "c"), 0);
    }
}
