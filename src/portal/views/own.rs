//! What concerns the viewer alone: the password, and the zone of times.

use askama::Template;
use warp::reply::Response;

use super::sign_in;
use crate::{
    config::Secret,
    portal::{
        answer,
        errors::Error,
        gate::{PasswordChange, SignedIn},
        password as passwords,
        request::{Form, Request},
        shell::{Here, Shell},
        zone::{self, Zone},
    },
};

/// For how long a browser keeps the zone, in seconds.
const ZONE_SECONDS: i64 = 400 * 24 * 60 * 60;

#[derive(Template)]
#[template(path = "password.html", config = "src/portal/askama.toml")]
struct PasswordPage {
    shell: Shell,
    objection: String,
    min_chars: usize,
}

#[derive(Template)]
#[template(path = "zone.html", config = "src/portal/askama.toml")]
struct ZonePage {
    shell: Shell,
    regions: Vec<Region>,
    current: String,
    chosen: bool,
    back: String,
}

struct Region {
    name: String,
    zones: Vec<(String, String)>,
}

/// The form for another password.
pub(in crate::portal) async fn password(
    who: SignedIn,
    request: Request,
) -> Result<Response, Error> {
    show_password(&who, &request, String::new())
}

/// Changes one's own password.
pub(in crate::portal) async fn change_password(
    who: SignedIn,
    request: Request,
    form: Form,
) -> Result<Response, Error> {
    let new = match new_password(&form) {
        Ok(new) => new,
        Err(objection) => return show_password(&who, &request, objection),
    };
    if form.get("current").len() > passwords::MAX_BYTES {
        return Err(Error::TooLarge);
    }
    let current = Secret::new(form.get("current").to_owned());
    match who.change_own_password(&request, current, new).await? {
        PasswordChange::Changed(token) => {
            let mut response = answer::redirect("/?done=own-password");
            sign_in::keep(&mut response, token.reveal());
            Ok(response)
        }
        PasswordChange::Refused => {
            show_password(&who, &request, "The current password is not the right one.".into())
        }
        PasswordChange::Wait(seconds) => show_password(&who, &request, sign_in::wait(seconds)),
    }
}

/// The new password of a form that has it twice, or what is wrong with it.
pub(super) fn new_password(form: &Form) -> Result<Secret, String> {
    let (new, again) = (form.get("new"), form.get("again"));
    if let Some(objection) = passwords::objection(new) {
        return Err(objection);
    }
    if new != again {
        return Err("The new password was not typed the same twice.".into());
    }
    Ok(Secret::new(new.to_owned()))
}

fn show_password(who: &SignedIn, request: &Request, objection: String) -> Result<Response, Error> {
    let shell = Shell::new(who, request, Here::Elsewhere, "Change your password");
    let min_chars = crate::accounts::PASSWORD_MIN_CHARS;
    answer::page(&PasswordPage { shell, objection, min_chars })
}

/// The zones to choose from.
pub(in crate::portal) async fn zone(who: SignedIn, request: Request) -> Result<Response, Error> {
    let mut regions: Vec<Region> = Vec::new();
    for zone in Zone::all() {
        let (region, place) = zone.split_once('/').unwrap_or(("", &zone));
        let place = place.replace('_', " ");
        if regions.last().is_none_or(|last| last.name != region) {
            regions.push(Region { name: region.to_owned(), zones: Vec::new() });
        }
        if let Some(last) = regions.last_mut() {
            last.zones.push((zone.clone(), place));
        }
    }
    let current = Zone::of(&request);
    answer::page(&ZonePage {
        shell: Shell::new(&who, &request, Here::Elsewhere, "Time zone"),
        regions,
        chosen: current.is_chosen(),
        current: current.name().to_owned(),
        back: sign_in::local(request.query("back")),
    })
}

/// Keeps the chosen zone, or forgets it, so that the browser's own counts again.
pub(in crate::portal) async fn change_zone(
    _who: SignedIn,
    _request: Request,
    form: Form,
) -> Result<Response, Error> {
    let mut response = answer::redirect(&sign_in::local(Some(form.get("back"))));
    let headers = response.headers_mut();
    match form.get("zone") {
        "" => answer::set_cookie(headers, zone::COOKIE, "", 0, true),
        name => {
            let zone = Zone::named(name)
                .ok_or_else(|| Error::Input("There is no time zone of that name.".into()))?;
            answer::set_cookie(headers, zone::COOKIE, zone.name(), ZONE_SECONDS, true);
        }
    }
    Ok(response)
}
