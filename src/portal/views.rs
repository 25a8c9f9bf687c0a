//! The pages: one file and one template for each.
//!
//! A view takes a permit and a request, asks the permit for data, and fills a
//! template. It must not know the store, status codes or headers.

pub(super) mod accounts;
pub(super) mod archived;
mod ask;
mod attention;
pub(super) mod audit;
mod backup_line;
pub(super) mod backups;
pub(super) mod coming;
pub(super) mod condition;
pub(super) mod conversation;
pub(super) mod deletion;
pub(super) mod entries;
pub(super) mod export;
pub(super) mod home;
pub(super) mod list;
pub(super) mod log;
pub(super) mod media;
pub(super) mod own;
pub(super) mod progress;
pub(super) mod receipt;
pub(super) mod record;
pub(super) mod rejection;
mod related;
pub(super) mod settings;
pub(super) mod sign_in;
mod word;
