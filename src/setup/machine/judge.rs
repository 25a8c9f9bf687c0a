//! Whether a machine will do. Pure: facts in, sentences out.

use std::net::SocketAddr;

use super::{Disk, Listener, Machine};
use crate::setup::finding::Finding;

const GIB: u64 = 1 << 30;

/// What maaiiconnect recommends, with what a virtual machine loses of it taken off.
const MEMORY_BYTES: u64 = 4 * GIB - GIB / 2;
const DISK_BYTES: u64 = 900 * GIB;
const LEAST_FREE_BYTES: u64 = 5 * GIB;

/// File systems on which an upload is claimed by a rename, and a lease tells who writes.
const FIT: [&str; 5] = ["ext4", "xfs", "btrfs", "ext3", "zfs"];
/// File systems that forget, know no owners, or are written by machines that we do not see.
const UNFIT: [&str; 12] = [
    "tmpfs", "ramfs", "vfat", "exfat", "ntfs", "ntfs3", "iso9660", "nfs", "nfs4", "cifs", "smb3",
    "9p",
];

/// The ports that are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// The endpoint's.
    pub sftp: SocketAddr,
    /// The portal's.
    pub portal: SocketAddr,
}

/// Judges everything about a machine.
pub fn all(machine: &Machine, uploader: &str, ports: Ports) -> Vec<Finding> {
    vec![
        root(machine),
        cores(machine),
        memory(machine),
        disk(machine),
        clock(machine),
        processor(machine),
        sshd(machine),
        user(machine, uploader),
        port("port of the endpoint", ports.sftp, machine.holder(ports.sftp), is_our_sshd),
        port("port of the portal", ports.portal, machine.holder(ports.portal), is_our_daemon),
        services(machine),
    ]
}

fn root(machine: &Machine) -> Finding {
    if machine.root {
        return Finding::ok("root", "runs as root");
    }
    let said = "this does not run as root: no service can be started, and sshd cannot shut the \
                uploading user in";
    Finding::warning("root", said, "Run `sudo retention setup`, unless this is only a trial.")
}

fn cores(machine: &Machine) -> Finding {
    let todo = "Give the machine 2 cores, as maaiiconnect recommends.";
    match machine.cores {
        None => Finding::warning("cores", "the number of cores is not known", todo),
        Some(1) => {
            Finding::warning("cores", "1 core: archives are taken in at half the speed", todo)
        }
        Some(cores) => Finding::ok("cores", format!("{cores} cores")),
    }
}

fn memory(machine: &Machine) -> Finding {
    let todo = "Give the machine 4 GB, as maaiiconnect recommends.";
    match machine.memory_bytes {
        None => Finding::warning("memory", "the size of the memory is not known", todo),
        Some(bytes) if bytes < MEMORY_BYTES => {
            let said = format!("{} of memory is little for MongoDB and the appliance", size(bytes));
            Finding::warning("memory", said, todo)
        }
        Some(bytes) => Finding::ok("memory", format!("{} of memory", size(bytes))),
    }
}

fn disk(machine: &Machine) -> Finding {
    let Some(disk) = &machine.disk else {
        let todo = "See with `df` whether the state directory is on a mounted disk.";
        let said = "the disk of the state directory cannot be looked at";
        return Finding::warning("disk", said, todo);
    };
    let Disk { mounted_at, kind, total_bytes, free_bytes, read_only } = disk;
    let at = mounted_at.display();
    let (total, free) = (size(*total_bytes), size(*free_bytes));
    if *read_only {
        let todo = "See with `dmesg` whether the disk is damaged, and mount it for writing.";
        return Finding::error("disk", format!("{at} is mounted read-only"), todo);
    }
    if UNFIT.contains(&kind.as_str()) {
        let said = format!("the state directory is on {at}, whose file system is {kind}");
        let todo = "Mount a disk with ext4 or xfs there, or name another state_directory: uploads \
                    need owners, leases and a rename that lasts.";
        return Finding::error("disk", said, todo);
    }
    if *free_bytes < LEAST_FREE_BYTES {
        let said = format!("{free} free on {at}: no backup would fit");
        return Finding::error("disk", said, "Give the machine the disk that it needs: 1 TB.");
    }
    let said = format!("{free} of {total} free on {at} ({kind})");
    if !FIT.contains(&kind.as_str()) {
        let todo = "ext4 and xfs are what this was tried with.";
        return Finding::warning("disk", said, todo);
    }
    if *total_bytes < DISK_BYTES {
        let todo = "maaiiconnect recommends 1 TB: this will be full sooner.";
        return Finding::warning("disk", said, todo);
    }
    Finding::ok("disk", said)
}

