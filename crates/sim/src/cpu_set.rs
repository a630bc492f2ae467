//! Sets of CPUs, and how people write them.

use std::fmt;

use crate::machine::MOST_CPUS;

/// A set of CPUs.
///
/// ```
/// use percid_sim::CpuSet;
///
/// let set: CpuSet = "0-3,8".parse()?;
/// assert_eq!((set.count(), set.contains(8), set.contains(4)), (5, true, false));
/// assert_eq!(set.to_string(), "0-3,8");
/// # Ok::<(), percid_sim::CpuSetError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuSet {
    words: Vec<u64>,
}

/// Why a text is no set of CPUs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CpuSetError {
    /// Nothing was given.
    #[error("an affinity without a CPU; write CPUs as in 0-3,8")]
    Empty,
    /// A part that is no number and no range.
    #[error("'{0}' is no CPU and no range of CPUs; write CPUs as in 0-3,8")]
    Part(String),
    /// A number that no machine has.
    #[error("CPU {0} is too large: CPUs are below {MOST_CPUS}")]
    TooLarge(u32),
}

impl CpuSet {
    /// The CPUs of a range.
    #[must_use]
    pub fn range(cpus: std::ops::Range<u32>) -> CpuSet {
        cpus.collect()
    }

    /// Whether there is no CPU in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    /// Number of CPUs.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// Whether a CPU is in it.
    #[must_use]
    pub fn contains(&self, cpu: u32) -> bool {
        let word = self.words.get((cpu / 64) as usize);
        word.is_some_and(|word| word >> (cpu % 64) & 1 == 1)
    }

    /// Puts a CPU in.
    pub fn insert(&mut self, cpu: u32) {
        let index = (cpu / 64) as usize;
        if index >= self.words.len() {
            self.words.resize(index + 1, 0);
        }
        self.words[index] |= 1 << (cpu % 64);
    }

    /// Takes a CPU out.
    pub fn remove(&mut self, cpu: u32) {
        if let Some(word) = self.words.get_mut((cpu / 64) as usize) {
            *word &= !(1 << (cpu % 64));
        }
    }

    /// Puts all CPUs of another set in.
    pub fn add_all(&mut self, other: &CpuSet) {
        if other.words.len() > self.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine |= theirs;
        }
    }

    /// The CPUs, from the lowest.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().zip(0..).flat_map(|(&word, index)| {
            (0..64).filter_map(move |bit| (word >> bit & 1 == 1).then_some(index * 64 + bit))
        })
    }

    /// The first CPU of a range, at or after `from` and then from the range's start.
    #[must_use]
    pub fn first_in(
        &self,
        range: std::ops::Range<u32>,
        from: u32,
        wanted: impl Fn(u32) -> bool,
    ) -> Option<u32> {
        let from = from.clamp(range.start, range.end);
        self.next_in(from..range.end, &wanted)
            .or_else(|| self.next_in(range.start..from, &wanted))
    }

    fn next_in(&self, range: std::ops::Range<u32>, wanted: impl Fn(u32) -> bool) -> Option<u32> {
        let mut cpu = range.start;
        while cpu < range.end {
            let word = self.words.get((cpu / 64) as usize)? >> (cpu % 64);
            if word == 0 {
                cpu = (cpu / 64 + 1) * 64;
                continue;
            }
            cpu += word.trailing_zeros();
            if cpu < range.end && wanted(cpu) {
                return Some(cpu);
            }
            cpu += 1;
        }
        None
    }
}

impl FromIterator<u32> for CpuSet {
    fn from_iter<T: IntoIterator<Item = u32>>(cpus: T) -> CpuSet {
        let mut set = CpuSet::default();
        cpus.into_iter().for_each(|cpu| set.insert(cpu));
        set
    }
}

impl std::str::FromStr for CpuSet {
    type Err = CpuSetError;

    fn from_str(text: &str) -> Result<CpuSet, CpuSetError> {
        let number = |text: &str| -> Result<u32, CpuSetError> {
            let cpu = text.trim().parse();
            let cpu = cpu.map_err(|_| CpuSetError::Part(text.trim().to_owned()))?;
            if cpu < MOST_CPUS {
                Ok(cpu)
            } else {
                Err(CpuSetError::TooLarge(cpu))
            }
        };
        let mut set = CpuSet::default();
        for part in text.split(',').filter(|part| !part.trim().is_empty()) {
            match part.split_once('-') {
                None => set.insert(number(part)?),
                Some((first, last)) => {
                    let (first, last) = (number(first)?, number(last)?);
                    if first > last {
                        return Err(CpuSetError::Part(part.trim().to_owned()));
                    }
                    (first..=last).for_each(|cpu| set.insert(cpu));
                }
            }
        }
        if set.is_empty() {
            return Err(CpuSetError::Empty);
        }
        Ok(set)
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cpus = self.iter().peekable();
        let mut separator = "";
        while let Some(first) = cpus.next() {
            let mut last = first;
            while cpus.next_if_eq(&(last + 1)).is_some() {
                last += 1;
            }
            if first == last {
                write!(f, "{separator}{first}")?;
            } else {
                write!(f, "{separator}{first}-{last}")?;
            }
            separator = ",";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_back() {
        for text in ["0", "0-3,8", "5,63-65,8191"] {
            assert_eq!(text.parse::<CpuSet>().unwrap().to_string(), text);
        }
        let set: CpuSet = " 3 , 1-2,".parse().unwrap();
        assert_eq!(set.iter().collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn texts_that_are_no_sets() {
        let read = |text: &str| text.parse::<CpuSet>().unwrap_err();
        assert_eq!(read(""), CpuSetError::Empty);
        assert_eq!(read(" , "), CpuSetError::Empty);
        assert_eq!(read("3-1"), CpuSetError::Part("3-1".into()));
        assert_eq!(read("x"), CpuSetError::Part("x".into()));
        assert_eq!(read("0-"), CpuSetError::Part(String::new()));
        assert_eq!(read("8192"), CpuSetError::TooLarge(8192));
        assert_eq!(read("0-9999"), CpuSetError::TooLarge(9999));
    }

    #[test]
    fn the_first_after_a_place() {
        let set: CpuSet = "2,70,130".parse().unwrap();
        assert_eq!(set.first_in(0..200, 3, |_| true), Some(70));
        assert_eq!(set.first_in(0..200, 131, |_| true), Some(2));
        assert_eq!(set.first_in(0..100, 3, |cpu| cpu != 70), Some(2));
        assert_eq!(set.first_in(3..70, 3, |_| true), None);
        assert_eq!(set.first_in(131..4000, 140, |_| true), None);
    }
}
