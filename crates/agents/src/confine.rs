//! Where files may be read and written. Paths are judged after symbolic links are followed: none leads out.

use ephor_core::spec::ErrorClass;
use ephor_core::work::Failure;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::path::{Component, Path, PathBuf};

/// The folders files may be read below.
#[derive(Clone, Debug)]
pub(crate) struct Roots(Vec<PathBuf>);

impl Roots {
    pub(crate) fn new(roots: Vec<PathBuf>) -> Self {
        Self(roots)
    }

    /// The real path of an existing file or folder; a relative one is looked up in the first root.
    ///
    /// # Errors
    /// `NotFound` where nothing is there (it may yet come); `Refused` where it lies outside of every root.
    pub(crate) fn resolve(&self, path: &str) -> Result<PathBuf, Failure> {
        let first = self.0.first().ok_or_else(|| Failure::final_(ErrorClass::Refused, "no folder is configured to read from"))?;
        let real = fs::canonicalize(first.join(path)).map_err(|e| failure(path, &e))?;
        if self.contains(&real) { Ok(real) } else { Err(outside(path)) }
    }

    /// Whether a real path lies below one of the roots.
    pub(crate) fn contains(&self, real: &Path) -> bool {
        self.0.iter().filter_map(|root| fs::canonicalize(root).ok()).any(|root| real.starts_with(root))
    }
}

/// The folder results are written below.
#[derive(Clone, Debug)]
pub(crate) struct OutFolder(PathBuf);

/// What was written, or would have been.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Written {
    /// Below the out folder.
    pub(crate) path: String,
    pub(crate) bytes: usize,
    pub(crate) sha256: String,
    /// Set where the work may not act and nothing was written.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) withheld: bool,
}

impl OutFolder {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// The real path of a file below it, where there is one.
    pub(crate) fn find(&self, path: &str) -> Option<PathBuf> {
        let root = fs::canonicalize(&self.0).ok()?;
        let real = fs::canonicalize(root.join(relative(path).ok()?)).ok()?;
        real.starts_with(&root).then_some(real)
    }

    /// Writes a whole file or nothing: beside its place first, then moved there. Nothing is written unless `may_act`.
    ///
    /// # Errors
    /// `Refused` where the path leads out of the folder, by `..`, from the root, or by a symbolic link.
    pub(crate) fn write(&self, path: &str, content: &[u8], may_act: bool) -> Result<Written, Failure> {
        let inside = relative(path)?;
        let written = Written { path: path.into(), bytes: content.len(), sha256: sha256(content), withheld: !may_act };
        if !may_act {
            return Ok(written);
        }
        let wrong = |e: io::Error| failure(path, &e);
        fs::create_dir_all(&self.0).map_err(wrong)?;
        let root = fs::canonicalize(&self.0).map_err(wrong)?;
        let target = root.join(inside);
        let parent = target.parent().ok_or_else(|| outside(path))?;
        make_folders(&root, parent).map_err(wrong)?.then_some(()).ok_or_else(|| outside(path))?;

        // The name carries the digest: two writers of different content do not meet in one file.
        let name = target.file_name().ok_or_else(|| outside(path))?.to_string_lossy();
        let beside = parent.join(format!(".{name}.{}", &written.sha256[..16]));
        let saved = save(&beside, content).and_then(|()| fs::rename(&beside, &target));
        if saved.is_err() {
            fs::remove_file(&beside).ok(); // what is left of it, if anything
        }
        saved.map_err(wrong).map(|()| written)
    }
}

