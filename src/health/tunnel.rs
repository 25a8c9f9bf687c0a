//! The IPSec tunnel to maaiiconnect, where one is configured.

use std::{net::SocketAddr, time::Duration};

use tokio::{net::TcpStream, process::Command, time::timeout};

use super::check::Verdict;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was found of the tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is up, or something answers through it.
    Up,
    /// It is not, with what was seen.
    Down(String),
    /// The program that knows cannot be asked.
    Unasked(String),
}

/// Looks at `tunnel`: the name of a connection, or the `address:port` of what answers through it.
pub async fn look(tunnel: &str) -> Found {
    match tunnel.parse::<SocketAddr>() {
        Ok(address) => match timeout(PATIENCE, TcpStream::connect(address)).await {
            Ok(Ok(_)) => Found::Up,
            // Who refuses is there.
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => Found::Up,
            Ok(Err(error)) => Found::Down(error.to_string()),
            Err(_) => Found::Down("nothing answers".into()),
        },
        Err(_) => ask_strongswan(tunnel).await,
    }
}

async fn ask_strongswan(name: &str) -> Found {
    let mut command = Command::new("swanctl");
    command.args(["--list-sas", "--raw", "--ike", name]).kill_on_drop(true);
    command.stdin(std::process::Stdio::null());
    match timeout(PATIENCE, command.output()).await {
        Err(_) => Found::Unasked("swanctl does not answer".into()),
        Ok(Err(error)) => Found::Unasked(format!("swanctl cannot be run: {error}")),
        Ok(Ok(output)) if !output.status.success() => {
            let said = String::from_utf8_lossy(&output.stderr);
            Found::Unasked(format!("swanctl: {}", said.lines().next().unwrap_or("it failed")))
        }
        Ok(Ok(output)) => read(name, &String::from_utf8_lossy(&output.stdout)),
    }
}

/// Reads what `swanctl --list-sas --raw` says: the connection has to be established, and a child
/// of it installed, for it is the child that carries anything.
fn read(name: &str, said: &str) -> Found {
    let mine = said.lines().filter(|line| line.contains(&format!("{{{name} {{")));
    let (mut established, mut installed) = (false, false);
    for line in mine {
        established |= line.contains("state=ESTABLISHED");
        installed |= line.contains("state=INSTALLED");
    }
    match (established, installed) {
        (true, true) => Found::Up,
        (true, false) => {
            Found::Down("it is established, and has no child that carries data".into())
        }
        (false, _) => Found::Down("it is not established".into()),
    }
}

/// Judges what was found.
pub fn judge(tunnel: &str, found: &Found) -> Verdict {
    match found {
        Found::Up => Verdict::ok(format!("The tunnel {tunnel} is up.")),
        Found::Down(why) => Verdict::critical(
            format!("The tunnel {tunnel} is down: {why}."),
            "Look at the journal of strongSwan, and at the other end.",
        ),
        Found::Unasked(why) => {
            Verdict::unknown(format!("{why}."), "Install strongswan-swanctl, or run this as root.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::check::State, *};

    #[test]
    fn a_tunnel_is_up_once_a_child_is_installed() {
        let sa = |ike: &str, child: &str| {
            format!(
                "list-sa event {{maaii {{uniqueid=1 version=2 state={ike} local-host=192.0.2.1 \
                 child-sas {{net-1 {{name=net uniqueid=1 state={child} mode=TUNNEL}}}}}}}}\n\
                 list-sas reply {{}}\n"
            )
        };
        for (said, state) in [
            (sa("ESTABLISHED", "INSTALLED"), State::Ok),
            (sa("ESTABLISHED", "CREATED"), State::Critical),
            (sa("CONNECTING", "CREATED"), State::Critical),
            ("list-sas reply {}\n".to_owned(), State::Critical),
            (sa("ESTABLISHED", "INSTALLED").replace("maaii", "other"), State::Critical),
        ] {
            assert_eq!(judge("maaii", &read("maaii", &said)).state, state, "{said}");
        }
        assert_eq!(judge("x", &Found::Unasked("no".into())).state, State::Unknown);
    }
}
