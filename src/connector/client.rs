//! The connector's interface, as far as the appliance uses it. It is written down in
//! `packaging/connector/openapi.yaml`.

mod answer;

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use ureq::tls::TlsConfig;
use zeroize::Zeroizing;

use answer::Answer;

use crate::{
    backup::{JobId, cloud::CloudBackup, retention::Status},
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
    /// As it stands in the file names of backups.
    pub service_id: String,
    /// The name of the service account, for people.
    pub name: String,
    /// What time the service has.
    pub time: Timestamp,
    /// When the next backup is due; nothing while retention is off there.
    pub next_backup: Option<Timestamp>,
    /// The newest revision of its log.
    pub revision: u64,
}

/// What changed in the service's Backup Log.
#[derive(Debug)]
pub struct Changes {
    /// The backups that did, as they are now.
    pub backups: Vec<CloudBackup>,
    /// Up to where this goes.
    pub revision: u64,
    /// Whether there is more at once.
    pub more: bool,
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

    /// Who the service is, and when it makes the next backup. The cheapest question.
    pub async fn service(&self) -> Result<Service, Error> {
        self.send(Method::Get, "/service", None).await?.read()
    }

    /// The newest backups of the service's log, the newest first.
    pub async fn newest_backups(&self, limit: usize) -> Result<Changes, Error> {
        self.send(Method::Get, &format!("/backups?limit={limit}"), None).await?.changes()
    }

    /// What changed in the service's log since a revision; nothing if it has another log than before,
    /// which is to be read from its beginning.
    pub async fn changes(&self, since: u64) -> Result<Option<Changes>, Error> {
        let answer =
            self.send(Method::Get, &format!("/backups/changes?since={since}"), None).await?;
        if answer.is_problem("unknown-revision") {
            return Ok(None);
        }
        answer.changes().map(Some)
    }

    /// Has the archive of a backup sent once more. Returns why it will not be, if so.
    pub async fn upload_again(&self, job: &JobId, reason: &str) -> Result<Option<String>, Error> {
        let body = Zeroizing::new(json!({ "reason": reason }).to_string());
        let path = format!("/backups/{job}/upload");
        let answer = self.send(Method::Post, &path, Some(body)).await?;
        if answer.is_problem("deletion-begun") || answer.is_problem("no-such-backup") {
            return Ok(Some(answer.said()));
        }
        answer.read::<serde::de::IgnoredAny>().map(|_| None)
    }

    /// Puts all of the settings.
    pub async fn put_settings(&self, settings: &Value) -> Result<(), Error> {
        let text = Zeroizing::new(settings.to_string());
        let answer = self.send(Method::Put, "/settings", Some(text)).await?;
        if (200..300).contains(&answer.status) { Ok(()) } else { Err(answer.senseless()) }
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
        self.send(method, path, body).await?.understood()
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
        let authorization = self.authorization()?;
        let body = body.unwrap_or_default();
        let with_body = |request: ureq::RequestBuilder<ureq::typestate::WithBody>| {
            signed(request, authorization.as_ref())
                .header("Content-Type", "application/json")
                .send(body.as_str())
        };
        let answer = match method {
            Method::Get => signed(agent.get(&url), authorization.as_ref()).call(),
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

    /// What tells the service who asks. A service that knows us by our certificate need not give us a
    /// token as well.
    fn authorization(&self) -> Result<Option<Zeroizing<String>>, Error> {
        match self.secrets.connector_token() {
            Ok(token) => Ok(Some(Zeroizing::new(format!("Bearer {}", token.reveal())))),
            Err(secret::Error::Missing { .. }) if self.section.certificate.is_some() => Ok(None),
            Err(error) => Err(error.into()),
        }
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
}

fn signed<B>(
    request: ureq::RequestBuilder<B>,
    authorization: Option<&Zeroizing<String>>,
) -> ureq::RequestBuilder<B> {
    match authorization {
        Some(authorization) => request.header("Authorization", authorization.as_str()),
        None => request,
    }
}
