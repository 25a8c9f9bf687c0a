//! One record in full: its fields, its medium, every value that was delivered,
//! its versions, and the backup that brought it.

use askama::Template;
use warp::reply::Response;

use super::related::{self, Link, Section};
use crate::{
    accounts::DataType,
    portal::{
        answer,
        cells::{Cell, shorten, size},
        columns::{self, Context, text},
        errors::Error,
        gate::{May, Permit, See},
        mime,
        request::Request,
        shell::{Here, Shell},
        tree::{self, Node},
        zone::{When, Zone},
    },
    records::{Dataset, view},
    store::{
        RecordKey,
        browse::{Detail, Row},
        media::Medium,
    },
};

/// The largest JSON that is shown in a page, in bytes; a larger one can be downloaded.
const RAW_LIMIT_BYTES: usize = 512 * 1024;

/// How much of a heading is shown, in characters: a name may be a whole text.
const HEADING_CHARS: usize = 150;

#[derive(Template)]
#[template(path = "record.html", config = "src/portal/askama.toml")]
struct RecordPage {
    shell: Shell,
    view: &'static str,
    view_path: String,
    heading: String,
    when: Option<When>,
    dataset: Dataset,
    fields: Vec<(String, Cell)>,
    medium: Option<Attached>,
    medium_missing: bool,
    may_download: bool,
    path: String,
    sections: Vec<Section>,
    links: Vec<Link>,
    nodes: Vec<Node>,
    nodes_cut: bool,
    raw: String,
    raw_cut: bool,
    raw_size: String,
    id: String,
    version: i32,
    versions: Vec<VersionLine>,
    is_newest: bool,
    backup: String,
}

/// The medium of a record.
struct Attached {
    show: mime::Show,
    src: String,
    name: String,
    size: String,
    sha256: String,
}

struct VersionLine {
    href: String,
    version: i32,
    taken: When,
    backup: String,
    shown: bool,
}

/// The page of one record.
pub(in crate::portal) async fn page(may: May<See>, request: Request) -> Result<Response, Error> {
    let data_type = may.data_type();
    let key: RecordKey = request.capture(1).parse().map_err(|_| Error::NotFound)?;
    let detail = may.record(&request, &key).await?;
    let row = &detail.row;
    let zone = Zone::of(&request);
    let record = record(&detail);
    let mut people = columns::people([row]);
    people.extend(record.as_ref().map(tree::people).unwrap_or_default());
    let names = may.names(people).await?;
    let context = Context { zone: &zone, names: &names };
    let path = columns::address(data_type, &row.key);
    let medium = may.described(row).await?;
    let (nodes, nodes_cut) = match &record {
        Some(record) => tree::lay_out(record, &zone, &names),
        None => (Vec::new(), false),
    };
    let heading = shorten(heading(row, &context), HEADING_CHARS);
    answer::page(&RecordPage {
        shell: Shell::new(may.signed_in(), &request, Here::View(data_type), heading.clone()),
        view: data_type.title(),
        view_path: format!("/records/{}", data_type.as_str()),
        heading,
        when: row.at.map(|at| zone.show(at)),
        dataset: row.dataset,
        fields: fields(row, &context),
        medium: medium.map(|medium| attached(row, &medium, &path)),
        medium_missing: row.medium.is_none()
            && (text(row, "file").is_some() || data_type == DataType::Files),
        may_download: may.may_download(),
        sections: related::sections(&may, &request, row, &zone).await?,
        links: related::links(&may, row),
        nodes,
        nodes_cut,
        raw_cut: detail.raw.len() > RAW_LIMIT_BYTES || detail.raw_medium.is_some(),
        raw_size: size(detail.raw.len() as u64),
        raw: if detail.raw.len() > RAW_LIMIT_BYTES { String::new() } else { detail.raw.clone() },
        id: row.id.clone(),
        version: row.version,
        versions: versions(&detail, data_type, &zone),
        is_newest: detail.versions.first().is_none_or(|newest| newest.key == row.key),
        backup: row.backup.to_string(),
        path,
    })
}

