//! Credentials that are fetched over the network, shared and renewed: a token, a session.
//!
//! However many requests wait, one fetch is under way. It is a task of its own, so that a poll that
//! gives up does not end it. Credentials are renewed in the background before they expire. After a
//! failure nobody tries again for a while, which doubles up to [`MAX_PAUSE`].

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{sync::watch, time::Instant};

use super::{AuthError, Credentials, is_same};
use crate::{pipeline::Reporter, runtime::Tasks, telemetry::chain};

/// The pause after the first failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause.
pub(super) const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Fetches credentials once: no retry.
#[async_trait]
pub trait Fetch: fmt::Debug + Send + Sync + 'static {
    /// Fetches them. It limits its own time.
    ///
    /// # Errors
    /// If there are none.
    async fn fetch(&self) -> Result<Fetched, AuthError>;
}

/// New credentials.
#[derive(Debug)]
pub struct Fetched {
    /// The credentials.
    pub credentials: Arc<dyn Credentials>,
    /// How long they are valid. `None` if nobody knows.
    pub lifetime: Option<Duration>,
    /// They are renewed so long before their end, but not in the first half of their life.
    pub renew_before: Duration,
}

/// Who fetches, and where it runs and reports.
pub struct SharedCredentials {
    fetch: Box<dyn Fetch>,
    tasks: Tasks,
    status: Reporter,
    state: Mutex<SharedState>,
}

#[derive(Default)]
struct SharedState {
    current: Option<Held>,
    /// What the fetch that is under way comes to.
    flight: Option<watch::Receiver<Option<Outcome>>>,
    failure: Option<Failure>,
    refusals: Refusals,
}

type Outcome = Result<Arc<dyn Credentials>, AuthError>;

struct Held {
    credentials: Arc<dyn Credentials>,
    renew_at: Option<Instant>,
    expires_at: Option<Instant>,
}

/// The last failure.
struct Failure {
    error: AuthError,
    pause: Duration,
    until: Instant,
}

/// The fetches that refusals caused. Many servers that refuse whatever they get must not make the
/// collector fetch for each of them: the pause between two such fetches doubles, up to
/// [`MAX_PAUSE`], until there has been none for a while.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    count: u32,
    last: Option<Instant>,
}

/// The fetch ended without a result, because it panicked or the collector stops.
#[derive(Debug, thiserror::Error)]
#[error("the fetch of the credentials was stopped")]
struct Stopped;

impl SharedCredentials {
    /// No credentials yet. The tasks of `tasks` fetch them, and `status` shows how that goes.
    pub fn new(fetch: impl Fetch, tasks: Tasks, status: Reporter) -> Arc<Self> {
        Arc::new(Self {
            fetch: Box::new(fetch),
            tasks,
            status,
            state: Mutex::default(),
        })
    }

    /// The current credentials, or new ones if there are none or they have expired.
    ///
    /// # Errors
    /// If they cannot be fetched, or if that failed a moment ago.
    pub async fn get(self: &Arc<Self>) -> Outcome {
        let flight = {
            let mut state = self.lock();
            let now = Instant::now();
            if let Some(held) = state.current.as_ref().filter(|held| !held.is_expired(now)) {
                let credentials = Arc::clone(&held.credentials);
                if held.is_due(now) {
                    // Whether it begins or not: these are still valid.
                    drop(self.begin(&mut state, now));
                }
                return Ok(credentials);
            }
            self.begin(&mut state, now)?
        };
        Self::landed(flight).await
    }

    /// Credentials other than `refused`: those that somebody else has already fetched, or new ones.
    /// `None` if `may_fetch` says no to a fetch, or if refusals have already caused too many. Neither
    /// matters to a fetch that is under way, or due, anyway.
    ///
    /// # Errors
    /// As of [`Self::get`].
    pub async fn other_than(
        self: &Arc<Self>,
        refused: &Arc<dyn Credentials>,
        may_fetch: impl FnOnce(Instant) -> bool,
    ) -> Result<Option<Arc<dyn Credentials>>, AuthError> {
        let flight = {
            let mut state = self.lock();
            let now = Instant::now();
            if let Some(held) = state.current.as_ref().filter(|held| !held.is_expired(now)) {
                if !is_same(&held.credentials, refused) {
                    return Ok(Some(Arc::clone(&held.credentials)));
                }
                // A server whose clock is ahead refuses what we hold for valid.
                let costs_a_fetch = !held.is_due(now) && state.flight().is_none();
                if costs_a_fetch && (!may_fetch(now) || !state.refusals.may_fetch(now)) {
                    return Ok(None);
                }
            }
            state.current = None;
            self.begin(&mut state, now)?
        };
        Self::landed(flight).await.map(Some)
    }

