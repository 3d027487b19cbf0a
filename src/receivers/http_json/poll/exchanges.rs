//! Several requests in one attempt: the pages of an answer, and answers for each element of another
//! endpoint's answer.
//!
//! They are one poll of the endpoint. Each answer is mapped where it arrives, so that its document
//! is not kept, and what they gave is joined at the end. An answer that is not whole is none: a page
//! that fails fails its answer. The attempt fails if there is no answer at all.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use http::HeaderMap;
use reqwest::Url;
use tokio::time::Instant;

use super::{
    endpoint::{EndpointPoller, ReceiverParts, is_heavy},
    failure::ResponseError,
    pages::{NextPage, NextPageError, PageAddress, PageWalk, TIMES_BODY_LIMIT},
    receive::{hold, read_part},
};
use crate::{
    definition::{Definition, FoundElements, Pages, RequestElement},
    pipeline::{
        Body, BodyPart, Derived, ErrorType, LARGE_BYTES, PartReadings, Problem, ProblemReason,
        Share,
    },
    receivers::http_json::{http::transport::TransportRequest, poll::body_mapper::MappedPart},
    resilience::{
        cache::CacheHeaders,
        executor::{AttemptRequest, AttemptResponse},
    },
    runtime::heavy,
    telemetry::chain,
};

/// The most requests for elements at the same time, where the host is known to survive one.
pub(crate) const AT_ONCE: usize = 4;

/// So many requests for elements in a row that got no answer end the attempt.
const UNANSWERED_MAX: usize = 3;

/// The requests of one attempt.
struct Exchanges<'e> {
    endpoint: &'e EndpointPoller,
    order: &'e AttemptRequest,
    has_begun: Option<&'e Arc<AtomicBool>>,
    texts: Mutex<Texts>,
    /// Requests in a row that got no answer.
    unanswered: AtomicUsize,
}

/// The texts of all answers so far.
#[derive(Default)]
struct Texts {
    bytes: u64,
    share: Option<Share>,
}

/// The pages of one answer.
#[derive(Default)]
struct Answer {
    derived: Vec<Derived>,
    parts: Vec<BodyPart>,
    readings: Vec<PartReadings>,
    repaired: u64,
    accepted_status: Option<u16>,
    /// The number of answers with more pages than may be read.
    cut: usize,
}

/// One page.
struct Page {
    part: BodyPart,
    mapped: MappedPart,
    headers: HeaderMap,
    /// Where it is, if redirects led there.
    redirected_to: Option<Url>,
    accepted_status: Option<u16>,
}

impl EndpointPoller {
    /// Makes the requests of one attempt, if there may be several.
    pub(super) async fn exchange_all(
        &self,
        order: &AttemptRequest,
        has_begun: Option<&Arc<AtomicBool>>,
    ) -> Result<AttemptResponse, ResponseError> {
        let exchanges = Exchanges {
            endpoint: self,
            order,
            has_begun,
            texts: Mutex::default(),
            unanswered: AtomicUsize::new(0),
        };
        let (answer, problems) = match &self.origin {
            None => (exchanges.answer(0, None).await?, Vec::new()),
            Some(origin) => {
                let found = origin.found().ok_or(ResponseError::Unasked)?;
                let (answer, problem) = exchanges.answers(&found).await?;
                let left_out = self.left_out(&found);
                (answer, problem.into_iter().chain(left_out).collect())
            }
        };
        let body = exchanges.body(answer, problems).await?;
        Ok(AttemptResponse::Body(body, CacheHeaders::default()))
    }

    /// That there are more pages than may be read.
    fn cut(&self, pages: &Pages, count: usize) -> Problem {
        let detail = format!("there are more than {} pages (`pages: {{max}}`)", pages.max);
        self.problem(ProblemReason::MaxPages, count, detail)
    }
}

