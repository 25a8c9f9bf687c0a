//! The audit log: who looked at what, and who changed what.

use askama::Template;
use form_urlencoded::byte_serialize;
use warp::reply::Response;

use crate::{
    audit::{Action, Event},
    portal::{
        answer,
        cells::{Cell, Head, Line, Nothing, Pager, Table},
        errors::Error,
        gate::{Administrator, Permit},
        request::Request,
        shell::{Here, Shell},
        zone::Zone,
    },
    store::Cursor,
};

/// How many events a page has.
const SIZE: u16 = 100;

#[derive(Template)]
#[template(path = "audit.html", config = "src/portal/askama.toml")]
struct AuditPage {
    shell: Shell,
    account: String,
    table: Table,
    pager: Pager,
}

/// A page of the audit log, the newest first.
pub(in crate::portal) async fn page(
    administrator: Administrator,
    request: Request,
) -> Result<Response, Error> {
    let zone = Zone::of(&request);
    let account = request.query("account");
    let before = request.query("after").map(str::parse::<Cursor>).transpose();
    let before = before.map_err(|_| Error::Input("That is not a place in this list.".into()))?;
    let page = administrator.audit_page(&request, account, before.as_ref(), SIZE).await?;
    let filter = account.map(|name| byte_serialize(name.as_bytes()).collect::<String>());
    let path = match &filter {
        Some(name) => format!("/audit?account={name}"),
        None => "/audit".to_owned(),
    };
    let join = if filter.is_some() { '&' } else { '?' };
    let shell = Shell::new(administrator.signed_in(), &request, Here::Audit, "Audit log");
    answer::page(&AuditPage {
        shell,
        account: account.unwrap_or_default().to_owned(),
        table: Table {
            caption: "Audit log".into(),
            heads: ["Date and time", "Account", "Did what", "To what", "From address"]
                .map(Head::new)
                .into(),
            // To what else the account did.
            lead: 1,
            lines: page.events.iter().map(|event| line(event, &zone)).collect(),
            nothing: Nothing {
                title: "No such event".into(),
                advice: "Names of accounts have to be given in full.".into(),
            },
        },
        pager: Pager {
            first: before.is_some().then(|| path.clone()),
            next: page.next.map(|cursor| format!("{path}{join}after={cursor}")),
            ..Pager::default()
        },
    })
}

fn line(event: &Event, zone: &Zone) -> Line {
    let (tone, text) = action(event.action);
    let subject = match &event.detail {
        Some(detail) => Cell::Person { name: event.subject.clone(), detail: detail.clone() },
        None => Cell::Text(event.subject.clone()),
    };
    let name: String = byte_serialize(event.account.as_bytes()).collect();
    Line {
        href: format!("/audit?account={name}"),
        cells: vec![
            Cell::When(zone.show(event.at)),
            Cell::Text(event.account.clone()),
            Cell::Badge { tone, text: text.to_owned() },
            subject,
            Cell::Text(event.peer.clone()),
        ],
    }
}

/// What was done, in words.
fn action(action: Action) -> (&'static str, &'static str) {
    match action {
        Action::SignIn => ("good", "Signed in"),
        Action::SignInRefused => ("bad", "Sign-in refused"),
        Action::SignOut => ("plain", "Signed out"),
        Action::List => ("plain", "Listed"),
        Action::View => ("plain", "Viewed"),
        Action::Play => ("plain", "Opened or played"),
        Action::Download => ("busy", "Downloaded"),
        Action::Refused => ("bad", "Refused"),
        Action::AccountActivated => ("fair", "Activated account"),
        Action::PasswordChanged => ("fair", "Changed password"),
        Action::PermissionsChanged => ("fair", "Changed permissions"),
        Action::AccountDeactivated => ("fair", "Deactivated account"),
    }
}
