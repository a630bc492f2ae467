//! The cost model: what each step takes, and where that is from.

use serde::Serialize;

/// One row of the cost model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// How it is called, on the command line too.
    pub name: &'static str,
    /// Nanoseconds.
    pub nanoseconds: u64,
    /// What it is the cost of.
    pub about: &'static str,
    /// Where the figure is from.
    pub source: &'static str,
}

/// Why a cost was not set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CostError {
    /// Not `name=nanoseconds`.
    #[error("'{0}' is no cost; write it as in far=140")]
    Form(String),
    /// There is no cost of that name.
    #[error("there is no cost '{name}'; the costs are: {known}")]
    Name {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
}

/// Larger costs are mistakes: a second.
const MOST: u64 = 1_000_000_000;

macro_rules! costs {
    ($($name:ident = $value:literal, $about:literal, $source:expr;)*) => {
        /// What each step takes, in nanoseconds.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
        pub struct Costs {
            $(#[doc = $about] pub $name: u64,)*
        }

        impl Default for Costs {
            fn default() -> Costs {
                Costs { $($name: $value,)* }
            }
        }

        impl Costs {
            /// The model as a table.
            #[must_use]
            pub fn table(&self) -> Vec<Cost> {
                vec![$(Cost {
                    name: stringify!($name),
                    nanoseconds: self.$name,
                    about: $about,
                    source: $source,
                },)*]
            }

            fn get_mut(&mut self, name: &str) -> Option<&mut u64> {
                match name {
                    $(stringify!($name) => Some(&mut self.$name),)*
                    _ => None,
                }
            }
        }
    };
}

const MEASURED: &str = "measured by this project on a two-core Zen 5 virtual machine, Linux 6.18";
const CORES: &str = "order of published core-to-core latencies of two-socket servers (Chips and Cheese, \
     Core to Core Latency Data on Large Systems, 2023); a round figure, not a fit";

costs! {
    hit = 1, "a load or store of a line that this CPU has",
        "first-level cache";
    rmw = 5, "an atomic read-modify-write of a line that this CPU has",
        "measured by this project (relaxed fetch_add, own line: 4.8 to 6.1)";
    near = 60, "moving a line within an L3", CORES;
    node = 100, "moving a line to another L3 of the node", CORES;
    far = 140, "moving a line to another node", CORES;
    word = 1, "looking through one 64-bit word of a bitmap",
        "a load, a compare and a branch";
    barrier = 8, "a full memory barrier",
        "some 30 cycles of a locked instruction or a fence";
    switch = 1200, "a context switch apart from its ids",
        "usual for pipe ping-pong on bare metal, with the cache misses of the scheduler";
    wake = 500, "waking a thread, paid by the waker",
        "usual for try_to_wake_up without an interrupt";
    fork = 15000, "making a thread, paid by its parent, apart from ids",
        "usual for pthread_create on bare metal";
    fence_idle = 300, "a membarrier when no other thread of the process is running where it looks",
        MEASURED;
    fence = 9000, "a membarrier that interrupts one CPU, for its caller", MEASURED;
    fence_more = 100, "each further CPU that a membarrier interrupts, for its caller",
        "an assumption: interrupts go out one after the other and are waited for together";
    stall = 5500, "a membarrier, for each CPU that it interrupts", MEASURED;
    slow = 60, "a rejected section until its slow path reads the CPU",
        "an assumption: a call, a clock in user space and a few loads";
    operation = 1000, "until a running thread's next section",
        "an assumption about the program";
}

impl Costs {
    /// Sets one cost from `name=nanoseconds`.
    ///
    /// ```
    /// let mut costs = percid_sim::Costs::default();
    /// costs.set("far=300")?;
    /// assert_eq!(costs.far, 300);
    /// # Ok::<(), percid_sim::CostError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// See [`CostError`].
    pub fn set(&mut self, text: &str) -> Result<(), CostError> {
        let form = || CostError::Form(text.to_owned());
        let (name, value) = text.split_once('=').ok_or_else(form)?;
        let value = value.trim().parse().map_err(|_| form())?;
        if value > MOST {
            return Err(form());
        }
        let known = self.table();
        match self.get_mut(name.trim()) {
            Some(cost) => *cost = value,
            None => {
                let known: Vec<&str> = known.iter().map(|cost| cost.name).collect();
                return Err(CostError::Name {
                    name: name.trim().to_owned(),
                    known: known.join(", "),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cost_can_be_set() {
        let mut costs = Costs::default();
        for cost in costs.table() {
            costs.set(&format!("{} = 77", cost.name)).unwrap();
            assert!(!cost.source.starts_with("see "), "{}", cost.name);
        }
        assert!(costs.table().iter().all(|cost| cost.nanoseconds == 77));
    }

    #[test]
    fn what_is_no_cost() {
        let mut costs = Costs::default();
        for bad in ["far", "far=", "far=x", "far=-1", "far=1000000001", "=3", ""] {
            assert!(costs.set(bad).is_err(), "{bad}");
        }
        assert!(costs.set("near=1=2").is_err());
        let error = costs.set("fra=1").unwrap_err().to_string();
        assert!(error.contains("'fra'") && error.contains("far"), "{error}");
        assert_eq!(costs, Costs::default());
    }
}
