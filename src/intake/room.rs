//! Whether there is room for a backup, on our own disk and on MongoDB's.
//!
//! Asked before anything of a backup is stored. A full disk ends MongoDB.

use crate::{
    backup::{Reason, State, WaitCode},
    store::backups::Backup,
};

/// A disk that backups take room on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disk {
    /// That of the state directory.
    Own,
    /// That of MongoDB's data, as MongoDB says.
    Mongodb,
}

impl Disk {
    fn title(self) -> &'static str {
        match self {
            Self::Own => "the disk of the state directory",
            Self::Mongodb => "MongoDB's disk",
        }
    }
}

/// How many bytes a backup needs on either disk: twice its archive, or what is left
/// of that if a part is stored already, and the reserve.
pub(super) fn needed_bytes(backup: &Backup, reserve_bytes: u64) -> u64 {
    let unpacked = backup.size_bytes.saturating_mul(2);
    let left = match backup.state {
        State::Storing => u64::from(100 - backup.progress.percent().min(100)),
        _ => 100,
    };
    (unpacked / 100).saturating_mul(left).saturating_add(reserve_bytes)
}

/// Why the backup has to wait, if a disk has not as much free. A disk of which nothing
/// is known has room.
pub(super) fn short(
    needed_bytes: u64,
    free_bytes: [(Disk, Option<u64>); 2],
) -> Option<Reason<WaitCode>> {
    let short = free_bytes.into_iter().filter_map(|(disk, free)| Some((disk, free?)));
    let (disk, free) = short.into_iter().find(|(_, free)| *free < needed_bytes)?;
    let sentence = format!(
        "There is not enough room on {}: about {} MB are needed and {} MB are free. Make room there; the backup is then stored by itself.",
        disk.title(),
        needed_bytes.div_ceil(1_000_000),
        free / 1_000_000
    );
    Some(Reason::new(WaitCode::DiskShort, sentence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_that_is_short_is_named() {
        for (own, mongodb, named) in [
            (Some(10), Some(10), None),
            (None, None, None),
            (Some(9), Some(10), Some("the disk of the state directory")),
            (Some(10), Some(9), Some("MongoDB's disk")),
            (Some(10), None, None),
            (None, Some(0), Some("MongoDB's disk")),
        ] {
            let reason = short(10, [(Disk::Own, own), (Disk::Mongodb, mongodb)]);
            match (reason, named) {
                (None, None) => {}
                (Some(reason), Some(named)) if reason.sentence.contains(named) => {}
                (reason, _) => panic!("{own:?} {mongodb:?}: {reason:?}"),
            }
        }
    }
}
