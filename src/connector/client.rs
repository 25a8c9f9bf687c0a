//! The connector's interface, as far as the appliance uses it. It is written down in
//! `packaging/connector/openapi.yaml`.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use ureq::tls::TlsConfig;
use zeroize::Zeroizing;

use crate::{
    backup::{JobId, retention::Status},
    config::{self, Secrets, secret},
    steps::Step,
    trust,
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How much of an answer is read, in bytes.
const ANSWER_LIMIT_BYTES: u64 = 1 << 20;

/// Why the service cannot be asked. None of it is about what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The token cannot be had.
    #[error("cannot ask without a token")]
    Token(#[from] secret::Error),
    /// A certificate cannot be used.
    #[error(transparent)]
    Trust(#[from] trust::Error),
    /// Nobody answers, or with a certificate that is not trusted.
    #[error("cannot reach {url}")]
    Reach {
        /// The address.
        url: String,
        /// Why.
        source: Box<ureq::Error>,
    },
    /// What is answered makes no sense.
    #[error("{url} answers with status {status}: {said}")]
    Answer {
        /// The address.
        url: String,
        /// The status code.
        status: u16,
        /// What it says.
        said: String,
    },
    /// The work was cut off.
    #[error("the request was cut off")]
    CutOff,
}

/// What the service says about a deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The backup has this status there.
    Is(Status),
    /// It was not deleted, and this is why.
    Refused(String),
}

/// A client of the service.
#[derive(Clone, Debug)]
pub struct Client {
    section: config::Connector,
    secrets: Secrets,
}

/// The public key that the service signs in with; what is not needed is left out.
#[derive(Clone, Debug, Deserialize)]
pub struct SftpKey {
    /// The key, as a line of `authorized_keys`.
    pub public_key: String,
    /// Its SHA-256 fingerprint.
    pub fingerprint: String,
}

/// Who the service is; what is not needed is left out.
#[derive(Clone, Debug, Deserialize)]
pub struct Service {
    /// What stands in the file names of its backups.
    pub service_id: String,
    /// The name of the service account, for people.
    pub name: String,
    /// When the next backup is due; nothing while retention is off.
    pub next_backup: Option<Timestamp>,
    /// What time the service has.
    pub time: Timestamp,
}

#[derive(Deserialize)]
struct Tested {
    steps: Vec<Step>,
}

/// How something is asked for.
#[derive(Clone, Copy)]
enum Method {
    Get,
    Post,
    Put,
}

/// What was answered.
struct Answer {
    url: String,
    status: u16,
    body: String,
}

/// A backup as the service shows it; what is not needed is left out.
#[derive(Deserialize)]
struct Shown {
    status: String,
    trouble: Option<String>,
}

/// Problem details (RFC 9457).
#[derive(Deserialize)]
struct Problem {
    code: String,
    detail: String,
}

impl Client {
    /// The service of the configuration.
    pub fn new(section: config::Connector, secrets: Secrets) -> Self {
        Self { section, secrets }
    }

    /// Asks for the deletion of what a backup held, or for another try.
    pub async fn delete(&self, job: &JobId, sha256: &str, size_bytes: u64) -> Result<Asked, Error> {
        let body = json!({ "sha256": sha256, "archive_size_bytes": size_bytes });
        self.ask(&format!("/backups/{job}/deletion"), Some(body)).await
    }

    /// Asks how far a backup is.
    pub async fn status(&self, job: &JobId) -> Result<Asked, Error> {
        self.ask(&format!("/backups/{job}"), None).await
    }

    /// Puts all of the settings.
    pub async fn put_settings(&self, settings: &Value) -> Result<(), Error> {
        let text = Zeroizing::new(settings.to_string());
        let Answer { url, status, body } = self.send(Method::Put, "/settings", Some(text)).await?;
        if (200..300).contains(&status) { Ok(()) } else { Err(senseless(&url, status, &body)) }
    }

    /// The public key that the service signs in to the endpoint with.
    pub async fn sftp_key(&self) -> Result<SftpKey, Error> {
        self.send(Method::Get, "/sftp-key", None).await?.read()
    }

    /// *Generate New Key*: has the service make another pair in the place of the one with this
    /// fingerprint. It offers the old one as well until the new one has let it in.
    pub async fn generate_sftp_key(&self, replaces: &str) -> Result<SftpKey, Error> {
        let body = Zeroizing::new(json!({ "replaces": replaces }).to_string());
        self.send(Method::Post, "/sftp-key", Some(body)).await?.read()
    }

    /// *Test this configuration now*, from the service's side.
    pub async fn test(&self, mode: &str) -> Result<Vec<Step>, Error> {
        let body = Zeroizing::new(json!({ "mode": mode }).to_string());
        Ok(self.send(Method::Post, "/settings/test", Some(body)).await?.read::<Tested>()?.steps)
    }

    async fn ask(&self, path: &str, body: Option<Value>) -> Result<Asked, Error> {
        let method = if body.is_some() { Method::Post } else { Method::Get };
        let body = body.map(|body| Zeroizing::new(body.to_string()));
        let Answer { url, status, body } = self.send(method, path, body).await?;
        understood(&url, status, &body)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Zeroizing<String>>,
    ) -> Result<Answer, Error> {
        let (this, url) =
            (self.clone(), format!("{}{path}", self.section.url.trim_end_matches('/')));
        let asking = tokio::task::spawn_blocking(move || this.exchange(method, url, body));
        asking.await.map_err(|_| Error::CutOff)?
    }

    fn exchange(
        &self,
        method: Method,
        url: String,
        body: Option<Zeroizing<String>>,
    ) -> Result<Answer, Error> {
        let agent = self.agent()?;
        let token = self.secrets.connector_token()?;
        let authorization = Zeroizing::new(format!("Bearer {}", token.reveal()));
        let body = body.unwrap_or_default();
        let with_body = |request: ureq::RequestBuilder<ureq::typestate::WithBody>| {
            request
                .header("Authorization", &*authorization)
                .header("Content-Type", "application/json")
                .send(body.as_str())
        };
        let answer = match method {
            Method::Get => agent.get(&url).header("Authorization", &*authorization).call(),
            Method::Post => with_body(agent.post(&url)),
            Method::Put => with_body(agent.put(&url)),
        };
        let reach = |source| Error::Reach { url: url.clone(), source: Box::new(source) };
        let mut answer = answer.map_err(reach)?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(ANSWER_LIMIT_BYTES).read_to_string();
        let body = body.map_err(reach)?;
        Ok(Answer { url, status, body })
    }

    fn agent(&self) -> Result<ureq::Agent, Error> {
        let Self { section, .. } = self;
        let roots = trust::authorities(section.ca_file.as_deref())?;
        let own = match (&section.certificate, &section.key) {
            (Some(certificate), Some(key)) => Some(trust::own(certificate, key)?),
            _ => None,
        };
        let tls = TlsConfig::builder().root_certs(roots).client_cert(own).build();
        Ok(ureq::Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(PATIENCE))
            .max_redirects(0)
            .http_status_as_error(false)
            .user_agent("retention")
            .build()
            .new_agent())
    }

    /// Who the service is. The cheapest call: it tells whether address, token and certificate are
    /// right.
    pub async fn service(&self) -> Result<Service, Error> {
        self.send(Method::Get, "/service", None).await?.read()
    }
}

