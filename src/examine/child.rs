//! The daemon's side of the pipe: starts a process that decodes, answers what it asks for, and
//! makes an outcome of whatever becomes of it.
//!
//! Nothing here looks into a medium. Whatever the process does, it cannot hurt: what it says is
//! bounded, and how it ends is only ever a reason why a medium was not decoded.

use std::{
    future::Future,
    io,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{ExitStatus, Stdio},
};

use bytes::Bytes;
use nix::sys::signal::Signal;
use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{ChildStdin, ChildStdout, Command},
};
use tokio_util::sync::CancellationToken;

use super::{confine, pipe};
use crate::{
    backup::examined::{Finding, MediumKind, Outcome},
    idle, shelf, store,
};

/// This program, also after an upgrade has put another in its place.
pub const OWN_PROGRAM: &str = "/proc/self/exe";

/// How the process ends that may not decode because its limits could not be set.
pub const UNCONFINED: u8 = 3;

/// How often each block of a medium may be asked for, on the average; and some more.
const ASKED_MOST: (u64, u64) = (100, 10_000);

/// Why nothing can be said of a medium. Each is trouble of our own.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The process could not be started.
    #[error("cannot start the process that decodes")]
    Start(#[source] io::Error),
    /// It could not be spoken with.
    #[error("cannot speak with the process that decodes")]
    Speak(#[source] io::Error),
    /// Its limits could not be set.
    #[error("the process that decodes cannot limit itself, and so decodes nothing")]
    Unconfined,
    /// The bytes of the medium could not be had.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The same, from a file.
    #[error("cannot read the file")]
    File(#[source] io::Error),
    /// The media in an archive cannot be had.
    #[error("cannot examine the media in {file}")]
    Archive {
        /// The archive's name.
        file: String,
        /// Why.
        source: Box<Self>,
    },
    /// A medium cannot be had out of its archive.
    #[error("cannot take a medium out of its archive")]
    Shelf(#[source] shelf::Error),
    /// The work is to end.
    #[error("the work was interrupted")]
    Stopped,
}

impl From<shelf::Error> for Error {
    fn from(error: shelf::Error) -> Self {
        match error {
            shelf::Error::Store(error) => Self::Store(error),
            shelf::Error::CutOff => Self::Stopped,
            error => Self::Shelf(error),
        }
    }
}

impl From<idle::Stopped> for Error {
    fn from(_: idle::Stopped) -> Self {
        Self::Stopped
    }
}

impl idle::Trouble for Error {
    fn is_stopped(&self) -> bool {
        matches!(self, Self::Stopped)
    }

    fn is_away(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_away())
    }
}

/// Where the bytes of a medium come from.
pub trait Source {
    /// How many there are.
    fn length_bytes(&self) -> u64;

    /// The bytes from `start` up to but not including `end`.
    fn bytes(&self, start: u64, end: u64) -> impl Future<Output = Result<Bytes, Error>> + Send;
}

/// Has media decoded, each by a process of its own.
#[derive(Clone, Debug)]
pub struct Decoder {
    program: PathBuf,
}

/// How its command is called, which is for nobody else.
pub const COMMAND: [&str; 2] = ["media", "decode"];

impl Decoder {
    /// Decodes with this program, which is `retention`.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into() }
    }

    /// Examines one medium. `stop` ends it early; then the process is killed.
    pub async fn examine(
        &self,
        source: &impl Source,
        stop: &CancellationToken,
    ) -> Result<Finding, Error> {
        let mut child = Command::new(&self.program)
            .arg0("retention")
            .args(COMMAND)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(Error::Start)?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::Start(io::ErrorKind::BrokenPipe.into()));
        };
        let mut talk = Talk { source, input, output, kind: MediumKind::Unknown, stop };
        let outcome = talk.until_it_ends().await?;
        let kind = talk.kind;
        // It may still be writing to nobody.
        drop(talk);
        if outcome.is_some() {
            let _ = child.start_kill();
        }
        let status = child.wait().await.map_err(Error::Speak)?;
        let outcome = match outcome {
            Some(outcome) => outcome,
            None => Outcome::NotDecoded { why: why(status, source.length_bytes())? },
        };
        Ok(Finding { kind, outcome })
    }
}

/// What is said between us and one process.
struct Talk<'a, S> {
    source: &'a S,
    input: ChildStdin,
    output: ChildStdout,
    kind: MediumKind,
    stop: &'a CancellationToken,
}

