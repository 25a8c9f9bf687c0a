//! From one record to the others that belong to it. Only what the account may see.

use crate::{
    accounts::DataType,
    portal::{
        cells::Table,
        columns::{self, Context, text},
        errors::Error,
        gate::{May, Permit, See},
        request::Request,
        zone::Zone,
    },
    store::browse::{Order, Query, Row},
};

/// How many related records of one kind are shown.
const LIMIT: u16 = 20;

/// Records of one kind that belong to the record shown.
pub(super) struct Section {
    pub(super) title: &'static str,
    pub(super) table: Table,
}

/// A link to records that belong to the record shown.
pub(super) struct Link {
    pub(super) href: String,
    pub(super) icon: &'static str,
    pub(super) text: String,
}

/// Which views hold records of the same call.
fn of_one_call(data_type: DataType) -> &'static [(DataType, &'static str)] {
    match data_type {
        DataType::Calls => &[
            (DataType::Recordings, "Recordings of this call"),
            (DataType::Voicemails, "Voicemail left in this call"),
        ],
        DataType::Recordings | DataType::Voicemails => {
            &[(DataType::Calls, "The call it belongs to")]
        }
        _ => &[],
    }
}

/// Other records of the same call.
pub(super) async fn sections(
    may: &May<See>,
    request: &Request,
    row: &Row,
    zone: &Zone,
) -> Result<Vec<Section>, Error> {
    let mut sections = Vec::new();
    let Some(call) = text(row, "call") else {
        return Ok(sections);
    };
    for (data_type, title) in of_one_call(may.data_type()) {
        let Some(may) = may.signed_in().may_see(*data_type) else {
            continue;
        };
        let query = Query {
            equal: Some(("call", call.to_owned())),
            limit: LIMIT,
            order: Order::OldestFirst,
            ..Query::new(*data_type)
        };
        let detail = Some(format!("those of {}", request.path()));
        let page = may.page(request, &query, detail).await?;
        if page.rows.is_empty() {
            continue;
        }
        let names = may.names(columns::people(&page.rows)).await?;
        let context = Context { zone, names: &names };
        let table = super::list::table(*data_type, &page, &context, false);
        sections.push(Section { title, table });
    }
    Ok(sections)
}

/// Links to where the record took place, and to what the person did.
pub(super) fn links(may: &May<See>, row: &Row) -> Vec<Link> {
    let mut links = Vec::new();
    let sees = |data_type| may.signed_in().account().access(data_type).see;
    let data_type = may.data_type();
    if let Some(room) = text(row, "room")
        && sees(DataType::Messages)
        && data_type != DataType::Conferences
    {
        let around =
            row.at.map_or_else(String::new, |at| format!("?around={}#here", at.as_millisecond()));
        links.push(Link {
            href: format!("/conversations/messages/{}{around}", columns::part(room)),
            icon: "message",
            text: "The room's conversation at that time".into(),
        });
    }
    let person = match data_type {
        DataType::Staff | DataType::Contacts => text(row, "name").or(text(row, "full_name")),
        DataType::Enquiries => text(row, "visitor"),
        _ => None,
    };
    if let Some(name) = person {
        let encoded: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
        for (data_type, icon, what) in [
            (DataType::Calls, "call", "Calls"),
            (DataType::Messages, "message", "Messages"),
            (DataType::Recordings, "recording", "Recordings"),
            (DataType::Enquiries, "enquiry", "Enquiries"),
        ] {
            if sees(data_type) && data_type != may.data_type() {
                links.push(Link {
                    href: format!("/records/{}?q={encoded}", data_type.as_str()),
                    icon,
                    text: format!("{what} of {name}"),
                });
            }
        }
    }
    links
}
