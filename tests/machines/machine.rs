//! A machine: Debian, booted with systemd as its first process, in a network of the test's making.
//!
//! It has a disk of its own, processes of its own and a hostname of its own, but the clock and the
//! kernel of the machine that the tests run on. [`Machine::move_clock`] gives one service another
//! time.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use anyhow::{Context, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    network::{Namespace, Network, Side, limited},
    package::{ask, script},
    place::Place,
    process::{self, Process},
    until,
};

/// Where a service that was given another time reads it from.
const CLOCK: &str = "/etc/other-time";

/// Debian's library that gives a program another time.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// What a machine is like.
#[derive(Clone, Debug)]
pub(crate) struct Hardware {
    /// Its name.
    pub(crate) hostname: String,
    /// Its address in the customer's network.
    pub(crate) address: String,
    /// The size of a disk of its own for `/var/lib/retention`, in bytes.
    pub(crate) data_disk_bytes: Option<u64>,
    /// Directories of this machine that it can read, each with the place where it finds them.
    pub(crate) shared: Vec<(PathBuf, String)>,
}

impl Default for Hardware {
    fn default() -> Self {
        Self {
            hostname: "appliance".into(),
            address: "192.0.2.10".into(),
            data_disk_bytes: None,
            shared: Vec::new(),
        }
    }
}

/// A machine that runs.
pub(crate) struct Machine {
    // In the order in which they are ended.
    running: Option<Process>,
    first: Pid,
    hardware: Hardware,
    namespace: Namespace,
    place: Place,
}

impl Machine {
    /// Boots a new one, and returns when everything that Debian starts has started.
    pub(crate) fn boot(network: &Network, hardware: Hardware) -> Result<Self> {
        let place = Place::new()?;
        let namespace = Namespace::new(&place)?;
        network.attach(&namespace, Side::Inside, &hardware.address)?;
        if let Some(bytes) = hardware.data_disk_bytes {
            let disk = place.file("disk");
            File::create(&disk)?.set_len(bytes)?;
            process::output(limited("mke2fs").args(["-q", "-t", "ext4", "-m", "0"]).arg(disk))?;
        }
        let first = Pid::from_raw(0);
        let mut machine = Self { running: None, first, hardware, namespace, place };
        machine.switch_on()?;
        Ok(machine)
    }

    fn switch_on(&mut self) -> Result<()> {
        let image = ask("packaging/machine", &[])?;
        let process = Process::start(
            &self.hardware.hostname,
            &script("tests/machines/boot"),
            &self.console(),
            |command| {
                command.arg(self.place.name()).arg(self.place.path()).arg(image);
                command.arg(self.namespace.path());
                command.arg(format!("--hostname={}", self.hardware.hostname));
                for (from, to) in &self.hardware.shared {
                    command.arg(format!("--bind-ro={}:{to}", from.display()));
                }
            },
        )?;
        self.running = Some(process);
        self.wait_until_booted()
    }

    fn wait_until_booted(&mut self) -> Result<()> {
        let booter = self.running.as_ref().context("the machine is off")?.pid();
        let before = self.first;
        until("the machine has a first process", || {
            if let Some(process) = &mut self.running {
                process.still_runs()?;
            }
            let found = descendants(booter).into_iter().find(|pid| is_first(*pid));
            self.first = found.filter(|pid| *pid != before).unwrap_or(Pid::from_raw(0));
            Ok(self.first.as_raw() != 0)
        })?;
        until("everything that Debian starts has started", || {
            let output = self.command("systemctl").arg("is-system-running").output()?;
            let state = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            ensure!(state != "degraded", "{}", self.run(&["systemctl", "--failed"])?);
            Ok(state == "running")
        })
    }

    /// Cuts its power: every process is killed at once. What was written is still there.
    pub(crate) fn cut_power(&mut self) -> Result<()> {
        let all = self.running.as_ref().map(|running| descendants(running.pid()));
        self.running = None;
        until("the machine is off", || Ok(all.iter().flatten().all(|pid| has_ended(*pid))))
    }

    /// Switches it on again, after its power was cut.
    pub(crate) fn boot_again(&mut self) -> Result<()> {
        ensure!(self.running.is_none(), "the machine is on");
        self.switch_on()
    }

    /// Has it reboot by itself, in good order.
    pub(crate) fn reboot(&mut self) -> Result<()> {
        // The answer may not come any more.
        let _ = self.command("systemctl").arg("reboot").output()?;
        // nspawn ends, and leaves it to whoever started it to do so again.
        until("the machine goes down", || {
            Ok(self.running.as_mut().is_none_or(|running| running.ended().is_some()))
        })?;
        self.running = None;
        self.switch_on()
    }