    /// Joins the fetch that is under way, or begins one.
    fn begin(
        self: &Arc<Self>,
        state: &mut SharedState,
        now: Instant,
    ) -> Result<watch::Receiver<Option<Outcome>>, AuthError> {
        if let Some(flight) = state.flight() {
            return Ok(flight.clone());
        }
        if let Some(failure) = state.failure.as_ref().filter(|of| now < of.until) {
            return Err(failure.error.clone());
        }
        let (landing, flight) = watch::channel(None);
        state.flight = Some(flight.clone());
        let shared = Arc::clone(self);
        self.tasks.spawn_isolated("fetch credentials", async move {
            let fetched = shared.fetch.fetch().await;
            landing.send_replace(Some(shared.landing(fetched)));
        });
        Ok(flight)
    }

    /// Keeps what a fetch came to.
    fn landing(&self, fetched: Result<Fetched, AuthError>) -> Outcome {
        let mut state = self.lock();
        let now = Instant::now();
        state.flight = None;
        match fetched {
            Ok(fetched) => {
                let held = Held::new(fetched, now);
                let credentials = Arc::clone(&held.credentials);
                state.current = Some(held);
                if state.failure.take().is_some() {
                    let authenticator = self.status.state().id;
                    tracing::info!(authenticator, "there are credentials again");
                }
                self.status.ok();
                Ok(credentials)
            }
            Err(error) => {
                let before = state.failure.take();
                let message = chain(&error);
                if before.is_none() {
                    let authenticator = self.status.state().id;
                    tracing::warn!(authenticator, error = message, "there are no credentials");
                }
                self.status.recoverable_error(message);
                let pause = before.map_or(FIRST_PAUSE, |before| before.pause * 2);
                let pause = pause.min(MAX_PAUSE);
                state.failure = Some(Failure {
                    error: error.clone(),
                    pause,
                    until: now + pause,
                });
                Err(error)
            }
        }
    }

    async fn landed(mut flight: watch::Receiver<Option<Outcome>>) -> Outcome {
        let landed = flight.wait_for(Option::is_some).await;
        let outcome = landed.ok().and_then(|outcome| outcome.clone());
        outcome.unwrap_or_else(|| Err(AuthError::new(Stopped)))
    }

    fn lock(&self) -> MutexGuard<'_, SharedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SharedState {
    /// The fetch that is under way.
    fn flight(&self) -> Option<&watch::Receiver<Option<Outcome>>> {
        self.flight.as_ref().filter(|of| of.has_changed().is_ok())
    }
}

impl Refusals {
    /// Whether a refusal may cause a fetch now.
    pub(super) fn may_fetch(&mut self, now: Instant) -> bool {
        let quiet = self.last.map(|last| now.duration_since(last));
        if quiet.is_none_or(|quiet| quiet >= MAX_PAUSE * 5) {
            self.count = 0;
        }
        let pause = match self.count {
            0 => Duration::ZERO,
            count => FIRST_PAUSE * 2_u32.saturating_pow(count.min(10)),
        };
        let may = quiet.is_none_or(|quiet| quiet >= pause.min(MAX_PAUSE));
        if may {
            self.count = self.count.saturating_add(1);
            self.last = Some(now);
        }
        may
    }
}

impl Held {
    fn new(fetched: Fetched, now: Instant) -> Self {
        let before = |lifetime: Duration| lifetime - fetched.renew_before.min(lifetime / 2);
        Self {
            credentials: fetched.credentials,
            renew_at: fetched
                .lifetime
                .and_then(|life| now.checked_add(before(life))),
            expires_at: fetched.lifetime.and_then(|life| now.checked_add(life)),
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.renew_at.is_some_and(|at| now >= at)
    }

    fn is_expired(&self, now: Instant) -> bool {
        self.expires_at.is_some_and(|at| now >= at)
    }
}

impl fmt::Debug for SharedCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedCredentials")
            .field("fetch", &self.fetch)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;
    use http::{HeaderValue, header::AUTHORIZATION};
    use tokio::time::{advance, sleep};

    use super::*;
    use crate::client::auth::HeaderCredentials;

    const LIFETIME: Duration = Duration::from_secs(600);

    /// Takes a second for each fetch. Fails while told so.
    #[derive(Debug, Clone, Default)]
    struct TokenServer {
        fetches: Arc<AtomicUsize>,
        is_down: Arc<Mutex<bool>>,
    }

    #[derive(Debug, thiserror::Error)]
    #[error("down")]
    struct Down;

