//! The audit log: who looked at what, and who changed what.

use askama::Template;
use jiff::civil::Date;
use warp::reply::Response;

use super::{ask, list};
use crate::{
    accounts::DataType,
    audit::{Action, Event},
    portal::{
        answer,
        cells::{Cell, Head, Line, Nothing, Pager, Table},
        errors::Error,
        filter::{Choice, Filter, Input},
        gate::{Administrator, Permit},
        request::Request,
        shell::{Here, Shell},
        zone::Zone,
    },
    store::{audit::AuditQuery, browse::Position},
};

/// Where the log is.
const PATH: &str = "/audit";
/// How many events a page has.
const SIZE: u16 = 100;
/// The longest name of an account, in characters.
const NAME_CHARS: usize = 320;

#[derive(Template)]
#[template(path = "audit.html", config = "src/portal/askama.toml")]
struct AuditPage {
    shell: Shell,
    total: String,
    filter: Filter,
    table: Table,
    pager: Pager,
}

/// What the log is asked for, as it stands in the address of its page.
#[derive(Clone, Debug)]
struct Ask {
    account: Option<String>,
    action: Option<Action>,
    from: Option<Date>,
    until: Option<Date>,
    text: Option<String>,
    position: Position,
}

/// A page of the audit log, the newest first.
pub(in crate::portal) async fn page(
    administrator: Administrator,
    request: Request,
) -> Result<Response, Error> {
    let (ask, zone) = (Ask::read(&request)?, Zone::of(&request));
    let page = administrator.audit_page(&request, &ask.query(&zone), ask.detail()).await?;
    let shell = Shell::new(administrator.signed_in(), &request, Here::Audit, "Audit log");
    answer::page(&AuditPage {
        shell,
        total: list::total(page.total, "event", "events"),
        filter: ask.filter(),
        table: Table {
            caption: "Audit log".into(),
            heads: ["Date and time", "Account", "Did what", "To what", "From address"]
                .map(Head::new)
                .into(),
            // To what else the account did.
            lead: 1,
            lines: page.events.iter().map(|event| line(event, &ask, &zone)).collect(),
            nothing: Nothing {
                title: "No such event".into(),
                advice: "Names of accounts have to be given in full, as they stand in the log."
                    .into(),
            },
        },
        pager: ask::pager(page.previous.as_ref(), page.next.as_ref(), |place| ask.address(place)),
    })
}

impl Ask {
    fn read(request: &Request) -> Result<Self, Error> {
        let (from, until) = ask::days(request)?;
        let named = |name: &str| {
            let action = Action::ALL.into_iter().find(|action| action.as_str() == name);
            action.ok_or_else(|| Error::Input("That is nothing an account can do.".into()))
        };
        Ok(Self {
            account: request.query("account").map(str::to_owned),
            action: request.query("action").map(named).transpose()?,
            from,
            until,
            text: ask::text(request)?,
            position: ask::position(request)?,
        })
    }

    /// The same as the store is asked.
    fn query(&self, zone: &Zone) -> AuditQuery {
        AuditQuery {
            account: self.account.clone(),
            action: self.action,
            from: self.from.and_then(|day| zone.begin_of(day)),
            until: self.until.and_then(|day| zone.end_of(day)),
            text: self.text.clone(),
            position: self.position.clone(),
            limit: SIZE,
        }
    }