fn clock(machine: &Machine) -> Finding {
    let todo = "Run `timedatectl set-ntp true`, or install chrony: names, certificates and the \
                missed-backup alarm need the time.";
    match machine.clock_synchronised {
        Some(true) => Finding::ok("clock", "the clock is set by a time server"),
        Some(false) => Finding::warning("clock", "the clock is not set by a time server", todo),
        None => {
            Finding::warning("clock", "whether a time server sets the clock is not known", todo)
        }
    }
}

fn processor(machine: &Machine) -> Finding {
    match machine.avx {
        Some(true) => Finding::ok("processor", "AVX is there: MongoDB 4.2 to 8 can run here"),
        Some(false) => Finding::warning(
            "processor",
            "no AVX: MongoDB 5 and later would not start here",
            "Use MongoDB 4.2 or 4.4 on this machine, or let the hypervisor pass the processor's \
             AVX on (`cpu mode='host-passthrough'`).",
        ),
        None => Finding::warning(
            "processor",
            "whether the processor has AVX is not known",
            "MongoDB 5 and later need it; 4.2 and 4.4 do not.",
        ),
    }
}

fn sshd(machine: &Machine) -> Finding {
    if machine.sshd {
        return Finding::ok("OpenSSH", "OpenSSH's server is installed");
    }
    let todo = "Run `apt install openssh-server openssh-sftp-server`.";
    Finding::error("OpenSSH", "OpenSSH's server is not installed", todo)
}

fn user(machine: &Machine, uploader: &str) -> Finding {
    if machine.uploader_exists {
        return Finding::ok("uploading user", format!("{uploader} exists"));
    }
    let said = format!("there is no user {uploader}");
    let todo = "The package makes retention-sftp: run `systemd-sysusers`, or name a system user \
                that exists.";
    Finding::error("uploading user", said, todo)
}

fn port(
    id: &'static str,
    wanted: SocketAddr,
    holder: Option<&Listener>,
    is_ours: fn(&Listener) -> bool,
) -> Finding {
    match holder {
        None => Finding::ok(id, format!("{wanted} is free")),
        Some(holder) if is_ours(holder) => {
            Finding::ok(id, format!("{wanted} is taken by the appliance itself"))
        }
        Some(holder) => {
            let who = match (&holder.program, holder.pid) {
                (Some(program), Some(pid)) => format!("{program} (process {pid})"),
                _ => "another program".to_owned(),
            };
            let said = format!("{wanted} is taken by {who}");
            Finding::error(id, said, "Choose another port, or stop that program.")
        }
    }
}

/// An sshd that was started with the endpoint's configuration. It says so in its title.
fn is_our_sshd(listener: &Listener) -> bool {
    let program = listener.program.as_deref().unwrap_or_default();
    let ours = |argument: &String| argument.contains("sftp-server/sshd_config");
    program.starts_with("sshd") && listener.arguments.iter().any(ours)
}

fn is_our_daemon(listener: &Listener) -> bool {
    listener.program.as_deref() == Some("retention")
}

fn services(machine: &Machine) -> Finding {
    if machine.systemd {
        return Finding::ok("systemd", "systemd runs the services");
    }
    let said = "systemd does not run this machine: no service can be enabled or started";
    let todo = "Start `retention sftp serve` and `retention run` by what runs services here.";
    Finding::warning("systemd", said, todo)
}

