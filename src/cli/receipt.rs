//! `retention receipt`: what was received, checked and stored, signed.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use futures_util::TryStreamExt;
use serde_json::json;

use super::output;
use crate::{
    appliance,
    backup::{JobId, UploadId, Verified, verified::Differs},
    config::Config,
    intake::places::Places,
    receipt::{
        IDENTITY, NAMESPACE, PublicKey, Signature, Signer,
        examine::{Difference, Examined, Examiner, Kept, SignedBy},
    },
    store::{Store, receipts::Receipt},
};

pub(super) const AFTER_HELP: &str = "\
For each backup that is stored there is one receipt: a statement in JSON, and a signature
of it by this appliance's own key. Each statement names the one before it, so that none can be
taken away or put in unseen. Backups that were stored before there were receipts have none.

Anybody can check one with OpenSSH, on any machine:
    retention receipt show JOB             > receipt.json
    retention receipt show JOB --signature > receipt.sig
    retention receipt key                  > allowed_signers
    ssh-keygen -Y verify -f allowed_signers -I retention-appliance \\
        -n retention-receipt -s receipt.sig < receipt.json";

/// What can be asked about receipts.
#[derive(Debug, Subcommand)]
pub(super) enum ReceiptCommand {
    /// Show which receipts there are, the first one first
    ///
    /// Each with its number, when it was made, the SHA-256 of its statement, job and upload.
    List {
        /// Print one line of JSON a receipt
        #[arg(long)]
        json: bool,
    },
    /// Write the statement of a receipt, or its signature, to standard output
    ///
    /// Byte for byte as it was signed. It lists every entry of the archive with its SHA-256.
    #[command(after_help = "Examples:
  retention receipt show 2ed1076d-f512-4316-be8f-e6d1a3a6ae52 | jq .counts
  retention receipt show 17 --signature > receipt.sig")]
    Show {
        /// The job of the backup, its upload, or the number of the receipt
        #[arg(value_name = "JOB")]
        of: String,
        /// Write the signature instead
        #[arg(long)]
        signature: bool,
    },
    /// Check a receipt, and that the data is still as it says
    ///
    /// Checks the signature, the chain back to the first receipt, and then everything that the
    /// receipt speaks of, read again: the archive if it is kept here, each medium in MongoDB, and
    /// how many records of each dataset the backup brought. Prints every difference.
    #[command(after_help = VERIFY_HELP)]
    Verify(Verify),
    /// Print the public key that receipts are signed with, as a line for an allowed_signers file
    ///
    /// Keep it where nobody who can change this appliance can change it: with it, anybody can
    /// check receipts for ever, also when this appliance is gone.
    Key {
        /// Print all keys whose receipts are accepted here, those of earlier keys and other nodes too
        #[arg(long)]
        all: bool,
        /// Print one line of JSON a key
        #[arg(long)]
        json: bool,
    },
}

/// The lowest priority there is.
const LOWEST_PRIORITY: i32 = 19;

const VERIFY_HELP: &str = "\
What was found is written to the backup, where its page, the verdict and `retention status` go by
it; not so with --signers. The daemon does the same with each stored backup again and again.

Signatures of this appliance's own key are accepted, and of keys that it had before or that
another node of the same database has, as long as all have the same settings-key. Others are
accepted once their public keys lie beside its own, as STATE/receipts/NAME.pub, or for this
once with --signers.

Exit code: 0 if all is as the receipt says, 1 if not, 2 if it could not be checked.";

/// The arguments of `retention receipt verify`.
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The job of the backup, its upload, or the number of the receipt
    #[arg(value_name = "JOB")]
    of: String,
    /// Accept the keys in this file, too: an allowed_signers file
    #[arg(long, value_name = "FILE")]
    signers: Option<PathBuf>,
    /// Leave out the receipts before it, but that it names the one right before it
    #[arg(long)]
    alone: bool,
    /// At the lowest priority. The daemon starts this.
    #[arg(long, hide = true)]
    idle: bool,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