    /// A command that will run in the machine, as root.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = limited("nsenter");
        command.args(["--target", &self.first.to_string()]);
        command.args(["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"]);
        command.args(["--wdns=/root", "--", program]);
        command.env_clear().env("HOME", "/root").env("LANG", "C.UTF-8");
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    /// Runs a command in the machine and returns what it printed.
    pub(crate) fn run(&self, words: &[&str]) -> Result<String> {
        let (program, arguments) = words.split_first().context("no command")?;
        let output = process::output(self.command(program).args(arguments));
        output.with_context(|| format!("in the machine: {}", words.join(" ")))
    }

    /// A path of the machine, for looking at it from here. Links in it are not the machine's:
    /// name what is meant.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        format!("/proc/{}/root{path}", self.first).into()
    }

    /// Writes a file that everybody in the machine can read, and the directories above it.
    pub(crate) fn write(&self, path: &str, contents: impl AsRef<[u8]>) -> Result<()> {
        let file = self.path(path);
        fs::create_dir_all(file.parent().context("a file is in a directory")?)?;
        fs::write(&file, contents).with_context(|| format!("cannot write {path}"))?;
        Ok(fs::set_permissions(file, Permissions::from_mode(0o644))?)
    }

    /// Copies a file into the machine.
    pub(crate) fn copy_in(&self, from: &Path, to: &str) -> Result<()> {
        self.write(to, fs::read(from).with_context(|| from.display().to_string())?)
    }

    /// What systemd knows of a unit, such as `ActiveState`.
    pub(crate) fn unit(&self, unit: &str, property: &str) -> Result<String> {
        let shown = self.run(&["systemctl", "show", "--value", "--property", property, unit])?;
        Ok(shown.trim().to_owned())
    }

    /// Waits until a unit is active.
    pub(crate) fn wait_active(&self, unit: &str) -> Result<()> {
        let waited =
            until(&format!("{unit} is active"), || Ok(self.unit(unit, "ActiveState")? == "active"));
        waited.with_context(|| self.journal(unit))
    }

    /// Sends a unit's main process a signal.
    pub(crate) fn kill(&self, unit: &str, signal: Signal) -> Result<()> {
        self.run(&["systemctl", "kill", "--kill-whom=main", "--signal", signal.as_str(), unit])?;
        Ok(())
    }

    /// What the journal has of a unit since the machine was made.
    pub(crate) fn journal(&self, unit: &str) -> String {
        self.run(&["journalctl", "--no-pager", "--output=short-precise", "--unit", unit])
            .unwrap_or_else(|error| format!("{error:#}"))
    }

    /// Gives a service another time than the machine's, from its next start on: a difference, as
    /// in `+25h`. A further call moves its clock at once, while it runs.
    ///
    /// The kernel has one clock for all machines, and its time namespaces leave the time of day
    /// alone. So a library stands between the service and its C library, which works only with a
    /// program that is linked to one. Other services keep the true time, MongoDB among them, and
    /// so does what the program measures from one moment to another.
    pub(crate) fn move_clock(&self, unit: &str, difference: &str) -> Result<()> {
        // In one step, for it may be read at any time.
        let next = format!("{CLOCK}.next");
        self.write(&next, format!("{difference}\n"))?;
        fs::rename(self.path(&next), self.path(CLOCK))?;
        let drop_in = format!("/etc/systemd/system/{unit}.d/other-time.conf");
        if !self.path(&drop_in).exists() {
            self.write(
                &drop_in,
                format!(
                    "[Service]\nEnvironment=LD_PRELOAD={FAKETIME}\n\
                     Environment=FAKETIME_TIMESTAMP_FILE={CLOCK} FAKETIME_NO_CACHE=1\n\
                     Environment=FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_DISABLE_SHM=1\n"
                ),
            )?;
            self.run(&["systemctl", "daemon-reload"])?;
        }
        Ok(())
    }

    /// Its network namespace.
    pub(crate) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    fn console(&self) -> PathBuf {
        self.place.file("console.log")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if thread::panicking() && self.running.is_some() {
            let failed = self.run(&["systemctl", "--no-pager", "--failed"]).unwrap_or_default();
            let journal = self.run(&["journalctl", "--no-pager", "--lines=80"]);
            eprintln!("--- {} ---\n{failed}", self.hardware.hostname);
            eprintln!("{}", journal.unwrap_or_else(|error| format!("{error:#}")));
        }
        if let Err(error) = self.cut_power() {
            eprintln!("{error:#}");
        }
    }
}

/// A process's children and theirs, also those that were taken over from others.
fn descendants(pid: Pid) -> Vec<Pid> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let mut found = Vec::new();
    for child in children.unwrap_or_default().split_whitespace() {
        if let Ok(child) = child.parse().map(Pid::from_raw) {
            found.push(child);
            found.extend(descendants(child));
        }
    }
    found
}

/// Whether a process is a machine's first and has become systemd.
fn is_first(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    // Its number here, beside nspawn, and in the machine.
    let numbers: Vec<_> = line("NSpid:").unwrap_or_default().split_whitespace().collect();
    line("Name:").is_some_and(|name| name.trim() == "systemd") && matches!(numbers[..], [_, _, "1"])
}

fn has_ended(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    kill(pid, None).is_err() || stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z'))
}
