//! Requests of many tenants, whose settings are long-lived shared objects that are replaced
//! now and then.
//!
//! ```text
//! cargo run --release --example tenants -- [REQUESTS] [CHANGES]
//! ```
//!
//! The idea to take home: a request may keep its tenant's settings for as long as it runs,
//! on whatever thread that is, without touching a count that all threads share; and still
//! it is known when old settings go: with the store that replaces them, or with the last
//! request that works by them. A request that never ends holds its own settings back, and
//! nothing else.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use percid_shootdown::lazy::{LazyCell, LazyDomain, Lease, Policy};

/// What a tenant has ordered.
pub struct Settings {
    tenant: usize,
    version: u64,
    limits: Vec<u64>,
    open: &'static AtomicU64,
}

/// Settings that have not gone.
static OPEN: AtomicU64 = AtomicU64::new(0);

impl Settings {
    fn new(tenant: usize, version: u64) -> Settings {
        OPEN.fetch_add(1, Ordering::Relaxed);
        Settings {
            tenant,
            version,
            limits: vec![version; 8],
            open: &OPEN,
        }
    }

    /// All limits are of one version.
    fn is_whole(&self) -> bool {
        self.limits.iter().all(|&limit| limit == self.version)
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        self.limits.fill(u64::MAX);
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request, which has found out what its tenant may do.
struct Request {
    tenant: usize,
    settings: Lease<Settings>,
}

impl Request {
    fn is_right(&self) -> bool {
        self.settings.is_whole() && self.settings.tenant == self.tenant
    }
}

const TENANTS: usize = 8;

/// Takes in requests on one thread and ends them on another, while settings change; how
/// many were right.
fn serve(tenants: &[LazyCell<Settings>], domain: &LazyDomain, requests: u64, changes: u64) -> u64 {
    let changing = AtomicBool::new(true);
    let (sender, receiver) = mpsc::sync_channel::<Request>(64);
    thread::scope(|scope| {
        let changing = &changing;
        scope.spawn(move || {
            for number in 0..requests {
                let tenant = number as usize % TENANTS;
                // Handed on to another thread, with what it holds.
                let settings = tenants[tenant].load();
                if sender.send(Request { tenant, settings }).is_err() {
                    break;
                }
            }
        });
        scope.spawn(move || {
            for number in 1..=changes {
                let tenant = number as usize % TENANTS;
                tenants[tenant].store(domain.share(Settings::new(tenant, number)));
                if !changing.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let right = receiver.into_iter().filter(Request::is_right).count();
        changing.store(false, Ordering::Relaxed);
        right as u64
    })
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|one| one.parse());
    let mut next = |default| arguments.next().and_then(Result::ok).unwrap_or(default);
    let (requests, changes) = (next(100_000), next(1_000));
    let domain = LazyDomain::new(Policy::new().switch_away(true));
    let tenants: Vec<_> = (0..TENANTS)
        .map(|tenant| domain.cell(Settings::new(tenant, 0)))
        .collect();
    let right = serve(&tenants, &domain, requests, changes);
    println!("{right} of {requests} requests right");
    println!("{} settings open", OPEN.load(Ordering::Relaxed));
    println!("{:#?}", domain.stats());
    assert_eq!((right, OPEN.load(Ordering::Relaxed)), (requests, 8));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_right_and_old_settings_go() {
        let domain = LazyDomain::new(Policy::new());
        let tenants: Vec<_> = (0..TENANTS)
            .map(|tenant| domain.cell(Settings::new(tenant, 0)))
            .collect();
        assert_eq!(serve(&tenants, &domain, 5_000, 200), 5_000);
        assert_eq!(OPEN.load(Ordering::Relaxed), TENANTS as u64);
        drop(tenants);
        assert_eq!(OPEN.load(Ordering::Relaxed), 0);
    }
}
