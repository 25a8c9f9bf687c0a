//! The Backup Log: filtered, sorted, page by page.

use askama::Template;
use jiff::civil::Date;
use warp::reply::Response;

use super::{
    ask, backup_line,
    coming::{self, Coming},
    list, progress,
};
use crate::{
    backup::{Condition, retention::Status},
    portal::{
        answer,
        cells::{Head, Nothing, Pager, Sort, Table, counted},
        errors::Error,
        filter::{Choice, Filter, Input},
        gate::{LogPage, Next, SignedIn},
        request::Request,
        shell::{Here, Shell},
        zone::{When, Zone},
    },
    store::{
        backups::{Column, LogQuery},
        browse::Position,
    },
};

/// Where the log is.
const PATH: &str = "/retention/backups";
/// How many backups a page of the log has.
const SIZE: usize = 30;

/// By what the log can be sorted: the name in addresses, the column, whether it falls, and what that
/// is called. Columns are in the order in which they stand in the table.
const SORTS: [(&str, Column, bool, &str); 12] = [
    ("-made", Column::Made, true, "Newest first"),
    ("made", Column::Made, false, "Oldest first"),
    ("file", Column::File, false, "File name, A to Z"),
    ("-file", Column::File, true, "File name, Z to A"),
    ("-size", Column::Size, true, "Largest first"),
    ("size", Column::Size, false, "Smallest first"),
    ("-files", Column::Entries, true, "Most backup files first"),
    ("files", Column::Entries, false, "Fewest backup files first"),
    ("status", Column::Status, false, "Status, A to Z"),
    ("-status", Column::Status, true, "Status, Z to A"),
    ("data", Column::Condition, false, "Data here, trouble first"),
    ("-data", Column::Condition, true, "Data here, trouble last"),
];

#[derive(Template)]
#[template(path = "backups.html", config = "src/portal/askama.toml")]
struct Page {
    shell: Shell,
    next: Option<When>,
    /// What there is to say instead of, or beside, when the next backup is made.
    about_next: &'static str,
    total: String,
    filter: Filter,
    table: Table,
    pager: Pager,
    csv: String,
    json: String,
    /// Watched by the script; empty where nothing is under way.
    signature: String,
}

/// What the log is asked for, as it stands in the address of its page.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    text: Option<String>,
    from: Option<Date>,
    until: Option<Date>,
    status: Option<Status>,
    condition: Option<Condition>,
    by: Column,
    descending: bool,
    position: Position,
}

/// The Backup Log.
pub(in crate::portal) async fn page(who: SignedIn, request: Request) -> Result<Response, Error> {
    let (ask, zone) = (Ask::read(&request)?, Zone::of(&request));
    let (query, detail) = (ask.query(&zone), ask.detail());
    let LogPage { lines, previous, next, total } =
        who.backup_log(&request, &query, &ask.position, SIZE, detail).await?;
    let (missing, under_way) = (who.missing().await?, who.under_way().await?);
    let is_first = previous.is_none();
    let shown = coming::all(&missing, &under_way).filter(|one| is_first && ask.fits(one, &zone));
    let mut table = backup_line::table(&who, shown, &lines, &zone);
    ask.sort_by_heads(&mut table.heads);
    if ask.is_filtered() {
        table.nothing = Nothing {
            title: "No backup fits".into(),
            advice: "Nothing in the Backup Log is as the filter says. Clear it to see everything."
                .into(),
        };
    }
    let mut shell = Shell::new(&who, &request, Here::Backups, "Backup Log");
    shell.refresh_seconds = progress::refresh(&under_way);
    let next_backup = who.next_backup().await?;
    let (at, about_next) = match next_backup {
        Next::Said(at) => (Some(at), "as maaiiconnect says"),
        Next::Reckoned(at) => (Some(at), "by the schedule that is set here"),
        Next::OffThere => (None, "No backup is awaited: Retention is off in maaiiconnect."),
        Next::Off => (None, "No backup is awaited: Retention is OFF."),
        Next::Unknown => (None, ""),
    };
    answer::page(&Page {
        next: at.map(|at| zone.show(at)),
        about_next,
        total: total.map_or_else(String::new, |total| counted(total, "backup", "backups")),
        filter: ask.filter(),
        table,
        pager: ask::pager(previous.as_ref(), next.as_ref(), |place| ask.address(PATH, place)),
        csv: ask.address("/retention/log.csv", None),
        json: ask.address("/retention/log.json", None),
        signature: progress::watched(&under_way),
        shell,
    })
}

