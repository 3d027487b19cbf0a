//! Many hosts hang at once: the others are polled in time.

use futures_util::future::join_all;

use super::{
    lab::{Reply, ScriptedServer, before, settings},
    *,
};

/// 3,000 hosts, 1,024 places and an interval of 10 s, divided by ten.
const HOSTS: usize = 300;
const PLACES: usize = 102;
const INTERVAL: Duration = Duration::from_secs(10);
/// Half of the wake grid: one percent of the interval.
const GRID: Duration = Duration::from_millis(100);
const ANSWER: Duration = Duration::from_millis(5);
const PATHS: [&str; 3] = ["/a", "/b", "/c"];

/// When the hosts begin to hang: their timeouts have learned from 20 answers.
const OUTAGE: Duration = Duration::from_secs(230);
const END: Duration = Duration::from_secs(300);

/// How long after its tick each poll ended, at the longest.
struct Lateness {
    longest: Arc<Mutex<Duration>>,
    polls: Arc<AtomicUsize>,
}

impl Sink for Lateness {
    fn follow(&mut self, _target: &Arc<Target>) {}

    fn accept(&mut self, poll: Poll) {
        if poll.is_round() {
            assert_eq!(errors(&poll), [None; 3], "a host that answers");
            self.polls.fetch_add(1, Ordering::Relaxed);
            let mut longest = self.longest.lock().unwrap();
            *longest = poll.duration.max(*longest);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn hosts_that_hang_take_no_place_from_others() {
    let mut settings = ResilienceSettings {
        interval: INTERVAL,
        deadline: INTERVAL / 10 * 9,
        ..settings()
    };
    settings.timeout.adaptive = true;
    let fleet = ReceiverResilience::new(settings);
    let shared = before(
        &ScriptedServer::new(|_| Reply::Good),
        &fleet,
        PLACES,
        &PATHS,
    );
    let shared = Arc::clone(&shared.endpoints[0].shared);
    let timing = Timing {
        // So many that each first poll is made in its slot.
        targets: 1000,
        all_targets: 1000,
        ..every(INTERVAL)
    };
    let (longest, polls) = (Arc::default(), Arc::default());
    let stop = CancellationToken::new();
    let polling = (0..HOSTS).map(|number| {
        let hangs = number % 5 < 2;
        let server = ScriptedServer::new(move |sent| match sent.at > OUTAGE && hangs {
            true => Reply::Hang,
            false => Reply::After(ANSWER),
        });
        let sink: Box<dyn Sink> = match hangs {
            true => nowhere(),
            false => Box::new(Lateness {
                longest: Arc::clone(&longest),
                polls: Arc::clone(&polls),
            }),
        };
        let (fleet, shared, stop) = (Arc::clone(&fleet), Arc::clone(&shared), stop.clone());
        async move {
            let mut poller = before(&server, &fleet, PLACES, &PATHS);
            for endpoint in &mut poller.endpoints {
                endpoint.shared = Arc::clone(&shared);
            }
            let target = Target::clone(&poller.target);
            let name = format!("node-{number}");
            poller.target = Arc::new(Target { name, ..target });
            go(&poller, timing, sink, stop).await;
        }
    });
    let stopper = async {
        sleep(END).await;
        stop.cancel();
    };
    tokio::join!(join_all(polling), stopper);
    assert!(polls.load(Ordering::Relaxed) > HOSTS * 3 / 5 * 28);
    let longest = *longest.lock().unwrap();
    assert!(longest <= ANSWER + GRID, "{longest:?}");
}
