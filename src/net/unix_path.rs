//! Where a Unix socket is.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use socket2::SockAddr;

use super::address::{BadAddress, UNIX};

/// The longest path that the address of a socket takes, in bytes: the system wants a zero byte behind it.
pub(super) const MAX_PATH: usize = if cfg!(any(target_os = "linux", target_os = "android")) { 107 } else { 103 };

/// The path of a Unix socket. A relative one starts at the working directory. On Linux also `@name`, a name in the abstract
/// namespace, which is no file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UnixPath(String);

impl UnixPath {
    /// As it is written behind `unix:`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path of its file; none for an abstract name.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        if self.0.starts_with('@') { None } else { Some(Path::new(&self.0)) }
    }

    /// As the system has it.
    pub(super) fn to_system(&self) -> io::Result<SockAddr> {
        match self.0.strip_prefix('@') {
            Some(name) => SockAddr::unix(format!("\0{name}")),
            None => SockAddr::unix(&self.0),
        }
    }

    /// Whether both are the same file or the same name.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self == other
            || self.file().zip(other.file()).is_some_and(|(one, other)| match (resolved(one), resolved(other)) {
                (Some(one), Some(other)) => one == other,
                _ => false,
            })
    }
}

/// The path without links and dots. Its file may be missing, its directory may not.
fn resolved(path: &Path) -> Option<PathBuf> {
    let of_missing = || {
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
        Some(directory.unwrap_or(Path::new(".")).canonicalize().ok()?.join(path.file_name()?))
    };
    path.canonicalize().ok().or_else(of_missing)
}

impl FromStr for UnixPath {
    type Err = BadAddress;

    /// Reads what stands behind `unix:`.
    fn from_str(path: &str) -> Result<Self, BadAddress> {
        let text = || format!("{UNIX}{path}");
        if path.is_empty() || path == "@" {
            return Err(BadAddress::NoPath(text()));
        }
        if let Some(meant) = path.strip_prefix("//") {
            let meant = if meant.is_empty() { "/PATH" } else { meant };
            return Err(BadAddress::Url { text: text(), meant: format!("{UNIX}{meant}") });
        }
        if path.contains('\0') {
            return Err(BadAddress::Nul(text()));
        }
        if path.len() > MAX_PATH {
            return Err(BadAddress::LongPath { text: text(), len: path.len() });
        }
        if path.starts_with('@') && !cfg!(any(target_os = "linux", target_os = "android")) {
            return Err(BadAddress::Abstract(text()));
        }
        Ok(Self(path.to_owned()))
    }
}

impl fmt::Display for UnixPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{UNIX}{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn one_file_may_have_several_paths() {
        let folder = std::env::temp_dir().join(format!("vaurien-paths-{}", std::process::id()));
        fs::create_dir_all(folder.join("a")).unwrap();
        symlink("a", folder.join("b")).unwrap();
        let path = |name: &str| UnixPath(folder.join(name).to_str().unwrap().to_owned());
        for is_there in [false, true] {
            if is_there {
                fs::write(folder.join("a/x"), "").unwrap();
                symlink("a/x", folder.join("link")).unwrap();
                assert!(path("link").is_same(&path("a/x")));
            }
            assert!(path("a/x").is_same(&path("a/x")));
            assert!(path("a/x").is_same(&path("b/x")));
            assert!(path("a/x").is_same(&path("a/../b/./x")));
            assert!(!path("a/x").is_same(&path("a/y")));
            assert!(!path("a/x").is_same(&UnixPath("@x".to_owned())));
        }
        assert!(!path("none/x").is_same(&path("none/../none/x")), "nothing is known of them");
        let here = std::env::current_dir().unwrap().canonicalize().unwrap();
        assert!(UnixPath("x".to_owned()).is_same(&UnixPath(here.join("x").to_str().unwrap().to_owned())));
        fs::remove_dir_all(folder).unwrap();
    }
}
