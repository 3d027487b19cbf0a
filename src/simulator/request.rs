//! The few parts of a request that a node needs.

/// The parsed parts of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SimulatorRequest {
    /// The path without the query.
    pub(super) path: String,
    pub(super) is_get: bool,
    /// Whether the client wants no second response on this connection.
    pub(super) closes: bool,
}

impl SimulatorRequest {
    /// A `GET` of a path, after which the connection is not used again.
    pub(super) fn get(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            is_get: true,
            closes: true,
        }
    }

    /// `None` if the first line has no target.
    pub(super) fn parse(head: &[u8]) -> Option<Self> {
        let head = String::from_utf8_lossy(head);
        let mut lines = head.lines();
        let mut words = lines.next()?.split_ascii_whitespace();
        let (method, target) = (words.next()?, words.next()?);
        let path = target.split('?').next()?;
        let is_get = method == "GET";
        let asks_to_close = lines
            .filter_map(|line| line.split_once(':'))
            .any(|(name, value)| {
                name.eq_ignore_ascii_case("connection")
                    && value.trim().eq_ignore_ascii_case("close")
            });
        Some(Self {
            path: path.to_owned(),
            is_get,
            // Request bodies are not read, so what follows another method may not be a header.
            closes: asks_to_close || !is_get,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(head: &str) -> Option<SimulatorRequest> {
        SimulatorRequest::parse(head.as_bytes())
    }

    #[test]
    fn a_query_is_no_part_of_the_path() {
        let request = request("GET /status?verbose=1 HTTP/1.1\r\nhost: a\r\n\r\n").expect("parses");
        assert_eq!(request.path, "/status");
        assert!(request.is_get && !request.closes);
    }

    #[test]
    fn closing_is_requested_or_follows_from_the_method() {
        let closes = |head| request(head).map(|request| request.closes);
        assert_eq!(
            closes("GET / HTTP/1.1\r\nConnection: Close\r\n\r\n"),
            Some(true)
        );
        assert_eq!(
            closes("GET / HTTP/1.1\r\nConnection: keep-alive\r\n\r\n"),
            Some(false)
        );
        assert_eq!(closes("POST /deploy HTTP/1.1\r\n\r\n"), Some(true));
    }

    #[test]
    fn a_line_without_a_target_is_not_a_request() {
        assert_eq!(request("GET\r\n\r\n"), None);
        assert_eq!(request("\r\n\r\n"), None);
    }
}