impl Ask {
    /// Reads what a request asks for. What cannot be understood is said and not left out.
    pub(super) fn read(request: &Request) -> Result<Self, Error> {
        let (from, until) = ask::days(request)?;
        let status = request.query("status").map(|name| {
            name.parse().map_err(|_| Error::Input("maaiiconnect has no such status.".into()))
        });
        let condition = request.query("data").map(|name| {
            let found = Condition::ALL.into_iter().find(|condition| condition.as_str() == name);
            found.ok_or_else(|| Error::Input("The data here is in no such condition.".into()))
        });
        let (_, by, descending, _) = match request.query("sort") {
            None => SORTS[0],
            Some(name) => SORTS
                .into_iter()
                .find(|sort| sort.0 == name)
                .ok_or_else(|| Error::Input("The log cannot be sorted by that.".into()))?,
        };
        Ok(Self {
            text: ask::text(request)?,
            from,
            until,
            status: status.transpose()?,
            condition: condition.transpose()?,
            by,
            descending,
            position: ask::position(request)?,
        })
    }

    /// The same as the store is asked.
    pub(super) fn query(&self, zone: &Zone) -> LogQuery {
        LogQuery {
            text: self.text.clone(),
            from: self.from.and_then(|day| zone.begin_of(day)),
            until: self.until.and_then(|day| zone.end_of(day)),
            status: self.status,
            condition: self.condition,
            by: self.by,
            descending: self.descending,
        }
    }

