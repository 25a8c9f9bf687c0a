//! A page for people: the Backup Log, and the rooms with what is said in them.
//!
//! It is there to see that what was deleted is gone. It has no links and no scripts, and whatever
//! came from a record is escaped.

use std::fmt::Write as _;

use super::{
    answer::{Answer, Problem},
    connector::Connector,
};

/// How many lines of the log are shown.
const LINES: i64 = 60;

/// How many messages of a room are shown, the newest ones.
const MESSAGES: usize = 5000;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;\
    padding:0 1rem;color:#1c2430}table{border-collapse:collapse;width:100%}\
    th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #d9dee5;\
    vertical-align:top;overflow-wrap:anywhere}section{margin:2rem 0}\
    .who{color:#5a6675;white-space:nowrap}.none{color:#5a6675}\
    .notice{background:#eef3fb;border-left:4px solid #3b6fb6;padding:.4rem .8rem}";

pub(super) async fn show(connector: &Connector) -> Result<Answer, Problem> {
    let cycle = connector.cycle();
    let away = |error| Problem::unavailable(&error);
    let log = cycle.log.page(None, LINES).await.map_err(away)?;
    let talks = cycle.live.talks().await.map_err(away)?;
    let names = cycle.live.names().await.map_err(away)?;
    let mut html = String::new();
    let title = escaped(connector.name());
    // Writing to a String cannot fail.
    let _ = write!(
        html,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
         <style>{STYLE}</style><main><h1>{title}</h1><p>{} · {}</p>",
        escaped(&cycle.service),
        cycle.clock.now(),
    );
    html.push_str(
        "<section id=\"backup-log\"><h2>Backup Log</h2><table><tr><th>Date and time</th>\
         <th>File Name</th><th>Total Data Size</th><th>Total number of backup files</th>\
         <th>Status</th></tr>",
    );
    for backup in &log {
        let (bytes, files) = backup.made.as_ref().map_or((0, 0), |it| (it.data_bytes, it.files));
        let trouble = backup.trouble.as_deref().unwrap_or_default();
        let _ = write!(
            html,
            "<tr data-job=\"{}\"><td>{}</td><td>{}</td><td>{bytes}</td><td>{files}</td>\
             <td><b>{}</b><br>{}</td></tr>",
            backup.job,
            backup.created,
            escaped(&backup.file),
            backup.stage.status(),
            escaped(trouble),
        );
    }
    html.push_str("</table></section>");
    for talk in &talks {
        let _ = write!(
            html,
            "<section data-room=\"{}\" data-messages=\"{}\"><h2>{}</h2>",
            escaped(&talk.room),
            talk.messages.len(),
            escaped(&talk.title),
        );
        if let Some(until) = talk.deleted_until {
            let _ = write!(
                html,
                "<p class=\"notice\" role=\"status\" data-deleted-until=\"{until}\">Messages up \
                 to {until} have been deleted from maaiiconnect. They are kept in the Retention \
                 Portal of your organisation.</p>",
            );
        }
        let hidden = talk.messages.len().saturating_sub(MESSAGES);
        match (talk.messages.len(), hidden) {
            (0, _) => html.push_str("<p class=\"none\">There are no messages.</p>"),
            (_, 0) => {}
            (..) => {
                let _ =
                    write!(html, "<p class=\"none\">{hidden} older messages are not shown.</p>");
            }
        }
        html.push_str("<table>");
        for said in talk.messages.iter().skip(hidden) {
            let who = names.get(&said.from).map_or(said.from.as_str(), String::as_str);
            let _ = write!(
                html,
                "<tr data-message=\"{}\"><td class=\"who\">{}<br>{}</td><td>{}</td></tr>",
                escaped(&said.id),
                escaped(&said.at),
                escaped(who),
                escaped(&said.text),
            );
        }
        html.push_str("</table></section>");
    }
    html.push_str("</main></html>");
    Ok(Answer::html(html))
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_wrote_stays_text() {
        for (text, safe) in [
            ("<script>", "&lt;script&gt;"),
            ("\"a\" & 'b'", "&quot;a&quot; &amp; &#39;b&#39;"),
            ("你好", "你好"),
        ] {
            assert_eq!(escaped(text), safe);
        }
    }
}
