//! Checks what a file says of the pages of an endpoint.

use super::{
    PageSource, Pages, Path,
    endpoint_compiler::Compiler,
    endpoint_file::{EndpointFile, Method},
    pages_file::PagesFile,
};

/// The most pages of a poll if the file does not say it.
const PAGES_DEFAULT: usize = 50;

/// The largest number that a file may say.
const PAGES_MAX: usize = 1000;

impl Compiler<'_, '_> {
    /// How the rest of a long answer is found; none if that is wrong.
    pub(super) fn pages(&mut self, file: &EndpointFile) -> Option<Pages> {
        let pages = file.pages.as_ref()?;
        let max = pages.max.unwrap_or(PAGES_DEFAULT);
        if !(1..=PAGES_MAX).contains(&max) {
            let message = format!("expected 1 to {PAGES_MAX} pages");
            self.error(&["pages", "max"], message);
        }
        if file.method == Method::Head {
            self.error(&["pages"], "an answer to `HEAD` has no body, and no pages");
        }
        let source = self.page_source(pages)?;
        Some(Pages { max, source })
    }

    fn page_source(&mut self, pages: &PagesFile) -> Option<PageSource> {
        let by_header = pages.link_header.unwrap_or_default();
        let ways = [
            pages.next.is_some(),
            by_header,
            pages.cursor.is_some(),
            pages.until_empty.is_some(),
        ];
        if ways.iter().filter(|is_there| **is_there).count() != 1 {
            let message = "give one of `next: $.links.next`, `link_header: true`, `cursor: \
                           $.meta.cursor` with a `parameter`, and `until_empty: $.items` with a \
                           `parameter`";
            self.error(&["pages"], message);
            return None;
        }
        self.check_numbers(pages);
        let parameter = self.page_parameter(pages)?;
        if by_header {
            return Some(PageSource::LinkHeader);
        }
        if let Some(path) = &pages.next {
            return self.page_path("next", path).map(PageSource::Next);
        }
        if let Some(path) = &pages.cursor {
            let path = self.page_path("cursor", path)?;
            return Some(PageSource::Cursor { path, parameter });
        }
        let until_empty = pages.until_empty.as_ref()?;
        Some(PageSource::Number {
            parameter,
            from: pages.from.unwrap_or(u64::from(pages.step.is_none())),
            step: pages.step.unwrap_or(1),
            until_empty: self.page_path("until_empty", until_empty)?,
        })
    }

    /// Checks the keys of numbered pages.
    fn check_numbers(&mut self, pages: &PagesFile) {
        for (key, is_there) in [
            ("from", pages.from.is_some()),
            ("step", pages.step.is_some()),
        ] {
            if is_there && pages.until_empty.is_none() {
                self.error(&["pages", key], "belongs to `until_empty`");
            }
        }
        if pages.step == Some(0) {
            self.error(&["pages", "step"], "requires positive value");
        }
    }

    /// The parameter of the query that says which page is asked for; empty where there is none.
    fn page_parameter(&mut self, pages: &PagesFile) -> Option<String> {
        let is_needed = pages.until_empty.is_some() || pages.cursor.is_some();
        let parameter = pages.parameter.clone().filter(|name| !name.is_empty());
        match (&parameter, is_needed) {
            (None, true) => {
                let message = "missing key `parameter`: the name in the query that says which page \
                               is asked for";
                self.error(&["pages"], message);
                return None;
            }
            (Some(_), false) => {
                let message = "belongs to `cursor` and `until_empty`";
                self.error(&["pages", "parameter"], message);
            }
            _ => {}
        }
        Some(parameter.unwrap_or_default())
    }

    fn page_path(&mut self, key: &str, text: &str) -> Option<Path> {
        match Path::parse(text) {
            Ok(path) => Some(path),
            Err(error) => {
                self.error(&["pages", key], error.to_string());
                None
            }
        }
    }
}
