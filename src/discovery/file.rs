//! `file_sd_configs`: files of target groups, read again when something in their folder changes.

use std::{io, path::Path, str::FromStr, sync::Arc};

use async_trait::async_trait;

use super::{
    config::{Check, FileSdConfig, check_interval},
    group::{Parsed, parse_json, parse_yaml},
    source::{BODY_BYTES_MAX, Provider, RefreshError, SourcePart},
};
use crate::{
    runtime::{FileWatcher, read_file},
    yaml::{Cursor, Diagnostics},
};

/// Label: the file in which a target was found.
const FILEPATH: &str = "__meta_filepath";

/// The most files of one configuration.
const FILES_MAX: usize = 10_000;

/// The most bytes of all of them together.
const ALL_BYTES_MAX: u64 = 4 * BODY_BYTES_MAX;

/// Paths whose names differ by what stands for a `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    /// Up to the last `/`, with it; may be empty.
    folder: String,
    before: String,
    /// What follows the `*`, if there is one.
    after: Option<String>,
}

/// Why a text names no files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected the path of a .json, .yml or .yaml file, with at most one `*`, in its name")]
pub(super) struct PatternError;

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(path: &str) -> Result<Self, PatternError> {
        let extension = Path::new(path).extension().and_then(|e| e.to_str());
        let extension = extension.unwrap_or_default().to_ascii_lowercase();
        let end = path.rfind('/').map_or(0, |slash| slash + 1);
        let (folder, name) = path.split_at_checked(end).ok_or(PatternError)?;
        let (before, after) = match name.split_once('*') {
            Some((before, after)) => (before, Some(after)),
            None => (name, None),
        };
        let stars = path.matches('*').count();
        if !["json", "yml", "yaml"].contains(&extension.as_str())
            || stars > usize::from(after.is_some())
        {
            return Err(PatternError);
        }
        Ok(Self {
            folder: folder.to_owned(),
            before: before.to_owned(),
            after: after.map(str::to_owned),
        })
    }
}

impl Pattern {
    fn folder(&self) -> &Path {
        Path::new(if self.folder.is_empty() {
            "."
        } else {
            &self.folder
        })
    }

    /// The files that there are, in the order of their names. A folder that is not there has none.
    fn files(&self) -> io::Result<Vec<String>> {
        let mut names = match &self.after {
            None => vec![self.before.clone()],
            Some(after) => {
                let fits = |name: &String| {
                    let rest = name.strip_prefix(&self.before);
                    rest.is_some_and(|rest| rest.ends_with(after.as_str()))
                };
                let entries = match std::fs::read_dir(self.folder()) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                    entries => entries?,
                };
                let names = entries.map(|entry| Ok(entry?.file_name().into_string().ok()));
                let names = names.filter_map(io::Result::transpose);
                let fitting = names.filter(|name| name.as_ref().is_ok_and(fits) || name.is_err());
                fitting.take(FILES_MAX).collect::<io::Result<Vec<_>>>()?
            }
        };
        names.sort_unstable();
        let paths = names.iter().map(|name| format!("{}{name}", self.folder));
        // A link to nowhere is a file that cannot be read, not one that is gone.
        Ok(paths
            .filter(|path| Path::new(path).symlink_metadata().is_ok())
            .collect())
    }
}

impl Check for FileSdConfig {
    fn check(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        check_interval(self.refresh_interval, at, diagnostics);
        if self.files.is_empty() {
            at.error(&["files"], "must have at least one path", diagnostics);
        }
        for (position, path) in self.files.iter().enumerate() {
            if let Err(error) = path.parse::<Pattern>() {
                at.error(
                    &["files", &position.to_string()],
                    error.to_string(),
                    diagnostics,
                );
            }
        }
    }
}

/// The files of one `file_sd_configs` entry.
pub(super) struct FileSd {
    patterns: Arc<[Pattern]>,
    /// None before the first reading.
    watch: Option<FileWatcher>,
}

impl FileSd {
    pub(super) fn new(config: &FileSdConfig) -> Result<Self, PatternError> {
        let patterns: Result<Arc<[_]>, _> = config.files.iter().map(|path| path.parse()).collect();
        Ok(Self {
            patterns: patterns?,
            watch: None,
        })
    }
}

#[async_trait]
impl Provider for FileSd {
    async fn refresh(&mut self) -> Result<Vec<SourcePart>, RefreshError> {
        // Before the reading, so that what changes behind it is noticed; again each time, because
        // a folder may have come back.
        let watch = self
            .watch
            .get_or_insert_with(|| FileWatcher::new("targets"));
        watch.renew(self.patterns.iter().map(Pattern::folder));
        let patterns = Arc::clone(&self.patterns);
        let read = tokio::task::spawn_blocking(move || read_all(&patterns)).await;
        read.map_err(|_| RefreshError::Stopped)?
    }

