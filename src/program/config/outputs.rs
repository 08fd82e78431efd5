//! The files that the program writes: no two of them are one file, and none is a file that it reads.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::run::Run;
use super::values::Values;
use crate::diagnostic::{Diagnostic, Diagnostics};

/// How many symbolic links are followed, as the system does.
const LINKS: usize = 40;

/// A file, however its path is spelled.
#[derive(PartialEq, Eq)]
enum Identity {
    /// An existing one: device and number.
    Inode(u64, u64),
    /// One that does not exist yet.
    Path(PathBuf),
}

/// Refuses files of which two are one. `read` is the file that the values come from, with the option that names it.
pub(super) fn check(values: &Values<'_>, read: Option<(&str, &Path)>, events: Option<&Path>, run: &Run) -> Diagnostics {
    let place = |path: &str| values.place(path).unwrap_or_default();
    let mut known: Vec<(Identity, String)> = Vec::new();
    let read = read.into_iter().map(|(place, path)| (path, place.to_owned()));
    let named = |path: &str| Some((Path::new(values.get(path)?.0.as_str()?), place(path)));
    let proxies = values.layout.proxies();
    let certificates = proxies.iter().flat_map(|(_, within)| {
        let files = values.schema.all().filter(|setting| setting.per_proxy && setting.field.is_file());
        files.filter_map(|setting| named(&format!("{within}{}", setting.path))).collect::<Vec<_>>()
    });
    for (path, place) in read.chain(named("http.token_file")).chain(certificates) {
        // A certificate and its key may be in one file.
        known.extend(identity(path).filter(|new| known.iter().all(|(known, _)| known != new)).map(|new| (new, place)));
    }
    let mut diagnostics = Diagnostics::default();
    let reports = run.reports.iter().map(|report| (report.path(), place("run.report")));
    let written = events.map(|path| (path, place("events"))).into_iter().chain(reports);
    for (path, place) in written.chain(run.ready_file.as_deref().map(|path| (path, place("run.ready_file")))) {
        let Some(identity) = identity(path) else { continue };
        if let Some((_, other)) = known.iter().find(|(other, _)| *other == identity) {
            let what = format_args!("`{}` is the file of {other} too, give each a file of its own", path.display());
            diagnostics.push(Diagnostic::new(&place, what));
        } else {
            known.push((identity, place));
        }
    }
    diagnostics
}

/// None for a device or a pipe, to which several can write.
fn identity(path: &Path) -> Option<Identity> {
    if let Ok(metadata) = fs::metadata(path) {
        return metadata.is_file().then(|| Identity::Inode(metadata.dev(), metadata.ino()));
    }
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        let Ok(target) = fs::read_link(&path) else { break };
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // If it cannot be written, whoever writes it tells.
    Some(Identity::Path(fs::canonicalize(folder).ok()?.join(path.file_name()?)))
}
