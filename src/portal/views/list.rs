//! The eight paged tables, closed enquiries and other records.

use askama::Template;
use warp::reply::Response;

use super::ask::{Ask, SIZES};
use crate::{
    accounts::DataType,
    portal::{
        answer,
        cells::{Line, Nothing, Pager, Table, counted},
        columns::{self, Context},
        errors::Error,
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
    path: String,
    about: &'static str,
    total: String,
    as_it_is_now: bool,
    arrives_anew: bool,
    from: String,
    until: String,
    as_of: String,
    text: String,
    backup: Option<String>,
    without_backup: String,
    sizes: Vec<(u16, bool)>,
    oldest_first: bool,
    is_filtered: bool,
    table: Table,
    pager: Pager,
}

/// A page of a view.
pub(in crate::portal) async fn page(may: May<See>, request: Request) -> Result<Response, Error> {
    let data_type = may.data_type();
    let (ask, zone) = (Ask::read(&request)?, Zone::of(&request));
    let page = may.page(&request, &ask.query(data_type, &zone), ask.detail()).await?;
    let names = may.names(columns::people(&page.rows)).await?;
    let path = format!("/records/{}", data_type.as_str());
    let arrives_anew = matches!(data_type, DataType::Staff | DataType::Contacts);
    let day = |day: Option<jiff::civil::Date>| day.map(|day| day.to_string()).unwrap_or_default();
    let shell = Shell::new(may.signed_in(), &request, Here::View(data_type), data_type.title());
    answer::page(&ListPage {
        shell,
        about: about(data_type),
        total: total(page.total),
        as_it_is_now: ask.as_of.is_none(),
        arrives_anew,
        from: day(ask.from),
        until: day(ask.until),
        as_of: day(ask.as_of),
        text: ask.text.clone().unwrap_or_default(),
        backup: ask.backup.as_ref().map(ToString::to_string),
        without_backup: Ask { backup: None, ..ask.clone() }.address(&path, None),
        sizes: SIZES.map(|size| (size, size == ask.size)).into(),
        oldest_first: ask.order == Order::OldestFirst,
        is_filtered: ask.is_filtered(),
        pager: ask.pager(&path, &page),
        table: table(data_type, &page, &Context { zone: &zone, names: &names }, ask.is_filtered()),
        path,
    })
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
        cells: columns.iter().map(|column| context.cell(row, column.show)).collect(),
    };
    Table {
        caption: data_type.title().to_owned(),
        heads: columns.iter().map(|column| column.head.clone()).collect(),
        // A small picture alone would be a poor link.
        lead: usize::from(data_type == DataType::Files),
        lines: page.rows.iter().map(line).collect(),
        nothing: nothing(is_filtered),
    }
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

fn total(total: Total) -> String {
    let text = counted(total.count, "record", "records");
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
