//! `percid bench compare`: what became slower from one run to another.

mod verdict;

use comfy_table::{CellAlignment, Table, presets};
use percid_benches::machine::Machine;

use self::verdict::{Pair, Verdict, pairs, peers_moved};
use crate::args::Compare;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::Output;
use crate::progress::note;
use crate::{source, table};

pub(super) fn run(arguments: &Compare, output: &mut Output) -> Result<Exit, Error> {
    let before = source::read(&arguments.before)?;
    let after = source::read(&arguments.after)?;
    if let Some(differ) = other_machine(&before.machine, &after.machine) {
        note(&format!(
            "these runs are of different machines or builds ({differ}): ratios of medians \
             mean little, what peers did not do alike a little more"
        ));
    }
    let (pairs, gone, new) = pairs(&before, &after);
    if pairs.is_empty() {
        return Err(Error::NothingInCommon {
            before: arguments.before.clone(),
            after: arguments.after.clone(),
        });
    }
    let threshold = arguments.threshold / 100.0;
    let judged = pairs.iter().map(|pair| (pair, pair.verdict(threshold)));
    let judged: Vec<(&Pair<'_>, Verdict)> = judged.collect();
    let count = |wanted| {
        judged
            .iter()
            .filter(|(_, verdict)| *verdict == wanted)
            .count()
    };
    let shown: Vec<_> = judged
        .iter()
        .filter(|(_, verdict)| arguments.all || !matches!(verdict, Verdict::Same | Verdict::Peer))
        .collect();
    if !shown.is_empty() {
        output.write(&rows(&shown))?;
    }
    let worse = count(Verdict::Worse);
    let (moved, all) = peers_moved(&pairs, threshold);
    if moved * 5 > all {
        note(&format!(
            "{moved} of {all} figures of peers changed by more than {} %, too: other work \
             disturbed one of the runs; measure on a machine that does nothing else",
            arguments.threshold
        ));
    }
    let peers = judged.iter().filter(|(pair, _)| !pair.before.is_own());
    output.write(&format!(
        "{} figures in both runs, {} of percid and {} of peers; {gone} only before, {new} only after\n",
        pairs.len(),
        pairs.len() - peers.clone().count(),
        peers.count(),
    ))?;
    let said = format!(
        "{worse} of percid worse by more than {} %, {} better, {} within the spread, {} as their peers",
        arguments.threshold,
        count(Verdict::Better),
        count(Verdict::Noise),
        count(Verdict::Machine),
    );
    let said = match worse {
        0 => output.good(&said),
        _ => output.bad(&said),
    };
    output.write(&format!("{said}\n"))?;
    Ok(match worse {
        0 => Exit::Success,
        _ => Exit::Failed,
    })
}

fn rows(shown: &[&(&Pair<'_>, Verdict)]) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header([
        "suite",
        "case",
        "implementation",
        "threads",
        "before",
        "after",
        "change",
        "peers",
        "",
    ]);
    for column in table.column_iter_mut().skip(3).take(5) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for (pair, verdict) in shown {
        let figure = pair.before;
        table.add_row([
            figure.suite.clone(),
            figure.case.clone(),
            figure.implementation.clone(),
            figure.threads.to_string(),
            table::number(figure.median),
            table::number(pair.after.median),
            percent(pair.ratio()),
            peers(pair.peers),
            verdict.name().to_owned(),
        ]);
    }
    format!("{table}\n\n")
}

/// Both ends, if there are two.
fn peers([least, most]: [f64; 2]) -> String {
    match (percent(least), percent(most)) {
        (least, most) if least == most => least,
        (least, most) => format!("{least} .. {most}"),
    }
}

fn percent(ratio: f64) -> String {
    if ratio.is_finite() {
        format!("{:+.1} %", (ratio - 1.0) * 100.0)
    } else {
        "from 0".to_owned()
    }
}

/// In which facts two machines differ.
fn other_machine(before: &Machine, after: &Machine) -> Option<String> {
    let facts = |machine: &Machine| {
        [
            ("CPU", machine.cpu.clone()),
            ("architecture", machine.arch.clone()),
            ("CPUs", machine.cpus_allowed.to_string()),
            ("kernel", machine.kernel.clone()),
            (
                "libc",
                format!("{} {}", machine.libc.name, machine.libc.version),
            ),
            ("backend", machine.backend.clone()),
        ]
    };
    let (before, after) = (facts(before), facts(after));
    let differ: Vec<String> = before
        .into_iter()
        .zip(after)
        .filter(|(one, other)| one != other)
        .map(|((name, one), (_, other))| format!("{name}: {one}, then {other}"))
        .collect();
    (!differ.is_empty()).then(|| differ.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_in_percent() {
        assert_eq!(percent(f64::INFINITY), "from 0");
        assert_eq!(percent(0.875), "-12.5 %");
    }

    #[test]
    fn machines_differ_by_facts() {
        let here = Machine::here();
        assert_eq!(other_machine(&here, &here), None);
        let there = Machine {
            kernel: "0.1".into(),
            ..here.clone()
        };
        assert!(other_machine(&here, &there).unwrap().ends_with("then 0.1"));
    }
}