impl Exchanges<'_> {
    fn shared(&self) -> &ReceiverParts {
        &self.endpoint.shared
    }

    /// The answers for all elements, and that some requests failed. Fails if all of them do.
    async fn answers(
        &self,
        found: &FoundElements,
    ) -> Result<(Answer, Option<Problem>), ResponseError> {
        let at_once = if self.order.alone { 1 } else { AT_ONCE };
        let elements = found.elements.iter().enumerate();
        let asked = elements.map(|(group, element)| self.answer_for(group, element).boxed());
        let asked: Vec<BoxFuture<'_, _>> = asked.collect();
        let results: Vec<_> = stream::iter(asked).buffered(at_once).collect().await;
        let mut all = Answer::default();
        let mut failed = Vec::new();
        for (element, result) in found.elements.iter().zip(results) {
            match result {
                Ok(answer) => all.append(answer, &self.endpoint.mapper.definition),
                Err(error) => failed.push((element, error)),
            }
        }
        let count = failed.len();
        // What was not sent says less than what was.
        let first = failed.iter().position(|(_, error)| error.was_sent());
        let first = first.unwrap_or_default();
        let Some((element, error)) = failed.into_iter().nth(first) else {
            return Ok((all, None));
        };
        if all.parts.is_empty() {
            return Err(error);
        }
        let name = self.endpoint.element_name();
        let detail = format!("{name} `{}`: {}", element.key, chain(&error));
        let problem = self.endpoint.problem(ProblemReason::Request, count, detail);
        Ok((all, Some(problem)))
    }

    /// The answer for an element, unless nothing answers any more.
    async fn answer_for(
        &self,
        group: usize,
        element: &Arc<RequestElement>,
    ) -> Result<Answer, ResponseError> {
        let is_over = Instant::now() >= self.order.deadline;
        if is_over || self.unanswered.load(Ordering::Relaxed) >= UNANSWERED_MAX {
            return Err(ResponseError::Unasked);
        }
        let answer = self.answer(group, Some(element)).await;
        match &answer {
            Err(error) if error.is_silence() => {
                self.unanswered.fetch_add(1, Ordering::Relaxed);
            }
            _ => self.unanswered.store(0, Ordering::Relaxed),
        }
        answer
    }

    /// All pages of one answer.
    async fn answer(
        &self,
        group: usize,
        element: Option<&Arc<RequestElement>>,
    ) -> Result<Answer, ResponseError> {
        let pages = self.endpoint.pages.as_deref();
        let mut request = TransportRequest {
            has_begun: self.has_begun.cloned(),
            ..self.endpoint.request(self.order, element.map(|of| &**of))?
        };
        let mut walk = pages.map(|pages| PageWalk::from(pages, &mut request.url));
        let mut answer = Answer::default();
        loop {
            let number = answer.parts.len() + 1;
            let page = self.counted_page(&request, group, element).await;
            let page = page.map_err(|error| self.of_page(number, error))?;
            let next = match &mut walk {
                Some(walk) => {
                    different(walk, number, answer.parts.last(), &page.part)?;
                    let at = page.redirected_to.as_ref().unwrap_or(&request.url);
                    let from = PageAddress {
                        asked: &request.url,
                        at,
                    };
                    walk.next(from, page.mapped.clue.clone(), &page.headers)?
                }
                None => NextPage::None,
            };
            answer.add(page, &self.endpoint.mapper.definition);
            match next {
                NextPage::At(url) => request.url = url,
                NextPage::None => return Ok(answer),
                NextPage::OverMax => {
                    answer.cut = 1;
                    return Ok(answer);
                }
            }
        }
    }

    /// A failure of a page. If its time ended with that of the poll, there are too many pages.
    fn of_page(&self, number: usize, error: ResponseError) -> ResponseError {
        let is_over = Instant::now() >= self.order.deadline;
        match error {
            error if number == 1 => error,
            ResponseError::Timeout(_) if is_over => {
                let pages = number - 1;
                NextPageError::Time { pages }.into()
            }
            error @ ResponseError::NextPage(_) => error,
            source => ResponseError::Page {
                number,
                source: Box::new(source),
            },
        }
    }

    async fn counted_page(
        &self,
        request: &TransportRequest,
        group: usize,
        element: Option<&Arc<RequestElement>>,
    ) -> Result<Page, ResponseError> {
        let started = Instant::now();
        let part = BodyPart {
            raw: Bytes::new(),
            group,
            element: element.cloned(),
        };
        let page = self.page(request, part).await;
        let error_type = match &page {
            Err(error) if !error.was_sent() => return page,
            Err(error) => Some(error.error_type()),
            Ok(page) => page.accepted_status.map(ErrorType::Status),
        };
        let receiver = &self.shared().telemetry;
        self.endpoint
            .telemetry
            .requested(receiver, started.elapsed(), error_type);
        page
    }

    async fn page(
        &self,
        request: &TransportRequest,
        mut part: BodyPart,
    ) -> Result<Page, ResponseError> {
        let endpoint = self.endpoint;
        let left = self
            .order
            .deadline
            .saturating_duration_since(Instant::now());
        let limit = self.order.timeout.min(left);
        let make = || Ok(request.clone());
        let fetched = endpoint.fetch(make, self.order, limit).await?;
        let (response, request) = fetched;
        let response = endpoint.accepted(&request, response)?;
        let (headers, status) = (response.headers.clone(), response.status);
        let redirected_to = response.redirected_to.clone();
        let is_heavy = is_heavy(&response);
        let mapper = Arc::clone(&endpoint.mapper);
        let pages = endpoint.pages.clone();
        let read = move || {
            let read = read_part(&mapper, response, &request, &mut part, pages.as_deref());
            read.map(|(mapped, share)| (part, mapped, share))
        };
        let (part, mapped, share) = endpoint.work(is_heavy, read).await??;
        self.hold(&part, share)?;
        Ok(Page {
            part,
            mapped,
            headers,
            redirected_to,
            accepted_status: (!status.is_success()).then_some(status.as_u16()),
        })
    }

    /// Counts the text of an answer among those of the attempt.
    fn hold(&self, part: &BodyPart, share: Option<Share>) -> Result<(), ResponseError> {
        let ReceiverParts {
            memory,
            body_limit_bytes,
            ..
        } = self.shared();
        let limit_bytes = body_limit_bytes.saturating_mul(TIMES_BODY_LIMIT);
        // What is in it is consistent at every moment.
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        texts.bytes += part.raw.len() as u64;
        let bytes = texts.bytes;
        if bytes > limit_bytes {
            return Err(NextPageError::TooLarge { limit_bytes }.into());
        }
        drop(share);
        if bytes > LARGE_BYTES as u64 {
            hold(&mut texts.share, bytes, memory)?;
        }
        Ok(())
    }

    /// The body that the answers make together.
    async fn body(&self, answer: Answer, problems: Vec<Problem>) -> Result<Body, ResponseError> {
        let texts = std::mem::take(&mut *self.texts.lock().unwrap_or_else(PoisonError::into_inner));
        let size = usize::try_from(texts.bytes).unwrap_or(usize::MAX);
        let Answer {
            derived,
            parts,
            readings,
            repaired,
            accepted_status,
            cut,
        } = answer;
        let mapper = Arc::clone(&self.endpoint.mapper);
        let join = move || mapper.join(readings);
        let mut readings = match size > LARGE_BYTES {
            true => heavy::offload(join).await?,
            false => join(),
        };
        let pages = self.endpoint.pages.as_deref().filter(|_| cut > 0);
        let cut = pages.map(|pages| self.endpoint.cut(pages, cut));
        readings.problems.extend(cut.into_iter().chain(problems));
        let first = parts.first().map(|part| part.raw.clone());
        let received = self.shared().clock.now();
        let body = self
            .endpoint
            .mapper
            .reader
            .body(first.unwrap_or_default(), received);
        let mut body = body
            .in_parts(parts, size)
            .accounted(texts.share, &self.shared().kept);
        body.repaired = repaired;
        body.accepted_status = accepted_status;
        body.set_readings(readings);
        body.set_derived(derived);
        Ok(body)
    }
}

