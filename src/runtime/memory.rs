//! Memory that was freed goes back to the system.

use std::{hint::black_box, io, thread};

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