    async fn woken(&mut self) {
        match &mut self.watch {
            Some(watch) => watch.changed().await,
            None => std::future::pending().await,
        }
    }
}

fn read_all(patterns: &[Pattern]) -> Result<Vec<SourcePart>, RefreshError> {
    let mut parts = Vec::new();
    let mut left = ALL_BYTES_MAX;
    for path in patterns.iter().map(Pattern::files) {
        for path in path.map_err(RefreshError::Read)? {
            parts.push(SourcePart {
                result: read(&path, &mut left),
                key: path,
            });
        }
    }
    Ok(parts)
}

/// Reads one file of at most `left` bytes. Each group learns in which file it stands.
fn read(path: &str, left: &mut u64) -> Result<Parsed, RefreshError> {
    let text = match read_file(Path::new(path), BODY_BYTES_MAX.min(*left)) {
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge && *left < BODY_BYTES_MAX => {
            return Err(RefreshError::TooLargeTogether);
        }
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            return Err(RefreshError::TooLarge);
        }
        read => read.map_err(RefreshError::Read)?,
    };
    *left = left.saturating_sub(text.len() as u64);
    let is_json = path.to_ascii_lowercase().ends_with(".json");
    let mut parsed = match String::from_utf8(text) {
        Ok(text) if is_json => parse_json(text.as_bytes())?,
        Ok(text) => parse_yaml(path, &text)?,
        Err(_) => return Err(RefreshError::NotUtf8),
    };
    parsed.origin = Some((FILEPATH, path.to_owned()));
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(files: &[String]) -> FileSd {
        FileSd::new(&FileSdConfig {
            files: files.to_vec(),
            refresh_interval: crate::settings::Duration::from_secs(1),
        })
        .unwrap()
    }

    #[test]
    fn patterns_are_those_of_prometheus() {
        for (path, is_valid) in [
            ("targets.json", true),
            ("/etc/targets/*.yml", true),
            ("a/b*.YAML", true),
            ("*.json", true),
            ("a/*b.json", true),
            ("", false),
            ("targets", false),
            ("targets.txt", false),
            ("a/*/b.json", false),
            ("a/**.json", false),
            ("a/*.*", false),
        ] {
            assert_eq!(path.parse::<Pattern>().is_ok(), is_valid, "{path}");
        }
    }

    #[tokio::test]
    async fn reads_what_the_patterns_name_and_says_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| format!("{}/{name}", folder.path().display());
        let write = |name: &str, text: &str| std::fs::write(path(name), text).unwrap();
        let mut files = provider(&[path("*.json"), path("one.yml"), path("none/*.yml")]);
        assert!(files.refresh().await.unwrap().is_empty());

        write("b.json", r#"[{"targets": ["b:1"]}]"#);
        write(
            "a.json",
            r#"[{"targets": ["a:1"], "labels": {"__meta_filepath": "x"}}, 7]"#,
        );
        write("one.yml", "- targets: [c:1]\n");
        write("two.yml", "- targets: [d:1]\n");
        write("c.json", "[");
        let parts = files.refresh().await.unwrap();
        let keys: Vec<_> = parts.iter().map(|part| part.key.clone()).collect();
        assert_eq!(keys, ["a.json", "b.json", "c.json", "one.yml"].map(path));
        let first = parts[0].result.as_ref().unwrap();
        assert_eq!(first.origin, Some((FILEPATH, path("a.json"))));
        assert_eq!(first.refused.count, 1);
        assert_eq!(parts[2].result.as_ref().unwrap_err().reason(), "syntax");
    }

    #[tokio::test]
    async fn a_link_to_nowhere_and_a_huge_file_are_failures() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| format!("{}/{name}", folder.path().display());
        std::os::unix::fs::symlink("gone", path("link.json")).unwrap();
        let huge = std::fs::File::create(path("huge.json")).unwrap();
        huge.set_len(BODY_BYTES_MAX + 1).unwrap();
        std::fs::write(path("latin.yml"), b"- targets: [\xe9]").unwrap();
        let mut files = provider(&[path("*.json"), path("*.yml")]);
        let parts = files.refresh().await.unwrap();
        let reason = |part: &SourcePart| part.result.as_ref().unwrap_err().reason();
        let reasons: Vec<_> = parts.iter().map(reason).collect();
        assert_eq!(reasons, ["too_large", "read", "syntax"]);
    }
}