impl Answer {
    fn add(&mut self, page: Page, definition: &Definition) {
        let Page {
            part,
            mapped,
            accepted_status,
            ..
        } = page;
        let page = Self {
            derived: mapped.derived,
            parts: vec![part],
            readings: vec![mapped.readings],
            repaired: mapped.repaired,
            accepted_status,
            cut: 0,
        };
        self.append(page, definition);
    }

    fn append(&mut self, mut other: Self, definition: &Definition) {
        self.parts.append(&mut other.parts);
        self.readings.append(&mut other.readings);
        self.repaired += other.repaired;
        self.accepted_status = self.accepted_status.or(other.accepted_status);
        self.cut += other.cut;
        for new in other.derived {
            let known = self
                .derived
                .iter_mut()
                .find(|of| of.endpoint == new.endpoint);
            let Some(known) = known else {
                self.derived.push(new);
                continue;
            };
            let derivation = definition.endpoints.get(new.endpoint);
            let max = derivation.and_then(|of| of.derivation.as_ref());
            let max = max.map_or(0, |of| of.max);
            let found = FoundElements::clone(&known.found);
            known.found = Arc::new(found.and(&new.found, max));
        }
    }
}

/// Fails for a page that is the one before it: the API does not know the parameter.
fn different(
    walk: &PageWalk<'_>,
    page: usize,
    before: Option<&BodyPart>,
    new: &BodyPart,
) -> Result<(), NextPageError> {
    let is_same = before.is_some_and(|before| before.raw == new.raw);
    match walk.number_parameter() {
        Some(parameter) if is_same => Err(NextPageError::Same {
            page,
            parameter: parameter.to_owned(),
        }),
        _ => Ok(()),
    }
}
