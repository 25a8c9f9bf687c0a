//! A line of the Backup Log, as the connector shows it.
//!
//! It must never have the digest of the archive in it.

use serde_json::{Value, json};

use crate::job::Backup;

/// A line of the log as the connector shows it.
pub(super) fn shown(backup: &Backup) -> Value {
    let made = backup.made.as_ref();
    let deletion = backup.deletion.as_ref().map(|deletion| {
        let takes = deletion.takes.clone().unwrap_or_default();
        json!({
            "requested": deletion.requested,
            "ended": deletion.ended,
            "deleted_records": takes.records,
            "deleted_media": takes.media,
            "kept_records": takes.kept,
        })
    });
    json!({
        "job_id": backup.job,
        "file_name": backup.file,
        "created": backup.created,
        "before": backup.before,
        "status": backup.stage.status(),
        "total_data_size_bytes": made.map(|made| made.data_bytes),
        "total_backup_files": made.map(|made| made.files),
        "archive_size_bytes": made.map(|made| made.size_bytes),
        "sent_bytes": backup.sent_bytes,
        "attempts": backup.attempts,
        "trouble": backup.trouble,
        "uploaded": backup.uploaded,
        "deletion": deletion,
        "revision": backup.revision,
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::job::Made;

    #[test]
    fn the_digest_of_an_archive_is_told_to_nobody() {
        let job = "2ed1076d-f512-4316-be8f-e6d1a3a6ae52".parse().expect("a job");
        let digest = "ab".repeat(32);
        let made = Made { sha256: digest.clone(), size_bytes: 10, data_bytes: 20, files: 2 };
        let begun = Backup::begin("acme.example", job, Timestamp::UNIX_EPOCH, 30);
        let line = shown(&begun.built(made).expect("built"));
        assert_eq!(line["archive_size_bytes"], 10);
        assert!(!line.to_string().contains(&digest), "{line}");
    }

    #[test]
    fn a_line_has_every_member_of_the_contract_and_no_other() {
        let contract =
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/connector/openapi.yaml"));
        let (_, schema) = contract.split_once("\n    Backup:\n").expect("the schema");
        let (_, required) = schema.split_once("required:\n").expect("its members");
        let wanted: Vec<&str> =
            required.lines().map_while(|line| line.trim().strip_prefix("- ")).collect();
        let job = "2ed1076d-f512-4316-be8f-e6d1a3a6ae52".parse().expect("a job");
        let line = shown(&Backup::begin("acme.example", job, Timestamp::UNIX_EPOCH, 30));
        let found: Vec<&String> = line.as_object().expect("an object").keys().collect();
        let mut sorted = wanted.clone();
        sorted.sort_unstable();
        assert_eq!(found, sorted);
    }
}
