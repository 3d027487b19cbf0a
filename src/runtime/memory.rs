//! Memory that was freed goes back to the system, and the size of the pages that it comes in.

use std::{
    hint::black_box,
    io,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

/// Whether [`disable_huge_pages`] disabled them.
static IS_DISABLED_HERE: AtomicBool = AtomicBool::new(false);

/// Disables huge pages until [`enable_huge_pages`]. If they were disabled before the process started,
/// as with `MIMALLOC_ALLOW_THP=0`, they stay disabled.
pub fn disable_huge_pages() {
    let is_disabled = huge_pages::are_allowed() && huge_pages::allow(false);
    IS_DISABLED_HERE.store(is_disabled, Ordering::Relaxed);
}

/// Enables huge pages, if [`disable_huge_pages`] disabled them. New memory has them at once, and
/// memory that the process already has gets them after minutes.
pub fn enable_huge_pages() {
    if IS_DISABLED_HERE.swap(false, Ordering::Relaxed) {
        huge_pages::allow(true);
    }
}

#[cfg(target_os = "linux")]
mod huge_pages {
    use rustix::thread::{disable_transparent_huge_pages, transparent_huge_pages_are_disabled};

    /// Whether the process may have huge pages.
    pub(super) fn are_allowed() -> bool {
        transparent_huge_pages_are_disabled().is_ok_and(|are_disabled| !are_disabled)
    }

    /// Whether it could be set.
    pub(super) fn allow(are_allowed: bool) -> bool {
        disable_transparent_huge_pages(!are_allowed).is_ok()
    }
}

/// Only Linux has a switch for them.
#[cfg(not(target_os = "linux"))]
mod huge_pages {
    pub(super) fn are_allowed() -> bool {
        false
    }

    pub(super) fn allow(_are_allowed: bool) -> bool {
        false
    }
}

/// Has the allocator give back what was freed a second ago or longer. It does not wait for that.
///
/// mimalloc does so when some thread needs a new page, so in a process that has nothing to do it
/// does not: 200 MB that another thread had freed stayed resident for as long as was looked. A thread
/// that ends makes it look at all of its memory, and after one it was 20 MB. There is no other way
/// that is safe Rust.
///
/// # Errors
/// If no thread can be had.
pub fn give_back() -> io::Result<()> {
    // What never had memory has nothing to tidy up.
    let tidies_up = || drop(black_box(Box::new(0_u64)));
    let named = thread::Builder::new().name("give-back".to_owned());
    named.spawn(tidies_up).map(drop)
}
