//! A thing for each CPU, backed where it is touched.

const PAGE: usize = 32;

/// A thing for each CPU. A process that uses few CPUs takes little memory.
#[derive(Clone, Debug)]
pub(super) struct PerCpu<T> {
    pages: Vec<Option<Box<[T; PAGE]>>>,
}

impl<T> Default for PerCpu<T> {
    fn default() -> PerCpu<T> {
        PerCpu { pages: Vec::new() }
    }
}

impl<T: Default> PerCpu<T> {
    pub(super) fn get_mut(&mut self, cpu: u32) -> &mut T {
        let (page, place) = (cpu as usize / PAGE, cpu as usize % PAGE);
        if page >= self.pages.len() {
            self.pages.resize_with(page + 1, || None);
        }
        let page =
            self.pages[page].get_or_insert_with(|| Box::new(std::array::from_fn(|_| T::default())));
        &mut page[place]
    }

    pub(super) fn get(&self, cpu: u32) -> Option<&T> {
        let page = self.pages.get(cpu as usize / PAGE)?.as_ref()?;
        Some(&page[cpu as usize % PAGE])
    }

    /// Those of CPUs that may have been touched, with their CPU.
    pub(super) fn touched(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        let pages = self.pages.iter_mut().zip((0u32..).step_by(PAGE));
        pages
            .filter_map(|(page, first)| Some((page.as_mut()?, first)))
            .flat_map(|(page, first)| (first..).zip(page.iter_mut()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backed_where_touched() {
        let mut table: PerCpu<u32> = PerCpu::default();
        *table.get_mut(70) = 5;
        assert_eq!(table.get(70), Some(&5));
        assert_eq!(table.get(1), None);
        assert_eq!(table.get(5000), None);
        assert_eq!(table.touched().count(), PAGE);
        let set: Vec<_> = table.touched().filter(|(_, value)| **value > 0).collect();
        assert_eq!(set, [(70, &mut 5)]);
    }
}