/// A size for people.
fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::finding::Grade;

    fn good() -> Machine {
        Machine {
            root: true,
            host: "vault".into(),
            systemd: true,
            cores: Some(2),
            memory_bytes: Some(4 * GIB - 200 * 1024 * 1024),
            avx: Some(true),
            disk: Some(Disk {
                mounted_at: "/".into(),
                kind: "ext4".into(),
                total_bytes: 1000 * GIB,
                free_bytes: 900 * GIB,
                read_only: false,
            }),
            clock_synchronised: Some(true),
            sshd: true,
            uploader_exists: true,
            ..Machine::default()
        }
    }

    fn ports() -> Ports {
        let at = |port| SocketAddr::from(([0, 0, 0, 0], port));
        Ports { sftp: at(2222), portal: at(8443) }
    }

    #[test]
    fn the_machine_that_maaiiconnect_recommends_will_do() {
        for finding in all(&good(), "retention-sftp", ports()) {
            assert_eq!(finding.grade, Grade::Ok, "{finding:?}");
        }
    }

    fn disk(machine: &mut Machine) -> &mut Disk {
        machine.disk.get_or_insert_default()
    }

    #[test]
    fn what_will_not_do_is_named_and_graded() {
        type Change = fn(&mut Machine);
        let table: [(&str, Grade, Change); 14] = [
            ("root", Grade::Warning, |m| m.root = false),
            ("cores", Grade::Warning, |m| m.cores = Some(1)),
            ("memory", Grade::Warning, |m| m.memory_bytes = Some(2 * GIB)),
            ("disk", Grade::Error, |m| disk(m).kind = "nfs4".into()),
            ("disk", Grade::Error, |m| disk(m).read_only = true),
            ("disk", Grade::Error, |m| disk(m).free_bytes = GIB),
            ("disk", Grade::Warning, |m| disk(m).kind = "overlay".into()),
            ("disk", Grade::Warning, |m| disk(m).total_bytes = 100 * GIB),
            ("clock", Grade::Warning, |m| m.clock_synchronised = None),
            ("clock", Grade::Warning, |m| m.clock_synchronised = Some(false)),
            ("processor", Grade::Warning, |m| m.avx = Some(false)),
            ("OpenSSH", Grade::Error, |m| m.sshd = false),
            ("uploading user", Grade::Error, |m| m.uploader_exists = false),
            ("systemd", Grade::Warning, |m| m.systemd = false),
        ];
        for (id, grade, change) in table {
            let mut machine = good();
            change(&mut machine);
            let found = all(&machine, "retention-sftp", ports());
            let bad: Vec<_> = found.iter().filter(|it| it.grade != Grade::Ok).collect();
            assert_eq!(bad.len(), 1, "{id}: {bad:?}");
            assert_eq!((bad[0].id, bad[0].grade), (id, grade));
            assert!(bad[0].todo.as_ref().is_some_and(|todo| todo.len() > 10));
        }
    }

    #[test]
    fn a_port_is_taken_by_everybody_but_ourselves() {
        let listener = |program: &str, argument: &str, port| Listener {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            program: Some(program.into()),
            arguments: vec![argument.into()],
            pid: Some(7),
        };
        for (listener, grade) in [
            (
                listener("sshd", "sshd: /usr/sbin/sshd -D -f /v/sftp-server/sshd_config", 2222),
                Grade::Ok,
            ),
            (listener("sshd", "/etc/ssh/sshd_config", 2222), Grade::Error),
            (listener("retention", "run", 8443), Grade::Ok),
            (listener("nginx", "", 8443), Grade::Error),
            (listener("nginx", "", 443), Grade::Ok),
        ] {
            let mut machine = good();
            machine.listeners.push(listener.clone());
            let found = all(&machine, "retention-sftp", ports());
            let worst = found.iter().map(|finding| finding.grade).max();
            assert_eq!(worst, Some(grade), "{listener:?}");
        }
    }
}
