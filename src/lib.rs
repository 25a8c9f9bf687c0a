//! The retention appliance: what becomes of a backup that maaiiconnect uploads.
//!
//! ```text
//! maaiiconnect --SFTP--> sftp --> inbox --> intake --> store --> portal --> browser
//!                        (sshd)             |  archive: is it whole?
//!                                           |  records: what is in it?
//!                                           |  receipt: what was stored, signed
//! ```
//!
//! 1. [`inbox`] notices when an upload is complete.
//! 2. [`intake`] claims it, reads it whole and hands what was checked to the store.
//! 3. [`archive`] opens the ZIP, which nobody has to trust, and checks every byte.
//! 4. [`records`] finds the records in it and tells which dataset each belongs to.
//! 5. [`store`] keeps records and media in MongoDB, shows nothing of a backup before
//!    all of it is there, and finds what is asked for.
//! 6. [`receipt`] says what was received and stored, signed for anybody to check.
//! 7. [`sftp`] prepares the OpenSSH server that uploads come through.
//! 8. [`portal`] shows what is kept, to those who may see it.
//! 9. [`examine`] has each medium decoded, in a process of its own. What was not unpacked is taken off
//!    the [`shelf`] for that, as it is for who wants to look at it.
//! 10. [`verification`] has stored backups held against their receipts again, for years. Like 9, it
//!     works while intake is [`idle`].
//! 11. [`connector`] asks maaiiconnect to delete what a backup held, once somebody has said so, and
//!     learns what it has uploaded.
//! 12. [`steward`] makes this node be as the [`settings`] say that were made in the portal.
//! 13. [`health`] asks every part how it is, and [`alerts`] tells whoever has to hear of it.
//!
//! [`backup`] says what a backup is and which states it goes through. Below
//! everything lie [`config`], [`accounts`], [`audit`], [`format`](mod@format),
//! [`files`], [`steps`], [`trust`] and [`cause`]; above everything [`cli`], [`setup`], [`trial`]
//! and [`appliance`]. Arrows point down only.

pub mod appliance;
pub mod cli;
pub mod setup;
pub mod trial;

pub mod alerts;
pub mod archive;
pub mod backup;
pub mod connector;
pub mod examine;
pub mod health;
pub mod idle;
pub mod inbox;
pub mod intake;
pub mod portal;
pub mod receipt;
pub mod records;
pub mod sftp;
pub mod shelf;
pub mod steward;
pub mod store;
pub mod verification;

pub mod accounts;
pub mod audit;
pub mod cause;
pub mod config;
pub mod files;
pub mod format;
pub mod settings;
pub mod steps;
pub mod trust;
