//! Alerts to this machine's syslog, in the form of RFC 3164 that every one of them reads.

use std::{io, os::unix::net::UnixDatagram, path::PathBuf};

use super::message::{Event, Message};
use crate::health::check::State;

/// Where a machine listens.
pub const SOCKET: &str = "/dev/log";

/// The facility of daemons.
const DAEMON: u8 = 3;

/// How much a line may hold, in bytes: what RFC 3164 allows, with room for what comes before.
const LINE_BYTES: usize = 900;

/// Nobody takes the lines.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to {}", path.display())]
pub struct Error {
    /// The socket.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// The machine's syslog.
#[derive(Clone, Debug)]
pub struct Syslog {
    path: PathBuf,
}

impl Syslog {
    /// The one that listens on the socket at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Writes a line for each check of a message.
    pub fn write(&self, message: &Message) -> Result<(), Error> {
        let failed = |source| Error { path: self.path.clone(), source };
        let socket = UnixDatagram::unbound().map_err(failed)?;
        for line in lines(message) {
            socket.send_to(line.as_bytes(), &self.path).map_err(failed)?;
        }
        Ok(())
    }
}

fn lines(message: &Message) -> Vec<String> {
    let troubles = message.troubles.iter().map(|check| (check, check.state));
    let recovered = message.recovered.iter().map(|check| (check, State::Ok));
    let mut said: Vec<(State, String)> = troubles
        .chain(recovered)
        .map(|(check, state)| (state, format!("{} {state}: {}", check.key(), check.sentence)))
        .collect();
    if said.is_empty() || message.event == Event::Digest {
        said.insert(0, (message.state, message.subject.clone()));
    }
    said.into_iter().map(|(state, text)| line(message, state, &text)).collect()
}

fn line(message: &Message, state: State, text: &str) -> String {
    let severity = match state {
        State::Critical => 2,
        State::Warning => 4,
        State::Ok | State::Unknown => 6,
    };
    // A day below ten is padded with a space.
    let at = message.at.strftime("%b %e %H:%M:%S");
    let mut text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    while text.len() > LINE_BYTES {
        text.pop();
    }
    format!("<{}>{at} retention: {text}", DAEMON * 8 + severity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::check::{Kind, Verdict};

    #[test]
    fn each_check_is_a_line_that_syslog_reads() {
        let scratch = tempfile::tempdir().expect("scratch");
        let path = scratch.path().join("log");
        let listening = UnixDatagram::bind(&path).expect("a socket");
        let at = "2021-05-01T02:03:04Z".parse().expect("a time");
        let mut message = Message::test("here", at);
        Syslog::new(&path).write(&message).expect("written");
        let trouble = Verdict::critical("It is\nso.", "Do it.").of(Kind::Mongodb, "", at);
        message.troubles = vec![trouble];
        Syslog::new(&path).write(&message).expect("written");
        for expected in [
            "<30>May  1 02:03:04 retention: [retention here] A test",
            "<26>May  1 02:03:04 retention: mongodb critical: It is so.",
        ] {
            let mut buffer = [0; 2000];
            let length = listening.recv(&mut buffer).expect("a line");
            assert_eq!(String::from_utf8_lossy(&buffer[..length]), expected);
        }
        let nobody = Syslog::new(scratch.path().join("nobody")).write(&message);
        assert!(nobody.is_err());
    }
}
