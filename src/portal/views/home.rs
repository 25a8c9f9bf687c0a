//! The overview: what needs attention, what is kept, what came last.

use askama::Template;
use warp::reply::Response;

use super::{
    attention::{self, Attention},
    backup_line, coming, progress,
};
use crate::{
    accounts::DataType,
    backup::State,
    portal::{
        answer,
        cells::{Table, count},
        errors::Error,
        gate::SignedIn,
        request::Request,
        shell::{Here, Shell, icon},
        zone::{When, Zone},
    },
    store::backups::Backup,
};

/// How many of the newest backups are looked through for what needs attention.
const LOOKED_THROUGH: u16 = 30;
/// How many of them are listed.
const LISTED: usize = 5;
/// How many things that need attention are shown.
const ATTENTIONS: usize = 4;

#[derive(Template)]
#[template(path = "home.html", config = "src/portal/askama.toml")]
struct HomePage {
    shell: Shell,
    greeting: String,
    newest: Option<When>,
    attention: Vec<Attention>,
    more_attention: usize,
    tiles: Vec<Tile>,
    table: Table,
    signature: String,
}

struct Tile {
    href: String,
    icon: &'static str,
    title: &'static str,
    count: String,
}

/// The overview.
pub(in crate::portal) async fn page(who: SignedIn, request: Request) -> Result<Response, Error> {
    let zone = Zone::of(&request);
    let mut newest = who.newest_backups(LOOKED_THROUGH).await?;
    let (missing, under_way) = (who.missing().await?, who.under_way().await?);
    let totals = who.totals().await?;
    let absent = missing.iter().map(|missing| attention::missing(missing, &zone));
    let troubled = newest.iter().filter_map(|backup| attention::of(backup, &zone));
    let mut attention: Vec<Attention> = absent.chain(troubled).collect();
    attention.sort_by_key(|attention| attention.tone != "bad");
    let more_attention = attention.len().saturating_sub(ATTENTIONS);
    attention.truncate(ATTENTIONS);
    let stored = |backup: &&Backup| backup.state == State::Stored;
    let last_stored = newest.iter().filter(stored).map(|backup| backup.taken).max();
    newest.truncate(LISTED);
    let newest = who.judge_all(newest).await?;
    let tile = |data_type: DataType| {
        let total = totals.get(&data_type)?;
        let more = if total.exact { "" } else { "+" };
        Some(Tile {
            href: format!("/records/{}", data_type.as_str()),
            icon: icon(data_type),
            title: data_type.title(),
            count: format!("{}{more}", count(total.count)),
        })
    };
    let mut shell = Shell::new(&who, &request, Here::Home, "Overview");
    shell.refresh_seconds = progress::refresh(&under_way);
    answer::page(&HomePage {
        greeting: who.account().display_name.clone(),
        newest: last_stored.map(|taken| zone.show(taken)),
        attention,
        more_attention,
        tiles: DataType::ALL.into_iter().filter_map(tile).collect(),
        table: backup_line::table(&who, coming::all(&missing, &under_way), &newest, &zone),
        signature: progress::watched(&under_way),
        shell,
    })
}
