//! A DNS server inside a test.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use hickory_resolver::proto::{
    op::{Message, OpCode, ResponseCode},
    rr::{
        Name, RData, Record,
        rdata::{A, SRV},
    },
};
use tokio::{net::UdpSocket, task::JoinSet};

/// The records of each name. `None` if the server fails for it.
type Zone = BTreeMap<Name, Option<Vec<RData>>>;

/// A server on a free port, stopped on drop. A name without records does not exist.
pub(crate) struct DnsServer {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    _tasks: JoinSet<()>,
}

impl DnsServer {
    pub(crate) async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let zone = Arc::new(Mutex::new(Zone::new()));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(socket, Arc::clone(&zone)));
        Self {
            address,
            zone,
            _tasks: tasks,
        }
    }

    /// Its address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the addresses of a name.
    pub(crate) fn a(&self, name: &str, addresses: &[&str]) {
        let records = addresses
            .iter()
            .map(|address| RData::A(A(address.parse().unwrap())));
        self.set(name, Some(records.collect()));
    }

    /// Sets the hosts and ports of a name.
    pub(crate) fn srv(&self, name: &str, hosts: &[(&str, u16)]) {
        let record =
            |(host, port): &(&str, u16)| RData::SRV(SRV::new(0, 0, *port, host.parse().unwrap()));
        self.set(name, Some(hosts.iter().map(record).collect()));
    }

    /// Answers SERVFAIL for a name.
    pub(crate) fn fail(&self, name: &str) {
        self.set(name, None);
    }

    fn set(&self, name: &str, records: Option<Vec<RData>>) {
        let name = name.parse().unwrap();
        self.zone.lock().unwrap().insert(name, records);
    }
}

async fn serve(socket: UdpSocket, zone: Arc<Mutex<Zone>>) {
    let mut buffer = [0; 4096];
    while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
        let request = Message::from_vec(&buffer[..length]).unwrap();
        let query = request.queries.first().unwrap().clone();
        let mut answer = Message::response(request.id, OpCode::Query);
        answer.add_query(query.clone());
        match zone.lock().unwrap().get(query.name()) {
            Some(Some(records)) => answer.add_answers(
                records
                    .iter()
                    .map(|data| Record::from_rdata(query.name().clone(), 300, data.clone())),
            ),
            Some(None) => {
                answer.metadata.response_code = ResponseCode::ServFail;
                &mut answer
            }
            None => {
                answer.metadata.response_code = ResponseCode::NXDomain;
                &mut answer
            }
        };
        socket
            .send_to(&answer.to_vec().unwrap(), client)
            .await
            .unwrap();
    }
}
