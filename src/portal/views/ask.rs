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
pub(super) const TEXT_LIMIT_CHARS: usize = 200;

/// What a list is asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Ask {
    pub(super) from: Option<Date>,
    pub(super) until: Option<Date>,
    /// Only records without a time.
    pub(super) undated: bool,
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
    pub(super) fn read(request: &Request, data_type: DataType) -> Result<Self, Error> {
        let backup = request.query("backup").map(|id| {
            id.parse().map_err(|_| Error::Input("That is not the id of a backup.".into()))
        });
        let size = request.query("size").and_then(|size| size.parse().ok());
        let (from, until) = days(request)?;
        let ask = Self {
            from,
            until,
            undated: request.query("undated").is_some(),
            as_of: day(request, "as-of")?,
            text: text(request)?,
            backup: backup.transpose()?,
            size: size.filter(|size| SIZES.contains(size)).unwrap_or(SIZE),
            order: match request.query("order") {
                Some("oldest") => Order::OldestFirst,
                _ => Order::NewestFirst,
            },
            position: position(request)?,
        };
        ask.fits(data_type)?;
        Ok(ask)
    }

    /// Staff and contacts are listed as of a day, everything else by its time.
    fn fits(&self, data_type: DataType) -> Result<(), Error> {
        let ranged = self.from.is_some() || self.until.is_some();
        let sentence = match (arrives_anew(data_type), self.as_of) {
            (true, _) if ranged || self.undated => {
                "This list is shown as of a date. It has no range of dates."
            }
            (false, Some(_)) => "This list has a range of dates. It is not shown as of a date.",
            _ if ranged && self.undated => "Records without a time lie in no range of dates.",
            _ => return Ok(()),
        };
        Err(Error::Input(sentence.into()))
    }

    /// Whether anything is filtered.
    pub(super) fn is_filtered(&self) -> bool {
        self.from.is_some()
            || self.until.is_some()
            || self.undated
            || self.as_of.is_some()
            || self.text.is_some()
            || self.backup.is_some()
    }

    /// The same as the store is asked.
    pub(super) fn query(&self, data_type: DataType, zone: &Zone) -> Query {
        Query {
            from: self.from.and_then(|day| zone.begin_of(day)),
            until: self.until.and_then(|day| zone.end_of(day)),
            undated: self.undated,
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
        add("without", self.undated.then(|| "a time".to_owned()));
        add("as of", self.as_of.map(|day| day.to_string()));
        add("text", self.text.as_ref().map(|text| format!("{text:?}")));
        add("backup", self.backup.as_ref().map(JobId::to_string));
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// The same list from its beginning, but for records without a time alone; or,
    /// if it is asked for those alone, for all.
    pub(super) fn with_undated(&self, undated: bool) -> Self {
        Self { from: None, until: None, undated, ..self.clone() }
    }

    /// Where else in the list one can go from its page.
    pub(super) fn pager(&self, path: &str, page: &Page) -> Pager {
        pager(page.previous.as_ref(), page.next.as_ref(), |place| self.address(path, place))
    }

    /// The address of the list with the same filter, at a place in it.
    pub(super) fn address(&self, path: &str, place: Option<(&str, &str)>) -> String {
        let pairs = [
            ("from", self.from.map(|day| day.to_string())),
            ("until", self.until.map(|day| day.to_string())),
            ("undated", self.undated.then(|| "1".to_owned())),
            ("as-of", self.as_of.map(|day| day.to_string())),
            ("q", self.text.clone()),
            ("backup", self.backup.as_ref().map(JobId::to_string)),
            ("size", (self.size != SIZE).then(|| self.size.to_string())),
            ("order", (self.order == Order::OldestFirst).then(|| "oldest".to_owned())),
        ];
        address(path, pairs, place)
    }
}

/// Whether each backup brings a view anew, so that it is shown as of a day.
pub(super) fn arrives_anew(data_type: DataType) -> bool {
    matches!(data_type, DataType::Staff | DataType::Contacts)
}

/// An address with what is there of a filter, at a place in the list.
pub(super) fn address<'a>(
    path: &str,
    filter: impl IntoIterator<Item = (&'a str, Option<String>)>,
    place: Option<(&str, &str)>,
) -> String {
    let mut query = Serializer::new(String::new());
    for (name, value) in filter {
        if let Some(value) = value {
            query.append_pair(name, &value);
        }
    }
    query.extend_pairs(place);
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// Where one can go from a page that has pages before and after it.
pub(super) fn pager(
    previous: Option<&Cursor>,
    next: Option<&Cursor>,
    address: impl Fn(Option<(&str, &str)>) -> String,
) -> Pager {
    let to = |name: &str, cursor: &Cursor| address(Some((name, &cursor.to_string())));
    Pager {
        first: previous.map(|_| address(None)),
        previous: previous.map(|cursor| to("before", cursor)),
        next: next.map(|cursor| to("after", cursor)),
        last: next.map(|_| address(Some(("at", "last")))),
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

/// The text that a request looks for.
pub(super) fn text(request: &Request) -> Result<Option<String>, Error> {
    let text = request.query("q");
    if text.is_some_and(|text| text.chars().count() > TEXT_LIMIT_CHARS) {
        return Err(Error::Input(format!(
            "The text to look for is longer than {TEXT_LIMIT_CHARS} characters."
        )));
    }
    Ok(text.map(str::to_owned))
}

/// The range of days that a request asks for, both of them included.
pub(super) fn days(request: &Request) -> Result<(Option<Date>, Option<Date>), Error> {
    let (from, until) = (day(request, "from")?, day(request, "until")?);
    match (from, until) {
        (Some(from), Some(until)) if from > until => Err(Error::Input(format!(
            "No day lies in a range that begins on {from} and ends on {until}."
        ))),
        _ => Ok((from, until)),
    }
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
        ask_of(DataType::Calls, query)
    }

    fn ask_of(data_type: DataType, query: &str) -> Result<Ask, Error> {
        let peer = std::net::Ipv4Addr::LOCALHOST.into();
        let request =
            Request::new(Method::GET, "/x", query, HeaderMap::new(), peer, Timestamp::UNIX_EPOCH);
        Ask::read(&request, data_type)
    }

    #[test]
    fn an_address_asks_for_what_it_was_made_from() {
        for (data_type, query) in [
            (DataType::Calls, ""),
            (
                DataType::Calls,
                "from=2021-04-01&until=2021-04-30&q=%E9%99%88+%26&size=25&order=oldest",
            ),
            (DataType::Messages, "undated=1&q=a"),
            (DataType::Staff, "as-of=2021-04-01&backup=2ed1076d-f512-4316-be8f-e6d1a3a6ae52"),
        ] {
            let ask = ask_of(data_type, query).expect(query);
            let address = ask.address("/x", None);
            assert_eq!(address.trim_start_matches("/x").trim_start_matches('?'), query);
            assert_eq!(ask.is_filtered(), !query.is_empty());
        }
        assert_eq!(ask("size=7").expect("a size that is not offered").size, SIZE);
    }

    #[test]
    fn what_cannot_be_understood_is_said() {
        for query in [
            "from=yesterday",
            "until=2021-02-30",
            "from=2021-04-02&until=2021-04-01",
            "from=2021-04-02&undated=1",
            "as-of=2021-04-02",
            "backup=1",
            "after=!",
            "from=9999-01-01",
        ] {
            assert!(matches!(ask(query), Err(Error::Input(_))), "{query}");
        }
        for query in ["from=2021-04-02", "undated=1"] {
            assert!(matches!(ask_of(DataType::Staff, query), Err(Error::Input(_))), "{query}");
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
