//! The files that a report is written to.

use std::fmt;
use std::io::{self, BufWriter, IntoInnerError, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{Report, html, junit};
use crate::call_log::Recorded;
use crate::json;
use crate::program::atomic_file::AtomicFile;

/// A file for a report. Its extension determines the format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    path: PathBuf,
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Junit,
    Html,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(path: &str) -> Result<Self, String> {
        let path = Path::new(path);
        let extension = path.extension().map(|text| text.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        let format = match extension.as_str() {
            "json" => Format::Json,
            "xml" => Format::Junit,
            "html" | "htm" => Format::Html,
            _ => return Err(format!("`{}` has no known extension: name it .json, .xml or .html", path.display())),
        };
        Ok(Self { path: path.to_owned(), format })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

impl Target {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the report shows each call.
    pub(crate) fn shows_calls(&self) -> bool {
        self.format == Format::Html
    }
}

/// A report file that can be written and is not yet.
#[derive(Debug)]
pub(crate) struct PendingFile {
    pub(crate) target: Target,
    file: AtomicFile,
}

impl PendingFile {
    /// Fails if the report could not be written later. An earlier report in its place is kept until this one is finished.
    /// Panics if the path is a pipe and there is no runtime.
    pub(crate) fn open(target: &Target) -> io::Result<Self> {
        Ok(Self { target: target.clone(), file: AtomicFile::create(&target.path)? })
    }

    /// Writes it and puts it in its place.
    pub(crate) fn finish(self, report: &Report, calls: &Recorded) -> io::Result<()> {
        let mut out = BufWriter::new(self.file);
        match self.target.format {
            Format::Json => {
                writeln!(out, "{}", json::to_string_pretty(report)?)?;
            }
            Format::Junit => junit::write(&mut out, report)?,
            Format::Html => html::write(&mut out, report, calls)?,
        }
        out.into_inner().map_err(IntoInnerError::into_error)?.publish()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::program::report::example;

    const NOTHING: Recorded = Recorded { calls: Vec::new(), left_out: 0 };

    fn target(path: &Path) -> Target {
        path.to_str().unwrap().parse().unwrap()
    }

    #[test]
    fn the_extension_determines_the_format() {
        for (path, format) in [
            ("report.json", Format::Json),
            ("/tmp/a.b/junit.XML", Format::Junit),
            ("report.html", Format::Html),
            ("report.htm", Format::Html),
        ] {
            assert_eq!(path.parse::<Target>(), Ok(Target { path: path.into(), format }));
            assert_eq!(path.parse::<Target>().unwrap().shows_calls(), format == Format::Html);
        }
        for path in ["report.txt", "report", ".json", "json", "report.json.gz", "a.json/report", ""] {
            let error = path.parse::<Target>().unwrap_err();
            assert_eq!(error, format!("`{path}` has no known extension: name it .json, .xml or .html"));
        }
    }

    #[test]
    fn a_report_takes_the_place_of_the_last_one_when_it_is_finished() {
        let folder = tempfile::tempdir().unwrap();
        for (name, start) in [
            ("report.json", "{\n  \"version\": 1,"),
            ("report.xml", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites "),
        ] {
            let path = folder.path().join(name);
            fs::write(&path, "the last one").unwrap();
            let pending = PendingFile::open(&target(&path)).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), "the last one");
            pending.finish(&example::report(), &NOTHING).unwrap();
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.starts_with(start) && text.ends_with('\n'), "{text}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_report_that_cannot_be_written_is_known_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let target = target(&folder.path().join("nowhere/report.json"));
        assert_eq!(PendingFile::open(&target).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_does_not_get_into_the_file_is_a_failure() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["report.json", "report.xml"] {
            let path = folder.path().join(name);
            std::os::unix::fs::symlink("/dev/full", &path).unwrap();
            let pending = PendingFile::open(&target(&path)).unwrap();
            let error = pending.finish(&example::report(), &NOTHING).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        }
    }
}
