//! What a process that decodes may do: compute, within limits, and talk over the pipe that it
//! was given. Nothing else. What it reads was made by strangers.
//!
//! The process does this to itself before it reads anything. It can open no file and no
//! connection then (no descriptor is left for one), write to no file, and start nothing.

use nix::sys::resource::{Resource, setrlimit};

/// How much address space a decoder has. Most media take a tenth of it; a picture of 50
/// megapixels, or a document of 100 MiB, takes most.
pub const MEMORY_BYTES: u64 = 256 * 1024 * 1024;

/// How long a decoder may compute, whatever it reads, in seconds of a processor,
const CPU_SECONDS: u64 = 60;
/// how much longer for each MiB of the medium,
const CPU_SECONDS_PER_MIB: u64 = 5;
/// and at most.
const CPU_SECONDS_MOST: u64 = 3600;

/// The lowest priority there is.
const LOWEST_PRIORITY: i32 = 19;

/// A limit could not be set, so that nothing may be decoded.
#[derive(Debug, thiserror::Error)]
#[error("cannot limit what decoding may use")]
pub struct Error(#[from] nix::Error);

/// How long a medium of so many bytes may be computed on, in seconds of a processor.
pub fn cpu_seconds(length_bytes: u64) -> u64 {
    let longer = (length_bytes / (1024 * 1024)).saturating_mul(CPU_SECONDS_PER_MIB);
    CPU_SECONDS.saturating_add(longer).min(CPU_SECONDS_MOST)
}

/// Confines this process for good, for a medium of so many bytes.
pub(super) fn confine(length_bytes: u64) -> Result<(), Error> {
    // Where this is refused, decoding is only less polite.
    let _ = rustix::process::setpriority_process(None, LOWEST_PRIORITY);
    let seconds = cpu_seconds(length_bytes);
    // The signal for too much computing comes at the first limit, the end at the second.
    setrlimit(Resource::RLIMIT_CPU, seconds, seconds + 5)?;
    for (resource, limit) in [
        (Resource::RLIMIT_AS, MEMORY_BYTES),
        (Resource::RLIMIT_FSIZE, 0),
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_NPROC, 0),
        (Resource::RLIMIT_NOFILE, 0),
    ] {
        setrlimit(resource, limit, limit)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_medium_may_take_longer_but_not_for_ever() {
        for (length, seconds) in [
            (0, 60),
            (1024 * 1024 - 1, 60),
            (10 * 1024 * 1024, 110),
            (1024 * 1024 * 1024, 3600),
            (u64::MAX, 3600),
        ] {
            assert_eq!(cpu_seconds(length), seconds, "{length}");
        }
    }
}
