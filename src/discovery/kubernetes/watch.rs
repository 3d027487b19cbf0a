//! Lists and watches one kind of object, for ever.

use std::{fmt::Debug, pin::Pin, sync::Arc, time::Duration};

use futures_util::{
    Stream, StreamExt as _,
    stream::{self, BoxStream},
};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        core::v1::{Endpoints, Namespace, Node, Pod, Service},
        discovery::v1::EndpointSlice,
        networking::v1::Ingress,
    },
};
use kube::{
    Api, Client,
    runtime::watcher::{self, Event, watcher},
};
use serde::de::DeserializeOwned;
use tokio::time::sleep;

use super::{
    config::SelectorConfig,
    connection::Connection,
    objects::{ObjectKey, Record, Recorded},
    resource::Resource,
    transport::{Answered, Transport},
};
use crate::telemetry::chain;

/// After a failure the API server is asked again that soon, and at twice the time after each
/// further one.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(10);

/// How many letters of what the API server says are shown.
const MESSAGE_LETTERS_MAX: usize = 300;

/// What a watch tells.
#[derive(Debug)]
pub(super) enum Change {
    /// All objects follow, and then [`Change::Listed`].
    Listing,
    /// An object is there, or is another now.
    Applied { key: ObjectKey, record: Box<Record> },
    /// An object is gone.
    Deleted(ObjectKey),
    /// Objects that did not come since [`Change::Listing`] are gone.
    Listed,
    /// The API server does not know any more what has changed since the last event: a list follows.
    Expired,
    /// The API server cannot be asked; it is tried again.
    Failed(WatchError),
}

/// Why the API server says nothing of use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum WatchError {
    /// Such as 403, where the account may not list them.
    #[error("the API server refuses to list or watch {resource} with {code}: {message}")]
    Refused {
        resource: &'static str,
        code: u16,
        message: String,
    },
    #[error("cannot list or watch {resource}: {why}")]
    Failed { resource: &'static str, why: String },
}

impl WatchError {
    /// The class of the error, for metrics.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "status",
            Self::Failed { .. } => "request",
        }
    }

    fn of(resource: Resource, error: watcher::Error) -> Self {
        use watcher::Error::{
            InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed,
        };
        let resource = resource.name();
        let error = match error {
            InitialListFailed(error) | WatchStartFailed(error) | WatchFailed(error) => error,
            WatchError(status) => kube::Error::Api(status),
            NoResourceVersion => {
                let why = "an object has no `resourceVersion`".to_owned();
                return Self::Failed { resource, why };
            }
        };
        match error {
            kube::Error::Api(status) => Self::Refused {
                resource,
                code: status.code,
                message: shortened(&status.message),
            },
            kube::Error::Service(error) => Self::Failed {
                resource,
                why: shortened(&chain(&*error)),
            },
            // Its text holds that of its source.
            other => Self::Failed {
                resource,
                why: shortened(&other.to_string()),
            },
        }
    }

    fn is_expired(&self) -> bool {
        matches!(self, Self::Refused { code: 410, .. })
    }
}

/// One line of the first letters.
fn shortened(text: &str) -> String {
    let letters = text.chars().take(MESSAGE_LETTERS_MAX);
    letters
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}

/// What is watched.
pub(super) struct Watched<'w> {
    pub(super) resource: Resource,
    /// All namespaces if none is given.
    pub(super) namespace: Option<&'w str>,
    pub(super) selector: Option<&'w SelectorConfig>,
}

/// Watches objects from when it is first polled. Within a tokio runtime.
pub(super) fn watch(
    connection: &Connection,
    of: &Watched<'_>,
    answered: Arc<Answered>,
) -> BoxStream<'static, Change> {
    let client = Client::new(Transport::new(connection, answered), "default");
    let mut config = watcher::Config::default();
    if let Some(selector) = of.selector {
        let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        config.label_selector = given(&selector.label);
        config.field_selector = given(&selector.field);
    }
    let watch = Watch {
        client,
        config,
        resource: of.resource,
    };
    match of.resource {
        Resource::Pods => watch.run(namespaced::<Pod>(&watch.client, of.namespace)),
        Resource::Services => watch.run(namespaced::<Service>(&watch.client, of.namespace)),
        Resource::Endpoints => watch.run(namespaced::<Endpoints>(&watch.client, of.namespace)),
        Resource::EndpointSlices => {
            watch.run(namespaced::<EndpointSlice>(&watch.client, of.namespace))
        }
        Resource::Ingresses => watch.run(namespaced::<Ingress>(&watch.client, of.namespace)),
        Resource::Nodes => watch.run(Api::<Node>::all(watch.client.clone())),
        Resource::Namespaces => watch.run(Api::<Namespace>::all(watch.client.clone())),
    }
}

fn namespaced<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

struct Watch {
    client: Client,
    config: watcher::Config,
    resource: Resource,
}

/// The state between two changes.
struct Running<S> {
    events: Pin<Box<S>>,
    failures: u32,
    /// How long to wait before the API server is asked again.
    pause: Option<Duration>,
}

impl Watch {
    fn run<K>(&self, api: Api<K>) -> BoxStream<'static, Change>
    where
        K: kube::Resource + Recorded + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let resource = self.resource;
        let running = Running {
            events: Box::pin(watcher(api, self.config.clone())),
            failures: 0,
            pause: None,
        };
        let changes = stream::unfold(running, move |mut running| async move {
            let change = running.next(resource).await?;
            Some((change, running))
        });
        changes.boxed()
    }
}

impl<S, K> Running<S>
where
    S: Stream<Item = Result<Event<K>, watcher::Error>>,
    K: kube::Resource + Recorded,
{
    async fn next(&mut self, resource: Resource) -> Option<Change> {
        if let Some(pause) = self.pause.take() {
            sleep(pause).await;
        }
        let event = match self.events.next().await? {
            Ok(event) => event,
            Err(error) => {
                let doubled = 2_u32.saturating_pow(self.failures);
                self.pause = Some(FIRST_RETRY.saturating_mul(doubled).min(RETRY_MAX));
                self.failures = self.failures.saturating_add(1);
                let error = WatchError::of(resource, error);
                return Some(match error.is_expired() {
                    true => Change::Expired,
                    false => Change::Failed(error),
                });
            }
        };
        let applied = |object: K| Change::Applied {
            key: ObjectKey::of(object.meta()),
            record: Box::new(object.record()),
        };
        if !matches!(event, Event::Init) {
            self.failures = 0;
        }
        Some(match event {
            // It comes before the API server is asked for the list.
            Event::Init => Change::Listing,
            Event::InitApply(object) | Event::Apply(object) => applied(object),
            Event::InitDone => Change::Listed,
            Event::Delete(object) => Change::Deleted(ObjectKey::of(object.meta())),
        })
    }
}
