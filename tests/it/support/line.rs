//! The path of points: collector, perhaps Rotel, receiver.

use betanet_collector::simulator::Node;

use super::{
    rotel::Rotel,
    sink::{OtlpSink, Point},
    stand::{Options, Stand},
};

/// How points reach the receiver.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Way {
    Direct,
    RotelHttp,
    RotelGrpc,
}

/// A running collector, the receiver, and what is between them.
pub(crate) struct Line {
    pub(crate) stand: Stand,
    pub(crate) sink: OtlpSink,
    rotel: Option<Rotel>,
}

impl Line {
    /// Starts everything, the receiver first.
    pub(crate) async fn start(way: Way, nodes: &[(&str, &Node)]) -> Self {
        let sink = OtlpSink::start().await;
        let rotel = match way {
            Way::Direct => None,
            Way::RotelHttp | Way::RotelGrpc => Some(Rotel::start(&sink.url()).await),
        };
        let (id, endpoint) = match (&rotel, way) {
            (Some(rotel), Way::RotelGrpc) => ("otlp_grpc", rotel.grpc.clone()),
            (Some(rotel), _) => ("otlp_http", rotel.http.clone()),
            (None, _) => ("otlp_http", sink.url()),
        };
        let settings = format!(
            "{{endpoint: \"{endpoint}\", sending_queue: {{batch: {{flush_timeout: 20ms}}}}, \
             retry_on_failure: {{initial_interval: 50ms, max_interval: 100ms}}}}"
        );
        let options = Options {
            target: "labels: {region: eu}",
            exporters: vec![(id.to_owned(), settings)],
            ..Options::default()
        };
        let stand = options.start(nodes).await;
        Self { stand, sink, rotel }
    }

    /// Stops everything in the order in which points flow, and returns all points.
    pub(crate) async fn end(self) -> Vec<Point> {
        let (code, log) = self.stand.collector.stop().await;
        assert_eq!(code, Some(0), "{log}");
        if let Some(rotel) = self.rotel {
            rotel.stop().await;
        }
        self.sink.points()
    }
}
