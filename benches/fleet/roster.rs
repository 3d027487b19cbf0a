//! The list in which the collector finds the nodes, and who stands in it as time goes by.

use std::{cell::Cell, fs, path::PathBuf, rc::Rc, time::Duration};

use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use crate::{Error, Options, nodes};

/// A file for `file_sd_configs`.
#[derive(Debug)]
pub(crate) struct Roster {
    file: PathBuf,
    port: u16,
    targets: u32,
    /// The first node that is listed; those behind it are too.
    first: Cell<u32>,
}

impl Roster {
    /// Lists the first nodes in `file`.
    pub(crate) fn new(file: PathBuf, port: u16, options: &Options) -> Result<Rc<Self>, Error> {
        let roster = Self {
            file,
            port,
            targets: options.targets,
            first: Cell::new(0),
        };
        roster.write()?;
        Ok(Rc::new(roster))
    }

    /// From now on, each second, so many nodes go and as many come that were never there before:
    /// whatever is kept for the name of a node that is gone adds up.
    pub(crate) fn churn(self: &Rc<Self>, nodes_a_second: u32) {
        let roster = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let mut ticks = interval(Duration::from_secs(1));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                roster.first.set(roster.first.get() + nodes_a_second);
                if let Err(error) = roster.write() {
                    eprintln!("the list of targets cannot be written: {error}");
                }
            }
        });
    }

    /// How many nodes have gone so far.
    pub(crate) fn gone(&self) -> u32 {
        self.first.get()
    }

    /// Replaces the file as a whole, so that nobody reads half of it.
    fn write(&self) -> Result<(), Error> {
        let listed = (self.first.get()..).take(self.targets as usize);
        let addresses = listed.map(|node| format!("{}:{}", nodes::address(node), self.port));
        let groups = json!([{ "targets": addresses.collect::<Vec<_>>() }]);
        let new = self.file.with_extension("new");
        fs::write(&new, groups.to_string())?;
        Ok(fs::rename(new, &self.file)?)
    }
}
