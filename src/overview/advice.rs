//! What a failure most likely means, and what to look at: for somebody who has not used this for
//! months.

/// What to look at when an endpoint fails in this way (`error.type`); none where the message says
/// all there is.
pub fn advice(error_type: &str) -> Option<&'static str> {
    Some(match error_type {
        "dns" => {
            "The name has no address. Look at the name in the configuration and at the resolver of \
             this machine."
        }
        "connect" => {
            "Nobody takes the connection. Look whether the process of the target runs, at its port, \
             and at firewalls between here and there."
        }
        "timeout" => {
            "The target takes the connection and does not answer in time: it hangs, is overloaded, \
             or needs a longer `timeout`. Look at its log and its processor."
        }
        "tls" => {
            "The handshake failed. Look at the certificate of the target, its names and dates, and \
             at `tls` of the receiver."
        }
        "401" | "403" => {
            "The target does not accept the credentials. Look at `auth` and `headers` of the \
             receiver."
        }
        "404" => {
            "The target does not know this path. Look whether the definition is the right one for \
             this version of the API."
        }
        "429" => {
            "The target is asked too often. A longer `collection_interval` or fewer retries help."
        }
        "decode" | "empty" | "body" | "header" | "protocol" => {
            "What came is not what the definition expects. `betanet-collector check --endpoint URL \
             --definition NAME` shows the answer."
        }
        "pages" => {
            "The rest of a long answer cannot be read. The message says why: look at `pages` of the \
             endpoint, or at `deadline` if the pages take too long."
        }
        "parent" => {
            "This endpoint is asked for each element of another one's answer, and that has none. \
             Look at the other endpoint."
        }
        "too_large" => "The answer is larger than `body_limit` of the receiver.",
        "circuit_open" | "paused" | "waiting" => {
            "Nothing is sent now, so that the target can recover. The next trial request decides."
        }
        "suspect" => {
            "The host hung when this endpoint was asked, so it is left out. The other endpoints \
             are asked as ever."
        }
        "limiter" | "memory" => "This collector is short of places or memory, not the target.",
        "credentials" => {
            "A token or password of this collector could not be read. Look at the files that `auth` \
             names."
        }
        status if status.len() == 3 && status.starts_with('5') => {
            "The target answers with an error of its own. Look at its log."
        }
        _ => return None,
    })
}