impl<S: Source> Talk<'_, S> {
    /// Answers until there is an outcome, or until it ends without one.
    async fn until_it_ends(&mut self) -> Result<Option<Outcome>, Error> {
        let length = self.source.length_bytes();
        let blocks = length.div_ceil(pipe::BLOCK_BYTES);
        let most = blocks.saturating_mul(ASKED_MOST.0).saturating_add(ASKED_MOST.1);
        let mut asked = 0;
        if !self.answer(&length.to_le_bytes()).await? {
            return Ok(None);
        }
        while let Some([what]) = self.hear().await? {
            match what {
                pipe::KIND => match self.words().await? {
                    Some(kind) => self.kind = kind,
                    None => return Ok(None),
                },
                pipe::OUTCOME => return self.words().await,
                pipe::BLOCK if asked < most => {
                    let number = self.hear().await?.map(u64::from_le_bytes);
                    let Some(number) = number.filter(|number| *number < blocks) else { break };
                    asked += 1;
                    let start = number * pipe::BLOCK_BYTES;
                    let end = (start + pipe::BLOCK_BYTES).min(length);
                    let bytes = self.source.bytes(start, end).await?;
                    let count = u32::try_from(bytes.len()).unwrap_or(0).to_le_bytes();
                    if !self.answer(&count).await? || !self.answer(&bytes).await? {
                        break;
                    }
                }
                _ => break,
            }
        }
        Ok(None)
    }

    /// The next bytes it says; none if it has ended.
    async fn hear<const N: usize>(&mut self) -> Result<Option<[u8; N]>, Error> {
        let mut bytes = [0; N];
        tokio::select! {
            heard = self.output.read_exact(&mut bytes) => match heard {
                Ok(_) => Ok(Some(bytes)),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
                Err(error) => Err(Error::Speak(error)),
            },
            () = self.stop.cancelled() => Err(Error::Stopped),
        }
    }

    /// A kind or an outcome; none if it makes no sense.
    async fn words<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Error> {
        let length = self.hear().await?.map(u32::from_le_bytes);
        let Some(length) = length.filter(|length| *length <= pipe::WORDS_BYTES) else {
            return Ok(None);
        };
        let mut words = Vec::new();
        let heard = (&mut self.output).take(length.into()).read_to_end(&mut words).await;
        heard.map_err(Error::Speak)?;
        Ok(serde_json::from_slice(&words).ok())
    }

    /// Sends bytes; returns whether it is still there.
    async fn answer(&mut self, bytes: &[u8]) -> Result<bool, Error> {
        tokio::select! {
            sent = self.input.write_all(bytes) => match sent {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
                Err(error) => Err(Error::Speak(error)),
            },
            () = self.stop.cancelled() => Err(Error::Stopped),
        }
    }
}

/// Why a process that has ended has said nothing.
fn why(status: ExitStatus, length_bytes: u64) -> Result<String, Error> {
    if status.code() == Some(UNCONFINED.into()) {
        return Err(Error::Unconfined);
    }
    let signal = status.signal().and_then(|signal| Signal::try_from(signal).ok());
    let mebibytes = confine::MEMORY_BYTES / (1024 * 1024);
    let seconds = confine::cpu_seconds(length_bytes);
    let what = match signal {
        Some(Signal::SIGABRT) => format!("the decoder wanted more than {mebibytes} MiB of memory"),
        Some(Signal::SIGXCPU) => format!("the decoder took more than {seconds} s of computing"),
        Some(signal) => format!("the decoder was ended by {signal}"),
        None => "the decoder gave up".to_owned(),
    };
    Ok(format!("it cannot be decoded: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_a_decoder_ends_there_is_a_reason() {
        for (raw, words) in [
            (libc::SIGABRT, "more than 256 MiB of memory"),
            (libc::SIGXCPU, "more than 60 s of computing"),
            (libc::SIGSEGV, "ended by SIGSEGV"),
            (libc::SIGKILL, "ended by SIGKILL"),
            (101 << 8, "gave up"),
            (0, "gave up"),
        ] {
            let why = why(ExitStatus::from_raw(raw), 5).expect("a reason");
            assert!(why.contains(words), "{why}");
        }
        let unconfined = why(ExitStatus::from_raw(i32::from(UNCONFINED) << 8), 5);
        assert!(matches!(unconfined, Err(Error::Unconfined)));
    }
}
