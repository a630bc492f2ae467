//! What the requests of procedures do to the modelled domain.

use super::config::{Config, Kernel, Steps};
use super::model::Domain;
use super::state::{Broken, State, Tags};
use crate::domain::{Answer, Claim, Request, Rules, SlotState, SlotWord};

impl<R: Rules, const BATCH: usize> Domain<R, BATCH> {
    /// Carries a request out; `None` if the choice does not exist.
    pub(super) fn perform(
        &self,
        state: &mut State<R, BATCH>,
        thread: usize,
        request: Request,
        choice: u8,
    ) -> Option<Answer> {
        let Config { cpus, loose, .. } = self.config;
        let joined = self.config.steps == Steps::Joined;
        Some(match request {
            Request::Cpu if joined => Answer::Cpu(Some(u32::from(choice))),
            Request::Cpu => Answer::Cpu(state.threads[thread].cpu.map(u32::from)),
            Request::Bound => Answer::Bound(u32::from(state.bound)),
            Request::Load { slot } => Answer::Word(state.slots[slot as usize]),
            Request::Look { slot } => Answer::Seen {
                word: state.slots[slot as usize],
                aged: choice == 0,
            },
            Request::Swap { slot, old, new } => {
                let word = &mut state.slots[slot as usize];
                let swapped = *word == old;
                if swapped {
                    *word = match (self.config.tags, new.state()) {
                        (Tags::ResetAtUnset, SlotState::Unset) => new.with_tag(0),
                        _ => new,
                    };
                    self.look_at_acquired(state, thread, new);
                }
                Answer::Swapped(swapped)
            }
            Request::Claim { below } => Answer::Claimed(self.claim(state, below, choice)?),
            Request::Open { cid } => {
                let opened = choice == 0;
                if opened {
                    state.opened = state.opened.max(cid as u8 + 1);
                }
                Answer::Opened(opened)
            }
            Request::Clear { cid } => {
                state.ids &= !(1 << cid);
                Answer::Done
            }
            Request::ClearAll => {
                state.ids = 0;
                Answer::Done
            }
            Request::Set { cid } => {
                state.ids |= 1 << cid;
                Answer::Done
            }
            Request::Victim { thief, bound } => {
                let held = |slot: u32| {
                    let cid = state.slots[slot as usize].cid();
                    slot != thief && cid.is_some_and(|cid| cid < bound)
                };
                let victim = u32::from(choice);
                if choice < cpus {
                    let any = joined && victim != thief;
                    (self.config.steals && (any || held(victim)))
                        .then_some(Answer::Victim(Some(victim)))?
                } else {
                    let nobody = loose || !self.config.steals || !self.slots().any(held);
                    nobody.then_some(Answer::Victim(None))?
                }
            }
            Request::Fence { cpu } => {
                if choice == 0 {
                    let cpu = cpu as u8;
                    match self.config.kernel {
                        Kernel::NoFence => {}
                        Kernel::WrongCpu => state.fence((cpu + 1) % cpus),
                        Kernel::Sound | Kernel::NoSwitchBarrier => state.fence(cpu),
                    }
                }
                Answer::Fenced(choice == 0)
            }
            Request::FenceAll => {
                if choice == 0 && self.config.kernel != Kernel::NoFence {
                    (0..cpus).for_each(|cpu| state.fence(cpu));
                }
                Answer::Fenced(choice == 0)
            }
            Request::Done(_) => return None,
        })
    }

    /// Claims as the bitmap does: the lowest, or any that is free, or gives up.
    fn claim(&self, state: &mut State<R, BATCH>, below: u32, choice: u8) -> Option<Claim> {
        let lowest = state.ids.trailing_ones();
        let cid = if choice == 0 {
            lowest
        } else {
            match choice - 1 {
                0 => return Some(Claim::Full),
                1 => return Some(Claim::Contended),
                other => u32::from(other) - 1,
            }
        };
        if cid >= below {
            return (choice == 0).then_some(Claim::Full);
        }
        if state.ids >> cid & 1 == 1 {
            return None;
        }
        state.ids |= 1 << cid;
        Some(Claim::Id(cid))
    }

    fn look_at_acquired(&self, state: &mut State<R, BATCH>, thread: usize, new: SlotWord) {
        if let SlotState::Valid(cid) = new.state()
            && cid >= u32::from(state.bound)
            && !state.threads[thread].stale
        {
            state.broken = Some(Broken::Above);
        }
    }
}