impl Answer {
    /// What was asked for.
    fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let Self { url, status, body } = self;
        if !(200..300).contains(status) {
            return Err(senseless(url, *status, body));
        }
        serde_json::from_str(body).map_err(|error| Error::Answer {
            url: url.clone(),
            status: *status,
            said: error.to_string(),
        })
    }
}

/// An answer that is no good, with what it says.
fn senseless(url: &str, status: u16, body: &str) -> Error {
    let said = match serde_json::from_str::<Problem>(body) {
        Ok(problem) => problem.detail,
        Err(_) => body.chars().take(200).collect(),
    };
    Error::Answer { url: url.to_owned(), status, said }
}

/// What an answer about a deletion means.
fn understood(url: &str, status: u16, body: &str) -> Result<Asked, Error> {
    let senseless = |said: String| Error::Answer { url: url.to_owned(), status, said };
    if (200..300).contains(&status) {
        let shown: Shown =
            serde_json::from_str(body).map_err(|error| senseless(error.to_string()))?;
        let mut all = Status::ALL.into_iter();
        let found = all.find(|known| known.words() == shown.status);
        return match found {
            Some(Status::Failed) => {
                let why = shown.trouble.unwrap_or_else(|| "maaiiconnect does not say why.".into());
                Ok(Asked::Refused(why))
            }
            Some(status) => Ok(Asked::Is(status)),
            None => Err(senseless(format!("{:?} is not a status", shown.status))),
        };
    }
    let problem: Option<Problem> = serde_json::from_str(body).ok();
    match problem {
        // About what was asked for: an administrator has to know, and to try again.
        Some(problem)
            if ["no-such-backup", "digest-differs", "not-uploaded"].contains(&&*problem.code) =>
        {
            Ok(Asked::Refused(problem.detail))
        }
        Some(problem) => Err(senseless(problem.detail)),
        None => Err(senseless(body.chars().take(200).collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_from_trouble() {
        let shown = |status: &str| format!(r#"{{"status":"{status}","trouble":null,"more":1}}"#);
        let problem = |code: &str| format!(r#"{{"type":"x","code":"{code}","detail":"Said."}}"#);
        let refused = Some(Asked::Refused("Said.".into()));
        let failed = r#"{"status":"Failed to delete data","trouble":"Said."}"#.to_owned();
        for (status, body, expected) in [
            (202, shown("Deleting data..."), Some(Asked::Is(Status::Deleting))),
            (200, shown("Completed"), Some(Asked::Is(Status::Completed))),
            (200, shown("Backup uploaded"), Some(Asked::Is(Status::Uploaded))),
            (200, failed, refused.clone()),
            (409, problem("digest-differs"), refused.clone()),
            (409, problem("not-uploaded"), refused.clone()),
            (404, problem("no-such-backup"), refused),
            // Of another place, or of nobody we know.
            (404, problem("no-such-place"), None),
            (401, problem("unauthorized"), None),
            (503, problem("unavailable"), None),
            (502, "<html>".to_owned(), None),
            (200, shown("Gone"), None),
            (200, "{}".to_owned(), None),
        ] {
            let found = understood("https://service.example", status, &body).ok();
            assert_eq!(found, expected, "{status} {body}");
        }
    }
}