    /// The same in words, for the audit log and for what is exported.
    pub(super) fn detail(&self) -> Option<String> {
        let mut parts = Vec::new();
        let mut add = |name: &str, value: Option<String>| {
            parts.extend(value.map(|value| format!("{name} {value}")));
        };
        add("text", self.text.as_ref().map(|text| format!("{text:?}")));
        add("from", self.from.map(|day| day.to_string()));
        add("until", self.until.map(|day| day.to_string()));
        add("status", self.status.map(|status| status.words().to_owned()));
        add("data here", self.condition.map(|condition| condition.words().to_owned()));
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// Whether what is not in our log is among what is looked for.
    pub(super) fn fits(&self, coming: &Coming<'_>, zone: &Zone) -> bool {
        let file = coming.file();
        let query = self.query(zone);
        let has_text = |text: &String| file.to_lowercase().contains(&text.to_lowercase());
        let made = coming.made();
        self.status.is_none_or(|status| status == coming.status())
            && self.condition.is_none()
            && self.text.as_ref().is_none_or(has_text)
            && query.from.is_none_or(|from| made >= from)
            && query.until.is_none_or(|until| made < until)
    }

    fn is_filtered(&self) -> bool {
        self.detail().is_some()
    }

    fn pairs(&self) -> [(&'static str, Option<String>); 6] {
        [
            ("q", self.text.clone()),
            ("from", self.from.map(|day| day.to_string())),
            ("until", self.until.map(|day| day.to_string())),
            ("status", self.status.map(|status| status.as_str().to_owned())),
            ("data", self.condition.map(|condition| condition.as_str().to_owned())),
            ("sort", Some(self.sort().to_owned()).filter(|sort| sort != SORTS[0].0)),
        ]
    }

    /// The address of the log, or of its export, with the same filter, at a place in it.
    fn address(&self, path: &str, place: Option<(&str, &str)>) -> String {
        ask::address(path, self.pairs(), place)
    }

    fn sort(&self) -> &'static str {
        let mut sorts = SORTS.into_iter();
        let found = sorts.find(|(_, by, falls, _)| (*by, *falls) == (self.by, self.descending));
        found.map_or(SORTS[0].0, |sort| sort.0)
    }

    /// Lets each head sort by its column, and the other way round where it is sorted by it.
    fn sort_by_heads(&self, heads: &mut [Head]) {
        for (head, both) in heads.iter_mut().zip(SORTS.chunks(2)) {
            let (_, by, first, _) = both[0];
            let is_sorted = self.by == by;
            let falls = if is_sorted { !self.descending } else { first };
            let ask = Self { by, descending: falls, position: Position::First, ..self.clone() };
            let order = if self.descending { "descending" } else { "ascending" };
            head.sort =
                Some(Sort { href: ask.address(PATH, None), order: is_sorted.then_some(order) });
        }
    }

    /// The form above the log.
    fn filter(&self) -> Filter {
        let any = |label, chosen| std::iter::once(Choice::new("", label, chosen));
        let status = |status: Status| {
            Choice::new(status.as_str(), status.words(), self.status == Some(status))
        };
        let condition = |condition: Condition| {
            let chosen = self.condition == Some(condition);
            Choice::new(condition.as_str(), condition.words(), chosen)
        };
        let sort = |(name, _, _, label)| Choice::new(name, label, self.sort() == name);
        let statuses = any("Any", self.status.is_none()).chain(Status::ALL.map(status));
        let conditions = any("Any", self.condition.is_none()).chain(Condition::ALL.map(condition));
        let inputs = vec![
            Input::Text {
                name: "q",
                label: "File name or job id",
                value: self.text.clone().unwrap_or_default(),
                max_chars: ask::TEXT_LIMIT_CHARS,
            },
            Input::Day { name: "from", label: "From", value: list::written(self.from) },
            Input::Day { name: "until", label: "Until", value: list::written(self.until) },
            Input::Choice { name: "status", label: "Status", options: statuses.collect() },
            Input::Choice { name: "data", label: "Data here", options: conditions.collect() },
            Input::Choice { name: "sort", label: "Sorted by", options: SORTS.map(sort).into() },
        ];
        let is_filtered = self.pairs().iter().any(|(_, value)| value.is_some());
        Filter { path: PATH.to_owned(), inputs, is_filtered }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use warp::http::{HeaderMap, Method};

    use super::*;
    use crate::portal::{Arriving, gate::OnItsWay};

    fn read(query: &str) -> Result<Ask, Error> {
        let peer = std::net::Ipv4Addr::LOCALHOST.into();
        let now = Timestamp::UNIX_EPOCH;
        Ask::read(&Request::new(Method::GET, PATH, query, HeaderMap::new(), peer, now))
    }

    #[test]
    fn pages_and_exports_of_the_log_keep_its_filter() {
        let query = "q=2ed1&from=2021-04-01&until=2021-04-30&status=Failed&data=not-yet&sort=size";
        let ask = read(query).expect("a filter");
        assert_eq!(ask.address(PATH, None), format!("{PATH}?{query}"));
        let place = Some(("at", "last"));
        assert_eq!(ask.address("/x.csv", place), format!("/x.csv?{query}&at=last"));
        let words = "text \"2ed1\", from 2021-04-01, until 2021-04-30, status Failed to delete \
                     data, data here Not yet";
        assert_eq!(ask.detail().as_deref(), Some(words));
        let plain = read("").expect("no filter");
        assert_eq!((plain.address(PATH, None).as_str(), plain.detail()), (PATH, None));
        assert_eq!((plain.by, plain.descending), (Column::Made, true));
    }

    #[test]
    fn what_cannot_be_understood_is_said() {
        for query in [
            "status=Gone",
            "data=fine",
            "sort=colour",
            "from=2021-04-02&until=2021-04-01",
            "after=!",
        ] {
            assert!(matches!(read(query), Err(Error::Input(_))), "{query}");
        }
    }

    #[test]
    fn every_head_sorts_by_its_column_and_turns_what_it_sorts() {
        let mut heads = ["Date", "File", "Size", "Files", "Status", "Data"].map(Head::new);
        read("sort=-size&q=a").expect("an order").sort_by_heads(&mut heads);
        let sorts = heads.map(|head| head.sort.expect("it can be sorted by"));
        let found = sorts.each_ref().map(|sort| (sort.href.as_str(), sort.order));
        let expected = [
            ("/retention/backups?q=a", None),
            ("/retention/backups?q=a&sort=file", None),
            ("/retention/backups?q=a&sort=size", Some("descending")),
            ("/retention/backups?q=a&sort=-files", None),
            ("/retention/backups?q=a&sort=status", None),
            ("/retention/backups?q=a&sort=data", None),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn uploads_on_their_way_are_filtered_as_the_others_are() {
        let file = "backup_acme_2ed1076d-f512-4316-be8f-e6d1a3a6ae52_20210501020000.zip";
        let upload = Arriving {
            file: file.into(),
            size_bytes: 1,
            since: Timestamp::UNIX_EPOCH,
            bytes_per_second: None,
            interrupted: false,
        };
        let coming = OnItsWay { upload, whole_bytes: None, usual_bytes: None };
        let (coming, zone) = (Coming::OnItsWay(&coming), Zone::named("UTC"));
        let zone = zone.expect("a zone");
        for (query, fits) in [
            ("", true),
            ("q=ACME", true),
            ("q=emca", false),
            ("from=2021-05-01&until=2021-05-01", true),
            ("until=2021-04-30", false),
            ("status=Uploading", true),
            ("status=Uploaded", false),
            ("data=safe", false),
        ] {
            assert_eq!(read(query).expect(query).fits(&coming, &zone), fits, "{query}");
        }
    }
}
