//! The connector: who answers there, or what keeps them from it?

use crate::{
    appliance,
    cause::chain,
    config::Config,
    connector::client::{self, Client, Service},
    setup::finding::Finding,
};

const ID: &str = "connector";

/// Asks the service who it is. Nothing is asked where there is no connector.
pub(super) async fn look(config: &Config) -> Option<Finding> {
    let section = config.connector();
    if !section.is_there() {
        return None;
    }
    let client = Client::new(section.clone(), appliance::secrets(config));
    Some(match client.service().await {
        Ok(service) => answered(&service),
        Err(error) => Finding::error(ID, chain(&error), todo(&error)),
    })
}

fn answered(Service { service_id, name, next_backup, .. }: &Service) -> Finding {
    let next = next_backup.map_or("it makes no backups now".to_owned(), |at| {
        format!("its next backup is due on {}", at.strftime("%Y-%m-%d at %H:%M UTC"))
    });
    Finding::ok(ID, format!("{name} ({service_id}) answers; {next}"))
}

fn todo(error: &client::Error) -> &'static str {
    match error {
        client::Error::Token(_) => {
            "Write the token that maaiiconnect gave you to the secret connector-token, which its \
             owner alone can read."
        }
        client::Error::Trust(_) => {
            "Name files in PEM with connector.ca_file, connector.certificate and connector.key."
        }
        client::Error::Reach { .. } => {
            "See whether connector.url is right and can be reached from here. Where the certificate \
             is not trusted, name that of the service's authority with connector.ca_file."
        }
        client::Error::Answer { status: 401 | 403, .. } => {
            "Copy the token from maaiiconnect to the secret connector-token once more; where the \
             service wants a certificate, name it with connector.certificate."
        }
        client::Error::Answer { .. } => {
            "See whether connector.url is the one that maaiiconnect gave you; it ends with \
             /connector/v1."
        }
        _ => "Run `retention check` again.",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::secret;

    #[test]
    fn who_answers_is_said_with_the_next_backup() {
        let service = |next_backup| {
            let said = json!({
                "service_id": "harbour.example", "name": "Harbour", "software": "s 1",
                "connector": 1, "time": "2026-11-24T09:30:00Z", "next_backup": next_backup,
                "revision": 7,
            });
            serde_json::from_value::<Service>(said).expect("a service")
        };
        for (next, said) in [
            (json!("2026-11-25T02:00:00Z"), "is due on 2026-11-25 at 02:00 UTC"),
            (json!(null), "it makes no backups now"),
        ] {
            let finding = answered(&service(next));
            assert!(finding.said.starts_with("Harbour (harbour.example) answers; "), "{finding:?}");
            assert!(finding.said.ends_with(said), "{finding:?}");
        }
    }

    #[test]
    fn what_to_do_is_about_what_failed() {
        let answer = |status| client::Error::Answer {
            url: "https://x/service".into(),
            status,
            said: String::new(),
        };
        let missing = secret::Error::Missing { name: "connector-token", path: "/x".into() };
        for (error, part) in [
            (client::Error::Token(missing), "connector-token"),
            (answer(401), "connector-token"),
            (answer(404), "/connector/v1"),
            (answer(200), "connector.url"),
            (client::Error::CutOff, "again"),
        ] {
            assert!(todo(&error).contains(part), "{error:?}: {}", todo(&error));
        }
    }
}
