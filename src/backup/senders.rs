//! Who may have uploaded a backup.

use serde::{Deserialize, Serialize};

/// The keys that were authorised when a backup was taken in. The SFTP server tells nobody which of
/// them an upload came with, so more than this is never claimed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Senders {
    /// Their fingerprints, `SHA256:…`.
    pub authorized_keys: Vec<String>,
    /// Lines beside them that somebody wrote by hand. The server may honour those.
    pub lines_by_hand: u64,
}

impl Senders {
    /// What can be said of the sender.
    pub fn sentence(&self) -> &'static str {
        match (self.authorized_keys.len(), self.lines_by_hand) {
            (0, 0) => "No key was authorised any more when this was looked up.",
            (1, 0) => "This was the only key that was authorised when the backup was taken in.",
            (_, 0) => {
                "These keys were authorised when the backup was taken in. The SFTP server does not \
                 tell which of them was used."
            }
            _ => {
                "These keys were authorised when the backup was taken in, and whatever lines say \
                 that were written by hand. The SFTP server does not tell which of them was used."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_said_of_the_sender_than_is_known() {
        for (keys, lines_by_hand, part) in [
            (0, 0, "No key"),
            (1, 0, "the only key"),
            (2, 0, "does not tell which"),
            (0, 1, "by hand"),
            (1, 1, "by hand"),
        ] {
            let authorized_keys = vec!["SHA256:x".to_owned(); keys];
            let senders = Senders { authorized_keys, lines_by_hand };
            assert!(senders.sentence().contains(part), "{senders:?}");
        }
    }
}
