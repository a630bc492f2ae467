//! How a state, and what happens next, are shown.

use std::fmt;

use super::super::protocol::{Procedure, Rules, is_marked};
use super::model::{Action, World};
use super::state::{Doing, Object, State, name_of, number_of};

impl<R: Rules> fmt::Debug for State<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |object: u8| match object {
            0 => String::from("-"),
            object => {
                let letter = char::from(b'A' + number_of(object));
                let mark = if is_marked(object.into()) { "!" } else { "" };
                format!("{letter}{mark}")
            }
        };
        for cell in self.cells.iter().filter(|cell| cell.object != 0) {
            let lent = if cell.lent { "lent " } else { "" };
            write!(f, "cell {}:{} {lent}", name(cell.object), cell.outside)?;
        }
        for [active, pointer] in self.slots {
            write!(f, "[{active} {}]", name(pointer))?;
        }
        for (index, object) in self.objects.iter().enumerate().filter(|it| it.1.live) {
            let Object {
                count,
                pending,
                mask,
                ..
            } = object;
            let name = name(name_of(index as u8));
            write!(f, " {name}({count} {pending} {mask:b})")?;
        }
        if self.nudged {
            write!(f, " nudged")?;
        }
        if self.parked != 0 {
            write!(f, " parked {:b}", self.parked)?;
        }
        for buffer in self.buffers.iter().filter(|buffer| !buffer.is_empty()) {
            write!(
                f,
                " waiting {:?}",
                buffer.stores.iter().flatten().collect::<Vec<_>>()
            )?;
        }
        Ok(())
    }
}

impl<R: Rules> World<R> {
    /// One line of a trace: what happens next.
    pub(super) fn describe(&self, state: &State<R>, action: Action) -> String {
        match action {
            Action::Switch(thread, cpu) => format!("T{thread} runs on CPU {cpu}"),
            Action::Preempt(thread) => format!("T{thread} is preempted"),
            Action::Arrive(thread, cpu) => format!("T{thread}'s fence arrives at CPU {cpu}"),
            Action::ForeignBegins => String::from("another fence begins"),
            Action::ForeignArrives(cpu) => format!("the other fence arrives at CPU {cpu}"),
            Action::ForeignEnds => String::from("the other fence has ended"),
            Action::Drain(cpu) => format!("a store of CPU {cpu} is seen"),
            Action::Fork(thread, halves) => format!("T{thread} forks ({halves})"),
            Action::Step(thread, choice) => {
                let next = match state.threads[thread].doing {
                    Doing::Install(install, _) => format!("{:?}", install.request()),
                    Doing::Empty(empty) => format!("{:?}", empty.request()),
                    Doing::Tend(tend, _) => format!("{:?}", tend.request()),
                    doing => format!("{doing:?}"),
                };
                let on = state.threads[thread].cpu.unwrap_or_default();
                format!("T{thread} on CPU {on}: {next} ({choice})")
            }
        }
    }
}
