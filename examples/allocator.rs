//! A global allocator in two hundred lines: size classes on `RawPool`.
//!
//! ```text
//! cargo run --release --example allocator               benchmarks, allocated by it
//! cargo run --release --example allocator -- retained   what sleeping threads keep
//! ```
//!
//! Blocks of up to 32 KiB come from a pool for their class, larger ones and those of unusual
//! alignment from the system. There is nothing of a thread: what a thread frees is cached
//! for the cid that it runs under, and found by whoever runs there next. Some times a second a
//! thread of the program gives back what was not used.
//!
//! What goes to the system has the system's costs: with 4 KiB as the limit, a vector of 4800
//! bytes in each of a thousand threads made glibc set up an arena for many of them, and 2 KiB a
//! thread stayed there.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::{self, NonNull};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use percid::RawPool;
use percid_benches::suite::{Method, SUITES, Suite};

/// The allocator.
struct Classes;

#[global_allocator]
static ALLOCATOR: Classes = Classes;

/// Bytes of each class: in steps of a quarter of the power of two below, from 64 to 1280;
/// few above that.
const SIZES: [u16; 30] = [
    16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024,
    1280, 2048, 3072, 4096, 6144, 8192, 12288, 16384, 24576, 32768,
];

const LARGEST: usize = SIZES[SIZES.len() - 1] as usize;

/// The alignment that all blocks of pools have.
const ALIGN: usize = 16;

/// The class of each multiple of 16 bytes.
static CLASS_OF: [u8; LARGEST / ALIGN + 1] = {
    let mut table = [0; LARGEST / ALIGN + 1];
    let (mut at, mut class) = (0, 0);
    while at < table.len() {
        while (SIZES[class] as usize) < at * ALIGN {
            class += 1;
        }
        table[at] = class as u8;
        at += 1;
    }
    table
};

/// Blocks that are free for longer than this go back to the system.
const IDLE: Duration = Duration::from_millis(250);

/// A pool for a class.
const fn pool(class: usize) -> RawPool {
    let Ok(layout) = Layout::from_size_align(SIZES[class] as usize, ALIGN) else {
        panic!("a class is a layout");
    };
    RawPool::builder(layout)
        .decay_after(Some(IDLE))
        .build_static()
}

macro_rules! pools {
    ($($class:literal)*) => {
        static POOLS: [RawPool; SIZES.len()] = [$(pool($class)),*];
    };
}

pools!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29);

/// Whether a pool ever had no memory: then some blocks of its class are the system's.
static FAILED: AtomicBool = AtomicBool::new(false);

/// The pool that a layout belongs to.
#[inline(always)]
fn class(layout: Layout) -> Option<&'static RawPool> {
    if layout.size() > LARGEST || layout.align() > ALIGN {
        return None;
    }
    Some(&POOLS[CLASS_OF[layout.size().div_ceil(ALIGN)] as usize])
}

// SAFETY: blocks of pools are as large and as aligned as their class says, handed out once
// until they are freed, and freed to where they came from: the layout says which pool, and
// the pool whether it was that one.
unsafe impl GlobalAlloc for Classes {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if let Some(pool) = class(layout) {
            if let Ok(block) = pool.try_alloc() {
                return block.as_ptr();
            }
            FAILED.store(true, Ordering::Relaxed);
        }
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(pool) = class(layout)
            && (!FAILED.load(Ordering::Relaxed) || pool.owns(block))
            && let Some(block) = NonNull::new(block)
        {
            // SAFETY: allocated from this pool, for its layout has that class.
            return unsafe { pool.free(block) };
        }
        // SAFETY: the caller's contract; no pool has it.
        unsafe { System.dealloc(block, layout) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller says that it is a layout.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (class(layout), class(new)) {
            // One of the system's is no larger than it was asked for.
            (Some(old), Some(new))
                if ptr::eq(old, new) && (!FAILED.load(Ordering::Relaxed) || old.owns(block)) =>
            {
                block
            }
            // SAFETY: the caller's contract: both are the system's.
            (None, None) => unsafe { System.realloc(block, layout, size) },
            _ => {
                // SAFETY: the caller's contract; the two do not overlap.
                unsafe {
                    let moved = self.alloc(new);
                    if !moved.is_null() {
                        ptr::copy_nonoverlapping(block, moved, size.min(layout.size()));
                        self.dealloc(block, layout);
                    }
                    moved
                }
            }
        }
    }
}

/// Gives back what is not needed any more, again and again. Pools have no thread of their
/// own, so it is one of the program's.
fn give_back() {
    loop {
        thread::sleep(IDLE * 5 / 4);
        for pool in &POOLS {
            // Another thread may be at it: then it is.
            let _ = pool.decay();
        }
    }
}

