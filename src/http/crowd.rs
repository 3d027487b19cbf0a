//! Limits connections and requests for each client, and chooses which connection to close when
//! there are too many. So no client can use up the slots of the others.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

/// Additional connections for requests that are always answered. One client gets half of them.
const RESERVE: usize = 16;

/// A client: an IPv4 address, or the /64 network of an IPv6 address, all of which one host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Client(IpAddr);

impl From<SocketAddr> for Client {
    fn from(address: SocketAddr) -> Self {
        Self(match address.ip().to_canonical() {
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
            ip => ip,
        })
    }
}

/// Slots for simultaneous requests.
#[derive(Debug)]
pub(super) struct Slots {
    most: usize,
    /// The slots that one client gets.
    share: usize,
    taken: Mutex<HashMap<Client, usize>>,
}

/// A slot that is in use until it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    of: Arc<Slots>,
    client: Client,
}

impl Slots {
    pub(super) fn new(most: usize, share: usize) -> Self {
        Self {
            most,
            share,
            taken: Mutex::default(),
        }
    }

    /// A slot for a client. `None` if all are in use, or the client uses its share.
    pub(super) fn take(self: &Arc<Self>, client: Client) -> Option<Slot> {
        let mut taken = lock(&self.taken);
        let all: usize = taken.values().sum();
        let own = taken.get(&client).copied().unwrap_or_default();
        if all >= self.most || own >= self.share {
            return None;
        }
        taken.insert(client, own + 1);
        Some(Slot {
            of: Arc::clone(self),
            client,
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        subtract(&mut lock(&self.of.taken), self.client);
    }
}

/// The connections of a listener.
#[derive(Debug)]
pub(super) struct Crowd {
    limit: usize,
    /// The slots of the exchanges in progress.
    slots: Arc<Slots>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Counts events, to compare which was first.
    turn: u64,
    guests: BTreeMap<u64, Guest>,
    by_client: HashMap<Client, usize>,
}

#[derive(Debug)]
struct Guest {
    client: Client,
    /// The event number at which the connection became idle. `None` during an exchange.
    idle_since: Option<u64>,
    leave: CancellationToken,
}

/// A connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Stay {
    crowd: Arc<Crowd>,
    id: u64,
    pub(super) client: Client,
    /// Closes this connection, because another one needs its slot.
    pub(super) leave: CancellationToken,
}

/// An exchange of a connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Busy {
    crowd: Arc<Crowd>,
    id: u64,
    slot: Option<Slot>,
}

/// The result for a new connection.
#[derive(Debug)]
pub(super) enum Entry {
    /// It has a slot.
    Free(Stay),
    /// It has the slot of an idle connection.
    Instead(Stay),
    /// There is no slot, and no connection to close.
    Full,
}

impl Crowd {
    /// Accepts up to `limit` connections, and a few more for requests that are always answered.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            slots: Arc::new(Slots::new(limit, share(limit))),
            state: Mutex::default(),
        }
    }

    /// Adds a connection. If there are too many, the connection that has been idle for the longest
    /// time is closed: one of the same client if it has its share, else one of the client with the
    /// most. A connection with an incomplete header is idle too.
    pub(super) fn enter(self: &Arc<Self>, client: Client) -> Entry {
        let mut state = lock(&self.state);
        let mut has_pushed = false;
        let own = state.by_client.get(&client).copied().unwrap_or_default();
        if own >= share(self.limit) {
            has_pushed = state.push_out(|guest| guest.client == client);
            if !has_pushed && own >= share(self.limit) + share(RESERVE) {
                return Entry::Full;
            }
        }
        if state.guests.len() >= self.limit.saturating_add(RESERVE) {
            let Some(greedy) = state.greediest_idle() else {
                return Entry::Full;
            };
            has_pushed |= state.push_out(|guest| guest.client == greedy);
        }
        let leave = CancellationToken::new();
        let id = state.next_turn();
        let guest = Guest {
            client,
            idle_since: Some(id),
            leave: leave.clone(),
        };
        state.guests.insert(id, guest);
        *state.by_client.entry(client).or_default() += 1;
        let stay = Stay {
            crowd: Arc::clone(self),
            id,
            client,
            leave,
        };
        match has_pushed {
            true => Entry::Instead(stay),
            false => Entry::Free(stay),
        }
    }
}

impl State {
    fn next_turn(&mut self) -> u64 {
        self.turn += 1;
        self.turn
    }

    /// Closes the one of these that has been idle for the longest time.
    fn push_out(&mut self, of: impl Fn(&Guest) -> bool) -> bool {
        let idle = self.guests.iter().filter(|(_, guest)| of(guest));
        let idle = idle.filter_map(|(id, guest)| Some((guest.idle_since?, *id)));
        let Some((_, id)) = idle.min() else {
            return false;
        };
        self.remove(id);
        true
    }

