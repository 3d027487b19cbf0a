//! An API server of Kubernetes that does what a test tells it: lists, watches, 410 Gone, silence.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use betanet_collector::simulator::Listener;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What the server knows.
#[derive(Default)]
struct Cluster {
    pods: Vec<Value>,
    version: u64,
    /// All that happened since `oldest`, each with the version after it.
    events: Vec<(u64, Value)>,
    oldest: u64,
    /// What it answers in place of all lists and watches.
    refusal: Option<StatusCode>,
    requests: Vec<Request<()>>,
}

/// Serves the Pods of one namespace.
pub(crate) struct ApiServer {
    cluster: Arc<Mutex<Cluster>>,
    news: watch::Sender<u64>,
    address: SocketAddr,
    tasks: Option<JoinSet<()>>,
}

/// A Pod at this address and port of the machine.
pub(crate) fn pod(name: &str, address: SocketAddr) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "nodes", "labels": {"app": "node"}},
        "spec": {"containers": [{"name": "node", "image": "node:1",
                 "ports": [{"name": "http", "containerPort": address.port()}]}]},
        "status": {"podIP": address.ip().to_string(), "phase": "Running"}
    })
}

impl ApiServer {
    pub(crate) async fn start() -> Self {
        let mut server = Self {
            cluster: Arc::default(),
            news: watch::Sender::new(0),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            tasks: None,
        };
        server.cluster.lock().unwrap().version = 1;
        server.back().await;
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes a Pod, or changes one.
    pub(crate) fn put(&self, mut pod: Value) {
        let name = pod["metadata"]["name"].clone();
        self.change(|cluster| {
            pod["metadata"]["resourceVersion"] = json!(cluster.version.to_string());
            let before = cluster.pods.len();
            cluster.pods.retain(|of| of["metadata"]["name"] != name);
            cluster.pods.push(pod.clone());
            let kind = if cluster.pods.len() > before {
                "ADDED"
            } else {
                "MODIFIED"
            };
            json!({"type": kind, "object": pod})
        });
    }

    pub(crate) fn delete(&self, name: &str) {
        self.change(|cluster| {
            let of = |pod: &Value| pod["metadata"]["name"] == name;
            let position = cluster.pods.iter().position(of).unwrap();
            let mut pod = cluster.pods.remove(position);
            pod["metadata"]["resourceVersion"] = json!(cluster.version.to_string());
            json!({"type": "DELETED", "object": pod})
        });
    }

    fn change(&self, change: impl FnOnce(&mut Cluster) -> Value) {
        let mut cluster = self.cluster.lock().unwrap();
        cluster.version += 1;
        let event = change(&mut cluster);
        let version = cluster.version;
        cluster.events.push((version, event));
        drop(cluster);
        self.news.send_replace(version);
    }

    /// Forgets what happened: who watches from before has to list again.
    pub(crate) fn forget(&self) {
        let mut cluster = self.cluster.lock().unwrap();
        cluster.oldest = cluster.version;
        cluster.events.clear();
    }

    /// Answers everything so.
    pub(crate) fn refuse(&self, status: Option<StatusCode>) {
        self.cluster.lock().unwrap().refusal = status;
    }

    /// Ends all connections, and takes no others.
    pub(crate) async fn away(&mut self) {
        if let Some(mut tasks) = self.tasks.take() {
            tasks.shutdown().await;
        }
    }

    /// Listens, at the address that it had.
    pub(crate) async fn back(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let listener = Listener::new(listener);
        let (cluster, news) = (Arc::clone(&self.cluster), self.news.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (cluster, news) = (Arc::clone(&cluster), news.clone());
                let service = service_fn(move |request| {
                    let answer = answer(&request, &cluster, &news);
                    async move { Ok::<_, Infallible>(answer) }
                });
                connections.spawn(async move {
                    let connection = http1::Builder::new();
                    // A client may disconnect at any time.
                    let served = connection.serve_connection(TokioIo::new(stream), service);
                    served.await.ok();
                });
            }
        });
        self.tasks = Some(tasks);
    }

    /// What it was asked.
    pub(crate) fn requests(&self) -> Vec<Request<()>> {
        self.cluster.lock().unwrap().requests.clone()
    }
}

fn answer(
    request: &Request<Incoming>,
    cluster: &Arc<Mutex<Cluster>>,
    news: &watch::Sender<u64>,
) -> Response<Body> {
    let mut known = cluster.lock().unwrap();
    let mut asked = Request::new(());
    *asked.uri_mut() = request.uri().clone();
    *asked.headers_mut() = request.headers().clone();
    known.requests.push(asked);
    if let Some(status) = known.refusal {
        let message = "pods is forbidden: User \"x\" cannot list resource \"pods\"";
        return whole(status, &failure(status, message));
    }
    if request.uri().path() != "/api/v1/namespaces/nodes/pods" {
        let status = StatusCode::NOT_FOUND;
        return whole(status, &failure(status, "no such resource"));
    }
    let query = request.uri().query().unwrap_or_default();
    let value = |wanted: &str| {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        let pair = pairs.find(|(name, _)| name == wanted);
        pair.map(|(_, value)| value.into_owned())
    };
    if value("watch").is_none() {
        let version = known.version.to_string();
        let list = json!({"apiVersion": "v1", "kind": "PodList", "items": known.pods,
                          "metadata": {"resourceVersion": version}});
        return whole(StatusCode::OK, &list);
    }
    let from: u64 = value("resourceVersion").unwrap().parse().unwrap();
    let is_gone = from < known.oldest;
    drop(known);
    let watched = Arc::clone(cluster);
    let events = stream::unfold((from, news.subscribe(), is_gone), move |state| {
        let cluster = Arc::clone(&watched);
        next_event(state, cluster)
    });
    let frames = events.map(|event| {
        let line = format!("{event}\n");
        Ok::<_, Infallible>(Frame::data(Bytes::from(line)))
    });
    Response::new(BodyExt::boxed_unsync(StreamBody::new(frames)))
}

/// The first event after a version, when there is one; 410 Gone if it is not known any more.
async fn next_event(
    state: (u64, watch::Receiver<u64>, bool),
    cluster: Arc<Mutex<Cluster>>,
) -> Option<(Value, (u64, watch::Receiver<u64>, bool))> {
    let (after, mut news, is_gone) = state;
    if is_gone {
        // An end would let the client try again from the same version.
        let gone = failure(StatusCode::GONE, "too old resource version");
        let event = json!({"type": "ERROR", "object": gone});
        return Some((event, (after, news, false)));
    }
    loop {
        news.borrow_and_update();
        let next = {
            let cluster = cluster.lock().unwrap();
            let mut events = cluster.events.iter();
            events.find(|(version, _)| *version > after).cloned()
        };
        if let Some((version, event)) = next {
            return Some((event, (version, news, false)));
        }
        news.changed().await.ok()?;
    }
}

fn failure(status: StatusCode, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message,
           "reason": status.canonical_reason(), "code": status.as_u16()})
}

fn whole(status: StatusCode, body: &Value) -> Response<Body> {
    let body = Full::new(Bytes::from(body.to_string()));
    let answer = Response::builder().status(status);
    let answer = answer.header("content-type", "application/json");
    answer.body(BodyExt::boxed_unsync(body)).unwrap()
}