/// This repository's benchmarks, as a program that allocates: every timed case of these
/// suites, each verified; how many figures that were.
fn run_benchmarks(
    suites: &[&'static Suite],
    effort: &percid_benches::measure::Effort,
) -> Result<usize, String> {
    let mut figures = 0;
    for suite in suites {
        if (suite.available)().is_err() {
            continue;
        }
        for job in percid_benches::plan::plan(&[suite], &[1, 2]) {
            if let Method::Timed { .. } = job.case.method {
                let elsewhere = |_: &_, _| Ok(0.0);
                let found = job
                    .run(effort, &elsewhere, &mut || {})
                    .map_err(|why| why.to_string())?;
                figures += found.len();
            }
        }
    }
    Ok(figures)
}

/// Bytes that each of many threads keeps which have allocated and freed, and now sleep:
/// memory of the process after that, less what it was when all of them had begun.
fn retained(threads: usize, nap: Duration) -> std::io::Result<f64> {
    let all = Barrier::new(threads + 1);
    thread::scope(|scope| {
        for number in 0..threads {
            let all = &all;
            thread::Builder::new()
                .stack_size(64 << 10)
                .spawn_scoped(scope, move || {
                    touch_stack();
                    all.wait();
                    all.wait();
                    churn(number, 200);
                    all.wait();
                    all.wait();
                })
                .expect("a thread");
        }
        all.wait();
        // The first reading brings the reader's own memory.
        let before = anonymous().and_then(|_| anonymous());
        all.wait();
        all.wait();
        thread::sleep(nap);
        let after = anonymous();
        all.wait();
        Ok(after?.saturating_sub(before?) as f64 / threads as f64)
    })
}

/// Makes more of the stack resident than is used here: its pages are not what an allocator
/// keeps.
#[inline(never)]
fn touch_stack() {
    std::hint::black_box(&mut [1_u8; 24 << 10]);
}

/// Allocates blocks of up to 1 KiB and frees them.
fn churn(number: usize, blocks: usize) {
    let mut held = Vec::with_capacity(blocks);
    for turn in 0..blocks {
        let size = 1 + (number * 7919 + turn * 104_729) % 1024;
        held.push(vec![1_u8; size]);
    }
    std::hint::black_box(&held);
}

/// Resident memory of this process that is no file's.
fn anonymous() -> std::io::Result<u64> {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let kilobytes: Option<u64> = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Anonymous:"))
        .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse().ok());
    kilobytes
        .map(|count| count << 10)
        .ok_or_else(|| std::io::Error::other("no line 'Anonymous' in smaps_rollup"))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    thread::spawn(give_back);
    if std::env::args().nth(1).as_deref() == Some("retained") {
        let bytes = retained(1000, Duration::from_secs(2))?;
        println!("{:.2} KiB retained per sleeping thread", bytes / 1024.0);
    } else {
        let figures = run_benchmarks(&SUITES, &percid_benches::measure::Effort::QUICK)?;
        println!("{figures} figures measured and verified");
    }
    let (mut objects, mut bytes) = (0, 0);
    for pool in &POOLS {
        let stats = pool.stats();
        objects += stats.objects;
        bytes += stats.objects * stats.stride as u64;
    }
    println!("the pools have {objects} blocks, {} KiB", bytes >> 10);
    println!("{}", POOLS[0].mode());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_hold_their_sizes() {
        for size in 0..=LARGEST {
            let class = CLASS_OF[size.div_ceil(ALIGN)] as usize;
            assert!(SIZES[class] as usize >= size);
            assert!(class == 0 || (SIZES[class - 1] as usize) < size.next_multiple_of(ALIGN));
        }
        assert!(class(Layout::from_size_align(1, 32).unwrap()).is_none());
    }

    #[test]
    fn blocks_grow_move_and_keep_what_is_in_them() {
        let mut all: Vec<Vec<u8>> = Vec::new();
        for turn in 0..5000_usize {
            let size = turn * 37 % if turn % 50 == 0 { 50_000 } else { 9000 };
            all.push((0..size).map(|at| (at ^ turn) as u8).collect());
        }
        for (turn, block) in all.iter_mut().enumerate() {
            let size = block.len();
            block.extend_from_slice(&[7; 300]);
            assert!((0..size).all(|at| block[at] == (at ^ turn) as u8));
            block.truncate(size / 2);
            block.shrink_to_fit();
            assert!((0..size / 2).all(|at| block[at] == (at ^ turn) as u8));
        }
    }

    #[test]
    fn the_benchmarks_run_on_it() {
        let least = percid_benches::measure::Effort {
            repetitions: 2,
            run: Duration::from_micros(20),
            processes: 1,
            budget: None,
        };
        let counter = percid_benches::suite::find("counter").unwrap();
        assert!(run_benchmarks(&[counter], &least).unwrap() > 10);
        assert!(POOLS.iter().map(|pool| pool.stats().objects).sum::<u64>() > 0);
    }

    #[test]
    fn sleeping_threads_keep_next_to_nothing() {
        // How much depends on how many ran at a time; a cache for each would keep 100 KiB.
        let bytes = retained(50, Duration::ZERO).unwrap();
        assert!(bytes < 80_000.0, "{bytes} bytes");
    }
}