    /// The client with the most connections among those that have an idle one.
    fn greediest_idle(&self) -> Option<Client> {
        let idle = self.guests.values();
        let idle = idle.filter(|guest| guest.idle_since.is_some());
        let most = idle.max_by_key(|guest| self.by_client.get(&guest.client));
        most.map(|guest| guest.client)
    }

    fn remove(&mut self, id: u64) {
        if let Some(guest) = self.guests.remove(&id) {
            guest.leave.cancel();
            subtract(&mut self.by_client, guest.client);
        }
    }
}

impl Stay {
    /// Starts an exchange.
    pub(super) fn begin(&self) -> Busy {
        if let Some(guest) = lock(&self.crowd.state).guests.get_mut(&self.id) {
            guest.idle_since = None;
        }
        Busy {
            crowd: Arc::clone(&self.crowd),
            id: self.id,
            slot: self.crowd.slots.take(self.client),
        }
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        lock(&self.crowd.state).remove(self.id);
    }
}

impl Busy {
    /// Whether any request may be answered. Otherwise only those that are always answered.
    pub(super) fn is_admitted(&self) -> bool {
        self.slot.is_some()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = lock(&self.crowd.state);
        let turn = state.next_turn();
        if let Some(guest) = state.guests.get_mut(&self.id) {
            guest.idle_since = Some(turn);
        }
    }
}

/// The share of one client.
pub(super) fn share(slots: usize) -> usize {
    slots.div_ceil(2)
}

fn subtract(counts: &mut HashMap<Client, usize>, client: Client) {
    match counts.get_mut(&client) {
        Some(count) if *count > 1 => *count -= 1,
        _ => drop(counts.remove(&client)),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(address: &str) -> Client {
        SocketAddr::new(address.parse().unwrap(), 1).into()
    }

    fn enter(crowd: &Arc<Crowd>, address: &str) -> Option<Stay> {
        match crowd.enter(client(address)) {
            Entry::Free(stay) | Entry::Instead(stay) => Some(stay),
            Entry::Full => None,
        }
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_client() {
        assert_eq!(client("10.0.0.1"), client("::ffff:10.0.0.1"));
        assert_ne!(client("10.0.0.1"), client("10.0.0.2"));
        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:1"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
    }

    #[test]
    fn a_client_gets_its_share_of_the_slots() {
        let slots = Arc::new(Slots::new(3, 2));
        let (a, b) = (client("10.0.0.1"), client("10.0.0.2"));
        let first = slots.take(a).unwrap();
        let _second = slots.take(a).unwrap();
        assert!(slots.take(a).is_none());
        let _third = slots.take(b).unwrap();
        assert!(slots.take(b).is_none(), "all slots are in use");
        drop(first);
        assert!(slots.take(a).is_some());
    }

    #[test]
    fn the_longest_idle_connection_of_the_largest_client_is_closed() {
        let crowd = Arc::new(Crowd::new(4));
        let first = enter(&crowd, "10.0.0.1").unwrap();
        let second = enter(&crowd, "10.0.0.1").unwrap();
        drop(first.begin());
        let third = enter(&crowd, "10.0.0.1").unwrap();
        assert!(
            second.leave.is_cancelled(),
            "idle for longer than the first"
        );
        assert!(!first.leave.is_cancelled() && !third.leave.is_cancelled());
        let busy = [first.begin(), third.begin()];
        assert!(busy.iter().all(Busy::is_admitted));
        let fourth = enter(&crowd, "10.0.0.1").unwrap();
        assert!(!first.leave.is_cancelled(), "no exchange is interrupted");
        assert!(!fourth.begin().is_admitted(), "the client uses its share");
        let other = enter(&crowd, "10.0.0.2").unwrap();
        assert!(other.begin().is_admitted());
    }

    #[test]
    fn the_client_with_the_fewest_connections_loses_one_last() {
        let crowd = Arc::new(Crowd::new(4));
        let modest = enter(&crowd, "10.1.0.1").unwrap();
        let others: Vec<_> = (0..RESERVE + 3)
            .map(|n| enter(&crowd, &format!("10.0.{}.1", n / 2)).unwrap())
            .collect();
        let next = enter(&crowd, "10.2.0.1").unwrap();
        assert!(!modest.leave.is_cancelled());
        let gone = others.iter().filter(|stay| stay.leave.is_cancelled());
        assert_eq!(gone.count(), 1);
        let _busy: Vec<_> = others
            .iter()
            .chain([&modest, &next])
            .map(Stay::begin)
            .collect();
        assert!(
            enter(&crowd, "10.3.0.1").is_none(),
            "no connection can be closed"
        );
        drop(next);
        assert!(enter(&crowd, "10.3.0.1").is_some());
    }
}