/// Makes the folders from `root` to `folder` one by one; `false` where one of them is a link or no folder.
fn make_folders(root: &Path, folder: &Path) -> io::Result<bool> {
    let mut at = root.to_path_buf();
    for name in folder.strip_prefix(root).unwrap_or(Path::new("")).components() {
        at.push(name);
        match fs::create_dir(&at) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        if !fs::symlink_metadata(&at)?.is_dir() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn save(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// A path that stays below where it is put: names only.
///
/// # Errors
/// `Refused` for `..`, a root, or nothing.
pub(crate) fn relative(path: &str) -> Result<PathBuf, Failure> {
    let mut inside = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => inside.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(outside(path)),
        }
    }
    if inside.as_os_str().is_empty() { Err(outside(path)) } else { Ok(inside) }
}

/// Reads an ordinary file of at most `bytes_max`. Pipes and devices are refused: reading them may never end.
///
/// # Errors
/// `NotFound`, or `BadInput` where it is too large or no file.
pub(crate) fn read(real: &Path, shown: &str, bytes_max: u64) -> Result<Vec<u8>, Failure> {
    let wrong = |e: io::Error| failure(shown, &e);
    if !fs::metadata(real).map_err(wrong)?.is_file() {
        return Err(Failure::final_(ErrorClass::BadInput, format!("{shown} is not a file")));
    }
    let mut content = Vec::new();
    File::open(real).map_err(wrong)?.take(bytes_max + 1).read_to_end(&mut content).map_err(wrong)?;
    if content.len() as u64 > bytes_max {
        return Err(Failure::final_(ErrorClass::BadInput, format!("{shown} is larger than {bytes_max} bytes")));
    }
    Ok(content)
}

/// A failed call of the system, as a failure of the attempt.
pub(crate) fn failure(path: &str, error: &io::Error) -> Failure {
    let class = match error.kind() {
        io::ErrorKind::NotFound => ErrorClass::NotFound,
        io::ErrorKind::PermissionDenied => ErrorClass::Refused,
        _ => ErrorClass::Other,
    };
    Failure::new(class, format!("{path}: {error}"))
}

fn outside(path: &str) -> Failure {
    Failure::final_(ErrorClass::Refused, format!("{path} lies outside of the folders it may be in"))
}

/// In hexadecimal.
pub(crate) fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().fold(String::with_capacity(64), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string takes everything");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn nothing_is_read_through_a_link_that_leads_out() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir(&root).unwrap();
        fs::write(dir.path().join("token"), "secret").unwrap();
        fs::write(root.join("inside"), "").unwrap();
        symlink("../token", root.join("link")).unwrap();
        let roots = Roots::new(vec![root.clone()]);
        assert_eq!(roots.resolve("inside").unwrap(), fs::canonicalize(root.join("inside")).unwrap());
        for path in ["link", "../token", "/etc/passwd"] {
            assert_eq!(roots.resolve(path).unwrap_err().class, ErrorClass::Refused, "{path}");
        }
        let missing = roots.resolve("missing").unwrap_err();
        assert!(missing.class == ErrorClass::NotFound && missing.retryable);
    }

    #[test]
    fn nothing_is_written_outside_of_the_out_folder() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("out");
        fs::create_dir(&root).unwrap();
        symlink("..", root.join("up")).unwrap();
        fs::write(dir.path().join("precious"), "precious").unwrap();
        symlink("../precious", root.join("link")).unwrap();
        let out = OutFolder::new(root.clone());
        for path in ["../x", "/tmp/x", "up/x", "", ".", "a/../../x"] {
            assert_eq!(out.write(path, b"x", true).unwrap_err().class, ErrorClass::Refused, "{path:?}");
        }
        out.write("link", b"x", true).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("precious")).unwrap(), "precious", "the link itself is replaced");
        out.write("a/b/c.txt", b"deep", true).unwrap();
        assert_eq!(fs::read_to_string(root.join("a/b/c.txt")).unwrap(), "deep");
        assert_eq!(fs::read_dir(root.join("a/b")).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn work_that_may_not_act_writes_nothing_and_says_what() {
        let dir = tempfile::tempdir().unwrap();
        let written = OutFolder::new(dir.path().join("out")).write("x", b"abc", false).unwrap();
        assert!(written.withheld && written.bytes == 3);
        assert!(!dir.path().join("out").exists());
    }
}