impl ReceiptCommand {
    pub(super) fn run(self, config: &Config) -> anyhow::Result<ExitCode> {
        if let Self::Key { all: false, json } = self {
            let own = PublicKey::read(&appliance::receipts_directory(config))?;
            return print_keys(&[own], json);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let code = runtime.block_on(async {
            let store = appliance::store(config)?;
            match self {
                Self::List { json } => list(&store, json).await.map(|()| ExitCode::SUCCESS),
                Self::Show { of, signature } => show(&store, &of, signature).await,
                Self::Verify(verify) => verify.run(config, &store).await,
                Self::Key { json, .. } => {
                    let signers = appliance::signers(config, &store).await?;
                    let keys: Vec<_> = signers.into_iter().map(|signer| signer.key).collect();
                    print_keys(&keys, json)
                }
            }
        })?;
        runtime.shutdown_background();
        Ok(code)
    }
}

fn print_keys(keys: &[PublicKey], as_json: bool) -> anyhow::Result<ExitCode> {
    for key in keys {
        if as_json {
            output::print_json(&json!({
                "fingerprint": key.fingerprint(),
                "identity": IDENTITY,
                "namespace": NAMESPACE,
                "allowed_signer": key.allowed_signer(),
            }))?;
        } else {
            output::print(&format!("{}\n", key.allowed_signer()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(store: &Store, as_json: bool) -> anyhow::Result<()> {
    for receipt in store.receipts().await? {
        let Receipt { id, number, job, upload, made, .. } = &receipt;
        if as_json {
            output::print_json(&json!({
                "number": number,
                "made": made,
                "sha256": id,
                "job": job,
                "upload": upload,
                "size_bytes": receipt.length_bytes,
                "signed_by": signed_by(&receipt),
            }))?;
        } else {
            let made = made.strftime("%Y-%m-%d %H:%M:%S UTC");
            output::print(&format!("{number:>6}  {made}  {job}  {id}\n"))?;
        }
    }
    Ok(())
}

/// The fingerprint of the key that a receipt says it is signed with.
fn signed_by(receipt: &Receipt) -> Option<String> {
    Some(Signature::parse(&receipt.signature).ok()?.signer().fingerprint())
}

async fn show(store: &Store, of: &str, signature: bool) -> anyhow::Result<ExitCode> {
    let receipt = find(store, of).await?;
    if signature {
        output::print(&receipt.signature)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut statement = Box::pin(store.statement(&receipt));
    while let Some(part) = statement.try_next().await? {
        match io::stdout().lock().write_all(&part) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            other => other.context("cannot write the statement")?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The receipt of a job, of an upload, or with a number.
async fn find(store: &Store, of: &str) -> anyhow::Result<Receipt> {
    let mut found = None;
    if let Ok(number) = of.parse() {
        found = store.receipt_numbered(number).await?;
    }
    if let (None, Ok(upload)) = (&found, of.parse::<UploadId>()) {
        found = store.receipt(&upload).await?;
    }
    if let (None, Ok(job)) = (&found, of.parse::<JobId>()) {
        found = store.receipt_of_job(&job).await?;
    }
    match found {
        Some(receipt) => Ok(receipt),
        None => bail!("there is no receipt of {of}; `retention receipt list` shows all"),
    }
}

/// The archives on this machine.
struct OnThisMachine {
    places: Places,
    /// Whether the backup was taken in here; nothing of one whose line does not say so.
    is_here: Option<bool>,
    own: Option<PublicKey>,
}

impl Kept for OnThisMachine {
    fn find(&self, file: &str, upload: &UploadId) -> Option<PathBuf> {
        self.places.kept(file, upload)
    }

    fn is_here(&self, key: &str) -> bool {
        let is_own = || self.own.as_ref().is_some_and(|own| own.fingerprint() == key);
        self.is_here.unwrap_or_else(is_own)
    }
}

impl Verify {
    async fn run(self, config: &Config, store: &Store) -> anyhow::Result<ExitCode> {
        if self.idle {
            // Where this is refused, it is only less polite.
            let _ = rustix::process::setpriority_process(None, LOWEST_PRIORITY);
        }
        let mut signers = appliance::signers(config, store).await?;
        if let Some(path) = &self.signers {
            signers.extend(in_file(path)?);
        }
        let own = match PublicKey::read(&appliance::receipts_directory(config)) {
            Err(error) if signers.is_empty() => return Err(error.into()),
            own => own.ok(),
        };
        let receipt = find(store, &self.of).await?;
        let places = Places::new(config.state_directory());
        let (line, here) = (store.backup(&receipt.upload).await?, places.identity()?);
        let directory = line.and_then(|line| line.directory);
        let is_here = directory.map(|directory| Some(directory) == here);
        let kept = OnThisMachine { places, is_here, own };
        let bar = output::bar(0);
        let progress = |done, total| {
            bar.set_length(total);
            bar.set_position(done);
        };
        let examiner = Examiner {
            store,
            signers: &signers,
            whole_chain: !self.alone,
            kept: &kept,
            progress: &progress,
        };
        let examined = examiner.examine(&receipt).await;
        bar.finish_and_clear();
        let examined = examined?;
        if self.signers.is_none() {
            let differs = |one: &Difference| Differs {
                what: one.kind.as_str().to_owned(),
                sentence: one.sentence.clone(),
            };
            let found = Verified::new(appliance::now(), examined.differences.iter().map(differs));
            store.note_verified(&receipt.upload, &found).await?;
        }
        let ok = examined.differences.is_empty();
        if self.json {
            output::print_json(&json!({
                "number": receipt.number,
                "job": receipt.job,
                "upload": receipt.upload,
                "sha256": receipt.id,
                "ok": ok,
                "checked": examined,
            }))?;
        } else {
            output::print(&describe(&receipt, &examined))?;
        }
        Ok(ExitCode::from(u8::from(!ok)))
    }
}

fn in_file(path: &Path) -> anyhow::Result<Vec<Signer>> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let keys = PublicKey::all_in(&text);
    if keys.is_empty() {
        bail!("there is no Ed25519 key in {}", path.display());
    }
    let whose = format!("in {}", path.display());
    Ok(keys.into_iter().map(|key| Signer { key, whose: whose.clone() }).collect())
}

fn describe(receipt: &Receipt, examined: &Examined) -> String {
    let Receipt { number, job, .. } = receipt;
    let mut text = match examined.differences.len() {
        0 => format!("Receipt {number} of job {job}: all is as it says.\n"),
        1 => format!("Receipt {number} of job {job}: there is a difference.\n"),
        many => format!("Receipt {number} of job {job}: there are {many} differences.\n"),
    };
    for difference in &examined.differences {
        text.push_str(&format!("  {}\n", difference.sentence));
    }
    if let Some(SignedBy { key, whose }) = &examined.signed_by {
        text.push_str(&format!("Signed by {key}: {whose}.\n"));
    }
    let archive = if examined.archive { "is as it was received" } else { "was not compared" };
    text.push_str(&format!(
        "Checked: {} receipts of the chain, {} media, {} records; the archive {archive}.\n",
        examined.receipts, examined.media, examined.records
    ));
    text
}
