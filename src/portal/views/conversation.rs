//! The messages of one room in their order, as people wrote them to each other.

use std::collections::{BTreeSet, HashMap};

use askama::Template;
use jiff::Timestamp;
use warp::reply::Response;

use super::ask;
use crate::{
    accounts::DataType,
    portal::{
        answer,
        cells::{Pager, shorten},
        columns::{self, text},
        errors::Error,
        gate::{May, Permit, See},
        mime,
        request::Request,
        shell::{Here, Shell},
        zone::Zone,
    },
    store::browse::{Order, Page, Position, Query, Row},
};

/// How many messages a page has.
const SIZE: u16 = 60;

/// How much of a name is shown, in characters.
const NAME_CHARS: usize = 100;
/// How much of a message is shown, in characters; its own page has all of it.
const TEXT_CHARS: usize = 2000;

#[derive(Template)]
#[template(path = "conversation.html", config = "src/portal/askama.toml")]
struct ConversationPage {
    shell: Shell,
    room: String,
    people: Vec<String>,
    days: Vec<Day>,
    pager: Pager,
}

/// The messages of one day.
struct Day {
    date: String,
    bubbles: Vec<Bubble>,
}

/// One message.
struct Bubble {
    href: String,
    from: String,
    initials: String,
    /// Which of a few colours is the sender's.
    colour: u8,
    right: bool,
    time: String,
    utc: String,
    text: String,
    /// Whether the text is longer than is shown here.
    is_cut: bool,
    file: Option<Attached>,
    /// Whether it is the one that was come from.
    marked: bool,
}

struct Attached {
    show: Option<mime::Show>,
    src: String,
    name: String,
}

/// A page of a room's conversation: from its beginning, or around a time.
pub(in crate::portal) async fn page(may: May<See>, request: Request) -> Result<Response, Error> {
    if may.data_type() != DataType::Messages {
        return Err(Error::NotFound);
    }
    let room = request.capture(1).to_owned();
    let around = request
        .query("around")
        .and_then(|millis| Timestamp::from_millisecond(millis.parse().ok()?).ok());
    let page = read(&may, &request, &room, around).await?;
    if page.rows.is_empty() && around.is_none() {
        return Err(Error::NotFound);
    }
    let names = may.names(columns::people(&page.rows)).await?;
    let path = format!("/conversations/messages/{}", columns::part(&room));
    let pager = ask::pager(page.previous.as_ref(), page.next.as_ref(), |place| {
        ask::address(&path, [], place)
    });
    let here = Here::View(DataType::Messages);
    answer::page(&ConversationPage {
        shell: Shell::new(may.signed_in(), &request, here, "Conversation"),
        people: people(&page.rows, &names),
        days: days(&page.rows, &names, &Zone::of(&request), around),
        room,
        pager,
    })
}

async fn read(
    may: &May<See>,
    request: &Request,
    room: &str,
    around: Option<Timestamp>,
) -> Result<Page, Error> {
    let query = Query {
        equal: Some(("room", room.to_owned())),
        position: ask::position(request)?,
        limit: SIZE,
        order: Order::OldestFirst,
        ..Query::new(DataType::Messages)
    };
    let detail = Some(format!("room {room}"));
    let Some(at) = around else {
        return may.page(request, &query, detail).await;
    };
    let half = SIZE / 2;
    let before = Query { until: Some(at), position: Position::Last, limit: half, ..query.clone() };
    let after = Query { from: Some(at), position: Position::First, limit: half, ..query };
    let mut before = may.page(request, &before, detail.clone()).await?;
    let after = may.page(request, &after, detail).await?;
    before.rows.extend(after.rows);
    Ok(Page { next: after.next, ..before })
}

fn called(eid: Option<&str>, names: &HashMap<String, String>) -> String {
    match eid {
        Some(eid) => shorten(names.get(eid).map_or(eid, String::as_str).to_owned(), NAME_CHARS),
        None => "Unknown sender".to_owned(),
    }
}

fn people(rows: &[Row], names: &HashMap<String, String>) -> Vec<String> {
    let mut people: Vec<String> = Vec::new();
    for row in rows {
        let name = called(text(row, "from_eid"), names);
        if !people.contains(&name) {
            people.push(name);
        }
    }
    people
}

fn days(
    rows: &[Row],
    names: &HashMap<String, String>,
    zone: &Zone,
    around: Option<Timestamp>,
) -> Vec<Day> {
    let senders: BTreeSet<&str> = rows.iter().filter_map(|row| text(row, "from_eid")).collect();
    // Two people sit across from each other; more would only be confusing.
    let right = senders.iter().nth(1).copied().filter(|_| senders.len() == 2);
    let mut days: Vec<Day> = Vec::new();
    for row in rows {
        let when = row.at.map(|at| zone.show(at));
        let date = when.as_ref().map_or_else(|| "Without a date".to_owned(), |w| w.date.clone());
        if days.last().is_none_or(|day| day.date != date) {
            days.push(Day { date, bubbles: Vec::new() });
        }
        let eid = text(row, "from_eid");
        let from = called(eid, names);
        let said = text(row, "text").unwrap_or_default();
        let bubble = Bubble {
            href: columns::address(DataType::Messages, &row.key),
            initials: initials(&from),
            colour: colour(eid.unwrap_or_default()),
            from,
            right: right.is_some() && eid == right,
            time: when.as_ref().map(|w| w.time.clone()).unwrap_or_default(),
            utc: when.map(|w| w.utc).unwrap_or_default(),
            text: shorten(said.to_owned(), TEXT_CHARS),
            is_cut: said.chars().nth(TEXT_CHARS).is_some(),
            file: attached(row),
            marked: around.is_some() && row.at == around,
        };
        if let Some(day) = days.last_mut() {
            day.bubbles.push(bubble);
        }
    }
    days
}

fn attached(row: &Row) -> Option<Attached> {
    let name = text(row, "file_name").or(text(row, "file"))?.to_owned();
    let src = format!("{}/medium", columns::address(DataType::Messages, &row.key));
    let show = row.medium.map(|_| mime::kind(&name, None).show);
    Some(Attached { show, src, name })
}

/// The first letters of the first and the last word; of a Chinese name its last character.
fn initials(name: &str) -> String {
    let mut words =
        name.split_whitespace().filter(|word| word.chars().next().is_some_and(char::is_alphabetic));
    let first = words.next().and_then(|word| word.chars().next());
    let last = words.next_back().and_then(|word| word.chars().next());
    first.into_iter().chain(last).flat_map(char::to_uppercase).collect()
}

fn colour(eid: &str) -> u8 {
    let sum = eid.bytes().fold(0_u32, |sum, b| sum.wrapping_mul(31).wrapping_add(b.into()));
    u8::try_from(sum % 8).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_apart_by_letters() {
        for (name, expected) in [
            ("Mei Wong", "MW"),
            ("陈", "陈"),
            ("Kwok-Wai 李", "K李"),
            ("Mei Fung (馮美)", "MF"),
            ("", ""),
            ("a b c", "AC"),
        ] {
            assert_eq!(initials(name), expected);
        }
        assert!((0..100).all(|n| colour(&format!("{n}")) < 8));
    }
}
