//! Account management: who may sign in, and what each may see and download.

use std::collections::HashSet;

use askama::Template;
use warp::reply::Response;

use super::own;
use crate::{
    accounts::{ADMIN, Access, Account, DataType, PASSWORD_MIN_CHARS, Permissions, Role},
    portal::{
        answer,
        cells::{Cell, Head, Line, Nothing, Table},
        columns::part,
        errors::Error,
        gate::{Administrator, NewAccount, Permit},
        request::{Form, Request},
        shell::{Here, Shell},
        zone::{When, Zone},
    },
    store::accounts::Candidate,
};

#[derive(Template)]
#[template(path = "accounts.html", config = "src/portal/askama.toml")]
struct AccountsPage {
    shell: Shell,
    accounts: Table,
    /// The first staff administrator, while nobody but `Admin` can sign in.
    first: Option<Offered>,
    candidates: Table,
}

struct Offered {
    href: String,
    name: String,
    email: String,
}

#[derive(Template)]
#[template(path = "account.html", config = "src/portal/askama.toml")]
struct AccountPage {
    shell: Shell,
    account: Account,
    path: String,
    created: When,
    password_set: When,
    is_admin: bool,
    is_own: bool,
    may_deactivate: bool,
    matrix: Vec<Row>,
    objection: String,
    min_chars: usize,
}

#[derive(Template)]
#[template(path = "activate.html", config = "src/portal/askama.toml")]
struct ActivatePage {
    shell: Shell,
    candidate: Candidate,
    path: String,
    scope: String,
    matrix: Vec<Row>,
    objection: String,
    min_chars: usize,
}

/// A row of the matrix of permissions.
struct Row {
    name: &'static str,
    title: &'static str,
    see: bool,
    download: bool,
}

/// All accounts, and members of staff who could be given one.
pub(in crate::portal) async fn page(
    administrator: Administrator,
    request: Request,
) -> Result<Response, Error> {
    let accounts = administrator.accounts(&request).await?;
    let mut candidates = administrator.candidates().await?;
    let taken: HashSet<String> = accounts.iter().map(|a| a.name.to_lowercase()).collect();
    candidates.retain(|candidate| !taken.contains(&candidate.email.to_lowercase()));
    let nobody_yet = accounts.iter().all(|account| account.name == ADMIN);
    let first = candidates
        .first()
        .filter(|candidate| nobody_yet && candidate.is_administrator())
        .map(|candidate| Offered {
            href: activation_path(candidate),
            name: candidate.name.clone(),
            email: candidate.email.clone(),
        });
    let zone = Zone::of(&request);
    let shell =
        Shell::new(administrator.signed_in(), &request, Here::Accounts, "Account management");
    answer::page(&AccountsPage {
        shell,
        accounts: account_table(&accounts, &zone),
        first,
        candidates: candidate_table(&candidates),
    })
}

fn account_table(accounts: &[Account], zone: &Zone) -> Table {
    let line = |account: &Account| Line {
        href: account_path(&account.name),
        cells: vec![
            Cell::Person {
                name: account.display_name.clone(),
                detail: if account.display_name == account.name {
                    String::new()
                } else {
                    account.name.clone()
                },
            },
            Cell::Text(extent(account)),
            Cell::When(zone.show(account.password_set)),
            if account.active {
                Cell::Badge { tone: "good", text: "Active".into() }
            } else {
                Cell::Badge { tone: "bad", text: "Deactivated".into() }
            },
        ],
    };
    Table {
        caption: "Accounts".into(),
        heads: ["Account", "May see", "Password set", "Status"].map(Head::new).into(),
        lead: 0,
        lines: accounts.iter().map(line).collect(),
        nothing: Nothing::default(),
    }
}

fn candidate_table(candidates: &[Candidate]) -> Table {
    let line = |candidate: &Candidate| Line {
        href: activation_path(candidate),
        cells: vec![
            Cell::Person { name: candidate.name.clone(), detail: candidate.email.clone() },
            Cell::Text(candidate.role.clone()),
            Cell::Text(candidate.department.clone()),
            Cell::Text(candidate.status.clone()),
            Cell::Link { href: activation_path(candidate), text: "Activate".into() },
        ],
    };
    Table {
        caption: "Staff without an account".into(),
        heads: ["Name", "Role", "Department", "At maaiiconnect", "Action"].map(Head::new).into(),
        lead: 0,
        lines: candidates.iter().map(line).collect(),
        nothing: Nothing {
            title: "No member of staff is left to activate".into(),
            advice: "Members are taken from the staff list of the newest stored backup.".into(),
        },
    }
}

/// What an account may see, in a few words.
fn extent(account: &Account) -> String {
    if account.role == Role::Admin {
        return "Everything, and manages accounts".into();
    }
    let count = |may: fn(Access) -> bool| {
        DataType::ALL.into_iter().filter(|data_type| may(account.access(*data_type))).count()
    };
    let (see, download, all) = (count(|a| a.see), count(|a| a.download), DataType::ALL.len());
    match (see, download) {
        (0, _) => "Nothing".into(),
        (see, download) if see == all && download == all => "All data types".into(),
        (see, 0) if see == all => "All data types, without downloading".into(),
        (see, download) => format!("{see} of {all} data types, downloads {download}"),
    }
}

