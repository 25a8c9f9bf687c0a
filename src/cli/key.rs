//! `retention key`: which keys may upload.
//!
//! It reads what the administrator gives it, in whichever way that comes, and prints
//! what became of it. What is accepted is not decided here but in [`crate::sftp::keys`].

use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
};

use anyhow::{Context, bail};
use clap::Subcommand;
use serde::Serialize;

use crate::sftp::keys::{AuthorizedKey, AuthorizedKeys, Error, KeyRefusal};

/// More than any public key, and less than it takes to do harm.
const MAX_INPUT_BYTES: u64 = 64 * 1024;

/// Which keys may upload backups to this appliance.
#[derive(Clone, Debug, Subcommand)]
pub enum KeyCommand {
    /// Let the holder of a key upload
    ///
    /// maaiiconnect shows its key under Administration > Security > Retention as
    /// "SFTP public key". The old key stays valid until it is removed, so that keys are
    /// rotated without a pause: add the new one, wait for a backup to arrive with it,
    /// and remove the old one.
    ///
    /// Ed25519, ECDSA, and RSA of 2048 bits or more are accepted.
    #[command(after_help = "Examples:
  retention key add ssh-ed25519 AAAAC3NzaC1lZDI1… maaiiconnect
  retention key add maaiiconnect.pub
  cat maaiiconnect.pub | retention key add -")]
    Add {
        /// The public key as one line, a file that holds it, or - for standard input
        #[arg(required = true, value_name = "KEY|FILE|-")]
        key: Vec<String>,
        /// Print the key as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the keys that may upload
    ///
    /// Each with its SHA-256 fingerprint, kind, size and comment.
    #[command(after_help = "Examples:
  retention key list
  retention key list --json | jq -r '.keys[].fingerprint'")]
    List {
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    /// Stop the holder of a key from uploading
    ///
    /// It takes effect at the next sign-in; an upload that is going on is not stopped.
    #[command(after_help = "Examples:
  retention key remove SHA256:RlYhOhAvX0ye2tGg0Wnw2zQ1iW0dXg7P0Ykd8Yt5f1c
  retention key remove maaiiconnect")]
    Remove {
        /// The key's fingerprint as `retention key list` shows it, or its comment
        #[arg(value_name = "FINGERPRINT|COMMENT")]
        key: String,
        /// Print the removed key as JSON
        #[arg(long)]
        json: bool,
    },
}

/// Does what `command` says to the keys of the endpoint.
///
/// Results go to standard output, warnings to standard error.
pub fn run(command: &KeyCommand, keys: &AuthorizedKeys) -> anyhow::Result<()> {
    let mut terminal = Terminal {
        input: &mut io::stdin().lock(),
        output: &mut io::stdout().lock(),
        warnings: &mut io::stderr().lock(),
    };
    match terminal.run(command, keys) {
        // Whoever read the output, as `head` does, has had enough of it.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        other => other,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Where the command reads and writes.
struct Terminal<'a> {
    input: &'a mut dyn Read,
    output: &'a mut dyn Write,
    warnings: &'a mut dyn Write,
}

impl Terminal<'_> {
    fn run(&mut self, command: &KeyCommand, keys: &AuthorizedKeys) -> anyhow::Result<()> {
        match command {
            KeyCommand::Add { key, json } => {
                let text = self.key_text(key)?;
                let added = keys.add(&text)?;
                self.print_one("Added", &added, *json)
            }
            KeyCommand::List { json } => self.list(keys, *json),
            KeyCommand::Remove { key, json } => {
                let removed = keys.remove(key)?;
                self.print_one("Removed", &removed, *json)?;
                if keys.list()?.keys.is_empty() {
                    writeln!(self.warnings, "No key is left: nobody can upload.")?;
                }
                Ok(())
            }
        }
    }

    /// The text of a key that was given as words of its own, quoted, as a file, or as `-`.
    fn key_text(&mut self, words: &[String]) -> anyhow::Result<String> {
        match words {
            [word] if word == "-" => {
                read_text(self.input).context("cannot read the key from standard input")
            }
            [word] if !word.contains(char::is_whitespace) && Path::new(word).exists() => {
                let read = || read_text(&mut File::open(word)?);
                read().with_context(|| format!("cannot read the key file {word}"))
            }
            // Not repeated in the message: it may be a secret that was pasted by mistake.
            [word] if AuthorizedKey::parse(word) == Err(KeyRefusal::NotAKey) => bail!(
                "there is no such file, and a public key it is not: \
                 that is one line such as \"ssh-ed25519 AAAA… name\""
            ),
            words => Ok(words.join(" ")),
        }
    }

    fn print_one(&mut self, what: &str, key: &AuthorizedKey, json: bool) -> anyhow::Result<()> {
        if json {
            return self.print_json(key);
        }
        writeln!(self.output, "{what} {}", line(key))?;
        Ok(())
    }

    fn list(&mut self, keys: &AuthorizedKeys, json: bool) -> anyhow::Result<()> {
        #[derive(Serialize)]
        struct Foreign {
            line: usize,
            why: String,
        }
        #[derive(Serialize)]
        struct Document {
            file: String,
            keys: Vec<AuthorizedKey>,
            foreign_lines: Vec<Foreign>,
        }

        let listing = keys.list()?;
        let file = keys.path().display().to_string();
        if json {
            let foreign_lines = listing
                .foreign
                .into_iter()
                .map(|foreign| Foreign { line: foreign.number, why: foreign.refusal.to_string() })
                .collect();
            return self.print_json(&Document { file, keys: listing.keys, foreign_lines });
        }
        for key in &listing.keys {
            writeln!(self.output, "{}", line(key))?;
        }
        if listing.keys.is_empty() {
            writeln!(
                self.warnings,
                "No key is authorised: nobody can upload. Add one with `retention key add`."
            )?;
        }
        for foreign in &listing.foreign {
            let (number, why) = (foreign.number, &foreign.refusal);
            writeln!(
                self.warnings,
                "Line {number} of {file} was written by hand and needs your attention: {why}"
            )?;
        }
        Ok(())
    }

    fn print_json(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        writeln!(self.output, "{}", serde_json::to_string(value)?)?;
        Ok(())
    }
}

/// A key as `ssh-keygen -l` would order it, with columns that line up.
fn line(key: &AuthorizedKey) -> String {
    let comment = if key.comment.is_empty() { "(no comment)" } else { &key.comment };
    format!("{:<7} {:>5} bits  {}  {comment}", key.kind, key.size_bits, key.fingerprint)
}

fn read_text(input: &mut dyn Read) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    input.take(MAX_INPUT_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_INPUT_BYTES {
        bail!("it has more than {MAX_INPUT_BYTES} bytes, and a public key has a few hundred");
    }
    String::from_utf8(bytes).map_err(|_| Error::Refuse(KeyRefusal::NotAKey).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIINNGfW/pNUAlECXhpgtEeBc0PAX0z1wvtiTBB3VVJsl sender";

    /// What a command printed, or its error, and what it warned of.
    fn say(keys: &AuthorizedKeys, command: &KeyCommand, input: &str) -> (String, String) {
        let (mut output, mut warnings) = (Vec::new(), Vec::new());
        let mut terminal =
            Terminal { input: &mut input.as_bytes(), output: &mut output, warnings: &mut warnings };
        let result = terminal.run(command, keys);
        let text = |bytes| String::from_utf8(bytes).expect("text");
        let output = text(output);
        (result.map_or_else(|error| format!("{error:#}"), |()| output), text(warnings))
    }

    fn add(words: &[&str]) -> KeyCommand {
        KeyCommand::Add { key: words.iter().map(|&word| word.to_owned()).collect(), json: false }
    }

    #[test]
    fn a_key_may_come_as_words_as_one_argument_as_a_file_or_from_standard_input() {
        let scratch = tempfile::tempdir().expect("scratch");
        let file = scratch.path().join("sender.pub");
        std::fs::write(&file, KEY).expect("write");
        let file = file.to_str().expect("path");
        let words: Vec<_> = KEY.split(' ').collect();
        for (number, words) in [&words[..], &[KEY], &[file], &["-"]].into_iter().enumerate() {
            let keys = AuthorizedKeys::new(scratch.path().join(number.to_string()));
            let (said, _) = say(&keys, &add(words), KEY);
            assert!(said.starts_with("Added ED25519") && said.ends_with(" sender\n"), "{said}");
        }
    }

    #[test]
    fn what_cannot_be_added_is_answered_with_a_sentence_that_holds_none_of_it() {
        let scratch = tempfile::tempdir().expect("scratch");
        let keys = AuthorizedKeys::new(scratch.path().join("keys"));
        let private = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjE";
        for (words, input, part) in [
            (&["absent.pub"][..], "", "there is no such file"),
            (&["/"], "", "cannot read the key file /"),
            (&["-"], "", "it is empty"),
            (&["-"], private, "this is a private key"),
            (&[private], "", "this is a private key"),
        ] {
            let (said, _) = say(&keys, &add(words), input);
            assert!(said.contains(part) && !said.contains("b3Bl"), "{words:?}: {said}");
        }
    }

    #[test]
    fn the_list_is_for_people_or_json_and_says_when_nobody_can_upload() {
        let scratch = tempfile::tempdir().expect("scratch");
        let keys = AuthorizedKeys::new(scratch.path().join("keys"));
        let list = |json| say(&keys, &KeyCommand::List { json }, "");
        assert!(list(false).1.contains("nobody can upload"));
        say(&keys, &add(&[KEY]), "");
        assert!(list(false).0.contains("256 bits  SHA256:"));
        let json: serde_json::Value = serde_json::from_str(&list(true).0).expect("JSON");
        assert_eq!(json["keys"][0]["comment"], "sender");
        assert_eq!(json["keys"][0]["size_bits"], 256);
        let remove = KeyCommand::Remove { key: "sender".to_owned(), json: false };
        let (said, warning) = say(&keys, &remove, "");
        assert!(said.starts_with("Removed ") && warning.contains("nobody can upload"));
    }
}
