//! The memory available to this process: the limit of its control group (version 1
//! or 2), or the memory of the machine.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Returns the smallest limit in bytes of the process's control groups; `None`
/// without a limit.
pub(super) fn limit() -> Option<u64> {
    limit_of(&read("/proc/self/cgroup")?, Path::new("/sys/fs/cgroup"))
}

/// Returns the memory of the machine in bytes.
pub(super) fn of_machine() -> Option<u64> {
    let information = read("/proc/meminfo")?;
    let line = information.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// Returns the smallest limit of `groups`, the contents of `/proc/self/cgroup`,
/// with control groups mounted at `root`.
fn limit_of(groups: &str, root: &Path) -> Option<u64> {
    groups.lines().flat_map(|line| files(line, root)).filter_map(|file| read_limit(&file)).min()
}

/// Returns the limit files of one line's group and its parents. In a container the
/// path may be the host's while only the root exists.
fn files(line: &str, root: &Path) -> Vec<PathBuf> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
        return Vec::new();
    };
    let (folder, name) = match controllers {
        "" => (root.to_owned(), "memory.max"),
        _ if controllers.split(',').any(|controller| controller == "memory") => {
            (root.join("memory"), "memory.limit_in_bytes")
        }
        _ => return Vec::new(),
    };
    let path = Path::new(path.trim_start_matches('/'));
    path.ancestors().map(|group| folder.join(group).join(name)).collect()
}

/// Reads a limit. Without one the file contains `max`, or in version 1 a number
/// larger than any machine's memory.
fn read_limit(file: &Path) -> Option<u64> {
    const NO_MACHINE_HAS: u64 = 1 << 50;
    let limit: u64 = read(file)?.trim().parse().ok()?;
    (limit < NO_MACHINE_HAS).then_some(limit)
}

fn read(file: impl AsRef<Path>) -> Option<String> {
    fs::read_to_string(file).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Creates a folder like `/sys/fs/cgroup` that contains these files.
    fn mounted(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let file = root.path().join(name);
            fs::create_dir_all(file.parent().expect("a folder")).expect("made");
            fs::write(file, text).expect("written");
        }
        root
    }

    #[test]
    fn the_smallest_limit_on_the_way_up_counts() {
        let root = mounted(&[
            ("memory.max", "max\n"),
            ("pods/memory.max", "1000\n"),
            ("pods/one/memory.max", "2000\n"),
        ]);
        assert_eq!(limit_of("0::/pods/one\n", root.path()), Some(1000));
        assert_eq!(limit_of("0::/pods\n", root.path()), Some(1000));
        assert_eq!(limit_of("0::/\n", root.path()), None);
    }

    #[test]
    fn the_first_version_is_read_too() {
        let groups = "5:cpu,cpuacct:/\n4:memory:/docker/abc\n";
        let root = mounted(&[
            ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory/docker/abc/memory.limit_in_bytes", "3000\n"),
        ]);
        assert_eq!(limit_of(groups, root.path()), Some(3000));
        assert_eq!(limit_of("5:cpu,cpuacct:/\n4:memory:/\n", root.path()), None);
    }

    #[test]
    fn in_a_container_only_the_root_may_be_there() {
        let root = mounted(&[("memory/memory.limit_in_bytes", "3000\n")]);
        assert_eq!(limit_of("4:memory:/kubepods/pod1/abc\n", root.path()), Some(3000));
        let root = mounted(&[("memory.max", "4000\n")]);
        assert_eq!(limit_of("0::/../../elsewhere\n", root.path()), Some(4000));
    }

    #[test]
    fn this_machine_has_memory() {
        assert!(of_machine().expect("Linux says so") > 1 << 20);
    }
}
