//! What a list is asked for, as it stands in the address of its page.

use form_urlencoded::Serializer;
use jiff::civil::Date;

use crate::{
    accounts::DataType,
    backup::JobId,
    portal::{cells::Pager, errors::Error, request::Request, zone::Zone},
    store::{
        Cursor,
        browse::{Order, Page, Position, Query},
    },
};

/// How many rows a page may have.
pub(super) const SIZES: [u16; 3] = [25, 50, 100];
/// How many it has unless somebody chooses.
const SIZE: u16 = 50;
/// The longest text that is looked for, in characters.
const TEXT_LIMIT: usize = 200;

/// What a list is asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Ask {
    pub(super) from: Option<Date>,
    pub(super) until: Option<Date>,
    pub(super) as_of: Option<Date>,
    pub(super) text: Option<String>,
    pub(super) backup: Option<JobId>,
    pub(super) size: u16,
    pub(super) order: Order,
    pub(super) position: Position,
}

impl Ask {
    /// Reads what a request asks for. What cannot be understood is said and not
    /// left out: a filter that does not filter would show what was not asked for.
    pub(super) fn read(request: &Request) -> Result<Self, Error> {
        let text = request.query("q").map(str::to_owned);
        if text.as_ref().is_some_and(|text| text.chars().count() > TEXT_LIMIT) {
            return Err(Error::Input(format!(
                "The text to look for is longer than {TEXT_LIMIT} characters."
            )));
        }
        let backup = request.query("backup").map(|id| {
            id.parse().map_err(|_| Error::Input("That is not the id of a backup.".into()))
        });
        let size = request.query("size").and_then(|size| size.parse().ok());
        Ok(Self {
            from: day(request, "from")?,
            until: day(request, "until")?,
            as_of: day(request, "as-of")?,
            text,
            backup: backup.transpose()?,
            size: size.filter(|size| SIZES.contains(size)).unwrap_or(SIZE),
            order: match request.query("order") {
                Some("oldest") => Order::OldestFirst,
                _ => Order::NewestFirst,
            },
            position: position(request)?,
        })
    }

    /// Whether anything is filtered.
    pub(super) fn is_filtered(&self) -> bool {
        self.from.is_some()
            || self.until.is_some()
            || self.as_of.is_some()
            || self.text.is_some()
            || self.backup.is_some()
    }

    /// The same as the store is asked.
    pub(super) fn query(&self, data_type: DataType, zone: &Zone) -> Query {
        Query {
            from: self.from.and_then(|day| zone.begin_of(day)),
            until: self.until.and_then(|day| zone.end_of(day)),
            as_of: self.as_of.and_then(|day| zone.end_of(day)),
            text: self.text.clone(),
            backup: self.backup.clone(),
            position: self.position.clone(),
            limit: self.size,
            order: self.order,
            ..Query::new(data_type)
        }
    }

    /// The same in words, for the audit log.
    pub(super) fn detail(&self) -> Option<String> {
        let mut parts = Vec::new();
        let mut add = |name: &str, value: Option<String>| {
            parts.extend(value.map(|value| format!("{name} {value}")));
        };
        add("from", self.from.map(|day| day.to_string()));
        add("until", self.until.map(|day| day.to_string()));
        add("as of", self.as_of.map(|day| day.to_string()));
        add("text", self.text.as_ref().map(|text| format!("{text:?}")));
        add("backup", self.backup.as_ref().map(JobId::to_string));
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// Where else in the list one can go from its page.
    pub(super) fn pager(&self, path: &str, page: &Page) -> Pager {
        let to = |name: &str, value: &str| self.address(path, Some((name, value)));
        Pager {
            first: page.previous.as_ref().map(|_| self.address(path, None)),
            previous: page.previous.as_ref().map(|cursor| to("before", &cursor.to_string())),
            next: page.next.as_ref().map(|cursor| to("after", &cursor.to_string())),
            last: page.next.as_ref().map(|_| to("at", "last")),
        }
    }

    /// The address of the list with the same filter, at a place in it.
    pub(super) fn address(&self, path: &str, place: Option<(&str, &str)>) -> String {
        let mut query = Serializer::new(String::new());
        let mut add = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                query.append_pair(name, &value);
            }
        };
        add("from", self.from.map(|day| day.to_string()));
        add("until", self.until.map(|day| day.to_string()));
        add("as-of", self.as_of.map(|day| day.to_string()));
        add("q", self.text.clone());
        add("backup", self.backup.as_ref().map(JobId::to_string));
        add("size", (self.size != SIZE).then(|| self.size.to_string()));
        add("order", (self.order == Order::OldestFirst).then(|| "oldest".to_owned()));
        if let Some((name, value)) = place {
            add(name, Some(value.to_owned()));
        }
        let query = query.finish();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }
}

