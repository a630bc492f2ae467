//! Reports for programs: JSON, and a table with commas.

use percid_sim::lineage::Comparison;
use percid_sim::{Cost, Costs, Report};
use serde::Serialize;

use crate::error::Error;

/// The form of what is written; grows when a field changes its meaning.
const SCHEMA_VERSION: u32 = 1;

/// A report, and where it stands.
#[derive(Debug, Serialize)]
pub(super) struct Placed<'a> {
    pub(super) stand: &'a str,
    #[serde(flatten)]
    pub(super) report: &'a Report,
}

#[derive(Serialize)]
struct Whole<'a> {
    schema_version: u32,
    costs: Vec<Cost>,
    reports: &'a [Placed<'a>],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    comparisons: &'a [Comparison],
}

/// All of it.
pub(super) fn json(
    costs: &Costs,
    reports: &[Placed<'_>],
    comparisons: &[Comparison],
) -> Result<String, Error> {
    let whole = Whole {
        schema_version: SCHEMA_VERSION,
        costs: costs.table(),
        reports,
        comparisons,
    };
    Ok(serde_json::to_string_pretty(&whole)? + "\n")
}

/// A row for each report.
pub(super) fn csv(reports: &[Placed<'_>]) -> Result<String, Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    for Placed { stand, report } in reports {
        let Report {
            tally, shares, ids, ..
        } = report;
        let machine = &report.machine;
        let row = [
            (*stand).to_owned(),
            report.workload.clone(),
            report.policy.to_owned(),
            machine.cpus().to_string(),
            machine.cpus_per_l3().to_string(),
            machine.cpus_per_node().to_string(),
            report.threads.to_string(),
            report.seed.to_string(),
            report.duration.to_string(),
            report.busy.to_string(),
            tally.switches.to_string(),
            report.turns.to_string(),
            tally.migrations.to_string(),
            tally.rmws.to_string(),
            tally.locks.to_string(),
            tally.locks_waited.to_string(),
            tally.lock_wait.to_string(),
            tally.lock_hold.to_string(),
            tally.barriers.to_string(),
            tally.fences.to_string(),
            tally.interrupts.to_string(),
            tally.stalled.to_string(),
            tally.scans.to_string(),
            tally.longest_scan.to_string(),
            tally.mode_changes.to_string(),
            tally.fallbacks.to_string(),
            tally.id_time().to_string(),
            shares.ids.to_string(),
            shares.lock_wait.to_string(),
            shares.get.to_string(),
            shares.migrate.to_string(),
            shares.scan.to_string(),
            ids.bound.to_string(),
            ids.highest.to_string(),
            ids.mean_distinct.to_string(),
            ids.most_held.to_string(),
            ids.over_bound.to_string(),
            ids.without.to_string(),
            ids.same_cpu.to_string(),
            ids.same_l3.to_string(),
            ids.pauses.to_string(),
            ids.same_cpu_after_pause.to_string(),
            ids.same_l3_after_pause.to_string(),
        ];
        writer.write_record(&row)?;
    }
    let bytes = writer
        .into_inner()
        .map_err(|error| Error::Output(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Times are in nanoseconds, shares are of the busy time, from 0 to 1.
const COLUMNS: [&str; 43] = [
    "stand",
    "workload",
    "policy",
    "cpus",
    "cpus_per_l3",
    "cpus_per_node",
    "threads",
    "seed",
    "duration",
    "busy",
    "switches",
    "turns",
    "migrations",
    "rmws",
    "locks",
    "locks_waited",
    "lock_wait",
    "lock_hold",
    "barriers",
    "fences",
    "interrupts",
    "stalled",
    "scans",
    "longest_scan",
    "mode_changes",
    "fallbacks",
    "id_time",
    "share_ids",
    "share_lock_wait",
    "share_get",
    "share_migrate",
    "share_scan",
    "bound",
    "ids_used",
    "mean_distinct",
    "most_held",
    "over_bound",
    "without_id",
    "same_cpu",
    "same_l3",
    "pauses",
    "same_cpu_after_pause",
    "same_l3_after_pause",
];

#[cfg(test)]
mod tests {
    use percid_sim::{Kind, Machine, Name, Scenario};

    use super::*;

    #[test]
    fn a_row_has_its_columns() {
        let mut scenario = Scenario::new(Machine::flat(4).unwrap(), Kind::Roaming);
        scenario.sizes.duration = 5_000_000;
        let report = scenario.run(Name::V6).unwrap();
        let reports = [Placed {
            stand: "a, \"b\"",
            report: &report,
        }];
        let text = csv(&reports).unwrap();
        let mut rows = csv::Reader::from_reader(text.as_bytes());
        assert_eq!(rows.headers().unwrap().len(), COLUMNS.len());
        let row = rows.records().next().unwrap().unwrap();
        assert_eq!(
            (&row[0], &row[2], row.len()),
            ("a, \"b\"", "rfc-v6", COLUMNS.len())
        );
        let text = json(&Costs::default(), &reports, &[]).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["reports"][0]["policy"], "rfc-v6");
        assert_eq!(value["reports"][0]["stand"], "a, \"b\"");
    }
}