fn fields(row: &Row, context: &Context<'_>) -> Vec<(String, Cell)> {
    view::fields(row.dataset)
        .iter()
        .filter_map(|field| {
            let value = row.fields.get(field.name)?;
            let cell = match (field.name, value) {
                ("text", view::Value::Text(text)) => Cell::Long(text.clone()),
                ("status", _) => context.cell(row, columns::Show::Status("status")),
                ("direction", _) => context.cell(row, columns::Show::Direction),
                ("to_eid", _) if row.dataset == Dataset::Message => {
                    context.cell(row, columns::Show::Person("", "", "to_eid"))
                }
                ("content_type", view::Value::Text(kind)) => Cell::Text(columns::content(kind)),
                _ => context.field(field.name, value),
            };
            Some((columns::label(field.name), cell))
        })
        .collect()
}

fn attached(row: &Row, medium: &Medium, path: &str) -> Attached {
    let kind = mime::kind(&medium.entry, text(row, "mime"));
    // Voicemails and recordings name their file by an id alone.
    let show = match row.dataset {
        Dataset::Voicemail | Dataset::Recording if kind.show == mime::Show::Never => {
            mime::Show::Sound
        }
        _ => kind.show,
    };
    let (src, name) = (format!("{path}/medium"), file_name(row));
    Attached { show, src, name, size: size(medium.length_bytes), sha256: medium.id.to_string() }
}

/// What a record's file is called. Voicemail and recordings know their file by an
/// id alone, so they are named by their time (in UTC) as well.
pub(super) fn file_name(row: &Row) -> String {
    if matches!(row.dataset, Dataset::Voicemail | Dataset::Recording) {
        let time = row.at.map(|at| at.strftime("-%Y%m%d-%H%M%S").to_string()).unwrap_or_default();
        return format!("{}{time}-{}", row.dataset, row.id);
    }
    text(row, "file_name")
        .or(text(row, "name").map(columns::last_part))
        .or(text(row, "file"))
        .map_or_else(|| row.id.clone(), str::to_owned)
}

/// The record, unless it is too large or not regular enough to be laid out.
fn record(detail: &Detail) -> Option<serde_json::Value> {
    let fits = detail.raw.len() <= RAW_LIMIT_BYTES;
    fits.then(|| serde_json::from_str(&detail.raw).ok()).flatten()
}

fn versions(detail: &Detail, data_type: DataType, zone: &Zone) -> Vec<VersionLine> {
    let line = |version: &crate::store::browse::Version| VersionLine {
        href: columns::address(data_type, &version.key),
        version: version.version,
        taken: zone.show(version.taken),
        backup: version.backup.to_string(),
        shown: version.key == detail.row.key,
    };
    detail.versions.iter().map(line).collect()
}

/// What the page of a record is called.
fn heading(row: &Row, context: &Context<'_>) -> String {
    let person =
        |name, number, eid| match context.cell(row, columns::Show::Person(name, number, eid)) {
            Cell::Person { name, .. } => Some(name),
            _ => None,
        };
    let between = |what: &str, from: Option<String>, to: Option<String>| match (from, to) {
        (Some(from), Some(to)) => format!("{what} from {from} to {to}"),
        (Some(from), None) => format!("{what} from {from}"),
        (None, Some(to)) => format!("{what} to {to}"),
        (None, None) => what.to_owned(),
    };
    let from = || person("from", "from_number", "from_eid");
    let to = || person("to", "to_number", "to_eid");
    let named = |name| text(row, name).map(str::to_owned);
    match row.dataset {
        Dataset::Call => between("Call", from(), to()),
        Dataset::Voicemail => between("Voicemail", from(), to()),
        Dataset::Message => between("Message", from(), to()),
        Dataset::Conference => match named("topic") {
            Some(topic) => format!("Conference: {topic}"),
            None => "Conference".to_owned(),
        },
        Dataset::Recording => match person("", "", "staff_eid") {
            Some(staff) => format!("Recording of {staff}"),
            None => "Recording".to_owned(),
        },
        Dataset::Enquiry => match named("case_number") {
            Some(case) => format!("Enquiry {case}"),
            None => "Enquiry".to_owned(),
        },
        Dataset::Avatar => match person("", "", "uploader_eid") {
            Some(staff) => format!("Avatar of {staff}"),
            None => file_name(row),
        },
        Dataset::File | Dataset::TagIcon => file_name(row),
        Dataset::Staff | Dataset::Contact | Dataset::Other => {
            named("name").or_else(|| named("full_name")).unwrap_or_else(|| row.id.clone())
        }
    }
}