/// Where in a list a request wants to be.
pub(super) fn position(request: &Request) -> Result<Position, Error> {
    let cursor = |name: &str| {
        let cursor = request.query(name).map(str::parse::<Cursor>).transpose();
        cursor.map_err(|_| Error::Input("That is not a place in this list.".into()))
    };
    Ok(match (cursor("after")?, cursor("before")?, request.query("at")) {
        (Some(cursor), ..) => Position::After(cursor),
        (None, Some(cursor), _) => Position::Before(cursor),
        (None, None, Some("last")) => Position::Last,
        (None, None, _) => Position::First,
    })
}

fn day(request: &Request, name: &str) -> Result<Option<Date>, Error> {
    let Some(text) = request.query(name) else {
        return Ok(None);
    };
    let day = text.parse::<Date>().ok().filter(|day| (1900..=2200).contains(&day.year()));
    day.map(Some).ok_or_else(|| Error::Input(format!("{text:?} is not a date such as 2021-04-30.")))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use warp::http::{HeaderMap, Method};

    use super::*;

    fn ask(query: &str) -> Result<Ask, Error> {
        let peer = std::net::Ipv4Addr::LOCALHOST.into();
        let request =
            Request::new(Method::GET, "/x", query, HeaderMap::new(), peer, Timestamp::UNIX_EPOCH);
        Ask::read(&request)
    }

    #[test]
    fn an_address_asks_for_what_it_was_made_from() {
        for query in [
            "",
            "from=2021-04-01&until=2021-04-30&q=%E9%99%88+%26&size=25&order=oldest",
            "as-of=2021-04-01&backup=2ed1076d-f512-4316-be8f-e6d1a3a6ae52",
        ] {
            let ask = ask(query).expect(query);
            let address = ask.address("/x", None);
            assert_eq!(address.trim_start_matches("/x").trim_start_matches('?'), query);
            assert_eq!(ask.is_filtered(), !query.is_empty());
        }
        assert_eq!(ask("size=7").expect("a size that is not offered").size, SIZE);
    }

    #[test]
    fn what_cannot_be_understood_is_said() {
        for query in
            ["from=yesterday", "until=2021-02-30", "backup=1", "after=!", "from=9999-01-01"]
        {
            assert!(matches!(ask(query), Err(Error::Input(_))), "{query}");
        }
        assert!(matches!(ask(&format!("q={}", "x".repeat(201))), Err(Error::Input(_))));
    }

    #[test]
    fn days_are_those_of_the_viewer() {
        let zone = Zone::named("Asia/Hong_Kong").expect("a zone");
        let query =
            ask("from=2021-04-01&until=2021-04-01").expect("days").query(DataType::Calls, &zone);
        assert_eq!(query.from.map(|t| t.to_string()).as_deref(), Some("2021-03-31T16:00:00Z"));
        assert_eq!(query.until.map(|t| t.to_string()).as_deref(), Some("2021-04-01T16:00:00Z"));
    }
}
