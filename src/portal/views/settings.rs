//! Administration > Security > Retention > Settings, with maaiiconnect's names, rules and order.
//!
//! Each section is a form of its own, so that saving one leaves the others alone. Secrets are typed
//! and never shown.

mod database;
pub(in crate::portal) mod keys;
pub(in crate::portal) mod modes;
pub(in crate::portal) mod trial;

use askama::Template;
use warp::reply::Response;

use crate::{
    accounts::PASSWORD_MIN_CHARS,
    config::{Modes, Mongodb, Secret},
    connector::telling,
    portal::{
        NewDatabase, answer,
        cells::counted,
        errors::Error,
        gate::{self, Administrator, Known, Permit},
        request::{Form, Request},
        shell::{Here, Shell},
        zone::{When, Zone},
    },
    settings::{DAYS, Settings, archive_key, sheet::Sheet},
};

#[derive(Template)]
#[template(path = "settings.html", config = "src/portal/askama.toml")]
struct SettingsPage {
    shell: Shell,
    objection: String,
    on: bool,
    changed: Option<(String, When)>,
    told: Told,
    can_seal: bool,
    days: String,
    hours: Vec<Hour>,
    hour_hint: String,
    rules: [(&'static str, &'static str); 5],
    archive_keys: Vec<ShownKey>,
    /// Whether one of them cannot be opened.
    some_closed: bool,
    modes: Modes,
    database: Mongodb,
    /// How many backups the database holds, and only copies among them; nothing if none.
    held: Option<(String, String)>,
    password_min_chars: usize,
    sheet: Sheet,
    sftp_keys: Vec<keys::Shown>,
    overlaps: [(u8, &'static str); 4],
    has_connector: bool,
}

#[derive(Template)]
#[template(path = "sheet.html", config = "src/portal/askama.toml")]
struct SheetPage {
    shell: Shell,
    sheet: Sheet,
    days: String,
    hour: String,
    archive_key: bool,
    has_connector: bool,
}

/// Whether maaiiconnect has the settings.
enum Told {
    /// There is no connector: an administrator types them in.
    ByHand,
    /// It has them, since then.
    Since(When),
    /// It cannot have them before this is set.
    Missing {
        /// What.
        what: String,
        /// Whether it was told something before, and goes on with that.
        goes_on: bool,
    },
    /// It cannot be told, for this reason.
    Trouble(String),
    /// It will be told in a moment.
    Soon,
}

struct Hour {
    value: String,
    title: String,
    chosen: bool,
}

/// An Archive Key, without the key.
struct ShownKey {
    mark: String,
    set: Option<(String, When)>,
    opened: String,
    newest: Option<When>,
    is_newest: bool,
    is_closed: bool,
}

/// The tab.
pub(in crate::portal) async fn page(
    administrator: Administrator,
    request: Request,
) -> Result<Response, Error> {
    show(&administrator, &request, String::new()).await
}

/// The setup sheet, to print or to copy from.
pub(in crate::portal) async fn sheet(
    administrator: Administrator,
    request: Request,
) -> Result<Response, Error> {
    let known = administrator.settings(&request).await?;
    answer::page(&SheetPage {
        shell: Shell::new(administrator.signed_in(), &request, Here::Backups, "Setup sheet"),
        days: known.settings.days_retained.map(|days| days.to_string()).unwrap_or_default(),
        hour: known
            .settings
            .hour(&known.defaults)
            .map(|hour| format!("{hour:02}:00"))
            .unwrap_or_default(),
        archive_key: !known.archive_keys.is_empty(),
        has_connector: known.has_connector,
        sheet: sheet_of(&known),
    })
}

/// Retention Settings ON or OFF.
pub(in crate::portal) async fn power(
    administrator: Administrator,
    request: Request,
    form: Form,
) -> Result<Response, Error> {
    let off = match form.get("enabled") {
        "on" => false,
        "off" => true,
        _ => return Err(Error::Input("Say whether Retention is to be on or off.".into())),
    };
    let said = if off { "Retention switched OFF" } else { "Retention switched ON" };
    let edit = |settings: &mut Settings, _: &_| {
        let changes = settings.off != off;
        settings.off = off;
        Ok(changes.then(|| said.to_owned()))
    };
    administrator.change_settings(&request, edit).await?;
    Ok(back(if off { "switched-off" } else { "switched-on" }))
}

/// General.
pub(in crate::portal) async fn general(
    administrator: Administrator,
    request: Request,
    form: Form,
) -> Result<Response, Error> {
    let days = form.get("days_retained").trim();
    let days = match days.parse::<u16>() {
        _ if days.is_empty() => None,
        Ok(days) if DAYS.contains(&days) => Some(days),
        _ => {
            let said = format!("The days are from {} to {}.", DAYS.start(), DAYS.end());
            return show(&administrator, &request, said).await;
        }
    };
    let hour = match form.get("schedule_hour") {
        "" => None,
        hour => match hour.parse::<u8>() {
            Ok(hour) if hour < 24 => Some(hour),
            _ => return Err(Error::Input("The hour is from 0 to 23.".into())),
        },
    };
    let key = Secret::new(form.get("archive_key").to_owned());
    let new = Some(&key).filter(|key| !key.reveal().is_empty());
    if let Some(said) = new.and_then(|key| archive_key::objection(key.reveal())) {
        return show(&administrator, &request, said).await;
    }
    let now = administrator.current().await?;
    for (what, cleared) in [
        ("The maximum days retained", now.days_retained.is_some() && days.is_none()),
        ("The hour of the schedule", now.schedule_hour.is_some() && hour.is_none()),
    ] {
        if cleared {
            let said = format!(
                "{what} cannot be cleared: maaiiconnect would go on with what it was told. Set \
                 another value, or turn Retention OFF."
            );
            return show(&administrator, &request, said).await;
        }
    }
    let seal = match new {
        Some(_) => Some(administrator.seal()?),
        None => None,
    };
    let edit = |settings: &mut Settings, change: &crate::settings::Change| {
        let mut said = Vec::new();
        // What somebody else has set in this moment is not cleared either.
        if let Some(days) = days.filter(|days| settings.days_retained != Some(*days)) {
            said.push(format!("days: {days}"));
            settings.days_retained = Some(days);
        }
        if let Some(hour) = hour.filter(|hour| settings.schedule_hour != Some(*hour)) {
            said.push(format!("hour: {hour:02} UTC"));
            settings.schedule_hour = Some(hour);
        }
        if let Some((key, seal)) = new.zip(seal)
            && settings
                .set_archive_key(key, seal, change.clone())
                .map_err(|error| gate::sealing(&error))?
        {
            said.push(format!("a new Archive Key, {}", seal.mark(key).as_str()));
        }
        Ok((!said.is_empty()).then(|| format!("General: {}", said.join(", "))))
    };
    administrator.change_settings(&request, edit).await?;
    Ok(back("settings"))
}

pub(super) async fn show(
    administrator: &Administrator,
    request: &Request,
    objection: String,
) -> Result<Response, Error> {
    show_with(administrator, request, objection, None).await
}

/// The page, with *Online mode* as it was typed and whether that was on.
async fn show_with(
    administrator: &Administrator,
    request: &Request,
    objection: String,
    typed: Option<(NewDatabase, bool)>,
) -> Result<Response, Error> {
    let zone = Zone::of(request);
    let known = administrator.settings(request).await?;
    let settings = &known.settings;
    let (mut modes, mut database) =
        (settings.modes(&known.defaults), settings.database(&known.defaults));
    if let Some((new, on)) = typed {
        modes.online = on;
        let NewDatabase { host, user, auth_db, target_db, .. } = new;
        database = Mongodb { host, user, auth_db, target_db, ..database };
    }
    let change = |change: &crate::settings::Change| (change.by.clone(), zone.show(change.at));
    answer::page(&SettingsPage {
        shell: Shell::new(administrator.signed_in(), request, Here::Backups, "Retention Settings"),
        objection,
        on: !settings.off,
        changed: settings.changed.as_ref().map(change),
        told: told(&known, &zone),
        can_seal: known.can_seal,
        days: settings.days_retained.map(|days| days.to_string()).unwrap_or_default(),
        hours: hours(settings.schedule_hour, known.defaults.schedule_hour),
        hour_hint: hour_hint(settings.schedule_hour, known.defaults.schedule_hour),
        rules: archive_key::RULES,
        some_closed: known.archive_keys.iter().any(|key| key.is_closed),
        archive_keys: archive_keys(&known, &zone),
        modes,
        database,
        held: Some(known.held).filter(|held| held.stored > 0).map(|held| {
            let only = counted(held.only_copies, "only copy", "only copies");
            (counted(held.stored, "stored backup", "stored backups"), only)
        }),
        password_min_chars: PASSWORD_MIN_CHARS,
        sftp_keys: settings.sftp_keys.iter().map(|key| keys::Shown::new(key, &zone)).collect(),
        overlaps: keys::OVERLAPS,
        has_connector: known.has_connector,
        sheet: sheet_of(&known),
    })
}

/// The hours to choose from. That none is set here is one of them only as long as it is so.
fn hours(set: Option<u8>, configured: Option<u8>) -> Vec<Hour> {
    let shown = |hour: u8| format!("{hour:02}:00");
    let unset = set.is_none().then(|| Hour {
        value: String::new(),
        title: configured
            .map_or("Not set".to_owned(), |hour| format!("{}, as configured", shown(hour))),
        chosen: true,
    });
    let each = (0..24).map(|hour| Hour {
        value: hour.to_string(),
        title: shown(hour),
        chosen: set == Some(hour),
    });
    unset.into_iter().chain(each).collect()
}

/// Which hour holds, and from where, as far as the list does not say it.
fn hour_hint(set: Option<u8>, configured: Option<u8>) -> String {
    match (set, configured) {
        (None, Some(hour)) => {
            format!(
                "The hour {hour:02}:00 is that of the configuration file, and holds until one is set here."
            )
        }
        (Some(set), Some(hour)) if set != hour => {
            format!("The configuration file says {hour:02}:00; what is set here goes before it.")
        }
        _ => String::new(),
    }
}

fn archive_keys(known: &Known, zone: &Zone) -> Vec<ShownKey> {
    let shown = known.archive_keys.iter().enumerate().map(|(at, key)| ShownKey {
        mark: key.mark.clone().unwrap_or_default(),
        set: key.set.as_ref().map(|set| (set.by.clone(), zone.show(set.at))),
        opened: counted(key.opened, "backup", "backups"),
        newest: key.newest.map(|at| zone.show(at)),
        is_newest: at == 0,
        is_closed: key.is_closed,
    });
    shown.collect()
}

/// The sheet, with what was set here.
fn sheet_of(known: &Known) -> Sheet {
    let mut sheet = known.sheet.clone();
    if let Some(address) = &known.settings.sftp_address {
        sheet.sftp.address.clone_from(address);
    }
    sheet
}

fn told(known: &Known, zone: &Zone) -> Told {
    if !known.has_connector {
        return Told::ByHand;
    }
    if let Some(at) = telling::told(&known.settings) {
        return Told::Since(zone.show(at));
    }
    if !known.missing.is_empty() && !known.settings.off {
        let goes_on = known.settings.told.is_some();
        return Told::Missing { what: known.missing.join(", "), goes_on };
    }
    known.trouble.clone().map_or(Told::Soon, Told::Trouble)
}

/// Back to the page, with a word on what was done.
fn back(done: &str) -> Response {
    answer::redirect(&format!("/retention/settings?done={done}"))
}