    fn pairs(&self) -> [(&'static str, Option<String>); 5] {
        [
            ("account", self.account.clone()),
            ("action", self.action.map(|action| action.as_str().to_owned())),
            ("from", self.from.map(|day| day.to_string())),
            ("until", self.until.map(|day| day.to_string())),
            ("q", self.text.clone()),
        ]
    }

    /// The same in words, for the audit log.
    fn detail(&self) -> Option<String> {
        let said = self.pairs().into_iter().filter_map(|(name, value)| match name {
            "account" => Some(format!("of {}", value?)),
            "q" => Some(format!("text {:?}", value?)),
            _ => Some(format!("{name} {}", value?)),
        });
        let said: Vec<String> = said.collect();
        (!said.is_empty()).then(|| said.join(", "))
    }

    fn address(&self, place: Option<(&str, &str)>) -> String {
        ask::address(PATH, self.pairs(), place)
    }

    /// The form above the log.
    fn filter(&self) -> Filter {
        let choice =
            |kind: Action| Choice::new(kind.as_str(), action(kind).1, self.action == Some(kind));
        let any = Choice::new("", "Anything", self.action.is_none());
        let inputs = vec![
            Input::Day { name: "from", label: "From", value: list::written(self.from) },
            Input::Day { name: "until", label: "Until", value: list::written(self.until) },
            Input::Text {
                name: "account",
                label: "Account, in full",
                value: self.account.clone().unwrap_or_default(),
                max_chars: NAME_CHARS,
            },
            Input::Choice {
                name: "action",
                label: "Did what",
                options: std::iter::once(any).chain(Action::ALL.map(choice)).collect(),
            },
            Input::Text {
                name: "q",
                label: "To what, or its detail",
                value: self.text.clone().unwrap_or_default(),
                max_chars: ask::TEXT_LIMIT_CHARS,
            },
        ];
        let is_filtered = self.pairs().iter().any(|(_, value)| value.is_some());
        Filter { path: PATH.to_owned(), inputs, is_filtered }
    }
}

fn line(event: &Event, ask: &Ask, zone: &Zone) -> Line {
    let (tone, text) = action(event.action);
    let detail = match &event.detail {
        Some(detail) => format!("{}: {detail}", event.subject),
        None => event.subject.clone(),
    };
    let subject = Cell::Person { name: place(&event.subject), detail };
    Line {
        href: Ask { account: Some(event.account.clone()), ..ask.clone() }.address(None),
        cells: vec![
            Cell::When(zone.show(event.at)),
            Cell::Text(event.account.clone()),
            Cell::Badge { tone, text: text.to_owned() },
            subject.short(),
            Cell::Text(event.peer.clone()),
        ],
    }
}

/// What part of the portal a path leads to, in words.
fn place(path: &str) -> String {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let title = |view: &str| {
        let view = DataType::ALL.into_iter().find(|data_type| data_type.as_str() == view);
        view.map_or("Unknown view", DataType::title)
    };
    match parts.as_slice() {
        ["sign-in" | "sign-out"] => "The portal".into(),
        ["password"] => "Its own password".into(),
        ["accounts"] => "Account management".into(),
        ["accounts" | "activate", ..] => "An account".into(),
        ["audit"] => "Audit log".into(),
        ["retention", "backups"] => "Backup Log".into(),
        ["retention", "log.csv" | "log.json"] => "Backup Log, exported".into(),
        ["retention", "backups", _] => "A backup".into(),
        ["retention", "backups", _, "entries"] => "A backup: its entries".into(),
        ["retention", "backups", _, "receipt", ..] => "A backup: its receipt".into(),
        ["retention", "cloud", ..] => "A backup in maaiiconnect".into(),
        ["records" | "conversations", view] => title(view).into(),
        ["records", view, _, "medium" | "download"] => format!("{}: a file", title(view)),
        ["records", view, ..] => format!("{}: a record", title(view)),
        ["conversations", view, ..] => format!("{}: a conversation", title(view)),
        _ => "Another address".into(),
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
        Action::RejectionAcknowledged => ("fair", "Acknowledged a rejection"),
        Action::UploadRequested => ("fair", "Asked for an upload again"),
        Action::ResponsibilityTaken => ("fair", "Took responsibility"),
        Action::DeletionBegun => ("bad", "Delete from maaiiconnect"),
        Action::DeletionFailed => ("bad", "Deletion failed"),
        Action::DeletionCompleted => ("bad", "Deleted from maaiiconnect"),
        Action::SettingsAttempted => ("plain", "Set about changing settings"),
        Action::SettingsChanged => ("fair", "Changed settings"),
        Action::SettingsNotChanged => ("bad", "Could not change settings"),
        Action::ConfigurationTested => ("plain", "Tested configuration"),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use warp::http::{HeaderMap, Method};

    use super::*;

    fn read(query: &str) -> Result<Ask, Error> {
        let peer = std::net::Ipv4Addr::LOCALHOST.into();
        let headers = HeaderMap::new();
        let now = Timestamp::UNIX_EPOCH;
        Ask::read(&Request::new(Method::GET, PATH, query, headers, peer, now))
    }

    #[test]
    fn pages_of_the_log_keep_its_filter() {
        let query = "account=mei%40acme.example&action=sign-in-refused&from=2021-04-01\
                     &until=2021-04-30&q=%2Frecords";
        let ask = read(query).expect("a filter");
        assert_eq!(ask.address(None), format!("/audit?{query}"));
        assert_eq!(ask.address(Some(("at", "last"))), format!("/audit?{query}&at=last"));
        assert_eq!(
            ask.detail().as_deref(),
            Some(
                "of mei@acme.example, action sign-in-refused, from 2021-04-01, until 2021-04-30, \
                 text \"/records\""
            )
        );
        assert_eq!(read("").expect("no filter").detail(), None);
    }

    #[test]
    fn paths_are_said_in_words() {
        for (path, expected) in [
            ("/sign-in", "The portal"),
            ("/records/voicemails", "Voicemail"),
            ("/records/voicemails/a%231", "Voicemail: a record"),
            ("/records/voicemails/a%231/medium", "Voicemail: a file"),
            ("/retention/backups/0", "A backup"),
            ("/retention/backups/0/entries", "A backup: its entries"),
            ("/retention/log.csv", "Backup Log, exported"),
            ("/records/nonsense", "Unknown view"),
        ] {
            assert_eq!(place(path), expected, "{path}");
        }
    }

    #[test]
    fn what_nobody_can_do_is_not_looked_for() {
        for query in ["action=dance", "from=2021-04-02&until=2021-04-01", "after=!"] {
            assert!(matches!(read(query), Err(Error::Input(_))), "{query}");
        }
    }
}
