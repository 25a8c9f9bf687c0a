//! What is set in the portal, under the confinement of the units: the daemon is a user of its own, and
//! may write where that has to be on the machine.

use anyhow::{Context, Result, ensure};

use crate::{
    site::{ADMIN_PASSWORD, Fixture, Site},
    until,
};

const PAGE: &str = "/retention/settings";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_in_the_portal_holds_on_the_machine() -> Result<()> {
    let mut site = Site::ready()?;
    let fixtures = Fixture::all()?;
    site.client.sign_in("Admin", ADMIN_PASSWORD)?;

    for what in ["mongodb", "sftp", "portal"] {
        let page = site.client.submit(&format!("{PAGE}/test/{what}"), &[])?;
        ensure!(page.contains("Every step was done."), "{what}: {page}");
    }

    let key = [("days_retained", "30"), ("schedule_hour", "2"), ("archive_key", "Another1!Key")];
    let saved = site.client.submit(&format!("{PAGE}/general"), &key)?;
    ensure!(saved.ends_with("303"), "{saved}");
    site.upload(&fixtures[0])?;
    site.wait_stored(&fixtures[0])?;

    let power = format!("{PAGE}/power");
    ensure!(site.client.submit(&power, &[("enabled", "off")])?.ends_with("303"));
    until("uploads are refused", || {
        let refused = site.upload(&fixtures[1]).err();
        Ok(refused.is_some_and(|why| why.to_string().contains("uploads-refused-retention-is-off")))
    })?;
    site.machine.reboot()?;
    site.wait_until_it_runs()?;
    let refused = site.upload(&fixtures[1]).err().context("it was let in")?;
    ensure!(refused.to_string().contains("uploads-refused-retention-is-off"), "{refused}");
    site.client.sign_in("Admin", ADMIN_PASSWORD)?;
    ensure!(site.client.submit(&power, &[("enabled", "on")])?.ends_with("303"));
    until("uploads are let in", || Ok(site.upload(&fixtures[2]).is_ok()))?;
    site.wait_stored(&fixtures[2])?;

    // The key of the command line is the site's, and may be withdrawn from here.
    let page = site.client.page(PAGE)?;
    let (_, rest) = page.split_once(r#"name="fingerprint" value=""#).context("a key is shown")?;
    let fingerprint = rest.split('"').next().unwrap_or_default();
    let now = [("fingerprint", fingerprint), ("overlap_days", "0")];
    ensure!(site.client.submit(&format!("{PAGE}/keys/remove"), &now)?.ends_with("303"));
    until("the key may not upload", || Ok(site.upload(&fixtures[3]).is_err()))
}
