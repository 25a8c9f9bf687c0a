//! maaiiconnect, which uploads through the tunnel with the stock `sftp` client.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    site::{TUNNEL, UPLOADER},
    world::{World, process},
};

/// A client in the namespace `cloud`. It knows what maaiiconnect was told: address, user, host key.
pub(crate) struct Uploader {
    directory: PathBuf,
    identity: PathBuf,
    user: String,
}

impl Uploader {
    /// The one that the endpoint of `world` lets in.
    pub(crate) fn new(world: &World) -> Result<Self> {
        let directory = world.directory().join("uploader");
        fs::create_dir(&directory)?;
        let key = world.state_directory().join("sftp-server/host_key_ed25519.pub");
        let key = fs::read_to_string(&key).with_context(|| key.display().to_string())?;
        fs::write(directory.join("known_hosts"), format!("{TUNNEL} {key}"))?;
        Ok(Self { directory, identity: world.sftp.identity(), user: world.sftp.user().to_owned() })
    }

    /// Uploads a file under its own name to port 22 of the tunnel address.
    pub(crate) fn put(&self, file: &Path) -> Result<()> {
        let batch = self.directory.join("batch");
        fs::write(&batch, format!("put \"{}\"\n", file.display()))?;
        let mut command = Command::new("ip");
        command.args(["netns", "exec", "cloud", "timeout", "30"]);
        command.args(["sftp", "-q", "-F", "none", "-P", "22", "-i"]).arg(&self.identity);
        command.arg("-b").arg(batch);
        let known = self.directory.join("known_hosts");
        for option in [
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "StrictHostKeyChecking=yes",
            "GlobalKnownHostsFile=none",
            &format!("UserKnownHostsFile={}", known.display()),
            &format!("BindAddress={UPLOADER}"),
        ] {
            command.args(["-o", option]);
        }
        process::output(command.arg(format!("{}@{TUNNEL}", self.user))).map(drop)
    }
}
