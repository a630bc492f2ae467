//! Threads allocate from a pool and count, on libc alone: no `std`, and a heap that refuses.
//!
//! With the feature `std`, which it has where it is built beside programs that need it, it is
//! an ordinary program that does the same.
#![cfg_attr(not(feature = "std"), no_std, no_main)]

use core::alloc::Layout;
use core::ffi::c_void;
use core::fmt::{self, Write};
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};

use percid::{Counter, RawPool};

const THREADS: usize = 4;
const ROUNDS: u64 = 2_000;
const OBJECTS: usize = 48;

static POOL: RawPool = RawPool::new(Layout::new::<[u64; 8]>());
static USED: Counter = Counter::new();
static WRONG: AtomicU32 = AtomicU32::new(0);

/// Standard output, without a buffer.
struct Output;

impl Write for Output {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // SAFETY: the bytes of a string.
        let written = unsafe { libc::write(1, text.as_ptr().cast(), text.len()) };
        if written < 0 { Err(fmt::Error) } else { Ok(()) }
    }
}

/// Takes objects, writes to them what nobody else does, looks, and gives them back.
extern "C" fn work(number: *mut c_void) -> *mut c_void {
    for round in 0..ROUNDS {
        let mut objects = [ptr::null_mut::<u64>(); OBJECTS];
        for (at, object) in objects.iter_mut().enumerate() {
            let Ok(new) = POOL.try_alloc() else {
                WRONG.fetch_add(1, Ordering::Relaxed);
                return ptr::null_mut();
            };
            *object = new.as_ptr().cast();
            // SAFETY: this thread's, of eight words.
            unsafe { object.write(mark(number, round, at)) };
            USED.inc();
        }
        for (at, object) in objects.iter().enumerate() {
            // SAFETY: as above.
            if unsafe { object.read() } != mark(number, round, at) {
                WRONG.fetch_add(1, Ordering::Relaxed);
            }
        }
        let objects = objects.map(|object| object.cast::<u8>());
        // SAFETY: allocated above, and not used after.
        unsafe { POOL.free_batch(&objects) };
    }
    ptr::null_mut()
}

fn mark(number: *mut c_void, round: u64, at: usize) -> u64 {
    (number.addr() as u64) << 48 | round << 16 | at as u64
}

/// What the program exits with: 0 if all is well.
fn run() -> i32 {
    let mut threads = [const { None }; THREADS];
    for (number, thread) in threads.iter_mut().enumerate() {
        let mut id = 0;
        let number = ptr::without_provenance_mut(number + 1);
        // SAFETY: a place for the id; the function takes a number.
        let refused = unsafe { libc::pthread_create(&raw mut id, ptr::null(), work, number) };
        *thread = (refused == 0).then_some(id);
    }
    let mut begun = 0;
    for id in threads.into_iter().flatten() {
        // SAFETY: a thread that nobody else joins.
        unsafe { libc::pthread_join(id, ptr::null_mut()) };
        begun += 1;
    }
    let wrong = WRONG.load(Ordering::Relaxed);
    let stats = POOL.stats();
    let all = begun * ROUNDS * OBJECTS as u64;
    let told = writeln!(
        Output,
        "{}; {} uses of {} objects, {wrong} wrong",
        percid::backend().source,
        USED.sum(),
        stats.objects,
    );
    let fits = stats.objects >= OBJECTS as u64 && stats.objects < 100_000;
    i32::from(wrong > 0 || USED.sum() != all || begun == 0 || !fits || told.is_err())
}

#[cfg(feature = "std")]
fn main() {
    std::process::exit(run());
}

#[cfg(not(feature = "std"))]
mod bare {
    use core::alloc::{GlobalAlloc, Layout};
    use core::fmt::Write;
    use core::panic::PanicInfo;

    /// Pools and counters need no heap.
    struct Refusing;

    // SAFETY: it hands nothing out.
    unsafe impl GlobalAlloc for Refusing {
        unsafe fn alloc(&self, _: Layout) -> *mut u8 {
            core::ptr::null_mut()
        }

        unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
    }

    #[global_allocator]
    static HEAP: Refusing = Refusing;

    #[panic_handler]
    fn panicked(why: &PanicInfo<'_>) -> ! {
        let _ = writeln!(super::Output, "{why}");
        // SAFETY: no preconditions.
        unsafe { libc::abort() }
    }

    /// `core` and `alloc` as they are shipped name it, to unwind by; here nothing unwinds.
    #[unsafe(no_mangle)]
    extern "C" fn rust_eh_personality() {}

    #[unsafe(no_mangle)]
    extern "C" fn main(_: i32, _: *const *const u8) -> i32 {
        super::run()
    }
}