/// One account.
pub(in crate::portal) async fn account(
    administrator: Administrator,
    request: Request,
) -> Result<Response, Error> {
    let account = administrator.account(&request, request.capture(0)).await?;
    show_account(&administrator, &request, account, String::new())
}

/// Sets the password of an account.
pub(in crate::portal) async fn set_password(
    administrator: Administrator,
    request: Request,
    form: Form,
) -> Result<Response, Error> {
    let name = request.capture(0);
    match own::new_password(&form) {
        Ok(new) => {
            administrator.set_password(&request, name, new).await?;
            Ok(answer::redirect(&format!("{}?done=password", account_path(name))))
        }
        Err(objection) => {
            let account = administrator.account(&request, name).await?;
            show_account(&administrator, &request, account, objection)
        }
    }
}

/// Sets what an account may do.
pub(in crate::portal) async fn set_permissions(
    administrator: Administrator,
    request: Request,
    form: Form,
) -> Result<Response, Error> {
    let name = request.capture(0);
    administrator.set_permissions(&request, name, selected(&form)).await?;
    Ok(answer::redirect(&format!("{}?done=permissions", account_path(name))))
}

/// Deactivates an account, or activates it again.
pub(in crate::portal) async fn set_active(
    administrator: Administrator,
    request: Request,
    form: Form,
) -> Result<Response, Error> {
    let (name, active) = (request.capture(0), form.get("active") == "yes");
    administrator.set_active(&request, name, active).await?;
    let done = if active { "reactivated" } else { "deactivated" };
    Ok(answer::redirect(&format!("{}?done={done}", account_path(name))))
}

/// The form to activate a member of staff with.
pub(in crate::portal) async fn activation(
    administrator: Administrator,
    request: Request,
) -> Result<Response, Error> {
    let candidate = candidate(&administrator, request.capture(0)).await?;
    let scope = if candidate.is_administrator() { "administrator" } else { "all" };
    let everything = matrix(|_| Access { see: true, download: false });
    show_activation(&administrator, &request, candidate, scope, everything, String::new())
}

/// Activates a member of staff.
pub(in crate::portal) async fn activate(
    administrator: Administrator,
    request: Request,
    form: Form,
) -> Result<Response, Error> {
    let candidate = candidate(&administrator, request.capture(0)).await?;
    let (role, permissions) = match form.get("scope") {
        "administrator" => (Role::Admin, Permissions::all()),
        "all" => (Role::Staff, Permissions::all()),
        _ => (Role::Staff, selected(&form)),
    };
    let objection = match own::new_password(&form) {
        Ok(password) => {
            let path = account_path(&candidate.email);
            let new = NewAccount { candidate: candidate.clone(), role, permissions, password };
            if administrator.activate(&request, new).await? {
                return Ok(answer::redirect(&format!("{path}?done=activated")));
            }
            "There is an account of that name already.".to_owned()
        }
        Err(objection) => objection,
    };
    let selected = selected(&form);
    let matrix = matrix(|data_type| selected.access(data_type));
    show_activation(&administrator, &request, candidate, form.get("scope"), matrix, objection)
}

async fn candidate(administrator: &Administrator, eid: &str) -> Result<Candidate, Error> {
    let candidates = administrator.candidates().await?;
    candidates.into_iter().find(|candidate| candidate.eid == eid).ok_or(Error::NotFound)
}

fn show_account(
    administrator: &Administrator,
    request: &Request,
    account: Account,
    objection: String,
) -> Result<Response, Error> {
    let zone = Zone::of(request);
    let who = administrator.signed_in();
    let is_own = account.name == who.account().name;
    answer::page(&AccountPage {
        shell: Shell::new(who, request, Here::Accounts, account.display_name.clone()),
        path: account_path(&account.name),
        created: zone.show(account.created),
        password_set: zone.show(account.password_set),
        is_admin: account.role == Role::Admin,
        is_own,
        may_deactivate: !is_own && account.name != ADMIN,
        matrix: matrix(|data_type| account.access(data_type)),
        account,
        objection,
        min_chars: PASSWORD_MIN_CHARS,
    })
}

fn show_activation(
    administrator: &Administrator,
    request: &Request,
    candidate: Candidate,
    scope: &str,
    matrix: Vec<Row>,
    objection: String,
) -> Result<Response, Error> {
    let title = format!("Activate {}", candidate.name);
    answer::page(&ActivatePage {
        shell: Shell::new(administrator.signed_in(), request, Here::Accounts, title),
        path: activation_path(&candidate),
        candidate,
        scope: scope.to_owned(),
        matrix,
        objection,
        min_chars: PASSWORD_MIN_CHARS,
    })
}

fn matrix(access: impl Fn(DataType) -> Access) -> Vec<Row> {
    let row = |data_type: DataType| {
        let Access { see, download } = access(data_type);
        Row { name: data_type.as_str(), title: data_type.title(), see, download }
    };
    DataType::ALL.into_iter().map(row).collect()
}

/// What the boxes of a form allow. Who may download may see.
fn selected(form: &Form) -> Permissions {
    Permissions::new(DataType::ALL.into_iter().map(|data_type| {
        let download = form.has(&format!("download-{}", data_type.as_str()));
        let see = download || form.has(&format!("see-{}", data_type.as_str()));
        (data_type, Access { see, download })
    }))
}

fn account_path(name: &str) -> String {
    format!("/accounts/{}", part(name))
}

fn activation_path(candidate: &Candidate) -> String {
    format!("/activate/{}", part(&candidate.eid))
}
