//! The entries of a backup: their names for administrators, how many there are for everybody.

use askama::Template;
use warp::reply::Response;

use super::{archived, ask, backup_line};
use crate::{
    portal::{
        answer,
        cells::{Cell, Head, Line, Nothing, Pager, Table, counted, size},
        errors::Error,
        gate::SignedIn,
        request::Request,
        shell::{Here, Shell},
    },
    receipt::{
        listing::{self, Place},
        statement::{Entry, Holds},
    },
    store::backups::Backup,
};

/// How many entries a page has.
const SIZE: usize = 100;

#[derive(Template)]
#[template(path = "entries.html", config = "src/portal/askama.toml")]
struct EntriesPage {
    shell: Shell,
    file: String,
    path: String,
    total: String,
    about: String,
    /// The names; nothing for those who may not see them, and where there is no receipt.
    listed: Option<Table>,
    may_see: bool,
    /// Whether each can be looked at.
    has_archive: bool,
    pager: Pager,
}

/// A page of the entries of a backup.
pub(in crate::portal) async fn page(who: SignedIn, request: Request) -> Result<Response, Error> {
    let id = request.capture(0);
    let (backup, listed) = match who.administrator() {
        Some(administrator) => administrator.entries(&request, id, place(&request)?, SIZE).await?,
        None => (who.backup(&request, id).await?, None),
    };
    let path = backup_line::path(&backup);
    let archive = who.has_archive(&backup).then(|| path.clone());
    let own = format!("{path}/entries");
    let at = |at: u64| ask::address(&own, [("at", Some(at.to_string()))], None);
    let pager = listed.as_ref().map_or_else(Pager::default, |page| Pager {
        first: page.previous.map(|_| own.clone()),
        previous: page.previous.map(at),
        next: page.next.map(at),
        last: page.next.map(|_| ask::address(&own, [("at", Some("last".to_owned()))], None)),
    });
    answer::page(&EntriesPage {
        shell: Shell::new(&who, &request, Here::Backups, "Entries"),
        path,
        has_archive: archive.is_some(),
        total: counted(backup.progress.entries_total, "entry", "entries"),
        about: about(&backup),
        listed: listed.map(|page| table(&page, archive.as_deref())),
        may_see: who.is_administrator(),
        pager,
        file: backup.file,
    })
}

fn place(request: &Request) -> Result<Place, Error> {
    match request.query("at") {
        None => Ok(Place::First),
        Some("last") => Ok(Place::Last),
        Some(at) => at
            .parse()
            .map(Place::At)
            .map_err(|_| Error::Input("That is not a place in this list.".into())),
    }
}

/// How much there is, without names.
fn about(backup: &Backup) -> String {
    let progress = &backup.progress;
    format!(
        "{} uncompressed: {}, and {} of {}.",
        size(progress.bytes_total),
        counted(progress.records_total(), "record", "records"),
        counted(progress.media, "medium", "media"),
        size(progress.media_bytes),
    )
}

fn table(page: &listing::Page, archive: Option<&str>) -> Table {
    Table {
        caption: "Entries".into(),
        heads: vec![
            Head::new("Name"),
            Head::number("Size"),
            Head::new("Taken as"),
            Head::new("Protection"),
            Head::new("SHA-256"),
        ],
        lead: 0,
        lines: page.entries.iter().map(|entry| line(entry, archive)).collect(),
        nothing: Nothing {
            title: "No entries".into(),
            advice: "The archive of this backup holds no files.".into(),
        },
    }
}

/// A line; where the archive is here, it leads to the entry as it was delivered.
fn line(entry: &Entry<'_>, archive: Option<&str>) -> Line {
    Line {
        href: archive.map(|backup| archived::address(backup, &entry.name)).unwrap_or_default(),
        cells: vec![
            Cell::Text(entry.name.to_string()).short(),
            Cell::Number(size(entry.size_bytes)),
            Cell::Text(taken_as(entry.holds).to_owned()),
            Cell::Text(entry.protection.to_string()),
            Cell::Digest(entry.sha256.to_string()),
        ],
    }
}

fn taken_as(holds: Holds) -> &'static str {
    match holds {
        Holds::Records => "Records",
        Holds::Medium => "Medium",
    }
}

#[cfg(test)]
mod tests {
    use warp::http::{HeaderMap, Method};

    use super::*;

    #[test]
    fn a_place_in_the_list_is_a_byte_or_an_end() {
        let read = |query: &str| {
            let peer = std::net::Ipv4Addr::LOCALHOST.into();
            let now = jiff::Timestamp::UNIX_EPOCH;
            place(&Request::new(Method::GET, "/x", query, HeaderMap::new(), peer, now))
        };
        for (query, expected) in
            [("", Place::First), ("at=last", Place::Last), ("at=812", Place::At(812))]
        {
            assert_eq!(read(query).expect(query), expected);
        }
        for query in ["at=-1", "at=x", "at=99999999999999999999"] {
            assert!(matches!(read(query), Err(Error::Input(_))), "{query}");
        }
    }
}