    #[async_trait]
    impl Fetch for TokenServer {
        async fn fetch(&self) -> Result<Fetched, AuthError> {
            self.fetches.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_secs(1)).await;
            if *self.is_down.lock().unwrap() {
                return Err(AuthError::new(Down));
            }
            let value = HeaderValue::from_static("Bearer hunter2");
            Ok(Fetched {
                credentials: Arc::new(HeaderCredentials::new(AUTHORIZATION, value)),
                lifetime: Some(LIFETIME),
                renew_before: Duration::from_secs(60),
            })
        }
    }

    impl TokenServer {
        fn shared(&self) -> Arc<SharedCredentials> {
            let (tasks, _failures) = Tasks::new();
            SharedCredentials::new(self.clone(), tasks, Reporter::unheard())
        }

        fn fetches(&self) -> usize {
            self.fetches.load(Ordering::Relaxed)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn ten_thousand_that_wait_fetch_once() {
        let server = TokenServer::default();
        let shared = server.shared();
        let all = join_all((0..10_000).map(|_| shared.get())).await;
        assert_eq!(server.fetches(), 1);
        let first = all[0].as_ref().unwrap();
        assert!(all.iter().all(|got| is_same(got.as_ref().unwrap(), first)));
        // All of them are refused: the token was revoked.
        let all = join_all((0..10_000).map(|_| shared.other_than(first, |_| true))).await;
        assert_eq!(server.fetches(), 2);
        let other = |got: &Result<Option<_>, _>| got.clone().unwrap().unwrap();
        assert!(all.iter().all(|got| !is_same(&other(got), first)));
    }

    #[tokio::test(start_paused = true)]
    async fn servers_that_refuse_everything_cause_few_fetches() {
        let server = TokenServer::default();
        let shared = server.shared();
        // In ten minutes, each of ten thousand servers refuses whatever it gets.
        for _ in 0..10_000 {
            let used = shared.get().await.unwrap();
            let _other = shared.other_than(&used, |_| true).await.unwrap();
            advance(Duration::from_millis(60)).await;
        }
        assert!(
            (10..=18).contains(&server.fetches()),
            "{}",
            server.fetches()
        );
        // After a quiet time, a revoked token is renewed at once.
        sleep(MAX_PAUSE * 5).await;
        let used = shared.get().await.unwrap();
        assert!(shared.other_than(&used, |_| true).await.unwrap().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_at_its_end_is_renewed_however_many_were_refused_before() {
        let server = TokenServer::default();
        let shared = server.shared();
        let first = shared.get().await.unwrap();
        advance(LIFETIME - Duration::from_secs(60)).await;
        // Nobody has noticed that it is due, and then its renewal is under way.
        let other = shared.other_than(&first, |_| false).await.unwrap().unwrap();
        assert!(!is_same(&other, &first));
        advance(LIFETIME - Duration::from_secs(60)).await;
        assert!(is_same(&shared.get().await.unwrap(), &other));
        tokio::task::yield_now().await;
        let last = shared.other_than(&other, |_| false).await.unwrap().unwrap();
        assert!(!is_same(&last, &other));
        assert_eq!(server.fetches(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_does_not_end_the_fetch() {
        let server = TokenServer::default();
        let shared = server.shared();
        let half = Duration::from_millis(500);
        assert!(tokio::time::timeout(half, shared.get()).await.is_err());
        sleep(Duration::from_secs(1)).await;
        let begun = Instant::now();
        assert!(shared.get().await.is_ok());
        assert_eq!((server.fetches(), begun.elapsed()), (1, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn credentials_are_renewed_before_they_expire_and_nobody_waits() {
        let server = TokenServer::default();
        let shared = server.shared();
        let first = shared.get().await.unwrap();
        advance(LIFETIME - Duration::from_secs(60)).await;
        assert!(is_same(&shared.get().await.unwrap(), &first));
        sleep(Duration::from_secs(2)).await;
        assert_eq!(server.fetches(), 2);
        assert!(!is_same(&shared.get().await.unwrap(), &first));
        // Nobody asked until they had expired.
        advance(LIFETIME).await;
        assert!(shared.get().await.is_ok());
        assert_eq!(server.fetches(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_down_is_asked_less_and_less_often() {
        let server = TokenServer::default();
        let shared = server.shared();
        *server.is_down.lock().unwrap() = true;
        for _ in 0..600 {
            let error = shared.get().await.unwrap_err();
            assert_eq!(error.to_string(), "down");
            sleep(Duration::from_secs(1)).await;
        }
        assert!(
            (12..=18).contains(&server.fetches()),
            "{}",
            server.fetches()
        );
        let state = shared.status.state();
        assert_eq!(state.error.as_deref(), Some("down"));
        *server.is_down.lock().unwrap() = false;
        sleep(MAX_PAUSE).await;
        assert!(shared.get().await.is_ok());
        assert_eq!(shared.status.state().error, None);
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_server_is_down_valid_credentials_stay_in_use() {
        let server = TokenServer::default();
        let shared = server.shared();
        let first = shared.get().await.unwrap();
        *server.is_down.lock().unwrap() = true;
        advance(LIFETIME - Duration::from_secs(30)).await;
        for _ in 0..20 {
            assert!(is_same(&shared.get().await.unwrap(), &first));
            sleep(Duration::from_secs(1)).await;
        }
        sleep(Duration::from_secs(10)).await;
        assert!(shared.get().await.is_err(), "they have expired");
    }
}
