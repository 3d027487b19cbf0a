//! A request as it is shown, without what may be secret.

use reqwest::Url;

use crate::{receivers::http_json::http::redirect, settings::REDACTED};

/// The URL of a request without the values of its query, and without what the path has from the
/// environment or a file. `template` is the path of the endpoint as it is shown.
pub(super) fn request(url: &Url, template: &str) -> String {
    let template = template.split('?').next().unwrap_or_default();
    let names: Vec<_> = template.split('/').collect();
    let mut shown = url.clone();
    if names.iter().any(|name| is_hidden(name)) {
        let path = url.path().to_owned();
        let parts: Vec<_> = path.split('/').collect();
        // What stands before the path of the endpoint belongs to the target.
        let Some(before) = parts.len().checked_sub(names.len()) else {
            shown.set_path(REDACTED);
            return plain(&shown);
        };
        let parts = parts.iter().enumerate().map(|(index, part)| {
            let name = index.checked_sub(before).and_then(|at| names.get(at));
            match name {
                Some(name) if is_hidden(name) => REDACTED,
                _ => part,
            }
        });
        shown.set_path(&parts.collect::<Vec<_>>().join("/"));
    }
    plain(&shown)
}

/// Whether a part of a path comes from the environment or a file: those that are filled in for each
/// request have a scheme.
fn is_hidden(name: &str) -> bool {
    let references = name.split('{').skip(1);
    let mut names = references.filter_map(|rest| rest.split('}').next());
    names.any(|name| !name.contains(':'))
}

fn plain(url: &Url) -> String {
    redirect::shown(url).replace("%5BREDACTED%5D", REDACTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_shown() {
        for (url, template, expected) in [
            (
                "http://a/b/c?k=hunter2",
                "/b/c?k={k}",
                "http://a/b/c?k=[REDACTED]",
            ),
            (
                "http://a/v1/apps/7/x",
                "/apps/{app:id}/x",
                "http://a/v1/apps/7/x",
            ),
            (
                "http://a/bot1:hunter2/me",
                "/bot{TOKEN}/me",
                "http://a/[REDACTED]/me",
            ),
            (
                "http://a/v/hunter2/7",
                "/{KEY}/{app:id}",
                "http://a/v/[REDACTED]/7",
            ),
            ("http://a/hunter2", "/x/{KEY}/y", "http://a/[REDACTED]"),
        ] {
            assert_eq!(request(&url.parse().unwrap(), template), expected, "{url}");
        }
    }
}
