//! The eight paged tables, closed enquiries and other records.

use askama::Template;
use jiff::civil::Date;
use warp::reply::Response;

use super::ask::{self, Ask, SIZES};
use crate::{
    accounts::DataType,
    portal::{
        answer,
        cells::{Line, Nothing, Pager, Table, counted},
        columns::{self, Context},
        errors::Error,
        filter::{Choice, Filter, Input},
        gate::{May, Permit, See},
        request::Request,
        shell::{Here, Shell},
        zone::Zone,
    },
    store::browse::{Order, Page, Row, Total},
};

#[derive(Template)]
#[template(path = "list.html", config = "src/portal/askama.toml")]
struct ListPage {
    shell: Shell,
    about: &'static str,
    total: String,
    arrives_anew: bool,
    as_of: String,
    filter: Filter,
    backup: Option<String>,
    without_backup: String,
    /// The list of all records, where it shows those without a time alone.
    dated: Option<String>,
    left_out: Option<LeftOut>,
    table: Table,
    pager: Pager,
}

/// Records that no range of dates holds, because they have no time.
struct LeftOut {
    text: String,
    link: &'static str,
    href: String,
}

/// A page of a view.
pub(in crate::portal) async fn page(may: May<See>, request: Request) -> Result<Response, Error> {
    let data_type = may.data_type();
    let (ask, zone) = (Ask::read(&request, data_type)?, Zone::of(&request));
    let page = may.page(&request, &ask.query(data_type, &zone), ask.detail()).await?;
    let names = may.names(columns::people(&page.rows)).await?;
    let path = format!("/records/{}", data_type.as_str());
    let shell = Shell::new(may.signed_in(), &request, Here::View(data_type), data_type.title());
    answer::page(&ListPage {
        shell,
        about: about(data_type),
        total: total(page.total, "record", "records"),
        arrives_anew: ask::arrives_anew(data_type),
        as_of: written(ask.as_of),
        backup: ask.backup.as_ref().map(ToString::to_string),
        without_backup: Ask { backup: None, ..ask.clone() }.address(&path, None),
        dated: ask.undated.then(|| ask.with_undated(false).address(&path, None)),
        left_out: left_out(page.undated, ask.with_undated(true).address(&path, None)),
        pager: ask.pager(&path, &page),
        table: table(data_type, &page, &Context { zone: &zone, names: &names }, ask.is_filtered()),
        filter: filter(&ask, data_type, path),
    })
}

/// The form above the list.
fn filter(ask: &Ask, data_type: DataType, path: String) -> Filter {
    let day = |name, label, day| Input::Day { name, label, value: written(day) };
    let mut inputs = Vec::new();
    let anew = ask::arrives_anew(data_type);
    if anew {
        inputs.push(day("as-of", "As of", ask.as_of));
    } else if ask.undated {
        inputs.push(Input::Kept { name: "undated", value: "1".into() });
    } else {
        inputs.extend([day("from", "From", ask.from), day("until", "Until", ask.until)]);
    }
    inputs.push(Input::Text {
        name: "q",
        label: "Name, number, text",
        value: ask.text.clone().unwrap_or_default(),
        max_chars: ask::TEXT_LIMIT_CHARS,
    });
    if !anew && !ask.undated {
        let oldest = ask.order == Order::OldestFirst;
        let options = vec![
            Choice::new("", "Newest first", !oldest),
            Choice::new("oldest", "Oldest first", oldest),
        ];
        inputs.push(Input::Choice { name: "order", label: "Order", options });
    }
    let size = |size: u16| Choice::new(size.to_string(), size.to_string(), size == ask.size);
    let options = SIZES.map(size).into();
    inputs.push(Input::Choice { name: "size", label: "Rows", options });
    if let Some(job) = &ask.backup {
        inputs.push(Input::Kept { name: "backup", value: job.to_string() });
    }
    Filter { path, inputs, is_filtered: ask.is_filtered() }
}

/// What a range of dates does not show although it may belong to it.
fn left_out(undated: Total, href: String) -> Option<LeftOut> {
    let number = total(undated, "record", "records");
    let one = undated.count == 1;
    (undated.count > 0).then(|| LeftOut {
        text: format!(
            "{number} that otherwise {} no time, so no range of dates holds {}.",
            if one { "matches has" } else { "match have" },
            if one { "it" } else { "them" },
        ),
        link: if one { "Show it" } else { "Show just those" },
        href,
    })
}

/// A day as forms write it.
pub(super) fn written(day: Option<Date>) -> String {
    day.map(|day| day.to_string()).unwrap_or_default()
}

/// The table of a page of rows.
pub(super) fn table(
    data_type: DataType,
    page: &Page,
    context: &Context<'_>,
    is_filtered: bool,
) -> Table {
    let columns = columns::columns(data_type);
    let line = |row: &Row| Line {
        href: columns::address(data_type, &row.key),
        cells: columns.iter().map(|column| context.cell(row, column.show).short()).collect(),
    };
    let table = Table {
        caption: data_type.title().to_owned(),
        heads: columns.iter().map(|column| column.head.clone()).collect(),
        // A small picture alone would be a poor link.
        lead: usize::from(data_type == DataType::Files),
        lines: page.rows.iter().map(line).collect(),
        nothing: nothing(is_filtered),
    };
    table.without_empty_columns()
}

fn nothing(is_filtered: bool) -> Nothing {
    if is_filtered {
        Nothing {
            title: "Nothing matches".into(),
            advice: "Widen the dates, look for a shorter text, or clear the filter.".into(),
        }
    } else {
        Nothing {
            title: "Nothing here yet".into(),
            advice: "What the next stored backup brings will be shown here. The Backup Log says \
                     whether one is on its way."
                .into(),
        }
    }
}

/// How many there are of something.
pub(super) fn total(total: Total, one: &str, many: &str) -> String {
    let text = counted(total.count, one, many);
    if total.exact { text } else { format!("more than {text}") }
}

fn about(data_type: DataType) -> &'static str {
    match data_type {
        DataType::Calls => "Calls between two parties.",
        DataType::Conferences => "Calls of several parties.",
        DataType::Files => "Files shared in rooms, avatars and tag icons.",
        DataType::Voicemails => "Messages left for somebody who did not answer.",
        DataType::Recordings => "Recorded calls and conferences.",
        DataType::Messages => "Chat messages of all rooms.",
        DataType::Staff => "The staff list, with each person once.",
        DataType::Contacts => "The external contact list, with each contact once.",
        DataType::Enquiries => "Enquiries that were closed.",
        DataType::Other => "What backups held that belongs to no known kind. Nothing is dropped.",
    }
}
