//! The library that is loaded and unloaded, as its host sees it.

use std::ffi::{CStr, CString, c_void};
use std::path::{Path, PathBuf};

/// A copy of the library, loaded.
pub(crate) struct Plugin {
    handle: *mut c_void,
    path: PathBuf,
}

// SAFETY: a handle of the dynamic linker, which any thread may use.
unsafe impl Sync for Plugin {}
// SAFETY: as above.
unsafe impl Send for Plugin {}

impl Plugin {
    /// Where cargo puts the library that this test depends on: beside the test.
    pub(crate) fn file() -> PathBuf {
        let test = std::env::current_exe().expect("this test's program");
        test.with_file_name("libpercid_test_plugin.so")
    }

    pub(crate) fn load() -> Plugin {
        Plugin::load_file(&Plugin::file())
    }

    pub(crate) fn load_file(path: &Path) -> Plugin {
        let path = path.canonicalize().expect("the library was built");
        let name = CString::new(path.to_str().expect("a readable path")).unwrap();
        // SAFETY: the library's constructors do nothing.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        assert!(!handle.is_null(), "{}", error());
        let plugin = Plugin { handle, path };
        assert!(plugin.is_mapped());
        plugin
    }

    /// Closes the library, and makes sure that nothing of it is left.
    pub(crate) fn unload(self) {
        // SAFETY: the handle is open and not used after; the tests say what becomes of
        // threads that were in the library.
        assert_eq!(unsafe { libc::dlclose(self.handle) }, 0, "{}", error());
        assert!(!self.is_mapped(), "the library is still there");
    }

    fn is_mapped(&self) -> bool {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("/proc");
        maps.contains(self.path.to_str().unwrap())
    }

    /// Counts, and leaves the thread as it is then.
    pub(crate) fn count(&self, times: u64) {
        // SAFETY: a function of this type.
        let count: extern "C" fn(u64) =
            unsafe { std::mem::transmute(self.symbol(c"plugin_count")) };
        count(times);
    }

    /// Counts as an entry point should: the thread may be without the library after.
    pub(crate) fn count_and_leave(&self, times: u64) {
        // SAFETY: a function of this type.
        let count: extern "C" fn(u64) =
            unsafe { std::mem::transmute(self.symbol(c"plugin_count_and_leave")) };
        count(times);
    }

    pub(crate) fn leave(&self) {
        // SAFETY: a function of this type.
        let leave: extern "C" fn() = unsafe { std::mem::transmute(self.symbol(c"plugin_leave")) };
        leave();
    }

    pub(crate) fn sum(&self) -> u64 {
        self.ask(c"plugin_sum")
    }

    /// Who registers threads.
    pub(crate) fn owner(&self) -> &'static str {
        match self.ask(c"plugin_owner") {
            1 => "libc",
            2 => "percid",
            _ => "nobody",
        }
    }

    /// Whether the calling thread is registered, as far as the library can see.
    pub(crate) fn registered(&self) -> bool {
        self.ask(c"plugin_registered") == 1
    }

    /// Whether the kernel may still look for the calling thread's last section.
    pub(crate) fn armed(&self) -> bool {
        self.ask(c"plugin_armed") == 1
    }

    fn ask(&self, name: &CStr) -> u64 {
        // SAFETY: a function of this type.
        let ask: extern "C" fn() -> u64 = unsafe { std::mem::transmute(self.symbol(name)) };
        ask()
    }

    fn symbol(&self, name: &CStr) -> *mut c_void {
        // SAFETY: an open handle and a C string.
        let symbol = unsafe { libc::dlsym(self.handle, name.as_ptr()) };
        assert!(!symbol.is_null(), "{}", error());
        symbol
    }
}

/// What the dynamic linker complains of.
fn error() -> String {
    // SAFETY: null or a string that is there until the thread's next error.
    unsafe {
        let text = libc::dlerror();
        match text.is_null() {
            true => String::new(),
            false => CStr::from_ptr(text).to_string_lossy().into_owned(),
        }
    }
}
