//! Online mode and Offline mode, with what each needs: one of them has to be on.

use warp::reply::Response;

use super::{
    back,
    database::{objection, typed},
    show, show_with, trial,
};
use crate::{
    accounts::PASSWORD_MIN_CHARS,
    config::{Modes, Secret},
    connector::telling,
    portal::{
        answer,
        errors::Error,
        gate::{self, Administrator, Permit},
        password as passwords,
        request::{Form, Request},
    },
    settings::Settings,
};

/// What is said to somebody who would leave no mode on.
const ONE_MODE: &str = "One mode has to be on: Online, Offline or both.";

/// Online mode: whether it is on, the portal's password, and another database.
pub(in crate::portal) async fn online(
    administrator: Administrator,
    request: Request,
    form: Form,
) -> Result<Response, Error> {
    let on = form.has("online");
    let password = form.get("portal_password");
    if password.len() > passwords::MAX_BYTES
        || form.get("mongodb_password").len() > passwords::MAX_BYTES
    {
        return Err(Error::TooLarge);
    }
    if !password.is_empty() && password.chars().count() < PASSWORD_MIN_CHARS {
        let said =
            format!("The Retention Portal password has at least {PASSWORD_MIN_CHARS} characters.");
        return show(&administrator, &request, said).await;
    }
    let new = typed(&form);
    if let Some(said) = objection(&new) {
        return show(&administrator, &request, said).await;
    }
    let secret = Some(password).filter(|it| !it.is_empty()).map(|it| Secret::new(it.to_owned()));
    let wanted = |modes| Modes { online: on, ..modes };
    let now = administrator.database().await?;
    if !new.is(&now) {
        let stays = administrator.held().await?.stored > 0 && new.is_elsewhere(&now);
        if stays && !form.has("leave") {
            let said = "Another Host or TargetDB leaves the stored backups behind. Confirm that \
                        below, and save again. Secrets have to be typed again."
                .to_owned();
            return show_with(&administrator, &request, said, Some((new, on))).await;
        }
        // It may turn out to be of no use: then nothing of the form is saved.
        let modes = wanted(administrator.modes().await?);
        if is_none(modes) {
            return show(&administrator, &request, ONE_MODE.to_owned()).await;
        }
        let steps = administrator.change_database(&request, new, modes, secret).await?;
        let page = trial::About { title: "Changing the database", tested: trial::Tested::Change };
        return trial::answer(&administrator, &request, page, steps, None);
    }
    if let Some(said) = switch(&administrator, &request, wanted).await? {
        return show(&administrator, &request, said).await;
    }
    let own_session = administrator.signed_in().account().name == crate::accounts::ADMIN;
    if let Some(secret) = secret {
        administrator.set_portal_password(&request, secret).await?;
    }
    if own_session && !password.is_empty() {
        return Ok(answer::redirect("/sign-in"));
    }
    Ok(back("settings"))
}

/// Offline mode: whether it is on, and how maaiiconnect reaches the endpoint.
pub(in crate::portal) async fn offline(
    administrator: Administrator,
    request: Request,
    form: Form,
) -> Result<Response, Error> {
    let address = form.get("sftp_address").trim().to_owned();
    let address = Some(address).filter(|address| !address.is_empty());
    if address.as_deref().is_some_and(|address| telling::host_and_port(address).is_none()) {
        let said = "The SFTP Address is a host name or an IP address with its port, such as 192.0.2.10:22.";
        return show(&administrator, &request, said.to_owned()).await;
    }
    let on = form.has("offline");
    if let Some(said) =
        switch(&administrator, &request, |modes| Modes { offline: on, ..modes }).await?
    {
        return show(&administrator, &request, said).await;
    }
    let address = address.filter(|address| *address != administrator.defaults().sftp_address);
    let edit = |settings: &mut Settings, _: &_| {
        if settings.sftp_address == address {
            return Ok(None);
        }
        settings.sftp_address.clone_from(&address);
        let shown = address.as_deref().unwrap_or("as configured");
        Ok(Some(format!("Offline mode: SFTP Address {shown}")))
    };
    administrator.change_settings(&request, edit).await?;
    Ok(back("settings"))
}

fn is_none(modes: Modes) -> bool {
    !modes.online && !modes.offline
}

/// Switches modes. Returns an objection, and changes nothing, if none would be left.
async fn switch(
    administrator: &Administrator,
    request: &Request,
    wanted: impl Fn(Modes) -> Modes,
) -> Result<Option<String>, Error> {
    if is_none(wanted(administrator.modes().await?)) {
        return Ok(Some(ONE_MODE.to_owned()));
    }
    let edit = |settings: &mut Settings, _: &_| {
        let now = settings.modes(administrator.defaults());
        let next = wanted(now);
        if is_none(next) {
            // Somebody switched the other one off in this moment.
            return Err(Error::Input(ONE_MODE.to_owned()));
        }
        if next == now {
            return Ok(None);
        }
        settings.modes = Some(next);
        Ok(Some(gate::said(next)))
    };
    administrator.change_settings(request, edit).await?;
    Ok(None)
}
