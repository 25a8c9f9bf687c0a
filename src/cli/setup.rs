//! `retention setup`: from a machine with the package to an appliance that works.

use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::bail;
use clap::Args;
use serde_json::json;

use super::{ask, output, test};
use crate::{
    setup::{
        self, Known, Outcome,
        answers::Answers,
        finding::{Finding, Grade},
        plan::Plan,
    },
    steps::Step,
};

pub(super) const AFTER_HELP: &str = "\
Run it as root, again whenever something is to change: what is there stays as it is, and nothing
is configured twice. It ends with the setup sheet: what is to be typed into maaiiconnect.

The answers file is TOML, and everything in it may be missing. It has to be closed to others
(chmod 600) if it holds a secret; each secret may also be in a file of its own, which has to be
closed as well. Secrets are never shown again.

  state_directory = \"/var/lib/retention\"
  secrets_directory = \"/etc/retention/secrets\"
  start = true                       # enable and start the services
  test = true                        # try everything at the end
  [sftp]
  listen = \"0.0.0.0:2222\"
  address = \"203.0.113.5:22\"         # as maaiiconnect reaches it, where that differs
  user = \"retention-sftp\"
  keys = [\"ssh-ed25519 AAAA… maaiiconnect\"]
  sha1_rsa = false
  [archive]
  key = \"…\"                          # or key_file
  [mongodb]
  host = \"127.0.0.1:27017\"
  user = \"retention\"                 # made if it is missing
  password = \"…\"                     # or password_file; made up if there is none
  auth_db = \"admin\"
  target_db = \"retention\"
  tls = false
  tls_ca_file = \"/etc/retention/mongodb-ca.pem\"
  admin_uri = \"mongodb://…\"          # or admin_uri_file; used once to make the user
  initiate_replica_set = true        # a set of this one machine, where none was initiated
  [portal]
  listen = \"0.0.0.0:8443\"
  names = [\"vault.example.com\"]
  certificate = \"/etc/retention/portal.pem\"   # with key; else a private authority signs one
  key = \"/etc/retention/portal-key.pem\"
  admin_password = \"…\"               # or admin_password_file; made up and shown once
  [modes]
  online = true
  offline = true
  [secrets]
  NAME = { file = \"/path\" }          # further files of the secrets directory
  [configuration]                    # anything else that retention.toml can say
  inbox.rescan_seconds = 30

Exit code: 0 if all was done and every test passed, 1 if not.";

/// The arguments.
#[derive(Debug, Args)]
pub(super) struct Setup {
    /// Take the answers from this file, and ask nothing.
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// Print the result as one line of JSON; what is for people goes to standard error.
    #[arg(long)]
    json: bool,
}

impl Setup {
    pub(super) fn run(&self, path: &Path) -> anyhow::Result<ExitCode> {
        // Nothing that is written from here on is open to others unless it is meant to be.
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let ok = runtime.block_on(test::until_interrupted(self.all(path)))?;
        runtime.shutdown_background();
        Ok(ExitCode::from(u8::from(!ok)))
    }

    async fn all(&self, path: &Path) -> anyhow::Result<bool> {
        let answers = match &self.answers {
            Some(file) => Answers::read(file)?,
            None if !io::stdin().is_terminal() => {
                bail!("there is nobody to ask: give the answers with --answers FILE")
            }
            None => match ask::answers(path).await? {
                Some(answers) => answers,
                None => {
                    self.say("Nothing was changed.\n");
                    return Ok(false);
                }
            },
        };
        let known = Known::look(path, &answers).await?;
        let plan = match setup::decide(path, &answers, &known)? {
            Ok(plan) => plan,
            Err(wrong) => {
                self.say("This cannot work, and nothing was changed:\n");
                wrong.iter().for_each(|finding| self.say(&finding_line(finding)));
                if self.json {
                    output::print_json(&json!({ "ok": false, "findings": wrong }))?;
                }
                return Ok(false);
            }
        };
        plan.remarks.iter().for_each(|finding| self.say(&finding_line(finding)));
        self.say("\n");
        let mut report = |step: &Step| self.say(&test::line(step));
        let outcome = setup::carry_out(&plan, &known, &mut report).await;
        self.conclude(&plan, &outcome)?;
        Ok(outcome.ok)
    }

    fn conclude(&self, plan: &Plan, outcome: &Outcome) -> anyhow::Result<()> {
        if self.json {
            return output::print_json(&json!({
                "ok": outcome.ok,
                "findings": plan.remarks,
                "steps": outcome.steps,
                "tests": outcome.trials,
                "sheet": outcome.sheet,
                "once": outcome.once,
            }));
        }
        match &outcome.sheet {
            Some(sheet) => self.say(&sheet.text()),
            None => {
                self.say("\nA step failed. Mend what it names and run `retention setup` again.\n");
                // A password that was set is lost unless it is shown now.
                let once = serde_json::to_value(&outcome.once)?;
                for (name, value) in once.as_object().into_iter().flatten() {
                    self.say(&format!("{name}: {}\n", value.as_str().unwrap_or_default()));
                }
            }
        }
        if outcome.sheet.is_some() && !outcome.ok {
            self.say("\nA test failed: see above. `retention test` repeats it.\n");
        }
        Ok(())
    }

    /// Says something to people: on standard error where the other holds JSON.
    fn say(&self, text: &str) {
        if self.json {
            let _ = io::stderr().lock().write_all(text.as_bytes());
        } else {
            let _ = output::print(text);
        }
    }
}

/// A finding for people: a mark, what was looked at, and what there is to say.
pub(super) fn finding_line(finding: &Finding) -> String {
    let mark = match finding.grade {
        Grade::Ok => "✓",
        Grade::Warning => "!",
        Grade::Error => "✗",
    };
    let line = finding.line.map_or(String::new(), |line| format!(" (line {line})"));
    let todo = finding.todo.as_ref().map_or(String::new(), |todo| format!("    → {todo}\n"));
    format!("  {mark} {}{line}: {}\n{todo}", finding.id, finding.said)
}
