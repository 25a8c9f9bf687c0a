//! What every page of somebody who is signed in has around its content.

use super::{assets::Assets, gate::SignedIn, request::Request, zone::Zone};
use crate::accounts::DataType;

/// A link of the menu.
pub(super) struct Item {
    pub(super) href: String,
    pub(super) title: &'static str,
    pub(super) icon: &'static str,
    pub(super) current: bool,
}

/// A group of links of the menu.
pub(super) struct Group {
    pub(super) title: &'static str,
    pub(super) items: Vec<Item>,
}

/// A message about what was just done.
pub(super) struct Notice {
    pub(super) good: bool,
    pub(super) text: &'static str,
}

/// The frame of a page.
pub(super) struct Shell {
    pub(super) assets: &'static Assets,
    pub(super) title: String,
    pub(super) menu: Vec<Group>,
    pub(super) name: String,
    pub(super) account: String,
    pub(super) is_administrator: bool,
    pub(super) csrf: String,
    pub(super) zone: String,
    pub(super) back: String,
    pub(super) notice: Option<Notice>,
    /// After how many seconds browsers without scripts load the page again.
    pub(super) refresh_seconds: Option<u32>,
}

/// Which link of the menu is lit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Here {
    /// The overview.
    Home,
    /// A view.
    View(DataType),
    /// The Backup Log.
    Backups,
    /// How the appliance is.
    Health,
    /// Account management.
    Accounts,
    /// The audit log.
    Audit,
    /// None of them.
    Elsewhere,
}

/// The nine views, in maaiiconnect's order, but for Account management.
const VIEWS: [DataType; 8] = [
    DataType::Calls,
    DataType::Conferences,
    DataType::Files,
    DataType::Voicemails,
    DataType::Recordings,
    DataType::Messages,
    DataType::Staff,
    DataType::Contacts,
];

impl Shell {
    /// The frame of a page called `title`.
    pub(super) fn new(
        who: &SignedIn,
        request: &Request,
        here: Here,
        title: impl Into<String>,
    ) -> Self {
        Self {
            assets: Assets::get(),
            title: title.into(),
            menu: menu(who, here),
            name: who.account().display_name.clone(),
            account: who.account().name.clone(),
            is_administrator: who.is_administrator(),
            csrf: who.csrf().to_owned(),
            zone: Zone::of(request).label(request.now()),
            back: request.path_and_query(),
            notice: request.query("done").and_then(notice),
            refresh_seconds: None,
        }
    }
}

/// The icon of a view.
pub(super) fn icon(data_type: DataType) -> &'static str {
    match data_type {
        DataType::Calls => "call",
        DataType::Conferences => "conference",
        DataType::Files => "file",
        DataType::Voicemails => "voicemail",
        DataType::Recordings => "recording",
        DataType::Messages => "message",
        DataType::Staff => "staff",
        DataType::Contacts => "contact",
        DataType::Enquiries => "enquiry",
        DataType::Other => "other",
    }
}

fn menu(who: &SignedIn, here: Here) -> Vec<Group> {
    let item = |href: &str, title, icon, to: Here| Item {
        href: href.to_owned(),
        title,
        icon,
        current: here == to,
    };
    let view = |data_type: &DataType| {
        let href = format!("/records/{}", data_type.as_str());
        item(&href, data_type.title(), icon(*data_type), Here::View(*data_type))
    };
    let seen = |data_type: &&DataType| who.account().access(**data_type).see;
    let mut views: Vec<Item> = VIEWS.iter().filter(seen).map(view).collect();
    let mut more: Vec<Item> =
        [DataType::Enquiries, DataType::Other].iter().filter(seen).map(view).collect();
    if who.is_administrator() {
        views.push(item("/accounts", "Account management", "accounts", Here::Accounts));
        more.push(item("/audit", "Audit log", "audit", Here::Audit));
    }
    let groups = [
        Group { title: "", items: vec![item("/", "Overview", "home", Here::Home)] },
        Group { title: "Retained data", items: views },
        Group { title: "More", items: more },
        Group {
            title: "Administration · Security",
            items: vec![
                item("/retention/backups", "Retention", "backup", Here::Backups),
                item("/health", "Health", "health", Here::Health),
            ],
        },
    ];
    groups.into_iter().filter(|group| !group.items.is_empty()).collect()
}

/// The messages that a redirect may ask for: fixed, so that no address can put
/// words into our mouth.
fn notice(done: &str) -> Option<Notice> {
    let text = match done {
        "activated" => "The account is active. Give its owner the password in person or by phone.",
        "password" => "The password was changed. Sessions of the account have ended.",
        "own-password" => "Your password was changed. Your other sessions have ended.",
        "permissions" => "The permissions were changed. Sessions of the account have ended.",
        "deactivated" => "The account was deactivated. Its sessions have ended.",
        "reactivated" => "The account is active again.",
        "deletion-begun" => "The deletion from maaiiconnect has begun.",
        "deletion-known" => "The deletion from maaiiconnect is under way or done already.",
        "deletion-noted" => "It is written down what became of the deletion.",
        "deletion-elsewhere" => "It is written down that maaiiconnect has deleted this already.",
        "acknowledged" => "You have acknowledged that this backup was rejected.",
        "upload-requested" => "maaiiconnect uploads the backup again.",
        "responsibility" => "You have taken responsibility for this finding.",
        "settings" => "The settings are saved.",
        "switched-on" => "Retention is ON.",
        "switched-off" => "Retention is OFF. Uploads are refused.",
        "key-added" => "The key may upload now.",
        "key-stays" => "The key was to end, and does not any more: it may go on uploading.",
        "key-known" => "That key may upload already.",
        "key-removed" => "The key is removed, or will be at the time that you chose.",
        "zone" => "Times are now shown in the zone that you chose.",
        _ => return None,
    };
    Some(Notice { good: true, text })
}
