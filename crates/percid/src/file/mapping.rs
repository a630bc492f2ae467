//! Making a file of counters, checking one, and mapping it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64};

use memmap2::{MmapOptions, MmapRaw};
use percid_cid::{Source, backend};
use percid_rseq::possible_cpus;
use percid_rseq::section::WordAddress;

use super::FileError;
use super::layout::{ENTRY_WORDS, HEADER_BYTES, Layout, NAMES, SHIFT, STRIPES, Stripe};

/// A file of counters in memory.
#[derive(Debug)]
pub(super) struct Mapping {
    /// Bytes that all who map the file share.
    memory: MmapRaw,
    layout: Layout,
    /// Stripes that sections of this process may touch: those of all CPUs, or none.
    limit: AtomicU32,
    file: File,
    path: PathBuf,
}

impl Mapping {
    /// Maps a file for counting; makes it, if there is none.
    pub(super) fn open_or_make(path: &Path, sections: bool) -> Result<Mapping, FileError> {
        let open = || OpenOptions::new().read(true).write(true).open(path);
        let file = match open() {
            Err(why) if why.kind() == io::ErrorKind::NotFound => {
                make(path)?;
                open()
            }
            other => other,
        };
        let file = file.map_err(FileError::system("cannot open it"))?;
        let layout = layout_of(&file)?;
        let memory = MmapOptions::new()
            .len(layout.bytes())
            .map_raw(&file)
            .map_err(FileError::system("cannot map it"))?;
        let sections = sections && backend().source != Source::Thread;
        Ok(Mapping {
            memory,
            layout,
            limit: AtomicU32::new(if sections { layout.cpus } else { 0 }),
            file,
            path: path.to_owned(),
        })
    }

    /// Maps a file for reading.
    pub(super) fn attach(path: &Path) -> Result<Mapping, FileError> {
        let file = File::open(path).map_err(FileError::system("cannot open it"))?;
        let layout = layout_of(&file)?;
        let memory = MmapOptions::new()
            .len(layout.bytes())
            .map_raw_read_only(&file)
            .map_err(FileError::system("cannot map it"))?;
        Ok(Mapping {
            memory,
            layout,
            limit: AtomicU32::new(0),
            file,
            path: path.to_owned(),
        })
    }

    pub(super) fn layout(&self) -> Layout {
        self.layout
    }

    /// For sections to compare with.
    #[inline(always)]
    pub(super) fn limit(&self) -> &AtomicU32 {
        &self.limit
    }

    /// The word that lies so many bytes after the start.
    fn at(&self, place: usize) -> &AtomicU64 {
        assert!(place < self.layout.bytes() && place.is_multiple_of(8));
        // SAFETY: within the mapping, which is page-aligned and lives as long as `self`;
        // everybody treats the file's words as atomic ones.
        unsafe { AtomicU64::from_ptr(self.memory.as_mut_ptr().add(place).cast()) }
    }

    /// A counter's word in a stripe.
    pub(super) fn word(&self, stripe: Stripe, index: usize) -> &AtomicU64 {
        self.at(self.layout.place(stripe) + index * 8)
    }

    /// A counter's word in the stripe of CPU 0, where sections count from.
    pub(super) fn first(&self, index: usize) -> WordAddress {
        WordAddress::new(self.word(Stripe::Cpu(0), index).as_ptr())
    }

    /// A word of a counter's entry.
    pub(super) fn entry(&self, index: usize, word: usize) -> &AtomicU64 {
        self.at(NAMES + (index * ENTRY_WORDS + word) * 8)
    }

    /// Has the file system allocate the pages that hold a counter's words, so that it
    /// can say no now, and not by a signal later.
    pub(super) fn allocate(&self, index: usize) -> Result<(), FileError> {
        const PAGE: usize = 4096;
        let within = index * 8 / PAGE * PAGE;
        let entry = NAMES + index * ENTRY_WORDS * 8;
        let stripes = self
            .layout
            .stripes()
            .map(|one| self.layout.place(one) + within);
        for place in stripes.chain([entry / PAGE * PAGE]) {
            // SAFETY: an open file; what lies in the range stays as it is.
            let result =
                unsafe { libc::fallocate(self.file.as_raw_fd(), 0, place as i64, PAGE as i64) };
            let why = io::Error::last_os_error();
            match why.raw_os_error() {
                _ if result == 0 => {}
                // A file system that cannot: pages come when they are touched.
                Some(libc::EOPNOTSUPP | libc::ENOSYS) => return Ok(()),
                _ => return Err(FileError::system("there is no room for a counter")(why)),
            }
        }
        Ok(())
    }

    /// Keeps other threads and processes from making counters for as long as it lives.
    pub(super) fn lock(&self) -> Result<Lock, FileError> {
        let failed = FileError::system("cannot lock it");
        // Opened anew: such a lock keeps nobody out who shares the opening.
        let file = self.open_again().map_err(&failed)?;
        loop {
            // SAFETY: an open file.
            if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) } == 0 {
                return Ok(Lock(file));
            }
            let why = io::Error::last_os_error();
            if why.kind() != io::ErrorKind::Interrupted {
                return Err(failed(why));
            }
        }
    }

    fn open_again(&self) -> io::Result<File> {
        let own = PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()));
        if let Ok(file) = File::open(own) {
            return Ok(file);
        }
        // No /proc: by its path, if it is still there.
        let file = File::open(&self.path)?;
        let (found, known) = (file.metadata()?, self.file.metadata()?);
        if (found.dev(), found.ino()) == (known.dev(), known.ino()) {
            Ok(file)
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }
}

/// A lock of the file, which the kernel takes back from a process that dies.
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Said and not left to the closing: a child of `fork` may have it open, too.
        // SAFETY: an open file.
        unsafe { libc::flock(self.0.as_raw_fd(), libc::LOCK_UN) };
    }
}

fn layout_of(mut file: &File) -> Result<Layout, FileError> {
    let failed = FileError::system("cannot read it");
    let length = file.metadata().map_err(&failed)?.len();
    let mut start = Vec::with_capacity(HEADER_BYTES);
    file.rewind().map_err(&failed)?;
    file.take(HEADER_BYTES as u64)
        .read_to_end(&mut start)
        .map_err(&failed)?;
    Layout::of(&start, length)
}

/// Makes a file, under another name first: whoever sees it under its own sees it whole.
/// That somebody else was faster is no error.
fn make(path: &Path) -> Result<(), FileError> {
    let failed = FileError::system("cannot make it");
    let mut temporary = Temporary::beside(path).map_err(&failed)?;
    let layout = Layout::new(possible_cpus());
    temporary
        .file
        .set_len(layout.bytes() as u64)
        .and_then(|()| temporary.file.write_all(&layout.header()))
        .map_err(&failed)?;
    match std::fs::hard_link(&temporary.path, path) {
        Err(why) if why.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map_err(failed),
    }
}

/// A file that goes when this goes.
struct Temporary {
    file: File,
    path: PathBuf,
}

impl Temporary {
    fn beside(path: &Path) -> io::Result<Temporary> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}-{number}.new", std::process::id()));
        let path = PathBuf::from(name);
        // One of a process that died long ago, under the same number.
        let _ = std::fs::remove_file(&path);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)?;
        Ok(Temporary { file, path })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

// Stripes and entries lie behind the header, and words within pages.
const _: () =
    assert!(HEADER_BYTES <= NAMES && NAMES < STRIPES && STRIPES.is_multiple_of(1 << SHIFT));
