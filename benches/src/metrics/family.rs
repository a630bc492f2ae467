//! What labels add to the memory of counters.

use crate::Error;
use crate::error::expect;
use crate::resident::resident;
use crate::suite::Fresh;

pub(super) const IMPLEMENTATIONS: [Fresh; 3] = [
    Fresh {
        name: "percid",
        measure: || {
            let family: percid::Family<Labels, percid::Counter> = percid::Family::new();
            grown("percid", |labels| family.get_or_create(&labels).inc())
        },
    },
    Fresh {
        name: "thread_local",
        measure: || {
            let mut own = std::collections::HashMap::<Labels, u64>::new();
            grown("thread_local", |labels| {
                *own.entry(labels).or_default() += 1
            })
        },
    },
    Fresh {
        name: "prometheus",
        measure: || {
            use prometheus_client::metrics::{counter::Counter, family::Family};
            let family: Family<Labels, Counter> = Family::default();
            grown("prometheus", |labels| {
                family.get_or_create(&labels).inc();
            })
        },
    },
];

type Labels = (u32, u16);

const SETS: u32 = 100_000;

fn grown(name: &'static str, mut count: impl FnMut(Labels)) -> Result<f64, Error> {
    // The first reading brings the reader's own memory.
    resident().map_err(Error::Resident)?;
    let before = resident().map_err(Error::Resident)?;
    let mut counted = 0;
    for set in 0..SETS {
        count((set, 200));
        counted += 1;
    }
    let now = resident().map_err(Error::Resident)?;
    expect(name, counted, u64::from(SETS))?;
    Ok(now.saturating_sub(before) as f64 / f64::from(SETS))
}
