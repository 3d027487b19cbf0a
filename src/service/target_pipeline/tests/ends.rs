//! The ends of series.

use super::*;

/// The series that ended, by name and Resource. It sends OTLP.
#[derive(Default)]
struct Ends(Mutex<Vec<String>>);

impl Ends {
    fn note(&self, messages: &[OtlpMessage]) {
        let messages = messages.iter().map(|message| message.decode().unwrap());
        let parts = messages.flat_map(|of| of.resource_metrics);
        for part in parts {
            let resource = part.resource.iter().flat_map(|of| &of.attributes);
            let split = resource.filter(|of| of.key == "split").count();
            let metrics = part.scope_metrics.iter().flat_map(|of| &of.metrics);
            for metric in metrics {
                let points = match &metric.data {
                    Some(Data::Gauge(of)) => &of.data_points,
                    Some(Data::Sum(of)) => &of.data_points,
                    other => panic!("{other:?}"),
                };
                let ended = points.iter().filter(|point| point.flags == 1);
                let named = ended.map(|_| format!("{} {split}", metric.name));
                self.0.lock().unwrap().extend(named);
            }
        }
    }

    fn take(&self) -> Vec<String> {
        let mut ends = std::mem::take(&mut *self.0.lock().unwrap());
        ends.sort();
        ends
    }
}

#[async_trait::async_trait]
impl Exporter for Ends {
    fn export(&self, snapshot: &Snapshot<'_>) {
        self.note(snapshot.otlp.messages());
    }

    fn ended(&self, _target: &Target, end_of_series: &EndOfSeries<'_>) {
        self.note(&end_of_series.messages(UNIX_EPOCH));
    }

    fn forget(&self, _target: &Target) {}
}

fn ends_of<const N: usize>(target_pipeline: &TargetPipeline, ids: [&str; N]) -> [Arc<Ends>; N] {
    let ends = ids.map(|id| (id, Arc::new(Ends::default())));
    let named = ends
        .each_ref()
        .map(|(id, ends)| (id.parse().unwrap(), Arc::clone(ends) as Arc<dyn Exporter>));
    target_pipeline.built.fan_out.set(Arc::new(named));
    ends.map(|(_, ends)| ends)
}

#[tokio::test(start_paused = true)]
async fn series_end_in_every_exporter_that_had_them() {
    let (mut target_pipeline, _seen) = prefixed();
    let [stays, leaves] = ends_of(&target_pipeline, ["file", "file/2"]);
    let values = || {
        vec![
            reading(0, 1, &[]),
            reading(1, 1, &[]),
            reading(0, 1, &["b"]),
        ]
    };
    target_pipeline.put(read(), values());
    target_pipeline.export();
    target_pipeline.put(read(), vec![reading(0, 1, &[])]);
    target_pipeline.export();
    for ends in [&stays, &leaves] {
        assert_eq!(ends.take(), ["x.gauge 1", "x.total 0"]);
    }
    target_pipeline.put(read(), values());
    target_pipeline.export();
    let only = (
        "file".parse().unwrap(),
        Arc::clone(&stays) as Arc<dyn Exporter>,
    );
    target_pipeline.built.fan_out.set(Arc::new([only]));
    target_pipeline.put(read(), values());
    target_pipeline.export();
    let all = ["x.gauge 0", "x.gauge 1", "x.total 0"];
    assert_eq!(
        (stays.take(), leaves.take()),
        (Vec::new(), all.map(String::from).to_vec())
    );
    let lost = ReadScopes {
        lost: read().scopes,
        scopes: vec!["own".into()],
        ..nothing()
    };
    target_pipeline.put(lost, Vec::new());
    target_pipeline.export();
    assert_eq!(stays.take(), all);
    target_pipeline.put(read(), values());
    target_pipeline.export();
    drop(target_pipeline);
    assert_eq!(
        (stays.take(), leaves.take()),
        (all.map(String::from).to_vec(), Vec::new())
    );
}

#[tokio::test(start_paused = true)]
async fn after_a_change_of_processors_only_renamed_series_end() {
    let (mut pipeline, _seen) = prefixed();
    let [ends] = ends_of(&pipeline, ["file"]);
    let values = || vec![reading(0, 1, &[]), reading(0, 1, &["b"])];
    pipeline.put(read(), values());
    pipeline.export();
    let meter = Meter::of(&SdkMeterProvider::default());
    let tail = |steps| PipelineTail::new(steps, &pipeline.built.fan_out, &meter);
    let same = tail(vec![step(Arc::new(Prefix))]);
    let twice = tail(vec![step(Arc::new(Prefix)), step(Arc::new(Prefix))]);
    let stream = Stream {
        target: Arc::clone(pipeline.shown.target()),
        schema: Arc::new(ReportMetrics::schema(pipeline.shown.target())),
        resource: instruments::resource(pipeline.shown.target()),
    };
    pipeline.apply(same.build(stream.clone()));
    pipeline.put(read(), values());
    pipeline.export();
    assert_eq!(ends.take(), [""; 0]);
    pipeline.apply(twice.build(stream));
    pipeline.put(read(), values());
    pipeline.export();
    assert_eq!(ends.take(), ["x.gauge 0", "x.gauge 1"]);
}
