//! The list from which the collector discovers the nodes, and its changes over time.

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
    /// The first node in the list. The list is consecutive.
    first: Cell<u32>,
}

impl Roster {
    /// Writes the first nodes to `file`.
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

    /// Replaces this number of nodes each second by nodes with new names: everything that is kept
    /// for the name of a removed node adds up.
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

    /// The number of removed nodes so far.
    pub(crate) fn gone(&self) -> u32 {
        self.first.get()
    }

    /// Replaces the file atomically, so that nobody reads half of it.
    fn write(&self) -> Result<(), Error> {
        let listed = (self.first.get()..).take(self.targets as usize);
        let addresses = listed.map(|node| format!("{}:{}", nodes::address(node), self.port));
        let groups = json!([{ "targets": addresses.collect::<Vec<_>>() }]);
        let new = self.file.with_extension("new");
        fs::write(&new, groups.to_string())?;
        Ok(fs::rename(new, &self.file)?)
    }
}
