//! What the pages load: a style sheet, a script and an icon, all built into the program.

use http::{HeaderValue, header::CACHE_CONTROL};

use crate::http::Response;

/// A file that pages load.
pub(super) struct Asset {
    pub(super) path: &'static str,
    content_type: &'static str,
    text: &'static str,
}

/// How everything looks.
pub(super) const STYLE: Asset = Asset {
    path: "/status/style.css",
    content_type: "text/css; charset=utf-8",
    text: include_str!("assets/style.css"),
};

/// What keeps a page live.
pub(super) const SCRIPT: Asset = Asset {
    path: "/status/script.js",
    content_type: "text/javascript; charset=utf-8",
    text: include_str!("assets/script.js"),
};

/// The icon of the tab.
pub(super) const ICON: Asset = Asset {
    path: "/status/icon.svg",
    content_type: "image/svg+xml",
    text: include_str!("assets/icon.svg"),
};

/// All of them.
pub(super) const ALL: &[Asset] = &[STYLE, SCRIPT, ICON];

impl Asset {
    /// Where pages load it from. Another build has another address, so that a browser never uses
    /// what it kept of one that ran before.
    pub(super) fn url(&self) -> String {
        format!("{}?{:x}", self.path, digest(self.text))
    }

    pub(super) fn response(&self) -> Response {
        let response = Response::new(self.content_type, self.text);
        let kept = HeaderValue::from_static("public, max-age=86400, immutable");
        response.with_header(CACHE_CONTROL, kept)
    }
}

/// FNV-1a, which is enough to tell two builds apart.
fn digest(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}
