//! Child processes: started on a leash, distinguished by what they cost, stopped
//! by their own id.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rustix::process::{Resource, Rlimit, Signal};

/// The first argument that makes this executable put itself on the leash and
/// then become another program.
pub(crate) const LEASH: &str = "leash";

/// Becomes `program`, which from then on dies with the process that started it.
pub(crate) fn leash(mut command: impl Iterator<Item = String>) -> anyhow::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let program = command.next().context("the leash needs a program")?;
    Err(Command::new(&program).args(command).exec())
        .with_context(|| format!("cannot run {program}"))
}

/// Lets this process and its children have as many open files as the system
/// allows them, and returns how many that is.
pub(crate) fn raise_open_files() -> anyhow::Result<u64> {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// A loopback address that was free a moment ago.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?)
}

/// A running process, killed when dropped.
#[derive(Debug)]
pub(crate) struct Child {
    name: String,
    inner: std::process::Child,
    log: PathBuf,
}

impl Child {
    /// Starts `command` with its stderr, and its stdout unless that is read, in
    /// a file of `directory`.
    pub(crate) fn start(
        name: &str,
        command: &Command,
        directory: &Path,
        stdout: Output,
    ) -> anyhow::Result<Self> {
        let log = directory.join(format!("{name}.log"));
        let file = File::create(&log)?;
        let mut leashed = Command::new(std::env::current_exe()?);
        leashed.arg(LEASH).arg(command.get_program()).args(command.get_args()).env_clear();
        let kept = ["PATH", "HOME", "LANG"].map(|name| (name, std::env::var_os(name)));
        leashed.envs(kept.into_iter().filter_map(|(name, value)| Some((name, value?))));
        leashed.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        leashed.stdin(Stdio::null()).stderr(file.try_clone()?);
        leashed.stdout(match stdout {
            Output::Logged => Stdio::from(file),
            Output::Read => Stdio::piped(),
        });
        let inner = leashed.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), inner, log })
    }

    /// Starts `command`, and returns when `address` accepts connections.
    pub(crate) fn listening(
        name: &str,
        command: &Command,
        directory: &Path,
        address: SocketAddr,
        limit: Duration,
    ) -> anyhow::Result<Self> {
        let mut child = Self::start(name, command, directory, Output::Logged)?;
        child.wait_for(address, limit)?;
        Ok(child)
    }

    pub(crate) fn id(&self) -> u32 {
        self.inner.id()
    }

    fn wait_for(&mut self, address: SocketAddr, limit: Duration) -> anyhow::Result<()> {
        let give_up = Instant::now() + limit;
        while TcpStream::connect(address).is_err() {
            if let Some(status) = self.inner.try_wait()? {
                bail!("{} ended with {status}: {}", self.name, self.last_words());
            }
            if Instant::now() > give_up {
                bail!("{} does not listen after {limit:?}: {}", self.name, self.last_words());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Waits for the end, and returns what was written to a stdout that is
    /// read; that must fit into a pipe.
    pub(crate) fn finish(&mut self, limit: Duration) -> anyhow::Result<String> {
        let give_up = Instant::now() + limit;
        let status: ExitStatus = loop {
            if let Some(status) = self.inner.try_wait()? {
                break status;
            }
            if Instant::now() > give_up {
                bail!("{} is not done after {limit:?}", self.name);
            }
            thread::sleep(Duration::from_millis(20));
        };
        if !status.success() {
            bail!("{} ended with {status}: {}", self.name, self.last_words());
        }
        let stdout = self.inner.stdout.take();
        Ok(stdout.map(std::io::read_to_string).transpose()?.unwrap_or_default())
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let last = log.lines().rev().find(|line| !line.trim().is_empty());
        last.unwrap_or("it said nothing").chars().take(200).collect()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended already, and that is as good.
        self.inner.kill().ok();
        self.inner.wait().ok();
    }
}

/// Where a child's stdout goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Output {
    Logged,
    Read,
}

/// CPU time, user and system, that `process` and its descendants have used.
pub(crate) fn cpu_time(process: u32) -> Duration {
    // The kernel's unit in /proc is 1/100 s on every Linux of this century.
    const TICK: Duration = Duration::from_millis(10);
    family(process).iter().filter_map(|process| ticks(*process)).sum::<u32>() * TICK
}

/// Resident memory of `process` and its descendants, in KiB.
pub(crate) fn resident_kib(process: u32) -> u64 {
    family(process).iter().filter_map(|process| resident_kib_of(*process)).sum()
}

fn family(process: u32) -> Vec<u32> {
    let mut family = vec![process];
    let mut next = 0;
    while let Some(process) = family.get(next) {
        let threads = fs::read_dir(format!("/proc/{process}/task"));
        for thread in threads.into_iter().flatten().flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            family.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
        }
        next += 1;
    }
    family
}

fn ticks(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The command's name, in parentheses, may hold anything; utime and stime
    // are the twelfth and thirteenth field after it.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u32>().ok()).sum()
}

fn resident_kib_of(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}
